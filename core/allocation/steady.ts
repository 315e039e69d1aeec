/**
 * What Work Queue's modes max-seen, min-waste and max-throughput have in common: they watch until
 * no new maximum came for some completions, and then give every first attempt the amount that a
 * formula finds in the histogram. They differ in the formula (max_seen.ts, min_waste.ts,
 * max_throughput.ts) and in what a second attempt gets.
 *
 * One thing is unlike the original: what an attempt reached when it outgrew its box is a lower
 * bound and stays out of `max seen`. There, it makes the next box creep up by the overshoot.
 */
import type { Resources } from "../resources.ts";
import { type Bucket, Histogram } from "./histogram.ts";
import {
  type Amounts,
  amountsOf,
  type CategoryLimits,
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

/** Completions without a new maximum before the formula is used, as Work Queue has it. */
export const steadyCountDefault = 25;

/** Work Queue's. What is not listed is not learned: nothing measures gpus. */
const bucketSizes: Partial<Record<ResourceName, number>> = {
  cores: 1,
  memoryMb: 250,
  diskMb: 250,
};

/** What a formula may look at, for one resource. */
export interface Evidence {
  /** At least one, with rising ends. */
  readonly buckets: readonly Bucket[];
  readonly bucketSize: number;
  readonly maximum: number;
  /** What a second attempt gets: ceiling, else max seen, else the largest worker; whole. */
  readonly top: number;
  readonly ceiling: number | undefined;
  readonly worker: number | undefined;
}

export interface SteadyFormula {
  amount(evidence: Evidence): number;
  /** Second attempts get what was seen rather than the declared maximum. */
  readonly retriesWithSeen: boolean;
}

export class SteadyPolicy implements Policy {
  readonly #histograms = new Map<ResourceName, Histogram>();
  #seen: Amounts = {};
  #first: Amounts = {};
  /** Since the last new maximum. */
  #completions = 0;
  #completionsTotal = 0;
  #steady = false;

  constructor(readonly formula: SteadyFormula, readonly steadyCount = steadyCountDefault) {
    for (const name of resourceNames) {
      const size = bucketSizes[name];
      if (size !== undefined) this.#histograms.set(name, new Histogram(size));
    }
  }

  /** The largest measured, exhausted resources left out. */
  get maxSeen(): Amounts {
    return this.#seen;
  }

  get firstAllocation(): Amounts {
    return this.#first;
  }

  get learning(): Learning {
    if (this.#steady) return { steady: true, why: `after ${this.#completionsTotal} tasks` };
    const missing = this.steadyCount + 1 - this.#completions;
    return {
      steady: false,
      why: `${missing} more ${missing === 1 ? "task" : "tasks"} without a new maximum to go`,
    };
  }

  observe(seen: Observation, limits: CategoryLimits, largest: Resources | null): void {
    const { measured, exceeded } = seen;
    if (!this.#steady && this.#isNewMaximum(measured, limits.max)) {
      this.#first = {};
      this.#completions = 0;
    }
    this.#steady = this.#completions >= this.steadyCount;
    const known = amountsOf((name) => name === exceeded ? undefined : measured[name]);
    this.#seen = larger(this.#seen, known);
    if (exceeded !== null) return;
    for (const [name, histogram] of this.#histograms) {
      const value = measured[name];
      if (value !== undefined) histogram.insert(value, seen.wallMs);
    }
    this.#completions++;
    // The total is looked at before it counts this task, so that with one task there is nothing.
    if (this.#completions % this.steadyCount === 0 && this.#completionsTotal > 0) {
      this.#first = this.#compute(limits, largest);
    }
    this.#completionsTotal++;
  }

  first(task: Situation): Wish {
    const request = this.#request(task, true);
    const floor = this.#floor(task, request);
    if (task.largest === null) return { request, floor };
    // An old outlier must not make new tasks unplaceable: they are squeezed into what there is.
    const { gpus: _, ...largest } = task.largest;
    const outsized = Object.entries(largest).some(([name, has]) =>
      has > 0 && (floor[name as ResourceName] ?? 0) > has
    );
    if (!outsized) return { request, floor };
    const squeezed = override(largest, task.declared);
    return { request: squeezed, floor: this.#floor(task, squeezed) };
  }

  next(task: Situation): Wish {
    const request = this.#request(task, false);
    return { request, floor: this.#floor(task, request) };
  }

  #request(task: Situation, isFirst: boolean): Amounts {
    const base = this.formula.retriesWithSeen && this.#steady
      ? larger(this.#seen, this.#first)
      : {};
    const wish = override(base, task.max);
    return override(isFirst && this.#steady ? override(wish, this.#first) : wish, task.declared);
  }

  #floor(task: Situation, request: Amounts): Amounts {
    return larger(override(this.#seen, request), task.min);
  }

  #isNewMaximum(measured: Amounts, max: Amounts): boolean {
    for (const [name, histogram] of this.#histograms) {
      const value = measured[name];
      if (value === undefined || (max[name] ?? 0) > 0) continue;
      if (value > histogram.up(histogram.maximum)) return true;
    }
    return false;
  }

  #compute({ max, min }: CategoryLimits, largest: Resources | null): Amounts {
    const whole = (amount: number | undefined) =>
      amount === undefined ? undefined : Math.trunc(amount);
    return amountsOf((name) => {
      const histogram = this.#histograms.get(name);
      const buckets = histogram?.buckets() ?? [];
      if (histogram === undefined || buckets.length === 0) return undefined;
      const top = whole(max[name] ?? this.#seen[name] ?? largest?.[name]);
      if (top === undefined) return undefined;
      const amount = this.formula.amount({
        buckets,
        bucketSize: histogram.size,
        maximum: histogram.maximum,
        top,
        ceiling: whole(max[name]),
        worker: whole(largest?.[name]),
      });
      return Math.max(amount, min[name] ?? 0);
    });
  }
}

/** One bucket as an allocation, with what the cost formulas are made of. */
interface Choice {
  /** Its end: what would be allocated. */
  readonly amount: number;
  /** Tasks that it is enough for. */
  readonly enough: number;
  /** Expected time of second attempts, per task. */
  readonly againMs: number;
}

/** Each bucket with its consequences, and the mean time of a task. */
export function choices(
  buckets: readonly Bucket[],
): { readonly all: Choice[]; readonly count: number; readonly meanMs: number } {
  const count = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  const wallMs = buckets.reduce((sum, bucket) => sum + bucket.wallMs, 0);
  let enough = 0;
  let leftMs = wallMs;
  const all: Choice[] = [];
  for (const bucket of buckets) {
    enough += bucket.count;
    leftMs -= bucket.wallMs;
    if (bucket.end >= 1) all.push({ amount: bucket.end, enough, againMs: leftMs / count });
  }
  return { all, count, meanMs: wallMs / count };
}

/** The amount as it is given: not above `top`, and up to the end of its bucket. */
export function clipped(amount: number, { top, bucketSize }: Evidence): number {
  return bucketSize * Math.ceil(Math.min(amount, top) / bucketSize);
}
