/** Which events are in a result and which are not, file by file. */
import type { Range } from "./chunks.ts";
import type { InputFile } from "./spec.ts";

/** What of a file is not in the result. */
export interface Missing {
  readonly dataset: string;
  readonly file: string;
  /** `null`: all of it, and how much that is was not found out. */
  readonly ranges: readonly Range[] | null;
  readonly events: number | null;
}

/** Ranges of one file, joined where they touch, in order. */
class Ranges {
  readonly #ranges: Range[] = [];

  /** No event of it may be there already. */
  add({ start, stop }: Range): void {
    // Chunks come nearly in order: the place is near the end.
    let after = this.#ranges.length;
    while (after > 0 && this.#ranges[after - 1]!.start > start) after--;
    const before = this.#ranges[after - 1];
    const next = this.#ranges[after];
    const joinsBefore = before?.stop === start;
    const joinsNext = next?.start === stop;
    this.#ranges.splice(
      joinsBefore ? after - 1 : after,
      Number(joinsBefore) + Number(joinsNext),
      { start: joinsBefore ? before.start : start, stop: joinsNext ? next.stop : stop },
    );
  }

  /** What is left of `[0, events)`. */
  missingOf(events: number): Range[] {
    const missing: Range[] = [];
    let at = 0;
    for (const { start, stop } of [...this.#ranges, { start: events, stop: events }]) {
      if (start > at) missing.push({ start: at, stop: start });
      at = stop;
    }
    return missing;
  }
}

/** Events that were processed. Takes memory for what is missing, not for what is there. */
export class Coverage {
  readonly #files = new Map<InputFile, Ranges>();

  add(file: InputFile, range: Range): void {
    let ranges = this.#files.get(file);
    if (ranges === undefined) this.#files.set(file, ranges = new Ranges());
    ranges.add(range);
  }

  /** `eventsOf`: how many there are to be processed; `null`: nobody knows. */
  missing(
    files: readonly InputFile[],
    eventsOf: (file: InputFile) => number | null,
  ): Missing[] {
    return files.flatMap((input): Missing[] => {
      const { dataset, file } = input;
      const events = eventsOf(input);
      if (events === null) return [{ dataset, file, ranges: null, events: null }];
      const ranges = (this.#files.get(input) ?? new Ranges()).missingOf(events);
      if (ranges.length === 0) return [];
      const count = ranges.reduce((sum, { start, stop }) => sum + stop - start, 0);
      return [{ dataset, file, ranges, events: count }];
    });
  }
}
