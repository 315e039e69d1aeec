/**
 * From a histogram to what a picture of it shows: one axis becomes steps, one axis and a category
 * become overlaid steps, two axes a heat map, and more are summed down to two.
 */
import type { Axis, CategoryAxis } from "../histogram/axis.ts";
import { binCount, binEdges, firstBin } from "../histogram/binning.ts";
import type { Hist } from "../histogram/hist.ts";
import { growGeometrically } from "./scale.ts";

export interface PlotOptions {
  /** Default: the label or the name of the histogram, else the words of its key. */
  readonly title?: string;
  /** What leads to the histogram in the result, such as `muons-pt`. */
  readonly key?: string;
  /** Default: 16:9. */
  readonly size?: "16:9" | "4:3";
  /** Scale of the contents. Default: what the histogram asks for, else by their span. */
  readonly log?: boolean;
  /** Marks the picture as showing a part of the data; a text says which part. */
  readonly partial?: boolean | string;
}

export interface FigureAxis {
  /** With its unit: `m(μμ) [GeV]`. */
  readonly title: string;
  readonly edges: readonly number[];
  /** Of the bins, where these are categories; edges are then 0, 1, 2 … */
  readonly names: readonly string[] | null;
  /** As the `log` of the axis' metadata asks for, else by the edges; these are then positive. */
  readonly log: boolean;
}

export interface Series {
  readonly name: string;
  readonly values: readonly number[];
  /** Standard deviations; `null` where they are not known. */
  readonly errors: readonly number[] | null;
}

/** What stands above the frame, and across it. */
export interface FigureText {
  readonly title: string;
  /** What was summed over or left out. */
  readonly remarks: readonly string[];
  /** Entries, underflow, overflow. */
  readonly counts: readonly string[];
  /** `null`: the whole data. */
  readonly partial: string | null;
}

export interface StepsFigure extends FigureText {
  readonly kind: "steps";
  readonly x: FigureAxis;
  readonly yTitle: string;
  readonly log: boolean;
  readonly series: readonly Series[];
}

export interface HeatFigure extends FigureText {
  readonly kind: "heat";
  readonly x: FigureAxis;
  readonly y: FigureAxis;
  readonly zTitle: string;
  readonly log: boolean;
  /** Row by row: all of y for the first bin of x, and so on. */
  readonly cells: readonly number[];
}

export type Figure = StepsFigure | HeatFigure;

/** Finer bins are drawn together: more cannot be told apart on a slide. */
const stepsMax = 1000;
const heatMax = 128;

/**
 * Ten colours that colour-blind readers tell apart, chosen by M. A. Petroff
 * (arXiv:2107.02270), in the order that CMS recommends.
 */
export const palette = [
  "#3f90da",
  "#ffa90e",
  "#bd1f01",
  "#94a4a2",
  "#832db6",
  "#a96b59",
  "#e76300",
  "#b9ac70",
  "#717581",
  "#92dadd",
] as const;

/** A logarithmic scale is chosen where the largest bin is this many times the median filled one. */
const logRatio = 100;

/** What to show of a histogram. */
export function figureOf(hist: Hist, options: PlotOptions = {}): Figure {
  const numbers = hist.axes.filter((a) => a.type !== "category");
  const categories = hist.axes.filter((a) => a.type === "category");
  const [first, second] = numbers.length > 0 ? numbers : categories;
  if (first === undefined) throw new Error("a histogram has an axis");
  const heat = second !== undefined;
  const overlay = heat || numbers.length === 0 ? undefined : categories[0];
  const shown: Axis[] = heat ? [first, second] : overlay ? [first, overlay] : [first];
  const reduced = shown.length < hist.axes.length || heat
    ? hist.project(...shown.map((a) => a.name))
    : hist;
  const unshown = hist.axes.filter((a) => !shown.includes(a));
  const text: Text = {
    title: titleOf(hist, options, numbers.length > 2 ? shown : []),
    remarks: [
      ...(unshown.length === 0 ? [] : [`summed over ${unshown.map(axisLabel).join(", ")}`]),
      ...shown.flatMap(cannotBeLog),
    ],
    counts: [totalOf(hist)],
    partial: partialOf(options),
    log: options.log ?? hist.log,
  };
  if (heat) return heatFigure(reduced, first, second, text);
  return stepsFigure(reduced, first, overlay, text);
}

