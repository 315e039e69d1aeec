/**
 * Which process belongs to which task, in one walk of /proc for all of them. A process belongs to
 * the task in whose session it is, else to that of its parent, else to the one whose mark is in
 * its environment; once it is known, it stays, wherever it forks away to.
 */
import type { ProcessReading } from "../core/monitor/proc_text.ts";
import { type KeptReading, readProcess } from "../io/proc_usage.ts";
import { listProcesses, readEnvironment, readStat } from "../io/procfs.ts";
import { marksIn } from "./orphans.ts";

/** A tree of processes, as it is found. */
export interface Member {
  readonly pid: number;
  /** Of its own; null if it shares one with others, as in a terminal. */
  readonly session: number | null;
  /** The marks in its environment (orphans.ts), which its processes inherit. */
  mark: string | null;
  /** As `performance.now()`: until then, no mark may mean that it has none yet. */
  readonly settledMs: number;
}

/** While a program replaces another one, its process shows no environment; this is ample. */
const settlingMs = 1_000;

/** A tree by its main process, which has just been started. */
export function memberOf(pid: number, session: number | null, mark = markOf(pid)): Member {
  return { pid, session, mark, settledMs: performance.now() + settlingMs };
}

/** `null`: none of our tasks'. */
interface Known {
  readonly member: Member | null;
  readonly session: number;
  readonly startTicks: number;
  kept: KeptReading | null;
}

/** The marks with which this process was started; null without any. */
function markOf(pid: number): string | null {
  return marksIn(readEnvironment(pid));
}

/** Whether it is one that is whole: empty or cut short, it was read at the wrong moment. */
function isWhole(environment: readonly string[]): boolean {
  return environment.length > 1 && environment.at(-1) === "";
}

export class Census {
  readonly #members = new Set<Member>();
  readonly #bySession = new Map<number, Member>();
  readonly #known = new Map<number, Known>();

  add(member: Member): void {
    this.#members.add(member);
    if (member.session !== null) this.#bySession.set(member.session, member);
    // Whoever was met before the task was announced may be of it.
    const startTicks = readStat(member.pid)?.startTicks ?? Infinity;
    for (const [pid, known] of this.#known) {
      const young = known.startTicks >= startTicks || known.session === member.session;
      if (known.member === null && young) this.#known.delete(pid);
    }
  }

  remove(member: Member): void {
    this.#members.delete(member);
    if (member.session !== null) this.#bySession.delete(member.session);
    for (const [pid, known] of this.#known) if (known.member === member) this.#known.delete(pid);
  }

  /** Reads the processes of those members that are due; others are only found. */
  look(isDue: (member: Member) => boolean): Map<Member, ProcessReading[]> {
    const found = new Map<Member, ProcessReading[]>();
    for (const member of this.#members) if (isUnsettled(member)) member.mark = markOf(member.pid);
    for (const member of this.#members) if (isDue(member)) found.set(member, []);
    const here = new Set(listProcesses());
    for (const pid of this.#known.keys()) if (!here.has(pid)) this.#known.delete(pid);
    for (const pid of here) {
      const known = this.#known.get(pid) ?? this.#meet(pid, here);
      if (known === null || known.member === null) continue;
      const readings = found.get(known.member);
      if (readings === undefined) continue;
      const kept = readProcess(pid, known.kept);
      if (kept === null || kept.reading.startTicks !== known.startTicks) {
        this.#known.delete(pid); // gone, and its number may be someone else's
        continue;
      }
      known.kept = kept;
      readings.push(kept.reading);
    }
    return found;
  }

  #meet(pid: number, here: ReadonlySet<number>): Known | null {
    const stat = readStat(pid);
    if (stat === null) return null;
    const { session, startTicks, parent } = stat;
    // Nobody's, while its parents are looked for: numbers given again could make a circle.
    this.#known.set(pid, { member: null, session, startTicks, kept: null });
    let member = this.#bySession.get(session) ??
      this.#members.values().find((one) => one.pid === pid) ?? this.#memberOf(parent, here);
    let early = false;
    if (member === null && (parent === 1 || parent === Deno.pid)) {
      // Whoever forks away becomes a child of ours or of init.
      const environment = readEnvironment(pid);
      member = this.#marked(marksIn(environment));
      early = environment !== null && !isWhole(environment) ||
        this.#members.values().some(isUnsettled);
    } else if (member === null) {
      // Its parent has just ended, and it has another one by now.
      early = parent > 1 && !this.#known.has(parent);
    }
    if (member === null && early) {
      this.#known.delete(pid); // to be asked again
      return null;
    }
    const known: Known = { member, session, startTicks, kept: null };
    this.#known.set(pid, known);
    return known;
  }

  #memberOf(pid: number, here: ReadonlySet<number>): Member | null {
    if (pid <= 1 || pid === Deno.pid) return null;
    const known = this.#known.get(pid) ?? (here.has(pid) ? this.#meet(pid, here) : null);
    return known?.member ?? null;
  }

  #marked(mark: string | null): Member | null {
    if (mark === null) return null;
    // A task that is a worker itself adds marks of its own behind ours.
    return this.#members.values().find((one) => one.mark !== null && mark.startsWith(one.mark)) ??
      null;
  }
}

function isUnsettled({ mark, settledMs }: Member): boolean {
  return mark === null && performance.now() < settledMs;
}
