/** Cuts in two where that costs least, and each half again, until leaving it whole is cheapest. */
import { type Point, Sums, type WeightedBucket } from "./bucketing.ts";

/** Waste expected of a range cut at `cut`; its `p`, `mean` are those of the two halves. */
type Cost = (half: {
  /** Largest value of the lower half, and of all. */
  readonly cut: number;
  readonly last: number;
  readonly p: readonly [number, number];
  readonly mean: readonly [number, number];
}) => number;

/** Buckets are drawn at random: each half may be tried for tasks of either. */
const costDrawn: Cost = ({ cut, last, p: [p1, p2], mean: [e1, e2] }) =>
  p1 * (p1 * (cut - e1) + p2 * (last - e1)) +
  p2 * (p1 * (cut + last - e2) + p2 * (last - e2));

/** The lower half is always tried first. */
const costFirst: Cost = ({ cut, last, p: [p1, p2], mean: [e1, e2] }) =>
  p1 * (cut - e1) + p2 * (cut + last - e2);

/** For buckets drawn at random. */
export function greedyBuckets(points: readonly Point[]): WeightedBucket[] {
  return cutGreedily(points, costDrawn);
}

/** For buckets tried from below. */
export function greedyBucketsInOrder(points: readonly Point[]): WeightedBucket[] {
  return cutGreedily(points, costFirst);
}

function cutGreedily(points: readonly Point[], cost: Cost): WeightedBucket[] {
  const sums = new Sums(points);
  const total = sums.weight(0, points.length);
  const buckets: WeightedBucket[] = [];
  /** Ranges still to be cut, the lowest on top; a stack, since they may nest deeply. */
  const ranges: [number, number][] = [[0, points.length]];
  for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
    const [from, to] = range;
    const middle = to - from === 1 ? to : cheapest(points, sums, from, to, cost);
    if (middle < to) {
      ranges.push([middle, to], [from, middle]);
    } else {
      buckets.push({ end: points[to - 1]!.value, share: sums.weight(from, to) / total });
    }
  }
  return buckets;
}

/** The best first index of the upper half; `to` if it is best left whole. */
function cheapest(
  points: readonly Point[],
  sums: Sums,
  from: number,
  to: number,
  cost: Cost,
): number {
  const last = points[to - 1]!.value;
  const all = sums.weight(from, to);
  let best = to;
  let bestCost = Infinity;
  for (let middle = from + 1; middle <= to; middle++) {
    const p1 = sums.weight(from, middle) / all;
    const found = cost({
      cut: points[middle - 1]!.value,
      last,
      p: [p1, 1 - p1],
      mean: [sums.mean(from, middle), sums.mean(middle, to)],
    });
    if (found <= bestCost) [best, bestCost] = [middle, found];
  }
  return best;
}
