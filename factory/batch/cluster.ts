/**
 * Any other queue, told by variables as in cctools: BATCH_QUEUE_CLUSTER_NAME, …_SUBMIT_COMMAND,
 * …_SUBMIT_OPTIONS, …_SUBMIT_JOBNAME_VAR, …_REMOVE_COMMAND. Nothing is known of a command that
 * lists its jobs, so that only their own status files tell.
 */
import { UsageError } from "../../core/errors.ts";
import type { BatchContext, BatchSystem, JobId } from "./batch_system.ts";
import { aliveSeconds, type Progress } from "./job_files.ts";
import { type Listed, openScriptQueue, type QueueRow } from "./script_queue.ts";

const prefix = "BATCH_QUEUE_CLUSTER_";
const variables = [
  "NAME",
  "SUBMIT_COMMAND",
  "SUBMIT_OPTIONS",
  "SUBMIT_JOBNAME_VAR",
  "REMOVE_COMMAND",
] as const;

/** Without a sign of life for this long a job is held to be dead, as in cctools. */
const silentSecondsMax = 4 * aliveSeconds;

/** Throws UsageError naming the variables that are not set. */
export function openCluster(context: BatchContext): BatchSystem {
  const missing = variables.filter((name) => context.env[prefix + name] === undefined);
  if (missing.length > 0) {
    throw new UsageError(
      `Batch system "cluster" is told by environment variables; set ${
        missing.map((name) => prefix + name).join(", ")
      }`,
    );
  }
  const [name, submit, options, nameFlag, remove] = variables.map((one) =>
    context.env[prefix + one]!
  ) as [string, string, string, string, string];
  if (!/^[\w.-]+$/.test(name)) {
    throw new UsageError(
      `${prefix}NAME is "${name}": files are named after it, so it has letters, digits, . - _`,
    );
  }
  return openScriptQueue(
    row(name, words(submit), words(options), nameFlag, words(remove)),
    context,
  );
}

function words(text: string): string[] {
  return text.trim().split(/\s+/).filter((word) => word !== "");
}

function row(
  name: string,
  submit: readonly string[],
  options: readonly string[],
  nameFlag: string,
  remove: readonly string[],
): QueueRow {
  return {
    name,
    idVariable: "SLURM_JOB_ID:-${LSB_JOBID:-${PBS_JOBID:-$JOB_ID}}",
    programs: [submit[0] ?? "", remove[0] ?? ""],
    submit: (job) => [...submit, ...options, nameFlag, job.name],
    ignored: ({ cores, memoryMb, diskMb, gpus }) =>
      [cores, memoryMb, diskMb, gpus].some((one) => one !== null && one > 0)
        ? 'Batch system "cluster" is told no sizes, as in cctools: ask for them by --batch-options'
        : null,
    remove,
    blind: true,
    async list(ids, _ask, _signal, progress) {
      const listed = new Map<string, Listed>();
      for (const id of ids) {
        const status = clusterStatus(await progress(id), Date.now() / 1000);
        if (status !== null) listed.set(id, status);
      }
      return listed;
    },
    // A job that waits has written nothing yet, so nothing can be found: its worker leaves when idle.
    find: () => Promise.resolve([] as JobId[]),
  };
}

/** `null`: it is over; the status file tells how, or that it fell silent. */
function clusterStatus(progress: Progress | null, nowS: number): Listed | null {
  if (progress === null || progress.aliveEpochS === null) return { phase: "pending", why: null };
  if (progress.exitCode !== null) return null;
  if (nowS - progress.aliveEpochS > silentSecondsMax) {
    return {
      phase: "ended",
      exitCode: null,
      why: `no sign of life for more than ${silentSecondsMax} s`,
    };
  }
  return { phase: "running", host: progress.host, sinceEpochS: progress.startEpochS };
}
