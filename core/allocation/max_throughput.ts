/**
 * Work Queue's mode MAX_THROUGHPUT: the bucket with which most tasks are expected to end per time
 * on a worker of size `top`, those that fail being tried once more with all of it.
 */
import { choices, clipped, type Evidence, type SteadyFormula } from "./steady.ts";

export const maxThroughput: SteadyFormula = {
  retriesWithSeen: true,
  amount(evidence: Evidence): number {
    const { all, count, meanMs } = choices(evidence.buckets);
    let best = evidence.top;
    let bestRate = 0;
    for (const { amount, enough, againMs } of all) {
      const rate = (enough * evidence.top / amount + (count - enough)) / (meanMs + againMs);
      if (rate > bestRate) [best, bestRate] = [amount, rate];
    }
    return clipped(best, evidence);
  },
};
