// A playground of its own for the run: a fresh folder, a free port, ended by SIGTERM.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { run } from "./toolchains.mjs";

export class Playground {
  static async start(program, folder) {
    const playground = new Playground();
    playground.program = program;
    playground.database = `sqlite:${path.join(folder, "kassa.sqlite")}`;
    const readyFile = path.join(folder, "ready.json");
    playground.process = spawn(
      program,
      [
        "playground", "--port", "0", "--database-url", playground.database, "--ready-file", readyFile,
        // One address asks for all of them, and what is made first must last until its turn.
        "--requests-per-second-per-merchant", "0", "--code-attempts-per-source-per-minute", "10000",
        "--session-seconds", "7200", "--log-level", "warning",
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const deadline = Date.now() + 60_000;
    while (!existsSync(readyFile)) {
      if (playground.process.exitCode !== null || Date.now() > deadline) throw new Error("the playground did not start");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    playground.ready = JSON.parse(readFileSync(readyFile, "utf8"));
    return playground;
  }

  get url() { return this.ready.url; }

  /** The merchant that every playground has. */
  get demo() { return { merchant: this.ready.merchant_id, key: this.ready.api_key }; }

  /** A further merchant: `{ merchant, key }`. */
  async merchant(name) {
    const result = await run(this.program, ["merchants", "create", "--name", name, "--database-url", this.database]);
    const word = (name) => new RegExp(`^${name}\\s+(\\S+)$`, "m").exec(result.output)?.[1];
    if (word("api_key") === undefined) throw new Error(`no merchant: ${result.output}${result.errors}`);
    return { merchant: word("merchant_id"), key: word("api_key") };
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 40_000);
    await exited;
    clearTimeout(timer);
  }
}
