/**
 * From looks at the processes of one command to what the whole tree has used. Processes come and
 * go between two looks, so counters are followed by who inherits them, and peaks are taken from
 * what the kernel keeps of each process.
 */
import type { ProcessReading } from "./proc_text.ts";
import { coresWindowMs, type Usage, type UsageKey } from "./resources.ts";

/** What can be said of a tree beyond its single processes, where cgroups are used. */
export interface GroupReading {
  readonly cpuMs: number;
  /** What its processes have in memory, without the cache of files. */
  readonly memoryKb: number;
}

export interface Look {
  readonly atMs: number;
  readonly processes: readonly ProcessReading[];
  /** Sum of the proportional shares; null if they were not read. */
  readonly pssKb: number | null;
  readonly group: GroupReading | null;
  readonly disk: { readonly bytes: number; readonly files: number } | null;
}

/** What the kernel told when the tree had ended. Memory is that of the largest one process. */
export interface FinalUsage {
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  readonly memoryPeakMb: number;
}

/**
 * Resident sets count shared pages in each process. Where at most this part of their sum can be
 * shared, or not more than the libraries of two small programs, the middle of what is possible is
 * right within 2 % or 2 MB, and nothing slower is read.
 */
const overlapShareMax = 0.04, overlapKbMax = 4 * 1024;

const mb = 1024 ** 2, kbInMb = 1024;

/** An average over less would call a start on many threads a breach of the cores allocated. */
export const coresLimitWindowMs = 60_000;

export class ProcessTree {
  readonly #startedMs: number;
  #processes = new Map<number, ProcessReading>();
  /** Counted before by processes that are gone and that no one in the tree inherits. */
  readonly #lost = { cpuMs: 0, readBytes: 0, writtenBytes: 0, contextSwitches: 0 };
  #memoryKb = 0;
  readonly #seen = new Set<string>();
  readonly #cpuPoints: { atMs: number; cpuMs: number }[] = [];
  #usage: Record<string, number> = {};
  readonly #peakAtMs: Partial<Record<UsageKey, number>> = {};
  #coresNow: number | null = null;

  constructor(startedMs: number) {
    this.#startedMs = startedMs;
    this.#cpuPoints.push({ atMs: startedMs, cpuMs: 0 });
  }

  get usage(): Usage {
    return this.#usage;
  }

  /** When each peak was, in milliseconds after the start. */
  get peakAtMs(): Readonly<Partial<Record<UsageKey, number>>> {
    return this.#peakAtMs;
  }

  /** Of the last look. */
  get memoryNowMb(): number {
    return this.#memoryKb / kbInMb;
  }

  /** Average over the last minute; null before the tree is a minute old. */
  get coresOfLastMinute(): number | null {
    return this.#coresNow;
  }

