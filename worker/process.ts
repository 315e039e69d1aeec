/**
 * Task processes: a command in, its exit and what it used out, and nothing of it left running.
 *
 * On Linux a task is started by a small shell, which forks it and dies, so that this process adopts
 * it (as a subreaper) and `wait4` tells its own CPU time and memory. A child that this process
 * started itself would report at least our own memory, because exec keeps the peak of the image
 * that it replaces. Elsewhere tasks are plain children and nothing is measured.
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
}

export interface Exit {
  /** Exit code or, as Work Queue reports it, the number of the signal that ended the command. */
  readonly exitCode: number;
  readonly signal: number | null;
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
  /** Process group and session of the task. */
  readonly group: number;
  /** When the command has ended and nothing that it started is left. Never rejects. */
  readonly exited: Promise<Exit>;
  /** SIGKILL to the whole tree; without effect once it has ended. */
  kill(): void;
}

/** Starts tasks. Disposing of it kills those that still run and waits for them. */
export interface Spawner extends AsyncDisposable {
  /** Null if exits are measured, else the reason why they are not. */
  readonly unmeasured: string | null;
  /** Rejects with RunError if the command cannot be started: no folder, no processes left … */
  spawn(request: SpawnRequest): Promise<TaskProcess>;
}

export interface SpawnerOptions {
  /** Unique to this worker on this machine: the path of its workspace. Marks its processes. */
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

/**
 * `$1` command, `$2` folder, descriptor 3 the pipe for reports. The subshell tells its pid, kills
 * its waiting parent and becomes the task. Not `… &` and `$!`: that would leave SIGINT and SIGQUIT
 * ignored in the task, and POSIX has no way to undo it. The loop lasts until the parent is dead
 * indeed: a task that ended before could still be reaped by it.
 */
const launchScript = `cd -- "$2" || exit 125
(read -r wqx_pid wqx_rest </proc/self/stat && echo "$$ $wqx_pid" >&3 && kill -9 $$ &&
while read -r wqx_pid wqx_name wqx_state wqx_parent wqx_rest </proc/self/stat
[ "$wqx_parent" = $$ ]; do :; done
exec /bin/sh -c "$1" 3>&-)
exit 126`;

/** Exits are noticed by SIGCHLD; this catches what a lost signal would leave. */
const slowSweepMs = 1000;
/** A killed process that does not die within this time hangs in the kernel: report without it. */
const leftoversMsMax = 5000;

interface Starting {
  readonly request: SpawnRequest;
  readonly task: Task;
  readonly resolve: (process: TaskProcess) => void;
  readonly reject: (error: RunError) => void;
}

/** A task from its launch until `exited` resolves. */
interface Task extends OrphanOwner {
  readonly startedMs: number;
  /** Once the main process was reaped. */
  ended: { reaped: Reaped; atMs: number } | null;
  readonly exit: PromiseWithResolvers<Exit>;
}

class ExactSpawner implements Spawner {
  readonly unmeasured = null;
  readonly #libc: Libc;
  readonly #owner: string;
  readonly #pipe: { readFd: number; writeFd: number };
  readonly #orphans: Orphans;
  /** Uptime at `performance.now() === 0`, to place tasks among the start times in /proc. */
  readonly #bootMs: number;
  /** By pid of the launching shell. */
  readonly #starting = new Map<number, Starting>();
  /** By pid of the main process, while it runs. */
  readonly #running = new Map<number, Task>();
  /** Ended, but with something left that is being killed. */
  readonly #ending = new Set<Task>();
  readonly #onChild = () => this.#sweep();
  #timer: ReturnType<typeof setInterval> | null = null;
  #count = 0;
  #reports = "";

