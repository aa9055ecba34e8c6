// Writes a request (see requestOf in operations.js) as a program in ten languages. No DOM and no Node in here: the page
// shows what `make samples` runs.
//
// Every sample reads its credential from the environment, has a time limit, tells a refusal from an answer, and prints the
// answer. Languages with literals for data get the body as such; the others get the JSON itself in their quietest quotes.

const timeoutSeconds = 30;

const environmentNames = { apiKey: "KASSA_API_KEY", deviceToken: "KASSA_DEVICE_TOKEN" };
const schemes = { apiKey: "Basic", deviceToken: "Bearer" };

/** The languages, in the order of their tabs. `syntax` is for colouring, `extension` for a file of it. */
export const languages = [
  { id: "curl", label: "curl", syntax: "shell", extension: "sh", write: curl },
  { id: "javascript", label: "JavaScript", syntax: "javascript", extension: "js", write: browser },
  { id: "node", label: "Node.js", syntax: "javascript", extension: "mjs", write: node },
  { id: "python", label: "Python", syntax: "python", extension: "py", write: python },
  { id: "java", label: "Java", syntax: "java", extension: "java", write: java },
  { id: "csharp", label: "C#", syntax: "csharp", extension: "cs", write: csharp },
  { id: "php", label: "PHP", syntax: "php", extension: "php", write: php },
  { id: "go", label: "Go", syntax: "go", extension: "go", write: go },
  { id: "ruby", label: "Ruby", syntax: "ruby", extension: "rb", write: ruby },
  { id: "r", label: "R", syntax: "r", extension: "R", write: r },
];

/** The program that sends a request, ending in a line feed. */
export function sampleOf(languageId, request) {
  const language = languages.find((one) => one.id === languageId);
  return language.write(request).flat(Infinity).filter((line) => line !== null).join("\n") + "\n";
}

/** The body alone, as JSON; undefined when there is none. */
export function payloadOf(request) {
  return request.body === undefined ? undefined : JSON.stringify(request.body, null, 2).replace(unseen, unicodeEscape);
}

/** The name of an operation as that of a class: `createEnrollment` → `CreateEnrollment`. */
export function classNameOf(request) {
  const name = request.operation.replace(/[^A-Za-z0-9]/g, "");
  return name[0].toUpperCase() + name.slice(1);
}

// ------------------------------------------------------------------------------------------------ strings and literals

/** A text between double quotes with the escapes of JSON, which JavaScript, Python and Java read alike. */
const quoted = (text) => JSON.stringify(text).replace(unseen, unicodeEscape);

/** JSON leaves these as they are, but some languages end a line at them. */
const unseen = /[\u2028\u2029\u007f]/g;

function unicodeEscape(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Between single quotes of a shell nothing is special but the quote itself. */
const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Ruby puts values into double quotes: `#{`, `#$` and `#@` begin one. */
const rubyQuoted = (text) => quoted(text).replace(/#(?=[{$@])/g, "\\#");

/** PHP puts variables into double quotes; single quotes know two escapes, and no line feeds that could be seen. */
function phpQuoted(text) {
  if (!/[\u0000-\u001f\u007f]/.test(text)) return `'${text.replace(/['\\]/g, "\\$&")}'`;
  const escapes = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", $: "\\$" };
  return `"${text.replace(/[\u0000-\u001f\u007f"\\$]/g, (one) => escapes[one] ?? `\\u{${one.charCodeAt(0).toString(16)}}`)}"`;
}

/** Go's raw strings end at the first backtick. */
const goRaw = (text) => text.split("`").map((part) => `\`${part}\``).join('+"`"+');

/** C# has verbatim strings, in which a quote is doubled. */
const csharpVerbatim = (text) => `@"${text.replaceAll('"', '""')}"`;

/** C# reads `\u` with four digits, and no `\/`. */
const csharpQuoted = quoted;

/** R's raw strings end at the first `)"` with as many dashes as they began with. */
function rRaw(text) {
  let dashes = "";
  while (text.includes(`)${dashes}"`)) dashes += "-";
  return `r"${dashes}(${text})${dashes}"`;
}

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Data as a literal of a language. `syntax` says how it writes members, words and texts; `indent` is that of the first line. */
function literal(value, syntax, indent) {
  const inner = indent + syntax.step;
  if (Array.isArray(value)) {
    if (value.length === 0) return syntax.emptyList;
    const elements = value.map((one) => `${inner}${literal(one, syntax, inner)},\n`);
    return `${syntax.list[0]}\n${elements.join("")}${indent}${syntax.list[1]}`;
  }
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value);
    if (members.length === 0) return syntax.emptyObject;
    const [open, close] = syntax.object(Object.keys(value));
    const lines = members.map(([name, one]) => `${inner}${syntax.member(name, literal(one, syntax, inner))},\n`);
    return `${open}\n${lines.join("")}${indent}${close}`;
  }
  return typeof value === "string" ? syntax.text(value) : syntax.words[String(value)] ?? String(value);
}

