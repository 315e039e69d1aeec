/** A catalog in memory, for pages and their streams: records are put in and taken out by hand. */
import { fromJson } from "../../core/jx/json.ts";
import { isJxObject, type JxObject } from "../../core/jx/value.ts";
import type { CatalogFacts } from "../../catalog/facts.ts";
import type { CatalogChange, CatalogView, SeriesPoint } from "../../catalog/view.ts";

export class MemoryCatalog implements CatalogView {
  readonly points = new Map<string, SeriesPoint[]>();
  readonly #records = new Map<string, JxObject>();
  readonly #listeners = new Set<(change: CatalogChange) => void>();

  /** Puts a record in, or takes it out (`null`). */
  put(key: string, fields: Readonly<Record<string, unknown>> | null): void {
    const value = fields === null ? null : fromJson(fields);
    const record = isJxObject(value) ? value : null;
    if (record === null) this.#records.delete(key);
    else this.#records.set(key, record);
    for (const listener of this.#listeners) listener({ key, record });
  }

  get listening(): number {
    return this.#listeners.size;
  }

  records(): Iterable<JxObject> {
    return this.#records.values();
  }

  get(key: string): JxObject | undefined {
    return this.#records.get(key);
  }

  keyOf(record: JxObject): string {
    for (const [key, one] of this.#records) if (one === record) return key;
    throw new Error("No record of this catalog");
  }

  subscribe(listener: (change: CatalogChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  series(key: string): readonly SeriesPoint[] {
    return this.points.get(key) ?? [];
  }
}

/** Of a server whose clock stands where `nowMs` says. */
export function factsOf(closing: AbortSignal, nowMs: () => number): CatalogFacts {
  return {
    name: "catalog.example.org",
    port: 9097,
    version: "0.1.0",
    startedMs: nowMs() - 3_600_000,
    lifetimeMs: 1_800_000,
    nowMs,
    closing,
  };
}
