/** Virtual time: things happen in the order of their moments, and of being planned within one. */

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly happen: () => void;
}

export class Timeline {
  #nowMs = 0;
  #order = 0;
  /** A binary heap, earliest first. */
  readonly #heap: Planned[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  in(delayMs: number, happen: () => void): void {
    this.at(this.#nowMs + delayMs, happen);
  }

  /** At `Infinity`: never. */
  at(atMs: number, happen: () => void): void {
    if (atMs === Infinity) return;
    this.#heap.push({ atMs, order: this.#order++, happen });
    this.#rise(this.#heap.length - 1);
  }

  /** Lets things happen until `done` says so, nothing is planned, or time is up. */
  run(untilMs: number, done: () => boolean): void {
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= untilMs && !done()) {
      const first = this.#heap[0]!;
      const last = this.#heap.pop()!;
      if (this.#heap.length > 0) {
        this.#heap[0] = last;
        this.#sink(0);
      }
      this.#nowMs = first.atMs;
      first.happen();
    }
  }

  #before(i: number, j: number): boolean {
    const a = this.#heap[i]!;
    const b = this.#heap[j]!;
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #rise(i: number): void {
    for (let parent = (i - 1) >> 1; i > 0 && this.#before(i, parent); parent = (i - 1) >> 1) {
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(i: number): void {
    for (;;) {
      const left = 2 * i + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && this.#before(right, left) ? right : left;
      if (!this.#before(child, i)) return;
      this.#swap(i, child);
      i = child;
    }
  }

  #swap(i: number, j: number): void {
    [this.#heap[i], this.#heap[j]] = [this.#heap[j]!, this.#heap[i]!];
  }
}
