/** `wqx worker HOST PORT`, also known as `work_queue_worker` */
import { type Address, parseManagers } from "../core/addresses.ts";
import { naming, UsageError } from "../core/errors.ts";
import { parsePorts } from "../core/units.ts";
import { type Backoff, volatileMs } from "../core/worker/backoff.ts";
import { CatalogClient, catalogsOf } from "../io/catalog_client.ts";
import { readPasswordFile } from "../io/handshake.ts";
import { selfCommand } from "../io/self.ts";
import { type NumberedSignal, stopSignal } from "../io/signals.ts";
import type { IpMode } from "../io/connect.ts";
import {
  CatalogManagers,
  type CatalogQuery,
  joinedManager,
  listedManagers,
  type ManagerSource,
} from "../worker/find_manager.ts";
import { type CoprocessSettings, type DebugSubsystem, runWorker } from "../worker/run.ts";
import type { Leave } from "../worker/session.ts";
import { defineCommand, type OptionsOf } from "./cli.ts";
import { version } from "./commands.ts";
import { openLog } from "./debug_log.ts";
import { notesOn, timeoutDefaultMs, workerOptions } from "./worker_options.ts";

/** By which batch systems and people end workers. */
const stoppingSignals: readonly NumberedSignal[] = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
];

/** Read as options are; not for tasks, which get their own. */
const resourceVariables = ["CORES", "MEMORY", "DISK", "GPUS"];

type Options = OptionsOf<typeof workerOptions>;

export const command = defineCommand({
  name: "worker",
  purpose: "Run tasks for a manager, many at once, until there is no more work.",
  usage: [
    "HOST PORT [options]",
    "--join TOKEN [options]",
    '"HOST:PORT;HOST:PORT;…" [options]',
    "-M PROJECT [options]",
  ],
  examples: [
    ["worker --join TOKEN", "serve the manager that printed the token"],
    ["worker login1.site.edu 9123", "serve the manager on that host and port, in plain text"],
    ["worker localhost 9123 --cores 4 --memory 8GB", "offer less than the whole machine"],
    ["worker -M 'ana.*' --timeout 1h", "serve managers of these names, one after the other"],
  ],
  arguments: {
    host: {
      name: "HOST",
      describe: "host name or address of the manager, or several as HOST:PORT;HOST:PORT",
      optional: true,
    },
    port: { name: "PORT", describe: "port that the manager listens on", optional: true },
  },
  options: workerOptions,
  async run({ options, arguments: { host, port }, terminal, program }) {
    const backoff = backoffOf(options);
    const notes = notesOn(options);
    using log = openLog(options, program);
    const debug = (subsystem: DebugSubsystem, line: string) => log.write(subsystem, line);
    const note = (line: string) => terminal.stderr.write(`${line}\n`);
    const managers = managersOf(options, host, port, {
      log: note,
      debug: (line) => debug("http", line),
    });
    const password = options.password === undefined
      ? null
      : await readPasswordFile(options.password, note);
    const ipMode = ipModeOf(Deno.env.get("CCTOOLS_IP_MODE"));
    notes.forEach(note);
    for (const name of resourceVariables) Deno.env.delete(name);
    const { timeout = timeoutDefaultMs, volatility } = options;
    using stop = stopSignal({
      signals: stoppingSignals,
      withParent: options.parentDeath,
      reason: vacating,
    });
    await runWorker({
      managers,
      protocol: options.protocol,
      password,
      ipMode,
      resources: {
        cores: unlessAll(options.cores),
        memoryMb: unlessAll(options.memory),
        diskMb: unlessAll(options.disk),
        gpus: unlessAll(options.gpus),
      },
      features: options.features,
      os: options.os,
      arch: options.arch,
      factory: options.factory || null,
      workdir: options.workdir ?? workdirHere(),
      symlinks: !options.noSymlinks,
      taskWrapper: options.taskWrapper,
      warmPython: !options.noWarmPython,
      nativeEnvironments: !options.noNativeEnvironments,
      coprocess: coprocessOf(options),
      wqx: selfCommand(),
      version,
      limits: {
        idleTimeoutMs: options.idleTimeout ?? timeout,
        // After a single shot it never comes back.
        keepTasksMs: options.singleShot ? 0 : options.keepTasks,
      },
      backoff,
      connectTimeoutMs: options.connectTimeout ?? timeout,
      wallTimeMs: options.wallTime || null,
      volatileAfterMs: () => volatileMs(volatility, Math.random),
      singleShot: options.singleShot,
      log: note,
      debug,
    }, stop.signal);
    return 0;
  },
});