const javascriptSyntax = {
  step: "  ", list: ["[", "]"], emptyList: "[]", emptyObject: "{}", words: {}, text: quoted,
  object: () => ["{", "}"],
  // `__proto__` without brackets would set the prototype.
  member: (name, value) =>
    `${name === "__proto__" ? '["__proto__"]' : identifier.test(name) ? name : quoted(name)}: ${value}`,
};
const pythonSyntax = {
  step: "    ", list: ["[", "]"], emptyList: "[]", emptyObject: "{}", text: quoted,
  words: { true: "True", false: "False", null: "None" },
  object: () => ["{", "}"],
  member: (name, value) => `${quoted(name)}: ${value}`,
};
const phpSyntax = {
  step: "    ", list: ["[", "]"], emptyList: "[]", emptyObject: "new stdClass()", words: {}, text: phpQuoted,
  // Keys that look like numbers would make a list of it.
  object: (names) => [names.some((name) => /^-?\d+$/.test(name)) ? "(object) [" : "[", "]"],
  member: (name, value) => `${phpQuoted(name)} => ${value}`,
};
const rubySyntax = {
  step: "  ", list: ["[", "]"], emptyList: "[]", emptyObject: "{}", words: { null: "nil" }, text: rubyQuoted,
  object: () => ["{", "}"],
  member: (name, value) => `${rubyQuoted(name)} => ${value}`,
};

/** JSON with every line but the first moved in. */
const indented = (json, indent) => json.replaceAll("\n", `\n${indent}`);

const authorizationOf = (request) =>
  request.credential === "none"
    ? undefined
    : { scheme: schemes[request.credential], environment: environmentNames[request.credential] };

/** `POST` → `Post`. */
const capitalized = (method) => method[0] + method.slice(1).toLowerCase();

/** What is written for the header that names what was made; nothing where there is none. */
const made = (request, write) =>
  request.answer === "none" && request.answerHeader !== undefined ? write(request.answerHeader) : "";

const isStream = (request) => request.answer === "stream";
const streamRemark =
  "Each event has an id, a type and data, and ends with an empty line. It does not end: after a lost connection,";
const streamAdvice = "send the last id as Last-Event-ID.";

// ------------------------------------------------------------------------------------------------------------- shell

