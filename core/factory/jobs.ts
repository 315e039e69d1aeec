/** Our jobs as last heard of, and what their ends say of the batch system. */
import type { ArrivalMark } from "./arrivals.ts";
import type { JobId, JobStatus } from "./job.ts";

export interface Job {
  readonly id: JobId;
  readonly submittedMs: number;
  /** When it was handed in. */
  readonly mark: ArrivalMark;
  phase: "pending" | "held" | "running";
  host: string | null;
  /** When it was first seen running, or as the system says; `null` while it waits. */
  runningSinceMs: number | null;
  /** We have asked for its removal. */
  removed: boolean;
}

/** How a job ended that nobody removed. */
export interface JobEnd {
  readonly id: JobId;
  readonly why: string;
  readonly host: string | null;
  /** When it was handed in. */
  readonly mark: ArrivalMark;
  /** It failed within its first minute: was there a worker at all? */
  readonly early: boolean;
}

/** What became of jobs since the last look. */
export interface JobNews {
  readonly ended: readonly JobEnd[];
  readonly held: readonly { readonly id: JobId; readonly why: string }[];
  /** Jobs that began to run. */
  readonly started: number;
}

/** A worker that fails sooner did not fail for want of work or of a manager. */
const earlyMs = 60_000;

export class Jobs {
  readonly #jobs = new Map<JobId, Job>();

  get size(): number {
    return this.#jobs.size;
  }

  ids(): JobId[] {
    return [...this.#jobs.keys()];
  }

  /** Those that are in the queue or run, without those that we have removed. */
  kept(): Job[] {
    return [...this.#jobs.values()].filter(({ removed }) => !removed);
  }

  add(id: JobId, submittedMs: number, mark: ArrivalMark): void {
    if (this.#jobs.has(id)) return;
    this.#jobs.set(id, {
      id,
      submittedMs,
      mark,
      phase: "pending",
      host: null,
      runningSinceMs: null,
      removed: false,
    });
  }

  markRemoved(ids: readonly JobId[]): void {
    for (const id of ids) {
      const job = this.#jobs.get(id);
      if (job !== undefined) job.removed = true;
    }
  }

  /** Takes in what the batch system says; ids that it says nothing of stay as they are. */
  update(statuses: ReadonlyMap<JobId, JobStatus>, nowMs: number): JobNews {
    const ended: JobEnd[] = [];
    const held: { id: JobId; why: string }[] = [];
    let started = 0;
    for (const job of this.#jobs.values()) {
      const status = statuses.get(job.id);
      if (status === undefined) continue;
      switch (status.phase) {
        case "ended": {
          this.#jobs.delete(job.id);
          if (job.removed) break;
          const ranMs = nowMs - (job.runningSinceMs ?? job.submittedMs);
          const early = status.exitCode !== 0 && ranMs < earlyMs;
          const { id, host, mark } = job;
          ended.push({ id, why: status.why, host, mark, early });
          break;
        }
        case "held":
          if (job.phase !== "held") held.push({ id: job.id, why: status.why });
          job.phase = "held";
          break;
        case "pending":
          job.phase = "pending";
          break;
        case "running":
          if (job.phase !== "running") started++;
          job.phase = "running";
          job.host = status.host;
          job.runningSinceMs ??= status.sinceEpochS === null
            ? nowMs
            : Math.min(nowMs, status.sinceEpochS * 1000);
          break;
      }
    }
    return { ended, held, started };
  }

  /** Whether some job has run for longer than those that fail at once. */
  someWell(nowMs: number): boolean {
    return this.kept().some(({ runningSinceMs }) =>
      runningSinceMs !== null && nowMs - runningSinceMs >= earlyMs
    );
  }
}
