/**
 * A processor in any language: `processor: {command: …}`. The command is run by /bin/sh in the
 * task's sandbox. It finds its chunk (a ProcessJob) in job.json, also named by `$WQX_JOB`, and
 * leaves its accumulator as JSON in result.json, also named by `$WQX_RESULT`. What it prints goes
 * to the task's own output, and an exit code other than 0 fails the task.
 */
import { join } from "node:path";
import {
  commandResultFileName,
  jobFileName,
  type Outcome,
  type ProcessJob,
  resultFileName,
} from "../core/analysis/job.ts";
import { type Accumulator, encode, fromJson } from "../core/accumulator.ts";
import { messageOf } from "../core/errors.ts";
import { TaskFailure } from "./failure.ts";
import { writeWhole } from "./sandbox.ts";

/** Runs the command and puts what it left into result.acc. Throws TaskFailure. */
export async function processByCommand(job: ProcessJob, command: string): Promise<Outcome> {
  await run(command);
  const accumulator = parsed(command, await resultOf(command));
  await writeWhole(resultFileName, encode(accumulator));
  return { ok: true, kind: "process", events: job.stop - job.start, bytesRead: 0 };
}

async function run(command: string): Promise<void> {
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", command],
    env: {
      WQX_JOB: join(Deno.cwd(), jobFileName),
      WQX_RESULT: join(Deno.cwd(), commandResultFileName),
    },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const { code, signal } = await child.status;
  if (signal !== null) throw failed(command, `was killed by ${signal}`);
  if (code !== 0) throw failed(command, `ended with exit code ${code}`);
}

async function resultOf(command: string): Promise<string> {
  try {
    return await Deno.readTextFile(commandResultFileName);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw failed(
      command,
      `ended with exit code 0 but left no ${commandResultFileName}: ` +
        `write the accumulator, as JSON, to "$WQX_RESULT"`,
    );
  }
}

function parsed(command: string, text: string): Accumulator {
  try {
    return fromJson(JSON.parse(text));
  } catch (error) {
    throw failed(
      command,
      `ended with exit code 0, but its ${commandResultFileName} is no accumulator: ` +
        messageOf(error),
    );
  }
}

function failed(command: string, how: string): TaskFailure {
  return new TaskFailure({
    whose: "processor",
    message: `The command ${JSON.stringify(command)} ${how}`,
  });
}
