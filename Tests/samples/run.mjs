// Runs every sample of the API reference in its own language against a playground, and holds what was sent and what was
// answered against the document. Status 1 when anything is not as it must be.
//
//   node Tests/samples/run.mjs [--languages go,r] [--operations createEnrollment,getHealth] [--part 1/3] [--keep]

import { mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { goodResponse, operationsOf, requestOf, variantsOf } from "../../Sources/KassaWeb/site/docs/operations.js";
import { languages, sampleOf } from "../../Sources/KassaWeb/site/docs/samples.js";
import { Browser } from "./browser.mjs";
import { difficultSamples } from "./difficult.mjs";
import { disturbing, fixtures, kinds, Shop } from "./fixtures.mjs";
import { Recorder } from "./recorder.mjs";
import { flawsOf } from "./schema.mjs";
import { Playground } from "./server.mjs";
import { toolchains } from "./toolchains.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values: options } = parseArgs({
  options: {
    languages: { type: "string" },
    operations: { type: "string" },
    part: { type: "string", default: "1/1" },
    program: { type: "string", default: path.join(root, ".build/debug/kassa") },
    keep: { type: "boolean", default: false },
  },
});

// ------------------------------------------------------------------------------------------------- making the samples

/** What becomes of placeholders: members of the body by their names, at any depth. */
function filledIn(value, replacements) {
  if (Array.isArray(value)) return value.map((one) => filledIn(one, replacements));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name, Object.hasOwn(replacements, name) && typeof one !== "object" ? replacements[name] : filledIn(one, replacements),
    ]),
  );
}

/** Whether an operation acts on something that must be made first. */
const needsFixture = (operation) =>
  operation.credential === "deviceToken" || operation.parameters.some((parameter) => parameter.in === "path");

/** One sample in one language, on things of its own. */
async function makeSample(document, operation, variant, shops, recorder, number, given = {}) {
  const shop = shops[kinds[operation.id] ?? "one"];
  const make = fixtures[operation.id];
  if (!make && needsFixture(operation)) {
    throw new Error(`${operation.id} is new: say in Tests/samples/fixtures.mjs what it acts on`);
  }
  const fixture = (await make?.(shop, variant)) ?? {};
  const values = { ...given.values };
  for (const [name, value] of Object.entries(fixture.path ?? {})) values[`path:${name}`] = value;
  for (const [name, value] of Object.entries(fixture.query ?? {})) values[`query:${name}`] = value;
  const replacements = { location_id: await shop.location(), ...fixture.body };
  const body = given.body ?? (variant.body === undefined ? undefined : filledIn(variant.body, replacements));
  const request = requestOf(document, operation, { server: recorder.addressFor(number), variant, values, body });
  return {
    number, operation, variant, request,
    environment: { KASSA_API_KEY: shop.key, KASSA_DEVICE_TOKEN: fixture.token ?? "" },
    expected: { status: Number(goodResponse(operation).status) },
  };
}

// ------------------------------------------------------------------------------------------------ judging the samples

/** Everything that is wrong with how a sample went. */
function judge(document, sample, result, exchanges) {
  const flaws = [];
  if (result.status !== 0) flaws.push(`ended with ${result.status}: ${result.errors.trim().slice(0, 600)}`);
  if (exchanges.length !== 1) return [...flaws, `sent ${exchanges.length} requests`];
  const [exchange] = exchanges;
  const { request, operation } = sample;

  // What was sent.
  const expectedPath = request.url.replace(/^http:\/\/[^/]+\/run\/\d+/, "");
  if (exchange.method !== request.method) flaws.push(`sent ${exchange.method}`);
  if (spelled(exchange.path) !== spelled(expectedPath)) flaws.push(`asked for ${exchange.path} instead of ${expectedPath}`);
  const credential = {
    apiKey: `Basic ${sample.environment.KASSA_API_KEY}`, deviceToken: `Bearer ${sample.environment.KASSA_DEVICE_TOKEN}`,
  }[request.credential];
  if (exchange.headers.authorization !== credential) flaws.push(`sent Authorization: ${exchange.headers.authorization}`);
  for (const header of request.headers) {
    const sent = exchange.headers[header.name.toLowerCase()];
    const isRight = header.isFresh
      ? /^[0-9a-f-]{32,36}$/i.test(sent ?? "")
      : header.name === "Content-Type" ? sent?.split(";")[0] === header.value : sent === header.value;
    if (!isRight) flaws.push(`sent ${header.name}: ${sent}`);
  }
  if (request.body === undefined) {
    if (exchange.body.length > 0) flaws.push(`sent a body of ${exchange.body.length} bytes`);
  } else {
    const sent = parsed(exchange.body.toString());
    if (!isDeepStrictEqual(sent, parsed(JSON.stringify(request.body)))) flaws.push(`sent the body ${exchange.body}`);
  }

  // What was answered.
  if (exchange.status !== sample.expected.status) {
    return [...flaws, `was answered ${exchange.status} ${exchange.failure ?? exchange.answer?.toString().slice(0, 600)}`];
  }
  const contents = goodResponse(operation).contents;
  const content = contents.find((one) => one.type === exchange.type);
  if (contents.length > 0 && !content) flaws.push(`was answered ${exchange.type}`);
  const answer = exchange.answer.toString();
  if (content && /json$/.test(content.type)) {
    const value = parsed(answer);
    flaws.push(...flawsOf(document, value, content.schema).map((flaw) => `answer: ${flaw}`));
    if (!isDeepStrictEqual(parsed(result.output), value)) flaws.push(`printed ${result.output.slice(0, 300)}`);
  } else if (request.answer === "none") {
    const made = exchange.answerHeaders[request.answerHeader?.toLowerCase()];
    if (result.output.trim() !== [exchange.status, made].filter(Boolean).join(" ")) flaws.push(`printed ${result.output.slice(0, 300)}`);
  } else if (request.answer === "file") {
    if (sample.language.id !== "javascript" && !result.file?.equals(exchange.answer)) flaws.push("kept something else");
  } else if (!withoutEmptyLines(result.output).includes(withoutEmptyLines(answer))) {
    flaws.push(`printed ${result.output.slice(0, 300)}, not ${answer.slice(0, 300)}`);
  }
  return flaws;
}

