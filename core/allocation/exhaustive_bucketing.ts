/** Tries one to ten evenly spaced upper ends, with powers of two below, and takes the cheapest. */
import { type Point, Sums, type WeightedBucket } from "./bucketing.ts";

const bucketsMax = 10;

interface Bucket extends WeightedBucket {
  /** Mean value by significance. */
  readonly mean: number;
}

/** Expected waste of a task, with these buckets. */
type Cost = (buckets: readonly Bucket[]) => number;

/** Buckets are drawn at random, after each failure among those that are larger. */
const costDrawn: Cost = (buckets) => {
  let cost = 0;
  for (const [i, { share: p, mean }] of buckets.entries()) {
    // From the top: what is drawn above bucket j, by share, with the waste that comes of it.
    let shareAbove = 0;
    let wasteAbove = 0;
    for (let j = buckets.length - 1; j >= 0; j--) {
      const { end, share } = buckets[j]!;
      const waste = j >= i ? end - mean : end + wasteAbove / shareAbove;
      cost += p * share * waste;
      shareAbove += share;
      wasteAbove += share * waste;
    }
  }
  return cost;
};

/** Buckets are tried from below. */
const costInOrder: Cost = (buckets) => {
  let cost = 0;
  let tried = 0;
  for (const { end, share, mean } of buckets) {
    tried += end;
    cost += share * (tried - mean);
  }
  return cost;
};

/** For buckets drawn at random. */
export function exhaustiveBuckets(points: readonly Point[]): WeightedBucket[] {
  return cutExhaustively(points, costDrawn);
}

/** For buckets tried from below. */
export function exhaustiveBucketsInOrder(points: readonly Point[]): WeightedBucket[] {
  return cutExhaustively(points, costInOrder);
}

function cutExhaustively(points: readonly Point[], cost: Cost): WeightedBucket[] {
  const sums = new Sums(points);
  let best: Bucket[] = [];
  let bestCost = Infinity;
  for (let count = 1; count <= bucketsMax; count++) {
    const buckets = bucketsUnder(points, sums, candidates(points.at(-1)!.value, count));
    const found = cost(buckets);
    // Fewer buckets on ties, whatever the last bits say.
    if (found < bestCost * (1 - 1e-12)) [best, bestCost] = [buckets, found];
  }
  return best;
}

/** In rising order; the last is the maximum. */
function candidates(maximum: number, count: number): number[] {
  const step = maximum / count;
  const powers = Math.max(0, Math.floor(Math.log2(step)));
  const small = Array.from({ length: powers }, (_, i) => 2 ** i);
  // The last as it is: a quotient times its divisor may fall short of it.
  const even = Array.from({ length: count }, (_, i) => i + 1 === count ? maximum : step * (i + 1));
  return [...small, ...even];
}

/** Each candidate shrinks to the largest point that it holds; those without any vanish. */
function bucketsUnder(points: readonly Point[], sums: Sums, ends: readonly number[]): Bucket[] {
  const total = sums.weight(0, points.length);
  const buckets: Bucket[] = [];
  let from = 0;
  for (const end of ends) {
    let [low, high] = [from, points.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]!.value <= end) low = middle + 1;
      else high = middle;
    }
    if (low === from) continue;
    buckets.push({
      end: points[low - 1]!.value,
      share: sums.weight(from, low) / total,
      mean: sums.mean(from, low),
    });
    from = low;
  }
  return buckets;
}
