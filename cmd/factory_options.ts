/**
 * Options of `wqx factory`: those of Work Queue's factory, with its letters, units and defaults,
 * and a few of our own.
 */
import { UsageError } from "../core/errors.ts";
import { bothRequirements } from "../core/factory/worker_command.ts";
import { type FactorySettings, settingsDefault } from "../core/factory/settings.ts";
import { projectPattern } from "../core/catalog/selection.ts";
import { parseJoinToken } from "../core/pin.ts";
import { parseCount, parseSizeMb, parseTimeMs } from "../core/units.ts";
import { batchSystemName, batchSystemNames } from "../factory/batch/mod.ts";
import { type OptionRows, type OptionsOf, outputOptions, versionOption } from "./cli.ts";
import { debugOptions } from "./debug_log.ts";
import { asText, filled, timeAtLeast } from "./option_values.ts";

/** A catalog that is asked more often than this serves nobody else. */
const intervalMsMin = 100;

/** Of cctools, and not of wqx. */
const otherSystems: Readonly<Record<string, string>> = {
  wq: "it runs workers inside workers, and breaks at the first one in cctools",
  vine: "it runs workers inside workers, and breaks at the first one in cctools",
  amazon: "start instances by the tools of your account, and wqx worker on them",
};

function parseBatchType(text: string): string {
  const name = text.trim().toLowerCase();
  if (Object.hasOwn(otherSystems, name)) {
    throw new UsageError(`wqx has no batch system "${name}": ${otherSystems[name]}`);
  }
  return batchSystemName(name);
}

const targetOptions = {
  batchType: {
    flags: "-T, --batch-type SYSTEM",
    describe: `where workers run: ${batchSystemNames.join(", ")}`,
    parse: parseBatchType,
    common: true,
  },
  configFile: {
    flags: "-C, --config-file FILE",
    describe: "settings in JX, JSON or YAML, read again whenever the file changes",
    parse: filled("the name of the file"),
    common: true,
  },
  project: {
    flags: "-M, --manager-name REGEX",
    describe: "serve managers whose whole project name matches, found in the catalog",
    parse: parseName,
    common: true,
  },
  projectByOldName: {
    flags: "-N, --master-name REGEX",
    describe: "the same, as older scripts write it",
    parse: parseName,
    group: "Whom to serve",
  },
  foremen: {
    flags: "-F, --foremen-name REGEX",
    describe: "give the workers to foremen of these names",
    parse: parseName,
    group: "Whom to serve",
  },
  catalogs: {
    flags: "    --catalog HOST[:PORT],…",
    describe: "catalogs to ask, in this order, in place of CATALOG_HOST",
    parse: asText,
    defaultShown: "those of Notre Dame",
    group: "Whom to serve",
  },
  password: {
    flags: "-P, --password FILE",
    describe: "the file with the password that manager and workers share",
    parse: filled("the name of the file"),
    common: true,
  },
  join: {
    flags: "    --join TOKEN",
    describe: "serve the manager that printed TOKEN; workers and we speak TLS with it",
    parse: parseJoinToken,
    group: "Whom to serve",
  },
  tls: {
    flags: "    --ssl",
    describe: "workers speak TLS, and so do we to a manager at HOST PORT",
    group: "Whom to serve",
  },
  factoryName: {
    flags: "    --factory-name NAME",
    describe: "managers hold this factory's workers to its --max-workers by this name",
    parse: filled("the name"),
    group: "Whom to serve",
  },
} satisfies OptionRows;

const countOptions = {
  minWorkers: {
    flags: "-w, --min-workers N",
    describe: "keep at least N workers",
    parse: (text: string) => parseCount(text),
    default: settingsDefault.minWorkers,
    common: true,
  },
  maxWorkers: {
    flags: "-W, --max-workers N",
    describe: "keep at most N workers",
    parse: (text: string) => parseCount(text, { min: 1 }),
    default: settingsDefault.maxWorkers,
    common: true,
  },
  workersPerCycle: {
    flags: "    --workers-per-cycle N",
    describe: "start at most N at a time, and wait until they are connected; 0: all at once",
    parse: parseWhole,
    default: settingsDefault.workersPerCycle,
    group: "How many workers",
  },
  tasksPerWorker: {
    flags: "    --tasks-per-worker N",
    describe: "count N tasks for a worker",
    parse: parseTasksPerWorker,
    defaultShown: "its cores, or 1",
    group: "How many workers",
  },
  capacity: {
    flags: "-c, --capacity",
    describe: "start no more than managers say they can feed",
    group: "How many workers",
  },
  timeout: {
    flags: "-t, --timeout TIME",
    describe: "workers leave after so long without tasks",
    parse: parseSeconds,
    default: settingsDefault.timeoutS,
    defaultShown: "5m",
    common: true,
  },
  factoryTimeout: {
    flags: "    --factory-timeout TIME",
    describe: "end after so long without any manager; 0: never",
    parse: parseSeconds,
    default: 0,
    defaultShown: "never",
    group: "How many workers",
  },
  interval: {
    flags: "    --interval TIME",
    describe: "look at managers and jobs so often",
    parse: timeAtLeast(intervalMsMin),
    defaultShown: "10s; 30s as work_queue_factory",
    group: "How many workers",
  },
  keepWaiting: {
    flags: "    --keep-waiting-jobs",
    describe: "leave jobs in the queue that nobody needs any more",
    group: "How many workers",
  },
  removeAfter: {
    flags: "    --remove-after TIME",
    describe: "remove waiting jobs that were not needed for so long; running ones leave alone",
    parse: parseTimeMs,
    default: 120_000,
    defaultShown: "2m",
    group: "How many workers",
  },
  connectTimeout: {
    flags: "    --unconnected-after TIME",
    describe: "name hosts on which workers run for so long and are not connected",
    parse: parseTimeMs,
    default: 300_000,
    defaultShown: "5m",
    group: "How many workers",
  },
  dryRun: {
    flags: "    --dry-run",
    describe: "print the plan and its reason, submit nothing",
    common: true,
  },
} satisfies OptionRows;

