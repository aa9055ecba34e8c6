// How a sample of each language is made ready and run. Nothing of a sample's text is changed, with one exception: Go knows
// one `main` a program, so all samples are packages of one program, which saves a minute of linking.

import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { classNameOf } from "../../Sources/KassaWeb/site/docs/samples.js";

/** Debian's own, which has its packages; another one may come first in the path. */
const python = "/usr/bin/python3";

/** Runs a program to its end; `{status, output, errors}`. Ended after `timeoutSeconds`. */
export function run(command, words, { environment = {}, folder, timeoutSeconds = 120 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, words, {
      cwd: folder, env: { ...process.env, LC_ALL: "C.UTF-8", ...environment }, stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: [], stderr: [] };
    for (const name of ["stdout", "stderr"]) child[name].on("data", (chunk) => texts[name].push(chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutSeconds * 1000);
    const end = (status) => {
      clearTimeout(timer);
      resolve({
        status, output: Buffer.concat(texts.stdout).toString(), errors: Buffer.concat(texts.stderr).toString(),
      });
    };
    child.on("error", (error) => {
      texts.stderr.push(Buffer.from(error.message));
      end(-1);
    });
    child.on("close", end);
  });
}

async function must(command, words, options) {
  const result = await run(command, words, { timeoutSeconds: 300, ...options });
  if (result.status !== 0) throw new Error(`${command} ${words.slice(0, 4).join(" ")} …\n${result.output}${result.errors}`);
  return result.output;
}

async function writeAll(folder, samples, nameOf) {
  for (const sample of samples) {
    sample.folder = path.join(folder, String(sample.number));
    await mkdir(sample.folder, { recursive: true });
    sample.file = path.join(sample.folder, nameOf(sample));
    await writeFile(sample.file, sample.text);
  }
}

/** A language whose samples are run as they lie there. */
const interpreted = (command, words, extension) => ({
  prepare: (folder, samples) => writeAll(folder, samples, () => `sample.${extension}`),
  run: (sample, environment) => run(command, [...words, sample.file], { environment, folder: sample.folder }),
});

/** Puts samples into groups within which no class has the same name. */
function groupsByClass(samples) {
  const groups = [];
  for (const sample of samples) {
    const name = classNameOf(sample.request);
    let index = groups.findIndex((group) => !group.names.has(name));
    if (index < 0) index = groups.push({ names: new Set(), samples: [] }) - 1;
    groups[index].names.add(name);
    groups[index].samples.push(sample);
    sample.group = index;
  }
  return groups;
}

export const toolchains = {
  curl: interpreted("sh", [], "sh"),
  node: interpreted(process.execPath, [], "mjs"),
  python: interpreted(python, [], "py"),
  php: interpreted("php", [], "php"),
  ruby: interpreted("ruby", ["-W"], "rb"),
  r: interpreted("Rscript", ["--vanilla"], "R"),

  java: {
    async prepare(folder, samples) {
      await writeAll(folder, samples, (sample) => `${classNameOf(sample.request)}.java`);
      for (const [index, group] of groupsByClass(samples).entries()) {
        const files = group.samples.map((sample) => sample.file);
        await must("javac", ["-encoding", "UTF-8", "-Xlint:all", "-Werror", "-d", path.join(folder, `classes-${index}`), ...files]);
      }
      this.folder = folder;
    },
    run(sample, environment) {
      const classes = path.join(this.folder, `classes-${sample.group}`);
      const words = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-cp", classes];
      return run("java", [...words, classNameOf(sample.request)], { environment, folder: sample.folder });
    },
  },

  csharp: {
    async prepare(folder, samples) {
      await writeAll(folder, samples, (sample) => `${classNameOf(sample.request)}.cs`);
      const starter = path.join(folder, "Starter.cs");
      await writeFile(
        starter,
        `using System.Reflection;
using System.Threading.Tasks;

static class Starter
{
    static int Main(string[] arguments)
    {
        var main = System.Type.GetType(arguments[0]).GetMethod("Main", BindingFlags.NonPublic | BindingFlags.Static);
        return ((Task<int>)main.Invoke(null, null)).GetAwaiter().GetResult();
    }
}
`,
      );
      for (const [index, group] of groupsByClass(samples).entries()) {
        const files = group.samples.map((sample) => sample.file);
        await must("mcs", [
          "-langversion:latest", "-warnaserror", "-main:Starter", "-r:System.Net.Http.dll",
          `-out:${path.join(folder, `samples-${index}.exe`)}`, starter, ...files,
        ]);
      }
      this.folder = folder;
    },
    run(sample, environment) {
      const program = path.join(this.folder, `samples-${sample.group}.exe`);
      // On a busy machine Mono starts too few threads, and its own calls wait for each other.
      const patient = { ...environment, MONO_THREADS_PER_CPU: "20" };
      return run("mono", [program, classNameOf(sample.request)], { environment: patient, folder: sample.folder });
    },
  },

  go: {
    async prepare(folder, samples) {
      await writeAll(folder, samples, () => "sample.go");
      const unformatted = await must("gofmt", ["-l", ...samples.map((sample) => sample.file)]);
      if (unformatted !== "") throw new Error(`gofmt would change ${unformatted}`);
      for (const sample of samples) {
        const text = sample.text.replace(/^package main$/m, `package sample${sample.number}`);
        await writeFile(sample.file, text.replace(/^func main\(\)/m, "func Main()"));
      }
      const imports = samples.map((sample) => `\t"samples/${sample.number}"`).join("\n");
      const cases = samples.map((one) => `\tcase "${one.number}":\n\t\tsample${one.number}.Main()`).join("\n");
      await writeFile(path.join(folder, "go.mod"), "module samples\n\ngo 1.19\n");
      await writeFile(
        path.join(folder, "main.go"),
        `package main\n\nimport (\n\t"os"\n\n${imports}\n)\n\nfunc main() {\n\tswitch os.Args[1] {\n${cases}\n\t}\n}\n`,
      );
      this.program = path.join(folder, "samples");
      await must("go", ["build", "-o", this.program, "."], {
        folder, environment: { GOFLAGS: "-mod=mod", GOPROXY: "off", CGO_ENABLED: "0" },
      });
    },
    run(sample, environment) {
      return run(this.program, [String(sample.number)], { environment, folder: sample.folder });
    },
  },
};
