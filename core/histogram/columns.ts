/** What `Hist.fill` is given, checked and brought to columns of one length. */
import type { Axis } from "./axis.ts";
import type { FlatColumn } from "../columns.ts";

type Numberish = number | bigint | boolean;

/** Numbers to fill: a typed array of any kind, a plain array, or one number for all entries. */
export type FillNumbers = FlatColumn | Uint8ClampedArray | readonly Numberish[] | Numberish;

/** Values for one axis, or weights; a single value is used for all entries. */
export type FillValues = FillNumbers | readonly string[] | string;

export type NumberColumn = Exclude<FlatColumn, BigInt64Array | BigUint64Array> | Uint8ClampedArray;

/** One value for all entries, or a value an entry. */
export type FillColumn<One, Many> = { readonly one: One } | { readonly many: Many };

/** How values are called in a message: `an array of strings`, `a Float64Array`. */
function described(values: unknown): string {
  if (values === null || values === undefined) return String(values);
  if (Array.isArray(values)) return "an array";
  if (typeof values === "string") return `the string ${JSON.stringify(values)}`;
  if (typeof values !== "object") return `a ${typeof values}`;
  if ("offsets" in values && "values" in values) {
    return "a jagged column (give its .values, one entry each)";
  }
  return `a ${values.constructor?.name || "object"}`;
}

function numberColumn(values: unknown, what: string): FillColumn<number, NumberColumn> {
  if (typeof values === "number" || typeof values === "bigint" || typeof values === "boolean") {
    return { one: Number(values) };
  }
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    return { many: Float64Array.from(values, Number) };
  }
  if (ArrayBuffer.isView(values) && !(values instanceof DataView)) {
    return { many: values as NumberColumn };
  }
  if (Array.isArray(values)) {
    const many = new Float64Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const value: unknown = values[i];
      if (typeof value === "number") many[i] = value;
      else if (typeof value === "bigint" || typeof value === "boolean") many[i] = Number(value);
      else throw new TypeError(`${what} must be numbers, but number ${i} is ${described(value)}`);
    }
    return { many };
  }
  throw new TypeError(
    `${what} must be a typed array, an array of numbers or a number, got ${described(values)}`,
  );
}

function stringColumn(values: unknown, what: string): FillColumn<string, readonly string[]> {
  if (typeof values === "string") return { one: values };
  if (!Array.isArray(values)) {
    throw new TypeError(
      `${what} must be a string or an array of strings, got ${described(values)}`,
    );
  }
  const wrong = values.findIndex((value) => typeof value !== "string");
  if (wrong >= 0) {
    throw new TypeError(
      `${what} must be strings, but number ${wrong} is ${described(values[wrong])}`,
    );
  }
  return { many: values as readonly string[] };
}

/** Columns by axis, in the order of the axes. */
export interface FillColumns {
  readonly columns: readonly (
    | { readonly kind: "numbers"; readonly values: FillColumn<number, NumberColumn> }
    | { readonly kind: "strings"; readonly values: FillColumn<string, readonly string[]> }
  )[];
  readonly weight: FillColumn<number, NumberColumn> | null;
  readonly length: number;
}

/**
 * Checks names, types and lengths before anything is filled.
 * Throws a sentence that names the histogram, the axis and what it needs.
 */
export function fillColumns(
  axes: readonly Axis[],
  given: Readonly<Record<string, FillValues>>,
  histogram: string,
): FillColumns {
  const problem = `Cannot fill ${histogram}:`;
  const names = axes.map((a) => a.name);
  for (const key of Object.keys(given)) {
    if (key !== "weight" && !names.includes(key)) {
      throw new RangeError(`${problem} it has no axis "${key}", only ${names.join(", ")}`);
    }
  }
  const columns = axes.map((a) => {
    if (!Object.hasOwn(given, a.name)) {
      throw new RangeError(`${problem} no values for the axis "${a.name}"`);
    }
    const what = `${problem} values for the axis "${a.name}"`;
    return a.type === "category"
      ? { kind: "strings", values: stringColumn(given[a.name], what) } as const
      : { kind: "numbers", values: numberColumn(given[a.name], what) } as const;
  });
  const weight = given["weight"] === undefined
    ? null
    : numberColumn(given["weight"], `${problem} weights`);

  let length: { of: string; is: number } | null = null;
  const lengths = [
    ...columns.map((column, i) => ({ of: `"${names[i]}"`, values: column.values })),
    ...(weight === null ? [] : [{ of: "weight", values: weight }]),
  ];
  for (const { of, values } of lengths) {
    if (!("many" in values)) continue;
    const is = values.many.length;
    if (length !== null && length.is !== is) {
      throw new RangeError(
        `${problem} ${length.of} has ${length.is} values and ${of} has ${is}; ` +
          `give as many for each, or one for all`,
      );
    }
    length ??= { of, is };
  }
  return { columns, weight, length: length?.is ?? 1 };
}
