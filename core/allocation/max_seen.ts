/** Work Queue's mode MAX: the largest value seen and a third of a bucket, rounded up to a bucket. */
import type { Evidence, SteadyFormula } from "./steady.ts";

export const maxSeen: SteadyFormula = {
  retriesWithSeen: false,
  amount({ maximum, bucketSize, ceiling = Infinity, worker = Infinity }: Evidence): number {
    const margin = Math.floor(bucketSize / 3);
    return Math.min(bucketSize * Math.ceil((maximum + margin) / bucketSize), ceiling, worker);
  },
};
