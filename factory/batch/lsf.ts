/** LSF: bsub, bjobs, bkill. */
import type { JobRequest, WorkerJob } from "./batch_system.ts";
import { type Answer, failure } from "./program.ts";
import type { Listed, QueueRow } from "./script_queue.ts";

export const lsf: QueueRow = {
  name: "lsf",
  idVariable: "LSB_JOBID",
  programs: ["bsub", "bjobs", "bkill"],
  submit: ({ name, request }: WorkerJob) => [
    "bsub",
    ...resources(request),
    ..."-e /dev/null -env all -o /dev/null -J".split(" "),
    name,
  ],
  ignored: ({ diskMb }) =>
    (diskMb ?? 0) > 0 ? "LSF is not told of disk, as in cctools: --batch-options may" : null,
  remove: ["bkill"],
  async list(ids, ask, signal) {
    const format = 'jobid stat exit_code exec_host pend_reason delimiter="|"';
    const words = ["bjobs", "-a", "-noheader", "-o", format, ...ids];
    const answer = await ask({ words }, signal);
    assertListed(answer);
    const listed = new Map<string, Listed>();
    for (const line of answer.stdout.split("\n")) {
      const [id = "", state = "", code = "", host = "", ...reason] = line.trim().split("|");
      if (/^\d+$/.test(id)) listed.set(id, lsfStatus(state, code, host, reason.join("|")));
    }
    return listed;
  },
  async find(name, ask, signal) {
    const answer = await ask({ words: ["bjobs", "-noheader", "-o", "jobid", "-J", name] }, signal);
    assertListed(answer);
    return answer.stdout.match(/^\d+/gm) ?? [];
  },
};

/** That there is no such job (any more) is an answer. */
function assertListed(answer: Answer): void {
  const none = /is not found|No (?:unfinished )?job found/i.test(answer.stderr);
  if (answer.exitCode !== 0 && !none) throw failure("bjobs", answer);
}

function resources({ cores, memoryMb, gpus, wallTimeS }: JobRequest): string[] {
  return [
    ...memoryMb !== null && memoryMb > 0 ? ["-M", `${Math.ceil(memoryMb)}MB`] : [],
    "-n",
    String(Math.max(1, Math.ceil(cores ?? 1))),
    ...gpus !== null && gpus > 0 ? ["-gpu", `num=${gpus}`] : [],
    ...wallTimeS !== null ? ["-We", String(Math.ceil(wallTimeS / 60))] : [],
  ];
}

/** Words of `stat`: bjobs(1). `-` stands for nothing. */
export function lsfStatus(state: string, code: string, host: string, reason: string): Listed {
  const why = reason === "" || reason === "-" ? null : reason;
  const on = host === "" || host === "-" ? null : host.replace(/^\d+\*/, "").split(":")[0]!;
  switch (state) {
    case "PEND":
    case "WAIT":
    case "PROV":
      return { phase: "pending", why };
    case "PSUSP":
    case "USUSP":
    case "SSUSP":
      return { phase: "held", why: why ?? `suspended (${state})` };
    case "RUN":
      return { phase: "running", host: on, sinceEpochS: null };
    case "ZOMBI":
      return { phase: "running", host: on, sinceEpochS: null, leaving: true };
    case "DONE":
      return { phase: "ended", exitCode: 0, why: "it completed" };
    case "EXIT": {
      const number = /^\d+$/.test(code) ? Number(code) : null;
      const words = number === null ? "removed from the queue" : `LSF says EXIT ${number}`;
      return { phase: "ended", exitCode: number, why: words };
    }
    default:
      return { phase: "pending", why: `in a state that is not known: ${state}` };
  }
}
