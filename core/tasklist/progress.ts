/** A running task list as it is shown, and what it came to. */
import type { AllocationSummary } from "../allocation/report.ts";
import type { ResultState } from "./result.ts";

export interface TaskProgress {
  readonly phase: "running" | "done" | "stopping" | "stopped";
  /** `null` while more tasks may come. */
  readonly total: number | null;
  /** For other tasks, or for a worker. */
  readonly waiting: number;
  readonly running: number;
  readonly succeeded: number;
  /** Failed, refused, or not run because of another one. */
  readonly failed: number;
  readonly workers: number;
  /** How the tasks of each category are sized. */
  readonly allocations: readonly AllocationSummary[];
  /** Since the start of the run. */
  readonly elapsedMs: number;
  readonly tasksPerSecond: number;
  /** Until the last task at the present rate; `null` while unknown. */
  readonly leftMs: number | null;
}

/** How many entries of the list came to which end. */
export type StateCounts = Readonly<Record<ResultState, number>>;

/** "48 succeeded, 1 failed, 1 not run": those that are not 0, or what was to be hoped for. */
export function describeCounts(counts: StateCounts): string {
  const words: readonly (readonly [ResultState, string])[] = [
    ["success", "succeeded"],
    ["failure", "failed"],
    ["not run", "not run"],
    ["refused", "refused"],
    ["canceled", "canceled"],
  ];
  const parts = words.filter(([state], i) => i === 0 || counts[state] > 0)
    .map(([state, word]) => `${counts[state]} ${word}`);
  return parts.join(", ");
}