/** As far as known before the contents are looked at. */
interface Text extends FigureText {
  readonly log: boolean | null;
}

function stepsFigure(
  hist: Hist,
  a: Axis,
  overlay: CategoryAxis | undefined,
  text: Text,
): StepsFigure {
  const parts = overlay === undefined
    ? [{ name: "", hist }]
    : overlay.categories.map((name) => ({ name, hist: hist.select(overlay.name, name) }));
  const merged = groupSize(binCount(a), stepsMax);
  const all = parts.map((part) => seriesOf(part.name, part.hist, merged));
  const { under, over } = outside(hist.project(a.name), a);
  const unnamed = overlay === undefined ? 0 : hist.sum({ flow: true }) -
    parts.reduce((sum, part) => sum + part.hist.sum({ flow: true }), 0);
  const x = figureAxis(a, merged);
  const values = all.flatMap((one) => one.values);
  return {
    ...text,
    kind: "steps",
    x,
    yTitle: perBin(a, x),
    series: mainSeries(all),
    counts: [...text.counts, ...under, ...over],
    remarks: [
      ...text.remarks,
      ...(unnamed > 0 ? [`${formatted(unnamed)} in no ${axisLabel(overlay!)} shown`] : []),
      ...(merged > 1 ? [`${merged} bins drawn as one`] : []),
      ...unfinished(values),
    ],
    log: text.log ?? spansOrders(values),
  };
}

function heatFigure(hist: Hist, first: Axis, second: Axis, text: Text): HeatFigure {
  const merged = [first, second].map((a) => groupSize(binCount(a), heatMax)) as [number, number];
  const cells = groupedCells(hist.values(), hist.shape() as [number, number], merged);
  const beyond = hist.sum({ flow: true }) - hist.sum();
  const [x, y] = [figureAxis(first, merged[0]), figureAxis(second, merged[1])];
  return {
    ...text,
    kind: "heat",
    x,
    y,
    zTitle: "Events",
    cells,
    counts: [...text.counts, ...(beyond > 0 ? [`outside ${formatted(beyond)}`] : [])],
    remarks: [
      ...text.remarks,
      ...(Math.max(...merged) > 1 ? [`${merged.join(" × ")} bins drawn as one`] : []),
      ...unfinished(cells),
    ],
    log: text.log ?? spansOrders(cells),
  };
}

function titleOf(hist: Hist, options: PlotOptions, projected: readonly Axis[]): string {
  const title = options.title ?? (hist.label || hist.name || words(options.key ?? ""));
  if (projected.length === 0) return title;
  const onto = `projected onto ${projected.map(axisLabel).join(", ")}`;
  return title === "" ? onto : `${title} (${onto})`;
}

/** `muons-pt` as `muons pt`. */
function words(key: string): string {
  return key.replaceAll(/[-_\s]+/g, " ").trim();
}

function partialOf({ partial }: PlotOptions): string | null {
  if (partial === undefined || partial === false || partial === "") return null;
  return partial === true ? "partial result" : `partial result: ${partial}`;
}

function axisLabel(a: Axis): string {
  return a.label || a.name;
}

function figureAxis(a: Axis, merged: number): FigureAxis {
  const title = a.unit === "" ? axisLabel(a) : `${axisLabel(a)} [${a.unit}]`;
  const edges = a.type === "category" ? a.categories.map((_, i) => i) : [...binEdges(a)];
  if (a.type === "category") edges.push(edges.length);
  const last = edges.length - 1;
  return {
    title,
    edges: edges.filter((_, i) => i % merged === 0 || i === last),
    names: a.type === "category" && merged === 1 ? a.categories : null,
    log: edges[0]! > 0 && (logAsked(a) ?? growGeometrically(edges)),
  };
}

/** What the axis itself says of its scale, in the words of the histogram's own option. */
function logAsked(a: Axis): boolean | null {
  const { log } = a.metadata;
  return a.type !== "category" && typeof log === "boolean" ? log : null;
}

function cannotBeLog(a: Axis): string[] {
  if (a.type === "category" || logAsked(a) !== true) return [];
  const start = binEdges(a)[0]!;
  return start > 0 ? [] : [`${axisLabel(a)} not logarithmic: it starts at ${formatted(start)}`];
}

