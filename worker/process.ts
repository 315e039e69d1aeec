/**
 * Task processes: a command in, its exit and what it used out, and nothing of it left running.
 *
 * On Linux a launcher starts the tasks (launcher.ts) and `wait4` tells the CPU time and memory of
 * each; what outlives its parent is adopted here (orphans.ts). Elsewhere tasks are plain children
 * and nothing is measured.
 */
import { messageOf, RunError } from "../core/errors.ts";
import { Libc, type Reaped, SystemCallError } from "../io/libc.ts";
import {
  listProcesses,
  readEnvironment,
  readStat,
  readUptime,
  ticksPerSecond,
} from "../io/procfs.ts";
import { Launcher, LauncherGone, type LaunchFailure, type LaunchRequest } from "./launcher.ts";
import { hasMark, type OrphanOwner, Orphans, withMark } from "./orphans.ts";

export interface SpawnRequest {
  /** Given to `/bin/sh -c`. */
  readonly command: string;
  /** Absolute path. */
  readonly cwd: string;
  /** The whole environment, to which only `WQX_TASK` is added: it marks what belongs to the task. */
  readonly env: Readonly<Record<string, string>>;
  /** Receives stdout and stderr; created with mode 0600, or truncated. */
  readonly outputPath: string;
  /** Its main process has ended, and /proc still has what it used. Not where nothing is measured. */
  readonly ending?: () => void;
}

export interface Exit {
  /** Exit code or, as Work Queue reports it, the number of the signal that ended the command. */
  readonly exitCode: number;
  readonly signal: number | null;
  /** By us, and not by itself or somebody else. Not known of plain children. */
  readonly killed?: boolean;
  readonly wallMs: number;
  /** Null where this system cannot tell. */
  readonly measured: Measured | null;
}

/**
 * Used by the command, by what it waited for, and by what it left behind. Lost is only what a
 * process used that left the task's session and ended on its own within a second.
 */
export interface Measured {
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  /** Largest resident set of any one process, in 1024² bytes. */
  readonly memoryPeakMb: number;
}

export interface TaskProcess {
  readonly pid: number;
  /** Just before its start, as `performance.now()`, where that is known. */
  readonly startedMs?: number;
  /** Process group and session of the task. */
  readonly group: number;
  /**
   * When the command has ended and nothing that it started is left. Rejects with RunError if it
   * could not be started after all: no folder, too long …
   */
  readonly exited: Promise<Exit>;
  /**
   * Memory that its main process shares with the one that it was forked from, and that is not its
   * own; 0 for those that were started.
   */
  readonly sharedKb: number;
  /** The marks that its environment will have, where it does not have them yet. */
  readonly marks?: string;
  /** SIGKILL to the whole tree; without effect once it has ended. */
  kill(): void;
}

/** Starts tasks. Disposing of it kills those that still run and waits for them. */
export interface Spawner extends AsyncDisposable {
  /** Null if exits are measured, else the reason why they are not. */
  readonly unmeasured: string | null;
  /** Rejects with RunError if there can be no process; see also {@link TaskProcess.exited}. */
  spawn(request: SpawnRequest): Promise<TaskProcess>;
  /** For processes that another one of ours forks; null where they cannot become our children. */
  readonly foster: Foster | null;
}

/** Takes processes as tasks that were forked by another child of this process. */
export interface Foster {
  /** The environment with a new mark, by which all that comes of it is known. */
  marked(env: Readonly<Record<string, string>>): MarkedEnvironment;
  /**
   * Leaves alone what a child of Deno's forks, which has this mark and a session of its own, until
   * it is adopted. The function that is returned ends this, and all that was not adopted.
   */
  shelter(pid: number, mark: string): () => void;
  /** It runs, or has just ended; its session is its own, or will be at once. */
  adopt(request: SpawnRequest, forked: AdoptedProcess): TaskProcess;
}

export interface MarkedEnvironment {
  readonly env: Record<string, string>;
  readonly mark: string;
}

export interface AdoptedProcess {
  readonly pid: number;
  /** The one in its environment. */
  readonly mark: string;
  /** As `performance.now()`. */
  readonly startedMs: number;
  readonly sharedKb: number;
}

