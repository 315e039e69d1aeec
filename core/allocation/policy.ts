/**
 * What an allocation policy is told and what it answers. A policy belongs to one category; it looks
 * at finished attempts and proposes how much the next one gets. Limits, the ladder after an
 * exhaustion and the words for people are the category's (category.ts).
 */
import type { ResourceRequest } from "../analysis/spec.ts";
import type { TaskId } from "../ids.ts";
import type { ResourceName, Resources } from "../resources.ts";

export type { ResourceName };

/** In the order in which the originals look at them. */
export const resourceNames = ["cores", "gpus", "memoryMb", "diskMb"] as const;

/** One number per resource; absent where nobody said or measured anything. */
export type Amounts = ResourceRequest;

/** An attempt that ended by itself, or was stopped because it outgrew its box. */
export interface Observation {
  /** The same for all attempts of one task. */
  readonly task: TaskId;
  readonly box: Resources;
  /** Peaks. Of the resource that was outgrown it is a lower bound of what the task needs. */
  readonly measured: Amounts;
  readonly wallMs: number;
  /** What it outgrew; `null` if it ended by itself. */
  readonly exceeded: ResourceName | null;
}

/** What bounds the allocations of a category. */
export interface CategoryLimits {
  /** Ceilings; also the first choice of the originals. */
  readonly max: Amounts;
  /** Floors. */
  readonly min: Amounts;
}

/** What is known of the task that asks. */
export interface Situation extends CategoryLimits {
  /** Of the task itself; it overrides everything. */
  readonly declared: Amounts;
  /** The largest of each resource on any connected worker; `null` while there is none. */
  readonly largest: Resources | null;
}

/**
 * What an attempt asks for. What is absent from `request` follows in proportion, and all of it
 * absent is the whole worker; the box is then raised to `floor` (box.ts).
 */
export interface Wish {
  readonly request: Amounts;
  readonly floor: Amounts;
  /**
   * What is asked for is given as it is. Else, as in Work Queue, it is raised to a share of the
   * worker, 1/2, 1/3 …, of which the rest may lie idle.
   */
  readonly exact?: boolean;
}

/** Whether a policy has seen enough, and what is missing, as people are told. */
export interface Learning {
  readonly steady: boolean;
  readonly why: string;
}

export interface Policy {
  observe(seen: Observation, limits: CategoryLimits, largest: Resources | null): void;
  /** For a task that has not run yet. Policies that draw lots answer anew each time. */
  first(task: Situation): Wish;
  /** After an attempt that outgrew its box. */
  next(task: Situation, last: Observation): Wish;
  readonly learning: Learning;
}

/** `upper` where it says something, else `lower`. */
export function override(lower: Amounts, upper: Amounts): Amounts {
  return merge(lower, upper, (_, b) => b);
}

/** The larger of both, resource by resource; where one says nothing, the other. */
export function larger(a: Amounts, b: Amounts): Amounts {
  return merge(a, b, Math.max);
}

function merge(a: Amounts, b: Amounts, both: (a: number, b: number) => number): Amounts {
  return amountsOf((name) => {
    const [x, y] = [a[name], b[name]];
    return x === undefined ? y : y === undefined ? x : both(x, y);
  });
}

/** The amounts that `of` gives; what it gives none for is absent. */
export function amountsOf(of: (name: ResourceName) => number | undefined): Amounts {
  const amounts: { -readonly [K in ResourceName]?: number } = {};
  for (const name of resourceNames) {
    const amount = of(name);
    if (amount !== undefined) amounts[name] = amount;
  }
  return amounts;
}
