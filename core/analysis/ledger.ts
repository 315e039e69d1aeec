/** What failed for good, with every attempt at it, by cause. */
import { type CauseGroup, CauseGroups } from "../causes.ts";
import type { Range } from "./chunks.ts";
import type { AnalysisRecord } from "./records.ts";
import type { AnalysisSpec } from "./spec.ts";

export interface FailedAttempt {
  readonly host: string;
  readonly worker: string;
  /** ISO 8601. */
  readonly at: string;
  readonly cause: string;
}

/** Something that is not in the result because its task failed for good. */
export interface FailedItem {
  readonly what: string;
  /** `null` for a merge; likewise the file. */
  readonly dataset: string | null;
  readonly file: string | null;
  /** `null`: all of the file. */
  readonly range: Range | null;
  readonly attempts: readonly FailedAttempt[];
}

export type FailureGroup = CauseGroup<FailedItem>;

/** Failures of a run as they are noted, the largest group first. */
export class Ledger {
  readonly #causes = new CauseGroups<FailedItem>();

  /** @param startedEpochMs what times of attempts are counted from */
  constructor(
    private readonly spec: Pick<AnalysisSpec, "files">,
    private readonly startedEpochMs: number,
  ) {}

  add({ item, got, task }: Extract<AnalysisRecord, { type: "ended" }>): void {
    if (got.kind !== "failure") return;
    const input = item.kind === "accumulate" ? null : this.spec.files[item.file] ?? null;
    const attempts = task.attempts.map((attempt, i): FailedAttempt => ({
      host: attempt.host,
      worker: attempt.worker,
      at: new Date(this.startedEpochMs + attempt.endedMs).toISOString(),
      cause: i === task.attempts.length - 1 ? got.why : attempt.ending,
    }));
    const failed: FailedItem = {
      what: task.what,
      dataset: input?.dataset ?? null,
      file: input?.file ?? null,
      range: item.kind === "process" ? item.range : null,
      attempts,
    };
    this.#causes.add(got.why, attempts.map(({ host }) => host), failed);
  }

  get groups(): FailureGroup[] {
    return this.#causes.groups;
  }
}
