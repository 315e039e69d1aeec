/** From files to chunks: ranges `[start, stop)` of events, as even as coffea cuts them. */

export interface Range {
  readonly start: number;
  readonly stop: number;
}

/** To the nearest number of chunks, as coffea does it, or to so many that none is too large. */
export type Rounding = "nearest" | "up";

/** Halves go to the even neighbour, as Python's `round` does and so coffea's cut. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Cuts a file from its start on, at sizes that may change on the way. With E events left and size
 * c asked for, n = max(round(E / c), 1) chunks of ceil(E / n) events are planned; the same size
 * asked for again keeps to the plan, another one makes a new plan from there.
 */
export class FileCutter {
  #at = 0;
  #asked = NaN;
  #size = 0;

  constructor(readonly entries: number, private readonly rounding: Rounding) {}

  get eventsLeft(): number {
    return this.entries - this.#at;
  }

  /** Where the next chunk starts. */
  get at(): number {
    return this.#at;
  }

  /**
   * The next chunk, near `size` (at least 1), unless it is known where it stops; `null` at the end
   * of the file.
   */
  next(size: number, stop: number | null = null): Range | null {
    if (this.eventsLeft === 0) return null;
    this.#size = this.#planned(size);
    this.#asked = size;
    const start = this.#at;
    this.#at = Math.min(this.entries, stop ?? start + this.#size);
    return { start, stop: this.#at };
  }

  /** How many chunks there will be yet if all are asked for at `size`. */
  chunksLeft(size: number): number {
    return this.eventsLeft === 0 ? 0 : Math.ceil(this.eventsLeft / this.#planned(size));
  }

  #planned(size: number): number {
    if (size === this.#asked) return this.#size;
    const ratio = this.eventsLeft / size;
    const count = this.rounding === "up" ? Math.ceil(ratio) : roundHalfEven(ratio);
    return Math.ceil(this.eventsLeft / Math.max(1, count));
  }
}

/** Cuts all of a file at one size, as coffea does. No events, no chunks. */
export function chunksOf(entries: number, chunkSize: number): Range[] {
  const cutter = new FileCutter(entries, "nearest");
  const chunks: Range[] = [];
  for (let next = cutter.next(chunkSize); next !== null; next = cutter.next(chunkSize)) {
    chunks.push(next);
  }
  return chunks;
}

/** Cuts a range into even pieces of at most `size` events. */
export function piecesOf({ start, stop }: Range, size: number): Range[] {
  const cutter = new FileCutter(stop - start, "up");
  const pieces: Range[] = [];
  for (let next = cutter.next(size); next !== null; next = cutter.next(size)) {
    pieces.push({ start: start + next.start, stop: start + next.stop });
  }
  return pieces;
}