function curl(request) {
  const authorization = authorizationOf(request);
  const options = [
    authorization && `--header "Authorization: ${authorization.scheme} $${authorization.environment}"`,
    ...request.headers.map((header) =>
      header.isFresh ? `--header "${header.name}: $(uuidgen)"` : `--header ${shellQuoted(`${header.name}: ${header.value}`)}`,
    ),
    request.body !== undefined && `--data ${shellQuoted(payloadOf(request))}`,
    isStream(request) ? "--no-buffer" : `--max-time ${timeoutSeconds}`,
    request.answer === "file" && "--output answer",
    request.answer === "none" && `--write-out '%{http_code}${made(request, (name) => ` %header{${name}}`)}\\n'`,
  ].filter(Boolean);
  const method = request.method === "GET" ? "--url " : `--request ${request.method} `;
  return [
    `# ${request.summary}`,
    isStream(request) ? [`# ${streamRemark}`, `# ${streamAdvice}`] : null,
    ["curl --fail-with-body --silent --show-error", method + shellQuoted(request.url), ...options].join(" \\\n  "),
  ];
}

// -------------------------------------------------------------------------------------------------------- JavaScript

function browser(request) {
  const authorization = authorizationOf(request);
  return [
    `// ${request.summary}`,
    authorization && [
      request.credential === "apiKey"
        ? "// For a page of your own staff: never publish an API key in a page."
        : "// The page keeps its token for the tab.",
      `const credential = sessionStorage.getItem(${quoted(authorization.environment)});`,
      "",
    ],
    fetchCall(
      request, authorization && `\`${authorization.scheme} \${credential}\``, "crypto.randomUUID()", request.credential === "apiKey"),
    "if (!response.ok) {",
    "  throw new Error(`${response.status} ${await response.text()}`);",
    "}",
    isStream(request)
      ? [
          `// ${streamRemark}`,
          `// ${streamAdvice}`,
          "const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();",
          'let rest = "";',
          "for (;;) {",
          "  const { value, done } = await reader.read();",
          "  if (done) break;",
          '  const events = (rest + value).split("\\n\\n");',
          "  rest = events.pop();",
          "  events.forEach((event) => console.log(event));",
          "}",
        ]
      : {
          json: "console.log(await response.json());",
          text: "console.log(await response.text());",
          file: "console.log(await response.blob());",
          none: `console.log(response.status${made(request, (name) => `, response.headers.get("${name}")`)});`,
        }[request.answer],
  ].filter((line) => line !== undefined);
}

function node(request) {
  const authorization = authorizationOf(request);
  return [
    `// ${request.summary}`,
    request.headers.some((header) => header.isFresh) ? 'import { randomUUID } from "node:crypto";' : null,
    request.answer === "file" ? 'import { writeFile } from "node:fs/promises";' : null,
    request.answer === "file" || request.headers.some((header) => header.isFresh) ? "" : null,
    fetchCall(
      request, authorization && `\`${authorization.scheme} \${process.env.${authorization.environment}}\``, "randomUUID()"),
    "if (!response.ok) {",
    "  console.error(response.status, await response.text());",
    "  process.exit(1);",
    "}",
    isStream(request)
      ? [
          `// ${streamRemark}`,
          `// ${streamAdvice}`,
          "for await (const text of response.body.pipeThrough(new TextDecoderStream())) {",
          "  process.stdout.write(text);",
          "}",
        ]
      : {
          json: "console.log(JSON.stringify(await response.json(), null, 2));",
          text: "console.log(await response.text());",
          file: 'await writeFile("answer", Buffer.from(await response.arrayBuffer()));',
          none: `console.log(response.status${made(request, (name) => `, response.headers.get("${name}")`)});`,
        }[request.answer],
  ];
}

function fetchCall(request, authorization, fresh, withoutDialog = false) {
  const member = (name, value) => `    ${identifier.test(name) ? name : quoted(name)}: ${value},`;
  const headers = [
    ...(authorization ? [member("Authorization", authorization)] : []),
    ...request.headers.map((header) => member(header.name, header.isFresh ? fresh : quoted(header.value))),
  ];
  const options = [
    request.method === "GET" ? null : `  method: ${quoted(request.method)},`,
    headers.length === 0 ? null : ["  headers: {", ...headers, "  },"],
    request.body === undefined ? null : `  body: JSON.stringify(${literal(request.body, javascriptSyntax, "  ")}),`,
    withoutDialog ? '  credentials: "omit", // Else a browser asks for a password when the key is refused.' : null,
    isStream(request) ? null : `  signal: AbortSignal.timeout(${timeoutSeconds}_000),`,
  ].filter((line) => line !== null);
  const url = quoted(request.url);
  return options.length === 0
    ? [`const response = await fetch(${url});`]
    : [`const response = await fetch(${url}, {`, ...options, "});"];
}

