/**
 * Histograms as physicists know them from boost-histogram and hist: any number of axes, counts or
 * sums of weights, filled a column at a time and merged cell by cell.
 *
 * Cells lie row by row (the last axis runs fastest) with underflow first and overflow last on each
 * axis, which is also the order of the UHI schema.
 */
import type { Axis, Metadata } from "./axis.ts";
import {
  axisMismatch,
  binCount,
  cellCount,
  firstBin,
  grown,
  mergedAxis,
  mergedMetadata,
} from "./binning.ts";
import { addRemapped, cellAdders, stridesFor, stridesOf } from "./cells.ts";
import { type FillColumns, fillColumns, type FillValues } from "./columns.ts";

/**
 * What a cell holds. `count`: entries, exact up to 2⁵³. `weighted`: sum of weights and sum of their
 * squares. `double`: sum of weights alone, as Python's default storage writes it.
 */
export type Storage = "count" | "weighted" | "double";

export interface HistOptions {
  /** Default: `count`. Weights need `weighted`. */
  readonly storage?: Storage;
  readonly name?: string;
  /** Title of the plot; empty: the name. */
  readonly label?: string;
  /** Logarithmic plot or not; left out: the plot decides by the span of the contents. */
  readonly log?: boolean;
  readonly metadata?: Metadata;
}

/** Cells of one histogram: 512 MiB of doubles. More is a mistake in the axes. */
const cellsMax = 2 ** 26;

/** Entries looked up at a time, so that indices stay in the processor's cache. */
const blockLength = 4096;

const brand: unique symbol = Symbol.for("wqx.Hist");

/** True for a histogram, also one made by another copy of this module (a bundled processor). */
export function isHist(value: unknown): value is Hist {
  return typeof value === "object" && value !== null && brand in value;
}

export class Hist {
  readonly [brand] = true;
  /** Replaced when a category is added; the axes themselves never change. */
  axes: readonly Axis[];
  readonly storage: Storage;
  readonly name: string;
  readonly label: string;
  readonly log: boolean | null;
  readonly metadata: Metadata;
  /** Counts or sums of weights, all cells. Not `#private`: see `isHist`. */
  private sums: Float64Array;
  /** Sums of squared weights, all cells; only for `weighted`. */
  private squares: Float64Array | null;

  /** An empty histogram. Throws if there is no axis, a name is used twice, or cells are too many. */
  constructor(axes: readonly Axis[], options: HistOptions = {}) {
    const { storage = "count", name = "", label = "", log, metadata = {} } = options;
    if (!Array.isArray(axes) || axes.length === 0) {
      throw new TypeError("A histogram needs an array of one axis or more");
    }
    if (storage !== "count" && storage !== "weighted" && storage !== "double") {
      throw new RangeError(
        `A histogram's storage is "count" or "weighted" (or "double"), got ${
          JSON.stringify(storage)
        }`,
      );
    }
    const names = axes.map((a) => a.name);
    const twice = names.find((one, i) => names.indexOf(one) !== i);
    if (twice !== undefined) {
      throw new RangeError(`Two axes of a histogram are named "${twice}": fill() goes by the name`);
    }
    this.axes = [...axes];
    this.storage = storage;
    this.name = name;
    this.label = label;
    this.log = log ?? null;
    this.metadata = metadata;
    const cells = cellsOf(axes);
    this.sums = new Float64Array(cells);
    this.squares = storage === "weighted" ? new Float64Array(cells) : null;
  }

  /**
   * Adds entries: a column for each axis by name, one value standing for all entries, and `weight`
   * where the storage keeps weights. Throws before anything is changed if it does not fit.
   */
  fill(values: Readonly<Record<string, FillValues>>): this {
    const given = fillColumns(this.axes, values, this.title());
    if (this.storage === "count" && given.weight !== null) {
      throw new RangeError(
        `Cannot fill ${this.title()}: it counts entries; for weights make it with ` +
          `{ storage: "weighted" }`,
      );
    }
    this.grow(given);
    const block = Math.min(blockLength, given.length);
    const cells = new Int32Array(block);
    const scratch = new Float64Array(block);
    const addCells = cellAdders(this.axes, given, scratch);
    for (let start = 0; start < given.length; start += block) {
      const count = Math.min(block, given.length - start);
      cells.fill(0);
      for (const add of addCells) add(start, count, cells);
      this.add(cells, start, count, given.weight, scratch);
    }
    return this;
  }

