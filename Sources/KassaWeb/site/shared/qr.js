// QR codes (ISO/IEC 18004), byte mode: a text to squares, drawn as SVG.

import { h } from "./view.js";

/** Of each version from 1 at error correction level M: check bytes a block, and the data bytes of its blocks. */
const blocksOfVersion = [
  [10, [16]], [16, [28]], [26, [44]], [18, [32, 32]], [24, [43, 43]], [16, [27, 27, 27, 27]], [18, [31, 31, 31, 31]],
  [22, [38, 38, 39, 39]], [22, [36, 36, 36, 37, 37]], [26, [43, 43, 43, 43, 44]], [30, [50, 51, 51, 51, 51]],
  [22, [36, 36, 36, 36, 36, 36, 37, 37]], [22, [37, 37, 37, 37, 37, 37, 37, 37, 38]],
];
const versionMax = blocksOfVersion.length;

/** Powers of 2 in the field of 256 elements with x^8 + x^4 + x^3 + x^2 + 1, and their logarithms. */
const power = new Uint8Array(512);
const logarithm = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent += 1) {
  power[exponent] = power[exponent + 255] = value;
  logarithm[value] = exponent;
  value = (value << 1) ^ (value & 128 ? 0x11d : 0);
}
const times = (a, b) => (a && b ? power[logarithm[a] + logarithm[b]] : 0);

/** The remainder of the data's polynomial: what lets a reader mend what it misread. */
function checkBytes(data, count) {
  let generator = [1];
  for (let root = 0; root < count; root += 1) {
    const next = [...generator, 0];
    generator.forEach((factor, index) => (next[index + 1] ^= times(factor, power[root])));
    generator = next;
  }
  const remainder = new Uint8Array(count);
  for (const byte of data) {
    const factor = byte ^ remainder[0];
    remainder.copyWithin(0, 1);
    remainder[count - 1] = 0;
    for (let index = 0; index < count; index += 1) remainder[index] ^= times(generator[index + 1], factor);
  }
  return remainder;
}

