/**
 * The ladder of allocations with the least expected cost: a task gets the first step, and after
 * each one that it outgrows a later one. A try costs its allocation × the time of the task, whether
 * it succeeds or not, and a failed one something more. Found by dynamic programming from the top.
 */

/** Tasks that need `amount`; `weight`: their number × time. */
export interface Need {
  readonly amount: number;
  readonly weight: number;
}

/** What a failed try costs besides what it held, in units of amount. */
export interface FailureCosts {
  readonly first: number;
  readonly later: number;
}

/** Amounts that are tried: more of them gain nothing to speak of. */
const stepsMax = 64;
/** The largest amounts are all tried: there, one more or less decides between one try and two. */
const topStepsMin = 8;

export class Ladder {
  /** The first allocation. */
  readonly first: number;
  readonly #needs: readonly Need[];
  readonly #failureLater: number;
  /** Amounts worth trying, rising; the last is enough for all. */
  readonly #steps: number[] = [];
  /** Weight of the tasks that need more than each step. */
  readonly #above: number[] = [];
  /** Expected cost from the moment on when a step has turned out to be too little. */
  readonly #costAfter: number[] = [];

  /** `needs`: amounts rising, at least one. */
  constructor(needs: readonly Need[], { first, later }: FailureCosts) {
    this.#needs = needs;
    this.#failureLater = later;
    const stride = Math.max(1, needs.length / stepsMax);
    const all = needs.reduce((sum, { weight }) => sum + weight, 0);
    let above = all;
    let nextStep = stride - 1;
    for (const [i, { amount, weight }] of needs.entries()) {
      above -= weight;
      if (i < Math.floor(nextStep) && i < needs.length - topStepsMin) continue;
      nextStep += stride;
      this.#steps.push(amount);
      // Not what is left of a floating-point sum.
      this.#above.push(i === needs.length - 1 ? 0 : above);
    }
    for (let i = this.#steps.length - 1; i >= 0; i--) {
      this.#costAfter[i] = i === this.#steps.length - 1
        ? 0
        : this.#cheapest(this.#above[i]!, i + 1, later).cost;
    }
    this.first = this.#steps[this.#cheapest(all, 0, first).step]!;
  }

  /** The step for a task that outgrew `amount`: a larger one, or Infinity if there is none. */
  next(amount: number): number {
    const from = this.#steps.findIndex((step) => step > amount);
    if (from < 0) return Infinity;
    let above = 0;
    for (let i = this.#needs.length - 1; this.#needs[i]!.amount > amount; i--) {
      above += this.#needs[i]!.weight;
      if (i === 0) break;
    }
    return this.#steps[this.#cheapest(above, from, this.#failureLater).step]!;
  }

  /** The best step from `from` on for tasks of this weight. */
  #cheapest(weight: number, from: number, failure: number): { step: number; cost: number } {
    let step = from;
    let cost = Infinity;
    for (let i = from; i < this.#steps.length; i++) {
      const found = this.#steps[i]! * weight + failure * this.#above[i]! + this.#costAfter[i]!;
      if (found < cost) [step, cost] = [i, found];
    }
    return { step, cost };
  }
}
