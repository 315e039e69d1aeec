/**
 * A line through what tasks took over their events, by Theil and Sen: the slope is a median over
 * all pairs, so that up to a quarter of the tasks may be far off without moving it. Pairs count by
 * the distance of their events (Jaeckel 1972), since close ones say little of a slope.
 */

export interface Point {
  readonly events: number;
  /** MB or s; positive. */
  readonly took: number;
}

export interface Line {
  /** What a task takes whatever its size; 0 or more. */
  readonly base: number;
  readonly perEvent: number;
  /** Standard deviation around the line, as a share of the value on it. */
  readonly spread: number;
  /** Share by which one in ten is above the line. */
  readonly excess: number;
  /** Standard error of `perEvent`. */
  readonly perEventError: number;
  /** About here the line is known best. */
  readonly centre: number;
}

/** Before there are residuals: how far tasks are from their line, and for how many that counts. */
const priorSpread = 0.1;
const priorCount = 2;

/** Sizes have to differ by so much before a slope means anything. */
const sizeRatioMin = 1.25;

/** Median absolute deviation → standard deviation of a normal distribution. */
const madToSigma = 1.4826;

/** `null` where all sizes are much the same, or there are none: they are no line. */
export function lineThrough(points: readonly Point[]): Line | null {
  const sizes = points.map((p) => p.events);
  if (!(Math.max(...sizes) >= sizeRatioMin * Math.min(...sizes))) return null;
  const slopes: Weighted[] = [];
  for (const [i, a] of points.entries()) {
    for (const b of points.slice(i + 1)) {
      const distance = b.events - a.events;
      if (distance === 0) continue;
      slopes.push({ value: (b.took - a.took) / distance, weight: Math.abs(distance) });
    }
  }
  const perEvent = Math.max(0, weightedMedian(slopes));
  const base = Math.max(0, quantile(points.map((p) => p.took - perEvent * p.events), 0.5));
  const residuals = points.map((p) => p.took / (base + perEvent * p.events) - 1);
  const sigma = madToSigma * quantile(residuals.map(Math.abs), 0.5);
  const count = points.length;
  const spread = Math.sqrt(
    (count * sigma ** 2 + priorCount * priorSpread ** 2) / (count + priorCount),
  );
  const centre = mean(sizes);
  const width = Math.sqrt(count * mean(sizes.map((size) => (size - centre) ** 2)));
  return {
    base,
    perEvent,
    spread,
    excess: Math.max(0, quantile(residuals, 0.9)),
    perEventError: spread * (base + perEvent * centre) / width,
    centre,
  };
}

interface Weighted {
  readonly value: number;
  readonly weight: number;
}

/** The value at which half of the weight is reached; of at least one value. */
export function weightedMedian(values: readonly Weighted[]): number {
  const sorted = [...values].sort((a, b) => a.value - b.value);
  const half = sorted.reduce((sum, { weight }) => sum + weight, 0) / 2;
  let reached = 0;
  for (const [i, { value, weight }] of sorted.entries()) {
    reached += weight;
    if (reached > half) return value;
    if (reached === half) return (value + (sorted[i + 1]?.value ?? value)) / 2;
  }
  return sorted.at(-1)!.value;
}

/** Linear between the sorted values; of at least one value. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - low);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