/** All bytes of a code: length and text, filled up, in blocks with their check bytes, interleaved. */
function codewords(text, version) {
  const [checkCount, sizes] = blocksOfVersion[version - 1];
  const capacity = sizes.reduce((sum, size) => sum + size, 0);
  const bits = [];
  const put = (value, count) => {
    for (let bit = count - 1; bit >= 0; bit -= 1) bits.push((value >> bit) & 1);
  };
  put(0b0100, 4);
  put(text.length, version < 10 ? 8 : 16);
  for (const byte of text) put(byte, 8);
  put(0, Math.min(4, capacity * 8 - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  for (let filler = 0xec; bits.length < capacity * 8; filler ^= 0xec ^ 0x11) put(filler, 8);
  const bytes = Uint8Array.from({ length: capacity }, (_, index) => bits.slice(index * 8, index * 8 + 8).reduce((sum, bit) => sum * 2 + bit, 0));
  let start = 0;
  const blocks = sizes.map((size) => bytes.subarray(start, (start += size)));
  const checks = blocks.map((block) => checkBytes(block, checkCount));
  const all = [];
  for (let index = 0; index < Math.max(...sizes); index += 1) for (const block of blocks) if (index < block.length) all.push(block[index]);
  for (let index = 0; index < checkCount; index += 1) for (const check of checks) all.push(check[index]);
  return all;
}

const masks = [
  (x, y) => (x + y) % 2 === 0, (x, y) => y % 2 === 0, (x) => x % 3 === 0, (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0, (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** `value` followed by the remainder of its division by `divisor`: BCH codes of format and version. */
function withRemainder(value, divisor) {
  const degree = 31 - Math.clz32(divisor);
  let rest = value << degree;
  while (rest && 31 - Math.clz32(rest) >= degree) rest ^= divisor << (31 - Math.clz32(rest) - degree);
  return (value << degree) | rest;
}

function alignmentPlaces(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const last = version * 4 + 10;
  const step = Math.ceil((last - 6) / (count - 1) / 2) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, index) => last - step * (count - 2 - index))];
}

/**
 * The squares of the code of `text`, as rows of booleans: true is dark. Level M, the smallest version that holds it.
 * Throws where it is longer than 331 bytes.
 */
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  const version = blocksOfVersion.findIndex(([, sizes], index) => {
    const capacity = sizes.reduce((sum, size) => sum + size, 0);
    return bytes.length + (index < 9 ? 2 : 3) <= capacity;
  }) + 1;
  if (version === 0) throw new RangeError(`a QR code of ours holds no ${bytes.length} bytes (version ${versionMax} at most)`);
  const size = version * 4 + 17;
  const dark = Array.from({ length: size }, () => new Array(size).fill(false));
  const fixed = Array.from({ length: size }, () => new Array(size).fill(false));
  const set = (x, y, value) => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y][x] = Boolean(value);
    fixed[y][x] = true;
  };

  for (let index = 0; index < size; index += 1) {
    set(6, index, index % 2 === 0);
    set(index, 6, index % 2 === 0);
  }
  for (const [left, top] of [[0, 0], [size - 7, 0], [0, size - 7]]) {
    for (let y = -1; y <= 7; y += 1) {
      for (let x = -1; x <= 7; x += 1) {
        const ring = Math.max(Math.abs(x - 3), Math.abs(y - 3));
        set(left + x, top + y, ring !== 2 && ring !== 4);
      }
    }
  }
  const places = alignmentPlaces(version);
  places.forEach((row, rowIndex) => places.forEach((column, columnIndex) => {
    const isCorner = (rowIndex === 0 && (columnIndex === 0 || columnIndex === places.length - 1)) || (columnIndex === 0 && rowIndex === places.length - 1);
    if (isCorner) return;
    for (let y = -2; y <= 2; y += 1) for (let x = -2; x <= 2; x += 1) set(column + x, row + y, Math.max(Math.abs(x), Math.abs(y)) !== 1);
  }));
  if (version >= 7) {
    const bits = withRemainder(version, 0b1111100100101);
    for (let index = 0; index < 18; index += 1) {
      const [near, far] = [Math.floor(index / 3), size - 11 + (index % 3)];
      set(far, near, (bits >> index) & 1);
      set(near, far, (bits >> index) & 1);
    }
  }
  const drawFormat = (mask) => {
    // Level M is 00.
    const bits = withRemainder(mask, 0b10100110111) ^ 0b101010000010010;
    const bit = (index) => (bits >> index) & 1;
    for (let index = 0; index <= 5; index += 1) set(8, index, bit(index));
    set(8, 7, bit(6));
    set(8, 8, bit(7));
    set(7, 8, bit(8));
    for (let index = 9; index < 15; index += 1) set(14 - index, 8, bit(index));
    for (let index = 0; index < 8; index += 1) set(size - 1 - index, 8, bit(index));
    for (let index = 8; index < 15; index += 1) set(8, size - 15 + index, bit(index));
    set(8, size - 8, true);
  };
  drawFormat(0);

  const words = codewords(bytes, version);
  let index = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    const isUpward = ((right + 1) & 2) === 0;
    for (let step = 0; step < size; step += 1) {
      const y = isUpward ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (fixed[y][x]) continue;
        dark[y][x] = index < words.length * 8 && Boolean((words[index >> 3] >> (7 - (index & 7))) & 1);
        index += 1;
      }
    }
  }

  const flip = (mask) => {
    for (let y = 0; y < size; y += 1) for (let x = 0; x < size; x += 1) if (!fixed[y][x] && masks[mask](x, y)) dark[y][x] = !dark[y][x];
  };
  let best = { mask: 0, penalty: Infinity };
  for (let mask = 0; mask < 8; mask += 1) {
    flip(mask);
    drawFormat(mask);
    const penalty = penaltyOf(dark);
    if (penalty < best.penalty) best = { mask, penalty };
    flip(mask);
  }
  flip(best.mask);
  drawFormat(best.mask);
  return dark;
}

/** How hard a pattern is to read: long runs, blocks, what looks like a corner, and too much of one colour. */
function penaltyOf(dark) {
  const size = dark.length;
  let penalty = 0;
  const lines = [...dark, ...dark.map((_, x) => dark.map((row) => row[x]))];
  for (const line of lines) {
    let run = 1;
    for (let index = 1; index <= size; index += 1) {
      if (index < size && line[index] === line[index - 1]) run += 1;
      else {
        if (run >= 5) penalty += run - 2;
        run = 1;
      }
    }
    const text = line.map(Number).join("");
    for (const pattern of ["10111010000", "00001011101"]) {
      for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) penalty += 40;
    }
  }
  for (let y = 1; y < size; y += 1) {
    for (let x = 1; x < size; x += 1) {
      if (dark[y][x] === dark[y - 1][x] && dark[y][x] === dark[y][x - 1] && dark[y][x] === dark[y - 1][x - 1]) penalty += 3;
    }
  }
  const share = dark.flat().filter(Boolean).length / (size * size);
  return penalty + Math.floor(Math.abs(share * 100 - 50) / 5) * 10;
}

/** The code of `text` as a drawing: dark on white in every scheme, with the quiet zone of four squares. */
export function qrDrawing(text, label) {
  const rows = qrCode(text);
  const size = rows.length + 8;
  const path = rows.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join("");
  return h(
    "svg",
    { class: "qr", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label, "shape-rendering": "crispEdges" },
    h("rect", { width: size, height: size, fill: "#fff" }),
    h("path", { d: path, fill: "#000" }),
  );
}
