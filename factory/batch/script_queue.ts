/**
 * The family of PBS: a script is handed in, an id comes back, and a list of the queue tells the
 * rest. What they differ in is a row: slurm.ts, gridengine.ts, pbs.ts, lsf.ts, cluster.ts.
 *
 * The queue tells whether a job waits or runs; how it ended is told by the file that the job itself
 * writes (job_files.ts), because most queues forget a job at its end.
 */
import {
  type BatchContext,
  BatchError,
  type BatchSystem,
  type JobId,
  type JobRequest,
  type JobStatus,
  type WorkerJob,
} from "./batch_system.ts";
import { endedWords, jobEnvironment, JobFiles, type Progress } from "./job_files.ts";
import {
  type Answer,
  failure,
  firstLine,
  noIdFrom,
  type ProgramCall,
  Programs,
} from "./program.ts";
import { inPieces, removeAll } from "./removal.ts";

/** A job as its queue shows it. `leaving`: it was removed, and ends in its own time. */
export type Listed = JobStatus & { readonly leaving?: boolean };

/** Answers of the queue's programs for one row. */
export interface Ask {
  (call: ProgramCall, signal: AbortSignal): Promise<Answer>;
}

export interface QueueRow {
  /** Of the system, and of its files in scratch. */
  readonly name: string;
  /** Set in a job to its id, perhaps with a server's name behind a dot. */
  readonly idVariable: string;
  /** Programs without which nothing works. */
  readonly programs: readonly string[];
  /** The submission up to the batch options, which the wrapper follows. */
  submit(job: WorkerJob): readonly string[];
  /** Tells in one sentence what of a request this system is not asked for; `null`: nothing. */
  ignored?(request: JobRequest): string | null;
  /** Program and options; the ids follow. */
  readonly remove: readonly string[];
  /** True: nothing lists its jobs, and what they write themselves is all that is known. */
  readonly blind?: boolean;
  /** The jobs of these ids that the queue still knows; `progress` for queues that know nothing. */
  list(
    ids: readonly JobId[],
    ask: Ask,
    signal: AbortSignal,
    progress: (id: JobId) => Promise<Progress | null>,
  ): Promise<ReadonlyMap<string, Listed>>;
  /** Ids of the caller's jobs of that name that are not over. */
  find(name: string, ask: Ask, signal: AbortSignal): Promise<readonly string[]>;
}

export function openScriptQueue(row: QueueRow, context: BatchContext): BatchSystem {
  return new ScriptQueue(row, context);
}

class ScriptQueue implements BatchSystem {
  readonly name: string;
  readonly #row: QueueRow;
  readonly #context: BatchContext;
  readonly #programs: Programs;
  readonly #files: JobFiles;
  readonly #over = new Map<JobId, JobStatus>();
  #toldIgnored = false;

  constructor(row: QueueRow, context: BatchContext) {
    this.name = row.name;
    this.#row = row;
    this.#context = context;
    this.#programs = programsOf(context);
    this.#files = new JobFiles(context.scratch, row.name);
  }

  async check(signal: AbortSignal): Promise<void> {
    this.#programs.require(...this.#row.programs);
    // Asked for a name that nobody has: the answer is empty, or tells what is wrong.
    await this.#row.find("wqx-0", this.#ask, signal);
  }

