/**
 * Options of `wqx worker`: those of Work Queue's worker, with its letters, units and defaults, and
 * a few of our own. What has no meaning here is a row too, and says so when it is given.
 */
import { UsageError } from "../core/errors.ts";
import { parseJoinToken } from "../core/pin.ts";
import { parseCount, parsePort, parseSizeMb, parseTimeMs } from "../core/units.ts";
import { defaultBackoff } from "../core/worker/backoff.ts";
import { protocolsTried } from "../core/worker/guess.ts";
import { parseConnectionMode } from "../core/catalog/selection.ts";
import { type OptionRows, versionOption } from "./cli.ts";
import { debugOptions, rotateOption } from "./debug_log.ts";
import {
  asText,
  catalogsRow,
  filled,
  givenOf,
  ignoredGroup,
  ignoredNotes,
  nameOf,
  parseProject,
} from "./option_values.ts";

/** Work Queue's, for both leaving an idle manager and giving up on finding one. */
export const timeoutDefaultMs = 900_000;
/** Time to see that a manager is gone, and to start it again. */
export const keepTasksDefaultMs = 900_000;

/** A longer pause would be no pause; also keeps below the longest timer. */
const backoffMsMax = 86_400_000;

const managerOptions = {
  project: {
    flags: "-M, --manager-name REGEX",
    describe: "serve managers whose whole project name matches, found in the catalog",
    parse: parseProject,
    common: true,
  },
  projectByOldName: {
    flags: "-N, --master-name REGEX",
    describe: "the same, as older scripts write it",
    parse: parseProject,
    group: "Finding a manager",
  },
  catalogs: {
    flags: "-C, --catalog HOST[:PORT],…",
    ...catalogsRow,
    group: "Finding a manager",
  },
  connectionMode: {
    flags: "    --connection-mode MODE",
    describe: "with -M, connect by_ip, by_hostname or by_apparent_ip",
    parse: parseConnectionMode,
    defaultShown: "what the manager prefers",
    group: "Finding a manager",
  },
  password: {
    flags: "-P, --password FILE",
    describe: "the file with the password that manager and workers share",
    parse: filled("the name of the file"),
    common: true,
  },
  tls: {
    flags: "    --ssl",
    describe: "speak TLS; with -M, serve only managers that do",
    common: true,
  },
  join: {
    flags: "    --join TOKEN",
    describe: "serve the manager that printed TOKEN, by TLS, and none that has another key",
    parse: parseJoinToken,
    common: true,
  },
  protocol: {
    flags: "    --protocol N",
    describe: "speak protocol N of Work Queue, 9 to 11",
    parse: parseProtocol,
    defaultShown: "found out",
    group: "Finding a manager",
  },
  minBackoff: {
    flags: "-i, --min-backoff TIME",
    describe: "pause before coming back to a manager",
    parse: parseBackoffMs,
    default: defaultBackoff.minMs,
    defaultShown: "1s",
    group: "Finding a manager",
  },
  maxBackoff: {
    flags: "-b, --max-backoff TIME",
    describe: "longest pause; it doubles with every failure",
    parse: parseBackoffMs,
    default: defaultBackoff.maxMs,
    defaultShown: "60s",
    group: "Finding a manager",
  },
} satisfies OptionRows;

const resourceOptions = {
  cores: {
    flags: "    --cores N",
    describe: 'offer N cores; "all" is what the machine has',
    parse: amount((text) => parseCount(text), 1),
    defaultShown: "all",
    env: "CORES",
    common: true,
  },
  memory: {
    flags: "    --memory SIZE",
    describe: 'offer so much memory; a bare number is MB, "all" what the machine has',
    parse: amount(parseSizeMb, 1),
    defaultShown: "all",
    env: "MEMORY",
    common: true,
  },
  disk: {
    flags: "    --disk SIZE",
    describe: 'offer so much disk; a bare number is MB, "all" what is free',
    parse: amount(parseSizeMb, 1),
    defaultShown: "all",
    env: "DISK",
    common: true,
  },
  gpus: {
    flags: "    --gpus N",
    describe: 'offer N gpus; "all" is what the machine has',
    parse: amount((text) => parseCount(text), 0),
    defaultShown: "all",
    env: "GPUS",
    common: true,
  },
  features: {
    flags: "    --feature NAME",
    describe: "offer a feature that tasks may ask for, besides the models of the gpus",
    parse: filled("the name of the feature"),
    repeatable: true,
    group: "What it offers",
  },
  arch: {
    flags: "-A, --arch WORD",
    describe: "say that the machine is of this kind",
    parse: word,
    defaultShown: "what it is",
    group: "What it offers",
  },
  os: {
    flags: "-O, --os WORD",
    describe: "say that the operating system is this",
    parse: word,
    defaultShown: "what it is",
    group: "What it offers",
  },
  factory: {
    flags: "    --from-factory NAME",
    describe: "say that the factory NAME started this worker",
    parse: (text: string) => text.trim(),
    group: "What it offers",
  },
} satisfies OptionRows;