/** One of the spellings that a client may choose for a path and query: RFC 3986 lets these stand as they are, or escaped. */
const spelled = (path) => path.replace(/%(2[1789A]|2a)/g, (code) => decodeURIComponent(code));

const withoutEmptyLines = (text) => text.replace(/\r/g, "").replace(/\n\n+/g, "\n").trim();

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// ------------------------------------------------------------------------------------------------------------- running

/** Does it for every item, so many at a time. */
async function forEach(items, atOnce, action) {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item; (item = waiting.shift()) !== undefined;) await action(item);
    }),
  );
}

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

async function main(folder) {
  const began = Date.now();
  const playground = await Playground.start(path.resolve(options.program), folder);
  const recorder = await Recorder.start(playground.url);
  let browser;
  try {
    const described = await fetch(`${playground.url}/openapi.json`);
    if (!described.ok) throw new Error(`the server does not describe itself: ${described.status}`);
    const document = await described.json();
    const chosenLanguages = languages.filter((one) => !options.languages || options.languages.split(",").includes(one.id));
    const chosenOperations = operationsOf(document).filter(
      (one) => !options.operations || options.operations.split(",").includes(one.id));
    const [part, parts] = options.part.split("/").map(Number);
    const rows = chosenOperations
      .flatMap((operation) => variantsOf(operation).map((variant) => ({ operation, variant })))
      .concat(difficultSamples(chosenOperations))
      .filter((_, index) => index % parts === part - 1);
    rows.forEach((row) => (row.cells = new Map()));

    // Merchants of its own for each language: what a language does disturbs no other.
    const shops = new Map();
    await forEach(chosenLanguages, os.availableParallelism?.() ?? os.cpus().length, async (language) => {
      const shop = (merchant) => new Shop(playground.url, merchant, `${recorder.address}/callbacks`);
      const make = async (name) => shop(await playground.merchant(`${language.label} ${name}`));
      shops.set(language.id, {
        one: await make("one"), several: await make("several"), manual: await make("manual"), demo: shop(playground.demo),
      });
    });

    const samples = [];
    console.log(`${rows.length} requests in ${chosenLanguages.length} languages`);

    let flawed = 0;
    const finish = (sample, result) => {
      const flaws = judge(document, sample, result, recorder.exchangesOf(sample.number));
      sample.row.cells.set(sample.language.id, flaws);
      if (flaws.length === 0) return;
      flawed += 1;
      console.log(`\n${sample.language.label}, ${titleOf(sample.row)}:\n  ${flaws.join("\n  ")}\n${sample.text}`);
    };
    const runOne = async (sample) => {
      const start = Date.now();
      const result =
        sample.language.id === "javascript"
          ? await browser.run(sample.text, sample.environment)
          : await toolchains[sample.language.id].run(sample, sample.environment);
      if (sample.request.answer === "file" && sample.folder) {
        result.file = await readFile(path.join(sample.folder, "answer")).catch(() => undefined);
      }
      if (Date.now() - start > 5000) console.log(`  ${titleOf(sample.row)} took ${seconds(start)}`);
      finish(sample, result);
    };

    for (const language of chosenLanguages) {
      const start = Date.now();
      // What they act on is made just before: some of it does not wait long.
      const own = [];
      await forEach([...rows].sort(byPatience), 4, async (row) => {
        const number = samples.push(undefined) - 1;
        const sample = await makeSample(
          document, row.operation, row.variant, shops.get(language.id), recorder, number, row.given);
        samples[number] = { ...sample, row, language, text: sampleOf(language.id, sample.request) };
        own.push(samples[number]);
      });
      let made = "";
      if (language.id === "javascript") {
        browser = await Browser.start();
        await browser.open(`${recorder.address}/`);
      } else {
        const place = path.join(folder, language.id);
        await mkdir(place);
        await toolchains[language.id].prepare(place, own);
        if (["java", "csharp", "go"].includes(language.id)) made = ` (compiled in ${seconds(start)})`;
      }
      const calm = own.filter((sample) => !disturbing.includes(sample.operation.id));
      await forEach(calm, language.id === "javascript" ? 1 : os.cpus().length, runOne);
      console.log(`${language.label}: ${seconds(start)}${made}`);
    }
    for (const id of disturbing) {
      for (const sample of samples.filter((one) => one.operation.id === id)) await runOne(sample);
    }

    printTable(rows, chosenLanguages);
    const missed = await controls(document, samples, recorder);
    console.log(
      flawed === 0 && missed === 0
        ? `\nAll ${samples.length} samples are right, in ${seconds(began)}.`
        : `\n${flawed} of ${samples.length} samples are wrong, in ${seconds(began)}.`);
    return flawed === 0 && missed === 0;
  } finally {
    await browser?.stop();
    recorder.stop();
    await playground.stop();
  }
}

