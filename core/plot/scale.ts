/** Ranges and tick labels of the axes that show contents. */

/** From the bottom to the top of the frame, in contents. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

const decadesMax = 8;

/**
 * Where a plot of `values` ± `errors` begins and ends; `headroom` is the part of the height to leave
 * free at the top. Logarithmic ranges begin below the smallest positive value.
 */
export function contentRange(
  values: readonly number[],
  errors: readonly number[] | null,
  log: boolean,
  headroom: number,
): Range {
  let [low, high, smallest] = [0, 0, Infinity];
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    const error = errors?.[i] ?? 0;
    low = Math.min(low, value - (value < 0 ? error : 0));
    high = Math.max(high, value + error);
    if (value > 0) smallest = Math.min(smallest, value);
  });
  const free = 1 - headroom;
  if (log) {
    if (smallest === Infinity) return { low: 0.5, high: 10 };
    // Half the smallest keeps single entries visible; a stray tiny weight does not set the scale.
    const bottom = Math.max(smallest / 2, high / 10 ** decadesMax);
    return { low: bottom, high: bottom * (Math.max(high, 2 * bottom) / bottom) ** (1 / free) };
  }
  if (low === 0 && high === 0) return { low: 0, high: 1 };
  const bottom = low * 1.1;
  return { low: bottom, high: bottom + (Math.max(high, 0) - bottom) / free };
}

export interface Tick {
  readonly value: number;
  readonly label: string;
}

/** Powers of ten within the range, few enough to read; within two decades also their 2 and 5. */
export function logTicks({ low, high }: Range): { major: Tick[]; minor: number[] } {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const inside = (value: number) => value >= low && value <= high;
  const decades = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const step = Math.ceil(decades.length / 8);
  const steps = last - first <= 2 ? [1, 2, 5] : [1];
  const major = decades.filter((decade) => decade % step === 0).flatMap((decade) =>
    steps.map((s) => ({ value: s * 10 ** decade, label: powerLabel(s, decade) }))
  ).filter((tick) => inside(tick.value));
  const minor = step > 1
    ? decades.map((decade) => 10 ** decade)
    : decades.flatMap((decade) => [2, 3, 4, 5, 6, 7, 8, 9].map((s) => s * 10 ** decade));
  return { major, minor: minor.filter(inside) };
}

const superscripts: Readonly<Record<string, string>> = {
  "-": "⁻",
  0: "⁰",
  1: "¹",
  2: "²",
  3: "³",
  4: "⁴",
  5: "⁵",
  6: "⁶",
  7: "⁷",
  8: "⁸",
  9: "⁹",
};

/** `0.5`, `1`, `20`, `10⁴`, `2·10⁻³`. */
function powerLabel(factor: number, decade: number): string {
  if (Math.abs(decade) <= 1) return String(factor * 10 ** decade);
  const power = `10${[...String(decade)].map((digit) => superscripts[digit]).join("")}`;
  return factor === 1 ? power : `${factor}·${power}`;
}

/** d3 format of linear tick labels: 10k, not 10,000; 2e-5, not 0.00002; `null`: d3's own choice. */
export function linearFormat({ low, high }: Range): string | null {
  const largest = Math.max(-low, high);
  if (largest >= 1e4) return "~s";
  return largest < 1e-3 ? "~e" : null;
}
