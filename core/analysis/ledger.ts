/** What failed for good, with every attempt at it, by cause. */
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

export interface FailureGroup {
  /** In the words of the first. */
  readonly cause: string;
  readonly count: number;
  readonly hosts: readonly string[];
  readonly items: readonly FailedItem[];
}

/** Hosts that are named; more of them are no lead. */
const hostsMax = 10;

/** Causes that differ only in names and numbers are one. */
export function causeOf(why: string): string {
  return why.replaceAll(/"[^"]*"|\/\S+/g, "…").replaceAll(/\d+(\.\d+)?/g, "N");
}

/** Failures of a run as they are noted, the largest group first. */
export class Ledger {
  readonly #groups = new Map<string, { cause: string; items: FailedItem[]; hosts: Set<string> }>();

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
    const key = causeOf(got.why);
    const group = this.#groups.get(key) ?? { cause: got.why, items: [], hosts: new Set() };
    group.items.push(failed);
    for (const { host } of attempts) if (group.hosts.size < hostsMax) group.hosts.add(host);
    this.#groups.set(key, group);
  }

  get groups(): FailureGroup[] {
    const groups = [...this.#groups.values()].map(({ cause, items, hosts }) => ({
      cause,
      count: items.length,
      hosts: [...hosts],
      items,
    }));
    return groups.sort((a, b) => b.count - a.count);
  }
}
