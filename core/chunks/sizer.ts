/** How large chunks are to be: what every way of choosing it can be asked and is told. */
import type { Rounding } from "../analysis/chunks.ts";

/** What tasks should take: chunks grow or shrink until they do. At least one is given. */
export interface ChunkTargets {
  readonly memoryMb: number | null;
  readonly wallMs: number | null;
}

/** A chunk that was processed. */
export interface ChunkDone {
  readonly dataset: string;
  readonly events: number;
  /** Largest memory of its task and how long it ran; `null` where that was not measured. */
  readonly memoryMb: number | null;
  readonly wallMs: number | null;
}

/** A chunk whose task outgrew a limit: it would have needed more than `limit` of `resource`. */
export interface ChunkExhausted {
  readonly dataset: string;
  readonly events: number;
  /** As the resource monitor names it; `null` if nobody said which. */
  readonly resource: string | null;
  /** In the unit of the resource: MB, or s for `wall_time`. */
  readonly limit: number | null;
  /** The largest value seen; a lower bound of what the task needs. */
  readonly measured: number | null;
}

/** Where the run is when a chunk is cut. */
export interface RestOfRun {
  /** Not cut yet, this chunk's included. */
  readonly events: number;
  /** Chunks that were cut and are not over. */
  readonly chunksOut: number;
}

export interface ChunkSizer {
  readonly rounding: Rounding;
  /** Datasets are told apart, and a few chunks of the next one are wanted before its turn. */
  readonly perDataset: boolean;
  /** Events that the next chunk should have, at least 1. Asked once for each chunk. */
  sizeFor(dataset: string, rest: RestOfRun): number;
  /** What was learnt last, for showing and for estimates. */
  readonly current: number;
  /** All chunks that are wanted before the dataset's turn have been asked for. */
  isProbed(dataset: string): boolean;
  /** A chunk of so many events is about to be submitted: what it should have by now, at most. */
  sizeWithin(dataset: string, events: number): number;
  succeeded(chunk: ChunkDone): void;
  /** Returns the size at which the chunk is cut; less than its events if it has two or more. */
  exhausted(chunk: ChunkExhausted): number;
  /** What there is to say to people, once each. */
  takeNotes(): string[];
}
