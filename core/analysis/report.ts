/** What a run leaves for people to read afterwards: what ran where, how long, what failed. */
import { CategorySums } from "../category_sums.ts";
import type { Attempt, TaskEnd } from "../scheduler/tasks.ts";
import { categories, type Category, categoryOf, describeItem, type Item } from "./items.ts";
import type { CategorySummary } from "./progress.ts";

/** An attempt as report.json lists it; times in ms since the start of the run. */
export interface ReportedAttempt {
  readonly host: string;
  readonly worker: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly wallMs: number;
  readonly cpuMs: number | null;
  readonly memoryMb: number | null;
  /** What it was given. */
  readonly allocated: {
    readonly cores: number;
    readonly memoryMb: number;
    readonly diskMb: number;
  };
  readonly exitCode: number | null;
  /** `success`, `canceled`, or what went wrong. */
  readonly ending: string;
}

export interface ReportedTask {
  readonly item: string;
  readonly what: string;
  readonly category: Category;
  readonly end: TaskEnd["kind"];
  readonly attempts: readonly ReportedAttempt[];
}

/** Keeps sums only: a hundred thousand tasks are for the journal. */
export class RunReport {
  readonly #sums = new CategorySums();

  constructor(private readonly startedMs: number) {}

  /** Counts a task, and says what is to be reported of it. */
  add(id: string, item: Item, end: TaskEnd, attempts: readonly Attempt[]): ReportedTask {
    const category = categoryOf[item.kind];
    const events = item.kind === "process" ? item.range.stop - item.range.start : null;
    this.#sums.add(category, end.kind, attempts, events);
    return {
      item: id,
      what: describeItem(item),
      category,
      end: end.kind,
      attempts: attempts.map((attempt) => this.#reported(attempt)),
    };
  }

  /** Counts a task of an earlier manager of the run. */
  addReported({ category, end, attempts }: ReportedTask, events: number | null): void {
    const counted = attempts.map(({ wallMs, cpuMs, memoryMb }) => ({
      wallMs,
      measured: cpuMs === null
        ? null
        : { cpuUserMs: cpuMs, cpuSystemMs: 0, memoryPeakMb: memoryMb ?? 0 },
    }));
    this.#sums.add(category, end, counted, events);
  }

  /** A row for each category that had tasks, in the order of the run. */
  summary(): CategorySummary[] {
    const { rows } = this.#sums;
    return categories.flatMap((name) => rows.filter(({ category }) => category === name));
  }

  #reported(attempt: Attempt): ReportedAttempt {
    const { measured, ending } = attempt;
    return {
      host: attempt.host,
      worker: attempt.worker,
      startedMs: Math.round(attempt.startedMs - this.startedMs),
      endedMs: Math.round(attempt.endedMs - this.startedMs),
      wallMs: attempt.wallMs,
      cpuMs: measured === null ? null : measured.cpuUserMs + measured.cpuSystemMs,
      memoryMb: measured?.memoryPeakMb ?? null,
      allocated: {
        cores: attempt.box.cores,
        memoryMb: attempt.box.memoryMb,
        diskMb: attempt.box.diskMb,
      },
      exitCode: attempt.exitCode,
      ending: "why" in ending ? ending.why : ending.kind,
    };
  }
}
