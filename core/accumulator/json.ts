/**
 * Accumulators as JSON: the form of result.json, and of what a `{command}` processor writes.
 *
 * | value | JSON |
 * | --- | --- |
 * | number | number; `{ "$number": "NaN" }`, `"Infinity"`, `"-Infinity"`, `"-0"` |
 * | bigint | `{ "$bigint": "18446744073709551615" }` |
 * | list | array; its members may also be strings and booleans |
 * | set | `{ "$set": ["a", "b"] }` |
 * | typed array | `{ "$typed": "Float32Array", "values": [1, 2] }`, 64-bit integers as strings |
 * | histogram | an object of the UHI histogram schema, known by its key `uhi_schema` |
 * | object | object; a key that starts with `$`, or is `uhi_schema`, gets one more `$` in front |
 * | nothing | null |
 */
import {
  type Accumulator,
  AccumulatorError,
  checkAccumulator,
  type Item,
  kindOf,
  pathTo,
  type TypedArrayName,
  typedArrayName,
  typedArrays,
} from "./merge.ts";
import type { FlatColumn } from "../columns.ts";
import type { Hist } from "../histogram/hist.ts";
import { type CellsForm, fromUhi, nestedCells, toUhi } from "../histogram/uhi.ts";
import { numberFromJson, numberToJson } from "../json_number.ts";
import { messageOf } from "../errors.ts";

/** How runs of numbers stand in the tree: as JSON arrays, or as references to bytes beside it. */
export interface NumbersForm {
  readonly cells: CellsForm;
  write(array: FlatColumn): unknown;
  /** Throws if `value` is not what `write` makes of such an array. */
  read(value: unknown, name: TypedArrayName): FlatColumn;
  /** A list of plain numbers that is long enough is written as a typed array of doubles. */
  readonly listMin: number;
}

const plainForm: NumbersForm = {
  cells: nestedCells,
  listMin: Infinity,
  write: (array) =>
    array instanceof BigInt64Array || array instanceof BigUint64Array
      ? Array.from(array, String)
      : Array.from(array, numberToJson),
  read(value, name) {
    if (!Array.isArray(value)) throw new TypeError('needs "values", an array of numbers');
    const array = new typedArrays[name](value.length);
    value.forEach((one, i) => {
      const number = array instanceof BigInt64Array || array instanceof BigUint64Array
        ? bigintFrom(one)
        : numberFromJson(one);
      if (number === null) throw new TypeError(`has ${shown(one)} for number ${i}`);
      array[i] = number;
      if (array[i] !== number && !name.startsWith("Float")) {
        throw new RangeError(`cannot hold ${shown(one)} in a ${name}`);
      }
    });
    return array;
  },
};

/** The accumulator as a value for `JSON.stringify`. Throws if it holds what cannot be merged. */
export function toJson(accumulator: Accumulator): unknown {
  return writeTree(accumulator, plainForm);
}

/**
 * The accumulator that `toJson`, or a processor in any language, wrote.
 * Throws an `AccumulatorError` that names the place and what it should be.
 */
export function fromJson(json: unknown): Accumulator {
  return readTree(json, plainForm);
}

/** `toJson` with another form for runs of numbers. */
export function writeTree(accumulator: Accumulator, form: NumbersForm): unknown {
  return write(checkAccumulator(accumulator), form);
}

/** `fromJson` with another form for runs of numbers. */
export function readTree(json: unknown, form: NumbersForm): Accumulator {
  return checkAccumulator(read(json, form, ""));
}

function write(value: Item, form: NumbersForm): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  switch (kindOf(value)) {
    case "number":
      return numberToJson(value as number);
    case "bigint":
      return { $bigint: String(value) };
    case "list": {
      const list = value as readonly Item[];
      return list.length >= form.listMin && list.every((one) => typeof one === "number")
        ? { $list: form.write(Float64Array.from(list)) }
        : list.map((one) => write(one, form));
    }
    case "set":
      return { $set: Array.from(value as ReadonlySet<string | number>, (one) => write(one, form)) };
    case "typed array": {
      const array = value as FlatColumn;
      return { $typed: typedArrayName(array), values: form.write(array) };
    }
    case "histogram":
      return toUhi(value as Hist, form.cells);
    case "object":
      return Object.fromEntries(
        Object.entries(value).map(([key, one]) => [escaped(key), write(one, form)]),
      );
    case null:
      throw new TypeError("checked before, so this is an accumulator");
  }
}

const escaped = (key: string) => key.startsWith("$") || key === "uhi_schema" ? `$${key}` : key;

function read(json: unknown, form: NumbersForm, path: string): Item {
  if (typeof json !== "object" || json === null) return json as Item;
  if (Array.isArray(json)) return json.map((one, i) => read(one, form, `${path}[${i}]`));
  const wrong = (why: unknown) => {
    const where = path === "" ? "the result" : path;
    return new AccumulatorError(path, `Cannot read ${where}: ${messageOf(why)}`);
  };
  if ("uhi_schema" in json) {
    try {
      return fromUhi(json, form.cells);
    } catch (error) {
      throw wrong(error);
    }
  }
  const entries = Object.entries(json);
  const tag = Object.keys(json).find((key) => key.startsWith("$") && !isEscaped(key));
  if (tag === undefined) {
    return Object.fromEntries(entries.map(([key, one]) => {
      const plain = isEscaped(key) ? key.slice(1) : key;
      return [plain, read(one, form, pathTo(path, plain)) as Accumulator];
    }));
  }
  try {
    return readTagged(tag, json as Readonly<Record<string, unknown>>, form, path);
  } catch (error) {
    throw error instanceof AccumulatorError ? error : wrong(error);
  }
}

const isEscaped = (key: string) => key.startsWith("$$") || key === "$uhi_schema";

function readTagged(
  tag: string,
  json: Readonly<Record<string, unknown>>,
  form: NumbersForm,
  path: string,
): Item {
  const value = json[tag];
  const keys = Object.keys(json).filter((key) =>
    key !== tag && !(tag === "$typed" && key === "values")
  );
  if (keys.length > 0) throw new TypeError(`"${tag}" stands beside ${keys.join(", ")}`);
  switch (tag) {
    case "$number": {
      const number = numberFromJson(json);
      if (number !== null) return number;
      throw new TypeError(`$number is NaN, Infinity, -Infinity or -0, got ${shown(value)}`);
    }
    case "$bigint": {
      const bigint = bigintFrom(value);
      if (bigint !== null) return bigint;
      throw new TypeError(`$bigint is a string of digits, got ${shown(value)}`);
    }
    case "$set":
      if (!Array.isArray(value)) throw new TypeError(`$set is an array, got ${shown(value)}`);
      return new Set(value.map((one, i) => read(one, form, `${path}[${i}]`) as string));
    case "$typed": {
      const name = String(value);
      if (!Object.hasOwn(typedArrays, name)) {
        const known = Object.keys(typedArrays).join(", ");
        throw new TypeError(`$typed is one of ${known}, got ${shown(value)}`);
      }
      return form.read(json["values"], name as TypedArrayName);
    }
    case "$list":
      if (form.listMin === Infinity) break;
      return Array.from(form.read(value, "Float64Array") as Float64Array);
  }
  throw new TypeError(
    `"${tag}" is none of $number, $bigint, $set, $typed; for a key write "$${tag}"`,
  );
}

function bigintFrom(value: unknown): bigint | null {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  return typeof value === "string" && /^-?\d+$/.test(value) ? BigInt(value) : null;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}
