/** Task lists that come as a stream of JSON lines: what is read is run, and nothing is kept. */
import { UsageError } from "../core/errors.ts";
import { TaskNames } from "../core/tasklist/names.ts";
import type { Dependency, ListEntry } from "../core/tasklist/spec.ts";
import { type ListContext, listedTask } from "./listed_task.ts";
import { label } from "./schema.ts";
import { Problems, SourceFile } from "./source_file.ts";
import { linesOf, readEntry } from "./task_line.ts";
import type { TaskYaml } from "./task_list_schema.ts";
import type { Line } from "../core/tasklist/lines.ts";

/** Entries of a stream, as many at a time as arrive together; `shown` stands for it in messages. */
export async function* entriesOf(
  stream: AsyncIterable<Uint8Array>,
  shown: string,
  context: ListContext,
): AsyncGenerator<readonly ListEntry[]> {
  const reader = new EntryReader(shown, context);
  for await (const lines of linesOf(stream)) {
    yield lines.flatMap((line) => reader.read(line) ?? []);
  }
}

/** The pieces of a stream, which ends early, in the middle of waiting, when `signal` fires. */
export async function* piecesOf(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  const stop = () => void reader.cancel().catch(() => {}); // it may have ended or broken already
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}

class EntryReader {
  readonly #names = new TaskNames();
  #lastId = 0;

  constructor(private readonly shown: string, private readonly context: ListContext) {}

  /** `null` for a line that says nothing. */
  read(line: Line): ListEntry | null {
    const problems = new Problems();
    const read = readEntry(line, this.shown, problems);
    if (read.kind === "blank") return null;
    const id = ++this.#lastId;
    if (read.kind === "refused") {
      if (read.name !== null) this.#names.claim(read.name, id);
      return refused(id, read.name, problems);
    }
    const { yaml } = read;
    const name = yaml.name ?? null;
    const owner = name === null ? null : this.#names.claim(name, id);
    // The place of each value is looked for only when something is wrong.
    let source: SourceFile | null = null;
    const complain = (at: readonly PropertyKey[], text: string) => {
      if (line.kind !== "text") return;
      source ??= SourceFile.parse(line.text, this.shown, problems, line.number);
      source?.report(problems, source.offsetOf(at), `${label(at)}${text}`);
    };
    if (owner !== null) complain(["name"], `task ${owner} is called "${name}", too`);
    const after = this.#dependenciesOf(yaml, id, complain);
    const task = listedTask(yaml, id, after, this.context, complain);
    // A repeated name stays with its first owner: nobody can depend on this one.
    if (problems.count > 0) return refused(id, owner === null ? name : null, problems);
    return { kind: "task", task };
  }

  #dependenciesOf(
    { after }: TaskYaml,
    id: number,
    complain: (at: readonly PropertyKey[], text: string) => void,
  ): Dependency[] {
    return after.flatMap((named, i): Dependency[] => {
      try {
        return [{ named, id: this.#names.resolve(named, id, id) }];
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        complain(["after", i], `${error.message}; in a stream a task comes after earlier ones`);
        return [];
      }
    });
  }
}

function refused(id: number, name: string | null, problems: Problems): ListEntry {
  return { kind: "refused", entry: { id, name, why: problems.lines().join("; ") } };
}
