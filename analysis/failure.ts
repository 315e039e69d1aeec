/** Failures of a task, and whose fault they are. */
import type { TaskFault } from "../core/analysis/job.ts";
import { DataError, messageOf } from "../core/errors.ts";

/** A task failed for a reason that the user of the analysis must hear about. */
export class TaskFailure extends Error {
  override readonly name = "TaskFailure";
  constructor(readonly fault: TaskFault, options?: ErrorOptions) {
    super(fault.message, options);
  }
}

/** What outcome.json says of anything thrown while a task ran. */
export function faultOf(error: unknown): TaskFault {
  if (error instanceof TaskFailure) return error.fault;
  if (error instanceof DataError) {
    return { whose: "data", fault: error.fault, message: error.message };
  }
  const stack = error instanceof Error ? error.stack : undefined;
  return { whose: "internal", message: messageOf(error), ...(stack && { stack }) };
}
