/**
 * `deno task arena [SECTION …] [options]`: contests of what wqx decides by itself, in virtual time;
 * each section prints its tables. The same seed gives the same contest.
 *
 *   --seed N        of the task sets and of policies that draw lots [default: 1]
 *   --set NAME      only this task set; may be repeated
 *   --policy NAME   only this contestant; may be repeated
 *   --trace FILE    CSV with category,cores,memory,disk,wall_time in place of the task sets
 */
import { parseArgs } from "node:util";
import { messageOf, UsageError } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { parseCount } from "../../core/units.ts";
import { allocationTable } from "./allocation.ts";
import { chunksTable } from "./chunks.ts";
import { contestants, node } from "./contestants.ts";
import { setNames, type TaskSet } from "./task_sets.ts";
import { parseTrace } from "./trace.ts";

interface ArenaOptions {
  readonly seed: number;
  readonly sets: readonly string[];
  readonly policies: readonly string[];
  readonly trace: TaskSet | null;
}

interface Section {
  readonly name: string;
  /** Returns what is printed. */
  run(options: ArenaOptions): string;
}

const sections: readonly Section[] = [
  { name: "allocation", run: (options) => allocationTable(options, () => performance.now()) },
  { name: "chunks", run: ({ seed }) => chunksTable(seed) },
];

function parse(args: string[]): { options: ArenaOptions; chosen: Section[] } {
  const { values, positionals } = parseArgs({
    args,
    options: {
      seed: { type: "string", default: "1" },
      set: { type: "string", multiple: true, default: [] },
      policy: { type: "string", multiple: true, default: [] },
      trace: { type: "string" },
    },
    allowPositionals: true,
  });
  for (const name of values.set) known("set", name, setNames);
  for (const name of values.policy) known("policy", name, contestants);
  for (const name of positionals) known("section", name, sections.map((section) => section.name));
  const chosen = sections.filter(({ name }) =>
    positionals.length === 0 || positionals.includes(name)
  );
  const { set: sets, policy: policies } = values;
  const trace = values.trace === undefined ? null : readTrace(values.trace);
  return { options: { seed: parseCount(values.seed), sets, policies, trace }, chosen };
}

function known(what: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  const hint = didYouMean(name, names) || `: there are ${names.join("; ")}`;
  throw new UsageError(`There is no ${what} "${name}"${hint}`);
}

function readTrace(path: string): TaskSet {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`Cannot read the trace ${path}: ${messageOf(error)}`);
  }
  return { name: path, tasks: parseTrace(text, path, node) };
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

try {
  const { options, chosen } = parse(Deno.args);
  for (const { name, run } of chosen) print(`${name}\n${run(options)}`);
} catch (error) {
  const isOptionError = error instanceof Error && "code" in error &&
    String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!(error instanceof UsageError || isOptionError)) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(`${messageOf(error)}\n`));
  Deno.exit(2);
}
