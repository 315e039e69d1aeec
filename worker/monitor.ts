/**
 * The resource monitor of a worker: one sampler for all its tasks. It looks when a task is due,
 * and at once when the memory of the machine falls fast, so that a burst between two looks is cut
 * short; where the event loop is late even for that, the kernel is told whom to kill first.
 */
import process from "node:process";
import {
  alarmingFallMb,
  Budget,
  nextLookMs,
  youngMs,
  youngWaitMsMax,
} from "../core/monitor/cadence.ts";
import { brokenLimits, type Limits, type Verdict } from "../core/monitor/limits.ts";
import type { MonitorMode } from "../core/monitor/mode.ts";
import type { ProcessReading } from "../core/monitor/proc_text.ts";
import type { Usage } from "../core/monitor/resources.ts";
import type { MeasuredBy, Summary } from "../core/monitor/summary.ts";
import { type FinalUsage, ProcessTree } from "../core/monitor/tree.ts";
import type { TaskCgroup } from "../io/cgroup.ts";
import { FolderSize } from "../io/folder_size.ts";
import { offerToOomKiller, readPrivateKb, readProcess, readPssKb } from "../io/proc_usage.ts";
import { readStat } from "../io/procfs.ts";
import { Census, type Member, memberOf } from "./monitor_census.ts";

export interface TaskWatch {
  readonly mode: MonitorMode;
  readonly limits: Limits;
  /** Main process of the task. */
  readonly pid: number;
  /** Its own session; null if it has none, as a command in a terminal. */
  readonly session: number | null;
  /** The marks in its environment (orphans.ts), where that may not have them yet. */
  readonly marks?: string;
  /** Memory of the main process that is not its own; default 0. */
  readonly sharedKb?: number;
  /** Folders whose size counts as disk. */
  readonly folders: readonly string[];
  /** Holds the task already, where cgroups are used. */
  readonly cgroup?: TaskCgroup | null;
  /** When it was started, as `performance.now()`; default now. */
  readonly startedMs?: number;
  /** Once, in mode `watchdog`: the task must be killed now. */
  readonly onExceeded: (broken: readonly Verdict[]) => void;
  /** After every look. */
  readonly onLook?: (usage: Usage) => void;
}

/**
 * How often the machine's memory is looked at while a task may not have all of it. A look takes
 * 0.1 ms where the caches are cold; in the time between two, one core can fill about 200 MB.
 */
const sentinelMs = 40;
/** The most willing to be killed: a task has a second try, the machine's other programs have not. */
const oomScore = 1000;
/** Tasks due within this part of their interval are looked at in the same walk. */
const earlyPart = 0.3;
/** Part of one core that reading proportional shares may take of one task, and of a young one. */
const pssShare = 0.002, youngPssShare = 0.03;
/** Part of a sum of proportional shares that may have changed hands while it was read. */
const pssErrorMax = 0.02;
/** Between two looks that the sentinel calls for. */
const alarmGapMs = 40;

const mb = 1024 ** 2;

/** The sampler. Disposing of it stops its timers; tasks must have been finished before. */
export class Monitor implements Disposable {
  readonly #tasks = new Set<TaskMonitor>();
  readonly #census = new Census();
  readonly #budget = new Budget(performance.now());
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;
  readonly #onChild = () => {
    for (const task of this.#tasks) task.lookAtOrphans();
  };
  #sentinel: ReturnType<typeof setInterval> | undefined;
  #availableMb = Infinity;
  #lastAlarmMs = 0;
  #spentMs = 0;
  #lookCount = 0;

  /** CPU time of looking since the start, milliseconds. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** Walks of /proc since the start. */
  get lookCount(): number {
    return this.#lookCount;
  }

