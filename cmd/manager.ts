/** `wqx manager ANALYSIS.yaml`, `wqx manager TASKS.jsonl`, `wqx manager -` */
import { resolve } from "node:path";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { selfCommand } from "../io/self.ts";
import { interrupts } from "../io/signals.ts";
import { Analysis, type AnalysisEnd } from "../manager/analysis.ts";
import type { Resuming } from "../manager/analysis_journal.ts";
import { findRun, overrideSpec } from "../manager/found_run.ts";
import { loadRun } from "../manager/run_file.ts";
import { openToAll, prepareServing, type Serving } from "../manager/serving.ts";
import { UsageError } from "../core/errors.ts";
import { quoted } from "../core/shell_words.ts";
import { overrideOptions } from "./analysis_options.ts";
import { defineCommand, type OptionRows, type OptionsOf, outputOptions } from "./cli.ts";
import { version } from "./commands.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { runApi } from "./manager_api.ts";
import { createProgress } from "./progress.ts";
import { progressMode } from "./progress_view.ts";
import { recalled, resumeOptions, resumingOf } from "./resume_options.ts";
import { type OutputMode, outputMode, renderClosingTable, type Terminal } from "./render.ts";
import { servingOptions } from "./serving_options.ts";
import { runTaskFile, runTaskStream } from "./task_list.ts";

const apiOptions = {
  api: {
    flags: "    --api SOCKET",
    describe: "serve a program through this Unix socket (docs/api.md), for as long as it keeps " +
      "stdin open",
    parse: (text: string) => resolve(text),
    group: "Programs",
  },
  journal: {
    flags: "    --journal DIR",
    describe: "with --api, keep results in DIR: a program that died and is run again gets back " +
      "those of tasks that are the same",
    parse: (text: string) => resolve(text),
    group: "Programs",
  },
} satisfies OptionRows;

const options = {
  ...overrideOptions,
  ...resumeOptions,
  ...servingOptions,
  ...apiOptions,
  ...outputOptions,
} satisfies OptionRows;

type Options = OptionsOf<typeof options>;

export const command = defineCommand({
  name: "manager",
  purpose: "Run an analysis or a list of tasks: hand the work out to workers, and collect what " +
    "comes of it.",
  usage: [
    "ANALYSIS.yaml [options]",
    "TASKS.yaml|TASKS.jsonl [options]",
    "- [options] < TASKS.jsonl",
    "--resume RUN [options]",
    "--api SOCKET [options]",
  ],
  examples: [
    ["manager analysis.yaml", "run it on workers of this machine"],
    ["manager analysis.yaml --maxchunks 2", "try it out on two chunks of each dataset"],
    ["manager analysis.yaml --workers none --port 9123", "wait for workers from elsewhere"],
    ["manager tasks.yaml > results.jsonl", "run plain tasks; results come as JSON lines"],
    ["manager --resume analysis-output", "go on with a run that was not finished"],
  ],
  arguments: {
    file: { name: "FILE", describe: 'what to run, see the README; "-" is stdin', optional: true },
  },
  options,
  async run({ options, arguments: { file }, terminal }) {
    const mode = outputMode(options);
    const warn = (line: string) => terminal.stderr.write(`${line}\n`);
    const { api: socket, port = { low: 0, high: 0 } } = options;
    if (file !== undefined && socket !== undefined) {
      throw new UsageError(`Cannot run ${file} with --api: tasks come through the socket`);
    }
    if (options.journal !== undefined && socket === undefined) {
      throw new UsageError("Cannot keep a --journal without --api: runs have one in their folder");
    }
    const there = runThere(options, file ?? socket);
    if (there?.how === "merge") return await mergeSoFar(there.path, mode, terminal);
    if (there !== null) return await goOn(there.path, there.how, options, mode, terminal);
    if (file === undefined && socket === undefined) {
      throw new UsageError("Missing FILE: the usage is wqx manager ANALYSIS.yaml [options]");
    }
    const serving = await prepareServing(options, warn);
    if (file === undefined) {
      const journal = options.journal === undefined
        ? null
        : { folder: options.journal, fsync: options.fsync ?? "interval" };
      const quiet = mode === "quiet";
      return await runApi({ socket: socket!, port, serving, journal, quiet }, terminal);
    }
    const resuming = resumingOf(options.fresh ? "fresh" : "same", options);
    if (file === "-") return await runTaskStream(options, serving, resuming, mode, terminal);
    const run = await loadRun(file, options);
    return run.kind === "tasks"
      ? await runTaskFile(run.list, resolve(file), options, serving, resuming, mode, terminal)
      : await runAnalysis(run.spec, serving, resuming, mode, terminal);
  },
});

interface RunThere {
  readonly how: "resume" | "missing" | "merge";
  readonly path: string;
}

