/**
 * Events as columns: what a reader returns and what a processor sees.
 * A flat column has one value an event; a jagged one has a run of values an event.
 */

/** One number (or boolean as 0/1) an event. 64-bit integers keep their width. */
export type FlatColumn =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** The values of event `i` are `values.subarray(offsets[i], offsets[i + 1])`. */
export interface JaggedColumn {
  /** Length: events + 1; starts at 0, ends at `values.length`. */
  readonly offsets: Uint32Array;
  readonly values: FlatColumn;
}

export type Column = FlatColumn | JaggedColumn;

export function isJagged(column: Column): column is JaggedColumn {
  return "offsets" in column;
}

/** What is known of the chunk that a processor is given. */
export interface ChunkMetadata {
  readonly dataset: string;
  /** Path or URL, as the analysis names it. */
  readonly file: string;
  readonly tree: string;
  /** First event of the chunk within the file. */
  readonly start: number;
  /** One past the last event. */
  readonly stop: number;
  /** The metadata given to the dataset in the analysis, as it stands there. */
  readonly [key: string]: unknown;
}
