/**
 * The events of one chunk as a processor sees them: columns by name, and nothing that was not
 * asked for. Pure: a processor can be tested with `new Events(…)` and arrays made by hand.
 */
import {
  type ChunkMetadata,
  type Column,
  type FlatColumn,
  isJagged,
  type JaggedColumn,
} from "../core/columns.ts";
import { nearest } from "../core/suggest.ts";

/** A column of 64-bit integers, as event numbers are; its values are `bigint`. */
export type BigIntColumn = BigInt64Array | BigUint64Array;

/** A column whose values are plain numbers. */
export type NumberColumn = Exclude<FlatColumn, BigIntColumn>;

/** A run of numbers an event: those of event `i` are `values.subarray(offsets[i], offsets[i + 1])`. */
export type NumberLists = JaggedColumn & { readonly values: NumberColumn };

/** A run of 64-bit integers an event. */
export type BigIntLists = JaggedColumn & { readonly values: BigIntColumn };

/** A column was asked for that was not read, or in a form that it does not have. */
export class ColumnError extends Error {
  override readonly name = "ColumnError";
}

/**
 * The events of one chunk, by column.
 *
 * @example
 * ```ts
 * const met = events.flat("MET_pt"); // one number an event
 * const pt = events.jagged("Muon_pt"); // some numbers an event
 * for (const muons of events.objects("Muon", ["pt", "charge"])) {
 *   if (muons.some((muon) => muon.pt > 30)) count++;
 * }
 * ```
 */
export class Events {
  /** `columns` must have `length` events each. */
  constructor(
    /** How many events the chunk has. */
    readonly length: number,
    /** Dataset, file, tree, range, and what the analysis says of the dataset. */
    readonly metadata: ChunkMetadata,
    private readonly columns: ReadonlyMap<string, Column>,
  ) {}

  /** Names of the columns that were read, in the order of the tree. */
  get names(): string[] {
    return [...this.columns.keys()];
  }

  /** One number an event; booleans are 0 and 1. Throws for jagged and 64-bit integer columns. */
  flat(name: string): NumberColumn {
    return numbers(name, this.oneEach(name), "flat64");
  }

  /** One 64-bit integer (`bigint`) an event, as event numbers are. Throws for all other columns. */
  flat64(name: string): BigIntColumn {
    return bigints(name, this.oneEach(name), "flat");
  }

  /** A run of numbers an event. Throws for flat and 64-bit integer columns. */
  jagged(name: string): NumberLists {
    const { offsets, values } = this.someEach(name);
    return { offsets, values: numbers(name, values, "jagged64") };
  }

  /** A run of 64-bit integers (`bigint`) an event. Throws for all other columns. */
  jagged64(name: string): BigIntLists {
    const { offsets, values } = this.someEach(name);
    return { offsets, values: bigints(name, values, "jagged") };
  }

  /**
   * Event by event, the objects that the jagged columns `PREFIX_FIELD` describe.
   *
   * @example
   * ```ts
   * for (const muons of events.objects("Muon", ["pt", "eta"])) {
   *   for (const muon of muons) console.log(muon.pt, muon.eta);
   * }
   * ```
   */
  *objects<Field extends string>(
    prefix: string,
    fields: readonly Field[],
  ): Generator<Record<Field, number>[]> {
    const columns = fields.map((field) => this.jagged(`${prefix}_${field}`));
    const [first] = columns;
    if (first === undefined) throw new ColumnError(`objects("${prefix}", []) names no field`);
    for (let event = 0; event < this.length; event++) {
      const start = first.offsets[event]!;
      const stop = first.offsets[event + 1]!;
      const objects: Record<Field, number>[] = [];
      for (let i = start; i < stop; i++) {
        const object = {} as Record<Field, number>;
        for (let f = 0; f < fields.length; f++) object[fields[f]!] = columns[f]!.values[i]!;
        objects.push(object);
      }
      // Checked for every event: offsets that differ once would shift all later objects.
      const odd = columns.findIndex((column) => column.offsets[event + 1] !== stop);
      if (odd > 0) {
        throw new ColumnError(
          `"${prefix}_${fields[0]}" and "${prefix}_${fields[odd]}" differ in length ` +
            `at event ${this.metadata.start + event}: they do not describe the same objects`,
        );
      }
      yield objects;
    }
  }

  private oneEach(name: string): FlatColumn {
    const column = this.column(name);
    if (!isJagged(column)) return column;
    throw new ColumnError(
      `Column "${name}" has a run of values an event: read it with events.jagged("${name}")`,
    );
  }

  private someEach(name: string): JaggedColumn {
    const column = this.column(name);
    if (isJagged(column)) return column;
    throw new ColumnError(
      `Column "${name}" has one value an event: read it with events.flat("${name}")`,
    );
  }

  private column(name: string): Column {
    const column = this.columns.get(name);
    if (column !== undefined) return column;
    const meant = nearest(name, this.columns.keys());
    throw new ColumnError(
      `Column "${name}" was not read: ` +
        (meant === null ? "" : `did you mean "${meant}"? If not, `) +
        `add it to the processor's "columns"`,
    );
  }
}

function numbers(name: string, values: FlatColumn, other: string): NumberColumn {
  if (!isBigInt(values)) return values;
  throw new ColumnError(
    `Column "${name}" holds 64-bit integers: read it with events.${other}("${name}")`,
  );
}

function bigints(name: string, values: FlatColumn, other: string): BigIntColumn {
  if (isBigInt(values)) return values;
  throw new ColumnError(
    `Column "${name}" does not hold 64-bit integers: read it with events.${other}("${name}")`,
  );
}

function isBigInt(values: FlatColumn): values is BigIntColumn {
  return values instanceof BigInt64Array || values instanceof BigUint64Array;
}

/**
 * The columns of a tree that `patterns` ask for, each once and in the tree's order, and the
 * patterns that match none of them. In a pattern `*` stands for any run of characters.
 */
export function matchColumns(
  patterns: readonly string[],
  available: readonly string[],
): { names: string[]; unmatched: string[] } {
  const tests = patterns.map((pattern) =>
    new RegExp(`^${pattern.split("*").map(RegExp.escape).join(".*")}$`)
  );
  return {
    names: available.filter((name) => tests.some((test) => test.test(name))),
    unmatched: patterns.filter((_, i) => !available.some((name) => tests[i]!.test(name))),
  };
}