const sizeOptions = {
  cores: {
    flags: "    --cores N",
    describe: "cores of a worker",
    parse: unlessUnset((text) => parseCount(text)),
    defaultShown: "what the machine has",
    common: true,
  },
  memory: {
    flags: "    --memory SIZE",
    describe: "memory of a worker; a bare number is MB",
    parse: unlessUnset(parseSizeMb),
    defaultShown: "what the machine has",
    common: true,
  },
  disk: {
    flags: "    --disk SIZE",
    describe: "disk of a worker; a bare number is MB",
    parse: unlessUnset(parseSizeMb),
    defaultShown: "what the machine has",
    common: true,
  },
  gpus: {
    flags: "    --gpus N",
    describe: "gpus of a worker",
    parse: unlessUnset((text) => parseCount(text)),
    defaultShown: "what the machine has",
    common: true,
  },
  wallTime: {
    flags: "    --walltime TIME",
    describe: "time limit of each job; workers know it and give back their tasks before",
    parse: parseSeconds,
    defaultShown: "what the batch system gives",
    common: true,
  },
  autosize: {
    flags: "    --autosize",
    describe: "workers as large as the slot they get (condor, k8s)",
    group: "Workers",
  },
  features: {
    flags: "    --feature NAME",
    describe: "workers offer a feature that tasks may ask for",
    parse: filled("the name of the feature"),
    repeatable: true,
    group: "Workers",
  },
} satisfies OptionRows;

const workerOptions = {
  workerBinary: {
    flags: "    --worker-binary FILE",
    describe: "start this worker",
    parse: filled("the name of the file"),
    defaultShown: "wqx itself",
    group: "Workers",
  },
  extraOptions: {
    flags: "-E, --extra-options WORDS",
    describe: "append to the worker's command line, as a shell reads them",
    parse: asText,
    default: "",
    defaultShown: "none",
    group: "Workers",
  },
  env: {
    flags: "    --env NAME=VALUE",
    describe: "set this variable for the workers",
    parse: parseVariable,
    repeatable: true,
    group: "Workers",
  },
  wrappers: {
    flags: "    --wrapper COMMAND",
    describe: "start workers by COMMAND; of several the last is outermost",
    parse: filled("the command"),
    repeatable: true,
    group: "Workers",
  },
  wrapperInputs: {
    flags: "    --wrapper-input FILE",
    describe: "send this file along, for a wrapper",
    parse: filled("the name of the file"),
    repeatable: true,
    group: "Workers",
  },
  taskWrapper: {
    flags: "    --task-wrapper COMMAND",
    describe: "workers run tasks by COMMAND",
    parse: filled("the command"),
    group: "Workers",
  },
  ponchoEnv: environment("poncho-env"),
  pythonEnv: environment("python-env"),
  pythonPackage: environment("python-package"),
  runos: {
    flags: "    --runos IMAGE",
    describe: "start workers by Notre Dame's runos with this image",
    parse: filled("the name of the image"),
    group: "Workers",
  },
} satisfies OptionRows;

