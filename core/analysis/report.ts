/** What a run leaves for people to read afterwards: what ran where, how long, what failed. */
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
  readonly cores: number;
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
  /** Events of successful tasks and the wall time of their attempts. */
  readonly #processed = new Map<Category, { events: number; wallMs: number }>();

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
    const last = attempts.at(-1);
    if (end.kind === "success" && item.kind === "process" && last !== undefined) {
      const sum = this.#processed.get(category) ?? { events: 0, wallMs: 0 };
      sum.events += item.range.stop - item.range.start;
      sum.wallMs += last.wallMs;
      this.#processed.set(category, sum);
    }
  }

  /** A row for each category that had tasks. */
  summary(): CategorySummary[] {
    return categories.flatMap((category) => {
      const tasks = this.tasks.filter((task) => task.category === category);
      if (tasks.length === 0) return [];
      const attempts = tasks.flatMap((task) => task.attempts);
      const processed = this.#processed.get(category);
      return [{
        category,
        tasks: tasks.length,
        retries: attempts.length - tasks.filter((task) => task.attempts.length > 0).length,
        failed: tasks.filter((task) => task.end === "failure").length,
        wallSeconds: total(attempts.map((a) => a.wallMs)) / 1000,
        cpuSeconds: ifAny(attempts.map((a) => a.cpuMs), (ms) => total(ms) / 1000),
        memoryMbMax: ifAny(attempts.map((a) => a.memoryMb), (mb) => Math.max(...mb)),
        eventsPerSecond: processed === undefined || processed.wallMs === 0
          ? null
          : processed.events / processed.wallMs * 1000,
      }];
    });
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
      cores: attempt.box.cores,
      exitCode: attempt.exitCode,
      ending: "why" in ending ? ending.why : ending.kind,
    };
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** `null` if none of the values is known. */
function ifAny(
  values: readonly (number | null)[],
  f: (known: readonly number[]) => number,
): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : f(known);
}
