/** Nothing runs: what would have been is written to `dryrun.log` and told, and every job is over. */
import type { BatchContext, BatchSystem, JobId, JobStatus, WorkerJob } from "./batch_system.ts";
import { quoted } from "../../core/shell_words.ts";

export function openDryrun(context: BatchContext): BatchSystem {
  let submitted = 0;
  return {
    name: "dryrun",
    async check() {},
    async submit(job: WorkerJob): Promise<JobId> {
      const line = dryLine(job);
      await Deno.writeTextFile(`${context.scratch}/dryrun.log`, `${line}\n`, { append: true });
      context.note(`Would run: ${line}`);
      return String(++submitted) as JobId;
    },
    status(ids) {
      const over: JobStatus = { phase: "ended", exitCode: 0, why: "nothing was run" };
      return Promise.resolve(new Map(ids.map((id) => [id, over])));
    },
    async remove() {},
    find: () => Promise.resolve([]),
  };
}

/** The job as one line for a shell, its environment before it. */
export function dryLine(job: WorkerJob): string {
  const variables = Object.entries(job.env).map(([name, value]) => `${name}=${quoted(value)} `);
  const env = variables.length === 0 ? "" : `env ${variables.join("")}`;
  return `${env}sh -c ${quoted(job.command)}`;
}
