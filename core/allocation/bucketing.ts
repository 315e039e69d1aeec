/**
 * Work Queue's bucketing modes: what was measured is cut into few buckets, and an attempt gets the
 * upper end of one of those above what it has reached, drawn by their weights or simply the first.
 * Later values weigh more: the n-th has significance n. How to cut is greedy_bucketing.ts and
 * exhaustive_bucketing.ts.
 */
import type { Rng } from "../env.ts";
import {
  type Amounts,
  amountsOf,
  larger,
  type Learning,
  type Observation,
  override,
  type Policy,
  type ResourceName,
  resourceNames,
  type Situation,
  type Wish,
} from "./policy.ts";

/** First values before there are points, as the originals have them. */
const firstValues = { cores: 1, gpus: 0, memoryMb: 1000, diskMb: 1000 } as const;
/** Points needed before they are cut into buckets. */
const samplingPoints = 10;
/** What is remembered; older points weigh least, the oldest of these half as much as the mean. */
const pointsMax = 2048;

export interface Point {
  readonly value: number;
  readonly significance: number;
}

/** Its upper end is what is allocated; `share`: of all significance. */
export interface WeightedBucket {
  readonly end: number;
  readonly share: number;
}

/** Cuts points, of which there is at least one, in rising order, into buckets in rising order. */
export type Cut = (points: readonly Point[]) => WeightedBucket[];

export class BucketingPolicy implements Policy {
  readonly #points = new Map<ResourceName, Points>();

  /** `chance`: draws buckets; `null` takes the first one that is large enough. */
  constructor(cut: Cut, chance: Rng | null) {
    for (const name of resourceNames) {
      this.#points.set(name, new Points(firstValues[name], cut, chance));
    }
  }

  get learning(): Learning {
    const count = Math.max(...[...this.#points.values()].map((points) => points.count));
    return count >= samplingPoints
      ? { steady: true, why: `after ${count} tasks` }
      : { steady: false, why: `${samplingPoints - count} more tasks to go` };
  }

  observe({ measured, exceeded }: Observation): void {
    if (exceeded !== null) return;
    for (const [name, points] of this.#points) {
      const value = measured[name];
      if (value !== undefined) points.add(value);
    }
  }

  first(task: Situation): Wish {
    return this.#wish(task, (_, points) => points.predict(null));
  }

  next(task: Situation, { measured, box }: Observation): Wish {
    return this.#wish(task, (name, points) => points.predict(measured[name] ?? box[name]));
  }

  #wish(
    task: Situation,
    predict: (name: ResourceName, points: Points) => number,
  ): Wish {
    const predicted: Amounts = amountsOf((name) => predict(name, this.#points.get(name)!));
    const request = override(override(predicted, task.max), task.declared);
    return { request, floor: larger(request, task.min) };
  }
}

/** The values of one resource and what follows from them. */
class Points {
  #next = 1;
  readonly #inOrder: Point[] = [];
  /** By value. */
  readonly #sorted: Point[] = [];
  #buckets: readonly WeightedBucket[] | null = null;

  constructor(readonly firstValue: number, readonly cut: Cut, readonly chance: Rng | null) {}

  get count(): number {
    return this.#next - 1;
  }

  add(value: number): void {
    const point: Point = { value, significance: this.#next++ };
    this.#inOrder.push(point);
    this.#sorted.splice(this.#placeOf(point), 0, point);
    if (this.#inOrder.length > pointsMax) {
      this.#sorted.splice(this.#placeOf(this.#inOrder.shift()!) - 1, 1);
    }
    this.#buckets = null;
  }

  /** Enough for a task that outgrew `previous`, or for one that has not run yet. */
  predict(previous: number | null): number {
    if (this.count < samplingPoints) return this.#doubled(previous ?? 0);
    this.#buckets ??= this.cut(this.#sorted);
    const above = this.#buckets.filter(({ end }) => end > (previous ?? -1));
    if (above.length === 0) return this.#doubled(previous ?? 0);
    return this.chance === null ? above[0]!.end : draw(above, this.chance());
  }

  /** The first value, doubled until it is more than what was outgrown. */
  #doubled(previous: number): number {
    const first = this.firstValue;
    if (previous < first || first === 0) return first === 0 ? previous : first;
    return first * 2 ** (Math.floor(Math.log2(previous / first)) + 1);
  }

  /** Behind all that sort before it or are equal; points of one value are in order of arrival. */
  #placeOf({ value, significance }: Point): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#sorted[middle]!;
      const before = other.value < value ||
        (other.value === value && other.significance <= significance);
      if (before) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** By renormalised shares; `chance` in [0, 1). */
function draw(buckets: readonly WeightedBucket[], chance: number): number {
  let left = chance * buckets.reduce((sum, { share }) => sum + share, 0);
  for (const { end, share } of buckets) {
    left -= share;
    if (left < 0) return end;
  }
  return buckets.at(-1)!.end;
}

/** Sums over the first n points, so that any range is summed in one step. */
export class Sums {
  readonly #significance: Float64Array;
  readonly #weighted: Float64Array;

  constructor(points: readonly Point[]) {
    this.#significance = new Float64Array(points.length + 1);
    this.#weighted = new Float64Array(points.length + 1);
    points.forEach(({ value, significance }, i) => {
      this.#significance[i + 1] = this.#significance[i]! + significance;
      this.#weighted[i + 1] = this.#weighted[i]! + value * significance;
    });
  }

  /** Significance of the points `from` to `to`, without the last. */
  weight(from: number, to: number): number {
    return this.#significance[to]! - this.#significance[from]!;
  }

  /** Their mean by significance; 0 of none. */
  mean(from: number, to: number): number {
    if (to <= from) return 0;
    return (this.#weighted[to]! - this.#weighted[from]!) / this.weight(from, to);
  }
}
