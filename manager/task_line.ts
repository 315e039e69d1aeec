/** A line of JSON lines → an entry of a task list, or the sentences that refuse it. */
import { type Line, LineSplitter } from "../core/tasklist/lines.ts";
import { messageOf } from "../core/errors.ts";
import { check } from "./schema.ts";
import { type Problems, SourceFile } from "./source_file.ts";
import { taskSchema, type TaskYaml } from "./task_list_schema.ts";

/** Longest line: buffers are written into it; bytes. */
const lineBytesMax = 64 * 1024 ** 2;

export type ReadEntry =
  | { readonly kind: "blank" }
  | { readonly kind: "entry"; readonly yaml: TaskYaml }
  /** The problems say why. The name is given where it can be made out. */
  | { readonly kind: "refused"; readonly name: string | null };

/** The lines of a stream, as many at a time as arrive together. */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly Line[]> {
  const splitter = new LineSplitter(lineBytesMax);
  for await (const bytes of stream) yield splitter.feed(bytes);
  yield splitter.end();
}

/** Reads one line; what is wrong with it is noted with its place. */
export function readEntry(line: Line, shown: string, problems: Problems): ReadEntry {
  if (line.kind === "unreadable") {
    complain(line.number, 1, line.why);
    return { kind: "refused", name: null };
  }
  const { text, number } = line;
  // Lines without anything are no harm, and where people put them they mean nothing.
  if (text.trim() === "") return { kind: "blank" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { column, why } = jsonTrouble(messageOf(error), text);
    complain(number, column, `this is not JSON: ${why}`);
    return { kind: "refused", name: null };
  }
  const checked = taskSchema.safeParse(value, { reportInput: true });
  if (checked.success) return { kind: "entry", yaml: checked.data };
  // Only now: to know where each value stands takes ten times as long.
  const source = SourceFile.parse(text, shown, problems, number);
  if (source !== null) check(taskSchema, value, source, [], problems);
  const name = (value as { name?: unknown } | null)?.name;
  return { kind: "refused", name: typeof name === "string" ? name : null };

  function complain(lineNumber: number, column: number, text: string): void {
    const order = (lineNumber - 1) * 2 ** 32 + column;
    problems.add({ file: shown, place: `${lineNumber}:${column}`, order, text });
  }
}

/** V8 says `… in JSON at position 17 (line 1 column 18)`, or names no place. */
function jsonTrouble(message: string, text: string): { column: number; why: string } {
  const placed = /^(.*?)(?: in JSON)? at position (\d+)/s.exec(message);
  const why = placed?.[1] ?? /^Unexpected token '.+?'/su.exec(message)?.[0] ?? "it ends too early";
  const column = placed === null ? (why.startsWith("it") ? text.length : 0) : Number(placed[2]);
  return { column: column + 1, why: why.replace(/^[A-Z]/, (first) => first.toLowerCase()) };
}