  /** Starts monitoring a task that has just been started. */
  watch(watch: TaskWatch): TaskMonitor {
    const task = new TaskMonitor(watch, (ended) => this.#remove(ended));
    if (watch.mode === "off") return task;
    const usedMs = cpuMsUsed();
    if (this.#tasks.size === 0) Deno.addSignalListener("SIGCHLD", this.#onChild);
    this.#tasks.add(task);
    this.#census.add(task.member);
    this.#budget.taskAdded();
    if (needsSentinel(watch)) {
      offerToOomKiller(watch.pid, oomScore);
      if (this.#sentinel === undefined) this.#watchMachine();
    }
    this.#spentMs += cpuMsUsed() - usedMs;
    this.#plan();
    return task;
  }

  /** Looks at this task whether it is due or not. */
  lookNow(task: TaskMonitor): void {
    if (this.#tasks.has(task)) this.#look((one) => one === task);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearInterval(this.#sentinel);
    this.#sentinel = undefined;
    if (this.#tasks.size > 0) Deno.removeSignalListener("SIGCHLD", this.#onChild);
    this.#tasks.clear();
  }

  #remove(task: TaskMonitor): void {
    if (this.#tasks.delete(task) && this.#tasks.size === 0) {
      Deno.removeSignalListener("SIGCHLD", this.#onChild);
    }
    this.#census.remove(task.member);
    if (![...this.#tasks].some(({ watch }) => needsSentinel(watch))) {
      clearInterval(this.#sentinel);
      this.#sentinel = undefined;
    }
    this.#plan();
  }

  #plan(): void {
    const nowMs = performance.now();
    let dueMs = Infinity, waitMs = this.#budget.waitMs(nowMs);
    for (const task of this.#tasks) {
      dueMs = Math.min(dueMs, task.dueMs);
      if (nowMs - task.startedMs < youngMs) waitMs = Math.min(waitMs, youngWaitMsMax);
    }
    dueMs = Math.max(dueMs, nowMs + waitMs);
    if (dueMs === this.#timerAtMs && dueMs !== Infinity) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = dueMs;
    if (dueMs === Infinity) return;
    this.#timer = setTimeout(() => this.#look(), Math.max(0, dueMs - nowMs));
  }

  #look(isDue?: (task: TaskMonitor) => boolean): void {
    const nowMs = performance.now(), usedMs = cpuMsUsed();
    const due = new Map<Member, TaskMonitor>();
    for (const task of this.#tasks) {
      const early = (task.dueMs - task.lookedMs) * earlyPart;
      if (isDue?.(task) ?? task.dueMs - early <= nowMs) due.set(task.member, task);
    }
    const readings = this.#census.look((member) => due.has(member));
    for (const [member, processes] of readings) due.get(member)!.take(processes);
    const tookMs = cpuMsUsed() - usedMs;
    this.#spentMs += tookMs;
    this.#lookCount++;
    this.#budget.spend(nowMs, tookMs);
    this.#timerAtMs = -1;
    this.#plan();
  }

  #watchMachine(): void {
    const { available, total } = Deno.systemMemoryInfo();
    this.#availableMb = available / mb;
    const fallMb = alarmingFallMb(total / mb);
    this.#sentinel = setInterval(() => {
      const nowMs = performance.now(), usedMs = cpuMsUsed();
      const availableMb = Deno.systemMemoryInfo().available / mb;
      this.#spentMs += cpuMsUsed() - usedMs;
      // What became free, and what went slowly, is the new normal.
      if (this.#availableMb - availableMb < fallMb) {
        this.#availableMb += (availableMb - this.#availableMb) *
          (availableMb > this.#availableMb ? 1 : slowShare);
        return;
      }
      if (nowMs - this.#lastAlarmMs < alarmGapMs) return;
      this.#lastAlarmMs = nowMs;
      this.#availableMb = availableMb;
      this.#look(({ watch }) => needsSentinel(watch));
    }, sentinelMs);
  }
}

/** CPU time of this process: on a busy machine a look takes longer, and does not cost more. */
function cpuMsUsed(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Of a fall, taken as normal at every turn of the sentinel: half of it in a quarter of a second. */
const slowShare = 0.1;

function needsSentinel({ mode, limits, cgroup }: TaskWatch): boolean {
  return mode === "watchdog" && limits.memoryMb !== undefined && !cgroup?.limitsMemory;
}

/** The monitor of one task. Call {@link finish} when the task has ended. */
export class TaskMonitor {
  readonly member: Member;
  /** As `performance.now()`: of the last look, and of the next. */
  lookedMs: number;
  dueMs: number;
  readonly #tree: ProcessTree;
  readonly #folders: readonly FolderSize[];
  /** Of the main process. */
  readonly #startTicks: number;
  readonly startedMs: number;
  readonly #startEpochMs: number;
  #broken: readonly Verdict[] = [];
  #killed = false;
  #finished = false;
  #pssNotBeforeMs = 0;
  #memoryBeforeMb = 0;

  constructor(
    readonly watch: TaskWatch,
    private readonly onEnd: (task: TaskMonitor) => void,
  ) {
    const nowMs = performance.now();
    this.startedMs = watch.startedMs ?? nowMs;
    this.#startEpochMs = Date.now() - (nowMs - this.startedMs);
    this.#tree = new ProcessTree(this.startedMs);
    this.lookedMs = nowMs;
    this.dueMs = nowMs;
    const off = watch.mode === "off";
    this.#startTicks = off ? 0 : readStat(watch.pid)?.startTicks ?? 0;
    this.#folders = off ? [] : watch.folders.map((path) => new FolderSize(path));
    this.member = memberOf(watch.pid, watch.session, watch.marks);
  }

  /** Up to the last look. */
  get usage(): Usage {
    return this.#tree.usage;
  }

  /** As the last look found them. */
  get processes(): readonly ProcessReading[] {
    return this.#tree.processes;
  }

  /** Folds in what a walk of /proc has found of this task. */
  take(found: readonly ProcessReading[]): void {
    if (this.#finished) return;
    const processes = found.map((one) => this.#ownOf(one));
    const nowMs = performance.now();
    const disk = this.#disk((folder) => folder.refresh());
    const group = this.watch.cgroup?.read() ?? null;
    const pssKb = group === null ? this.#pssOf(processes, nowMs) : null;
    this.#tree.look({ atMs: nowMs, processes, pssKb, group, disk });
    this.#judge();
    const { memoryNowMb } = this.#tree;
    const { limits, mode } = this.watch;
    this.dueMs = nowMs + nextLookMs({
      ageMs: nowMs - this.startedMs,
      memoryMb: memoryNowMb,
      memoryMbMax: mode === "watchdog" ? limits.memoryMb ?? null : null,
      growthMbPerMs: (memoryNowMb - this.#memoryBeforeMb) / Math.max(1, nowMs - this.lookedMs),
      wallLeftMs: mode === "watchdog" && limits.wallMs !== undefined && !this.#killed
        ? this.startedMs + limits.wallMs - nowMs
        : null,
    });
    this.lookedMs = nowMs;
    this.#memoryBeforeMb = memoryNowMb;
    this.watch.onLook?.(this.usage);
  }

  /**
   * A child of ours has ended, which may be one that forked away from the task: until someone
   * waits for it, it tells all that it has used.
   */
  lookAtOrphans(): void {
    const known = this.#tree.processes;
    const isOrphan = ({ pid, parent, zombie }: ProcessReading) =>
      parent === Deno.pid && pid !== this.watch.pid && !zombie;
    if (this.#finished || !known.some(isOrphan)) return;
    const processes = known.map((one) => {
      const now = isOrphan(one) ? readProcess(one.pid)?.reading : undefined;
      return now?.startTicks === one.startTicks ? now : one;
    });
    const atMs = performance.now();
    this.#tree.look({ atMs, processes, pssKb: null, group: null, disk: null });
  }

  /**
   * To be called when the main process has ended and is not yet waited for: its counters, with
   * those of all that it has waited for, are complete then.
   */
  lookAtEnded(): void {
    if (this.watch.mode === "off" || this.#finished) return;
    // Only those known: whoever came and went since is in the counters of the one that waited.
    const known = new Map(this.#tree.processes.map(({ pid, startTicks }) => [pid, startTicks]));
    known.set(this.watch.pid, this.#startTicks);
    const processes = [...known].flatMap(([pid, startTicks]) => {
      const reading = readProcess(pid)?.reading;
      return reading?.startTicks === startTicks ? [this.#ownOf(reading)] : [];
    });
    const atMs = performance.now();
    this.#tree.look({ atMs, processes, pssKb: null, group: null, disk: null });
  }

  /**
   * The task has ended; `final` is what `wait4` told, null where the system does not tell. What
   * broke a limit between two looks is judged here, but has not been killed for it.
   */
  finish(final: FinalUsage | null): Summary {
    const nowMs = performance.now();
    if (this.watch.mode === "off") return this.#summary(nowMs);
    // Zombies that nobody has waited for yet still tell what they used.
    this.lookAtEnded();
    const group = this.watch.cgroup?.read() ?? null;
    const disk = this.#disk((folder) => folder.settle());
    this.#tree.look({ atMs: nowMs, processes: [], pssKb: null, group, disk });
    this.#tree.finish(nowMs, final);
    this.#finished = true;
    this.#judge();
    this.onEnd(this);
    return this.#summary(nowMs);
  }

  /** What would be told if it ended now. */
  get summary(): Summary {
    return this.#summary(performance.now());
  }

  #summary(nowMs: number): Summary {
    const { limits, mode, cgroup } = this.watch;
    const by: MeasuredBy = mode === "off" ? "nothing" : cgroup?.version ?? "/proc";
    return {
      usage: {
        ...this.#tree.usage,
        startMs: this.#startEpochMs,
        endMs: this.#startEpochMs + (nowMs - this.startedMs),
        ...(limits.gpus !== undefined && { gpus: limits.gpus }),
        machineCores: navigator.hardwareConcurrency,
        machineLoad: Deno.loadavg()[0] ?? 0,
      },
      peakAtMs: this.#tree.peakAtMs,
      broken: this.#broken,
      killed: this.#killed,
      by,
    };
  }

  #judge(): void {
    if (this.#killed) return;
    const broken = brokenLimits(this.usage, this.watch.limits, this.#tree.coresOfLastMinute);
    const oomKilled = this.watch.cgroup?.oomKilled() ?? false;
    const { memoryMb } = this.watch.limits;
    if (oomKilled && memoryMb !== undefined && !broken.some(({ key }) => key === "memoryMb")) {
      const measured = Math.max(memoryMb, this.usage.memoryMb ?? 0);
      broken.push({ key: "memoryMb", limit: memoryMb, measured });
    }
    if (broken.length === 0) return;
    this.#broken = broken;
    if (this.watch.mode !== "watchdog" || this.#finished) return;
    this.#killed = true;
    this.watch.onExceeded(broken);
  }

  #disk(look: (folder: FolderSize) => void): { bytes: number; files: number } | null {
    if (this.#folders.length === 0) return null;
    let bytes = 0, files = 0;
    for (const folder of this.#folders) {
      look(folder);
      bytes += folder.bytes;
      files += folder.files;
    }
    return { bytes, files };
  }

  /** Of the main process, without what it shares with the one that it was forked from. */
  #ownOf(reading: ProcessReading): ProcessReading {
    const { pid, sharedKb = 0 } = this.watch;
    if (sharedKb === 0 || reading.pid !== pid) return reading;
    const less = (kb: number) => Math.max(0, kb - sharedKb);
    const { rssKb, anonKb, rssPeakKb } = reading;
    return {
      ...reading,
      rssKb: less(rssKb),
      anonKb: less(anonKb),
      rssPeakKb: less(rssPeakKb),
    };
  }

  /** Null where the resident sets tell enough, or where it would cost too much to know more. */
  #pssOf(processes: readonly ProcessReading[], nowMs: number): number | null {
    if (!this.#tree.wantsPss(processes)) return null;
    const sumKb = processes.reduce((sum, { rssKb }) => sum + rssKb, 0);
    const mayKill = sumKb > (this.watch.limits.memoryMb ?? Infinity) * 1024;
    if (nowMs < this.#pssNotBeforeMs && !mayKill) return null;
    const usedMs = cpuMsUsed();
    const living = processes.filter(({ zombie }) => !zombie);
    let pssKb = 0, movedKb = 0;
    const { pid: main, sharedKb = 0 } = this.watch;
    for (const { pid, rssKb } of living) {
      pssKb += (sharedKb > 0 && pid === main ? readPrivateKb(pid) : readPssKb(pid)) ?? rssKb;
    }
    for (const { pid, rssKb, anonKb } of living) {
      const found = readProcess(pid)?.reading;
      const now = found && this.#ownOf(found);
      movedKb += Math.max(0, rssKb - (now?.rssKb ?? 0));
      if (now !== undefined) movedKb += Math.max(0, now.rssKb - now.anonKb - (rssKb - anonKb));
    }
    // A page that came to be shared, or was left by one of those who share it, between two of
    // these readings was counted more than once.
    if (movedKb > pssKb * pssErrorMax) return null;
    const tookMs = cpuMsUsed() - usedMs;
    const share = nowMs - this.startedMs < youngMs ? youngPssShare : pssShare;
    this.#pssNotBeforeMs = nowMs + Math.min(tookMs / share, pssGapMsMax);
    return pssKb;
  }
}

/** However much memory there is to look through. */
const pssGapMsMax = 10_000;
