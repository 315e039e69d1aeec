/**
 * Axes, and what makes them: `axis.regular(60, 60, 120, { name: "mass", unit: "GeV" })`.
 *
 * Plain data and not classes: a processor is bundled with a copy of this file of its own, and what
 * it returns must be usable by the copy that merges.
 */

/** Scalar facts that a UHI file may attach to an axis or a histogram. */
export type Metadata = Readonly<Record<string, string | number | boolean>>;

/** What every axis says of itself. The name is what `fill` goes by. */
export interface AxisText {
  readonly name: string;
  /** For plots, e.g. `m(μμ)`; empty: the name is shown. */
  readonly label: string;
  /** For plots, e.g. `GeV`; empty: none. */
  readonly unit: string;
  /** Whatever else a UHI file said of it; kept, and not used but for `log`. */
  readonly metadata: Metadata;
}

interface Flow {
  readonly underflow: boolean;
  readonly overflow: boolean;
}

/** `bins` equal bins over [lower, upper). */
export interface RegularAxis extends AxisText, Flow {
  readonly type: "regular";
  readonly bins: number;
  readonly lower: number;
  readonly upper: number;
}

/** Bins between rising edges; one bin less than edges. */
export interface VariableAxis extends AxisText, Flow {
  readonly type: "variable";
  readonly edges: Float64Array;
}

/** One bin for each integer in [lower, upper); other numbers are rounded down. */
export interface IntegerAxis extends AxisText, Flow {
  readonly type: "integer";
  readonly lower: number;
  readonly upper: number;
}

/** One bin a string, in first-seen order. */
export interface CategoryAxis extends AxisText {
  readonly type: "category";
  readonly categories: readonly string[];
  /** New strings get bins of their own; there is then no overflow. */
  readonly growth: boolean;
  readonly overflow: boolean;
}

export type NumberAxis = RegularAxis | VariableAxis | IntegerAxis;
export type Axis = NumberAxis | CategoryAxis;

export interface AxisOptions {
  readonly name: string;
  readonly label?: string;
  readonly unit?: string;
  readonly metadata?: Metadata;
}

export interface NumberAxisOptions extends AxisOptions {
  /** Default: true. Without it, values below the axis are left out. */
  readonly underflow?: boolean;
  /** Default: true. Without it, values above the axis and NaN are left out. */
  readonly overflow?: boolean;
  /** Logarithmic on plots or not; left out: the plot decides by the edges. Kept as metadata. */
  readonly log?: boolean;
}

export interface CategoryAxisOptions extends AxisOptions {
  /** Default: false. */
  readonly growth?: boolean;
  /** Default: true unless growing. Without it, unknown strings are left out. */
  readonly overflow?: boolean;
}

/** Bins of one axis; an axis with more is a mistake in the numbers given. */
const binsMax = 1e8;

function text(options: AxisOptions): AxisText {
  const { name, label = "", unit = "", metadata = {} } = options ?? {};
  if (typeof name !== "string" || name === "") {
    throw new TypeError('An axis needs a name, such as { name: "mass" }: fill() goes by it');
  }
  if (name === "weight") {
    throw new RangeError('An axis cannot be named "weight": fill() takes weights by that name');
  }
  for (const [key, value] of Object.entries({ label, unit })) {
    if (typeof value !== "string") {
      throw new TypeError(`The ${key} of axis "${name}" must be a string`);
    }
  }
  return { name, label, unit, metadata };
}

function numberText(options: NumberAxisOptions): AxisText {
  const common = text(options);
  const { log } = options;
  if (log === undefined) return common;
  if (typeof log !== "boolean") {
    throw new TypeError(`The log of axis "${common.name}" must be true or false`);
  }
  return { ...common, metadata: { ...common.metadata, log } };
}

function flow(options: NumberAxisOptions): Flow {
  return { underflow: options.underflow ?? true, overflow: options.overflow ?? true };
}

function checkRange(name: string, bins: number, lower: number, upper: number): void {
  if (!Number.isInteger(bins) || bins < 1 || bins > binsMax) {
    throw new RangeError(`Axis "${name}" needs a whole number of bins from 1 to 1e8, got ${bins}`);
  }
  if (!Number.isFinite(lower) || !Number.isFinite(upper) || !(lower < upper)) {
    throw new RangeError(
      `Axis "${name}" needs finite limits, the lower one first, got ${lower} and ${upper}`,
    );
  }
}

/** `bins` equal bins over [lower, upper). Throws if the numbers make no axis. */
export function regular(
  bins: number,
  lower: number,
  upper: number,
  options: NumberAxisOptions,
): RegularAxis {
  const common = numberText(options);
  checkRange(common.name, bins, lower, upper);
  return { type: "regular", bins, lower, upper, ...flow(options), ...common };
}

/** Bins between the given edges, which must rise. Throws if they do not. */
export function variable(edges: Iterable<number>, options: NumberAxisOptions): VariableAxis {
  const common = numberText(options);
  const all = Float64Array.from(edges);
  if (all.length < 2) {
    throw new RangeError(`Axis "${common.name}" needs two edges or more, got ${all.length}`);
  }
  all.forEach((edge, i) => {
    if (!Number.isFinite(edge) || (i > 0 && edge <= all[i - 1]!)) {
      throw new RangeError(
        `Axis "${common.name}" needs finite, rising edges; number ${i} is ${edge}` +
          (i > 0 ? ` after ${all[i - 1]}` : ""),
      );
    }
  });
  return { type: "variable", edges: all, ...flow(options), ...common };
}

/** One bin for each integer in [lower, upper). Throws if these are no integers. */
export function integer(lower: number, upper: number, options: NumberAxisOptions): IntegerAxis {
  const common = numberText(options);
  if (!Number.isSafeInteger(lower) || !Number.isSafeInteger(upper)) {
    throw new RangeError(`Axis "${common.name}" needs integers, got ${lower} and ${upper}`);
  }
  checkRange(common.name, upper - lower, lower, upper);
  return { type: "integer", lower, upper, ...flow(options), ...common };
}

/** One bin a string; `growth: true` adds bins as strings appear. Throws if one is given twice. */
export function category(categories: Iterable<string>, options: CategoryAxisOptions): CategoryAxis {
  const common = text(options);
  if (typeof categories === "string") {
    throw new TypeError(`Axis "${common.name}" needs a list of strings, got the string itself`);
  }
  const all = [...categories];
  all.forEach((one, i) => {
    if (typeof one !== "string") {
      throw new TypeError(`Category ${i} of axis "${common.name}" must be a string`);
    }
    if (all.indexOf(one) !== i) {
      throw new RangeError(`Axis "${common.name}" has the category "${one}" twice`);
    }
  });
  const growth = options.growth ?? false;
  const overflow = options.overflow ?? !growth;
  if (growth && overflow) {
    throw new RangeError(`Axis "${common.name}" grows, so nothing can overflow: leave out one`);
  }
  if (!growth && all.length === 0) {
    throw new RangeError(`Axis "${common.name}" needs a category, or { growth: true }`);
  }
  return { type: "category", categories: all, growth, overflow, ...common };
}
