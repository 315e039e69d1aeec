/** `wqx factory -T SYSTEM -M PROJECT`, also known as `work_queue_factory` */
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { type Address, parseManagers } from "../core/addresses.ts";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import { addressesOf } from "../core/pin.ts";
import type { FactorySettings } from "../core/factory/settings.ts";
import { workerCommand, type WorkerTerms } from "../core/factory/worker_command.ts";
import { protocolsSpoken } from "../core/protocol/messages.ts";
import { parsePort } from "../core/units.ts";
import { BatchError, type BatchSystem } from "../factory/batch/batch_system.ts";
import { openBatchSystem } from "../factory/batch/mod.ts";
import { ConfigFile } from "../factory/config_file.ts";
import { packWorker } from "../factory/pack_worker.ts";
import { Factory, type FactoryOptions, type Live, type Stops } from "../factory/run.ts";
import { jobNameOf, Scratch, type ScratchPlace } from "../factory/scratch.ts";
import { catalogsOf } from "../io/catalog_client.ts";
import { readPasswordFile } from "../io/handshake.ts";
import type { DebugLog } from "../io/log.ts";
import { ignoring, interrupts, stopSignal } from "../io/signals.ts";
import { defineCommand } from "./cli.ts";
import { version } from "./commands.ts";
import { openLog } from "./debug_log.ts";
import { type FactoryCommandOptions, factoryOptions, settingsOf } from "./factory_options.ts";
import { factoryOutput } from "./factory_output.ts";
import type { Terminal } from "./render.ts";

const intervalMsDefault = 10_000;
const intervalMsOfWorkQueue = 30_000;

/** Batch systems whose slots have sizes of their own, which jobs are told by the system. */
const slotSystems: readonly string[] = ["condor"];

export const command = defineCommand({
  name: "factory",
  purpose: "Keep the right number of workers running on a batch system.",
  usage: ["-T SYSTEM -M PROJECT [options]", "-T SYSTEM HOST PORT [options]"],
  examples: [
    ["factory -T local -M demo", "workers on this machine"],
    ["factory -T slurm -M demo -W 100 --cores 4", "up to 100 on the cluster"],
    ["factory -T condor -C factory.jx -P pw.txt", "settings from a file that may change"],
    ["factory -T slurm -M demo --dry-run", "what would be done now, and why"],
  ],
  arguments: {
    host: { name: "HOST", describe: "host name or address of the manager", optional: true },
    port: { name: "PORT", describe: "port that the manager listens on", optional: true },
  },
  options: factoryOptions,
  async run({ options, arguments: { host, port }, terminal, program }) {
    const asWorkQueue = !program.startsWith("wqx ");
    const note = (line: string) => terminal.stderr.write(`${line}\n`);
    const batchType = batchTypeOf(options);
    refuseWhatIsNotThere(options);
    const started = startedSettings(options, asWorkQueue, note);
    const manager = managerOf(host, port, started.settings, options);
    const output = factoryOutput(terminal, options, asWorkQueue);
    if (started.config !== null) output.loaded(started.config.path, started.settings);
    using log = openLog(
      { ...options, debugRotateMax: options.debugFileSize * 1024 ** 2 },
      program,
    );
    if (started.settings.condorRequirements !== null && batchType !== "condor") {
      note("The requirements of HTCondor mean nothing to -T " + batchType);
    }
    const setup: Setup = { ...started, options, batchType, manager, output, terminal, log, note };
    try {
      return await (options.dryRun ? dryRun(setup, asWorkQueue) : work(setup, asWorkQueue));
    } catch (error) {
      if (error instanceof BatchError) throw new RunError(error.message);
      throw error;
    }
  },
});

type Options = FactoryCommandOptions;

interface Setup {
  readonly settings: FactorySettings;
  readonly config: ConfigFile | null;
  readonly options: Options;
  readonly batchType: string;
  /** `null`: by name. */
  readonly manager: Address | null;
  readonly output: FactoryOptions["output"];
  readonly terminal: Terminal;
  readonly log: DebugLog;
  readonly note: (line: string) => void;
}

