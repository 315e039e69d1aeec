/** Accumulating: partial results into one, and at the very end the user's `postprocess`. */
import { type AccumulateJob, type Outcome, resultFileName } from "../core/analysis/job.ts";
import { type Accumulator, decode, encode, merge } from "../core/accumulator.ts";
import { messageOf } from "../core/errors.ts";
import { TaskFailure } from "./failure.ts";
import { writeWhole } from "./sandbox.ts";

/**
 * Merges the parts in the order of the job, holding one part at a time besides the sum, and leaves
 * the sum in result.acc. Throws TaskFailure.
 */
export async function accumulate(job: AccumulateJob): Promise<Outcome> {
  const [first, ...others] = job.parts;
  if (first === undefined) throw new Error("A job to accumulate names no parts");
  let sum = await readPart(first);
  for (const part of others) sum = merged(sum, await readPart(part), part);
  if (job.postprocess) sum = await postprocessed(sum, job.postprocess.module);
  await writeWhole(resultFileName, encode(sum));
  return { ok: true, kind: "accumulate", events: 0, bytesRead: 0 };
}

async function readPart(part: string): Promise<Accumulator> {
  try {
    return decode(await Deno.readFile(part));
  } catch (error) {
    throw new TaskFailure({
      whose: "internal",
      message: `Cannot read the partial result ${part}: ${messageOf(error)}`,
    }, { cause: error });
  }
}

function merged(sum: Accumulator, next: Accumulator, part: string): Accumulator {
  try {
    return merge(sum, next);
  } catch (error) {
    throw new TaskFailure({
      whose: "processor",
      message: `Cannot merge the partial result ${part} with those before it: ` +
        `${messageOf(error)}; process() must return the same shape for every chunk`,
    }, { cause: error });
  }
}

async function postprocessed(sum: Accumulator, module: string): Promise<Accumulator> {
  const { checked, loadProcessor } = await import("./processor.ts");
  const { callUser } = await import("./user_code.ts");
  const processor = await loadProcessor(module);
  if (processor.postprocess === undefined) return sum;
  const returned = await callUser("postprocess()", module, () => processor.postprocess?.(sum));
  return checked(returned ?? sum, "postprocess()");
}