  /** Of the last look. */
  get processes(): readonly ProcessReading[] {
    return [...this.#processes.values()];
  }

  /** Whether only the proportional shares, which are slow to read, can tell a new peak here. */
  wantsPss(processes: readonly ProcessReading[]): boolean {
    const sumKb = sum(processes, (p) => p.rssKb);
    const peakKb = (this.#usage["memoryMb"] ?? 0) * kbInMb;
    return sumKb > peakKb && !isSmall(this.#overlapKb(processes), sumKb);
  }

  look(look: Look): void {
    const now = new Map(look.processes.map((one) => [one.pid, one]));
    for (const { pid, startTicks } of look.processes) this.#seen.add(`${pid} ${startTicks}`);
    this.#inherit(now);
    const before = { processes: this.#processes, memoryKb: this.#memoryKb };
    this.#memoryKb = this.#memoryOf(look);
    this.#processes = now;

    const lost = this.#lost;
    const total = (of: (one: ProcessReading) => number) => sum(look.processes, of);
    const cpuMs = Math.max(
      lost.cpuMs + total((p) => p.cpuMs + p.waitedCpuMs),
      look.group?.cpuMs ?? 0,
    );
    const atMs = look.atMs - this.#startedMs;
    this.#raise(atMs, {
      wallMs: atMs,
      cpuMs,
      memoryMb: Math.max(this.#memoryKb, this.#spikeKb(before)) / kbInMb,
      virtualMb: total((p) => p.virtualKb) / kbInMb,
      swapMb: total((p) => p.swapKb) / kbInMb,
      readBytes: lost.readBytes + total((p) => p.readBytes),
      writtenBytes: lost.writtenBytes + total((p) => p.writtenBytes),
      contextSwitches: lost.contextSwitches + total((p) => p.contextSwitches),
      processesPeak: look.processes.filter((p) => !p.zombie).length,
      processesTotal: this.#seen.size,
      ...(look.disk && { diskMb: look.disk.bytes / mb, filesPeak: look.disk.files }),
    });
    this.#followCores(look.atMs);
  }

  /** The tree has ended at `atMs`; `final` is null where the system does not tell. */
  finish(atMs: number, final: FinalUsage | null): void {
    const wallMs = atMs - this.#startedMs;
    this.#raise(wallMs, { wallMs });
    if (final !== null) {
      const cpuMs = final.cpuUserMs + final.cpuSystemMs;
      this.#raise(wallMs, { cpuMs, memoryMb: final.memoryPeakMb });
    }
    const { cpuMs = 0 } = this.usage;
    const coresAverage = wallMs > 0 ? cpuMs / wallMs : 0;
    this.#raise(wallMs, { coresAverage, cores: coresAverage, processesTotal: 1, processesPeak: 1 });
  }

  #raise(atMs: number, values: Usage): void {
    for (const [key, value] of Object.entries(values)) {
      if (value <= (this.#usage[key] ?? -1)) continue;
      this.#usage[key] = value;
      this.#peakAtMs[key as UsageKey] = atMs;
    }
  }

  /** Where it cannot be told without the proportional shares, the least that it can be. */
  #memoryOf({ processes, pssKb, group }: Look): number {
    if (group !== null) return group.memoryKb;
    if (pssKb !== null) return pssKb;
    const sumKb = sum(processes, (p) => p.rssKb);
    const overlapKb = this.#overlapKb(processes);
    const leastKb = Math.max(sumKb - overlapKb, ...processes.map((p) => p.rssKb));
    return isSmall(overlapKb, sumKb) ? (leastKb + sumKb) / 2 : leastKb;
  }

  /**
   * The most of the summed resident sets that may be counted more than once: files and shared
   * memory in all processes but one, and what a child can have from its parent's own memory.
   */
  #overlapKb(processes: readonly ProcessReading[]): number {
    const shareable = processes.map((p) => p.rssKb - p.anonKb);
    const ownKb = new Map(processes.map((p) => [p.pid, p.anonKb]));
    for (const { pid, anonKb } of this.#processes.values()) {
      ownKb.set(pid, Math.max(ownKb.get(pid) ?? 0, anonKb));
    }
    const inherited = sum(processes, (p) => Math.min(p.anonKb, ownKb.get(p.parent) ?? 0));
    return shareable.reduce((a, b) => a + b, 0) - Math.max(0, ...shareable) + inherited;
  }

  /**
   * The largest peak that one process had between two looks, with the others as they were at the
   * look where they were smaller: they may have had their own peaks at another time.
   */
  #spikeKb(before: { processes: ReadonlyMap<number, ProcessReading>; memoryKb: number }): number {
    let largestKb = 0;
    for (const one of this.#processes.values()) {
      const earlier = before.processes.get(one.pid);
      const rssBeforeKb = earlier?.rssKb ?? 0;
      const peakKb = one.rssPeakKb;
      if (peakKb <= (earlier?.rssPeakKb ?? 0)) continue;
      if (peakKb <= Math.max(one.rssKb, rssBeforeKb)) continue;
      const othersKb = Math.min(this.#memoryKb - one.rssKb, before.memoryKb - rssBeforeKb);
      largestKb = Math.max(largestKb, peakKb + Math.max(0, othersKb));
    }
    return largestKb;
  }

  /** Keeps what vanished processes have counted, unless an ancestor counts it on. */
  #inherit(now: ReadonlyMap<number, ProcessReading>): void {
    const isHere = (one: ProcessReading) => now.get(one.pid)?.startTicks === one.startTicks;
    const estates = new Map<number, Estate>();
    for (const one of this.#processes.values()) {
      if (isHere(one)) continue;
      this.#lost.contextSwitches += one.contextSwitches;
      let heir = this.#processes.get(one.parent);
      // No chain is longer; one of numbers that were given again could be a circle.
      for (let step = 0; heir !== undefined && !isHere(heir); step++) {
        heir = step < this.#processes.size ? this.#processes.get(heir.parent) : undefined;
      }
      const estate = estates.get(heir?.pid ?? 0) ?? { cpuMs: 0, readBytes: 0, writtenBytes: 0 };
      estate.cpuMs += one.cpuMs + one.waitedCpuMs;
      estate.readBytes += one.readBytes;
      estate.writtenBytes += one.writtenBytes;
      estates.set(heir?.pid ?? 0, estate);
    }
    for (const [pid, estate] of estates) {
      const before = this.#processes.get(pid), after = now.get(pid);
      const grown = (of: (one: ProcessReading) => number) =>
        before && after ? of(after) - of(before) : 0;
      this.#lost.cpuMs += Math.max(0, estate.cpuMs - grown((p) => p.waitedCpuMs));
      this.#lost.readBytes += Math.max(0, estate.readBytes - grown((p) => p.readBytes));
      this.#lost.writtenBytes += Math.max(0, estate.writtenBytes - grown((p) => p.writtenBytes));
    }
  }

  #followCores(atMs: number): void {
    const points = this.#cpuPoints, cpuMs = this.usage.cpuMs ?? 0;
    points.push({ atMs, cpuMs });
    while (points.length > 2 && points[1]!.atMs <= atMs - coresLimitWindowMs) points.shift();
    const averageOver = (windowMs: number): number | null => {
      const from = points.findLast((point) => point.atMs <= atMs - windowMs);
      return from === undefined ? null : (cpuMs - from.cpuMs) / (atMs - from.atMs);
    };
    this.#coresNow = averageOver(coresLimitWindowMs);
    const cores = averageOver(coresWindowMs);
    if (cores !== null) this.#raise(atMs - this.#startedMs, { cores });
  }
}

interface Estate {
  cpuMs: number;
  readBytes: number;
  writtenBytes: number;
}

function sum(processes: readonly ProcessReading[], of: (p: ProcessReading) => number): number {
  return processes.reduce((total, one) => total + of(one), 0);
}

function isSmall(overlapKb: number, sumKb: number): boolean {
  return overlapKb <= Math.max(overlapKbMax, sumKb * overlapShareMax);
}
