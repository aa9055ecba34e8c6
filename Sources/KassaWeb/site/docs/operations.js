// Reads an OpenAPI 3.1 document: its operations, and what one request to an operation consists of. No DOM and no Node in
// here: the page and the run of the samples share it.

const methods = ["get", "post", "put", "patch", "delete"];

/** What a `$ref` leads to, or the node itself. Members beside the `$ref` (a description) win over those it leads to. */
export function resolve(document, node) {
  if (!node || typeof node.$ref !== "string") return node;
  const target = node.$ref
    .slice(2)
    .split("/")
    .reduce((place, step) => place[step.replaceAll("~1", "/").replaceAll("~0", "~")], document);
  const { $ref, ...beside } = node;
  return { ...resolve(document, target), ...beside };
}

/** The name of the schema that a `$ref` leads to, or undefined. */
export function referenceName(node) {
  return typeof node?.$ref === "string" ? node.$ref.split("/").at(-1) : undefined;
}

/** Every operation, in the document's order. */
export function operationsOf(document) {
  const operations = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, node] of Object.entries(item).filter(([name]) => methods.includes(name))) {
      const parameters = [...(item.parameters ?? []), ...(node.parameters ?? [])].map((one) => resolve(document, one));
      const body = resolve(document, node.requestBody);
      const content = Object.entries(body?.content ?? {})[0];
      operations.push({
        id: node.operationId,
        method: method.toUpperCase(),
        path,
        tag: node.tags?.[0] ?? "",
        summary: node.summary ?? node.operationId,
        description: node.description ?? "",
        isPlaygroundOnly: node["x-playground-only"] === true,
        // Who alone can call it, because nobody else can sign it.
        calledBy: node["x-called-by"],
        isDeprecated: node.deprecated === true,
        credential: credentialOf(document, node),
        parameters,
        body: content && {
          type: content[0],
          isRequired: body.required === true,
          description: body.description ?? "",
          schema: content[1].schema,
          examples: examplesOf(content[1]),
        },
        responses: Object.entries(node.responses ?? {}).map(([status, response]) => {
          const resolved = resolve(document, response);
          return {
            status,
            description: resolved.description ?? "",
            headers: Object.entries(resolved.headers ?? {}).map(([name, header]) => ({
              name,
              ...resolve(document, header),
            })),
            contents: Object.entries(resolved.content ?? {}).map(([type, medium]) => ({
              type,
              schema: medium.schema,
              examples: examplesOf(medium),
            })),
          };
        }),
      });
    }
  }
  return operations;
}

function examplesOf(medium) {
  const named = Object.entries(medium.examples ?? {}).map(([id, example]) => ({
    id,
    summary: example.summary ?? id,
    value: example.value,
  }));
  return named.length > 0 || medium.example === undefined
    ? named
    : [{ id: "example", summary: "Example", value: medium.example }];
}

/** Who may call it: "none", "apiKey" (HTTP Basic) or "deviceToken" (HTTP Bearer): the first alternative that a sample can show. */
function credentialOf(document, node) {
  const names = (node.security ?? document.security ?? []).flatMap((alternative) => Object.keys(alternative));
  for (const name of names) {
    const scheme = document.components?.securitySchemes?.[name];
    if (scheme?.type === "http" && scheme.scheme === "basic") return "apiKey";
    if (scheme?.type === "http" && scheme.scheme === "bearer") return "deviceToken";
  }
  return "none";
}

/** The good answer: the first status below 300. */
export function goodResponse(operation) {
  return operation.responses.find((response) => /^2/.test(response.status));
}

/**
 * The ways to call an operation that have a sample each: one for each example of its body, and one more when it can answer
 * as a stream beside JSON. None for an operation that only providers call.
 */
export function variantsOf(operation) {
  if (operation.calledBy) return [];
  const types = (goodResponse(operation)?.contents ?? []).map((content) => content.type);
  const variants = (operation.body?.examples ?? []).map((example) => ({
    id: example.id,
    label: example.summary,
    body: example.value,
  }));
  if (variants.length === 0) variants.push({ id: "default", label: operation.summary });
  if (types.length > 1 && types.includes("text/event-stream")) {
    variants.push({ ...variants[0], id: "stream", label: "text/event-stream", accept: "text/event-stream" });
  }
  return variants;
}