  constructor(libc: Libc, options: SpawnerOptions) {
    const uptime = readUptime();
    const self = readStat(Deno.pid);
    if (uptime === null || self === null) throw new Error("There is no /proc");
    this.#libc = libc;
    this.#owner = options.owner;
    this.#bootMs = uptime * 1000 - performance.now();
    this.#orphans = new Orphans(libc, options.owner, self.session);
    libc.setSubreaper(true);
    this.#pipe = libc.pipe();
    Deno.addSignalListener("SIGCHLD", this.#onChild);
  }

  spawn(request: SpawnRequest): Promise<TaskProcess> {
    const { promise, resolve, reject } = Promise.withResolvers<TaskProcess>();
    const mark = `${this.#count++}`;
    const startedMs = performance.now();
    const task: Task = {
      pid: 0,
      mark,
      over: false,
      session: 0,
      // Two ticks of slack: both clocks are rounded.
      startTicks: Math.floor((this.#bootMs + startedMs) / 1000 * ticksPerSecond) - 2,
      startedMs,
      extra: { cpuUserMs: 0, cpuSystemMs: 0, memoryPeakMb: 0 },
      ended: null,
      exit: Promise.withResolvers(),
    };
    try {
      task.session = this.#libc.launch({
        path: "/bin/sh",
        args: ["sh", "-c", launchScript, "sh", request.command, request.cwd],
        env: withMark(request.env, this.#owner, mark),
        outputPath: request.outputPath,
        reportFd: this.#pipe.writeFd,
      });
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      return Promise.reject(cannotStart(request, explain(error)));
    }
    this.#starting.set(task.session, { request, task, resolve, reject });
    this.#orphans.add(task);
    this.#timer ??= setInterval(this.#onChild, slowSweepMs);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { task } of this.#starting.values()) this.#libc.kill(-task.session);
    for (const task of this.#running.values()) this.#kill(task);
    const giveUpMs = performance.now() + leftoversMsMax;
    while (this.#busy() && performance.now() < giveUpMs) {
      this.#sweep();
      if (this.#busy()) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    if (this.#timer !== null) clearInterval(this.#timer);
    Deno.removeSignalListener("SIGCHLD", this.#onChild);
    this.#libc.closeFd(this.#pipe.readFd);
    this.#libc.closeFd(this.#pipe.writeFd);
    this.#libc.setSubreaper(false);
    this.#libc.close();
  }

  #busy(): boolean {
    return this.#starting.size + this.#running.size + this.#ending.size + this.#orphans.size > 0;
  }

  /** Looks at every process that we wait for; runs at each SIGCHLD, which may stand for several. */
  #sweep(): void {
    let launched = false;
    for (const [pid, starting] of this.#starting) {
      const reaped = this.#libc.wait(pid);
      if (reaped === null) continue;
      launched = true;
      this.#starting.delete(pid);
      this.#started(pid, starting, reaped);
    }
    let ended = false;
    for (const task of this.#running.values()) {
      if (!this.#libc.hasEnded(task.pid)) continue;
      ended = true;
      this.#mainEnded(task);
    }
    // A signal that a launching shell explains needs no look at the orphans by itself.
    if (ended || !launched || this.#ending.size > 0) {
      this.#orphans.sweep((pid) => this.#starting.has(pid) || this.#running.has(pid));
      this.#settle();
    }
    if (this.#timer !== null && !this.#busy()) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  /** The launching shell is gone: its task has reported before, or never will. */
  #started(launcher: number, { request, task, resolve, reject }: Starting, reaped: Reaped): void {
    const pid = this.#reportOf(launcher);
    if (pid === null) {
      this.#orphans.owners.delete(launcher);
      reject(cannotStart(request, whyNotLaunched(request, reaped)));
      return;
    }
    task.pid = pid;
    this.#running.set(pid, task);
    resolve({
      pid,
      group: task.session,
      exited: task.exit.promise,
      kill: () => this.#kill(task),
    });
  }

  /** The pid that a launching shell wrote to the pipe, one line `LAUNCHER PID` each. */
  #reportOf(launcher: number): number | null {
    const buffer = new Uint8Array(4096);
    for (let n = 0; (n = this.#libc.read(this.#pipe.readFd, buffer)) > 0;) {
      this.#reports += new TextDecoder().decode(buffer.subarray(0, n));
    }
    const match = new RegExp(`^${launcher} ([0-9]+)\n`, "m").exec(this.#reports);
    if (match === null) return null;
    this.#reports = this.#reports.replace(match[0], "");
    return Number(match[1]);
  }

  #kill(task: Task): void {
    // Once it was reaped, its numbers may be someone else's.
    if (task.ended !== null) return;
    this.#libc.kill(-task.session);
    this.#libc.kill(task.pid);
  }

  #mainEnded(task: Task): void {
    // Still a zombie here, so the group cannot be another one that got the same number.
    this.#libc.kill(-task.session);
    const reaped = this.#libc.wait(task.pid);
    if (reaped === null) return;
    task.ended = { reaped, atMs: performance.now() };
    task.over = true;
    this.#running.delete(task.pid);
    this.#ending.add(task);
  }

  /** Resolves the tasks of which nothing is left. */
  #settle(): void {
    for (const task of this.#ending) {
      const { reaped, atMs } = task.ended!;
      const late = performance.now() - atMs > leftoversMsMax;
      if (!late && this.#orphans.hasLeft(task)) continue;
      this.#ending.delete(task);
      this.#orphans.owners.delete(task.session);
      task.exit.resolve({
        exitCode: reaped.signal ?? reaped.exitCode,
        signal: reaped.signal,
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
    return { pid, group: pid, exited, kill: () => this.#running.get(pid)?.kill() };
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

function explain(error: SystemCallError): string {
  switch (error.code) {
    case "E2BIG":
      return "the command or a variable of its environment is longer than the system takes " +
        "(128 KiB each, with all of them 2 MiB); write it to a file";
    case "EAGAIN":
    case "ENOMEM":
      return `the system has no room for another process (${error.code})`;
    case "ENOENT":
      return "there is no /bin/sh, or no folder for the output (ENOENT)";
    default:
      return error.message;
  }
}

function whyNotLaunched(request: SpawnRequest, { exitCode, signal }: Reaped): string {
  if (exitCode === 125) {
    try {
      Deno.readDirSync(request.cwd);
    } catch (error) {
      return `cannot enter the folder (${messageOf(error)})`;
    }
    return "cannot enter the folder";
  }
  return signal === null
    ? `the launching shell ended with ${exitCode}`
    : `signal ${signal} ended the launching shell`;
}
