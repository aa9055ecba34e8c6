// Runs the samples for browsers in headless Chromium, over WebDriver.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.driver = spawn("chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "ignore"] });
    for await (const line of createInterface(browser.driver.stdout)) {
      const port = /started successfully on port (\d+)/.exec(line)?.[1];
      if (port) {
        browser.address = `http://127.0.0.1:${port}`;
        break;
      }
    }
    if (!browser.address) throw new Error("chromedriver did not start");
    browser.driver.stdout.resume();
    const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
    const capabilities = {
      alwaysMatch: {
        browserName: "chrome",
        "goog:chromeOptions": { args: ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", ...sandbox] },
        timeouts: { script: 60_000 },
      },
    };
    const { sessionId } = await browser.#send("POST", "/session", { capabilities });
    browser.session = `/session/${sessionId}`;
    return browser;
  }

  open(url) { return this.#send("POST", `${this.session}/url`, { url }); }

  /** Runs a sample as the page's own script, with what it would find in the tab's storage. */
  async run(text, storage) {
    const script = `
      const done = arguments[arguments.length - 1];
      sessionStorage.clear();
      for (const [name, value] of Object.entries(arguments[0])) sessionStorage.setItem(name, value);
      const printed = [];
      const console = {
        log: (...values) =>
          printed.push(values.map((value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2))).join(" ")),
      };
      (async () => {\n${text}\n})().then(
        () => done({ status: 0, output: printed.join("\\n") + "\\n", errors: "" }),
        (error) => done({ status: 1, output: printed.join("\\n"), errors: String(error) }));`;
    try {
      return await this.#send("POST", `${this.session}/execute/async`, { script, args: [storage] });
    } catch (error) {
      return { status: -1, output: "", errors: error.message };
    }
  }

  async stop() {
    const exited = this.driver.exitCode === null ? once(this.driver, "exit") : undefined;
    const timer = setTimeout(() => this.driver.kill("SIGKILL"), 10_000);
    if (this.session) await Promise.race([this.#send("DELETE", this.session).catch(() => {}), exited]);
    this.driver.kill();
    await exited;
    clearTimeout(timer);
  }

  /** One connection a command: one that is kept may be stale by the next. */
  async #send(method, path, body) {
    const text = await new Promise((resolve, reject) => {
      const request = http.request(this.address + path, { method, agent: false }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve(Buffer.concat(chunks).toString()));
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
    const { value } = JSON.parse(text);
    if (value?.error) throw new Error(`${value.error}: ${value.message}`);
    return value;
  }
}
