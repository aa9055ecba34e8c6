// Text with marks, as descriptions have it (the part of CommonMark that the document uses), and code in colours.

import { h } from "/shared/view.js";

/** A description as elements: paragraphs, lists, tables, headings and code. `operations` are names that become links. */
export function prose(text, operations) {
  const blocks = [];
  const lines = (text ?? "").trimEnd().split("\n");
  const inline = (part) => marked(part, operations);
  for (let index = 0; index < lines.length;) {
    const line = lines[index];
    if (line.trim() === "") {
      index += 1;
    } else if (line.startsWith("```")) {
      const end = lines.indexOf("```", index + 1);
      const last = end < 0 ? lines.length : end;
      blocks.push(h("pre", { class: "block", tabindex: "0" }, h("code", null, lines.slice(index + 1, last).join("\n"))));
      index = last + 1;
    } else if (line.startsWith("|")) {
      const rows = [];
      for (; lines[index]?.startsWith("|"); index += 1) rows.push(cellsOf(lines[index]));
      blocks.push(table(rows.filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell))), inline));
    } else if (/^#{1,4} /.test(line)) {
      blocks.push(h("h3", null, inline(line.replace(/^#+ /, ""))));
      index += 1;
    } else if (/^([-*]|\d+\.) /.test(line)) {
      const isNumbered = /^\d/.test(line);
      const items = [];
      for (; index < lines.length; index += 1) {
        const item = /^(?:[-*]|\d+\.) (.*)$/.exec(lines[index]);
        if (item) items.push(item[1]);
        else if (/^\s+\S/.test(lines[index])) items.push(`${items.pop()} ${lines[index].trim()}`);
        else break;
      }
      blocks.push(h(isNumbered ? "ol" : "ul", null, items.map((item) => h("li", null, inline(item)))));
    } else {
      const parts = [];
      for (; index < lines.length && /\S/.test(lines[index]) && !/^([|#]|```|[-*] |\d+\. )/.test(lines[index]); index += 1) {
        parts.push(lines[index].trim());
      }
      blocks.push(h("p", null, inline(parts.join(" "))));
    }
  }
  return blocks;
}

const cellsOf = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function table([heading, ...rows], inline) {
  return h("div", { class: "scrolls", tabindex: "0" }, h("table", null,
    h("thead", null, h("tr", null, heading.map((cell) => h("th", { scope: "col" }, inline(cell))))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((cell) => h("td", null, inline(cell))))))));
}

/** One line of text: code, strong, links, and names of operations. */
export function marked(text, operations) {
  const parts = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(linked(text.slice(end, match.index), operations));
    const [, code, strong, label, address] = match;
    if (code !== undefined) {
      parts.push(operations?.has(code) ? operationLink(code) : h("code", null, code));
    } else if (strong !== undefined) {
      parts.push(h("strong", null, strong));
    } else {
      parts.push(/^(https?:|\/|#)/.test(address) ? h("a", { class: "inline", href: address }, label) : label);
    }
    end = match.index + match[0].length;
  }
  parts.push(linked(text.slice(end), operations));
  return parts;
}

function linked(text, operations) {
  if (!operations) return text;
  return text.split(/\b([a-z]+[A-Z]\w+)\b/).map((part) => (operations.has(part) ? operationLink(part) : part));
}

const operationLink = (id) => h("a", { class: "inline", href: `#${id}` }, id);

// --------------------------------------------------------------------------------------------------------------- code

const words = {
  shell: "curl",
  javascript: "const let await new if throw import from for of return break function",
  python: "import from if not for in with as def return True False None",
  java: "import public class static void throws new if return",
  csharp: "using static class async await new var if return for null int string",
  php: "true false null if function return new int string",
  go: "package import func if nil defer return for var",
  ruby: "require if unless do end true false nil abort puts",
  r: "library function if stop TRUE FALSE NULL",
  json: "true false null",
};
const comments = { shell: "#", python: "#", ruby: "#", r: "#", javascript: "//", java: "//", csharp: "//", php: "//", go: "//" };
const quotes = {
  shell: /'[^']*'|"(?:\\.|[^"\\])*"/, javascript: /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`/,
  python: /"(?:\\.|[^"\\])*"/, java: /"""[^]*?"""|"(?:\\.|[^"\\])*"/, csharp: /@"(?:""|[^"])*"|"(?:\\.|[^"\\])*"/,
  php: /'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/, go: /`[^`]*`|"(?:\\.|[^"\\])*"/, ruby: /"(?:\\.|[^"\\])*"/,
  r: /r"(-*)\([^]*?\)\1"|"(?:\\.|[^"\\])*"/, json: /"(?:\\.|[^"\\])*"/,
};

/** Code as elements: strings, words, numbers and remarks have a class each. */
export function coloured(code, syntax) {
  const quote = quotes[syntax];
  if (!quote) return code;
  const remark = comments[syntax];
  const pattern = new RegExp(
    `(?<text>${quote.source})|${remark ? `(?<remark>(?<=^|\\s)${remark}.*)|` : ""}(?<number>\\b\\d[\\d_.]*\\b)|(?<word>\\b(?:${words[syntax].split(" ").join("|")})\\b)`, "gm");
  const parts = [];
  let end = 0;
  for (const match of code.matchAll(pattern)) {
    parts.push(code.slice(end, match.index));
    end = match.index + match[0].length;
    let kind = Object.entries(match.groups).find(([, value]) => value !== undefined)[0];
    if (syntax === "json" && kind === "text" && /^\s*:/.test(code.slice(end))) kind = "name";
    parts.push(h("span", { class: `is-${kind}` }, match[0]));
  }
  parts.push(code.slice(end));
  return parts;
}
