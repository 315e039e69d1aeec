/**
 * A user's processor as one ES module that any worker can load: esbuild joins the module with what
 * it imports; only `wqx` stays outside and is taken from the wqx that runs the task.
 *
 * esbuild and the first load of the user's code run in a process of their own, `wqx task bundle`:
 * they need 200 MB and may throw or hang, and the manager is to stay small and outlive both.
 */
import { createRequire, isBuiltin } from "node:module";
import { basename, dirname, join, resolve as absolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Message, OnResolveArgs, OnResolveResult, Plugin } from "esbuild-wasm/esm/browser.js";
import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggest.ts";

/** A processor, checked and ready to be sent. */
export interface Bundle {
  /** One ES module with an inline source map. */
  readonly code: Uint8Array;
  /** Absolute paths of the files that went into it. */
  readonly inputs: readonly string[];
  /** Whether a last task has to run the processor's `postprocess`. */
  readonly postprocess: boolean;
}

/** What `wqx task bundle` writes for the manager that started it. */
export type BundleReport =
  | { ok: true; code: string; inputs: readonly string[]; postprocess: boolean }
  | { ok: false; message: string };

/**
 * Bundles the processor at `path` and loads it once, to see that its default export is one.
 * `wqx` is the command line that starts wqx itself. Throws UsageError with file, line and column
 * for whatever the user can mend, or the signal's reason.
 */
