/** `wqx manager ANALYSIS.yaml`, `wqx manager TASKS.jsonl`, `wqx manager -` */
import { resolve } from "node:path";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { selfCommand } from "../io/self.ts";
import { interrupts } from "../io/signals.ts";
import { Analysis, type AnalysisEnd } from "../manager/analysis.ts";
import { loadRun } from "../manager/run_file.ts";
import { prepareServing, type Serving } from "../manager/serving.ts";
import { UsageError } from "../core/errors.ts";
import { overrideOptions } from "./analysis_options.ts";
import { defineCommand, type OptionRows, outputOptions } from "./cli.ts";
import { version } from "./commands.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { runApi } from "./manager_api.ts";
import { createProgress } from "./progress.ts";
import { progressMode } from "./progress_view.ts";
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
} satisfies OptionRows;

export const command = defineCommand({
  name: "manager",
  purpose: "Run an analysis or a list of tasks: hand the work out to workers, and collect what " +
    "comes of it.",
  usage: [
    "ANALYSIS.yaml [options]",
    "TASKS.yaml|TASKS.jsonl [options]",
    "- [options] < TASKS.jsonl",
    "--api SOCKET [options]",
  ],
  examples: [
    ["manager analysis.yaml", "run it on workers of this machine"],
    ["manager analysis.yaml --maxchunks 2", "try it out on two chunks of each dataset"],
    ["manager analysis.yaml --workers none --port 9123", "wait for workers from elsewhere"],
    ["manager tasks.yaml > results.jsonl", "run plain tasks; results come as JSON lines"],
  ],
  arguments: {
    file: { name: "FILE", describe: 'what to run, see the README; "-" is stdin', optional: true },
  },
  options: { ...overrideOptions, ...servingOptions, ...apiOptions, ...outputOptions },
  async run({ options, arguments: { file }, terminal }) {
    const mode = outputMode(options);
    const warn = (line: string) => terminal.stderr.write(`${line}\n`);
    const { api: socket, port = { low: 0, high: 0 } } = options;
    if (file !== undefined && socket !== undefined) {
      throw new UsageError(`Cannot run ${file} with --api: tasks come through the socket`);
    }
    if (file === undefined && socket === undefined) {
      throw new UsageError("Missing FILE: the usage is wqx manager ANALYSIS.yaml [options]");
    }
    const serving = await prepareServing(options, warn);
    if (file === undefined) {
      return await runApi({ socket: socket!, port, serving, quiet: mode === "quiet" }, terminal);
    }
    if (file === "-") return await runTaskStream(options, serving, mode, terminal);
    const run = await loadRun(file, options);
    return run.kind === "tasks"
      ? await runTaskFile(run.list, options, serving, mode, terminal)
      : await runAnalysis(run.spec, serving, mode, terminal);
  },
});

async function runAnalysis(
  spec: AnalysisSpec,
  serving: Serving,
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
    end = await Analysis.run(spec, { view, wqx: selfCommand(), version, serving, stop, abort });
  } catch (error) {
    if (!signals.stop.aborted) throw error;
    stderr.write("Interrupted; nothing was merged.\n");
    return interruptedExitCode;
  }
  renderClosingTable(end.categories, mode, stdout);
  if (mode === "json") stdout.write(JSON.stringify({ type: "end", ...end }) + "\n");
  else tell(end, terminal, mode === "quiet");
  if (end.stopped === null) return 0;
  return end.stopped.kind === "interrupted" ? interruptedExitCode : 1;
}

/** What people need to know besides the table: what is missing, what went wrong, where it lies. */
function tell(end: AnalysisEnd, { stdout, stderr }: Terminal, quiet: boolean): void {
  const { red, yellow } = stderr.colors;
  if (!quiet && end.outputs.length > 0) {
    stdout.write(`\n${end.outputs.map((path) => `  ${path}\n`).join("")}`);
  }
  for (const { dataset, file, range, why } of end.leftOut) {
    const what = range === null ? "" : `events [${range.start}, ${range.stop}) of `;
    stderr.write(yellow(`Left out: ${what}"${file}" (dataset ${dataset}): ${why}`) + "\n");
  }
  if (end.partial) {
    const { processed, total } = end.events;
    const of = total === null ? "" : ` of ${total}`;
    stderr.write(yellow(`The result is partial: it has ${processed}${of} events.`) + "\n");
  }
  if (end.stopped?.kind === "failed") stderr.write(red(end.stopped.message) + "\n");
}