// ------------------------------------------------------------------------------------------------------------ Python

function python(request) {
  const authorization = authorizationOf(request);
  const headers = [
    authorization && `"Authorization": f"${authorization.scheme} {os.environ['${authorization.environment}']}"`,
    ...request.headers
      .filter((header) => header.name !== "Content-Type")
      .map((header) => `${quoted(header.name)}: ${header.isFresh ? "str(uuid.uuid4())" : quoted(header.value)}`),
  ].filter(Boolean);
  const modules = [
    request.answer === "json" && "json",
    authorization && "os",
    "sys",
    request.headers.some((header) => header.isFresh) && "uuid",
  ].filter(Boolean);
  const call = [
    `requests.${request.method.toLowerCase()}(`,
    `    ${quoted(request.url)},`,
    headers.length === 0 ? null : ["    headers={", ...headers.map((header) => `        ${header},`), "    },"],
    request.body === undefined ? null : `    json=${literal(request.body, pythonSyntax, "    ")},`,
    isStream(request) ? "    stream=True," : null,
    isStream(request) ? `    timeout=(${timeoutSeconds}, None),` : `    timeout=${timeoutSeconds},`,
  ];
  return [
    `# ${request.summary}`,
    ...modules.map((module) => `import ${module}`),
    "",
    "import requests",
    "",
    `response = ${call[0]}`,
    call.slice(1),
    ")",
    "if not response.ok:",
    '    sys.exit(f"{response.status_code} {response.text}")',
    isStream(request)
      ? [
          `# ${streamRemark}`,
          `# ${streamAdvice}`,
          "for line in response.iter_lines():",
          "    print(line.decode(), flush=True)",
        ]
      : {
          json: "print(json.dumps(response.json(), indent=2, ensure_ascii=False))",
          text: "print(response.content.decode())",
          file: ['with open("answer", "wb") as file:', "    file.write(response.content)"],
          none: `print(response.status_code${made(request, (name) => `, response.headers["${name}"]`)})`,
        }[request.answer],
  ];
}

// -------------------------------------------------------------------------------------------------------------- Java

