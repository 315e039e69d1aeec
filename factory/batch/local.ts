/**
 * Workers as processes of this machine. Each job is a process group of its own, which outlives the
 * factory; `local.job.PID` tells the next factory whose it is, and when it began, because a pid may
 * come again.
 */
import { z } from "zod";
import { messageOf } from "../../core/errors.ts";
import { delay } from "../../io/clock.ts";
import { listProcesses, readStat } from "../../io/procfs.ts";
import {
  type BatchContext,
  BatchError,
  type BatchSystem,
  type JobId,
  type JobStatus,
  type WorkerJob,
} from "./batch_system.ts";
import { endedWords, jobEnvironment, JobFiles } from "./job_files.ts";
import { killGroup } from "./program.ts";

/** Time for a worker to return what it runs after SIGTERM, as in work_queue_factory. */
const graceMsDefault = 30_000;
const lookEveryMs = 50;

const jobRecord = z.object({ name: z.string(), startTicks: z.number() });
type JobRecord = z.infer<typeof jobRecord>;

const recordPrefix = "local.job.";

/** `local-grace` in the context's extra options: seconds between SIGTERM and SIGKILL. */
export function openLocal(context: BatchContext): BatchSystem {
  return new Local(context);
}

class Local implements BatchSystem {
  readonly name = "local";
  readonly #context: BatchContext;
  readonly #files: JobFiles;
  readonly #graceMs: number;
  /** Started by this process, and whether they have ended. */
  readonly #children = new Map<string, { ended: boolean; readonly startTicks: number }>();
  readonly #over = new Map<JobId, JobStatus>();

  constructor(context: BatchContext) {
    this.#context = context;
    this.#files = new JobFiles(context.scratch, this.name);
    const grace = context.extra["local-grace"];
    this.#graceMs = grace === undefined ? graceMsDefault : Number(grace) * 1000;
  }

  async check(): Promise<void> {
    await this.#files.writeWrapper("JOB_ID");
  }

  async submit(job: WorkerJob, signal: AbortSignal): Promise<JobId> {
    if (signal.aborted) throw new BatchError("Stopping: no worker is started any more");
    const wrapper = await this.#files.writeWrapper("JOB_ID");
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command("/bin/sh", {
        // Its id is its pid, which only a shell can tell before the wrapper runs.
        args: ["-c", 'JOB_ID=$$; export JOB_ID; exec "$0"', wrapper],
        cwd: this.#context.scratch,
        env: { ...definedOf(this.#context.env), ...jobEnvironment(job) },
        clearEnv: true,
        stdin: "null",
        stdout: "null",
        stderr: "null",
        detached: true,
      }).spawn();
    } catch (error) {
      throw new BatchError(`Cannot start a worker on this machine: ${messageOf(error)}`);
    }
    const id = String(child.pid) as JobId;
    const startTicks = readStat(child.pid)?.startTicks ?? -1;
    const own = { ended: false, startTicks };
    this.#over.delete(id);
    this.#files.leftovers.open([id]);
    this.#children.set(id, own);
    child.status.then(() => own.ended = true, () => own.ended = true);
    child.unref();
    const record: JobRecord = { name: job.name, startTicks };
    await Deno.writeTextFile(this.#recordPath(id), JSON.stringify(record));
    return id;
  }

  async status(ids: readonly JobId[]): Promise<ReadonlyMap<JobId, JobStatus>> {
    const found = new Map<JobId, JobStatus>();
    this.#files.leftovers.open(ids.filter((id) => !this.#over.has(id)));
    for (const id of ids) found.set(id, this.#over.get(id) ?? await this.#look(id));
    await this.#files.leftovers.sweep();
    return found;
  }

  async remove(ids: readonly JobId[], signal: AbortSignal): Promise<void> {
    let left = await this.#alive(ids);
    for (const id of left) killJob(id, "SIGTERM");
    const giveUpMs = performance.now() + this.#graceMs;
    while (left.length > 0 && performance.now() < giveUpMs && !signal.aborted) {
      await delay(lookEveryMs);
      left = await this.#alive(left);
    }
    for (const id of left) killJob(id, "SIGKILL");
    const deadMs = performance.now() + 5000;
    while (left.length > 0) {
      left = await this.#alive(left);
      if (performance.now() > deadMs) {
        throw new BatchError(`Killed, but still there: the processes ${left.join(", ")}`);
      }
      if (left.length > 0) await delay(lookEveryMs);
    }
  }

  async find(name: string): Promise<readonly JobId[]> {
    const found: JobId[] = [];
    for await (const entry of Deno.readDir(this.#context.scratch)) {
      if (!entry.name.startsWith(recordPrefix)) continue;
      const id = entry.name.slice(recordPrefix.length) as JobId;
      const record = await this.#record(id);
      if (record?.name === name && this.#isAlive(id, record)) found.push(id);
    }
    return found;
  }

  async #look(id: JobId): Promise<JobStatus> {
    const record = await this.#record(id);
    const progress = await this.#files.progress(id);
    if (record !== null && this.#isAlive(id, record)) {
      return {
        phase: "running",
        host: Deno.hostname(),
        sinceEpochS: progress?.startEpochS ?? null,
      };
    }
    const exitCode = progress?.exitCode ?? null;
    const words = exitCode === null ? "it was killed" : endedWords(exitCode);
    const why = words + (exitCode === 0 ? "" : await this.#files.lastWords(id));
    const status: JobStatus = { phase: "ended", exitCode: signalAsNull(exitCode), why };
    this.#over.set(id, status);
    this.#children.delete(id);
    await Deno.remove(this.#recordPath(id)).catch(() => {});
    await this.#files.leftovers.over(id, exitCode === 0);
    return status;
  }

  async #alive(ids: readonly JobId[]): Promise<JobId[]> {
    const alive: JobId[] = [];
    for (const id of ids) {
      const record = await this.#record(id);
      if (record !== null && this.#isAlive(id, record)) alive.push(id);
    }
    return alive;
  }

  /** Whether the job, or what its first process left behind, still runs. */
  #isAlive(id: JobId, { startTicks }: JobRecord): boolean {
    const pid = Number(id);
    const stat = readStat(pid);
    if (stat !== null && stat.startTicks !== startTicks) return false; // the pid came again
    if (stat !== null && stat.state !== "Z") return true;
    const own = this.#children.get(id);
    if (own !== undefined && own.startTicks === startTicks && !own.ended) return true;
    return listProcesses().some((other) => {
      const member = readStat(other);
      return member?.group === pid && member.state !== "Z" && member.startTicks >= startTicks;
    });
  }

  async #record(id: JobId): Promise<JobRecord | null> {
    try {
      return jobRecord.parse(JSON.parse(await Deno.readTextFile(this.#recordPath(id))));
    } catch {
      return null; // never was one, is over, or somebody wrote into it
    }
  }

  #recordPath(id: JobId): string {
    return `${this.#context.scratch}/${recordPrefix}${id}`;
  }
}

/** A code that a signal made is no exit code of the worker. */
function signalAsNull(exitCode: number | null): number | null {
  return exitCode !== null && exitCode > 128 && exitCode < 165 ? null : exitCode;
}

function killJob(id: JobId, signal: Deno.Signal): void {
  const pid = Number(id);
  if (Number.isSafeInteger(pid) && pid > 1) killGroup(pid, signal);
}

function definedOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
