/** A task and its box as one task block of the wire. */
import type { TaskId } from "../ids.ts";
import { PeerProtocolError } from "../errors.ts";
import {
  blockBytesMax,
  fileFlag,
  lineBytesMax,
  type TaskBlock,
  type TaskFile,
} from "../protocol/messages.ts";
import { checkCacheName, checkSandboxName } from "../protocol/names.ts";
import { encodeToWorker, textToWorker } from "../protocol/to_worker.ts";
import { noResources, type Resources } from "../resources.ts";
import type { TaskInput, TaskOutput, TaskSpec } from "./tasks.ts";

/** The inputs that a worker is to have: those of wqx need not be given wqx itself. */
export function inputsFor(spec: TaskSpec, speaksWqx: boolean): readonly TaskInput[] {
  return speaksWqx ? spec.inputs.filter((input) => !input.onlyForeign) : spec.inputs;
}

/** `inputs`: those that the worker is to have; `variables` of ours besides the task's; `key`, `kept`: see {@link TaskBlock}. */
export function blockOf(
  taskId: TaskId,
  spec: TaskSpec,
  box: Resources,
  inputs: readonly TaskInput[],
  { variables = [], key, kept = false }: {
    readonly variables?: readonly string[];
    readonly key?: string | undefined;
    readonly kept?: boolean;
  } = {},
): TaskBlock {
  const files: TaskFile[] = [];
  const directories: string[] = [];
  for (const input of inputs) {
    if (input.source.kind === "empty directory") directories.push(input.sandboxName);
    else files.push(fileOf(input, input.cache ? fileFlag.cache : fileFlag.none));
  }
  return {
    type: "task",
    taskId,
    ...(key !== undefined && { key }),
    ...(kept && { kept }),
    command: spec.command,
    ...(spec.coprocess !== undefined && { coprocess: spec.coprocess }),
    category: spec.category,
    cores: box.cores,
    gpus: box.gpus,
    memoryMb: box.memoryMb,
    diskMb: box.diskMb,
    endTimeMs: spec.endTimeMs ?? null,
    wallTimeMs: spec.wallTimeMs ?? null,
    env: variables.length === 0 ? spec.env : [...spec.env, ...variables],
    inputs: files,
    directories,
    outputs: spec.outputs.map((output) => fileOf(output, flagsOf(output))),
  };
}

function flagsOf({ cache, watch, when }: TaskOutput): number {
  return (cache ? fileFlag.cache : 0) | (watch ? fileFlag.watch : 0) |
    (when === "failure" ? fileFlag.failureOnly : when === "success" ? fileFlag.successOnly : 0);
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
  try {
    return (hasFiles(spec) ? whyFilesUnsendable(spec) : null) ?? whyTooLong(id, spec);
  } catch (error) {
    if (error instanceof RangeError || error instanceof PeerProtocolError) return error.message;
    throw error;
  }
}

function hasFiles({ inputs, outputs }: TaskSpec): boolean {
  return inputs.length > 0 || outputs.length > 0;
}

function whyFilesUnsendable({ inputs, outputs }: TaskSpec): string | null {
  const twice = firstRepeated(inputs.map((input) => input.sandboxName));
  if (twice !== null) return `two of its inputs have the sandbox name ${twice}`;
  const spaced = inputs.find(({ source, sandboxName }) =>
    source.kind === "empty directory" && /\s/.test(sandboxName)
  );
  if (spaced !== undefined) {
    return `the name of its directory ${JSON.stringify(spaced.sandboxName)} has white space, ` +
      "which the protocol cannot carry";
  }
  const files = [...inputs, ...outputs];
  const odd = files.find((file) => !/^[A-Za-z0-9._-]+$/.test(file.cacheName));
  if (odd !== undefined) return `the cached name ${JSON.stringify(odd.cacheName)} is not plain`;
  for (const { cacheName, sandboxName } of files) {
    checkCacheName(cacheName);
    checkSandboxName(sandboxName);
  }
  for (const { source, cacheName } of inputs) {
    if (source.kind === "command") {
      if (!source.command.includes("%%")) {
        return `the command ${
          JSON.stringify(source.command)
        } of an input has no %%, the file to make`;
      }
      const { command } = source;
      textToWorker({ type: "fetch", from: "command", source: command, cacheName, mode: 0 });
    }
    if (source.kind !== "url") continue;
    if (/[\0\r\n]/.test(source.url)) return `the URL ${JSON.stringify(source.url)} has line ends`;
    textToWorker({ type: "fetch", from: "url", source: source.url, cacheName, mode: 0 });
  }
  return null;
}

function whyTooLong(id: TaskId, spec: TaskSpec): string | null {
  const { command, category, env } = spec;
  // Where all of it would fit into one line, no line is too long.
  const isShort = !hasFiles(spec) && env.length === 0 &&
    (command.length + category.length) * 3 <= lineBytesMax / 2;
  if (isShort) return null;
  const { length } = encodeToWorker(blockOf(id, spec, noResources, spec.inputs));
  if (length <= blockBytesMax) return null;
  return `its command, environment and names take ${length} bytes; workers accept ${blockBytesMax}`;
}

function firstRepeated(names: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return null;
}
