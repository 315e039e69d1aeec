/** A running analysis as it is shown: bars, lines and JSON are three renderings of the same data. */

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
  readonly tasks: {
    readonly waiting: number;
    readonly running: number;
    readonly done: number;
    /** Attempts that failed, retried or not. */
    readonly failed: number;
  };
  readonly workers: number;
  /** Since the start of the run. */
  readonly elapsedMs: number;
  /** Over the time since processing began; 0 before the first result. */
  readonly eventsPerSecond: number;
  /** Until the last event at the present rate; `null` while unknown. */
  readonly leftMs: number | null;
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