/** What is put for a parameter when nobody said anything: an example, a value that may be chosen, an id that looks like one. */
export function placeholderOf(document, parameter) {
  const schema = resolve(document, parameter.schema) ?? {};
  if (parameter.example !== undefined) return parameter.example;
  if (schema.examples?.length > 0) return schema.examples[0];
  if (schema.enum) return schema.default ?? schema.enum[0];
  if (schema.format === "uuid" || /uuid/i.test(referenceName(parameter.schema) ?? "")) {
    return "660e8400-e29b-41d4-a716-446655440001";
  }
  return schema.default ?? (schema.type === "integer" ? schema.minimum ?? 0 : "…");
}

/** A header that a server may want fresh for each request: the samples make it, unless a value is given. */
const freshHeader = "Idempotency-Key";

/**
 * One request to an operation.
 *
 * `values` has, by `in:name`, what was typed for parameters; a parameter that is not required is left out without it, but
 * for those that show what is special about the operation: lists in the query, and the fresh Idempotency-Key.
 */
export function requestOf(document, operation, { server, variant = variantsOf(operation)[0], values = {}, body } = {}) {
  const valueOf = (parameter) => {
    const given = values[`${parameter.in}:${parameter.name}`];
    if (given !== undefined && given !== "") return given;
    if (parameter.required) return placeholderOf(document, parameter);
    const schema = resolve(document, parameter.schema);
    return given === undefined && schema?.type === "array" && schema.examples ? schema.examples[0] : undefined;
  };
  const path = operation.path.replace(/\{([^}]+)\}/g, (whole, name) => {
    const parameter = operation.parameters.find((one) => one.in === "path" && one.name === name);
    return encode(parameter ? valueOf(parameter) : name, "");
  });
  const query = operation.parameters
    .filter((parameter) => parameter.in === "query")
    .flatMap((parameter) => {
      const value = valueOf(parameter);
      return (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(
        (one) => `${encode(parameter.name)}=${encode(one)}`,
      );
    })
    .join("&");
  const headers = [];
  for (const parameter of operation.parameters.filter((one) => one.in === "header")) {
    const value = valueOf(parameter);
    if (value !== undefined) headers.push({ name: parameter.name, value: String(value) });
    else if (parameter.name === freshHeader) headers.push({ name: freshHeader, isFresh: true });
  }
  const types = (goodResponse(operation)?.contents ?? []).map((content) => content.type);
  const accept = variant.accept ?? types.find((type) => answerKind(type) === "json") ?? types[0];
  if (variant.accept) headers.push({ name: "Accept", value: variant.accept });
  const sent = body !== undefined ? body : variant.body;
  if (sent !== undefined) headers.push({ name: "Content-Type", value: operation.body.type });
  return {
    operation: operation.id,
    summary: operation.summary,
    method: operation.method,
    url: server.replace(/\/+$/, "") + path + (query === "" ? "" : `?${query}`),
    credential: operation.credential,
    headers,
    body: sent,
    answer: answerKind(accept),
    // Where an answer without a body says what was made.
    answerHeader: goodResponse(operation)?.headers.map((header) => header.name).find(isNameOfMade),
  };
}

/** Whether a header names what was made: `capture-id`. */
const isNameOfMade = (name) => /-id$/i.test(name) && name.toLowerCase() !== "x-request-id";

/** "json", "text", "stream", "file" or "none". */
function answerKind(type) {
  if (type === undefined) return "none";
  if (type === "text/event-stream") return "stream";
  if (/[/+]json$/.test(type)) return "json";
  return /^text\/|yaml/.test(type) ? "text" : "file";
}

/** Percent-encodes; the characters in `kept` are legible in a query and mean nothing there. */
function encode(value, kept = ":/,@") {
  return encodeURIComponent(String(value)).replace(/[!'()*]|%[0-9A-F]{2}/g, (code) => {
    if (code.length === 1) return `%${code.charCodeAt(0).toString(16).toUpperCase()}`;
    const character = String.fromCharCode(parseInt(code.slice(1), 16));
    return kept.includes(character) ? character : code;
  });
}
