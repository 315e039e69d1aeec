/** Sums over the tasks of a run by category, for the table that closes it. */
import type { CategorySummary } from "./analysis/progress.ts";
import type { Attempt, TaskEnd } from "./scheduler/tasks.ts";

/** What of an attempt is summed. */
export interface Counted {
  readonly wallMs: number;
  readonly measured:
    | Pick<
      NonNullable<Attempt["measured"]>,
      "cpuUserMs" | "cpuSystemMs" | "memoryPeakMb"
    >
    | null;
}

interface Sums {
  tasks: number;
  retries: number;
  failed: number;
  wallMs: number;
  /** `null` while no worker measured it; likewise memory. */
  cpuMs: number | null;
  memoryMbMax: number | null;
  /** Of successful tasks, and the wall time of their attempts; `null` for tasks without events. */
  processed: { events: number; wallMs: number } | null;
}

export class CategorySums {
  readonly #sums = new Map<string, Sums>();

  /** Counts a task that is over. `events`: how many it processed, if that is what it is for. */
  add(
    category: string,
    end: TaskEnd["kind"],
    attempts: readonly Counted[],
    events: number | null = null,
  ): void {
    const sums = this.#of(category);
    sums.tasks++;
    sums.retries += Math.max(0, attempts.length - 1);
    if (end === "failure") sums.failed++;
    for (const { wallMs, measured } of attempts) {
      sums.wallMs += wallMs;
      if (measured === null) continue;
      sums.cpuMs = (sums.cpuMs ?? 0) + measured.cpuUserMs + measured.cpuSystemMs;
      sums.memoryMbMax = Math.max(sums.memoryMbMax ?? 0, measured.memoryPeakMb);
    }
    if (events === null || end !== "success") return;
    sums.processed ??= { events: 0, wallMs: 0 };
    sums.processed.events += events;
    sums.processed.wallMs += attempts.at(-1)?.wallMs ?? 0;
  }

  /** A row for each category that had tasks, in the order in which they came. */
  get rows(): CategorySummary[] {
    return [...this.#sums].map(([category, sums]) => ({
      category,
      tasks: sums.tasks,
      retries: sums.retries,
      failed: sums.failed,
      wallSeconds: sums.wallMs / 1000,
      cpuSeconds: sums.cpuMs === null ? null : sums.cpuMs / 1000,
      memoryMbMax: sums.memoryMbMax,
      eventsPerSecond: sums.processed === null || sums.processed.wallMs === 0
        ? null
        : sums.processed.events / sums.processed.wallMs * 1000,
    }));
  }

  #of(category: string): Sums {
    let sums = this.#sums.get(category);
    if (sums === undefined) {
      sums = {
        tasks: 0,
        retries: 0,
        failed: 0,
        wallMs: 0,
        cpuMs: null,
        memoryMbMax: null,
        processed: null,
      };
      this.#sums.set(category, sums);
    }
    return sums;
  }
}
