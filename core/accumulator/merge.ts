/**
 * Accumulators: what a processor returns for a chunk, and how two of them become one.
 *
 * Merging keeps order (left before right) and is associative, so that a tree of any shape gives the
 * result of one long chain: exactly for counts, integers below 2⁵³, sets, lists and categories; for
 * sums of other floats up to the rounding of each addition, which depends on the grouping alone and
 * never on chance. `null` and `undefined` are nothing: they leave the other side as it is.
 */
import type { FlatColumn } from "../columns.ts";
import { type Hist, isHist } from "../histogram/hist.ts";

/** A member of a list: it is kept as it is, so it may be anything that can be written. */
export type Item = Accumulator | string | boolean;

/**
 * Numbers and bigints are added, typed arrays added element by element, lists joined, sets united,
 * histograms added bin by bin, objects merged key by key.
 */
export type Accumulator =
  | null
  | undefined
  | number
  | bigint
  | FlatColumn
  | readonly Item[]
  | ReadonlySet<string | number | bigint>
  | Hist
  | { readonly [key: string]: Accumulator };

/** A value that cannot be merged or written, and where it stands, e.g. `cuts.trigger[2]`. */
export class AccumulatorError extends Error {
  override readonly name = "AccumulatorError";
  constructor(readonly path: string, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Deeper nesting is taken for an object that contains itself. */
const depthMax = 100;

/** What the parts of an accumulator are called in messages. */
export type Kind = "number" | "bigint" | "typed array" | "list" | "set" | "histogram" | "object";

/** Names of the typed arrays that can be accumulated. */
export const typedArrays = {
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
} as const;
export type TypedArrayName = keyof typeof typedArrays;

/** Also right for subclasses such as Node's Buffer, which are written as what they extend. */
export function typedArrayName(array: FlatColumn): TypedArrayName {
  return array[Symbol.toStringTag];
}

/** `null` for anything that is no accumulator. */
export function kindOf(value: unknown): Kind | null {
  if (typeof value === "number" || typeof value === "bigint") return typeof value as Kind;
  if (typeof value !== "object" || value === null) return null;
  if (Array.isArray(value)) return "list";
  if (isHist(value)) return "histogram";
  if (value instanceof Set) return "set";
  if (ArrayBuffer.isView(value)) {
    return Reflect.get(value, Symbol.toStringTag) in typedArrays ? "typed array" : null;
  }
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? "object" : null;
}

/** How a message calls any value: `a Date`, `a function`, `a number`. */
function described(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  const kind = kindOf(value);
  if (kind === "typed array") return `a ${typedArrayName(value as FlatColumn)}`;
  if (kind !== null) return kind === "object" ? "an object" : `a ${kind}`;
  if (typeof value === "object") return `a ${value.constructor?.name || "object"}`;
  return `a ${typeof value}`;
}

/** `path` with one more key: `cuts.trigger`, `hists["m > 60"]`. */
export function pathTo(path: string, key: string): string {
  if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)) return path === "" ? key : `${path}.${key}`;
  return `${path}[${JSON.stringify(key)}]`;
}

const place = (path: string) => path === "" ? "the result" : path;

/**
 * Makes sure that what a processor returned can be merged and written, and hands it back.
 * Throws an `AccumulatorError` that names the place and the type that cannot.
 */
export function checkAccumulator(value: unknown): Accumulator {
  check(value, "", false, 0);
  return value as Accumulator;
}

