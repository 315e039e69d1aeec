/**
 * Which chunk sizes have been too large. A size is, as long as more than a few of the chunks that
 * say something about it were exhausted: those of at most this size that were, against those of at
 * least this size that were not; and so are all larger ones. One heavy region among many chunks
 * changes nothing.
 */

/** Chunks exhausted for each one that was not, above which a size is too large. */
const exhaustedShareMax = 1 / 4;

/** Sizes within a fifth of one another are counted together. */
const bucketOf = (events: number) => Math.floor(4 * Math.log2(Math.max(1, events)));

interface Bucket {
  done: number;
  exhausted: number;
  /** Of the exhausted; events. */
  smallest: number;
}

export class SizeEvidence {
  readonly #buckets: Bucket[] = [];

  succeeded(events: number): void {
    this.#bucket(events).done++;
  }

  exhausted(events: number): void {
    const bucket = this.#bucket(events);
    bucket.exhausted++;
    bucket.smallest = Math.min(bucket.smallest, events);
  }

  /**
   * The largest of `events`, `events`/`step`, `events`/`step`² … that has not been too large; and
   * where nothing so large was ever done, at most half of what has. At least 1.
   */
  within(events: number, step = 2): number {
    const ceiling = this.#ceiling();
    let size = events;
    while (size > 1 && this.#isTooLarge(size, ceiling)) {
      size = Math.min(size - 1, Math.ceil(size / step));
    }
    return size;
  }

  #isTooLarge(events: number, ceiling: number): boolean {
    if (bucketOf(events) >= bucketOf(ceiling)) return true;
    return events > Math.ceil(ceiling / 2) && this.#doneFrom(bucketOf(events)) === 0;
  }

  /** The smallest size that has been too large; `Infinity` if none has. */
  #ceiling(): number {
    let exhausted = 0;
    for (const [i, bucket] of this.#buckets.entries()) {
      exhausted += bucket.exhausted;
      const isTooLarge = exhausted > exhaustedShareMax * this.#doneFrom(i);
      if (bucket.exhausted > 0 && isTooLarge) return bucket.smallest;
    }
    return Infinity;
  }

  #doneFrom(first: number): number {
    return this.#buckets.slice(first).reduce((sum, { done }) => sum + done, 0);
  }

  #bucket(events: number): Bucket {
    const index = bucketOf(events);
    while (this.#buckets.length <= index) {
      this.#buckets.push({ done: 0, exhausted: 0, smallest: Infinity });
    }
    return this.#buckets[index]!;
  }
}
