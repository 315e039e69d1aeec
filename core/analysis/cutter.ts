/** All files of a run, cut into chunks one by one: each event once, whatever the sizes. */
import type { ChunkSizer } from "../chunks/sizer.ts";
import { chunksOf, FileCutter, type Range } from "./chunks.ts";
import type { Outgrown } from "./failure.ts";
import type { InputFile } from "./spec.ts";

/** A file as preprocessing found it. */
export interface FoundFile {
  readonly file: InputFile;
  readonly uuid: string;
  readonly entries: number;
}

export interface Chunk {
  readonly file: InputFile;
  readonly uuid: string;
  readonly range: Range;
}

/** How the events were cut before, by a manager that has gone. */
export interface KnownCuts {
  /** Where the chunk stops that starts there; `null`: there was none. */
  stopOf(file: InputFile, start: number): number | null;
  /** How a chunk, or a piece of one, was cut again; `null`: it was not, as far as is known. */
  splitOf(file: InputFile, range: Range): KnownSplit | null;
  /** It went to a task as it is. */
  isWhole(file: InputFile, range: Range): boolean;
}

export interface KnownSplit {
  /** Events of a piece. */
  readonly size: number;
  /** What its task had outgrown; `null`: it was found to be too large before it ran. */
  readonly outgrown: Outgrown | null;
}

export const noneKnown: KnownCuts = {
  stopOf: () => null,
  splitOf: () => null,
  isWhole: () => false,
};

interface Part {
  readonly found: FoundFile;
  readonly cutter: FileCutter;
}

/** Files that are cut one after the other. */
interface Queue {
  readonly dataset: string;
  readonly parts: Part[];
}

export class Cutter {
  /** Of all chunks that there will be. */
  readonly eventsTotal: number;
  /** The same, of each file that was found. */
  readonly eventsOf = new Map<InputFile, number>();
  readonly #queues: Queue[] = [];
  #eventsCut = 0;
  readonly #cutOf = new Map<string, number>();

  /** @param chunksMax of each dataset; only where the sizer keeps to one size */
  constructor(
    files: readonly FoundFile[],
    private readonly sizer: ChunkSizer,
    private readonly chunksMax: number | null,
    private readonly known: KnownCuts = noneKnown,
  ) {
    for (const found of files) {
      const { dataset } = found.file;
      const part = { found, cutter: new FileCutter(found.entries, sizer.rounding) };
      const queue = this.#queues.find((queue) => !sizer.perDataset || queue.dataset === dataset);
      if (queue === undefined) this.#queues.push({ dataset, parts: [part] });
      else queue.parts.push(part);
    }
    this.#plan(files);
    this.eventsTotal = [...this.eventsOf.values()].reduce((sum, events) => sum + events, 0);
    this.#dropEmpty();
  }

  /** The next chunk, while so many are not over; `null` when all is cut. */
  next(chunksOut: number): Chunk | null {
    const queue = this.#turn();
    const part = queue?.parts[0];
    if (part === undefined) return null;
    const { file, uuid } = part.found;
    const rest = { events: this.eventsTotal - this.#eventsCut, chunksOut };
    const size = this.sizer.sizeFor(file.dataset, rest);
    const range = part.cutter.next(size, this.known.stopOf(file, part.cutter.at))!;
    this.#eventsCut += range.stop - range.start;
    this.#cutOf.set(file.dataset, (this.#cutOf.get(file.dataset) ?? 0) + 1);
    this.#dropEmpty();
    return { file, uuid, range };
  }

  get isDone(): boolean {
    return this.#queues.length === 0;
  }

  /** How many chunks are to come at the present size. */
  get chunksLeft(): number {
    const countOf = new Map(this.#cutOf);
    let left = 0;
    for (const { found, cutter } of this.#queues.flatMap(({ parts }) => parts)) {
      const { dataset } = found.file;
      const before = countOf.get(dataset) ?? 0;
      const room = (this.chunksMax ?? Infinity) - before;
      const count = Math.min(room, cutter.chunksLeft(this.sizer.current));
      countOf.set(dataset, before + count);
      left += count;
    }
    return left;
  }

  /** The first dataset, or the one after it while chunks of that are wanted before its turn. */
  #turn(): Queue | undefined {
    const [first, second] = this.#queues;
    if (first === undefined || second === undefined) return first;
    const early = this.sizer.isProbed(first.dataset) && !this.sizer.isProbed(second.dataset);
    return early ? second : first;
  }

  /** Files of which nothing is left to cut, and datasets without files. */
  #dropEmpty(): void {
    for (const { parts } of this.#queues) {
      while (parts[0] !== undefined && this.#isOver(parts[0])) parts.shift();
    }
    for (let i = this.#queues.length - 1; i >= 0; i--) {
      if (this.#queues[i]!.parts.length === 0) this.#queues.splice(i, 1);
    }
  }

  #isOver({ found, cutter }: Part): boolean {
    const count = this.#cutOf.get(found.file.dataset) ?? 0;
    return cutter.eventsLeft === 0 || count >= (this.chunksMax ?? Infinity);
  }

  #plan(files: readonly FoundFile[]): void {
    const chunksOfDataset = new Map<string, number>();
    for (const { file, entries } of files) {
      if (this.chunksMax === null) {
        this.eventsOf.set(file, entries);
        continue;
      }
      const before = chunksOfDataset.get(file.dataset) ?? 0;
      const chunks = chunksOf(entries, this.sizer.current).slice(0, this.chunksMax - before);
      chunksOfDataset.set(file.dataset, before + chunks.length);
      this.eventsOf.set(file, chunks.at(-1)?.stop ?? 0);
    }
  }
}