export interface SpawnerOptions {
  /** The workspace, whose path no other worker on this machine has: it marks the processes. */
  readonly owner: string;
  /** False: plain children, nothing measured, as on systems without the Linux calls. */
  readonly exact?: boolean;
}

/** Opens the exact spawner where the system has what it needs, else the plain one. */
export function openSpawner(options: SpawnerOptions): Spawner {
  if (options.exact === false) return new PlainSpawner(options.owner, "measuring is switched off");
  let libc: Libc | null = null;
  try {
    libc = Libc.open();
    return new ExactSpawner(libc, options);
  } catch (error) {
    libc?.close();
    return new PlainSpawner(options.owner, messageOf(error));
  }
}

/** Exits are noticed by SIGCHLD; this catches what a lost signal would leave. */
const slowSweepMs = 1000;
/** A killed process that does not die within this time hangs in the kernel: report without it. */
const leftoversMsMax = 5000;

/** Of a mark: a process that is forked writes its own over that of the one it comes from. */
const markDigits = 10;

/** A task until `exited` resolves. */
interface Task extends OrphanOwner {
  readonly request: SpawnRequest;
  readonly startedMs: number;
  killed: boolean;
  /** Once the main process was reaped. */
  ended: { reaped: Reaped; atMs: number; failure: LaunchFailure | null } | null;
  readonly exit: PromiseWithResolvers<Exit>;
}

class ExactSpawner implements Spawner, Foster {
  readonly unmeasured = null;
  readonly foster = this;
  readonly #libc: Libc;
  readonly #owner: string;
  readonly #orphans: Orphans;
  /** Uptime at `performance.now() === 0`, to place tasks among the start times in /proc. */
  readonly #bootMs: number;
  #launcher: Launcher;
  /** Children that are no tasks, to be reaped when they end: launchers, and what they failed at. */
  readonly #helpers = new Set<number>();
  /** Children of Deno that fork tasks. */
  readonly #sheltered = new Set<number>();
  /** By pid of the main process, while it runs. */
  readonly #running = new Map<number, Task>();
  /** Ended, but with something left that is being killed. */
  readonly #ending = new Set<Task>();
  readonly #onChild = () => this.#sweep();
  #timer: ReturnType<typeof setInterval> | null = null;
  #count = 0;

