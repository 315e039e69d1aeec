/** A task list run from the command line: results to stdout, everything else to stderr. */
import type { ListedTask, ListEntry, ListSpec } from "../core/tasklist/spec.ts";
import { describeCounts } from "../core/tasklist/progress.ts";
import { UsageError } from "../core/errors.ts";
import { delay } from "../io/clock.ts";
import { selfCommand } from "../io/self.ts";
import { interrupts } from "../io/signals.ts";
import type { Resuming } from "../manager/analysis_journal.ts";
import type { Overrides } from "../manager/run_options.ts";
import type { Serving } from "../manager/serving.ts";
import { Problems } from "../manager/source_file.ts";
import { type TaskListEnd, TaskListRun } from "../manager/task_list.ts";
import { bareSpec, type TaskList } from "../manager/task_list_file.ts";
import { entriesOf, piecesOf } from "../manager/task_list_stream.ts";
import { version } from "./commands.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { progressMode } from "./progress_view.ts";
import { type OutputMode, renderClosingTable, type Terminal } from "./render.ts";
import { createTaskProgress } from "./task_progress.ts";

/** Tasks that are not over, beyond which stdin is not read. */
const aheadMax = 10_000;

/** Tasks of a file that are taken in one turn. */
const givenAtOnce = 1000;

/** Name of what comes on stdin, for workers and the run folder. */
const stdinName = "tasks";

/** Options of `wqx manager` that say something about analyses only. */
const analysisOnly = {
  chunkSize: "--chunksize",
  chunksMax: "--maxchunks",
  skipBadFiles: "--skip-bad-files",
  x509Proxy: "--x509-proxy",
} as const;

/** Runs a list that was read and checked; returns the exit code. */
export async function runTaskFile(
  { spec, tasks }: TaskList,
  file: string,
  options: Overrides,
  serving: Serving,
  resuming: Resuming,
  mode: OutputMode,
  terminal: Terminal,
): Promise<number> {
  refuseAnalysisOptions(options);
  const source = { file, entries: () => entriesIn(tasks), aheadMax: Infinity };
  return await runTasks(spec, source, serving, resuming, mode, terminal);
}

/** Given out little by little: the first tasks run while the last are still to be looked at. */
async function* entriesIn(tasks: readonly ListedTask[]): AsyncGenerator<readonly ListEntry[]> {
  for (let start = 0; start < tasks.length; start += givenAtOnce) {
    yield tasks.slice(start, start + givenAtOnce).map((task) => ({ kind: "task", task }));
    await delay(0);
  }
}

/** Runs the tasks of stdin, as they come. */
export async function runTaskStream(
  options: Overrides,
  serving: Serving,
  resuming: Resuming,
  mode: OutputMode,
  terminal: Terminal,
): Promise<number> {
  refuseAnalysisOptions(options);
  const problems = new Problems();
  const spec = await bareSpec(stdinName, options, problems);
  problems.throwIfAny();
  const context = { folder: Deno.cwd(), defaults: null, overrides: options };
  const entries = (stop: AbortSignal) =>
    entriesOf(piecesOf(Deno.stdin.readable, stop), "stdin", context);
  const source = { file: "-", entries, aheadMax };
  return await runTasks(spec, source, serving, resuming, mode, terminal);
}

function refuseAnalysisOptions(options: Overrides): void {
  for (const [key, flag] of Object.entries(analysisOnly)) {
    const given = options[key as keyof typeof analysisOnly];
    if (given === undefined || given === false) continue;
    throw new UsageError(`${flag} is for analyses, and this is a list of tasks`);
  }
}

interface EntrySource {
  /** Absolute; `-`: stdin. */
  readonly file: string;
  readonly entries: (stop: AbortSignal) => Parameters<typeof TaskListRun.run>[1]["entries"];
  readonly aheadMax: number;
}

async function runTasks(
  spec: ListSpec,
  { file, entries, aheadMax }: EntrySource,
  serving: Serving,
  resuming: Resuming,
  mode: OutputMode,
  terminal: Terminal,
): Promise<number> {
  const { stdout, stderr } = terminal;
  const view = createTaskProgress(progressMode(mode, stderr), stderr);
  using signals = interrupts();
  const { stop, abort } = signals;
  stop.addEventListener("abort", () => {
    view.note(
      "Stopping: what runs may end, nothing new starts. Press Ctrl-C again to end at once.",
    );
  });
  abort.addEventListener("abort", () => view.note("Ending at once."));
  const decoder = new TextDecoder();
  const end = await TaskListRun.run(spec, {
    view,
    wqx: selfCommand(),
    version,
    serving,
    stop,
    abort,
    entries: entries(stop),
    aheadMax,
    file,
    resuming,
    reader: async (bytes) => {
      if (!stdout.isTTY) return await stdout.send(bytes);
      view.aside(() => stdout.write(decoder.decode(bytes, { stream: true })));
      return true;
    },
  });
  tell(end, mode, terminal);
  if (end.interrupted) return interruptedExitCode;
  const { failure, refused, "not run": notRun } = end.counts;
  return failure + refused + notRun === 0 ? 0 : 1;
}

/** Of causes of failures; all are in the report. */
const causesToldMax = 10;

/** What people need to know besides the results. */
function tell(end: TaskListEnd, mode: OutputMode, { stderr }: Terminal): void {
  renderClosingTable(end.categories, mode, stderr);
  if (mode === "json") {
    stderr.write(JSON.stringify({ type: "end", ...end }) + "\n");
    return;
  }
  const { red } = stderr.colors;
  for (const failure of end.failures) stderr.write(red(failure) + "\n");
  const { failure, refused } = end.counts;
  const more = failure + refused - end.failures.length;
  if (more > 0) stderr.write(red(`and ${more} more; all by cause:`) + "\n");
  for (const { cause, count, hosts } of more > 0 ? end.causes.slice(0, causesToldMax) : []) {
    const where = hosts.length === 0 ? "" : ` (on ${hosts.join(", ")})`;
    stderr.write(red(`  ${count} times${where}: ${cause}`) + "\n");
  }
  if (mode === "quiet") return;
  stderr.write(`Tasks: ${describeCounts(end.counts)}\n\n`);
  stderr.write(end.outputs.map((path) => `  ${path}\n`).join(""));
}
