/**
 * What tasks of a category will need of one resource. Several experts plan a ladder (ladder.ts) for
 * the needs seen lately; they differ in how far they look back and in the headroom they add. A
 * finished task tells what it needed, so the cost that each expert would have had is known, also of
 * those that were not asked. The one that was cheapest of late is asked: after a change that is one
 * with a short memory, in quiet times one with a long one.
 */
import type { TaskId } from "../ids.ts";
import { type FailureCosts, Ladder, type Need } from "./ladder.ts";

/** Tasks that an expert looks back on; the last is what is remembered at all. */
const windows = [25, 150, 800] as const;
const memoryMax = 800;
/** Added to every need, as a share of it. */
const headrooms = [0, 0.03] as const;
/** Tasks after which an expert's cost counts half. */
const costHalfLife = 60;
/** A ladder is planned anew when a twelfth of what it stands on is new. */
const plansPerWindow = 12;
/** Tasks that outgrew a box and have not ended since; more say nothing new. */
const unendedMax = 256;
/** Tries of an expert that are counted, so that no task's cost is without bound. */
const triesMax = 8;
/** Needs before anything is forecast. */
export const needsMin = 3;

/**
 * One task more than was seen is expected beyond the largest need: just above it (`near`), well
 * above (`far`), or at the top of the largest worker.
 */
const beyond = { near: 0.6, far: 0.3, top: 0.1 } as const;

/** A task of known need; its weight is its time. */
interface Ended {
  readonly amount: number;
  readonly weight: number;
}

/** It needs more than `amount`; `seen`: how much had been seen by then. */
interface Unended extends Ended {
  readonly seen: number;
}

interface Expert {
  readonly window: number;
  readonly headroom: number;
  /** Of the tasks of late, the older the less. */
  cost: number;
  plan: { readonly ladder: Ladder; readonly seen: number } | null;
}

