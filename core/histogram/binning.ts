/**
 * The binning rules of boost-histogram: bins are half open, the last one takes its upper edge only
 * where there is no overflow, and NaN counts as overflow.
 */
import type { Axis, AxisText, CategoryAxis, Metadata, NumberAxis } from "./axis.ts";

/** Bins without underflow and overflow. */
export function binCount(a: Axis): number {
  switch (a.type) {
    case "regular":
      return a.bins;
    case "variable":
      return a.edges.length - 1;
    case "integer":
      return a.upper - a.lower;
    case "category":
      return a.categories.length;
  }
}

/** 1 where cell 0 is the underflow, else 0: the cell of the first bin. */
export function firstBin(a: Axis): number {
  return a.type !== "category" && a.underflow ? 1 : 0;
}

/** Cells along the axis: bins, underflow, overflow. */
export function cellCount(a: Axis): number {
  return firstBin(a) + binCount(a) + (a.overflow ? 1 : 0);
}

/** Edge `i` as boost-histogram computes it, so that both show the same number to the last bit. */
export function binEdges(a: NumberAxis): Float64Array {
  if (a.type === "variable") return a.edges.slice();
  const bins = binCount(a);
  if (a.type === "integer") return Float64Array.from({ length: bins + 1 }, (_, i) => a.lower + i);
  const delta = a.upper - a.lower;
  return Float64Array.from({ length: bins + 1 }, (_, i) => {
    const z = i / bins;
    return (1 - z) * a.lower + z * (a.lower + delta);
  });
}

/**
 * The bin of a number: -1 below the axis, `binCount` above it or for NaN.
 * The arithmetic is boost-histogram's, so that values on an edge fall on the same side.
 */
export function binFinder(a: NumberAxis): (x: number) => number {
  const bins = binCount(a);
  const { lower, upper } = a.type === "variable"
    ? { lower: a.edges[0]!, upper: a.edges[bins]! }
    : a;
  const closed = !a.overflow;
  switch (a.type) {
    case "regular": {
      const delta = upper - lower;
      return (x) => {
        const z = (x - lower) / delta;
        if (z < 1) return z >= 0 ? (z * bins) | 0 : -1;
        return closed && z === 1 ? bins - 1 : bins;
      };
    }
    case "integer":
      return (x) => x < upper ? (x >= lower ? Math.floor(x) - lower : -1) : bins;
    case "variable": {
      const { edges } = a;
      return (x) => {
        if (closed && x === upper) return bins - 1;
        // Number of edges at or below x; NaN is below none and above none, hence the negation.
        let low = 0;
        let high = edges.length;
        while (low < high) {
          const middle = (low + high) >>> 1;
          if (!(x < edges[middle]!)) low = middle + 1;
          else high = middle;
        }
        return low - 1;
      };
    }
  }
}

/** The axis with `categories` added at the end, each once. */
export function grown(a: CategoryAxis, categories: Iterable<string>): CategoryAxis {
  return { ...a, categories: [...new Set([...a.categories, ...categories])] };
}

/** Why bins of the two axes cannot be added one to one, in words; `null` if they can. */
export function axisMismatch(a: Axis, b: Axis): string | null {
  if (a.name !== b.name) return `the axis "${a.name}" meets the axis "${b.name}"`;
  const told = (what: string, x: unknown, y: unknown) =>
    x === y ? null : `the axis "${a.name}" has ${what} ${x} on one side and ${y} on the other`;
  if (a.type === "category" && b.type === "category") {
    return told("growth", a.growth, b.growth) ?? told("overflow", a.overflow, b.overflow) ??
      (a.growth ? null : told(
        "categories",
        JSON.stringify(a.categories),
        JSON.stringify(b.categories),
      ));
  }
  if (a.type === "category" || b.type === "category" || a.type !== b.type) {
    return told("type", a.type, b.type);
  }
  const flows = told("underflow", a.underflow, b.underflow) ??
    told("overflow", a.overflow, b.overflow);
  if (flows !== null) return flows;
  if (a.type === "variable" && b.type === "variable") {
    return told("edges", a.edges.join(" "), b.edges.join(" "));
  }
  if (a.type === "variable" || b.type === "variable") return null;
  return told("bins", binCount(a), binCount(b)) ?? told("lower limit", a.lower, b.lower) ??
    told("upper limit", a.upper, b.upper);
}

/** Both axes in one; growing categories are united in first-seen order. They must match. */
export function mergedAxis(a: Axis, b: Axis): Axis {
  const words = mergedText(a, b);
  if (a.type === "category" && b.type === "category" && a.growth) {
    return { ...grown(a, b.categories), ...words };
  }
  return { ...a, ...words };
}

function mergedText(a: Axis, b: Axis): Pick<AxisText, "label" | "unit" | "metadata"> {
  return {
    label: a.label || b.label,
    unit: a.unit || b.unit,
    metadata: mergedMetadata(a.metadata, b.metadata),
  };
}

/** Keys of both, in first-seen order; the left side wins. */
export function mergedMetadata(a: Metadata, b: Metadata): Metadata {
  return { ...a, ...b, ...a };
}
