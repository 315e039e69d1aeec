/**
 * Makes wqx a single file, `dist/wqx`: by `deno compile` where its runtime (denort) can be had,
 * else a self-extracting executable with the Deno that runs this script.
 *
 *   deno task build [--kind compile|self-extracting] [--output FILE]
 */
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { basename, dirname, join } from "node:path";
import denoJson from "../deno.json" with { type: "json" };
import { messageOf } from "../core/errors.ts";

export type BuildKind = "compile" | "self-extracting";

export interface BuildOptions {
  /** Module to start; imported lazily by it stays lazy. */
  readonly entry: string;
  /** Files that the program reads beside itself. */
  readonly assets: readonly string[];
  /** Modules that threads start from and that import others: each bundled to `NAME.js`. */
  readonly threads?: readonly string[];
  readonly output: string;
  /** The Deno that a self-extracting executable carries, if not the one that runs this. */
  readonly deno?: string;
}

export interface Built {
  readonly kind: BuildKind;
  readonly bytes: number;
}

/** What jsroot imports to draw, which wqx leaves to others; two of them are native code. */
const leftOut = ["@resvg/resvg-js", "canvas", "gl", "jsdom", "mathjax", "three", "three/addons"];

/** A download of denort may take its time; a network that swallows packets must not take all. */
const compileTimeoutMs = 300_000;

/** By `deno compile`, or if that fails, self-extracting; `note` is told why. */
export async function build(
  options: BuildOptions,
  note: (line: string) => void,
  kind?: BuildKind,
): Promise<Built> {
  if (kind !== "self-extracting") {
    try {
      return await buildCompiled(options);
    } catch (error) {
      if (kind === "compile") throw error;
      // Deno's own words, without the chain of causes below them.
      const message = messageOf(error);
      const [, reason] = /\n\s+1: (.*)/.exec(message) ?? /^(.*)/.exec(message) ?? [];
      note(`No deno compile here, so self-extracting: ${reason}`);
    }
  }
  return await buildSelfExtracting(options);
}

/** `deno compile` of the bundled program. Throws if denort is neither here nor to be had. */
export async function buildCompiled(options: BuildOptions): Promise<Built> {
  const folder = await Deno.makeTempDir({ prefix: "wqx-build-" });
  const temporary = `${options.output}.${Deno.pid}.tmp`;
  try {
    await bundleInto(folder, options);
    const threads = (options.threads ?? []).map((path) => path.replace(/\.\w+$/, ".js"));
    const includes = [...options.assets, ...threads].flatMap((path) => [
      "--include",
      join(folder, basename(path)),
    ]);
    await Deno.mkdir(dirname(options.output), { recursive: true });
    const flags = [
      "--quiet",
      "--allow-all",
      "--no-check",
      "--no-config",
      "--no-lock",
      "--app-name",
      "wqx",
    ];
    await run(
      Deno.execPath(),
      ["compile", ...flags, ...includes, "--output", temporary, join(folder, "main.js")],
      { cwd: folder, timeoutMs: compileTimeoutMs },
    );
    await Deno.rename(temporary, options.output);
  } finally {
    await Deno.remove(folder, { recursive: true });
    await Deno.remove(temporary).catch(() => {});
  }
  return { kind: "compile", bytes: (await Deno.stat(options.output)).size };
}

/** A shell script (scripts/launcher.sh) followed by a gzipped archive. */
export async function buildSelfExtracting(options: BuildOptions): Promise<Built> {
  const folder = await Deno.makeTempDir({ prefix: "wqx-build-" });
  const temporary = `${options.output}.${Deno.pid}.tmp`, archive = `${folder}.tar`;
  try {
    await bundleInto(folder, options);
    await Deno.symlink(options.deno ?? Deno.execPath(), join(folder, "deno"));
    await Deno.copyFile(scriptPath("start.sh"), join(folder, "wqx"));
    await Deno.chmod(join(folder, "wqx"), 0o755);

    const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
    const { id, bytes } = await contentOf(folder, names);
    await Deno.mkdir(dirname(options.output), { recursive: true });
    await Deno.writeTextFile(temporary, await launcher(id, bytes), { mode: 0o755 });
    await run("tar", ["-chf", archive, "-C", folder, ...names], { cwd: "/" });
    const compress = 'gzip -6 <"$1" >>"$2"'; // -9 takes three times as long for half a percent.
    await run("/bin/sh", ["-c", compress, "sh", archive, temporary], { cwd: "/" });
    await Deno.rename(temporary, options.output);
  } finally {
    await Deno.remove(folder, { recursive: true });
    for (const path of [archive, temporary]) await Deno.remove(path).catch(() => {});
  }
  return { kind: "self-extracting", bytes: (await Deno.stat(options.output)).size };
}

