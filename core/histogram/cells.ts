/** Where entries go: from values to cell numbers, and from the cells of one histogram to another's. */
import type { Axis } from "./axis.ts";
import { binFinder, cellCount, firstBin } from "./binning.ts";
import type { FillColumns } from "./columns.ts";

/** Distance between neighbours along each axis, in cells of an array of all cells. */
export function stridesOf(axes: readonly Axis[]): number[] {
  return stridesFor(axes.map(cellCount));
}

/** Likewise for any number of places along each axis. */
export function stridesFor(counts: readonly number[]): number[] {
  const strides = counts.map(() => 1);
  for (let i = counts.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * counts[i + 1]!;
  return strides;
}

/** `to[sum of offsets] += from`, cell by cell; a negative offset on any axis drops the cell. */
export function addRemapped(
  from: Float64Array,
  offsets: readonly Int32Array[],
  to: Float64Array,
): void {
  let read = 0;
  const walk = (axis: number, at: number): void => {
    const last = axis === offsets.length - 1;
    for (const offset of offsets[axis]!) {
      const place = at < 0 || offset < 0 ? -1 : at + offset;
      if (!last) walk(axis + 1, place);
      else {
        if (place >= 0) to[place]! += from[read]!;
        read++;
      }
    }
  };
  walk(0, 0);
}

/** Adds an axis' part to the cells of entries from `start` on; marks those left out by -1. */
export type CellAdder = (start: number, count: number, cells: Int32Array) => void;

/** A `CellAdder` for each axis. `scratch` is as long as the longest block. */
export function cellAdders(
  axes: readonly Axis[],
  given: FillColumns,
  scratch: Float64Array,
): CellAdder[] {
  const strides = stridesOf(axes);
  return axes.map((a, i) => {
    const stride = strides[i]!;
    const limit = cellCount(a);
    const first = firstBin(a);
    const column = given.columns[i]!;
    if (a.type === "category") {
      if (column.kind !== "strings") throw new Error("a category axis is filled by strings");
      const bins = new Map(a.categories.map((one, bin) => [one, bin]));
      const find = (one: string) => bins.get(one) ?? bins.size;
      const { values } = column;
      if ("one" in values) return addOne(find(values.one), limit, stride);
      return (start, count, cells) => {
        for (let k = 0; k < count; k++) {
          const cell = find(values.many[start + k]!);
          cells[k] = cell < limit && cells[k]! >= 0 ? cells[k]! + cell * stride : -1;
        }
      };
    }
    if (column.kind !== "numbers") throw new Error("a number axis is filled by numbers");
    const find = binFinder(a);
    const { values } = column;
    if ("one" in values) return addOne(find(values.one) + first, limit, stride);
    return (start, count, cells) => {
      // One kind of array in the loop, whatever came in, keeps it compiled for that kind.
      scratch.set(values.many.subarray(start, start + count));
      for (let k = 0; k < count; k++) {
        const cell = find(scratch[k]!) + first;
        cells[k] = cell >= 0 && cell < limit && cells[k]! >= 0 ? cells[k]! + cell * stride : -1;
      }
    };
  });
}

function addOne(cell: number, limit: number, stride: number): CellAdder {
  const offset = cell >= 0 && cell < limit ? cell * stride : -1;
  return (_start, count, cells) => {
    for (let k = 0; k < count; k++) {
      cells[k] = offset < 0 || cells[k]! < 0 ? -1 : cells[k]! + offset;
    }
  };
}
