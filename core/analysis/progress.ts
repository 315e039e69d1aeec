/** A running analysis as it is shown: bars, lines and JSON are three renderings of the same data. */

import type { AllocationSummary } from "../allocation/report.ts";

export interface Counted {
  readonly done: number;
  /** `null` while it cannot be known yet. */
  readonly total: number | null;
}

export interface Progress {
  readonly phase: "preprocessing" | "processing" | "accumulating" | "done" | "stopping";
  /** Files. */
  readonly preprocessed: Counted;
  /** Events. */
  readonly submitted: Counted;
  /** Events. */
  readonly processed: Counted;
  /** Tasks; the total grows if the tree does. */
  readonly accumulated: Counted;
  /** Where sizes change or tasks were exhausted. */
  readonly chunks?: ChunkCounts;
  readonly tasks: {
    readonly waiting: number;
    readonly running: number;
    readonly done: number;
    /** Attempts that failed, retried or not. */
    readonly failed: number;
  };
  readonly workers: number;
  /** How the tasks of each category are sized. */
  readonly allocations: readonly AllocationSummary[];
  /** Since the start of the run. */
  readonly elapsedMs: number;
  /** Over the time since processing began; 0 before the first result. */
  readonly eventsPerSecond: number;
  /** Until the last event at the present rate; `null` while unknown. */
  readonly leftMs: number | null;
}

/** How the events were cut, as it is shown and reported; sizes in events. */
export interface ChunkCounts {
  /** Asked for now; real chunks are cut evenly, near it. */
  readonly current: number;
  /** Smallest that was asked for, or to which chunks were cut. */
  readonly smallest: number;
  /** Chunks, and pieces of chunks, that were exhausted and cut. */
  readonly split: number;
  /** In chunks that were exhausted, once for each time. */
  readonly eventsExhausted: number;
}

/** A row of the closing table. */
export interface CategorySummary {
  readonly category: string;
  readonly tasks: number;
  readonly retries: number;
  readonly failed: number;
  /** Sums over all attempts. */
  readonly wallSeconds: number;
  /** `null` where no worker measured it. */
  readonly cpuSeconds: number | null;
  /** Largest of any attempt; `null` where no worker measured it. */
  readonly memoryMbMax: number | null;
  /** Events over wall time of the successful attempts; `null` for categories without events. */
  readonly eventsPerSecond: number | null;
}
