/**
 * How a run went over time, for the pictures beside its report: what attempts were given and what
 * they took, how large chunks were, how many tasks and workers there were. Bounded however long the
 * run: where a series gets too long, neighbours are drawn together, and extremes are kept.
 */
import { categoryOf, type Item } from "./items.ts";
import type { Exhaustion } from "../protocol/measured.ts";
import { type Attempt, outgrew } from "../scheduler/tasks.ts";

/** About one for every pixel of a picture's width; even, to be halved. */
export const pointsMax = 1000;
/** Marks that stand for themselves, such as exhausted attempts; fewer, as each is large. */
const marksMax = 400;
/** With the one for all others, as many as there are colours to tell apart. */
const datasetsMax = 9;

export interface Extent {
  readonly low: number;
  readonly high: number;
}

/** One resource: what attempts held and, where it is known, what they took. */
export interface Held {
  readonly box: Extent;
  readonly measured: Extent | null;
}

export type HeldName = "memoryMb" | "cores";

/** One attempt, or some that ended one after another. Times here are in ms since the start. */
export interface AttemptsPoint extends Readonly<Record<HeldName, Held>> {
  readonly startMs: number;
  readonly endMs: number;
}

/** An attempt that was ended because it outgrew its box. */
export interface ExhaustedPoint {
  readonly atMs: number;
  /** What was measured, else what it had. */
  readonly amount: number;
}

export interface CategoryCourse {
  readonly name: string;
  readonly attempts: readonly AttemptsPoint[];
  readonly exhausted: Readonly<Record<HeldName, readonly ExhaustedPoint[]>>;
  readonly attemptCount: number;
  readonly exhaustedCount: number;
}

/** Chunks whose processing began about then, by their events. */
export interface ChunksPoint {
  readonly atMs: number;
  readonly events: Extent;
}

export interface DatasetCourse {
  /** `null`: all those for which there is no colour left. */
  readonly name: string | null;
  /** Processed. */
  readonly chunks: readonly ChunksPoint[];
  /** Too large for what their tasks were given. */
  readonly exhausted: readonly ChunksPoint[];
  readonly chunkCount: number;
  readonly exhaustedCount: number;
}

/** How many there were from then on. */
export interface CountsPoint {
  readonly atMs: number;
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly workers: number;
}

/** What {@link Timeline} has to show. */
export interface Course {
  /** The last moment that it was told of. */
  readonly endMs: number;
  readonly categories: readonly CategoryCourse[];
  readonly datasets: readonly DatasetCourse[];
  readonly counts: readonly CountsPoint[];
}

/** Records what it is told, in the order of time; all times come from one clock. */
export class Timeline {
  readonly #categories = new Map<string, CategorySeries>();
  readonly #datasets = new Map<string | null, DatasetSeries>();
  readonly #counts = new Thinned<CountsPoint>(pointsMax, (_, later) => later);
  #endMs = 0;

  constructor(private readonly startedMs: number) {}

  /** An attempt at the item is over, however it ended. */
  attempt(item: Item, attempt: Attempt): void {
    const startMs = attempt.startedMs - this.startedMs;
    const endMs = this.#at(attempt.endedMs);
    entry(this.#categories, categoryOf[item.kind], () => new CategorySeries())
      .add(attempt, startMs, endMs);
    const isExhausted = exhaustionOf(attempt) !== null;
    if (item.kind !== "process" || !(isExhausted || attempt.ending.kind === "success")) return;
    const { file: { dataset }, range } = item;
    const known = this.#datasets.has(dataset) || this.#datasets.size < datasetsMax;
    const series = entry(
      this.#datasets,
      known ? dataset : null,
      () => ({ chunks: chunkSeries(pointsMax), exhausted: chunkSeries(marksMax) }),
    );
    const point = { atMs: startMs, events: only(range.stop - range.start) };
    (isExhausted ? series.exhausted : series.chunks).add(point);
  }

  counts(counts: Omit<CountsPoint, "atMs">, nowMs: number): void {
    // Of whatever else is counted, nothing is kept.
    const { waiting, running, done, workers } = counts;
    this.#counts.add({ atMs: this.#at(nowMs), waiting, running, done, workers });
  }

  get course(): Course {
    return {
      endMs: this.#endMs,
      categories: [...this.#categories].map(([name, { attempts, exhausted }]) => ({
        name,
        attempts: attempts.points,
        exhausted: { memoryMb: exhausted.memoryMb.points, cores: exhausted.cores.points },
        attemptCount: attempts.count,
        exhaustedCount: exhausted.memoryMb.count + exhausted.cores.count,
      })),
      datasets: [...this.#datasets].map(([name, { chunks, exhausted }]) => ({
        name,
        chunks: chunks.points,
        exhausted: exhausted.points,
        chunkCount: chunks.count,
        exhaustedCount: exhausted.count,
      })),
      counts: this.#counts.points,
    };
  }

  #at(nowMs: number): number {
    const atMs = nowMs - this.startedMs;
    this.#endMs = Math.max(this.#endMs, atMs);
    return atMs;
  }
}