function java(request) {
  const authorization = authorizationOf(request);
  const method = request.method;
  const publisher =
    request.body === undefined
      ? "HttpRequest.BodyPublishers.noBody()"
      : [
          'HttpRequest.BodyPublishers.ofString("""',
          ...payloadOf(request)
            .replaceAll("\\", "\\\\")
            .replaceAll('"""', '\\"""')
            .split("\n")
            .map((line) => `            ${line}`),
        ].join("\n") + '""")';
  const verb = {
    GET: request.body === undefined ? ".GET()" : `.method("GET", ${publisher})`,
    DELETE: request.body === undefined ? ".DELETE()" : `.method("DELETE", ${publisher})`,
    POST: `.POST(${publisher})`,
    PUT: `.PUT(${publisher})`,
  }[method] ?? `.method(${quoted(method)}, ${publisher})`;
  const isFresh = request.headers.some((header) => header.isFresh);
  const [type, handler] = {
    stream: ["Stream<String>", "ofLines()"],
    file: ["byte[]", "ofByteArray()"],
  }[request.answer] ?? ["String", "ofString()"];
  return [
    "import java.net.URI;",
    "import java.net.http.HttpClient;",
    "import java.net.http.HttpRequest;",
    "import java.net.http.HttpResponse;",
    request.answer === "file" ? ["import java.nio.file.Files;", "import java.nio.file.Path;"] : null,
    isStream(request) ? null : "import java.time.Duration;",
    isFresh ? "import java.util.UUID;" : null,
    isStream(request) ? ["import java.util.stream.Collectors;", "import java.util.stream.Stream;"] : null,
    "",
    `// ${request.summary}`,
    `public class ${classNameOf(request)} {`,
    "  public static void main(String[] arguments) throws Exception {",
    `    HttpRequest request = HttpRequest.newBuilder(URI.create(${quoted(request.url)}))`,
    isStream(request) ? null : `        .timeout(Duration.ofSeconds(${timeoutSeconds}))`,
    authorization
      ? `        .header("Authorization", "${authorization.scheme} " + System.getenv("${authorization.environment}"))`
      : null,
    request.headers.map(
      (header) =>
        `        .header(${quoted(header.name)}, ${header.isFresh ? "UUID.randomUUID().toString()" : quoted(header.value)})`,
    ),
    `        ${verb}`,
    "        .build();",
    `    HttpResponse<${type}> response =`,
    `        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.${handler});`,
    "    if (response.statusCode() >= 400) {",
    `      System.err.println(response.statusCode() + " " + ${
      {
        stream: 'response.body().collect(Collectors.joining("\\n"))',
        file: "new String(response.body())",
      }[request.answer] ?? "response.body()"
    });`,
    "      System.exit(1);",
    "    }",
    isStream(request)
      ? [`    // ${streamRemark}`, `    // ${streamAdvice}`, "    response.body().forEach(System.out::println);"]
      : {
          none: `    System.out.println(response.statusCode()${
            made(request, (name) => ` + " " + response.headers().firstValue("${name}").orElse("")`)
          });`,
          file: '    Files.write(Path.of("answer"), response.body());',
        }[request.answer] ?? "    System.out.println(response.body());",
    "  }",
    "}",
  ];
}

// ---------------------------------------------------------------------------------------------------------------- C#

function csharp(request) {
  const authorization = authorizationOf(request);
  const plain = request.headers.filter((header) => header.name !== "Content-Type");
  const verb = ["GET", "POST", "PUT", "DELETE"].includes(request.method)
    ? `HttpMethod.${capitalized(request.method)}`
    : `new HttpMethod(${csharpQuoted(request.method)})`;
  const type = request.headers.find((header) => header.name === "Content-Type")?.value;
  return [
    "using System;",
    isStream(request) || request.answer === "file" ? "using System.IO;" : null,
    "using System.Net.Http;",
    authorization ? "using System.Net.Http.Headers;" : null,
    request.body === undefined ? null : "using System.Text;",
    isStream(request) ? "using System.Threading;" : null,
    "using System.Threading.Tasks;",
    "",
    `// ${request.summary}`,
    `static class ${classNameOf(request)}`,
    "{",
    "    static async Task<int> Main()",
    "    {",
    `        using (var client = new HttpClient { Timeout = ${
      isStream(request) ? "Timeout.InfiniteTimeSpan" : `TimeSpan.FromSeconds(${timeoutSeconds})`
    } })`,
    `        using (var request = new HttpRequestMessage(${verb}, ${csharpQuoted(request.url)}))`,
    "        {",
    authorization
      ? [
          "            request.Headers.Authorization = new AuthenticationHeaderValue(",
          `                "${authorization.scheme}", Environment.GetEnvironmentVariable("${authorization.environment}"));`,
        ]
      : null,
    plain.map(
      (header) =>
        `            request.Headers.Add(${csharpQuoted(header.name)}, ${
          header.isFresh ? "Guid.NewGuid().ToString()" : csharpQuoted(header.value)
        });`,
    ),
    request.body === undefined
      ? null
      : `            request.Content = new StringContent(${csharpVerbatim(payloadOf(request))}, Encoding.UTF8, ${csharpQuoted(type)});`,
    `            using (var response = await client.SendAsync(request${
      isStream(request) ? ", HttpCompletionOption.ResponseHeadersRead" : ""
    }))`,
    "            {",
    "                if (!response.IsSuccessStatusCode)",
    "                {",
    '                    Console.Error.WriteLine($"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");',
    "                    return 1;",
    "                }",
    isStream(request)
      ? [
          `                // ${streamRemark}`,
          `                // ${streamAdvice}`,
          "                using (var reader = new StreamReader(await response.Content.ReadAsStreamAsync()))",
          "                {",
          "                    for (string line; (line = await reader.ReadLineAsync()) != null;) Console.WriteLine(line);",
          "                }",
        ]
      : {
          none: `                Console.WriteLine((int)response.StatusCode${
            made(request, (name) => ` + " " + string.Join(", ", response.Headers.GetValues("${name}"))`)
          });`,
          file: '                File.WriteAllBytes("answer", await response.Content.ReadAsByteArrayAsync());',
        }[request.answer] ?? "                Console.WriteLine(await response.Content.ReadAsStringAsync());",
    "                return 0;",
    "            }",
    "        }",
    "    }",
    "}",
  ];
}