function check(value: unknown, path: string, inList: boolean, depth: number): void {
  if (depth > depthMax) {
    throw new AccumulatorError(
      path,
      `Cannot merge ${place(path)}: it is nested deeper than ${depthMax} levels; ` +
        `does it contain itself?`,
    );
  }
  if (value === null || value === undefined) {
    if (value === undefined && inList) {
      throw new AccumulatorError(path, `Cannot keep ${path}: it is undefined; use null`);
    }
    return;
  }
  if (inList && (typeof value === "string" || typeof value === "boolean")) return;
  switch (kindOf(value)) {
    case null:
      throw new AccumulatorError(
        path,
        `Cannot merge ${place(path)}: it is ${described(value)}; an accumulator is a number, ` +
          `array, typed array, Set, histogram, or an object of these` +
          (typeof value === "string" ? " (put strings into an array or a Set)" : ""),
      );
    case "list":
      // By index: a hole in the list is undefined too.
      for (let i = 0; i < (value as unknown[]).length; i++) {
        check((value as unknown[])[i], `${path}[${i}]`, true, depth + 1);
      }
      return;
    case "set":
      for (const one of value as Set<unknown>) {
        if (typeof one === "string" || typeof one === "number" || typeof one === "bigint") continue;
        throw new AccumulatorError(
          path,
          `Cannot merge ${place(path)}: the Set holds ${described(one)}; ` +
            `strings, numbers and bigints can be told apart`,
        );
      }
      return;
    case "object":
      for (const [key, one] of Object.entries(value)) {
        check(one, pathTo(path, key), inList, depth + 1);
      }
  }
}

/**
 * Both accumulators as one; neither is changed, but the result may share parts with them.
 * Throws an `AccumulatorError` naming the place where the two do not fit.
 */
export function merge(a: Accumulator, b: Accumulator): Accumulator {
  return mergeAt(a, b, "");
}

/** All parts as one, in their order; `null` if there are none. */
export function mergeAll(parts: Iterable<Accumulator>): Accumulator {
  let sum: Accumulator = null;
  for (const part of parts) sum = merge(sum, part);
  return sum;
}

function mergeAt(a: Accumulator, b: Accumulator, path: string): Accumulator {
  if (a === null || a === undefined) return b ?? null;
  if (b === null || b === undefined) return a;
  const kind = kindOf(a);
  if (kind !== kindOf(b)) throw cannotMerge(path, `${described(a)} meets ${described(b)}`);
  switch (kind) {
    case "number":
      return (a as number) + (b as number);
    case "bigint":
      return (a as bigint) + (b as bigint);
    case "list":
      return [...(a as Item[]), ...(b as Item[])];
    case "set":
      return new Set([...(a as Set<string>), ...(b as Set<string>)]);
    case "typed array":
      return mergeTyped(a as FlatColumn, b as FlatColumn, path);
    case "histogram": {
      const why = (a as Hist).mismatch(b as Hist);
      if (why !== null) throw cannotMerge(path, why);
      return (a as Hist).merge(b as Hist);
    }
    case "object": {
      const merged = new Map(Object.entries(a));
      for (const [key, value] of Object.entries(b)) {
        merged.set(key, mergeAt(merged.get(key), value, pathTo(path, key)));
      }
      return Object.fromEntries(merged);
    }
    case null:
      check(a, path, false, 0);
      throw cannotMerge(path, described(a));
  }
}

function cannotMerge(path: string, why: string): AccumulatorError {
  return new AccumulatorError(path, `Cannot merge ${place(path)}: ${why}`);
}

function mergeTyped(a: FlatColumn, b: FlatColumn, path: string): FlatColumn {
  const name = typedArrayName(a);
  if (name !== typedArrayName(b)) {
    throw cannotMerge(path, `${described(a)} meets ${described(b)}`);
  }
  if (a.length !== b.length) {
    throw cannotMerge(path, `a ${name} of ${a.length} meets one of ${b.length} elements`);
  }
  const sum = a.slice();
  for (let i = 0; i < sum.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    const exact = typeof x === "bigint" ? x + (y as bigint) : x + (y as number);
    sum[i] = exact;
    // Floats may round; an integer that comes out different did not fit.
    if (sum[i] !== exact && name !== "Float32Array" && name !== "Float64Array") {
      throw cannotMerge(
        `${path}[${i}]`,
        `${x} + ${y} does not fit into a ${name}; use a wider one`,
      );
    }
  }
  return sum;
}
