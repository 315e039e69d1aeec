/**
 * What pages and the JSON interface see of the catalog: records as they are now, and changes as
 * they happen. They never change anything.
 */

import type { JxObject } from "../core/jx/value.ts";

/** One point of a manager's course, taken from its record when that arrived. */
export interface SeriesPoint {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly workers: number;
}

/** A record was made or replaced (`record`), or has expired (`null`). */
export interface CatalogChange {
  readonly key: string;
  readonly record: JxObject | null;
}

export interface CatalogView {
  /** All records, ordered by name as in every answer. */
  records(): Iterable<JxObject>;
  /** The record of a key as in `/detail/KEY`. */
  get(key: string): JxObject | undefined;
  /** The key under which the catalog keeps a record it has handed out. */
  keyOf(record: JxObject): string;
  /** Calls the listener at every change from now on; returns what ends that. */
  subscribe(listener: (change: CatalogChange) => void): () => void;
  /** The course of a manager since the catalog knows it, oldest first; empty for all others. */
  series(key: string): readonly SeriesPoint[];
}
