/** Ranges, tick labels, and whether a scale is logarithmic. */

/** From one side of the frame to the other, in what the axis shows. */
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
    const known = errors?.[i] ?? 0;
    const error = Number.isFinite(known) ? known : 0;
    low = Math.min(low, value - (value < 0 ? error : 0));
    high = Math.max(high, value + error);
    if (value > 0) smallest = Math.min(smallest, value);
  });
  const free = 1 - headroom;
  if (log) {
    if (high === 0) return { low: 0.5, high: 10 };
    // Half the smallest keeps single entries visible; a stray tiny weight does not set the scale.
    const bottom = Math.max(Math.min(smallest, high) / 2, high / 10 ** decadesMax);
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

/** A logarithmic axis shows more than this factor; on less, the bins look much the same. */
const spanMin = 20;
/** The widest bin in log(x) over the narrowest, where widths count as growing geometrically. */
const unevennessMax = 5;

/**
 * Whether bins want a logarithmic axis: from above zero over a wide span, with widths that grow
 * about as the edges do, such as 1, 2, 5, 10, 20, 50.
 */
export function growGeometrically(edges: readonly number[]): boolean {
  if (!(edges.at(-1)! / edges[0]! > spanMin)) return false;
  const uneven = unevenness(edges.map(Math.log));
  return uneven <= unevennessMax && uneven < unevenness(edges);
}

/** The widest bin over the narrowest. */
function unevenness(edges: readonly number[]): number {
  const widths = edges.slice(1).map((edge, i) => edge - edges[i]!);
  return widths.reduce((a, b) => Math.max(a, b)) / widths.reduce((a, b) => Math.min(a, b));
}

/**
 * Powers of ten within the range, few enough to read; within two decades also their 2 and 5.
 * Up to 10^±`plainDecades` they are written as plain numbers.
 */
export function logTicks(
  { low, high }: Range,
  plainDecades = 1,
): { major: Tick[]; minor: number[] } {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  // Edges computed as powers may miss their decade by the last bits.
  const inside = (value: number) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
  const decades = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const step = Math.ceil(decades.length / 8);
  const steps = last - first <= 2 ? [1, 2, 5] : [1];
  const major = decades.filter((decade) => decade % step === 0).flatMap((decade) =>
    steps.map((s) => ({ value: s * 10 ** decade, label: powerLabel(s, decade, plainDecades) }))
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
function powerLabel(factor: number, decade: number, plainDecades: number): string {
  if (Math.abs(decade) <= plainDecades) return String(factor * 10 ** decade);
  const power = `10${[...String(decade)].map((digit) => superscripts[digit]).join("")}`;
  return factor === 1 ? power : `${factor}·${power}`;
}

/** d3 format of linear tick labels: 10k, not 10,000; 2e-5, not 0.00002; `null`: d3's own choice. */
export function linearFormat({ low, high }: Range): string | null {
  const largest = Math.max(-low, high);
  if (largest >= 1e4) return "~s";
  return largest < 1e-3 ? "~e" : null;
}
