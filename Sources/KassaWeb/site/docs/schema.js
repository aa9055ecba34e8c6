// A schema as what a reader wants to know: members with their types, whether they are required, limits, and what they mean.

import { h } from "/shared/view.js";
import { referenceName, resolve } from "./operations.js";
import { marked, prose } from "./text.js";
import { say } from "./texts.js";

/** A schema with its `allOf` folded in: one object with all members. */
export function folded(document, node) {
  const schema = resolve(document, node) ?? {};
  if (!schema.allOf) return schema;
  const whole = { ...schema, properties: {}, required: [] };
  delete whole.allOf;
  for (const part of [...schema.allOf.map((one) => folded(document, one)), { ...schema, allOf: undefined }]) {
    for (const [keyword, value] of Object.entries(part)) {
      if (value === undefined) continue;
      if (keyword === "properties") Object.assign(whole.properties, value);
      else if (keyword === "required") whole.required = [...new Set([...whole.required, ...value])];
      else if (keyword === "description") whole.description = schema.description ?? value;
      else whole[keyword] = value;
    }
  }
  return whole;
}

/** The type in a word or two: `string · uuid`, `array of Line`. */
export function typeOf(document, node) {
  const schema = folded(document, node);
  const types = [schema.type ?? (schema.properties ? "object" : schema.enum ? "string" : "")].flat();
  if (types.includes("array")) return `array of ${typeOf(document, schema.items ?? {}) || "anything"}`;
  const name = types.filter(Boolean).join(" or ");
  return schema.format && !/^int/.test(schema.format) ? `${name} · ${schema.format}` : name;
}

/** What a value may be, as short remarks. */
function limitsOf(schema) {
  const remarks = [];
  const range = (least, most, unit) => {
    if (least === undefined && most === undefined) return;
    const text = least === most ? `${least}` : least === undefined || (least === 0 && unit)
      ? `${say("atMost")} ${most}` : most === undefined ? `${say("atLeast")} ${least}` : `${least} ${say("to")} ${most}`;
    if (!/undefined/.test(text)) remarks.push([unit ? `${text} ${say(unit)}` : text]);
  };
  range(schema.minimum, schema.maximum === 2 ** 31 - 1 ? undefined : schema.maximum);
  range(schema.minLength, schema.maxLength, "characters");
  range(schema.minItems, schema.maxItems, "items");
  range(schema.minProperties, schema.maxProperties, "properties");
  if (schema.const !== undefined) remarks.push([`${say("always")} `, h("code", null, plain(schema.const))]);
  if (schema.default !== undefined) remarks.push([`${say("default")} `, h("code", null, plain(schema.default))]);
  // A format says it better than its pattern.
  if (schema.pattern && !schema.format) remarks.push([`${say("pattern")} `, h("code", null, schema.pattern)]);
  if (schema.examples?.length) remarks.push([`${say("example")} `, h("code", null, plain(schema.examples[0]))]);
  return remarks;
}

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** One member or parameter: its name, type, whether it is required, limits, meaning, and its own members. */
export function field(document, { name, node, isRequired, description, operations, trail = [] }) {
  const schema = folded(document, node);
  const inner = schema.type === "array" ? folded(document, schema.items ?? {}) : schema;
  const values = schema.enum ?? (schema.type === "array" ? inner.enum : undefined);
  const limits = limitsOf(schema);
  const text = description ?? schema.description;
  return h("li", { class: "field-row" },
    h("p", { class: "field-head" },
      h("code", { class: "field-name" }, name), h("span", { class: "field-type" }, typeOf(document, node)),
      isRequired ? h("span", { class: "is-required" }, say("required")) : null,
      schema.deprecated ? h("span", { class: "badge warning" }, say("deprecated")) : null),
    text ? h("div", { class: "prose", lang: "en" }, prose(text, operations)) : null,
    limits.length ? h("p", { class: "limits" }, limits.map((remark) => h("span", null, remark))) : null,
    values ? h("p", { class: "limits" }, `${say("allowed")} `, values.map((value) => h("code", { class: "value" }, plain(value)))) : null,
    nested(document, schema.type === "array" ? schema.items : node, operations, trail, schema.type === "array"));
}

/** The members of a member, folded up. */
function nested(document, node, operations, trail, isElement) {
  const schema = folded(document, node);
  if (!schema.properties && !schema.additionalProperties && !schema.oneOf) return null;
  if (!schema.properties && (schema.additionalProperties === true || schema.additionalProperties?.type === "string")) return null;
  const name = referenceName(node);
  if (name && trail.includes(name)) return h("p", { class: "limits" }, say("recursive"));
  return h("details", { class: "nested" },
    h("summary", null, say(isElement ? "elements" : "members")),
    fields(document, node, operations, name ? [...trail, name] : trail));
}

/** The members of an object as a list. */
export function fields(document, node, operations, trail = []) {
  const schema = folded(document, node);
  const required = new Set(schema.required ?? []);
  const choices = (schema.oneOf ?? schema.anyOf ?? []).map((part) => resolve(document, part));
  const onlyRequired = choices.length > 0 && choices.every((part) => Object.keys(part).every((keyword) => keyword === "required"));
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    field(document, { name, node: property, isRequired: required.has(name), operations, trail }));
  if (schema.additionalProperties && schema.additionalProperties !== true) {
    rows.push(field(document, { name: say("anyName"), node: schema.additionalProperties, operations, trail }));
  }
  return [
    onlyRequired
      ? h("p", { class: "limits" }, `${say("exactlyOne")} `,
        choices.map((part, index) => [index > 0 ? " · " : null, part.required.map((name) => h("code", { class: "value" }, name))]))
      : null,
    rows.length ? h("ul", { class: "fields", role: "list" }, rows) : null,
    !onlyRequired && choices.length
      ? choices.map((part, index) => h("details", { class: "nested" },
        h("summary", null, part.title ?? referenceName((schema.oneOf ?? schema.anyOf)[index]) ?? `${say("oneOf")} ${index + 1}`),
        part.description ? h("p", { class: "limits" }, marked(part.description, operations)) : null,
        fields(document, part, operations, trail)))
      : null,
  ];
}
