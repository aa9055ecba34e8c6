// Stands between the samples and the server. A sample's address begins with `/run/NUMBER`, which is taken off on the way;
// what was asked and what was answered is kept under that number. So a sample cannot pass by printing the right thing:
// what it really sent is there, byte for byte.

import http from "node:http";

export class Recorder {
  #exchanges = new Map();
  #server;
  #sockets = new Set();
  #agent = new http.Agent({ keepAlive: true });

  /** Listens on a free port, before a server at `target` (an URL). */
  static async start(target) {
    const recorder = new Recorder();
    recorder.target = new URL(target);
    recorder.#server = http.createServer((request, response) => recorder.#pass(request, response));
    recorder.#server.on("connection", (socket) => {
      recorder.#sockets.add(socket);
      socket.on("close", () => recorder.#sockets.delete(socket));
    });
    await new Promise((resolve) => recorder.#server.listen(0, "127.0.0.1", resolve));
    recorder.address = `http://127.0.0.1:${recorder.#server.address().port}`;
    return recorder;
  }

  /** The address of the server for the sample of this number. */
  addressFor(number) { return `${this.address}/run/${number}`; }

  /** What the sample of this number asked and was answered: `{method, path, headers, body, status, type, answer}` each. */
  exchangesOf(number) { return this.#exchanges.get(number) ?? []; }

  forget(number) { this.#exchanges.delete(number); }

  stop() {
    this.#server.close();
    this.#agent.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #pass(request, response) {
    const [, number, path] = /^\/run\/(\d+)(\/.*)$/.exec(request.url) ?? [];
    if (path === undefined) {
      // Where a browser stands before it runs a sample, and where callbacks go.
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Samples</title>");
      request.resume();
      return;
    }
    const exchange = { method: request.method, path, headers: request.headers };
    const exchanges = this.#exchanges.get(Number(number)) ?? [];
    this.#exchanges.set(Number(number), [...exchanges, exchange]);
    exchange.body = await bytesOf(request);
    const { host, connection, "transfer-encoding": _, ...headers } = request.headers;
    if (exchange.body.length > 0 || request.headers["content-length"] !== undefined) {
      headers["content-length"] = exchange.body.length;
    }
    for (const name of ["upgrade", "http2-settings", "expect"]) delete headers[name];
    // A page that was loaded from here takes this for the server.
    if (headers.origin === this.address) headers.origin = this.target.origin;
    const onward = http.request(
      { host: this.target.hostname, port: this.target.port, method: request.method, path, headers, agent: this.#agent },
      async (answer) => {
        exchange.status = answer.statusCode;
        exchange.answerHeaders = answer.headers;
        exchange.type = answer.headers["content-type"]?.split(";")[0];
        const passed = { ...answer.headers };
        for (const name of ["connection", "keep-alive", "transfer-encoding"]) delete passed[name];
        response.writeHead(answer.statusCode, passed);
        if (exchange.type === "text/event-stream") {
          // A stream has no end: the sample is given the first whole event, and then a clean end.
          let text = "";
          for await (const chunk of answer) {
            text += chunk;
            const end = firstEventEnd(text);
            if (end === undefined) continue;
            text = text.slice(0, end);
            break;
          }
          exchange.answer = Buffer.from(text);
          onward.destroy();
        } else {
          exchange.answer = await bytesOf(answer);
        }
        response.end(exchange.answer);
      },
    );
    onward.on("error", (error) => {
      if (exchange.status !== undefined) return;
      exchange.failure = error.message;
      response.writeHead(502).end(error.message);
    });
    onward.end(exchange.body);
  }
}

/** Behind the first event that carries data, or undefined. */
function firstEventEnd(text) {
  const match = /(^|\n)data:[^\n]*\n(?:[^\n]+\n)*\n/.exec(text);
  return match ? match.index + match[0].length : undefined;
}

async function bytesOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