/** `main.js`, the chunks that it imports when they are needed, the threads, and the assets. */
async function bundleInto(
  folder: string,
  { entry, assets, threads = [] }: BuildOptions,
): Promise<void> {
  const flags = ["--quiet", "--platform", "deno", "--code-splitting", "--keep-names"];
  const externals = leftOut.flatMap((name) => ["--external", name]);
  await run(Deno.execPath(), ["bundle", ...flags, ...externals, "--outdir", folder, entry], {
    cwd: dirname(entry),
  });
  const main = join(folder, basename(entry).replace(/\.\w+$/, ".js"));
  if (basename(main) !== "main.js") await Deno.rename(main, join(folder, "main.js"));
  for (const thread of threads) {
    const output = join(folder, basename(thread).replace(/\.\w+$/, ".js"));
    await run(
      Deno.execPath(),
      ["bundle", "--quiet", "--platform", "deno", "--output", output, thread],
      {
        cwd: dirname(thread),
      },
    );
  }
  for (const asset of assets) await Deno.copyFile(asset, join(folder, basename(asset)));
}

/** A hash of all names and contents, which names the folder to unpack to; and their size. */
async function contentOf(
  folder: string,
  names: readonly string[],
): Promise<{ id: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const name of names) {
    const { size } = await Deno.stat(join(folder, name));
    hash.update(`${name} ${size}\n`);
    bytes += size;
    using file = await Deno.open(join(folder, name));
    for await (const piece of file.readable) hash.update(piece);
  }
  return { id: hash.digest("hex").slice(0, 16), bytes };
}

async function launcher(id: string, bytes: number): Promise<string> {
  const script = await Deno.readTextFile(scriptPath("launcher.sh"));
  const values: Readonly<Record<string, string>> = {
    VERSION: denoJson.version,
    ID: id,
    // tail counts lines from 1.
    LINES: String(script.split("\n").length),
    MEGABYTES: String(Math.ceil(bytes / 1024 ** 2)),
  };
  return script.replaceAll(/@([A-Z]+)@/g, (whole, name) => values[name] ?? whole);
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

async function run(
  program: string,
  args: readonly string[],
  { cwd, timeoutMs }: { cwd: string; timeoutMs?: number },
): Promise<void> {
  const signal = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs);
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    ...(signal === null ? {} : { signal }),
  }).output();
  if (success) return;
  const said = new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout);
  throw new Error(`${basename(program)} ${args[0]} failed: ${said.trim()}`);
}

/** What `dist/wqx` is made of. */
export function wqxOptions(output: string): BuildOptions {
  return {
    entry: fileURLToPath(new URL("../main.ts", import.meta.url)),
    assets: [
      fileURLToPath(import.meta.resolve("esbuild-wasm/esbuild.wasm")),
      // A thread starts from a file of its own.
      fileURLToPath(new URL("../io/xrootd_thread.ts", import.meta.url)),
    ],
    threads: [
      fileURLToPath(new URL("../package/gzip_thread.ts", import.meta.url)),
      fileURLToPath(new URL("../package/inflate_thread.ts", import.meta.url)),
      fileURLToPath(new URL("../package/solver_worker.ts", import.meta.url)),
      fileURLToPath(new URL("../package/unpack_thread.ts", import.meta.url)),
    ],
    output,
  };
}

async function main(): Promise<void> {
  const write = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  const { values } = parseArgs({
    args: Deno.args,
    options: { kind: { type: "string" }, output: { type: "string" } },
  });
  const kind = values.kind;
  if (kind !== undefined && kind !== "compile" && kind !== "self-extracting") {
    throw new Error(`Unknown kind "${kind}": it is compile or self-extracting`);
  }
  const output = values.output ?? fileURLToPath(new URL("../dist/wqx", import.meta.url));
  const built = await build(wqxOptions(output), write, kind);
  write(`${output}: ${built.kind}, ${(built.bytes / 1e6).toFixed(1)} MB`);
}

if (import.meta.main) await main();
