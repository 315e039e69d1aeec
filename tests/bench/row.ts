/** What a benchmark tells: one figure a row. */

export interface BenchRow {
  readonly name: string;
  readonly value: number;
  /** Of the value: "ms", "1/s", "MB" … */
  readonly unit: string;
  /** How the value compares with another one of the same run; machines vary, ratios less. */
  readonly ratio?: { readonly to: string; readonly value: number };
}

/** The median; of an even number of values the upper of the two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
