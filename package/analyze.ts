/** Reads what Python files and notebooks import, and makes a specification of it. */
import { dirname, resolve } from "node:path";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import {
  type Analysis,
  analyze,
  type AnalyzeWishes,
  notebookCode,
  type PythonReport,
} from "../core/package/imports.ts";
import { findProgram } from "../io/programs.ts";
import importsScript from "./scripts/imports.py" with { type: "text" };

export interface AnalyzeRequest extends Omit<AnalyzeWishes, "isLocal"> {
  /** Paths; `-` is standard input. */
  readonly sources: readonly string[];
  /** Word for the interpreter whose packages are meant. */
  readonly python: string;
  readonly scope: "all" | "toplevel" | { readonly function: string };
  readonly signal: AbortSignal;
}

/** Throws UsageError or RunError, each with a sentence. Nothing of the user's code is run. */
export async function analyzeSources(request: AnalyzeRequest): Promise<Analysis> {
  const sources = await Promise.all(request.sources.map(readSource));
  const { scope } = request;
  const report = await ask(request, {
    sources,
    scope: typeof scope === "string" ? scope : "function",
    ...typeof scope !== "string" && { function: scope.function },
  });
  const [fault] = report.faults;
  if (fault !== undefined) {
    throw new RunError(
      `Cannot read ${fault.source}: line ${fault.line} is no Python ${report.version}: ` +
        fault.message,
    );
  }
  if (typeof scope !== "string" && !report.hasFunction) {
    throw new UsageError(`There is no function ${scope.function} in ${request.sources.join(", ")}`);
  }
  return analyze(report, { ...request, isLocal });
}

async function readSource(path: string): Promise<{ readonly name: string; readonly text: string }> {
  if (path === "-") return { name: "-", text: await new Response(Deno.stdin.readable).text() };
  try {
    const text = await Deno.readTextFile(path);
    return { name: path, text: path.endsWith(".ipynb") ? notebookCode(text) : text };
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    throw new UsageError(
      `Cannot read ${path}: ${isMissing ? "there is no such file" : messageOf(error)}`,
    );
  }
}

/** As Python looks for it: beside the script, where it is started, and in a project's `src`. */
function isLocal(module: string, source: string): boolean {
  const folders = new Set([source === "-" ? Deno.cwd() : dirname(resolve(source)), Deno.cwd()]);
  return [...folders].some((folder) =>
    kindOf(`${folder}/${module}.py`) === "file" || kindOf(`${folder}/${module}`) === "package"
  );
}

function kindOf(path: string): "file" | "package" | "none" {
  try {
    if (Deno.statSync(path).isFile) return "file";
    const names = [...Deno.readDirSync(path)].map(({ name }) => name);
    return names.some((name) => name.endsWith(".py")) ? "package" : "none";
  } catch {
    return "none";
  }
}

async function ask({ python, signal }: AnalyzeRequest, job: unknown): Promise<PythonReport> {
  const found = findProgram(python, Deno.env.get("PATH") ?? "");
  if ("why" in found) {
    throw new UsageError(
      `Cannot run ${python} to see what is installed: ${found.why}; choose one with --python`,
    );
  }
  const child = new Deno.Command(found.path, {
    args: ["-c", importsScript],
    // Not where the files are: what is found in the working folder could be taken for Python's own.
    cwd: "/",
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  const output = child.output();
  try {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(job)));
    await writer.close();
  } catch {
    // It has ended early, and its words say why.
  }
  const { success, stdout, stderr } = await output;
  signal.throwIfAborted();
  if (!success) {
    const last = new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "";
    throw new RunError(`Cannot see what is installed for ${found.path}: ${last}`);
  }
  // Our own script has written it.
  return JSON.parse(new TextDecoder().decode(stdout)) as PythonReport;
}