async function work(setup: Setup, asWorkQueue: boolean): Promise<number> {
  const { options, note, settings, batchType } = setup;
  const password = options.password === undefined
    ? null
    : await readPasswordFile(options.password, note);
  using scratch = Scratch.open(placeOf(setup));
  refuseAfs(batchType, scratch.path, options.noAfsCheck);
  const packed = packWorker(scratch, {
    binary: options.workerBinary ?? null,
    wrappers: options.wrappers,
    wrapperInputs: options.wrapperInputs,
    environments: environmentsOf(options),
    unpacksInScratch: batchType === "local",
    runos: options.runos ?? null,
    inImage: options.k8sWorkerImage !== undefined,
    password,
  });
  const live: Live = { settings, hostsBlocked: [] };
  const batch = openBatch(setup, scratch.path, live);
  using stops = stopsOf(options.parentDeath);
  await batch.check(stops.stop);
  const factory = new Factory(
    {
      ...commonOptions(setup, scratch.id, asWorkQueue),
      terms: termsOf(setup, packed.program, packed.wrappers),
      password,
      inputs: packed.inputs,
    },
    batch,
    scratch,
    live,
  );
  return await factory.run(stops);
}

async function dryRun(setup: Setup, asWorkQueue: boolean): Promise<number> {
  const { options, settings, terminal, output } = setup;
  const password = options.password === undefined
    ? null
    : await readPasswordFile(options.password, setup.note);
  const { path, id, jobs } = Scratch.peek(placeOf(setup));
  const live: Live = { settings, hostsBlocked: [] };
  const terms = termsOf(setup, "./work_queue_worker", options.wrappers);
  const scratch = { jobsBefore: jobs, jobName: jobNameOf(path), keep() {}, removePassword() {} };
  const common = commonOptions(setup, id ?? "", asWorkQueue);
  // Batch systems write into their folder to see whether they can.
  const tried = await Deno.makeTempDir({ prefix: "wqx-factory-" });
  try {
    const batch = openBatch(setup, id === null ? tried : path, live);
    const factory = new Factory({ ...common, terms, password, inputs: [] }, batch, scratch, live);
    using stops = stopsOf(options.parentDeath);
    await batch.check(stops.stop).catch((error) => output.say(messageOf(error)));
    await factory.planOnce(id !== null, stops.stop);
  } finally {
    await Deno.remove(tried, { recursive: true });
  }
  if (!options.json) {
    terminal.stdout.write(`A worker would be started by: ${workerCommand(terms, settings)}\n`);
  }
  return 0;
}

function commonOptions(
  { options, settings, config, batchType, manager, output, log }: Setup,
  id: string,
  asWorkQueue: boolean,
) {
  return {
    settings,
    config,
    facts: {
      id,
      port: -1 - crypto.getRandomValues(new Uint16Array(1))[0]!,
      owner: userInfo().username,
      version: `wqx ${version}`,
      batchType,
    },
    // With the manager's address alone, nobody else need know that we are there.
    catalogs: manager === null || options.catalogs !== undefined || Deno.env.get("CATALOG_HOST")
      ? catalogsOf(options.catalogs)
      : [],
    // Workers of others may speak what we do not know.
    protocols: options.workerBinary === undefined ? protocolsSpoken : null,
    env: Object.fromEntries(options.env),
    intervalMs: options.interval ?? (asWorkQueue ? intervalMsOfWorkQueue : intervalMsDefault),
    removeAfterMs: options.keepWaiting ? null : options.removeAfter,
    connectMsMax: options.connectTimeout,
    output,
    debug: (line: string) => log.write("wq", line),
  };
}

function openBatch({ options, batchType, note }: Setup, scratch: string, live: Live): BatchSystem {
  const { k8sImage, k8sWorkerImage } = options;
  return openBatchSystem(batchType, {
    scratch,
    batchOptions: options.batchOptions,
    requirements: () => live.settings.condorRequirements,
    hostsBlocked: () => live.hostsBlocked,
    autosize: () => live.settings.autosize,
    extra: {
      "k8s-image": k8sImage,
      ...(k8sWorkerImage === undefined ? {} : { "k8s-worker-image": k8sWorkerImage }),
    },
    env: Deno.env.toObject(),
    note,
  });
}

function termsOf(
  { options, manager, batchType }: Setup,
  program: string,
  wrappers: readonly string[],
): WorkerTerms {
  return {
    program,
    wrappers,
    manager,
    join: options.join ?? null,
    catalogs: manager === null ? catalogsOf(options.catalogs) : [],
    passwordFile: options.password === undefined ? null : "pwfile",
    tls: options.tls,
    taskWrapper: options.taskWrapper ?? null,
    features: options.features,
    wallTimeS: options.wallTime ?? null,
    size: slotSystems.includes(batchType) ? "slot" : "settings",
  };
}