/** The run that the options name, if they name one; `other`: what else there is to be run. */
function runThere(options: Options, other: string | undefined): RunThere | null {
  const named = [
    ["--resume", "resume", options.resume],
    ["--only-missing", "missing", options.onlyMissing],
    ["--accumulate-now", "merge", options.accumulateNow],
  ] as const;
  const given = named.flatMap(([flag, how, path]) =>
    path === undefined ? [] : [{ flag, how, path }]
  );
  const [first, second] = given;
  if (first === undefined) return null;
  const also = second?.flag ?? other ?? (options.output && "--output") ??
    (options.fresh ? "--fresh" : undefined);
  if (also !== undefined) {
    throw new UsageError(`Cannot take ${first.flag} and ${also}: the first says which run it is`);
  }
  return first;
}

async function goOn(
  path: string,
  how: "resume" | "missing",
  given: Options,
  mode: OutputMode,
  terminal: Terminal,
): Promise<number> {
  const found = await findRun(path);
  const options = { ...recalled(given, found.options), output: path };
  const serving = await prepareServing(
    options,
    (line: string) => terminal.stderr.write(`${line}\n`),
  );
  const resuming = resumingOf(how, options);
  if (found.kind === "analysis") {
    return await runAnalysis(overrideSpec(found.spec, given), serving, resuming, mode, terminal);
  }
  if (found.file === "-") {
    throw new UsageError(
      `The tasks of ${path} came on stdin: give them again, wqx manager - --output ${path}`,
    );
  }
  const run = await loadRun(found.file, options);
  if (run.kind === "analysis") {
    throw new UsageError(`Cannot go on with ${path}: ${found.file} is no list of tasks any more`);
  }
  return await runTaskFile(run.list, found.file, options, serving, resuming, mode, terminal);
}

async function runAnalysis(
  spec: AnalysisSpec,
  serving: Serving,
  resuming: Resuming,
  mode: OutputMode,
  terminal: Terminal,
): Promise<number> {
  const { stdout, stderr } = terminal;
  const stream = mode === "json" ? stdout : stderr;
  const view = createProgress(progressMode(mode, stream), stream);
  using signals = interrupts();
  signals.stop.addEventListener("abort", () => {
    view.note("Stopping: merging what is there. Press Ctrl-C again to end at once.");
  });
  let end: AnalysisEnd;
  try {
    const { stop, abort } = signals;
    const options = { view, wqx: selfCommand(), version, serving, stop, abort };
    end = await Analysis.run(spec, options, resuming);
  } catch (error) {
    if (!signals.stop.aborted) throw error;
    stderr.write("Interrupted; nothing was merged.\n");
    return interruptedExitCode;
  }
  show(end, spec.output, mode, terminal);
  if (end.stopped === null) return 0;
  return end.stopped.kind === "interrupted" ? interruptedExitCode : 1;
}

/** Whether its manager is there or not: what it has lies in the folder. */
async function mergeSoFar(path: string, mode: OutputMode, terminal: Terminal): Promise<number> {
  const { stdout, stderr } = terminal;
  const stream = mode === "json" ? stdout : stderr;
  const view = createProgress(progressMode(mode, stream), stream);
  using signals = interrupts();
  const { stop, abort } = signals;
  const wqx = selfCommand();
  const end = await Analysis.soFar(path, { view, wqx, version, serving: openToAll, stop, abort });
  show(end, null, mode, terminal);
  return 0;
}

/** `path`: of the run, if what is missing can be run later. */
function show(end: AnalysisEnd, path: string | null, mode: OutputMode, terminal: Terminal): void {
  renderClosingTable(end.categories, mode, terminal.stdout);
  if (mode === "json") terminal.stdout.write(JSON.stringify({ type: "end", ...end }) + "\n");
  else tell(end, path, terminal, mode === "quiet");
}

/** Of what was left out, and of causes, told; the rest is in report.json. */
const toldMax = 10;

/** What people need to know besides the table: what is missing, what went wrong, where it lies. */
function tell(
  end: AnalysisEnd,
  path: string | null,
  { stdout, stderr }: Terminal,
  quiet: boolean,
): void {
  const { red, yellow } = stderr.colors;
  const warn = (line: string) => stderr.write(yellow(line) + "\n");
  if (!quiet && end.outputs.length > 0) {
    stdout.write(`\n${end.outputs.map((path) => `  ${path}\n`).join("")}`);
  }
  for (const { dataset, file, range, why } of end.leftOut.slice(0, toldMax)) {
    const what = range === null ? "" : `events [${range.start}, ${range.stop}) of `;
    warn(`Left out: ${what}"${file}" (dataset ${dataset}): ${why}`);
  }
  if (end.leftOut.length > toldMax) warn(`and ${end.leftOut.length - toldMax} more`);
  for (const { cause, count, hosts } of end.failures.slice(0, toldMax)) {
    if (count > 1) warn(`Failed for good ${count} times (on ${hosts.join(", ")}): ${cause}`);
  }
  if (end.partial) {
    const { processed, total } = end.events;
    const of = total === null ? "" : ` of ${total}`;
    const later = path === null || !end.resumable
      ? ""
      : ` To run what is missing: wqx manager --only-missing ${shellWord(path)}`;
    warn(`The result is partial: it has ${processed}${of} events.${later}`);
  }
  if (end.stopped?.kind === "failed") stderr.write(red(end.stopped.message) + "\n");
}

function shellWord(path: string): string {
  return /^[\w./+-]+$/.test(path) ? path : quoted(path);
}
