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

export class RunReport {
  readonly tasks: ReportedTask[] = [];
  readonly #sums = new CategorySums();

  constructor(private readonly startedMs: number) {}

  add(id: string, item: Item, end: TaskEnd, attempts: readonly Attempt[]): void {
    const category = categoryOf[item.kind];
    this.tasks.push({
      item: id,
      what: describeItem(item),
      category,
      end: end.kind,
      attempts: attempts.map((attempt) => this.#reported(attempt)),
    });
    const events = item.kind === "process" ? item.range.stop - item.range.start : null;
    this.#sums.add(category, end.kind, attempts, events);
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
