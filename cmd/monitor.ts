/** `wqx monitor [options] -- COMMAND`, also known as `resource_monitor` */
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import {
  describeVerdict,
  type Limits,
  type ParsedLimits,
  parseLimitsFile,
} from "../core/monitor/limits.ts";
import {
  monitorExitCode,
  monitorExitCodes,
  seriesHead,
  seriesLine,
  type Summary,
  summaryObject,
  summaryText,
} from "../core/monitor/summary.ts";
import { executableType, findProgram } from "../io/programs.ts";
import { followProcess, type MonitoredEnd, runMonitored } from "../worker/monitored_command.ts";
import { type Command, defineCommand, generalOptions, type Given, type OptionsOf } from "./cli.ts";
import { version } from "./commands.ts";
import { openLog } from "./debug_log.ts";
import { ignoredOptions, monitorOptions, splitCommand } from "./monitor_options.ts";
import { ignoredNotes } from "./option_values.ts";

type Options = OptionsOf<typeof monitorOptions>;

export const command: Command = monitorCommand((words) => definition(words));

/**
 * The words of the command are cut off before the rest is parsed, and all that goes wrong with the
 * monitor itself has the exit code that resource_monitor has for it.
 */
function monitorCommand(define: (words: readonly string[]) => Command): Command {
  return {
    name: "monitor",
    help: (all, width) => define([]).help(all, width),
    as: (program) => monitorCommand((words) => define(words).as(program)),
    async run(argv, terminal) {
      const { own, words } = splitCommand(argv, { ...monitorOptions, ...generalOptions });
      try {
        return await define(words).run(own, terminal);
      } catch (error) {
        if (!(error instanceof UsageError || error instanceof RunError)) throw error;
        terminal.stderr.write(`${error.message}\n`);
        return monitorExitCodes.monitorFailed;
      }
    },
  };
}

function definition(words: readonly string[]): Command {
  return defineCommand({
    name: "monitor",
    purpose: "Run a command, measure all that it uses, and kill it if it breaks a limit.",
    usage: ["[options] -- COMMAND [ARGUMENTS]", "[options] --sh COMMAND"],
    examples: [
      ["monitor -- python3 fit.py", "then look into resource-pid-PID.summary"],
      ["monitor -L 'memory: 2GB' -O fit -- ./fit", "kill it above 2 GB; write fit.summary"],
    ],
    arguments: {},
    options: monitorOptions,
    run: (given) => run(given, words),
  });
}

async function run(
  { options, terminal, program }: Given<typeof monitorOptions, Record<never, never>>,
  given: readonly string[],
): Promise<number> {
  const note = (line: string) => terminal.stderr.write(`${line}\n`);
  const words = wordsOf(options, given, program);
  const { limits, notes } = await limitsOf(options);
  const folders = options.withoutDisk ? [] : [Deno.cwd(), ...options.measureDir];
  await Promise.all(folders.map(checkFolder));
  using log = openLog({ ...options, debug: options.debug.length > 0 ? ["all"] : [] }, program);
  [...ignoredNotes(ignoredOptions, options), ...notes].forEach(note);
  using files = await OutputFiles.open(options, words);
  const watch = {
    mode: options.measureOnly ? "measure" : "watchdog",
    limits,
    folders,
    everyMs: options.interval,
    onTick: (summary: Summary) => {
      log.write("rmonitor", JSON.stringify(summary.usage));
      files.tick(summary);
    },
    onKilled: (broken: Summary["broken"]) => {
      for (const verdict of broken) note(`Killed for ${describeVerdict(verdict)}`);
    },
  } as const;
  const ended: MonitoredEnd = options.pid === undefined
    ? await runMonitored({ ...watch, words, env: Deno.env.toObject() })
    : await followProcess(options.pid, watch);
  files.finish(ended);
  return monitorExitCode(ended.summary.broken, ended.end);
}