function unlessAll(value: number | "all" | undefined): number | undefined {
  return value === "all" ? undefined : value;
}

function coprocessOf(options: Options): CoprocessSettings | null {
  if (options.coprocess === undefined) return null;
  const { coprocess: command, coprocessesTotal, coprocessCores, coprocessMemory } = options;
  const sizes = {
    cores: coprocessCores,
    memoryMb: coprocessMemory,
    diskMb: options.coprocessDisk,
    gpus: options.coprocessGpus,
  };
  // As in Work Queue, no number and 0 mean one a core, and all there is.
  const said = Object.entries(sizes).filter(([, size]) => size !== undefined && size > 0);
  return { command, count: coprocessesTotal || null, resources: Object.fromEntries(said) };
}

function managersOf(
  options: Options,
  host: string | undefined,
  port: string | undefined,
  logs: Pick<CatalogQuery, "log" | "debug">,
): ManagerSource {
  const project = options.project ?? options.projectByOldName;
  if (options.join !== undefined) {
    const other = project === undefined ? host : `-M "${project.text}"`;
    if (other === undefined) return joinedManager(options.join);
    throw new UsageError(`Give either --join or ${other}, not both: the token says whom to serve`);
  }
  if (project === undefined) return listedManagers(addressesOf(host, port), options.tls);
  if (host !== undefined) {
    throw new UsageError(`Give either -M "${project.text}" or the manager "${host}", not both`);
  }
  return new CatalogManagers({
    client: new CatalogClient(catalogsOf(options.catalogs), { debug: logs.debug }),
    project: project.pattern,
    projectText: project.text,
    mode: options.connectionMode,
    tlsOnly: options.tls,
    ...logs,
  });
}

function addressesOf(host: string | undefined, port: string | undefined): Address[] {
  if (host === undefined) {
    throw new UsageError(
      'Say whom to serve: --join TOKEN, HOST PORT, "HOST:PORT;HOST:PORT", or -M with a project name',
    );
  }
  if (port !== undefined) return [{ host, port: portOf(port) }];
  return naming("Cannot tell which manager to serve", () => parseManagers(host));
}

function portOf(text: string): number {
  const { low, high } = parsePorts(text);
  if (low === high && low > 0) return low;
  throw new UsageError(
    `Cannot connect to port "${text}": give the one that the manager listens on`,
  );
}

function backoffOf({ minBackoff: minMs, maxBackoff: maxMs }: Options): Backoff {
  if (minMs <= maxMs) return { minMs, maxMs };
  throw new UsageError(
    `The longest pause (--max-backoff, ${maxMs / 1000} s) is shorter than the shortest ` +
      `(--min-backoff, ${minMs / 1000} s)`,
  );
}

function ipModeOf(text: string | undefined): IpMode {
  const mode = (text || "AUTO").toUpperCase();
  if (mode === "AUTO" || mode === "IPV4" || mode === "IPV6") return mode;
  throw new UsageError(`environment CCTOOLS_IP_MODE: "${text}" is none of AUTO, IPV4 and IPV6`);
}

/** What a manager hears when a signal ends its worker, as from real workers. */
function vacating(name: NumberedSignal, number: number): Leave {
  const why = `it was told to stop (${name})`;
  return { key: "vacating", value: String(number), why, then: "terminate" };
}

/** Scratch folders in the order in which Work Queue looks for them. */
function workdirHere(): string {
  const names = ["CCTOOLS_TEMP", "_CONDOR_SCRATCH_DIR", "TMPDIR", "TEMP", "TMP"];
  return names.map((name) => Deno.env.get(name)).find((path) => path) ?? "/tmp";
}