export async function bundleProcessor(
  path: string,
  wqx: readonly string[],
  { signal }: { signal?: AbortSignal } = {},
): Promise<Bundle> {
  const [program, ...args] = wqx;
  if (program === undefined) throw new Error("No command line to start wqx with");
  const folder = await Deno.makeTempDir({ prefix: "wqx-bundle-" });
  try {
    const report = join(folder, "report.json");
    const { code, stderr } = await new Deno.Command(program, {
      args: [...args, "task", "bundle", absolute(path), report],
      cwd: folder,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      ...(signal && { signal }),
    }).output();
    signal?.throwIfAborted();
    const text = await Deno.readTextFile(report).catch(() => null);
    if (text === null) {
      const said = new TextDecoder().decode(stderr).trim();
      throw new UsageError(`Cannot load the processor ${path}: it ended wqx with ${code}\n${said}`);
    }
    const told = JSON.parse(text) as BundleReport;
    if (!told.ok) throw new UsageError(told.message);
    return { ...told, code: new TextEncoder().encode(told.code) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names that `analysis/processor.ts` gives to what it lends to a bundled processor. */
export interface Api {
  /** Symbol under which the running wqx puts it. */
  readonly key: string;
  /** What can be imported from `wqx`. */
  readonly names: readonly string[];
}

/**
 * Bundles the module at `path` in this process, one at a time, without running it.
 * Throws UsageError naming file, line and column.
 */
export async function bundleModule(
  path: string,
  api: Api,
): Promise<{ code: string; inputs: string[] }> {
  const entry = absolute(path);
  const folder = dirname(entry);
  const esbuild = await import("esbuild-wasm/esm/browser.js");
  const wasmModule = await (compiled ??= wasmBytes().then((bytes) => WebAssembly.compile(bytes)));
  // In this thread: it is a process of its own already.
  await esbuild.initialize({ wasmModule, worker: false });
  const result = await esbuild.build({
    entryPoints: [entry],
    absWorkingDir: folder,
    outfile: join(folder, "processor.js"),
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    target: "esnext",
    charset: "utf8",
    sourcemap: "inline",
    sourcesContent: false,
    sourceRoot: pathToFileURL(`${folder}/`).href,
    metafile: true,
    logLevel: "silent",
    plugins: [lentApi(api), filesOnDisk()],
  }).catch((error: { errors?: Message[] }) => {
    if (error.errors === undefined) throw error;
    const shown = error.errors.slice(0, errorsShownMax).map((one) => messageText(one, entry));
    throw new UsageError(shown.join("\n"));
  }).finally(() => esbuild.stop());

  const { inputs, outputs } = result.metafile;
  const [output] = Object.values(outputs);
  if (!output?.exports.includes("default")) {
    const text = "The module has no default export: " +
      "write export default { columns: […], process(events) { … } }";
    throw new UsageError(await defaultExportProblem(entry, text));
  }
  return {
    code: result.outputFiles[0]!.text,
    inputs: Object.keys(inputs).filter((input) => !input.startsWith(`${apiNamespace}:`))
      .map((input) => absolute(folder, input)),
  };
}

/** Compiled once a process: it takes longer than a bundle. */
let compiled: Promise<WebAssembly.Module> | null = null;

/** More than a screen of errors helps nobody: later ones often follow from the first. */
const errorsShownMax = 3;

function messageText({ text: said, location }: Message, entry: string): string {
  const text = said.replaceAll(`"${apiNamespace}:wqx"`, '"wqx"');
  if (location === null) return `${entry}: ${text}`;
  const { file, line, column, lineText } = location;
  // esbuild counts bytes.
  const before = new TextDecoder().decode(new TextEncoder().encode(lineText).slice(0, column));
  return pointedAt(absolute(dirname(entry), file), line, before.length, lineText, text);
}

/** `FILE:LINE:COLUMN: TEXT`, then the line of the source with a caret under the column (from 0). */
function pointedAt(file: string, line: number, column: number, source: string, text: string) {
  const margin = `  ${line} | `;
  const before = source.slice(0, column).replace(/[^\t]/g, " ");
  return `${file}:${line}:${column + 1}: ${text}\n` +
    `${margin}${source}\n${" ".repeat(margin.length)}${before}^`;
}

/** The sentence about a default export that will not do, with the place where it begins. */
export async function defaultExportProblem(path: string, text: string): Promise<string> {
  const lines = (await Deno.readTextFile(path)).split("\n");
  const line = Math.max(
    0,
    lines.findIndex((one) => /^export\s+(default\b|\{.*\bdefault\b)/.test(one)),
  );
  return pointedAt(absolute(path), line + 1, 0, lines[line]!, text);
}

const apiNamespace = "wqx";

/** `import … from "wqx"`: what the wqx that runs the task has put under a global symbol. */
function lentApi({ key, names }: Api): Plugin {
  return {
    name: "wqx",
    setup(build) {
      build.onResolve({ filter: /^wqx$/ }, () => ({ path: "wqx", namespace: apiNamespace }));
      build.onLoad({ filter: /.*/, namespace: apiNamespace }, () => ({
        contents: `export const { ${names.join(", ")} } = globalThis[Symbol.for("${key}")];`,
      }));
    },
  };
}

/** esbuild's WebAssembly has no file system of its own: resolving and reading is done here. */
function filesOnDisk(): Plugin {
  return {
    name: "files",
    setup(build) {
      build.onResolve({ filter: /.*/ }, locate);
      build.onLoad({ filter: /.*/ }, async ({ path }) => ({
        contents: await Deno.readFile(path),
        loader: "default",
      }));
    },
  };
}

/** The file that an import means, by Node's rules, which are also Deno's for files on disk. */
async function locate({ path, importer, kind }: OnResolveArgs): Promise<OnResolveResult> {
  if (kind === "entry-point") return { path };
  if (isBuiltin(path)) return { path: path.replace(/^(?!node:)/, "node:"), external: true };
  if (/^(npm|jsr|https?):/.test(path)) {
    return problem(
      `Cannot bundle "${path}" from a registry: install the package in a node_modules folder ` +
        "beside the processor and import it by its name",
    );
  }
  try {
    const found = kind.startsWith("require")
      ? createRequire(importer).resolve(path)
      : fileURLToPath(await importResolve(path, pathToFileURL(importer).href));
    if ((await Deno.stat(found)).isFile) return { path: found };
  } catch {
    // Not there, or its package does not export it: said below in the user's terms.
  }
  return problem(`Cannot find "${path}"${await suggestion(path, importer)}`);
}

function problem(text: string): OnResolveResult {
  return { errors: [{ text }] };
}

async function importResolve(specifier: string, parent: string): Promise<string> {
  return (await import("import-meta-resolve")).resolve(specifier, parent);
}

/** A file beside the one that was meant: with its ending, or with a name much like it. */
async function suggestion(path: string, importer: string): Promise<string> {
  if (!/^\.{0,2}\//.test(path)) return ": no such package is installed beside the processor";
  const wanted = absolute(dirname(importer), path);
  const present: string[] = [];
  try {
    for await (const { name } of Deno.readDir(dirname(wanted))) present.push(name);
  } catch {
    return "";
  }
  const name = basename(wanted);
  const meant = present.find((one) => one.replace(/\.\w+$/, "") === name) ?? nearest(name, present);
  return meant === null || meant === undefined
    ? ""
    : `: did you mean "${path.slice(0, path.length - name.length)}${meant}"?`;
}

/** esbuild's WebAssembly: `esbuild.wasm` beside the bundled program, or from the npm package. */
export async function wasmBytes(): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(new URL("./esbuild.wasm", import.meta.url));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await Deno.readFile(new URL(import.meta.resolve("esbuild-wasm/esbuild.wasm")));
  }
}