/** The command with the path of its program; empty for `--pid`. Throws if none is there. */
function wordsOf(
  { sh, pid }: Options,
  given: readonly string[],
  program: string,
): readonly string[] {
  const ways = [sh !== undefined, pid !== undefined, given.length > 0].filter(Boolean).length;
  if (ways !== 1) {
    const what = ways === 0 ? "what to run" : "one thing to run, not several";
    throw new UsageError(`Say ${what}: ${program} [options] -- COMMAND, --sh COMMAND, or --pid N`);
  }
  if (pid !== undefined) return [];
  if (sh !== undefined) return ["/bin/sh", "-c", sh];
  const found = findProgram(given[0]!, Deno.env.get("PATH") ?? "");
  if ("why" in found) {
    throw new RunError(`Cannot start ${JSON.stringify(given[0])}: ${found.why}`);
  }
  return [found.path, ...given.slice(1)];
}

/** Of the file and the options, which win. */
async function limitsOf({ limits, limitsFile }: Options): Promise<ParsedLimits> {
  const parts = [...limits];
  if (limitsFile !== undefined) {
    const text = await Deno.readTextFile(limitsFile).catch((error) => {
      throw new UsageError(`Cannot read the limits in ${limitsFile}: ${messageOf(error)}`);
    });
    parts.unshift(parseLimitsFile(text, limitsFile));
  }
  return {
    limits: parts.reduce<Limits>((all, part) => ({ ...all, ...part.limits }), {}),
    notes: parts.flatMap((part) => part.notes),
  };
}

async function checkFolder(path: string): Promise<void> {
  const isFolder = await Deno.stat(path).then((info) => info.isDirectory, () => false);
  if (!isFolder) throw new UsageError(`Cannot measure the disk of ${path}: it is no folder`);
}

/** Summary and series. */
class OutputFiles implements Disposable {
  private constructor(
    private readonly options: Options,
    private readonly prefix: string,
    private readonly series: Deno.FsFile | null,
    private readonly text: { command: string; verbatim: readonly (readonly [string, string])[] },
  ) {}

  /** Throws a UsageError if they cannot be written. */
  static async open(options: Options, words: readonly string[]): Promise<OutputFiles> {
    const prefix = options.outputFiles ?? `resource-pid-${Deno.pid}`;
    const text = {
      command: options.sh ?? words.join(" "),
      verbatim: [
        ...options.verbatim,
        ["host", Deno.hostname()],
        ["monitor_version", `wqx ${version}`],
        ["executable_type", words[0] === undefined ? "unknown" : executableType(words[0])],
      ] as const,
    };
    const create = { write: true, create: true, truncate: true } as const;
    try {
      (await Deno.open(`${prefix}.summary`, create)).close();
      const series = options.series ? await Deno.open(`${prefix}.series`, create) : null;
      series?.writeSync(new TextEncoder().encode(seriesHead()));
      return new OutputFiles(options, prefix, series, text);
    } catch (error) {
      throw new UsageError(`Cannot write ${prefix}.summary: ${messageOf(error)}`);
    }
  }

  tick(summary: Summary): void {
    this.#row(summary);
    if (this.options.updateSummary) this.#write(summary, null);
  }

  finish({ summary, end }: MonitoredEnd): void {
    this.#row(summary);
    this.#write(summary, end);
  }

  [Symbol.dispose](): void {
    this.series?.close();
  }

  #row({ usage }: Summary): void {
    this.series?.writeSync(new TextEncoder().encode(seriesLine(Date.now(), usage)));
  }

  #write(summary: Summary, end: MonitoredEnd["end"] | null): void {
    const text = summaryText(
      summaryObject(summary, { ...this.text, end }),
      !this.options.noPprint,
    );
    try {
      // At once or not at all: someone may be reading it.
      Deno.writeTextFileSync(`${this.prefix}.summary.tmp`, text);
      Deno.renameSync(`${this.prefix}.summary.tmp`, `${this.prefix}.summary`);
    } catch (error) {
      throw new RunError(`Cannot write ${this.prefix}.summary: ${messageOf(error)}`);
    }
  }
}
