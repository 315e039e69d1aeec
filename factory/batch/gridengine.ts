/** Grid Engine in all its forms (Sun, Son of, Univa, Altair): qsub, qstat, qdel. */
import type { JobRequest, WorkerJob } from "./batch_system.ts";
import { failure } from "./program.ts";
import type { Listed, QueueRow } from "./script_queue.ts";

export const gridEngine: QueueRow = {
  name: "uge",
  idVariable: "JOB_ID",
  programs: ["qsub", "qstat", "qdel"],
  submit: ({ name, request }: WorkerJob) => [
    "qsub",
    ...resources(request),
    ..."-cwd -j y -V -o /dev/null -N".split(" "),
    name,
  ],
  ignored: ({ diskMb, gpus }) =>
    (diskMb ?? 0) > 0 || (gpus ?? 0) > 0
      ? "Grid Engine has no common name for disk and GPUs: ask for them by --batch-options"
      : null,
  remove: ["qdel"],
  async list(_ids, ask, signal) {
    const answer = await ask({ words: ["qstat", "-xml"] }, signal);
    if (answer.exitCode !== 0) throw failure("qstat", answer);
    return new Map(
      listedJobs(answer.stdout).map(({ id, state, host }) => [
        id,
        gridEngineStatus(state, host),
      ]),
    );
  },
  async find(name, ask, signal) {
    const answer = await ask({ words: ["qstat", "-xml"] }, signal);
    if (answer.exitCode !== 0) throw failure("qstat", answer);
    return listedJobs(answer.stdout).filter((job) => job.name === name).map(({ id }) => id);
  },
};

function resources({ cores, memoryMb, wallTimeS }: JobRequest): string[] {
  const slots = Math.max(1, Math.ceil(cores ?? 1));
  const pair = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.ceil((wallTimeS ?? 0) / 60);
  return [
    // cctools asks for h_vmem, which Grid Engine makes a limit of the address space, of which a wqx
    // worker reserves 40 GB and uses next to nothing: with it, none would start.
    ...memoryMb !== null && memoryMb > 0 ? ["-l", `mem_free=${Math.ceil(memoryMb)}M`] : [],
    ...wallTimeS !== null
      ? ["-l", `h_rt=${pair(Math.floor(minutes / 60))}:${pair(minutes % 60)}:00`]
      : [],
    "-pe",
    "smp",
    String(slots),
  ];
}

interface GridEngineJob {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly host: string | null;
}

/** `<job_list>` elements of `qstat -xml`: flat, and none of the texts looked at has markup in it. */
function listedJobs(xml: string): GridEngineJob[] {
  return [...xml.matchAll(/<job_list\b[^>]*>([^]*?)<\/job_list>/g)].flatMap(([, job = ""]) => {
    const text = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(job)?.[1] ?? "";
    const id = text("JB_job_number");
    const host = text("queue_name").split("@")[1] ?? null;
    return id === "" ? [] : [{ id, name: text("JB_name"), state: text("state"), host }];
  });
}

/** Letters of a state: qstat(1), `d` deletion, `E` error, `h` hold, `r` running, `q` queued …. */
export function gridEngineStatus(state: string, host: string | null): Listed {
  const leaving = state.includes("d") ? { leaving: true } : {};
  if (state.includes("E")) {
    return { phase: "held", why: `in an error state (${state})`, ...leaving };
  }
  if (state.includes("h")) return { phase: "held", why: `on hold (${state})`, ...leaving };
  if (/[sSTN]/.test(state)) return { phase: "held", why: `suspended (${state})`, ...leaving };
  if (/[rt]/.test(state)) return { phase: "running", host, sinceEpochS: null, ...leaving };
  const known = /^[dqwR]+$/.test(state);
  return {
    phase: "pending",
    why: known ? null : `in a state that is not known: ${state}`,
    ...leaving,
  };
}
