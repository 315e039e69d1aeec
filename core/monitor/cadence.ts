/**
 * When to look. A young tree is looked at often, because most tasks are short and most memory is
 * taken early; an old one seldom; one that grows towards its limit, before it can be there.
 */

/** The kernel's own peaks cover what lies between; more often would cost more than it tells. */
export const intervalMsMin = 25;
/** For the burst of one task to be seen in time, a sentinel looks at the machine's memory. */
export const intervalMsMax = 2_000;
/** Part of its age that a tree may go on unseen: 16 looks in the first second, 8 more in the next 4. */
const agePart = 0.2;

export interface Pace {
  readonly ageMs: number;
  readonly memoryMb: number;
  readonly memoryMbMax: number | null;
  /** Since the last look; what shrinks has none. */
  readonly growthMbPerMs: number;
  /** Of wall time, until its limit; null without one. */
  readonly wallLeftMs: number | null;
}

/** Milliseconds to the next look. */
export function nextLookMs(pace: Pace): number {
  const byAge = Math.min(intervalMsMax, Math.max(intervalMsMin, pace.ageMs * agePart));
  const roomMb = pace.memoryMbMax === null ? Infinity : pace.memoryMbMax - pace.memoryMb;
  // At the present rate it is there then: look at half the way.
  const byGrowth = pace.growthMbPerMs > 0 ? roomMb / pace.growthMbPerMs / 2 : Infinity;
  const next = Math.max(intervalMsMin, Math.min(byAge, byGrowth));
  return pace.wallLeftMs === null ? next : Math.max(1, Math.min(next, pace.wallLeftMs + 1));
}

/** Part of one core that looking may take, all tasks together; the sentinel takes 0.25 %. */
const coreShare = 0.006;
/** Lets the first looks at a new task through; 100 tasks a minute still cost 0.3 % of a core. */
const perTaskMs = 2;
/** What is saved up while nothing happens. */
const savedMsMax = 50;

/** So long a tree is young: most of what short tasks take, they take by then. */
export const youngMs = 2_000;
/** However little is left to spend, a young tree is not left alone for longer. */
export const youngWaitMsMax = 250;

/** Time that looking may take: it comes in steadily, and some with every task. */
export class Budget {
  #leftMs = savedMsMax;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  taskAdded(): void {
    this.#leftMs += perTaskMs;
  }

  spend(nowMs: number, tookMs: number): void {
    this.#earn(nowMs);
    this.#leftMs -= tookMs;
  }

  /** Milliseconds until there is something to spend again; 0 if there is. */
  waitMs(nowMs: number): number {
    this.#earn(nowMs);
    return this.#leftMs > 0 ? 0 : -this.#leftMs / coreShare;
  }

  #earn(nowMs: number): void {
    const earned = Math.max(0, nowMs - this.#atMs) * coreShare;
    // What tasks brought in may lie above; it is not taken away, it only does not grow.
    this.#leftMs = Math.max(this.#leftMs, Math.min(savedMsMax, this.#leftMs + earned));
    this.#atMs = nowMs;
  }
}

/** A fall of the memory available that calls for a look at once: in MB, of the machine's total. */
export function alarmingFallMb(totalMb: number): number {
  return Math.max(128, totalMb * 0.01);
}
