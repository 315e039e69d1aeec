/**
 * Processes that a task left behind and that this process, a subreaper, adopted. Whatever survives
 * of a task has an ancestor that survives and whose own parent is dead, so that it is our child:
 * to find, kill and reap our children again and again ends with nothing left, however they hide.
 */
import { type Libc, type Reaped, SystemCallError } from "../io/libc.ts";
import {
  childrenOf,
  descendantsOf,
  type ProcessStat,
  readEnvironment,
  readStat,
  watchedByPidfd,
} from "../io/procfs.ts";

/** In the environment of every process of a task: `<OWNER#MARK>`, after those of outer workers. */
export const markVariable = "WQX_TASK";

/** Prefix of all marks of one worker, as they stand in the environment. */
export function ownerMark(owner: string): string {
  return `<${owner}#`;
}

/** The environment of a task: what was asked for, and its mark. */
export function withMark(
  env: Readonly<Record<string, string>>,
  owner: string,
  mark: string,
): Record<string, string> {
  return { ...env, [markVariable]: `${env[markVariable] ?? ""}${ownerMark(owner)}${mark}>` };
}

/**
 * All marks in an environment as /proc has it; `null` without any. One that is read while a program
 * starts may end in the middle: then it has none yet.
 */
export function marksIn(environment: readonly string[] | null): string | null {
  const entry = environment?.find((one) => one.startsWith(`${markVariable}=`));
  return entry?.endsWith(">") ? entry.slice(markVariable.length + 1) : null;
}

/** The mark of one of the owner's tasks. */
function markIn(environment: readonly string[] | null, owner: string): string | null {
  const [, after] = marksIn(environment)?.split(ownerMark(owner)) ?? [];
  return after?.split(">")[0] ?? null;
}

/** Whether an environment is that of this very task. */
export function hasMark(
  environment: readonly string[] | null,
  owner: string,
  mark: string,
): boolean {
  return markIn(environment, owner) === mark;
}

/** What is known of a task to find its orphans. */
export interface OrphanOwner {
  readonly mark: string;
  /** Its main process. */
  readonly pid: number;
  readonly session: number;
  /** The task cannot have started anything before. */
  readonly startTicks: number;
  /** Its main process has ended, and what is left must go. */
  over: boolean;
  /** Used by its orphans; grows as they are reaped. */
  readonly extra: { cpuUserMs: number; cpuSystemMs: number; memoryPeakMb: number };
}

/** `null`: a task that is over and forgotten; `"unknown"`: any that ran when the orphan started. */
type Owner = OrphanOwner | null | "unknown";

interface Orphan {
  readonly startTicks: number;
  readonly owner: Owner;
}

/** A zombie that Deno has not reaped after this time is none of Deno's own children. */
const denoReapsWithinMs = 500;

export class Orphans {
  /** By session, all tasks that run or are ending. */
  readonly owners = new Map<number, OrphanOwner>();
  readonly #libc: Libc;
  readonly #owner: string;
  /** Session of this process: what is in it is Deno's own child, because tasks have theirs. */
  readonly #ownSession: number;
  /** Deno's own children while they are there: no pid comes again between two sweeps. */
  readonly #denos = new Set<number>();
  readonly #known = new Map<number, Orphan>();
  readonly #unknownZombies = new Map<number, number>();
  /** Start of the first task: what is older belongs to none. */
  #firstTicks = Infinity;

  constructor(libc: Libc, owner: string, ownSession: number) {
    this.#libc = libc;
    this.#owner = owner;
    this.#ownSession = ownSession;
  }

  /** Those that are still to be killed or reaped. */
  get size(): number {
    return this.#known.size + this.#unknownZombies.size;
  }

  add(owner: OrphanOwner): void {
    this.owners.set(owner.session, owner);
    this.#firstTicks = Math.min(this.#firstTicks, owner.startTicks);
  }

  /** Whether something of this task is still there. */
  hasLeft(owner: OrphanOwner): boolean {
    return this.#known.values().some((orphan) => orphan.owner === owner);
  }

