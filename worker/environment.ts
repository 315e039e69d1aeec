/** The environment of a task's command: the worker's own, then the task's, then what we promise. */
import type { TaskBlock } from "../core/protocol/messages.ts";

export interface Folders {
  readonly workspace: string;
  /** In the sandbox. */
  readonly temporary: string;
  /** An executable that starts this same wqx. */
  readonly wqx: string;
}

/** What tasks inherit of this process: all but the display. */
export function ownEnvironment(): Record<string, string> {
  const { DISPLAY: _, ...own } = Deno.env.toObject();
  return own;
}

/**
 * `own`: what tasks inherit. Names and order as in Work Queue: resources override what the task
 * sets, temporary folders override both. `WQX` is ours.
 */
export function environmentOf(
  task: TaskBlock,
  own: Readonly<Record<string, string>>,
  { workspace, temporary, wqx }: Folders,
): Record<string, string> {
  const env: Record<string, string> = { ...own };
  env.WORK_QUEUE_SANDBOX ??= workspace;
  env.WORKER_TMPDIR = `${workspace}/tmp`;
  for (const variable of task.env) {
    const equals = variable.indexOf("=");
    if (equals > 0) env[variable.slice(0, equals)] = variable.slice(equals + 1);
  }
  if (task.cores > 0) {
    env.CORES = String(task.cores);
    env.OMP_NUM_THREADS = String(task.cores);
  }
  if (task.memoryMb > 0) env.MEMORY = String(task.memoryMb);
  if (task.diskMb > 0) env.DISK = String(task.diskMb);
  if (task.gpus > 0) env.GPUS = String(task.gpus);
  for (const name of ["TMPDIR", "TEMP", "TMP"]) env[name] = temporary;
  env.WQX = wqx;
  return env;
}
