/**
 * How often a category needed how much of one resource, in buckets named by their upper end: the
 * bucket `end` holds the values in (end − size, end]. Memory is bounded: where there would be more
 * than `bucketsMax` buckets, their size doubles (with 250 MB from 1 TB on).
 */

/** Enough that doubling stays an exception. */
const bucketsMax = 4096;

export interface Bucket {
  readonly end: number;
  count: number;
  /** Sum over its tasks. */
  wallMs: number;
}

export class Histogram {
  #size: number;
  readonly #buckets = new Map<number, Bucket>();
  #maximum = 0;

  constructor(size: number) {
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  /** The largest value inserted; 0 if there is none. */
  get maximum(): number {
    return this.#maximum;
  }

  insert(value: number, wallMs: number): void {
    this.#add(value, 1, wallMs);
    this.#maximum = Math.max(this.#maximum, value);
    if (this.#buckets.size > bucketsMax) this.#coarsen();
  }

  /** The end of the bucket that holds the value. */
  up(value: number): number {
    return this.#size * Math.ceil(value / this.#size);
  }

  /** With rising ends. */
  buckets(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => a.end - b.end);
  }

  #add(value: number, count: number, wallMs: number): void {
    const end = this.up(value);
    const bucket = this.#buckets.get(end);
    if (bucket === undefined) {
      this.#buckets.set(end, { end, count, wallMs });
    } else {
      bucket.count += count;
      bucket.wallMs += wallMs;
    }
  }

  #coarsen(): void {
    const finer = this.buckets();
    this.#buckets.clear();
    this.#size *= 2;
    for (const { end, count, wallMs } of finer) this.#add(end, count, wallMs);
  }
}