const lifeOptions = {
  timeout: {
    flags: "-t, --timeout TIME",
    describe: "leave after so long without tasks, or without a manager",
    parse: parseTimeMs,
    defaultShown: "15m",
    common: true,
  },
  idleTimeout: {
    flags: "    --idle-timeout TIME",
    describe: "leave a manager that sends no task for so long",
    parse: parseTimeMs,
    defaultShown: "15m",
    group: "How long it works",
  },
  connectTimeout: {
    flags: "    --connect-timeout TIME",
    describe: "give up after so long without a manager",
    parse: parseTimeMs,
    defaultShown: "15m",
    group: "How long it works",
  },
  keepTasks: {
    flags: "    --keep-tasks TIME",
    describe: "keep tasks of a manager of wqx that went away for so long, for when it is back",
    parse: parseTimeMs,
    default: keepTasksDefaultMs,
    defaultShown: "15m",
    group: "How long it works",
  },
  wallTime: {
    flags: "    --wall-time TIME",
    describe: "end after so long; managers are told when that will be",
    parse: parseTimeMs,
    defaultShown: "no end",
    group: "How long it works",
  },
  singleShot: {
    flags: "    --single-shot",
    describe: "quit after the first connection, however it ends",
    common: true,
  },
  parentDeath: {
    flags: "    --parent-death",
    describe: "quit when the process that started this worker is gone",
    group: "How long it works",
  },
  volatility: {
    flags: "    --volatility P",
    describe: "leave the manager with probability P every minute, to test it",
    parse: parseProbability,
    default: 0,
    group: "How long it works",
  },
} satisfies OptionRows;

const taskOptions = {
  workdir: {
    flags: "-s, --workdir FOLDER",
    describe: "keep cache and sandboxes under FOLDER",
    parse: filled("the name of the folder"),
    defaultShown: "TMPDIR or /tmp",
    common: true,
  },
  noSymlinks: {
    flags: "    --disable-symlinks",
    describe: "fail where an input cannot be a hard link, rather than make a symbolic one",
    group: "Tasks",
  },
  coprocess: {
    flags: "    --coprocess COMMAND",
    describe: "run COMMAND beside the worker; it calls functions for tasks that ask for them",
    parse: filled("the command"),
    group: "Tasks",
  },
  coprocessesTotal: {
    flags: "    --coprocesses-total N",
    describe: "so many of them",
    parse: (text: string) => parseCount(text),
    defaultShown: "one a core",
    group: "Tasks",
  },
  coprocessCores: {
    flags: "    --coprocess-cores N",
    describe: "tell managers that each of them has N cores",
    parse: (text: string) => parseCount(text),
    defaultShown: "all",
    group: "Tasks",
  },
  coprocessMemory: {
    flags: "    --coprocess-memory SIZE",
    describe: "… so much memory; a bare number is MB",
    parse: parseSizeMb,
    defaultShown: "all",
    group: "Tasks",
  },
  coprocessDisk: {
    flags: "    --coprocess-disk SIZE",
    describe: "… so much disk; a bare number is MB",
    parse: parseSizeMb,
    defaultShown: "all",
    group: "Tasks",
  },
  coprocessGpus: {
    flags: "    --coprocess-gpus N",
    describe: "… N gpus",
    parse: (text: string) => parseCount(text),
    defaultShown: "all",
    group: "Tasks",
  },
  noWarmPython: {
    flags: "    --no-warm-python",
    describe: "start an interpreter for every Python script, in place of forking one that has " +
      "imported what such scripts import",
    group: "Tasks",
  },
  noNativeEnvironments: {
    flags: "    --no-native-environments",
    describe:
      "leave packed environments of tasks to the poncho_package_run that comes with them, " +
      "in place of unpacking each once for all tasks",
    group: "Tasks",
  },
  taskWrapper: {
    flags: "    --task-wrapper COMMAND",
    describe: "run tasks by COMMAND; {} in it is the task's command, [] the same quoted",
    parse: filled("the command"),
    group: "Tasks",
  },
} satisfies OptionRows;

