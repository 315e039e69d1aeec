/**
 * A worker from start to end: finds its manager, serves it, comes back after a break, and leaves
 * nothing behind.
 */
import { messageOf, PeerProtocolError, RunError } from "../core/errors.ts";
import type { Resources } from "../core/resources.ts";
import type { WorkerIdentity, WorkerLimits } from "../core/worker/actions.ts";
import { type Backoff, pauseMs } from "../core/worker/backoff.ts";
import { ProtocolGuess, protocolsTried } from "../core/worker/guess.ts";
import { type Address, isLoopback, showAddress } from "../core/addresses.ts";
import type { FoundManager } from "../core/catalog/selection.ts";
import { isOtherManager } from "../core/worker/name_check.ts";
import { wrapCommand } from "../core/worker/wrapper.ts";
import { openCgroups } from "../io/cgroup.ts";
import { delay } from "../io/clock.ts";
import { type Connected, connectTo, type IpMode } from "../io/connect.ts";
import { Coprocesses } from "./coprocesses.ts";
import { ownEnvironment } from "./environment.ts";
import { Environments } from "./environments.ts";
import { gpuFeatures } from "./features.ts";
import type { Lookup, ManagerSource } from "./find_manager.ts";
import { Guard } from "./guard.ts";
import { Monitor } from "./monitor.ts";
import { openSpawner, type Spawner } from "./process.ts";
import { detectResources } from "./resources.ts";
import {
  keptShareMax,
  type Leave,
  Session,
  type SessionEnd,
  type SessionParts,
} from "./session.ts";
import { WarmSpawner } from "./warm_spawner.ts";
import { Workspace } from "./workspace.ts";

export interface WorkerOptions {
  readonly managers: ManagerSource;
  /** The only protocol to offer; otherwise what the manager speaks is found out. */
  readonly protocol: number | undefined;
  /** The content of the password file. */
  readonly password: Uint8Array | null;
  readonly ipMode: IpMode;
  /** What was declared on the command line; the rest is detected. */
  readonly resources: { readonly [K in keyof Resources]?: Resources[K] | undefined };
  /** Besides the models of the gpus. */
  readonly features: readonly string[];
  /** Told to the manager in place of what this machine is. */
  readonly os: string | undefined;
  readonly arch: string | undefined;
  /** The factory that started this worker. */
  readonly factory: string | null;
  /** Where the workspace is made. */
  readonly workdir: string;
  /** Whether inputs that cannot be hard links may be symbolic ones. */
  readonly symlinks: boolean;
  /** The command that runs the commands of tasks, see `wrapCommand`. */
  readonly taskWrapper: string | undefined;
  /** Programs beside the worker that call functions for tasks; `null`: none. */
  readonly coprocess: CoprocessSettings | null;
  /** Whether Python scripts may be run by forks of a Python that has imported their modules. */
  readonly warmPython: boolean;
  /** Whether packed environments of tasks are unpacked once, and by the worker itself. */
  readonly nativeEnvironments: boolean;
  /** Command line that starts this same wqx. */
  readonly wqx: readonly string[];
  readonly version: string;
  readonly limits: WorkerLimits;
  readonly backoff: Backoff;
  /** Without a manager for so long, the worker gives up. */
  readonly connectTimeoutMs: number;
  /** After so long it leaves, whatever it is doing; `null`: never. */
  readonly wallTimeMs: number | null;
  /** Draws how long the next link may last at most; `null`: as long as it likes. */
  readonly volatileAfterMs: () => number | null;
  /** Leave after the first link, however it ended. */
  readonly singleShot: boolean;
  /** For people. */
  readonly log: (line: string) => void;
  /** For who looks for the cause of trouble. */
  readonly debug: (subsystem: DebugSubsystem, line: string) => void;
}

/** For a host to answer, before the next address is tried: the kernel's first four tries. */
const connectMsMax = 20_000;
const connectMsMin = 1000;
/** A manager that is busy leaves handshakes waiting; longer than this it is stuck. */
const handshakeMsMax = 3_600_000;
/** Longer timers fire at once. */
const timerMsMax = 2 ** 31 - 1;

/** What the debug log is divided into: the worker's own doings, connections, passwords, catalogs. */
export type DebugSubsystem = "wq" | "tcp" | "auth" | "http";

/**
 * Serves until there is no more work or `signal` fires; its reason may be a {@link Leave}. Throws a
 * RunError if no manager is found in time, a UsageError if there can be no workspace.
 */