  /** Adds the entries of one block to their cells; a negative cell is left out. */
  private add(
    cells: Int32Array,
    start: number,
    count: number,
    weight: FillColumns["weight"],
    scratch: Float64Array,
  ): void {
    const { sums, squares } = this;
    if (weight !== null && "many" in weight) {
      scratch.set(weight.many.subarray(start, start + count));
    } else {
      scratch.fill(weight?.one ?? 1);
    }
    for (let i = 0; i < count; i++) {
      const cell = cells[i]!;
      if (cell < 0) continue;
      const w = scratch[i]!;
      sums[cell]! += w;
      if (squares !== null) squares[cell]! += w * w;
    }
  }

  /** Gives new strings their bins. */
  private grow(given: FillColumns): void {
    const axes = this.axes.map((a, i) => {
      const column = given.columns[i]!;
      if (a.type !== "category" || !a.growth || column.kind !== "strings") return a;
      const { values } = column;
      const seen = "many" in values ? values.many : given.length > 0 ? [values.one] : [];
      const longer = grown(a, seen);
      return longer.categories.length > a.categories.length ? longer : a;
    });
    if (axes.every((a, i) => a === this.axes[i])) return;
    const larger = this.embedded(axes, this.options());
    this.axes = axes;
    this.sums = larger.sums;
    this.squares = larger.squares;
  }

  /** This histogram's contents over axes that have the same bins and more categories. */
  private embedded(axes: readonly Axis[], options: HistOptions): Hist {
    const into = new Hist(axes, options);
    const strides = stridesOf(axes);
    const offsets = this.axes.map((a, i) => {
      const target = axes[i]!;
      const places = Int32Array.from({ length: cellCount(a) }, (_, cell) => cell);
      if (a.type === "category" && target.type === "category" && a.growth) {
        a.categories.forEach((one, bin) => places[bin] = target.categories.indexOf(one));
      }
      return places.map((place) => place * strides[i]!);
    });
    this.addTo(into, offsets);
    return into;
  }

  /** Adds each cell to the cell of `into` at the sum of its offsets; a negative one drops it. */
  private addTo(into: Hist, offsets: readonly Int32Array[]): void {
    addRemapped(this.sums, offsets, into.sums);
    if (this.squares !== null && into.squares !== null) {
      addRemapped(this.squares, offsets, into.squares);
    }
  }

  /** Why the two cannot be merged, in words; `null` if they can. */
  mismatch(other: Hist): string | null {
    if (this.storage !== other.storage) {
      return `one histogram stores "${this.storage}", the other "${other.storage}"`;
    }
    if (this.axes.length !== other.axes.length) {
      return `one histogram has ${this.axes.length} axes, the other ${other.axes.length}`;
    }
    for (const [i, a] of this.axes.entries()) {
      const why = axisMismatch(a, other.axes[i]!);
      if (why !== null) return why;
    }
    return null;
  }

  /**
   * The sum of two histograms as a new one; growing categories are united, those of `this` first.
   * Throws if axes or storage differ. Counts are exact; sums of weights round as additions do.
   */
  merge(other: Hist): Hist {
    const why = this.mismatch(other);
    if (why !== null) throw new TypeError(`Cannot merge ${this.title()}: ${why}`);
    const axes = this.axes.map((a, i) => mergedAxis(a, other.axes[i]!));
    const merged = this.embedded(axes, {
      storage: this.storage,
      name: this.name || other.name,
      label: this.label || other.label,
      ...logOption(this.log ?? other.log),
      metadata: mergedMetadata(this.metadata, other.metadata),
    });
    const more = other.embedded(axes, other.options());
    for (let i = 0; i < merged.sums.length; i++) merged.sums[i]! += more.sums[i]!;
    if (merged.squares !== null && more.squares !== null) {
      for (let i = 0; i < merged.squares.length; i++) merged.squares[i]! += more.squares[i]!;
    }
    return merged;
  }

  /**
   * The histogram over some of its axes, in the order named; the others are summed over, their
   * underflow and overflow included. Throws if there is no such axis.
   */
  project(...names: string[]): Hist {
    const kept = names.map((name) => this.axes[this.axisIndex(name)]!);
    const into = new Hist(kept, this.options());
    const strides = stridesOf(kept);
    const offsets = this.axes.map((a) => {
      const stride = strides[names.indexOf(a.name)] ?? 0;
      return Int32Array.from({ length: cellCount(a) }, (_, cell) => cell * stride);
    });
    this.addTo(into, offsets);
    return into;
  }

