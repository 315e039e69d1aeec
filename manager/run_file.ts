/** The file that a manager is given → an analysis or a task list, as its content says. */
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggest.ts";
import { analysisOf } from "./analysis_file.ts";
import type { Overrides } from "./run_options.ts";
import { Problems, readText, SourceFile, unreadable } from "./source_file.ts";
import { linesOf } from "./task_line.ts";
import { jsonTaskList, type TaskList, yamlTaskList } from "./task_list_file.ts";

export type Run =
  | { readonly kind: "analysis"; readonly spec: AnalysisSpec }
  | { readonly kind: "tasks"; readonly list: TaskList };

/**
 * Long lists of files belong in list files or filesets, and long lists of tasks in JSON lines:
 * YAML with the place of every value takes some 150 times its size in memory.
 */
const yamlBytesMax = 4 * 1024 ** 2;

/**
 * Reads and checks the file. Throws a UsageError that lists all that is wrong, each with file, line
 * and column, or with the option that is to blame.
 */
export async function loadRun(path: string, overrides: Overrides): Promise<Run> {
  const problems = new Problems();
  if (/\.(jsonl|ndjson)$/i.test(path)) {
    const lines = () => linesOf(bytesOfFile(path));
    return { kind: "tasks", list: await jsonTaskList(lines, path, overrides, problems) };
  }
  const text = await readText(path, path, "the file", yamlBytesMax);
  if (startsWithJsonTask(text)) {
    const lines = () => linesOf(ReadableStream.from([new TextEncoder().encode(text)]));
    return { kind: "tasks", list: await jsonTaskList(lines, path, overrides, problems) };
  }
  const source = SourceFile.parse(text, path, problems);
  if (source === null) {
    problems.throwIfAny();
    throw new Error("The file was refused without a reason");
  }
  if (isTaskList(source.data)) {
    return { kind: "tasks", list: await yamlTaskList(source, path, overrides, problems) };
  }
  return { kind: "analysis", spec: await analysisOf(source, path, overrides, problems) };
}

/** JSON lines under any name: the first of them is an object of its own, with a command. */
function startsWithJsonTask(text: string): boolean {
  const first = /^\s*(\{.*\})[ \t\r]*(?:\n|$)/.exec(text)?.[1];
  if (first === undefined) return false;
  try {
    const value: unknown = JSON.parse(first);
    return typeof value === "object" && value !== null &&
      ("command" in value || "command_line" in value);
  } catch {
    return false;
  }
}

function isTaskList(data: unknown): boolean {
  if (Array.isArray(data)) return true;
  if (typeof data !== "object" || data === null) return false;
  if ("tasks" in data) return true;
  if ("datasets" in data || "processor" in data) return false;
  return Object.keys(data).some((key) =>
    nearest(key, ["tasks", "datasets", "processor"]) === "tasks"
  );
}

async function* bytesOfFile(path: string): AsyncGenerator<Uint8Array> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw await unreadable(path, path, "the file", error);
  }
  if ((await file.stat()).isDirectory) {
    file.close();
    throw new UsageError(`Cannot read the file "${path}": it is a folder; name a file in it`);
  }
  yield* file.readable;
}
