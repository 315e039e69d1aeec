/**
 * The seam between the factory and what runs its workers. A batch system is one small file that
 * implements this, and a row in mod.ts.
 */
import type { JobId, JobRequest, JobStatus } from "../../core/factory/job.ts";

export type { JobId, JobRequest, JobStatus };

/** One submission, which runs one worker. */
export interface WorkerJob {
  /** A shell command; all its words are quoted as they must be. */
  readonly command: string;
  /** Names in the scratch folder of what the command needs beside it; the first is the worker. */
  readonly inputs: readonly string[];
  /** Set for the worker, besides what the system exports by itself. */
  readonly env: Readonly<Record<string, string>>;
  readonly request: JobRequest;
  /** Shown in the queue, and the same for all jobs of one factory: `wqx-` and letters or digits. */
  readonly name: string;
}

/** Everything throws a {@link BatchError} with a sentence, and only that, for what goes wrong. */
export interface BatchSystem {
  /** As `-T` names it. */
  readonly name: string;
  /** Whether its programs are there and answer; throws a sentence that says what is missing. */
  check(signal: AbortSignal): Promise<void>;
  /** Hands in one job; it may be running, or long over, when this returns. */
  submit(job: WorkerJob, signal: AbortSignal): Promise<JobId>;
  /** Of all these at once. One that the system no longer knows is `ended`. */
  status(ids: readonly JobId[], signal: AbortSignal): Promise<ReadonlyMap<JobId, JobStatus>>;
  /** Removes all that are left of these; ids that are over are no error. */
  remove(ids: readonly JobId[], signal: AbortSignal): Promise<void>;
  /** Jobs of this name that are pending, held or running: what an earlier factory left. */
  find(name: string, signal: AbortSignal): Promise<readonly JobId[]>;
}

/** What a batch system is made with. */
export interface BatchContext {
  /** Absolute; holds the inputs; the place for submit files, wrappers and status files. */
  readonly scratch: string;
  /** `--batch-options`, as the user wrote them. */
  readonly batchOptions: string;
  /** `--condor-requirements`, joined, or `null`; read at each submission, it may change. */
  readonly requirements: () => string | null;
  /** Hosts that managers have blocked; read at each submission. */
  readonly hostsBlocked: () => readonly string[];
  readonly autosize: () => boolean;
  /** Rows of options that one system alone has: `k8s-image` and the like. */
  readonly extra: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For people: what a system ignores, and what it noticed. */
  readonly note: (line: string) => void;
}

/** A batch system that is missing, refuses, hangs or answers in words that nobody knows. */
export class BatchError extends Error {
  override readonly name = "BatchError";
}
