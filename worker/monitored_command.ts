/**
 * One command in the foreground, monitored: it has our terminal, folder and process group, and
 * nothing of it is left running in the end.
 *
 * A small shell starts it and dies, as in process.ts and for the same reason: a child that this
 * process started itself would report at least our own memory. What is lost against a task of a
 * worker is the session of its own, so a process of it is known by its parents and its mark only.
 */
import { messageOf, RunError } from "../core/errors.ts";
import type { CommandEnd, Summary } from "../core/monitor/summary.ts";
import type { FinalUsage } from "../core/monitor/tree.ts";
import { delay } from "../io/clock.ts";
import { Libc, SystemCallError } from "../io/libc.ts";
import { childrenOf, descendantsOf, readStat } from "../io/procfs.ts";
import type { NumberedSignal } from "../io/signals.ts";
import { Monitor, type TaskMonitor, type TaskWatch } from "./monitor.ts";
import { withMark } from "./orphans.ts";

export interface MonitoredCommand extends Pick<TaskWatch, "mode" | "limits" | "folders"> {
  /** Program and arguments; the program with a slash in its path. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Often while it runs; a summary so far. */
  readonly everyMs?: number;
  readonly onTick?: (summary: Summary) => void;
  /** It was killed, for the limits it broke. */
  readonly onKilled: (broken: Summary["broken"]) => void;
}

export interface MonitoredEnd {
  readonly end: CommandEnd;
  readonly summary: Summary;
}

/** `$1` where to write the pid, then the command. See process.ts for why each step is there. */
const launchScript = `report=$1; shift
(read -r wqx_pid wqx_rest </proc/self/stat && echo "$wqx_pid" >"$report" && kill -9 $$ &&
while read -r wqx_pid wqx_name wqx_state wqx_parent wqx_rest </proc/self/stat
[ "$wqx_parent" = $$ ]; do :; done
exec "$@")
exit 126`;

/** Those that are for the command, not for its monitor. */
const passedOn: readonly NumberedSignal[] = [
  "SIGTERM",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
];

/** The terminal sends these to the command by itself. */
const ofTerminal: ReadonlySet<string> = new Set(["SIGINT", "SIGQUIT"]);

/** Ends are noticed by SIGCHLD; this catches what a lost signal would leave. */
const slowSweepMs = 500;
/** A killed process that does not die within this time hangs in the kernel. */
const leftoversMsMax = 5_000;

/** Runs the command to its end. Throws RunError if it cannot be started or measured here. */
export async function runMonitored(command: MonitoredCommand): Promise<MonitoredEnd> {
  using libc = openLibc();
  libc.setSubreaper(true);
  using signals = new Signals();
  const startedMs = performance.now();
  const pid = await launch(libc, command);
  signals.passTo(pid);
  using monitor = new Monitor();
  const running = new Running(libc, pid);
  const task = monitor.watch({
    ...command,
    pid,
    session: null,
    startedMs,
    onExceeded: (broken) => {
      running.killTree(task.processes.map((process) => process.pid));
      command.onKilled(broken);
    },
  });
  using _ticking = every(command.everyMs, () => command.onTick?.(task.summary));
  await running.ended;
  task.lookAtEnded();
  const reaped = running.reapMain();
  await running.endLeftovers(monitor, task);
  const final = plus(running.orphans, reaped);
  const summary = task.finish(final);
  return { end: { exitCode: reaped.exitCode, signal: reaped.signal }, summary };
}

/**
 * Follows a process that others started, until it ends; how it ended only its parent learns.
 * Throws RunError if there is none.
 */
export async function followProcess(
  pid: number,
  command: Omit<MonitoredCommand, "words" | "env">,
): Promise<MonitoredEnd> {
  const first = readStat(pid);
  if (first === null) throw new RunError(`Cannot monitor process ${pid}: there is none`);
  using monitor = new Monitor();
  const task = monitor.watch({
    ...command,
    pid,
    session: null,
    onExceeded: (broken) => {
      for (const one of task.processes) killQuietly(one.pid, "SIGKILL");
      command.onKilled(broken);
    },
  });
  using _ticking = every(command.everyMs, () => command.onTick?.(task.summary));
  for (let stat = readStat(pid); isAlive(stat, first.startTicks); stat = readStat(pid)) {
    await delay(followMs);
  }
  return { end: { exitCode: 0, signal: null }, summary: task.finish(null) };
}

const followMs = 50;

function isAlive(stat: ReturnType<typeof readStat>, startTicks: number): boolean {
  return stat !== null && stat.state !== "Z" && stat.startTicks === startTicks;
}

function openLibc(): Libc {
  try {
    return Libc.open();
  } catch (error) {
    throw new RunError(`Cannot monitor anything here: ${messageOf(error)}`);
  }
}