/** What waits for a buyer comes first: a code is good for three minutes. */
const byPatience = (one, other) => (kinds[other.operation.id] === "demo") - (kinds[one.operation.id] === "demo");

const titleOf = (row) => `${row.operation.id}${row.variant.id === "default" ? "" : ` (${row.variant.id})`}`;

function printTable(rows, columns) {
  const width = Math.max(...rows.map((row) => titleOf(row).length)) + 2;
  const heading = columns.map((language) => language.label.padStart(11)).join("");
  console.log(`\n${"".padEnd(width)}${heading}`);
  for (const row of rows) {
    const cells = columns.map((language) => (row.cells.get(language.id)?.length === 0 ? "ok" : "WRONG").padStart(11));
    console.log(titleOf(row).padEnd(width) + cells.join(""));
  }
}

// ------------------------------------------------------------------------------------------------------------ controls

/** Samples broken on purpose: each must be found. Returns how many were not. */
async function controls(document, samples, recorder) {
  const find = (language, id, variant) =>
    samples.find((one) => one.language.id === language && one.operation.id === id && (!variant || one.variant.id === variant));
  const broken = [
    ["a quote not escaped for the shell", find("curl", "createEnrollment", "difficult"), { cut: "'\\''" }],
    ["a backslash lost in Python", find("python", "createEnrollment", "difficult"), { cut: "\\" }],
    ["an interpolation in Ruby", find("ruby", "createEnrollment", "difficult"), { cut: "\\#{1", by: "#{1" }],
    ["a value that PHP reads otherwise", find("php", "createEnrollment", "difficult"), { cut: "\\'", by: "" }],
    ["another status than the document's", find("node", "getHealth"), { status: 204 }],
    ["an answer that breaks its schema", find("curl", "getHealth"), { schema: { type: "object", required: ["mood"] } }],
    ["a refusal", find("python", "getHealth"), { cut: "/health", by: "/healthy" }],
  ].filter(([, sample]) => sample);
  let missed = 0;
  for (const [name, sample, change] of broken) {
    const text = change.cut === undefined ? sample.text : sample.text.replace(change.cut, change.by ?? "");
    if (change.cut !== undefined && text === sample.text) throw new Error(`the control ${name} breaks nothing`);
    await writeFile(sample.file, text);
    recorder.forget(sample.number);
    const result = await toolchains[sample.language.id].run(sample, sample.environment);
    const response = goodResponse(sample.operation);
    const operation = change.schema
      ? {
          ...sample.operation,
          responses: [{ ...response, contents: [{ ...response.contents[0], schema: change.schema }] }],
        }
      : sample.operation;
    const expected = change.status ? { status: change.status } : sample.expected;
    const flaws = judge(document, { ...sample, operation, expected }, result, recorder.exchangesOf(sample.number));
    if (flaws.length === 0) {
      missed += 1;
      console.log(`\nNot found: ${name}`);
    }
  }
  console.log(`\nControls: ${broken.length - missed} of ${broken.length} samples that were broken on purpose were found.`);
  return missed;
}

const folder = await mkdtemp(path.join(os.tmpdir(), "kassa-samples-"));
try {
  process.exitCode = (await main(folder)) ? 0 : 1;
} finally {
  if (options.keep) console.log(`The samples are in ${folder}`);
  else await rm(folder, { recursive: true });
}
