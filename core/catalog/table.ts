/**
 * The records of a catalog: by key, in the order of every answer, each until its time is over.
 * Nobody can fill it for others: where there is too much, the one who has most loses first.
 */
import { printJx } from "../jx/print.ts";
import { integerOf, type JxObject, stringOf } from "../jx/value.ts";
import type { KeyedRecord } from "./record.ts";

export interface TableLimits {
  /** Longest time that a record is kept after its last update; its own `lifetime` may be shorter. */
  readonly lifetimeMs: number;
  readonly recordsMax: number;
  readonly recordsPerAddressMax: number;
  /** Of all records as they are printed. */
  readonly bytesMax: number;
}

/** Twice what an answer of catalog_server can hold; 256 MiB bound what strangers can make us keep. */
export const tableLimitsDefault: TableLimits = {
  lifetimeMs: 1_800_000,
  recordsMax: 20_000,
  recordsPerAddressMax: 15_000,
  bytesMax: 256 * 1024 ** 2,
};

/** A record was created (`before` is null), replaced, or is gone (`after` is null). */
export interface Change {
  readonly key: string;
  readonly before: JxObject | null;
  readonly after: JxObject | null;
}

/** A record with all that answers need of it ready. */
export interface Entry {
  readonly key: string;
  readonly record: JxObject;
  /** One line of compact JX, UTF-8. */
  readonly printed: Uint8Array;
}

interface Row extends Entry {
  readonly name: string;
  readonly address: string;
  readonly expiresMs: number;
}

/** What one address has in the table. */
interface Holding {
  /** The one longest silent comes first. */
  readonly keys: Set<string>;
  bytes: number;
}

const encoder = new TextEncoder();

export class CatalogTable {
  readonly #rows = new Map<string, Row>();
  /** By name without regard to case, then by key. */
  readonly #ordered: Row[] = [];
  readonly #holdings = new Map<string, Holding>();
  #bytes = 0;

  constructor(private readonly limits: TableLimits = tableLimitsDefault) {}

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): JxObject | undefined {
    return this.#rows.get(key)?.record;
  }

  /** In the order of answers; good until the next change. */
  entries(): readonly Entry[] {
    return this.#ordered;
  }

  /** Takes a record heard at `nowMs`; what had to go to make room for it follows it. */
  put({ key, record }: KeyedRecord, nowMs: number): Change[] {
    const before = this.#rows.get(key);
    const lifetimeMs = integerOf(record, "lifetime") * 1000;
    const row: Row = {
      key,
      record,
      printed: encoder.encode(printJx(record)),
      name: (stringOf(record, "name") ?? "unknown").toLowerCase(),
      address: stringOf(record, "address") ?? "",
      expiresMs: nowMs +
        (lifetimeMs > 0 ? Math.min(lifetimeMs, this.limits.lifetimeMs) : this.limits.lifetimeMs),
    };
    if (before === undefined) this.#ordered.splice(this.#placeOf(row), 0, row);
    // The key has name and address in it, so the place is the same.
    else this.#ordered[this.#placeOf(before)] = row;
    if (before !== undefined) this.#release(before);
    this.#rows.set(key, row);
    this.#hold(row);
    return [{ key, before: before?.record ?? null, after: record }, ...this.#makeRoom(row.address)];
  }

  /** Removes what has not been heard of for its lifetime. */
  expire(nowMs: number): Change[] {
    return [...this.#rows.values()].filter(({ expiresMs }) => expiresMs < nowMs).map((row) =>
      this.#remove(row)
    );
  }

  #makeRoom(address: string): Change[] {
    const { recordsMax, recordsPerAddressMax, bytesMax } = this.limits;
    const gone: Change[] = [];
    const dropOldestOf = (holding: Holding) => {
      const [oldest] = holding.keys;
      gone.push(this.#remove(this.#rows.get(oldest!)!));
    };
    const own = this.#holdings.get(address)!;
    while (own.keys.size > recordsPerAddressMax) dropOldestOf(own);
    while (this.#rows.size > recordsMax) dropOldestOf(this.#largest(({ keys }) => keys.size));
    while (this.#bytes > bytesMax) dropOldestOf(this.#largest(({ bytes }) => bytes));
    return gone;
  }

  #largest(measure: (holding: Holding) => number): Holding {
    let largest: Holding | null = null;
    for (const holding of this.#holdings.values()) {
      if (largest === null || measure(holding) > measure(largest)) largest = holding;
    }
    return largest!;
  }

  #remove(row: Row): Change {
    this.#rows.delete(row.key);
    this.#ordered.splice(this.#placeOf(row), 1);
    this.#release(row);
    return { key: row.key, before: row.record, after: null };
  }

  #hold({ address, key, printed }: Row): void {
    let holding = this.#holdings.get(address);
    if (holding === undefined) {
      holding = { keys: new Set(), bytes: 0 };
      this.#holdings.set(address, holding);
    }
    holding.keys.add(key);
    holding.bytes += printed.length;
    this.#bytes += printed.length;
  }

  #release({ address, key, printed }: Row): void {
    const holding = this.#holdings.get(address)!;
    holding.keys.delete(key);
    holding.bytes -= printed.length;
    this.#bytes -= printed.length;
    if (holding.keys.size === 0) this.#holdings.delete(address);
  }

  /** Where the row is, or would have to be. */
  #placeOf(row: Row): number {
    let low = 0, high = this.#ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesBefore(this.#ordered[middle]!, row)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function comesBefore(a: Row, b: Row): boolean {
  return a.name === b.name ? a.key < b.key : a.name < b.name;
}
