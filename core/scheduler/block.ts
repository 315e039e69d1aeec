/** A task and its box as one task block of the wire. */
import type { TaskId } from "../ids.ts";
import { fileFlag, type TaskBlock, type TaskFile } from "../protocol/messages.ts";
import { encodeToWorker } from "../protocol/to_worker.ts";
import { noResources, type Resources } from "../resources.ts";
import type { TaskInput, TaskOutput, TaskSpec } from "./tasks.ts";

export function blockOf(taskId: TaskId, spec: TaskSpec, box: Resources): TaskBlock {
  return {
    type: "task",
    taskId,
    command: spec.command,
    category: spec.category,
    ...box,
    env: spec.env,
    inputs: spec.inputs.map((input) => fileOf(input, input.cache ? fileFlag.cache : fileFlag.none)),
    outputs: spec.outputs.map((output) => fileOf(output, fileFlag.none)),
  };
}

function fileOf({ cacheName, sandboxName }: TaskInput | TaskOutput, flags: number): TaskFile {
  return { cacheName, sandboxName, flags };
}

/**
 * Why no worker could be told of this task, or `null`. Found out at once, so that one long name
 * fails one task (a cctools manager would abort as a whole).
 */
export function whyUnsendable(id: TaskId, spec: TaskSpec): string | null {
  if (!/^\S+$/.test(spec.category)) {
    return `its category ${JSON.stringify(spec.category)} is not a single word`;
  }
  const twice = firstRepeated(spec.inputs.map((input) => input.sandboxName));
  if (twice !== null) return `two of its inputs have the sandbox name ${twice}`;
  const odd = [...spec.inputs, ...spec.outputs].find((f) => !/^[A-Za-z0-9._-]+$/.test(f.cacheName));
  if (odd !== undefined) return `the cached name ${JSON.stringify(odd.cacheName)} is not plain`;
  try {
    encodeToWorker(blockOf(id, spec, noResources));
    return null;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

function firstRepeated(names: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}
