/**
 * One task of an analysis, in its sandbox: job.json in; outcome.json out, whatever happens, and for
 * processing and accumulating the partial result in result.acc. Each kind loads only what it needs,
 * because every task pays for its start.
 */
import {
  type Job,
  jobFileName,
  type Outcome,
  outcomeFileName,
  type TaskFault,
  x509ProxyFileName,
} from "../core/analysis/job.ts";
import { messageOf } from "../core/errors.ts";
import { faultOf, TaskFailure } from "./failure.ts";
import { writeWhole } from "./sandbox.ts";

/**
 * Runs the job found in the working folder and writes what came of it; also returns it.
 * Throws only if outcome.json cannot be written.
 */
export async function runTaskHere(): Promise<Outcome> {
  const outcome = await outcomeHere();
  await writeWhole(outcomeFileName, new TextEncoder().encode(JSON.stringify(outcome)));
  return outcome;
}

async function outcomeHere(): Promise<Outcome> {
  let job: Job | null = null;
  makeProxyAbsolute();
  try {
    job = await jobHere();
    return await run(job);
  } catch (error) {
    return { ok: false, error: named(faultOf(error), job) };
  }
}

/** The manager names it as it lies in the sandbox, and a processor may work elsewhere. */
function makeProxyAbsolute(): void {
  const proxy = Deno.env.get("X509_USER_PROXY");
  if (proxy === x509ProxyFileName) Deno.env.set("X509_USER_PROXY", `${Deno.cwd()}/${proxy}`);
}

/** The fault with the data file called as the analysis calls it, not by its name in the sandbox. */
function named(fault: TaskFault, job: Job | null): TaskFault {
  if (job === null || !("open" in job)) return fault;
  const { open, file } = job;
  return {
    ...fault,
    message: fault.message.replaceAll(JSON.stringify(open), () => JSON.stringify(file)),
  };
}

/** The manager wrote it, perhaps one of another version: only its kind is doubted, in `run`. */
async function jobHere(): Promise<Job> {
  const text = await Deno.readTextFile(jobFileName);
  try {
    return JSON.parse(text) as Job;
  } catch (error) {
    throw internal(`Cannot read ${jobFileName}: ${messageOf(error)}`);
  }
}

async function run(job: Job): Promise<Outcome> {
  switch (job.kind) {
    case "preprocess":
      return (await import("./preprocess.ts")).preprocess(job);
    case "process": {
      const { processor } = job;
      return "command" in processor
        ? (await import("./command.ts")).processByCommand(job, processor.command)
        : (await import("./process.ts")).processChunk(job, processor.module);
    }
    case "accumulate":
      return (await import("./accumulate.ts")).accumulate(job);
    default:
      job satisfies never;
      throw internal(
        `Unknown kind of task ${JSON.stringify(Reflect.get(job, "kind"))}: ` +
          "manager and worker are not of the same version of wqx",
      );
  }
}

function internal(message: string): TaskFailure {
  return new TaskFailure({ whose: "internal", message });
}
