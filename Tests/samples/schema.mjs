// Holds JSON against the schemas of the document, as far as it uses JSON Schema: a keyword or format that is not known here
// is an error, and so is a member of the value that no schema describes.

import { resolve } from "../../Sources/KassaWeb/site/docs/operations.js";

const annotations = new Set(["description", "title", "default", "deprecated", "examples", "readOnly", "writeOnly"]);
const formats = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  uri: /^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/,
  int32: null,
  int64: null,
};

/** Everything wrong with a value, each with its path; empty when it is valid. */
export function flawsOf(document, value, schema) {
  const flaws = [];
  check(document, value, schema, "$", flaws);
  return flaws;
}

function check(document, value, schema, path, flaws) {
  const described = evaluate(document, value, schema, path, flaws);
  for (const name of isObject(value) ? Object.keys(value) : []) {
    if (!described.has(name)) flaws.push(`${path}.${name} is not described`);
  }
}

/** Applies one schema; returns the members it describes, its parts included. */
function evaluate(document, value, schema, path, flaws) {
  const described = new Set();
  const add = (names) => names.forEach((name) => described.add(name));
  for (const [keyword, argument] of Object.entries(schema)) {
    if (annotations.has(keyword) || keyword.startsWith("x-")) continue;
    switch (keyword) {
      case "$ref":
        add(evaluate(document, value, resolve(document, { $ref: argument }), path, flaws));
        break;
      case "allOf":
        for (const part of argument) add(evaluate(document, value, part, path, flaws));
        break;
      case "oneOf":
      case "anyOf": {
        const fitting = argument
          .map((part) => {
            const own = [];
            return { names: evaluate(document, value, part, path, own), isValid: own.length === 0 };
          })
          .filter((part) => part.isValid);
        if (keyword === "oneOf" ? fitting.length !== 1 : fitting.length === 0) {
          flaws.push(`${path} matches ${fitting.length} of ${keyword}`);
        }
        fitting.forEach((part) => add(part.names));
        break;
      }
      case "properties":
        for (const [name, property] of Object.entries(argument)) {
          described.add(name);
          if (isObject(value) && Object.hasOwn(value, name)) check(document, value[name], property, `${path}.${name}`, flaws);
        }
        break;
      case "additionalProperties":
        for (const name of isObject(value) ? Object.keys(value) : []) {
          if (Object.hasOwn(schema.properties ?? {}, name) || argument === false) continue;
          described.add(name);
          if (argument !== true) check(document, value[name], argument, `${path}.${name}`, flaws);
        }
        break;
      case "items":
        if (Array.isArray(value)) {
          value.forEach((one, index) => check(document, one, argument, `${path}[${index}]`, flaws));
        }
        break;
      case "propertyNames":
        for (const name of isObject(value) ? Object.keys(value) : []) {
          evaluate(document, name, argument, `${path} name ${name}`, flaws);
        }
        break;
      default:
        if (!holds(keyword, argument, value)) flaws.push(`${path} breaks ${keyword} ${JSON.stringify(argument)}`);
    }
  }
  return described;
}

function holds(keyword, argument, value) {
  const length = typeof value === "string" ? [...value].length : undefined;
  switch (keyword) {
    case "type": return [argument].flat().some((type) => isOfType(value, type));
    case "enum": return argument.some((one) => JSON.stringify(one) === JSON.stringify(value));
    case "const": return JSON.stringify(argument) === JSON.stringify(value);
    case "required": return !isObject(value) || argument.every((name) => Object.hasOwn(value, name));
    case "minProperties": return !isObject(value) || Object.keys(value).length >= argument;
    case "maxProperties": return !isObject(value) || Object.keys(value).length <= argument;
    case "minItems": return !Array.isArray(value) || value.length >= argument;
    case "maxItems": return !Array.isArray(value) || value.length <= argument;
    case "uniqueItems":
      return !argument || !Array.isArray(value) || new Set(value.map((one) => JSON.stringify(one))).size === value.length;
    case "minLength": return length === undefined || length >= argument;
    case "maxLength": return length === undefined || length <= argument;
    case "minimum": return typeof value !== "number" || value >= argument;
    case "maximum": return typeof value !== "number" || value <= argument;
    case "pattern": return typeof value !== "string" || new RegExp(argument, "u").test(value);
    case "format":
      if (!(argument in formats)) throw new Error(`the format ${argument} is not supported`);
      return typeof value !== "string" || !formats[argument] || formats[argument].test(value);
    default: throw new Error(`the keyword ${keyword} is not supported`);
  }
}

function isOfType(value, type) {
  switch (type) {
    case "object": return isObject(value);
    case "array": return Array.isArray(value);
    case "integer": return Number.isInteger(value);
    case "null": return value === null;
    case "string": case "number": case "boolean": return typeof value === type;
    default: throw new Error(`the type ${type} is not supported`);
  }
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