const debuggingOptions = {
  ...debugOptions("log what happens in wq, tcp, auth, http, or in all"),
  debugRotateMax: rotateOption("    --debug-rotate-max BYTES"),
  version: versionOption,
} satisfies OptionRows;

/** What `describe` says is why they do nothing; {@link notesOn} repeats it to who gives one. */
const ignoredOptions = {
  tcpWindowSize: {
    flags: "-w, --tcp-window-size N",
    describe: "the system finds the size by itself",
    parse: asText,
    env: "TCP_WINDOW_SIZE",
    group: ignoredGroup,
  },
  tlq: {
    flags: "    --tlq PORT",
    describe: "there is no TLQ server to send the log to",
    parse: parsePort,
    group: ignoredGroup,
  },
  diskAllocation: {
    flags: "    --disk-allocation",
    describe: "tasks get no file system of their own, so their disk use is not limited",
    group: ignoredGroup,
  },
  advertise: { flags: "-a, --advertise", describe: "only foremen advertise", group: ignoredGroup },
  measureCapacity: {
    flags: "-c, --measure-capacity",
    describe: "managers measure it, as in cctools",
    group: ignoredGroup,
  },
  capacity: {
    flags: "-p X",
    describe: "unused in cctools too",
    parse: asText,
    group: ignoredGroup,
  },
  diskThreshold: {
    flags: "-z, --disk-threshold X",
    describe: "unused in cctools too: see --disk",
    parse: asText,
    group: ignoredGroup,
  },
  memoryThreshold: {
    flags: "    --memory-threshold X",
    describe: "unused in cctools too: see --memory",
    parse: asText,
    group: ignoredGroup,
  },
  fastAbort: foremanDetail("-F, --fast-abort X"),
  specifyLog: foremanDetail("    --specify-log FILE"),
  bandwidth: foremanDetail("    --bandwidth N"),
} satisfies OptionRows;

const refused = "Not to be had: without what they ask for, tasks would wait for ever";

/** As above, but a worker that went on would not be what was asked for. */
const refusedOptions = {
  foreman: {
    flags: "    --foreman",
    describe: "wqx has no foremen; connect all workers to the manager, which serves thousands",
    group: refused,
  },
  foremanName: foremanOption("-f, --foreman-name NAME"),
  foremanPort: foremanOption("    --foreman-port PORT"),
  foremanPortFile: foremanOption("-Z, --foreman-port-file FILE"),
} satisfies OptionRows;

export const workerOptions = {
  ...managerOptions,
  ...resourceOptions,
  ...lifeOptions,
  ...taskOptions,
  ...debuggingOptions,
  ...ignoredOptions,
  ...refusedOptions,
} as const satisfies OptionRows;

/** A line for each option that does nothing here. Throws a UsageError for one that is refused. */
export function notesOn(options: Readonly<Record<string, unknown>>): string[] {
  for (const row of givenOf(refusedOptions, options)) {
    throw new UsageError(`Cannot take ${nameOf(row)}: ${row.describe}`);
  }
  return ignoredNotes(ignoredOptions, options);
}

function foremanDetail(flags: string) {
  return {
    flags,
    describe: "it is for foremen, which wqx has not",
    parse: asText,
    group: ignoredGroup,
  };
}

function foremanOption(flags: string) {
  return { flags, describe: "wqx has no foremen, see --foreman", parse: asText, group: refused };
}

/**
 * So many of what the machine has; nothing, or less than `min`, is all of it, as in cctools. Of
 * `2.000`, which its factories write, the leading digits count.
 */
function amount(parse: (text: string) => number, min: number): (text: string) => number | "all" {
  return (text) => {
    const digits = /^\s*([+-]?\d+)(?:\.\d*)?\s*$/.exec(text)?.[1] ?? text.trim();
    if (digits === "" || digits.toLowerCase() === "all" || Number(digits) < min) return "all";
    return parse(digits);
  };
}

/** A field of the greeting. */
function word(text: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text;
  throw new UsageError(`"${text}" is not one word of plain letters`);
}

function parseProtocol(text: string): number {
  const protocol = parseCount(text);
  if (protocolsTried.includes(protocol)) return protocol;
  throw new UsageError(`"${text}" is no protocol that wqx speaks: it can be 9, 10 or 11`);
}

function parseBackoffMs(text: string): number {
  const ms = parseTimeMs(text);
  if (ms > 0 && ms <= backoffMsMax) return ms;
  throw new UsageError(`"${text}" is no pause: it is more than 0 and 1d at most`);
}

function parseProbability(text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (value >= 0 && value <= 1) return value;
  throw new UsageError(`"${text}" is not a probability: it is 0 to 1`);
}