function batchTypeOf({ batchType, asManager }: Options): string {
  if (asManager) {
    throw new UsageError("--run-factory-as-manager belongs to -T wq, which wqx has not");
  }
  if (batchType !== undefined) return batchType;
  throw new UsageError("Say where workers are to run: -T local, -T slurm, -T condor …");
}

function refuseWhatIsNotThere({ amazonConfig, join, workerBinary, k8sWorkerImage }: Options): void {
  if (join !== undefined && (workerBinary ?? k8sWorkerImage) !== undefined) {
    throw new UsageError(
      `Cannot give --join to the workers of ${workerBinary ?? k8sWorkerImage}: only those of wqx ` +
        "know it; give HOST PORT, and --ssl if the manager takes it",
    );
  }
  if (amazonConfig === undefined) return;
  throw new UsageError("--amazon-config belongs to -T amazon, which wqx has not");
}

/** Those of the command line, or of the configuration where there is one. */
function startedSettings(
  options: Options,
  asWorkQueue: boolean,
  note: (line: string) => void,
): { settings: FactorySettings; config: ConfigFile | null } {
  const settings = settingsOf(options, asWorkQueue);
  if (options.configFile === undefined) return { settings, config: null };
  const config = new ConfigFile(resolve(options.configFile), settings);
  const loaded = config.load();
  loaded.warnings.forEach(note);
  return { settings: loaded.settings, config };
}

function managerOf(
  host: string | undefined,
  port: string | undefined,
  { managerName }: FactorySettings,
  { configFile, join }: Options,
): Address | null {
  if (join !== undefined) {
    if (host === undefined) return addressesOf(join)[0]!;
    throw new UsageError(`Give either --join or ${host}, not both: the token says whom to serve`);
  }
  if (host !== undefined && port !== undefined) return { host, port: parsePort(port) };
  // Work Queue takes no notice of a lone argument; `HOST:PORT` is what was meant.
  const [address] = host === undefined ? [] : parseManagers(host);
  if (address !== undefined) return address;
  if (managerName !== null) return null;
  throw new UsageError(
    configFile === undefined
      ? "Say whom to serve: -M with a project name, or HOST PORT"
      : `${configFile}: manager name is missing and no manager host was given.`,
  );
}

/** The same for a factory that is started again by the same words. */
function placeOf({ options, settings, config, batchType, manager }: Setup): ScratchPlace {
  const target = manager === null
    ? config === null ? settings.managerName ?? "" : config.path
    : `${manager.host}:${manager.port}`;
  const label = manager === null ? settings.managerName ?? "" : target;
  return {
    base: options.scratch ?? join(Deno.cwd(), `wq-factory-${Deno.uid() ?? 0}`),
    identity: [batchType, label, target, settings.foremenName ?? "", settings.factoryName ?? ""],
  };
}

function refuseAfs(batchType: string, path: string, unchecked: boolean): void {
  if (batchType !== "condor" || unchecked || !/^\/afs(\/|$)/.test(path)) return;
  throw new UsageError(
    `HTCondor cannot use the scratch folder ${path} in AFS: name another --scratch-dir, or ` +
      `give --disable-afs-check if you know better`,
  );
}

function environmentsOf({ ponchoEnv, pythonEnv, pythonPackage }: Options): string[] {
  return [ponchoEnv, pythonEnv, pythonPackage].filter((path) => path !== undefined);
}

const parentGone = "parent process exited, shutting down";

/** Ctrl-C and its like stop, the second one ends at once; SIGHUP is taken no notice of. */
function stopsOf(withParent: boolean): Stops & Disposable {
  const pressed = interrupts();
  const told = stopSignal({ signals: ["SIGQUIT"], withParent, reason: () => "SIGQUIT" });
  const hangup = ignoring("SIGHUP");
  const gone = new AbortController();
  told.signal.addEventListener("abort", () => {
    gone.abort(told.signal.reason === "SIGQUIT" ? undefined : parentGone);
  });
  return {
    stop: AbortSignal.any([pressed.stop, gone.signal]),
    abort: pressed.abort,
    [Symbol.dispose]() {
      pressed[Symbol.dispose]();
      told[Symbol.dispose]();
      hangup[Symbol.dispose]();
    },
  };
}