export async function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const { wallTimeMs, taskWrapper, log, debug } = options;
  const startedMs = Date.now();
  using wall = new Alarm(wallTimeMs, {
    key: "wall_time_exhausted",
    value: String(Math.round((wallTimeMs ?? 0) / 1000)),
    why: "its wall time is over",
    then: "terminate",
  });
  await using workspace = await Workspace.create({
    parent: options.workdir,
    wqx: options.wqx,
    symlinks: options.symlinks,
  });
  await using guard = Guard.start(workspace.path);
  await using spawner = spawnerFor(options, workspace.path);
  using monitor = new Monitor();
  const found = openCgroups();
  using cgroups = "why" in found ? null : found;
  debug("wq", "why" in found ? `tasks are measured by /proc: ${found.why}` : found.version);
  const resources = await detectResources(options.resources, workspace.path);
  if (spawner.unmeasured !== null) log(`Tasks are not measured: ${spawner.unmeasured}`);
  await using coprocesses = await startCoprocesses(options, resources, workspace.path, spawner);
  const features = [
    ...new Set([
      ...options.features,
      ...await gpuFeatures(),
      ...(coprocesses === null ? [] : [coprocesses.feature]),
    ]),
  ];
  const stopsAtMs = wallTimeMs === null ? null : startedMs + wallTimeMs;
  const coprocess = options.coprocess && { ...resources, ...options.coprocess.resources };
  const identity = { ...identify(options), resources, features, coprocess, stopsAtMs };
  debug("wq", `${identity.id} in ${workspace.path} offers ${JSON.stringify(resources)}`);
  const parts: Parts = {
    workspace,
    spawner,
    guard,
    coprocesses,
    watcher: { monitor, cgroups },
    environments: environmentsFor(options, workspace, resources),
    identity,
    limits: { ...options.limits, keptOutputBytesMax: resources.diskMb * 1024 ** 2 * keptShareMax },
    wrap: (command) => taskWrapper === undefined ? command : wrapCommand(taskWrapper, command),
    log,
  };
  await new Service(options, parts, AbortSignal.any([signal, wall.signal])).run();
}

export interface CoprocessSettings {
  readonly command: string;
  /** `null`: one a core. */
  readonly count: number | null;
  /** Of each; all of the worker where nothing is said. */
  readonly resources: Partial<Resources>;
}

async function startCoprocesses(
  { coprocess, debug }: WorkerOptions,
  { cores }: Resources,
  workspace: string,
  spawner: Spawner,
): Promise<Coprocesses | null> {
  if (coprocess === null) return null;
  return await Coprocesses.start({
    command: coprocess.command,
    count: coprocess.count ?? Math.max(1, Math.floor(cores)),
    workspace,
    env: ownEnvironment(),
    spawner,
    debug: (line) => debug("wq", line),
  });
}

function spawnerFor({ warmPython, debug }: WorkerOptions, folder: string): Spawner {
  const plain = openSpawner({ owner: folder });
  if (!warmPython) return plain;
  return WarmSpawner.over(plain, { folder, debug: (line) => debug("wq", line) });
}

/** A wrapper of tasks may start them where the worker's folders are not. */
function environmentsFor(
  { nativeEnvironments, taskWrapper, log, debug }: WorkerOptions,
  workspace: Workspace,
  { diskMb }: Resources,
): Environments | null {
  if (!nativeEnvironments || taskWrapper !== undefined) return null;
  return new Environments({
    folder: `${workspace.path}/environments`,
    bytesMax: diskMb * 1024 ** 2,
    cachePath: (name) => workspace.cachePath(name),
    log,
    debug: (line) => debug("wq", line),
  });
}

type Parts = Omit<SessionParts, "identity"> & {
  readonly identity: Omit<WorkerIdentity, "protocol">;
};

/** What became of one look around for a manager. */
type Round =
  | { readonly kind: "served"; readonly end: SessionEnd }
  /** None of the managers that there are has work for us. */
  | { readonly kind: "no work" }
  | {
    readonly kind: "unserved";
    readonly trouble: string;
    /** Whether there is a manager now, which does not serve us. */
    readonly found: boolean;
  };

/** One manager after the other. */
class Service {
  /** By label; what was found out of a manager is kept while the worker lives. */
  readonly #guesses = new Map<string, ProtocolGuess>();
  /** Managers that had no work for the whole idle timeout, one after the other. */
  readonly #idle = new Set<string>();
  #lostMs = performance.now();
  #saidPlain = false;
  /** Has tasks of the manager that was lost. */
  #keeping: Session | null = null;