/** `Events / 2 GeV` where all bins are as wide, which integers and categories need not be told. */
function perBin(a: Axis, x: FigureAxis): string {
  const widths = x.edges.slice(1).map((edge, i) => edge - x.edges[i]!);
  const [width = 1] = widths;
  if (a.type === "category" || (a.type === "integer" && width === 1)) return "Events";
  // The last bin may hold fewer where bins are drawn together.
  const even = widths.slice(0, -1).every((one) => Math.abs(one - width) < 1e-6 * width);
  if (!even || (a.type === "variable" && Math.abs(widths.at(-1)! - width) > 1e-6 * width)) {
    return "Events / bin";
  }
  return `Events / ${Number(width.toPrecision(4))}${a.unit === "" ? "" : ` ${a.unit}`}`;
}

/** Bins to draw as one, so that at most `max` are drawn. */
function groupSize(bins: number, max: number): number {
  return Math.max(1, Math.ceil(bins / max));
}

function seriesOf(name: string, hist: Hist, merged: number): Series {
  const sums = (all: Float64Array) => {
    const grouped = new Array<number>(Math.ceil(all.length / merged)).fill(0);
    all.forEach((value, i) => grouped[Math.floor(i / merged)]! += value);
    return grouped;
  };
  const variances = hist.variances();
  return {
    name,
    values: sums(hist.values()),
    errors: variances === null ? null : sums(variances).map(Math.sqrt),
  };
}

/** As many series as there are colours: the largest, in their order, and the sum of the others. */
function mainSeries(all: readonly Series[]): readonly Series[] {
  if (all.length <= palette.length) return all;
  const size = (one: Series) => one.values.reduce((sum, value) => sum + Math.abs(value), 0);
  const largest = all.toSorted((a, b) => size(b) - size(a)).slice(0, palette.length - 1);
  const others = all.filter((one) => !largest.includes(one));
  const total = (of: (one: Series) => readonly number[]) =>
    others.map(of).reduce((sum, more) => sum.map((value, i) => value + more[i]!));
  return [...all.filter((one) => largest.includes(one)), {
    name: `${others.length} others`,
    values: total((one) => one.values),
    errors: others.some((one) => one.errors === null)
      ? null
      : total((one) => one.errors!.map((error) => error * error)).map(Math.sqrt),
  }];
}

function groupedCells(
  cells: Float64Array,
  [nx, ny]: [number, number],
  [mx, my]: [number, number],
): number[] {
  const rows = Math.ceil(ny / my);
  const grouped = new Array<number>(Math.ceil(nx / mx) * rows).fill(0);
  for (let i = 0; i < nx; i++) {
    for (let j = 0; j < ny; j++) {
      grouped[Math.floor(i / mx) * rows + Math.floor(j / my)]! += cells[i * ny + j]!;
    }
  }
  return grouped;
}

/** Underflow and overflow in words, where there is any. */
function outside(hist: Hist, a: Axis): { under: string[]; over: string[] } {
  const all = hist.values({ flow: true });
  const told = (what: string, value: number | undefined) =>
    value === undefined || value === 0 ? [] : [`${what} ${formatted(value)}`];
  const other = a.type === "category" ? "other" : "overflow";
  return {
    under: told("underflow", firstBin(a) === 1 ? all[0] : undefined),
    over: told(other, a.overflow ? all.at(-1) : undefined),
  };
}

function totalOf(hist: Hist): string {
  const total = hist.sum({ flow: true });
  return hist.storage === "count"
    ? `${formatted(total)} entries`
    : `sum of weights ${formatted(total)}`;
}

function unfinished(values: readonly number[]): string[] {
  const count = values.filter((value) => !Number.isFinite(value)).length;
  return count === 0 ? [] : [`${count} bins are not finite and not drawn`];
}

/** Digits in groups; four digits where there is a fraction. */
export function formatted(value: number): string {
  if (!Number.isInteger(value) && Math.abs(value) < 1000) {
    return String(Number(value.toPrecision(4)));
  }
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

function spansOrders(values: readonly number[]): boolean {
  if (values.some((value) => value < 0)) return false;
  const filled = values.filter((value) => value > 0 && Number.isFinite(value));
  const sorted = filled.sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  return median !== undefined && sorted.at(-1)! > logRatio * median;
}