  /** The entries of one category, over the other axes. Throws if there is no such category. */
  select(name: string, category: string): Hist {
    const at = this.axisIndex(name);
    const chosen = this.axes[at]!;
    const bin = chosen.type === "category" ? chosen.categories.indexOf(category) : -1;
    if (bin < 0) {
      throw new RangeError(`Axis "${name}" of ${this.title()} has no category "${category}"`);
    }
    const kept = this.axes.filter((a) => a !== chosen);
    const into = new Hist(kept, this.options());
    const strides = stridesOf(kept);
    const offsets = this.axes.map((a, i) => {
      const stride = i === at ? 0 : strides[kept.indexOf(a)]!;
      return Int32Array.from(
        { length: cellCount(a) },
        (_, cell) => i === at && cell !== bin ? -1 : cell * stride,
      );
    });
    this.addTo(into, offsets);
    return into;
  }

  private axisIndex(name: string): number {
    const at = this.axes.findIndex((a) => a.name === name);
    if (at >= 0) return at;
    const names = this.axes.map((a) => a.name).join(", ");
    throw new RangeError(`${this.title()} has no axis "${name}", only ${names}`);
  }

  /** Cells (`flow`) or bins along each axis. */
  shape(options: { flow?: boolean } = {}): number[] {
    return this.axes.map(options.flow ? cellCount : binCount);
  }

  /** A copy of the contents, row by row; with `flow` underflow and overflow are among them. */
  values(options: { flow?: boolean } = {}): Float64Array {
    return this.contents(this.sums, options.flow ?? false);
  }

  /**
   * A copy of the variances: sums of squared weights, or for counts the counts themselves.
   * `null` where weights were summed without their squares.
   */
  variances(options: { flow?: boolean } = {}): Float64Array | null {
    if (this.storage === "double" && !this.sums.every((sum) => Number.isInteger(sum) && sum >= 0)) {
      return null;
    }
    return this.contents(this.squares ?? this.sums, options.flow ?? false);
  }

  private contents(all: Float64Array, flow: boolean): Float64Array {
    if (flow) return all.slice();
    const counts = this.axes.map(binCount);
    const strides = stridesFor(counts);
    const inside = new Float64Array(counts.reduce((product, n) => product * n, 1));
    const offsets = this.axes.map((a, i) =>
      Int32Array.from({ length: cellCount(a) }, (_, cell) => {
        const bin = cell - firstBin(a);
        return bin >= 0 && bin < counts[i]! ? bin * strides[i]! : -1;
      })
    );
    addRemapped(all, offsets, inside);
    return inside;
  }

  /** Sum over the bins, or with `flow` over all cells: for counts, the entries. */
  sum(options: { flow?: boolean } = {}): number {
    return this.values(options).reduce((total, value) => total + value, 0);
  }

  /** How a message calls it. */
  title(): string {
    const name = this.name || this.label;
    return name === ""
      ? `the histogram of ${this.axes.map((a) => a.name).join(", ")}`
      : `the histogram "${name}"`;
  }

  /** What to make an empty one like this with. */
  options(): HistOptions {
    const { storage, name, label, log, metadata } = this;
    return { storage, name, label, ...logOption(log), metadata };
  }

  /**
   * A histogram with the given cells, underflow and overflow included, row by row.
   * Throws if their number does not fit the axes; `squares` are for `weighted` alone.
   */
  static of(
    axes: readonly Axis[],
    options: HistOptions,
    sums: Float64Array,
    squares: Float64Array | null,
  ): Hist {
    const hist = new Hist(axes, options);
    for (const cells of [sums, ...(hist.storage === "weighted" ? [squares] : [])]) {
      if (cells?.length === hist.sums.length) continue;
      throw new RangeError(
        `Cannot make ${hist.title()}: its axes have ${hist.sums.length} cells, given are ${
          cells?.length ?? "none"
        }`,
      );
    }
    hist.sums = sums;
    hist.squares = hist.storage === "weighted" ? squares : null;
    return hist;
  }
}

function logOption(log: boolean | null): { log?: boolean } {
  return log === null ? {} : { log };
}

function cellsOf(axes: readonly Axis[]): number {
  const cells = axes.reduce((product, a) => product * cellCount(a), 1);
  if (cells <= cellsMax) return cells;
  throw new RangeError(
    `A histogram may have 2^26 cells, these axes make ${cells}: use fewer bins or fewer axes`,
  );
}