  constructor(
    private readonly options: WorkerOptions,
    private readonly parts: Parts,
    private readonly signal: AbortSignal,
  ) {}

  async run(): Promise<void> {
    try {
      await this.#serveAll();
    } finally {
      await this.#keeping?.[Symbol.asyncDispose]();
    }
  }

  async #serveAll(): Promise<void> {
    const { backoff, connectTimeoutMs, singleShot, managers } = this.options;
    for (let failures = 0; !this.signal.aborted;) {
      const round = await this.#round();
      let restMsMax = Infinity;
      if (this.signal.aborted || round.kind === "no work") return;
      if (round.kind === "served") {
        failures = 0;
        this.#lostMs = performance.now();
        if (singleShot) return;
        if (isIdle(round.end)) continue; // is there another?
        if (round.end.then === "terminate") return;
      } else {
        failures++;
        if (!round.found) restMsMax = managers.pauseMsMax ?? Infinity;
        const triedMs = performance.now() - this.#lostMs;
        if (singleShot || triedMs >= connectTimeoutMs) {
          const tried = Math.round(triedMs / 1000);
          throw new RunError(
            `Cannot connect to ${managers.wanted} (tried for ${tried} s): ${round.trouble}`,
          );
        }
      }
      const pause = Math.min(pauseMs(backoff, failures), restMsMax);
      const restMs = Math.min(pause, Math.max(0, this.#leftMs()));
      this.options.debug("wq", `looking for a manager in ${(restMs / 1000).toFixed(1)} s`);
      await delay(restMs, this.signal);
    }
  }

  /** Until the worker gives up looking. */
  #leftMs(): number {
    return this.#lostMs + this.options.connectTimeoutMs - performance.now();
  }

  /** Tries all managers that there are, until one has served us. */
  async #round(): Promise<Round> {
    let found: Lookup;
    try {
      found = await this.options.managers.find(this.signal);
    } catch (error) {
      if (!(error instanceof RunError) && !this.signal.aborted) throw error;
      return this.#unserved(messageOf(error), false);
    }
    const { managers, outdated } = found;
    const others = managers.filter(({ label }) => !this.#idle.has(label));
    if (others.length === 0) {
      // Only who knows the managers of now knows that none of them has work.
      if (managers.length > 0 && outdated === null) return { kind: "no work" };
      return this.#unserved(outdated ?? "there is none", false);
    }
    let troubles = outdated === null ? [] : [outdated];
    for (const manager of others) {
      try {
        const end = await this.#serve(manager);
        this.options.managers.served?.(manager);
        if (isIdle(end)) this.#idle.add(manager.label);
        else this.#idle.clear();
        return { kind: "served", end };
      } catch (error) {
        if (!(error instanceof Unserved)) throw error;
        troubles = [...troubles, `${manager.label}: ${error.message}`];
        if (this.signal.aborted) break;
      }
    }
    return this.#unserved(troubles.join("; "), outdated === null);
  }

