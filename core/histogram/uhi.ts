/**
 * The UHI histogram schema, version 1 (github.com/scikit-hep/uhi, histogram.schema.json): what
 * boost-histogram 1.6.1 and later, and hist on top of it, read and write.
 *
 * The schema has no integer axis and no growth; as boost-histogram does, the former is written as a
 * regular axis and both are noted under `writer_info`. Name, label and unit are metadata.
 */
import * as axis from "./axis.ts";
import type { Axis, AxisOptions, Metadata, NumberAxisOptions } from "./axis.ts";
import { binCount } from "./binning.ts";
import { Hist, type HistOptions, type Storage } from "./hist.ts";
import { numberFromJson, numberToJson } from "../json_number.ts";

type Json = Readonly<Record<string, unknown>>;

/** How the cells of a histogram stand in the JSON around it: nested arrays, or a reference. */
export interface CellsForm {
  write(cells: Float64Array, shape: readonly number[]): unknown;
  /** Throws if `value` has not the given shape. */
  read(value: unknown, shape: readonly number[]): Float64Array;
}

const storageNames = { count: "int", weighted: "weighted", double: "double" } as const;
const storages: Readonly<Record<string, Storage>> = {
  int: "count",
  weighted: "weighted",
  double: "double",
};

/** The histogram as an object of the UHI schema, ready for JSON. */
export function toUhi(hist: Hist, form: CellsForm = nestedCells): Json {
  const shape = hist.shape({ flow: true });
  const values = form.write(hist.values({ flow: true }), shape);
  const metadata: Json = {
    ...(hist.name === "" ? {} : { name: hist.name }),
    ...(hist.label === "" ? {} : { label: hist.label }),
    ...(hist.log === null ? {} : { log: hist.log }),
    ...hist.metadata,
  };
  return {
    uhi_schema: 1,
    writer_info: { wqx: { schema: 1 } },
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    axes: hist.axes.map(axisToUhi),
    storage: {
      type: storageNames[hist.storage],
      values,
      ...(hist.storage === "weighted"
        ? { variances: form.write(hist.variances({ flow: true })!, shape) }
        : {}),
    },
  };
}

function axisToUhi(a: Axis): Json {
  const metadata = {
    name: a.name,
    ...(a.label === "" ? {} : { label: a.label }),
    ...(a.unit === "" ? {} : { unit: a.unit }),
    ...a.metadata,
  };
  switch (a.type) {
    case "category":
      return {
        type: "category_str",
        categories: [...a.categories],
        flow: a.overflow,
        ...(a.growth ? { writer_info: { "boost-histogram": { growth: true } } } : {}),
        metadata,
      };
    case "variable": {
      const { underflow, overflow } = a;
      const edges = [...a.edges];
      return { type: "variable", edges, underflow, overflow, circular: false, metadata };
    }
    case "regular":
    case "integer": {
      const { lower, upper, underflow, overflow } = a;
      return {
        type: "regular",
        lower,
        upper,
        bins: binCount(a),
        underflow,
        overflow,
        circular: false,
        ...(a.type === "integer"
          ? { writer_info: { "boost-histogram": { orig_type: "Integer" } } }
          : {}),
        metadata,
      };
    }
  }
}

/**
 * The histogram that an object of the UHI schema describes, dense or sparse or empty.
 * Throws a sentence for what is not of the schema or has no counterpart here.
 */
export function fromUhi(value: unknown, form: CellsForm = nestedCells): Hist {
  const uhi = record(value, "a UHI histogram");
  if (uhi["uhi_schema"] !== 1) {
    throw new RangeError(`uhi_schema must be 1, got ${shown(uhi["uhi_schema"])}`);
  }
  const axes = list(uhi["axes"], "axes").map((one, i) => axisFromUhi(one, i));
  const stored = record(uhi["storage"], "storage");
  const storage = storages[String(stored["type"])];
  if (storage === undefined) {
    const known = Object.keys(storages).join(", ");
    throw new RangeError(`storage.type must be one of ${known}, got ${shown(stored["type"])}`);
  }
  const { name = "", label = "", log, ...metadata } = metadataOf(uhi, "metadata");
  const options: HistOptions = {
    storage,
    name: String(name),
    label: String(label),
    ...(typeof log === "boolean" ? { log } : {}),
    metadata,
  };
  const empty = new Hist(axes, options);
  if (stored["values"] === undefined) return empty;
  const shape = empty.shape({ flow: true });
  const cells = (key: string) => {
    try {
      return stored["index"] === undefined
        ? form.read(stored[key], shape)
        : sparseCells(stored["index"], stored[key], shape);
    } catch (error) {
      throw new TypeError(`storage.${key} ${error instanceof Error ? error.message : error}`);
    }
  };
  const sums = cells("values");
  if (storage === "count" && !sums.every(Number.isInteger)) {
    throw new TypeError('storage.values must be integers where storage.type is "int"');
  }
  return Hist.of(axes, options, sums, storage === "weighted" ? cells("variances") : null);
}