  /**
   * Takes stock of our children: reaps the dead, kills what belongs to a task that is over.
   * `isOurs` tells the children that someone else waits for.
   */
  sweep(isOurs: (pid: number) => boolean): void {
    const seen = new Set<number>();
    // Reaping and killing hands us the next generation, most of it dead already.
    for (let changed = true; changed;) {
      changed = false;
      for (const pid of childrenOf(Deno.pid)) {
        if (isOurs(pid)) continue;
        seen.add(pid);
        if (this.#denos.has(pid)) continue;
        const stat = readStat(pid);
        if (stat !== null && this.#look(stat)) changed = true;
      }
    }
    for (const pid of this.#denos) if (!seen.has(pid)) this.#denos.delete(pid);
    for (const pid of this.#known.keys()) if (!seen.has(pid)) this.#forgetIfGone(pid);
    for (const pid of this.#unknownZombies.keys()) {
      if (!seen.has(pid)) this.#unknownZombies.delete(pid);
    }
  }

  /** True if it was reaped, so that its children may have become ours. */
  #look(stat: ProcessStat): boolean {
    const { pid } = stat;
    let orphan = this.#known.get(pid);
    if (orphan === undefined || orphan.startTicks !== stat.startTicks) {
      const owner = this.#identify(stat);
      if (owner === undefined) return false;
      orphan = { startTicks: stat.startTicks, owner };
      this.#known.set(pid, orphan);
    }
    if (stat.state === "Z") {
      const reaped = this.#reap(pid);
      this.#known.delete(pid);
      if (reaped !== null && orphan.owner !== null && orphan.owner !== "unknown") {
        addUsage(orphan.owner.extra, reaped);
      }
      return reaped !== null;
    }
    if (this.#mustGo(orphan)) this.#killTree(pid, orphan.owner);
    return false;
  }

  /** Undefined: not (yet) known to be an orphan. */
  #identify(stat: ProcessStat): Owner | undefined {
    const bySession = this.owners.get(stat.session);
    if (bySession !== undefined) return bySession;
    if (this.#isDenos(stat)) {
      this.#denos.add(stat.pid);
      return undefined;
    }
    if (stat.state === "Z") {
      // Its environment is gone. Deno reaps its own children at once, so what stays is ours.
      const nowMs = performance.now();
      const sinceMs = this.#unknownZombies.get(stat.pid) ?? nowMs;
      this.#unknownZombies.set(stat.pid, sinceMs);
      if (nowMs - sinceMs < denoReapsWithinMs) return undefined;
      this.#unknownZombies.delete(stat.pid);
      return null;
    }
    const mark = markIn(readEnvironment(stat.pid), this.#owner);
    if (mark !== null) return this.owners.values().find((owner) => owner.mark === mark) ?? null;
    return stat.startTicks < this.#firstTicks || !this.#libc.hasPidfds ? undefined : "unknown";
  }

  /** Whether Deno waits for this child: where the kernel has them (5.3), by a pidfd. */
  #isDenos({ pid, session }: ProcessStat): boolean {
    return session === this.#ownSession || watchedByPidfd().includes(pid);
  }

  #mustGo({ owner, startTicks }: Orphan): boolean {
    if (owner === null) return true;
    if (owner !== "unknown") return owner.over;
    return !this.owners.values().some((o) => !o.over && o.startTicks <= startTicks);
  }

  #killTree(pid: number, owner: Owner): void {
    for (const descendant of descendantsOf(pid)) {
      const stat = readStat(descendant);
      // Known from here on, even if it hides its mark once it is ours.
      if (stat !== null) {
        this.#known.set(descendant, { startTicks: stat.startTicks, owner });
        this.#libc.kill(descendant);
      }
    }
    this.#libc.kill(pid);
  }

  #forgetIfGone(pid: number): void {
    const stat = readStat(pid);
    if (stat === null || stat.startTicks !== this.#known.get(pid)?.startTicks) {
      this.#known.delete(pid);
    }
  }

  #reap(pid: number): Reaped | null {
    try {
      return this.#libc.wait(pid);
    } catch (error) {
      // Deno was faster: it was a child of its own after all.
      if (error instanceof SystemCallError && error.code === "ECHILD") return null;
      throw error;
    }
  }
}

function addUsage(total: OrphanOwner["extra"], reaped: Reaped): void {
  total.cpuUserMs += reaped.cpuUserMs;
  total.cpuSystemMs += reaped.cpuSystemMs;
  total.memoryPeakMb = Math.max(total.memoryPeakMb, reaped.memoryPeakMb);
}
