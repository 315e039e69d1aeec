/**
 * Work Queue's mode MIN_WASTE: the bucket with the smallest expected allocation × time, if a first
 * attempt that fails costs its whole time and the second one gets `top`.
 */
import { choices, clipped, type Evidence, type SteadyFormula } from "./steady.ts";

export const minWaste: SteadyFormula = {
  retriesWithSeen: true,
  amount(evidence: Evidence): number {
    const { all, meanMs } = choices(evidence.buckets);
    let best = evidence.top;
    let bestCost = Infinity;
    for (const { amount, againMs } of all) {
      const cost = amount * meanMs + evidence.top * againMs;
      if (cost < bestCost) [best, bestCost] = [amount, cost];
    }
    return clipped(best, evidence);
  },
};