  constructor(libc: Libc, options: SpawnerOptions) {
    const uptime = readUptime();
    const self = readStat(Deno.pid);
    if (uptime === null || self === null) throw new Error("There is no /proc");
    this.#libc = libc;
    this.#owner = options.owner;
    this.#bootMs = uptime * 1000 - performance.now();
    this.#orphans = new Orphans(libc, options.owner, self.session);
    this.#launcher = this.#startLauncher();
    this.#tryLauncher();
    libc.setSubreaper(true);
    Deno.addSignalListener("SIGCHLD", this.#onChild);
  }

  spawn(request: SpawnRequest): Promise<TaskProcess> {
    const { env, mark } = this.marked(request.env);
    const startedMs = performance.now();
    let pid: number;
    try {
      pid = this.#launch({
        path: "/bin/sh",
        args: ["sh", "-c", request.command],
        cwd: request.cwd,
        env,
        outputPath: request.outputPath,
      });
    } catch (error) {
      return Promise.reject(cannotStart(request, whyNoProcess(error)));
    }
    const process = this.adopt(request, { pid, mark, startedMs, sharedKb: 0 });
    return Promise.resolve({ ...process, startedMs });
  }

  marked(env: Readonly<Record<string, string>>): MarkedEnvironment {
    const mark = `${this.#count++}`.padStart(markDigits, "0");
    return { env: withMark(env, this.#owner, mark), mark };
  }

  shelter(pid: number, mark: string): () => void {
    const owner = this.#ownerOf(pid, mark, performance.now());
    this.#sheltered.add(pid);
    this.#orphans.add(owner);
    return () => {
      owner.over = true;
      this.#sheltered.delete(pid);
      this.#orphans.sweep((other) => this.#isWaitedFor(other));
      this.#orphans.owners.delete(pid);
    };
  }

  adopt(request: SpawnRequest, forked: AdoptedProcess): TaskProcess {
    const { pid, mark, startedMs, sharedKb } = forked;
    const task: Task = {
      ...this.#ownerOf(pid, mark, startedMs),
      request,
      startedMs,
      killed: false,
      ended: null,
      exit: Promise.withResolvers(),
    };
    // Whoever waits gets the error; that nobody waits yet is no error of its own.
    task.exit.promise.catch(() => {});
    this.#running.set(pid, task);
    this.#orphans.add(task);
    this.#timer ??= setInterval(this.#onChild, slowSweepMs);
    return {
      pid,
      group: task.session,
      sharedKb,
      exited: task.exit.promise,
      kill: () => this.#kill(task),
    };
  }

  #ownerOf(pid: number, mark: string, startedMs: number): OrphanOwner {
    return {
      pid,
      mark,
      over: false,
      session: pid,
      // Two ticks of slack: both clocks are rounded.
      startTicks: Math.floor((this.#bootMs + startedMs) / 1000 * ticksPerSecond) - 2,
      extra: { cpuUserMs: 0, cpuSystemMs: 0, memoryPeakMb: 0 },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.#running.values()) this.#kill(task);
    this.#launcher.close();
    const giveUpMs = performance.now() + leftoversMsMax;
    const done = () => !this.#busy() && this.#helpers.size === 0;
    while (!done() && performance.now() < giveUpMs) {
      this.#sweep();
      if (!done()) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (this.#timer !== null) clearInterval(this.#timer);
    Deno.removeSignalListener("SIGCHLD", this.#onChild);
    this.#libc.setSubreaper(false);
    this.#libc.close();
  }

  #busy(): boolean {
    return this.#running.size + this.#ending.size + this.#orphans.size > 0;
  }

  #startLauncher(): Launcher {
    const launcher = new Launcher(this.#libc, this.#owner);
    this.#helpers.add(launcher.pid);
    return launcher;
  }

  /** Throws if it cannot make children of this process here; a folder is no program. */
  #tryLauncher(): void {
    const request = { path: "/", args: [], cwd: "/", env: {}, outputPath: "/dev/null" };
    try {
      const pid = this.#launcher.launch(request);
      this.#libc.hasEnded(pid);
      this.#helpers.add(pid);
    } catch (error) {
      this.#launcher.close();
      throw error;
    }
  }

  /** By another launcher, if someone killed the one that we had. */
  #launch(request: LaunchRequest): number {
    try {
      return this.#launcher.launch(request);
    } catch (error) {
      if (!(error instanceof LauncherGone)) throw error;
      this.#launcher.close();
      this.#launcher = this.#startLauncher();
      // Once is enough: a task that may have started has no owner, so it is killed as an orphan.
      if (error.started) throw error;
      return this.#launcher.launch(request);
    }
  }

  /** Looks at every process that we wait for; runs at each SIGCHLD, which may stand for several. */
  #sweep(): void {
    for (let pid = 0; (pid = this.#libc.endedChild()) !== 0;) {
      if (this.#reap(pid)) continue;
      // An orphan, or a child of Deno, behind which those that we wait for may hide.
      for (const other of [...this.#running.keys(), ...this.#helpers]) {
        if (this.#libc.hasEnded(other)) this.#reap(other);
      }
      break;
    }
    this.#orphans.sweep((pid) => this.#isWaitedFor(pid));
    this.#settle();
    if (this.#timer !== null && !this.#busy()) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** By us, or by Deno. */
  #isWaitedFor(pid: number): boolean {
    return this.#running.has(pid) || this.#helpers.has(pid) || this.#sheltered.has(pid);
  }

  /** False if this zombie is for someone else to reap. */
  #reap(pid: number): boolean {
    if (this.#helpers.delete(pid)) {
      this.#launcher.failureOf(pid);
      this.#libc.wait(pid);
      return true;
    }
    const task = this.#running.get(pid);
    if (task === undefined) return false;
    // Still a zombie here, so the group cannot be another one that got the same number.
    this.#libc.kill(-task.session);
    task.request.ending?.();
    const reaped = this.#libc.wait(pid);
    if (reaped === null) return false;
    const failure = reaped.exitCode === 127 ? this.#launcher.failureOf(pid) : null;
    task.ended = { reaped, atMs: performance.now(), failure };
    task.over = true;
    this.#running.delete(pid);
    this.#ending.add(task);
    return true;
  }

  #kill(task: Task): void {
    // Once it was reaped, its numbers may be someone else's.
    if (task.ended !== null) return;
    task.killed = true;
    this.#libc.kill(-task.session);
    this.#libc.kill(task.pid);
  }

  /** Resolves the tasks of which nothing is left. */
  #settle(): void {
    for (const task of this.#ending) {
      const { reaped, atMs, failure } = task.ended!;
      const late = performance.now() - atMs > leftoversMsMax;
      if (!late && this.#orphans.hasLeft(task)) continue;
      this.#ending.delete(task);
      this.#orphans.owners.delete(task.session);
      if (failure !== null) {
        task.exit.reject(cannotStart(task.request, explain(failure)));
        continue;
      }
      task.exit.resolve({
        exitCode: reaped.signal ?? reaped.exitCode,
        signal: reaped.signal,
        killed: task.killed,
        wallMs: atMs - task.startedMs,
        measured: {
          cpuUserMs: reaped.cpuUserMs + task.extra.cpuUserMs,
          cpuSystemMs: reaped.cpuSystemMs + task.extra.cpuSystemMs,
          memoryPeakMb: Math.max(reaped.memoryPeakMb, task.extra.memoryPeakMb),
        },
      });
    }
  }
}

/** Plain children: Deno tells their exit, and nothing of what they used. */
class PlainSpawner implements Spawner {
  readonly foster = null;
  readonly #running = new Map<number, { kill: () => void; exited: Promise<Exit> }>();
  #count = 0;

  constructor(readonly owner: string, readonly unmeasured: string) {}

  async spawn(request: SpawnRequest): Promise<TaskProcess> {
    const startedMs = performance.now();
    const mark = `${this.#count++}`;
    let child: Deno.ChildProcess;
    try {
      const flags = { create: true, write: true, truncate: true, mode: 0o600 };
      (await Deno.open(request.outputPath, flags)).close();
      child = new Deno.Command("/bin/sh", {
        args: ["-c", 'exec /bin/sh -c "$1" >>"$2" 2>&1', "sh", request.command, request.outputPath],
        cwd: request.cwd,
        clearEnv: true,
        env: withMark(request.env, this.owner, mark),
        stdin: "null",
        stdout: "null",
        stderr: "null",
        detached: true,
      }).spawn();
    } catch (error) {
      throw cannotStart(request, messageOf(error));
    }
    const { pid } = child;
    const kill = () => killGroup(pid);
    const exited = child.status.then(({ code, signal }): Exit => {
      this.#running.delete(pid);
      kill();
      killMarked(this.owner, mark);
      // Deno reports 128 + number for a signal.
      const number = signal === null ? null : code - 128;
      const wallMs = performance.now() - startedMs;
      return { exitCode: number ?? code, signal: number, wallMs, measured: null };
    });
    this.#running.set(pid, { kill, exited });
    return { pid, group: pid, sharedKb: 0, exited, kill: () => this.#running.get(pid)?.kill() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = [...this.#running.values()];
    for (const { kill } of running) kill();
    await Promise.all(running.map(({ exited }) => exited));
  }
}

function killGroup(group: number): void {
  try {
    Deno.kill(-group, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

/** Where there is a /proc: also what went into a session of its own. */
function killMarked(owner: string, mark: string): void {
  for (const pid of listProcesses()) {
    if (!hasMark(readEnvironment(pid), owner, mark)) continue;
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // Ended meanwhile.
    }
  }
}

function cannotStart(request: SpawnRequest, why: string): RunError {
  const command = request.command.length > 80
    ? request.command.slice(0, 79) + "…"
    : request.command;
  return new RunError(`Cannot start ${JSON.stringify(command)} in ${request.cwd}: ${why}`);
}

function whyNoProcess(error: unknown): string {
  if (error instanceof SystemCallError && ["EAGAIN", "ENOMEM"].includes(error.code)) {
    return `the system has no room for another process (${error.code})`;
  }
  return messageOf(error);
}

function explain({ step, code }: LaunchFailure): string {
  switch (step) {
    case "folder":
      return `cannot enter the folder (${code})`;
    case "output":
      return `cannot write its output (${code})`;
    case "exec":
      return code === "E2BIG"
        ? "the command or a variable of its environment is longer than the system takes " +
          "(128 KiB each, with all of them 2 MiB); write it to a file"
        : `cannot run /bin/sh (${code})`;
  }
}