  #unserved(trouble: string, found: boolean): Round {
    this.options.debug("wq", trouble);
    return { kind: "unserved", trouble, found };
  }

  /** Connects with one protocol after the other until one is heard. Throws {@link Unserved}. */
  async #serve(manager: FoundManager): Promise<SessionEnd> {
    const { protocol: fixed, log } = this.options;
    const { label } = manager;
    const guess = this.#guesses.get(label) ??
      new ProtocolGuess({ fixed, likely: manager.protocol });
    this.#guesses.set(label, guess);
    for (;;) {
      const connected = await this.#connect(manager).catch((error) => {
        guess.unreachable();
        throw error;
      });
      const { offer } = guess;
      const end = await this.#session(manager, connected, offer);
      // Unheard, and not because we left: a manager of another protocol says nothing.
      if (!end.heard && end.then === "reconnect") {
        if (guess.refused()) {
          log(`${label} closed the connection at the greeting: trying protocol ${guess.offer}`);
          continue;
        }
        throw new Unserved(
          "it closes the connection at the greeting; does it speak another protocol than " +
            `${fixed ?? protocolsTried.join(", ")}, expect TLS (--ssl), or no password?`,
        );
      }
      log(`Left ${label}: ${end.why}`);
      if (isOtherManager(end.why)) throw new Unserved(end.why);
      if (wantsPassword(end)) throw new Unserved(`${end.why}: give it with --password FILE`);
      if (end.heard) guess.heard();
      return end;
    }
  }

  /** By the first address that answers. */
  async #connect({ addresses, tls, pin }: FoundManager): Promise<Connected> {
    const { ipMode, password, limits, debug } = this.options;
    const { signal } = this;
    const connectMs = Math.max(connectMsMin, Math.min(connectMsMax, this.#leftMs()));
    const handshakeMs = Math.min(limits.idleTimeoutMs, handshakeMsMax);
    const troubles: string[] = [];
    for (const address of addresses) {
      const how = `${showAddress(address)}${tls ? " with TLS" : ""}`;
      try {
        const options = { tls, pin, ipMode, password, connectMs, handshakeMs, signal };
        const connected = await connectTo(address, options);
        debug("tcp", `connected to ${how}`);
        if (!tls) this.#notePlain(address);
        return connected;
      } catch (error) {
        debug(error instanceof PeerProtocolError ? "auth" : "tcp", `${how}: ${messageOf(error)}`);
        troubles.push(addresses.length > 1 ? `${how}: ${messageOf(error)}` : messageOf(error));
        if (signal.aborted) break;
      }
    }
    throw new Unserved(troubles.join("; "));
  }

  /** Once, and not of what never leaves this machine. */
  #notePlain(address: Address): void {
    if (this.#saidPlain || isLoopback(address.host)) return;
    this.#saidPlain = true;
    this.options.log(
      `Talking plain text with ${
        showAddress(address)
      }: who is on the way can read and change it; ` +
        "wqx manager prints a command with --join that prevents it",
    );
  }

  async #session(
    { label, project }: FoundManager,
    { link, ahead }: Connected,
    protocol: number,
  ): Promise<SessionEnd> {
    const { log, debug, volatileAfterMs } = this.options;
    const { resources: r } = this.parts.identity;
    log(
      `Connected to ${label}: offering ${r.cores} cores, ${r.memoryMb} MB memory, ` +
        `${r.diskMb} MB disk, ${r.gpus} gpus`,
    );
    debug("wq", `greeting with protocol ${protocol}`);
    using moody = new Alarm(volatileAfterMs(), {
      key: "wqx-volatile",
      value: "1",
      why: "its volatility made it leave",
      then: "reconnect",
    });
    const identity: WorkerIdentity = { ...this.parts.identity, protocol, project };
    const signal = AbortSignal.any([this.signal, moody.signal]);
    const session = this.#keeping ?? new Session({ ...this.parts, identity });
    this.#keeping = session;
    const end = await session.run(link, identity, signal, ahead);
    if (!session.keepsTasks) this.#keeping = null;
    debug("wq", `${label}: ${end.why}`);
    return { ...end, heard: end.heard || ahead.length > 0 || moody.signal.aborted };
  }
}

/** These ends ask for something else than coming back; the words are those of the machine. */
function isIdle({ why, then }: SessionEnd): boolean {
  return then === "terminate" && why.startsWith("no task came for");
}

function wantsPassword({ why }: SessionEnd): boolean {
  return why === "the manager requires a password";
}

/** A manager that could not be served; the message says why, to follow its name and a colon. */
class Unserved extends Error {
  override readonly name = "Unserved";
}

/** Fires after some time, with a reason for the session; never, if there is no time. */
class Alarm implements Disposable {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(afterMs: number | null, private readonly leave: Leave) {
    if (afterMs !== null) this.#arm(afterMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #arm(leftMs: number): void {
    const stepMs = Math.min(leftMs, timerMsMax);
    this.#timer = setTimeout(() => {
      if (leftMs > stepMs) this.#arm(leftMs - stepMs);
      else this.#controller.abort(this.leave);
    }, stepMs);
  }
}

function identify(
  { version, os, arch, factory }: WorkerOptions,
): Pick<WorkerIdentity, "hostname" | "os" | "arch" | "version" | "id" | "factory"> {
  const hostname = Deno.hostname();
  const systems: Readonly<Record<string, string>> = { linux: "Linux", darwin: "Darwin" };
  return {
    // Managers of cctools take the name "unknown" for a connection that has not greeted.
    hostname: hostname === "" || hostname === "unknown" ? "worker-host" : hostname,
    os: os ?? systems[Deno.build.os] ?? Deno.build.os,
    arch: arch ?? Deno.build.arch,
    version,
    id: `worker-${crypto.randomUUID().replaceAll("-", "")}`,
    factory,
  };
}