/** Returns the pid of the command, which is our child by adoption. */
async function launch(libc: Libc, { words, env }: MonitoredCommand): Promise<number> {
  const pipe = libc.pipe();
  let writeFd: number | null = pipe.writeFd;
  try {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", launchScript, "sh", `/proc/${Deno.pid}/fd/${pipe.writeFd}`, ...words],
      clearEnv: true,
      env: withMark(env, `monitor ${Deno.pid}`, "0"),
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    const { code, signal } = await child.status;
    // Nobody else has it open now, so that reading ends even where nothing was written.
    libc.closeFd(writeFd);
    writeFd = null;
    const buffer = new Uint8Array(64);
    const pid = Number.parseInt(
      new TextDecoder().decode(buffer.subarray(0, libc.read(pipe.readFd, buffer))),
    );
    if (pid > 0) return pid;
    throw new Error(`the launching shell ended with ${signal ?? code}`);
  } catch (error) {
    throw new RunError(`Cannot start ${JSON.stringify(words[0])}: ${messageOf(error)}`);
  } finally {
    libc.closeFd(pipe.readFd);
    if (writeFd !== null) libc.closeFd(writeFd);
  }
}

/** The command and whatever it leaves to us. */
class Running {
  /** Used by processes that forked away and that we had to wait for. */
  readonly orphans = { cpuUserMs: 0, cpuSystemMs: 0, memoryPeakMb: 0 };
  /** When the main process has ended; it is still a zombie then. */
  readonly ended: Promise<void>;

  constructor(private readonly libc: Libc, private readonly pid: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const sweep = () => {
      this.reapOrphans();
      if (!libc.hasEnded(pid)) return;
      clearInterval(timer);
      Deno.removeSignalListener("SIGCHLD", sweep);
      resolve();
    };
    Deno.addSignalListener("SIGCHLD", sweep);
    const timer = setInterval(sweep, slowSweepMs);
    sweep();
  }

  killTree(known: readonly number[]): void {
    for (const pid of new Set([this.pid, ...known, ...descendantsOf(this.pid)])) {
      this.libc.kill(pid);
    }
  }

  reapMain() {
    const reaped = this.libc.wait(this.pid);
    if (reaped === null) throw new Error(`Process ${this.pid} has ended and cannot be waited for`);
    return reaped;
  }

  /** Every child of ours is of the command: the launching shell was waited for. */
  reapOrphans(): void {
    for (const pid of childrenOf(Deno.pid)) {
      if (pid === this.pid || readStat(pid)?.state !== "Z") continue;
      try {
        addUsage(this.orphans, this.libc.wait(pid));
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error;
      }
    }
  }

  /** Kills and reaps what the command left behind. */
  async endLeftovers(monitor: Monitor, task: TaskMonitor): Promise<void> {
    const giveUpMs = performance.now() + leftoversMsMax;
    for (let looked = false; performance.now() < giveUpMs;) {
      const left = descendantsOf(Deno.pid);
      if (left.length === 0) return;
      // Once before they are killed, for what they hold by now.
      if (!looked) monitor.lookNow(task);
      looked = true;
      for (const pid of left) this.libc.kill(pid);
      this.reapOrphans();
      await delay(1);
    }
  }
}

function addUsage(total: Running["orphans"], reaped: FinalUsage | null): void {
  if (reaped === null) return;
  total.cpuUserMs += reaped.cpuUserMs;
  total.cpuSystemMs += reaped.cpuSystemMs;
  total.memoryPeakMb = Math.max(total.memoryPeakMb, reaped.memoryPeakMb);
}

function plus(a: FinalUsage, b: FinalUsage): FinalUsage {
  const total = { ...a };
  addUsage(total, b);
  return total;
}

/** Passes signals on; those that come while the command starts wait for it. */
class Signals implements Disposable {
  #pid: number | null = null;
  readonly #waiting: NumberedSignal[] = [];
  readonly #remove: readonly (() => void)[];

  constructor() {
    const inTerminal = Deno.stdin.isTerminal();
    this.#remove = passedOn.map((name) => {
      const pass = () => {
        if (inTerminal && ofTerminal.has(name)) return;
        if (this.#pid === null) this.#waiting.push(name);
        else killQuietly(this.#pid, name);
      };
      Deno.addSignalListener(name, pass);
      return () => Deno.removeSignalListener(name, pass);
    });
  }

  passTo(pid: number): void {
    this.#pid = pid;
    for (const name of this.#waiting) killQuietly(pid, name);
  }

  [Symbol.dispose](): void {
    for (const remove of this.#remove) remove();
  }
}

function killQuietly(pid: number, name: NumberedSignal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

function every(ms: number | undefined, work: () => void): Disposable {
  const timer = ms === undefined ? undefined : setInterval(work, ms);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