/** At most `max` points, an even number; where more are added, neighbours become one. */
export class Thinned<T> {
  readonly #points: T[] = [];
  #perPoint = 1;
  #inLast = 0;
  #count = 0;

  constructor(private readonly max: number, private readonly merge: (a: T, b: T) => T) {}

  get points(): readonly T[] {
    return this.#points;
  }

  /** How many were added. */
  get count(): number {
    return this.#count;
  }

  add(point: T): void {
    this.#count++;
    const last = this.#points.length - 1;
    if (last >= 0 && this.#inLast < this.#perPoint) {
      this.#points[last] = this.merge(this.#points[last]!, point);
      this.#inLast++;
      return;
    }
    if (this.#points.length === this.max) this.#halve();
    // After halving all points are full, so this one begins the next.
    this.#points.push(point);
    this.#inLast = 1;
  }

  #halve(): void {
    for (let i = 0; i < this.max; i += 2) {
      this.#points[i / 2] = this.merge(this.#points[i]!, this.#points[i + 1]!);
    }
    this.#points.length = this.max / 2;
    this.#perPoint *= 2;
  }
}

class CategorySeries {
  readonly attempts = new Thinned<AttemptsPoint>(pointsMax, (a, b) => ({
    startMs: Math.min(a.startMs, b.startMs),
    endMs: Math.max(a.endMs, b.endMs),
    memoryMb: bothHeld(a.memoryMb, b.memoryMb),
    cores: bothHeld(a.cores, b.cores),
  }));
  readonly exhausted: Readonly<Record<HeldName, Thinned<ExhaustedPoint>>> = {
    memoryMb: exhaustedSeries(),
    cores: exhaustedSeries(),
  };

  add(attempt: Attempt, startMs: number, endMs: number): void {
    const { box } = attempt;
    const exceeded = outgrew(attempt);
    const taken = takenBy(attempt);
    const held = (name: HeldName): Held => {
      const amount = name === exceeded ? null : taken[name];
      return { box: only(box[name]), measured: amount === null ? null : only(amount) };
    };
    this.attempts.add({ startMs, endMs, memoryMb: held("memoryMb"), cores: held("cores") });
    if (exceeded !== "memoryMb" && exceeded !== "cores") return;
    const amount = exhaustionOf(attempt)?.measured ?? box[exceeded];
    this.exhausted[exceeded].add({ atMs: endMs, amount });
  }
}

function exhaustionOf({ ending }: Attempt): Exhaustion | null {
  return ending.kind === "failure" ? ending.exhausted ?? null : null;
}

/** Peak of memory, and cores as CPU time over wall time: what was in use on average. */
function takenBy({ measured, wallMs }: Attempt): Record<HeldName, number | null> {
  if (measured === null) return { memoryMb: null, cores: null };
  const { memoryPeakMb, monitored, cpuUserMs, cpuSystemMs } = measured;
  return {
    memoryMb: Math.max(memoryPeakMb, monitored?.["memory"] ?? 0),
    cores: wallMs > 0 ? (cpuUserMs + cpuSystemMs) / wallMs : null,
  };
}

function exhaustedSeries(): Thinned<ExhaustedPoint> {
  return new Thinned(marksMax, (a, b) => a.amount > b.amount ? a : b);
}

interface DatasetSeries {
  readonly chunks: Thinned<ChunksPoint>;
  readonly exhausted: Thinned<ChunksPoint>;
}

function chunkSeries(max: number): Thinned<ChunksPoint> {
  return new Thinned(max, (a, b) => ({ atMs: b.atMs, events: both(a.events, b.events) }));
}

function bothHeld(a: Held, b: Held): Held {
  const measured = a.measured === null || b.measured === null
    ? a.measured ?? b.measured
    : both(a.measured, b.measured);
  return { box: both(a.box, b.box), measured };
}

function both(a: Extent, b: Extent): Extent {
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
}

function only(amount: number): Extent {
  return { low: amount, high: amount };
}

function entry<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = create());
  return value;
}