// --------------------------------------------------------------------------------------------------------------- PHP

function php(request) {
  const authorization = authorizationOf(request);
  const headers = [
    authorization && `'Authorization: ${authorization.scheme} ' . getenv('${authorization.environment}')`,
    ...request.headers.map((header) =>
      header.isFresh ? `'${header.name}: ' . bin2hex(random_bytes(16))` : phpQuoted(`${header.name}: ${header.value}`),
    ),
  ].filter(Boolean);
  return [
    "<?php",
    `// ${request.summary}`,
    made(request, () => "$made = '';") || null,
    `$curl = curl_init(${phpQuoted(request.url)});`,
    "curl_setopt_array($curl, [",
    request.method === "GET" ? null : `    CURLOPT_CUSTOMREQUEST => '${request.method}',`,
    headers.length === 0
      ? null
      : ["    CURLOPT_HTTPHEADER => [", ...headers.map((header) => `        ${header},`), "    ],"],
    request.body === undefined
      ? null
      : `    CURLOPT_POSTFIELDS => json_encode(${literal(request.body, phpSyntax, "    ")}, JSON_THROW_ON_ERROR),`,
    isStream(request)
      ? [
          `    // ${streamRemark}`,
          `    // ${streamAdvice}`,
          "    CURLOPT_WRITEFUNCTION => function ($curl, string $text): int {",
          "        echo $text;",
          "        return strlen($text);",
          "    },",
          `    CURLOPT_CONNECTTIMEOUT => ${timeoutSeconds},`,
        ]
      : [
          made(request, (name) => [
            "    CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$made): int {",
            `        if (stripos($line, '${name}:') === 0) {`,
            `            $made = trim(substr($line, strlen('${name}:')));`,
            "        }",
            "        return strlen($line);",
            "    },",
          ].join("\n")) || null,
          "    CURLOPT_RETURNTRANSFER => true,",
          `    CURLOPT_TIMEOUT => ${timeoutSeconds},`,
        ],
    "]);",
    "$answer = curl_exec($curl);",
    "if ($answer === false) {",
    "    fwrite(STDERR, curl_error($curl) . PHP_EOL);",
    "    exit(1);",
    "}",
    "$status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);",
    "if ($status >= 400) {",
    isStream(request)
      ? "    fwrite(STDERR, $status . PHP_EOL);"
      : '    fwrite(STDERR, "$status $answer" . PHP_EOL);',
    "    exit(1);",
    "}",
    isStream(request)
      ? null
      : {
          none: made(request, () => 'echo "$status $made", PHP_EOL;') || "echo $status, PHP_EOL;",
          file: "file_put_contents('answer', $answer);",
        }[request.answer] ?? "echo $answer, PHP_EOL;",
  ];
}

