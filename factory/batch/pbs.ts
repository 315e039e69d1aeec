/** PBS Professional, OpenPBS and Torque (qsub, qstat, qdel), and Moab in front of one (msub …). */
import type { JobRequest, WorkerJob } from "./batch_system.ts";
import { failure } from "./program.ts";
import type { Ask, Listed, QueueRow } from "./script_queue.ts";

const family: Omit<QueueRow, "name"> = {
  idVariable: "PBS_JOBID",
  programs: ["qsub", "qstat", "qselect", "qdel"],
  submit: ({ name, request }: WorkerJob) => [
    "qsub",
    "-l",
    resources(request),
    ..."-j oe -V -o /dev/null -N".split(" "),
    name,
  ],
  ignored: ({ gpus }) =>
    (gpus ?? 0) > 0
      ? "GPUs are named differently from one PBS to the next: ask for them by --batch-options"
      : null,
  remove: ["qdel"],
  async list(ids, ask, signal) {
    const answer = await ask({ words: ["qstat", "-f", ...ids] }, signal);
    const listed = new Map<string, Listed>();
    for (const block of answer.stdout.split(/^(?=Job Id:)/m)) {
      const id = /^Job Id:\s*(\d+)/.exec(block)?.[1];
      if (id !== undefined) listed.set(id, pbsStatus(fieldsOf(block)));
    }
    // It fails if but one of the ids is over; the complaint names each.
    const overOnly = /unknown job|has finished/i.test(answer.stderr);
    if (answer.exitCode !== 0 && !overOnly) throw failure("qstat", answer);
    return listed;
  },
  async find(name, ask, signal) {
    const answer = await ask({ words: ["qselect", "-N", name] }, signal);
    if (answer.exitCode !== 0) throw failure("qselect", answer);
    return answer.stdout.match(/^\d+/gm) ?? [];
  },
};

export const pbs: QueueRow = { name: "pbs", ...family };
export const torque: QueueRow = { name: "torque", ...family };

export const moab: QueueRow = {
  name: "moab",
  idVariable: "PBS_JOBID",
  programs: ["msub", "showq", "mdel"],
  submit: ({ name }: WorkerJob) => [
    "msub",
    ..."-d . -j oe -V -o /dev/null -N".split(" "),
    name,
  ],
  ignored: ({ cores, memoryMb, diskMb, gpus, wallTimeS }) =>
    [cores, memoryMb, diskMb, gpus, wallTimeS].some((one) => one !== null && one > 0)
      ? "Moab is told no sizes, as in cctools: ask for them by --batch-options"
      : null,
  remove: ["mdel"],
  async list(ids, ask, signal) {
    const jobs = await showq(ask, signal);
    const wanted = new Set<string>(ids);
    return new Map(
      jobs.filter(({ id }) => wanted.has(id)).map(({ id, state }) => [id, moabStatus(state)]),
    );
  },
  async find(name, ask, signal) {
    return (await showq(ask, signal)).filter((job) => job.name === name).map(({ id }) => id);
  },
};

function resources({ cores, memoryMb, diskMb, wallTimeS }: JobRequest): string {
  const size = (name: string, mb: number | null) =>
    mb !== null && mb > 0 ? `,${name}=${Math.ceil(mb)}mb` : "";
  return `nodes=1:ppn=${Math.max(1, Math.ceil(cores ?? 1))}` + size("mem", memoryMb) +
    size("file", diskMb) + (wallTimeS === null ? "" : `,walltime=${Math.ceil(wallTimeS)}`);
}

/** `name = value` lines; a long value goes on after a newline and a tab. */
function fieldsOf(block: string): Map<string, string> {
  const joined = block.replace(/\n\t/g, "");
  return new Map(
    [...joined.matchAll(/^\s+([\w.]+) = (.*)$/gm)].map(([, name = "", value = ""]) => [
      name.toLowerCase(), // Exit_status here, exit_status there
      value.trim(),
    ]),
  );
}

/** Letters of `job_state`: qstat(1) of PBS Professional and of Torque. */
export function pbsStatus(fields: ReadonlyMap<string, string>): Listed {
  const state = fields.get("job_state") ?? "";
  const comment = fields.get("comment") ?? null;
  // node7/0*4+node7/1
  const host = /^[^/+]+/.exec(fields.get("exec_host") ?? "")?.[0] ?? null;
  switch (state) {
    case "Q":
    case "W":
    case "T":
    case "M":
      return { phase: "pending", why: comment };
    case "H":
      return { phase: "held", why: comment ?? "on hold" };
    case "S":
    case "U":
      return { phase: "held", why: comment ?? "suspended" };
    case "R":
      return { phase: "running", host, sinceEpochS: null };
    case "E":
      return { phase: "running", host, sinceEpochS: null, leaving: true };
    case "C":
    case "F":
    case "X": {
      const code = Number(fields.get("exit_status") ?? NaN);
      // Below 0 it was not started; from 256 on it is 256 and a signal.
      const known = Number.isSafeInteger(code) && code >= 0 && code < 256;
      return {
        phase: "ended",
        exitCode: known ? code : null,
        why: comment ?? (known ? `it ended with exit code ${code}` : "removed from the queue"),
      };
    }
    default:
      return { phase: "pending", why: `in a state that is not known: ${state}` };
  }
}

interface MoabJob {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

/** `showq --xml` has a `<job …/>` per job; what is over is not in it. */
async function showq(ask: Ask, signal: AbortSignal): Promise<MoabJob[]> {
  const answer = await ask({ words: ["showq", "--xml"] }, signal);
  if (answer.exitCode !== 0) throw failure("showq", answer);
  return [...answer.stdout.matchAll(/<job\b([^>]*)>/g)].flatMap(([, job = ""]) => {
    const text = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(job)?.[1] ?? "";
    const id = /\d+/.exec(text("JobID"))?.[0];
    return id === undefined ? [] : [{ id, name: text("JobName"), state: text("State") }];
  });
}

function moabStatus(state: string): Listed {
  switch (state) {
    case "Running":
    case "Starting":
      return { phase: "running", host: null, sinceEpochS: null };
    case "Idle":
    case "Deferred":
    case "Migrated":
    case "Staged":
      return { phase: "pending", why: state === "Idle" ? null : state };
    case "Hold":
    case "UserHold":
    case "SystemHold":
    case "BatchHold":
    case "Suspended":
      return { phase: "held", why: state };
    case "Canceling":
      return { phase: "running", host: null, sinceEpochS: null, leaving: true };
    case "Completed":
    case "Removed":
    case "Vacated":
      return { phase: "ended", exitCode: null, why: `Moab says ${state}` };
    default:
      return { phase: "pending", why: `in a state that is not known: ${state}` };
  }
}