  async submit(job: WorkerJob, signal: AbortSignal): Promise<JobId> {
    const ignored = this.#row.ignored?.(job.request) ?? null;
    if (ignored !== null && !this.#toldIgnored) this.#context.note(ignored);
    this.#toldIgnored ||= ignored !== null;
    await this.#files.writeWrapper(this.#row.idVariable);
    const words = this.#row.submit(job);
    const answer = await this.#programs.ask({
      words,
      options: this.#context.batchOptions,
      last: [`./${this.#files.wrapper}`],
      env: jobEnvironment(job),
    }, signal);
    if (answer.exitCode !== 0) throw failure(words[0]!, answer);
    const id = submittedId(answer.stdout);
    if (id !== null) {
      this.#files.leftovers.open([id]);
      return id as JobId;
    }
    throw noIdFrom(words[0]!, firstLine(answer.stdout) ?? firstLine(answer.stderr));
  }

  async status(
    ids: readonly JobId[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<JobId, JobStatus>> {
    const open = ids.filter((id) => !this.#over.has(id));
    this.#files.leftovers.open(open);
    const listed = await this.#list(open, signal);
    const found = new Map<JobId, JobStatus>();
    for (const id of ids) {
      found.set(id, this.#over.get(id) ?? await this.#judge(id, listed.get(id)));
    }
    await this.#files.leftovers.sweep();
    return found;
  }

  async remove(ids: readonly JobId[], signal: AbortSignal): Promise<void> {
    const open = ids.filter((id) => !this.#over.has(id));
    // Ids that are over make the command fail too, so that only the list tells.
    const remove = async (some: readonly JobId[]) => {
      const answer = await this.#programs.ask({ words: [...this.#row.remove, ...some] }, signal);
      return answer.exitCode === 0 ? null : failure(this.#row.remove[0]!, answer).message;
    };
    if (this.#row.blind === true) return await this.#removeBlindly(open, remove);
    const left = async (some: readonly JobId[]) => {
      const listed = await this.#list(some, signal);
      for (const id of some) if (!listed.has(id)) await this.#judge(id, undefined);
      return some.filter((id) => isLeft(listed.get(id)));
    };
    await removeAll(open, { remove, left }, signal);
  }

  /** Where no list tells, the command's word is all there is. */
  async #removeBlindly(
    ids: readonly JobId[],
    remove: (some: readonly JobId[]) => Promise<string | null>,
  ): Promise<void> {
    let complaint: string | null = null;
    for (const id of ids) {
      if (((await this.#files.progress(id))?.exitCode ?? null) !== null) continue;
      const trouble = await remove([id]);
      complaint ??= trouble;
      if (trouble !== null) continue;
      this.#over.set(id, { phase: "ended", exitCode: null, why: "removed from the queue" });
      await this.#files.leftovers.over(id, false);
    }
    if (complaint !== null) throw new BatchError(complaint);
  }

  async find(name: string, signal: AbortSignal): Promise<readonly JobId[]> {
    const ids = await this.#row.find(name, this.#ask, signal);
    return ids as readonly JobId[];
  }

  readonly #ask: Ask = (call, signal) => this.#programs.ask(call, signal);

  async #list(ids: readonly JobId[], signal: AbortSignal): Promise<ReadonlyMap<string, Listed>> {
    const all = new Map<string, Listed>();
    const progress = (id: JobId) => this.#files.progress(id);
    for (const some of inPieces(ids)) {
      const listed = await this.#row.list(some, this.#ask, signal, progress);
      for (const [id, one] of listed) all.set(id, one);
    }
    return all;
  }

  /** The queue's word for jobs that wait, the job's own for how it ended. */
  async #judge(id: JobId, listed: Listed | undefined): Promise<JobStatus> {
    if (listed?.phase === "pending" || listed?.phase === "held") return listed;
    const progress = await this.#files.progress(id);
    const exitCode = progress?.exitCode ?? null;
    if (listed?.phase === "running" && exitCode === null) {
      return {
        phase: "running",
        host: listed.host ?? progress?.host ?? null,
        sinceEpochS: progress?.startEpochS ?? listed.sinceEpochS,
      };
    }
    const status = await this.#ended(id, listed, exitCode);
    this.#over.set(id, status);
    await this.#files.leftovers.over(id, status.phase === "ended" && status.exitCode === 0);
    return status;
  }

  async #ended(
    id: JobId,
    listed: Listed | undefined,
    exitCode: number | null,
  ): Promise<JobStatus> {
    const queue = listed?.phase === "ended" ? listed : null;
    const code = exitCode ?? queue?.exitCode ?? null;
    const words = queue !== null && (exitCode === null || exitCode > 128)
      ? queue.why
      : exitCode === null
      ? "removed from the queue"
      : endedWords(exitCode);
    return {
      phase: "ended",
      exitCode: code !== null && code > 128 && code < 165 ? null : code,
      why: words + (code === 0 ? "" : await this.#files.lastWords(id)),
    };
  }
}

/** Programs of a batch system, run in scratch with the factory's environment. */
export function programsOf(context: BatchContext): Programs {
  const deadline = context.extra["batch-deadline"];
  return new Programs({
    cwd: context.scratch,
    env: context.env,
    ...deadline === undefined ? {} : { deadlineMs: Number(deadline) * 1000 },
  });
}

/** The id in what a submission printed, in the forms that cctools knows; `null` without one. */
export function submittedId(printed: string): string | null {
  for (const line of printed.split("\n")) {
    const found = /^\s*Your job (\d+)/.exec(line) ??
      /^\s*Submitted batch job (\d+)/.exec(line) ??
      /^\s*Job <(\d+)> is submitted/.exec(line) ??
      /^\s*(\d+)(?=\D|$)/.exec(line);
    if (found !== null && Number(found[1]) > 0) return found[1]!;
  }
  return null;
}

function isLeft(listed: Listed | undefined): boolean {
  return listed !== undefined && listed.phase !== "ended" && listed.leaving !== true;
}
