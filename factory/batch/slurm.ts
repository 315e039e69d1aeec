/** Slurm: sbatch, squeue, scancel. What sacct would add needs a database that many sites lack. */
import type { JobRequest, WorkerJob } from "./batch_system.ts";
import { failure } from "./program.ts";
import type { Listed, QueueRow } from "./script_queue.ts";

export const slurm: QueueRow = {
  name: "slurm",
  idVariable: "SLURM_JOB_ID",
  programs: ["sbatch", "squeue", "scancel"],
  submit: ({ name, request }: WorkerJob) => [
    "sbatch",
    ...resources(request),
    ..."-D . -e /dev/null --export=ALL -o /dev/null -J".split(" "),
    name,
  ],
  remove: ["scancel"],
  async list(ids, ask, signal) {
    // `all`: those that ended are shown for some minutes (MinJobAge), which tells a limit from an
    // operator.
    const words = ["squeue", "-h", "-t", "all", "-o", "%i|%T|%r|%N", "-j", ids.join(",")];
    const answer = await ask({ words }, signal);
    const unknown = answer.exitCode !== 0 && /invalid job id/i.test(answer.stderr);
    if (answer.exitCode !== 0 && !unknown) throw failure("squeue", answer);
    const listed = new Map<string, Listed>();
    for (const line of answer.stdout.split("\n")) {
      const [id = "", state = "", reason = "", host = ""] = line.trim().split("|");
      if (/^\d+$/.test(id)) listed.set(id, slurmStatus(state, reason, host));
    }
    return listed;
  },
  async find(name, ask, signal) {
    const words = ["squeue", "-h", "--me", "-n", name, "-o", "%i"];
    const answer = await ask({ words }, signal);
    if (answer.exitCode !== 0) throw failure("squeue", answer);
    return answer.stdout.match(/^\s*\d+\s*$/gm)?.map((id) => id.trim()) ?? [];
  },
};

function resources({ cores, memoryMb, gpus, wallTimeS }: JobRequest): string[] {
  return [
    ...memoryMb !== null && memoryMb > 0 ? [`--mem=${Math.ceil(memoryMb)}M`] : [],
    ...wallTimeS !== null ? [`--time=${Math.ceil(wallTimeS / 60)}`] : [],
    ...gpus !== null && gpus > 0 ? [`--gres=gpu:${gpus}`] : [],
    ...`-N 1 -n 1 -c ${Math.max(1, Math.ceil(cores ?? 1))}`.split(" "),
  ];
}

/** States and reasons: squeue(1), JOB STATE CODES and JOB REASON CODES. */
export function slurmStatus(state: string, reason: string, host: string): Listed {
  const why = reason === "None" || reason === "" ? null : reason;
  switch (state) {
    case "PENDING":
      // JobHeldUser, JobHeldAdmin, launch failed requeued held
      return why !== null && /held/i.test(why) ? { phase: "held", why } : { phase: "pending", why };
    case "REQUEUED":
    case "REQUEUE_FED":
      return { phase: "pending", why: why ?? "requeued" };
    case "REQUEUE_HOLD":
    case "SPECIAL_EXIT":
    case "SUSPENDED":
    case "STOPPED":
      return { phase: "held", why: why ?? state.toLowerCase() };
    case "CONFIGURING":
    case "RUNNING":
    case "RESIZING":
    case "SIGNALING":
    case "STAGE_OUT":
      return { phase: "running", host: host || null, sinceEpochS: null };
    case "COMPLETING":
      return { phase: "running", host: host || null, sinceEpochS: null, leaving: true };
    case "COMPLETED":
      return { phase: "ended", exitCode: 0, why: "it completed" };
    case "CANCELLED":
      return { phase: "ended", exitCode: null, why: "removed from the queue (CANCELLED)" };
    case "FAILED":
    case "TIMEOUT":
    case "NODE_FAIL":
    case "PREEMPTED":
    case "OUT_OF_MEMORY":
    case "BOOT_FAIL":
    case "DEADLINE":
    case "REVOKED":
      return {
        phase: "ended",
        exitCode: null,
        why: `Slurm says ${state}${why === null ? "" : ` (${why})`}`,
      };
    default:
      return { phase: "pending", why: `in a state that is not known: ${state}` };
  }
}
