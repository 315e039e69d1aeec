/** Options of `wqx monitor`: those of resource_monitor, with its letters and defaults. */
import { UsageError } from "../core/errors.ts";
import { type ParsedLimits, parseLimits } from "../core/monitor/limits.ts";
import { parseCount } from "../core/units.ts";
import { type OptionRow, type OptionRows, versionOption } from "./cli.ts";
import { debugOptions } from "./debug_log.ts";
import { asText, filled, ignoredGroup, timeAtLeast } from "./option_values.ts";

/** A series with more rows would tell more of its monitor than of the command. */
const intervalMsMin = 20;

const what = {
  sh: {
    flags: "-c, --sh COMMAND",
    describe: "run COMMAND with /bin/sh, in place of the words after --",
    parse: filled("the command"),
    common: true,
  },
  pid: {
    flags: "    --pid N",
    describe: "follow the process N, which runs already, until it ends",
    parse: (text: string) => parseCount(text, { min: 1 }),
    common: true,
  },
} satisfies OptionRows;

const limits = {
  limits: {
    flags: "-L, --limits 'NAME: VALUE'",
    describe: "limit a resource, such as memory: 500MB or wall_time: 10m",
    parse: (text: string): ParsedLimits => parseLimits(text),
    repeatable: true,
    common: true,
  },
  limitsFile: {
    flags: "-l, --limits-file FILE",
    describe: "limits from FILE: JSON as in summaries, or lines NAME: VALUE",
    parse: filled("the name of the file"),
    common: true,
  },
  measureOnly: {
    flags: "    --measure-only",
    describe: "do not kill a command that breaks a limit",
    common: true,
  },
} satisfies OptionRows;

const output = {
  outputFiles: {
    flags: "-O, --with-output-files PREFIX",
    describe: "write PREFIX.summary, and PREFIX.series if asked for",
    parse: filled("the prefix"),
    defaultShown: "resource-pid-PID",
    common: true,
  },
  series: {
    flags: "    --with-time-series",
    describe: "write a line with all resources every interval",
    common: true,
  },
  interval: {
    flags: "-i, --interval TIME",
    describe: "between two lines of the series; the command itself is looked at as often as needed",
    parse: timeAtLeast(intervalMsMin),
    default: 5_000,
    defaultShown: "5s",
    group: "Output",
  },
  updateSummary: {
    flags: "    --update-summary",
    describe: "write the summary at every interval, too",
    group: "Output",
  },
  verbatim: {
    flags: "-V, --verbatim-to-summary 'NAME: VALUE'",
    describe: "put this field into the summary",
    parse: parseField,
    repeatable: true,
    group: "Output",
  },
  noPprint: {
    flags: "    --no-pprint",
    describe: "write the summary in one line",
    group: "Output",
  },
} satisfies OptionRows;

const disk = {
  measureDir: {
    flags: "    --measure-dir FOLDER",
    describe: "count what is in FOLDER as disk, besides the working folder",
    parse: filled("the name of the folder"),
    repeatable: true,
    group: "Disk",
  },
  withoutDisk: {
    flags: "    --without-disk-footprint",
    describe: "do not measure disk",
    group: "Disk",
  },
} satisfies OptionRows;

const debugging = {
  ...debugOptions("log what is found, with any SUBSYSTEM"),
  version: versionOption,
} satisfies OptionRows;

function ignoredSwitch(flags: string, describe: string) {
  return { flags, describe, group: ignoredGroup };
}

function ignoredValue(flags: string, describe: string) {
  return { flags, describe, parse: asText, group: ignoredGroup };
}

export const ignoredOptions = {
  accurateShort: ignoredSwitch(
    "    --accurate-short-processes",
    "short processes are always measured, by what the kernel tells at their end",
  ),
  foreground: ignoredSwitch(
    "-f, --child-in-foreground",
    "the command always has the terminal",
  ),
  followChdir: ignoredSwitch("    --follow-chdir", "name the folders with --measure-dir"),
  inotify: ignoredSwitch("    --with-inotify", "files that are opened are not listed"),
  snapshotEvents: ignoredValue("    --snapshot-events FILE", "there are no snapshots"),
  catalogTask: ignoredValue("    --catalog-task-name NAME", "catalogs hear of managers only"),
  catalogProject: ignoredValue("    --catalog-project NAME", "catalogs hear of managers only"),
  catalog: ignoredValue("    --catalog HOSTS", "catalogs hear of managers only"),
  catalogInterval: ignoredValue("    --catalog-interval N", "catalogs hear of managers only"),
} satisfies OptionRows;

export const monitorOptions = {
  ...what,
  ...limits,
  ...output,
  ...disk,
  ...debugging,
  ...ignoredOptions,
} as const satisfies OptionRows;

/**
 * Cuts a command line into our options and the words of the command, which begin after `--` or
 * at the first word that is neither an option nor the value of one.
 */
export function splitCommand(
  argv: readonly string[],
  rows: OptionRows,
): { readonly own: readonly string[]; readonly words: readonly string[] } {
  const takesValue = new Map<string, boolean>();
  for (const row of Object.values(rows)) {
    for (const [flag] of row.flags.matchAll(/(?<=^|[\s,])--?[a-zA-Z][\w-]*/g)) {
      takesValue.set(flag, hasValue(row));
    }
  }
  let i = 0;
  for (; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") return { own: argv.slice(0, i), words: argv.slice(i + 1) };
    if (!word.startsWith("-") || word === "-") break;
    // `-i5` and `--interval=5` bring their value along.
    if (takesValue.get(word)) i++;
  }
  return { own: argv.slice(0, i), words: argv.slice(i) };
}

function hasValue(row: OptionRow): boolean {
  return row.parse !== undefined;
}

function parseField(text: string): readonly [string, string] {
  const [, name, value] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/s.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new UsageError(`"${text}" is not a field: write "name: value"`);
}