// ---------------------------------------------------------------------------------------------------------------- Go

function go(request) {
  const authorization = authorizationOf(request);
  const isFresh = request.headers.some((header) => header.isFresh);
  const packages = [
    isStream(request) && "bufio",
    isFresh && "crypto/rand",
    isFresh && "encoding/hex",
    request.answer !== "file" && "fmt",
    "io",
    "log",
    "net/http",
    (authorization || request.answer === "file") && "os",
    request.body !== undefined && "strings",
    !isStream(request) && "time",
  ].filter(Boolean);
  const fail = (indent) => [`${indent}if err != nil {`, `${indent}\tlog.Fatal(err)`, `${indent}}`];
  return [
    `// ${request.summary}`,
    "package main",
    "",
    "import (",
    packages.map((name) => `\t"${name}"`),
    ")",
    "",
    "func main() {",
    `\trequest, err := http.NewRequest(http.Method${capitalized(request.method)}, ${quoted(request.url)}, ${
      request.body === undefined ? "nil" : `strings.NewReader(${goRaw(payloadOf(request))})`
    })`,
    fail("\t"),
    isFresh
      ? ["\tkey := make([]byte, 16)", "\tif _, err := rand.Read(key); err != nil {", "\t\tlog.Fatal(err)", "\t}"]
      : null,
    authorization
      ? `\trequest.Header.Set("Authorization", "${authorization.scheme} "+os.Getenv("${authorization.environment}"))`
      : null,
    request.headers.map(
      (header) =>
        `\trequest.Header.Set(${quoted(header.name)}, ${header.isFresh ? "hex.EncodeToString(key)" : quoted(header.value)})`,
    ),
    isStream(request) ? null : `\tclient := &http.Client{Timeout: ${timeoutSeconds} * time.Second}`,
    `\tresponse, err := ${isStream(request) ? "http.DefaultClient" : "client"}.Do(request)`,
    fail("\t"),
    "\tdefer response.Body.Close()",
    isStream(request)
      ? [
          "\tif response.StatusCode >= 400 {",
          "\t\tbody, _ := io.ReadAll(response.Body)",
          '\t\tlog.Fatalf("%s %s", response.Status, body)',
          "\t}",
          `\t// ${streamRemark}`,
          `\t// ${streamAdvice}`,
          "\tlines := bufio.NewScanner(response.Body)",
          "\tfor lines.Scan() {",
          "\t\tfmt.Println(lines.Text())",
          "\t}",
          "\tif err := lines.Err(); err != nil {",
          "\t\tlog.Fatal(err)",
          "\t}",
        ]
      : [
          "\tbody, err := io.ReadAll(response.Body)",
          fail("\t"),
          "\tif response.StatusCode >= 400 {",
          '\t\tlog.Fatalf("%s %s", response.Status, body)',
          "\t}",
          {
            none: `\tfmt.Println(response.StatusCode${made(request, (name) => `, response.Header.Get("${name}")`)})`,
            file: ['\tif err := os.WriteFile("answer", body, 0o644); err != nil {', "\t\tlog.Fatal(err)", "\t}"],
          }[request.answer] ?? "\tfmt.Println(string(body))",
        ],
    "}",
  ];
}

// -------------------------------------------------------------------------------------------------------------- Ruby