export class Forecast {
  readonly #ended: Ended[] = [];
  readonly #unended = new Map<TaskId, Unended>();
  readonly #experts: readonly Expert[] = windows.flatMap((window) =>
    headrooms.map((headroom) => ({ window, headroom, cost: 0, plan: null }))
  );
  #asked: Expert = this.#experts[0]!;
  /** Needs and lower bounds, ever. */
  #seen = 0;
  #largest = 0;

  /** `failureCosts`: in units of the mean need. */
  constructor(readonly failureCosts: FailureCosts) {}

  /** A task ended by itself. `top`: what the largest worker has, or Infinity. */
  ended(task: TaskId, amount: number, wallMs: number, top: number): void {
    this.#unended.delete(task);
    if (this.#ended.length >= needsMin) this.#judge(amount, wallMs, top);
    this.#ended.push({ amount, weight: Math.max(1, wallMs) });
    // All at once now and then, since an array is moved each time.
    if (this.#ended.length >= 2 * memoryMax) this.#ended.splice(0, memoryMax);
    this.#largest = Math.max(this.#largest, amount);
    this.#seen++;
  }

  /** A task outgrew `amount`; it will be tried again. */
  outgrew(task: TaskId, amount: number, wallMs: number): void {
    this.#unended.delete(task);
    this.#unended.set(task, { amount, weight: Math.max(1, wallMs), seen: this.#seen });
    if (this.#unended.size > unendedMax) {
      this.#unended.delete(this.#unended.keys().next().value!);
    }
    this.#seen++;
  }

  /** For a task that has not run yet; `undefined` before anything is known. */
  first(top: number): number | undefined {
    if (this.#ended.length < needsMin) return undefined;
    return Math.min(top, this.#ladderOf(this.#asked, top).first);
  }

  /** For a task that outgrew `amount`; `undefined` if nothing is known of larger ones. */
  next(amount: number, top: number): number | undefined {
    if (this.#ended.length < needsMin) return undefined;
    const next = Math.min(top, this.#ladderOf(this.#asked, top).next(amount));
    return next < Infinity ? next : undefined;
  }

  /** What the task would have cost each expert; the cheapest is asked from now on. */
  #judge(need: number, wallMs: number, top: number): void {
    for (const expert of this.#experts) {
      const ladder = this.#ladderOf(expert, top);
      let amount = Math.min(top, ladder.first);
      let allocated = amount;
      for (let tries = 1; amount < need && tries < triesMax; tries++) {
        amount = Math.min(top, ladder.next(amount));
        // Beyond all steps, when no worker is there to be the last one.
        if (amount === Infinity) amount = 2 * need;
        allocated += amount;
      }
      expert.cost = expert.cost * 0.5 ** (1 / costHalfLife) + allocated * wallMs;
    }
    for (const expert of this.#experts) if (expert.cost < this.#asked.cost) this.#asked = expert;
  }

  #ladderOf(expert: Expert, top: number): Ladder {
    const stale = Math.floor(Math.min(expert.window, this.#ended.length) / plansPerWindow);
    if (expert.plan === null || this.#seen - expert.plan.seen > stale) {
      expert.plan = { ladder: this.#plan(expert, top), seen: this.#seen };
    }
    return expert.plan.ladder;
  }

  #plan({ window, headroom }: Expert, top: number): Ladder {
    const ended = this.#ended.slice(-window).sort((a, b) => a.amount - b.amount);
    const count = ended.length;
    let [weight, total] = [0, 0];
    for (const one of ended) {
      weight += one.weight;
      total += one.amount * one.weight;
    }
    const needs = ended.map((one) => ({ ...one, amount: one.amount * (1 + headroom) }));
    for (const one of this.#unended.values()) {
      if (this.#seen - one.seen <= window) addLowerBound(needs, one);
    }
    const last = ended.at(-1)!.amount;
    const spread = last - ended[Math.floor(count / 2)]!.amount;
    // Of few needs, the largest says little about the next one.
    const margin = Math.max(last * Math.max(0.01, 0.3 / count), 0.3 * spread);
    const one = weight / (count + 1);
    needs.push(
      { amount: last * (1 + headroom) + margin, weight: one * beyond.near },
      { amount: Math.max(this.#largest * 1.05, last * 1.4), weight: one * beyond.far },
    );
    if (top < Infinity) needs.push({ amount: top, weight: one * beyond.top });
    const { first, later } = this.failureCosts;
    const mean = total / weight;
    return new Ladder(this.#gathered(needs, top), { first: first * mean, later: later * mean });
  }

  /** Rising and rounded up, so that few different amounts are ever given. */
  #gathered(needs: Need[], top: number): Need[] {
    const gathered: { amount: number; weight: number }[] = [];
    for (const { amount, weight } of needs.sort((a, b) => a.amount - b.amount)) {
      const rounded = Math.min(top, roundedUp(amount));
      const previous = gathered.at(-1);
      if (previous?.amount === rounded) previous.weight += weight;
      else gathered.push({ amount: rounded, weight });
    }
    return gathered;
  }
}

/** What needs more than some amount is taken to need what those that need more do. */
function addLowerBound(
  needs: { amount: number; weight: number }[],
  { amount, weight }: Ended,
): void {
  const larger = needs.filter((need) => need.amount > amount);
  const above = larger.reduce((sum, need) => sum + need.weight, 0);
  if (above > 0) {
    for (const need of larger) need.weight *= 1 + weight / above;
  } else {
    needs.push(
      { amount: amount * 1.3, weight: weight / 2 },
      { amount: amount * 2, weight: weight / 2 },
    );
  }
}

/** To a whole number; from 256 on to the next of 128 steps to the next power of two. */
function roundedUp(amount: number): number {
  const step = Math.max(1, 2 ** (Math.floor(Math.log2(amount)) - 7));
  return step * Math.max(1, Math.ceil(amount / step));
}