function axisFromUhi(value: unknown, i: number): Axis {
  const at = `axes[${i}]`;
  const a = record(value, at);
  const { name = `axis${i}`, label = "", unit = "", ...metadata } = metadataOf(a, `${at}.metadata`);
  const text: AxisOptions = {
    name: String(name),
    label: String(label),
    unit: String(unit),
    metadata,
  };
  const written = infoOf(a);
  if (a["circular"] === true) throw new RangeError(`${at} is circular, which is not supported`);
  const flow = (): NumberAxisOptions => ({
    ...text,
    underflow: boolean(a["underflow"], `${at}.underflow`),
    overflow: boolean(a["overflow"], `${at}.overflow`),
  });
  const number = (key: string) => finite(a[key], `${at}.${key}`);
  switch (a["type"]) {
    case "regular": {
      const [bins, lower, upper] = [number("bins"), number("lower"), number("upper")];
      if (written["orig_type"] !== "Integer") return axis.regular(bins, lower, upper, flow());
      if (upper - lower !== bins) {
        throw new RangeError(`${at} has ${bins} bins for the integers from ${lower} to ${upper}`);
      }
      return axis.integer(lower, upper, flow());
    }
    case "variable":
      return axis.variable(
        list(a["edges"], `${at}.edges`).map((edge, k) => finite(edge, `${at}.edges[${k}]`)),
        flow(),
      );
    case "category_str":
      return axis.category(list(a["categories"], `${at}.categories`) as string[], {
        ...text,
        growth: written["growth"] === true,
        overflow: boolean(a["flow"], `${at}.flow`),
      });
    default:
      throw new RangeError(
        `${at}.type must be regular, variable or category_str, got ${shown(a["type"])}`,
      );
  }
}

/** What boost-histogram noted on the axis, if anything. */
function infoOf(a: Json): Json {
  const info = a["writer_info"];
  if (typeof info !== "object" || info === null || !("boost-histogram" in info)) return {};
  return record(info["boost-histogram"], "writer_info.boost-histogram");
}

function metadataOf(holder: Json, at: string): Metadata {
  const found: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(record(holder["metadata"] ?? {}, at))) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      found[key] = value;
    } else if (value !== null) {
      throw new TypeError(`${at}.${key} must be a string, number or boolean, got ${shown(value)}`);
    }
  }
  return found;
}

/** Arrays in arrays, as the schema has them; numbers beyond JSON as `numberToJson` writes them. */
export const nestedCells: CellsForm = {
  write(cells, shape) {
    let next = 0;
    const walk = (depth: number): unknown[] =>
      Array.from(
        { length: shape[depth]! },
        () => depth === shape.length - 1 ? numberToJson(cells[next++]! + 0) : walk(depth + 1),
      );
    return walk(0);
  },
  read(value, shape) {
    const cells = new Float64Array(shape.reduce((product, n) => product * n, 1));
    let next = 0;
    const walk = (part: unknown, depth: number): void => {
      if (depth === shape.length) {
        const number = numberFromJson(part);
        if (number === null) throw new TypeError(`must hold numbers, but has ${shown(part)}`);
        cells[next++] = number;
        return;
      }
      if (!Array.isArray(part) || part.length !== shape[depth]) {
        throw new TypeError(
          `must have the shape of the axes, ${shape.join(" × ")} with underflow and overflow`,
        );
      }
      for (const one of part) walk(one, depth + 1);
    };
    // NumPy writes an array without elements with fewer dimensions than it has.
    if (cells.length > 0) walk(value, 0);
    return cells;
  },
};

/** The sparse form: one list of cell indices an axis, and one of values. */
function sparseCells(index: unknown, value: unknown, shape: readonly number[]): Float64Array {
  const cells = new Float64Array(shape.reduce((product, n) => product * n, 1));
  const places = list(index, "index").map((axis, i) => list(axis, `index[${i}]`));
  const numbers = list(value, "values");
  if (places.length !== shape.length || places.some((axis) => axis.length !== numbers.length)) {
    throw new TypeError("must have as many entries as storage.index has for each axis");
  }
  numbers.forEach((one, k) => {
    const number = numberFromJson(one);
    if (number === null) throw new TypeError(`must hold numbers, but has ${shown(one)}`);
    let cell = 0;
    shape.forEach((length, i) => {
      const at = places[i]![k];
      if (typeof at !== "number" || !Number.isInteger(at) || at < 0 || at >= length) {
        throw new RangeError(`has no cell ${shown(at)} on axis ${i}, which has ${length}`);
      }
      cell = cell * length + at;
    });
    cells[cell] = number;
  });
  return cells;
}

function record(value: unknown, what: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new TypeError(`${what} must be an object, got ${shown(value)}`);
}

function list(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`${what} must be an array, got ${shown(value)}`);
}

function boolean(value: unknown, what: string): boolean {
  if (typeof value === "boolean") return value;
  throw new TypeError(`${what} must be true or false, got ${shown(value)}`);
}

function finite(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new TypeError(`${what} must be a number, got ${shown(value)}`);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}