const systemOptions = {
  batchOptions: {
    flags: "-B, --batch-options WORDS",
    describe: "hand these to the batch system with each job",
    parse: asText,
    default: "",
    defaultShown: "none",
    env: "BATCH_OPTIONS",
    group: "Batch system",
  },
  scratch: {
    flags: "-S, --scratch-dir FOLDER",
    describe: "keep the files of jobs in a folder of our own in FOLDER",
    parse: filled("the name of the folder"),
    defaultShown: "wq-factory-UID",
    group: "Batch system",
  },
  condorRequirements: {
    flags: "    --condor-requirements EXPR",
    describe: "what HTCondor's machines must have; several must all hold",
    parse: filled("the expression"),
    repeatable: true,
    group: "Batch system",
  },
  noAfsCheck: {
    flags: "    --disable-afs-check",
    describe: "let HTCondor use a scratch folder in AFS",
    group: "Batch system",
  },
  k8sImage: {
    flags: "    --k8s-image IMAGE",
    describe: "container image",
    parse: filled("the name of the image"),
    default: "centos",
    group: "Batch system",
  },
  k8sWorkerImage: {
    flags: "    --k8s-worker-image IMAGE",
    describe: "container image that has the worker in it",
    parse: filled("the name of the image"),
    group: "Batch system",
  },
  amazonConfig: {
    flags: "    --amazon-config FILE",
    describe: "only with -T amazon, which wqx has not",
    parse: asText,
    group: "Batch system",
  },
  asManager: {
    flags: "    --run-factory-as-manager",
    describe: "only with -T wq, which wqx has not",
    group: "Batch system",
  },
  parentDeath: {
    flags: "    --parent-death",
    describe: "stop when the process that started this factory is gone",
    group: "Batch system",
  },
} satisfies OptionRows;

const debuggingOptions = {
  ...debugOptions("log what happens in wq, or in all"),
  debugFileSize: {
    flags: "-O, --debug-file-size SIZE",
    describe: "begin a new log at this size and keep one old; 0 never does",
    parse: parseSizeMb,
    default: 10,
    defaultShown: "10MB",
    group: "Finding the cause of trouble",
  },
  version: versionOption,
} satisfies OptionRows;

export const factoryOptions = {
  ...targetOptions,
  ...countOptions,
  ...sizeOptions,
  ...workerOptions,
  ...systemOptions,
  ...debuggingOptions,
  ...outputOptions,
} as const satisfies OptionRows;

export type FactoryCommandOptions = OptionsOf<typeof factoryOptions>;

/** What the command line says, before any configuration file. Throws a UsageError. */
export function settingsOf(options: FactoryCommandOptions, asWorkQueue: boolean): FactorySettings {
  const { minWorkers, maxWorkers } = options;
  if (minWorkers > maxWorkers) {
    throw new UsageError(
      `At least ${minWorkers} workers (--min-workers) are more than at most ${maxWorkers} ` +
        `(--max-workers)`,
    );
  }
  return {
    managerName: options.project ?? options.projectByOldName ?? null,
    foremenName: options.foremen ?? null,
    minWorkers,
    maxWorkers,
    workersPerCycle: Math.max(0, options.workersPerCycle),
    tasksPerWorker: options.tasksPerWorker ?? (asWorkQueue ? null : "cores"),
    cores: options.cores ?? null,
    memoryMb: options.memory ?? null,
    diskMb: options.disk ?? null,
    gpus: options.gpus ?? null,
    timeoutS: options.timeout,
    factoryTimeoutS: options.factoryTimeout,
    capacity: options.capacity,
    autosize: options.autosize,
    factoryName: options.factoryName ?? null,
    extraOptions: options.extraOptions,
    condorRequirements: options.condorRequirements.reduce<string | null>(bothRequirements, null),
  };
}

function environment(name: string) {
  return {
    flags: `    --${name} FILE`,
    describe: "run each worker in this packed environment",
    parse: filled("the name of the file"),
    group: "Workers",
  };
}

/** Kept as it is written: workers are given it too. */
function parseName(text: string): string {
  projectPattern(text);
  return text;
}

function parseSeconds(text: string): number {
  return Math.ceil(parseTimeMs(text) / 1000);
}

function parseWhole(text: string): number {
  if (/^\s*[+-]?\d+\s*$/.test(text)) return Number(text);
  throw new UsageError(`"${text}" is not a whole number`);
}

/** Work Queue takes a fraction and drops what is behind the point; 0 and less are as not given. */
function parseTasksPerWorker(text: string): number | undefined {
  if (!/^\s*[+-]?\d+(\.\d*)?\s*$/.test(text)) throw new UsageError(`"${text}" is not a number`);
  const tasks = Math.trunc(Number(text));
  return tasks > 0 ? tasks : undefined;
}

/** In Work Queue -1 stands for "not given". */
function unlessUnset(parse: (text: string) => number): (text: string) => number | undefined {
  return (text) => /^\s*-1(\.0*)?\s*$/.test(text) ? undefined : parse(text);
}

/** The value is all that follows the first `=`. */
function parseVariable(text: string): readonly [string, string] {
  const [, name, value] = /^([^=\s]+)=([^]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new UsageError(`"${text}" is no variable: write NAME=VALUE`);
  }
  return [name, value];
}