function ruby(request) {
  const authorization = authorizationOf(request);
  const usesJSON = request.body !== undefined || request.answer === "json";
  return [
    `# ${request.summary}`,
    usesJSON ? 'require "json"' : null,
    'require "net/http"',
    request.headers.some((header) => header.isFresh) ? 'require "securerandom"' : null,
    "",
    `uri = URI(${rubyQuoted(request.url)})`,
    `request = Net::HTTP::${capitalized(request.method)}.new(uri)`,
    authorization
      ? `request["Authorization"] = "${authorization.scheme} #{ENV.fetch("${authorization.environment}")}"`
      : null,
    request.headers.map(
      (header) => `request[${rubyQuoted(header.name)}] = ${header.isFresh ? "SecureRandom.uuid" : rubyQuoted(header.value)}`,
    ),
    request.body === undefined ? null : `request.body = JSON.generate(${literal(request.body, rubySyntax, "")})`,
    "",
    `options = { use_ssl: uri.scheme == "https", open_timeout: ${timeoutSeconds}, read_timeout: ${
      isStream(request) ? "nil" : timeoutSeconds
    } }`,
    isStream(request)
      ? [
          "Net::HTTP.start(uri.hostname, uri.port, options) do |http|",
          "  http.request(request) do |response|",
          '    abort "#{response.code} #{response.body}" unless response.is_a?(Net::HTTPSuccess)',
          `    # ${streamRemark}`,
          `    # ${streamAdvice}`,
          "    response.read_body { |text| print text }",
          "  end",
          "end",
        ]
      : [
          "response = Net::HTTP.start(uri.hostname, uri.port, options) { |http| http.request(request) }",
          'abort "#{response.code} #{response.body}" unless response.is_a?(Net::HTTPSuccess)',
          {
            json: "puts JSON.pretty_generate(JSON.parse(response.body))",
            text: "puts response.body",
            file: 'File.binwrite("answer", response.body)',
            none: made(request, (name) => `puts "#{response.code} #{response["${name}"]}"`) || "puts response.code",
          }[request.answer],
        ],
  ];
}

// ----------------------------------------------------------------------------------------------------------------- R

function r(request) {
  const authorization = authorizationOf(request);
  const name = (text) => (/^[A-Za-z][A-Za-z0-9._]*$/.test(text) ? text : `\`${text}\``);
  const headers = [
    authorization && `Authorization = paste("${authorization.scheme}", Sys.getenv("${authorization.environment}"))`,
    ...request.headers.map(
      (header) =>
        `${name(header.name)} = ${
          header.isFresh ? 'paste(openssl::rand_bytes(16), collapse = "")' : rRawUnlessPlain(header.value)
        }`,
    ),
  ].filter(Boolean);
  const takesBody = ["POST", "PUT", "PATCH"].includes(request.method);
  const parts = [
    `  ${rRawUnlessPlain(request.url)}`,
    headers.length === 0 ? null : `  add_headers(\n${headers.map((header) => `    ${header}`).join(",\n")}\n  )`,
    request.body === undefined
      ? takesBody
        ? "  body = NULL"
        : null
      : `  body = ${rRaw(payloadOf(request))},\n  encode = "raw"`,
    isStream(request)
      ? "  write_stream(function(bytes) {\n    cat(rawToChar(bytes))\n    length(bytes)\n  })"
      : `  timeout(${timeoutSeconds})`,
  ].filter((part) => part !== null);
  return [
    `# ${request.summary}`,
    "library(httr)",
    "",
    isStream(request) ? [`# ${streamRemark}`, `# ${streamAdvice}`] : null,
    `response <- ${request.method}(`,
    parts.join(",\n"),
    ")",
    "if (http_error(response)) {",
    isStream(request)
      ? "  stop(status_code(response))"
      : '  stop(status_code(response), " ", content(response, "text", encoding = "UTF-8"))',
    "}",
    isStream(request)
      ? null
      : {
          none: `cat(status_code(response)${made(request, (name) => `, headers(response)[["${name}"]]`)}, "\\n")`,
          file: 'writeBin(content(response, "raw"), "answer")',
        }[request.answer] ?? 'cat(content(response, "text", encoding = "UTF-8"), "\\n")',
  ];
}

/** R reads most escapes of JSON, but a text that needs any is plainer raw. */
function rRawUnlessPlain(text) {
  return /["\\\u0000-\u001f\u007f]/.test(text) ? rRaw(text) : `"${text}"`;
}
