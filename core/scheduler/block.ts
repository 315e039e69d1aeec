/** A task and its box as one task block of the wire. */
import type { TaskId } from "../ids.ts";
import { PeerProtocolError } from "../errors.ts";
import { blockBytesMax, fileFlag, type TaskBlock, type TaskFile } from "../protocol/messages.ts";
import { checkCacheName, checkSandboxName } from "../protocol/names.ts";
import { encodeToWorker } from "../protocol/to_worker.ts";
import { noResources, type Resources } from "../resources.ts";
import type { TaskInput, TaskOutput, TaskSpec } from "./tasks.ts";

/** The inputs that a worker is to have: those of wqx need not be given wqx itself. */
export function inputsFor(spec: TaskSpec, speaksWqx: boolean): readonly TaskInput[] {
  return speaksWqx ? spec.inputs.filter((input) => !input.onlyForeign) : spec.inputs;
}

export function blockOf(
  taskId: TaskId,
  spec: TaskSpec,
  box: Resources,
  speaksWqx: boolean,
): TaskBlock {
  const inputs = inputsFor(spec, speaksWqx);
  return {
    type: "task",
    taskId,
    command: spec.command,
    category: spec.category,
    ...box,
    endTimeMs: spec.endTimeMs ?? null,
    wallTimeMs: spec.wallTimeMs ?? null,
    env: spec.env,
    inputs: inputs.filter((input) => input.source.kind !== "empty directory").map((input) =>
      fileOf(input, input.cache ? fileFlag.cache : fileFlag.none)
    ),
    directories: inputs.filter((input) => input.source.kind === "empty directory")
      .map((input) => input.sandboxName),
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
  const twice = firstRepeated(spec.inputs.map((input) => input.sandboxName));
  if (twice !== null) return `two of its inputs have the sandbox name ${twice}`;
  const spaced = spec.inputs.find(({ source, sandboxName }) =>
    source.kind === "empty directory" && /\s/.test(sandboxName)
  );
  if (spaced !== undefined) {
    return `the name of its directory ${JSON.stringify(spaced.sandboxName)} has white space, ` +
      "which the protocol cannot carry";
  }
  const odd = [...spec.inputs, ...spec.outputs].find((f) => !/^[A-Za-z0-9._-]+$/.test(f.cacheName));
  if (odd !== undefined) return `the cached name ${JSON.stringify(odd.cacheName)} is not plain`;
  try {
    for (const { cacheName, sandboxName } of [...spec.inputs, ...spec.outputs]) {
      checkCacheName(cacheName);
      checkSandboxName(sandboxName);
    }
    for (const { source, cacheName } of spec.inputs) {
      if (source.kind !== "url") continue;
      if (/[\0\r\n]/.test(source.url)) return `the URL ${JSON.stringify(source.url)} has line ends`;
      const fetch = { type: "fetch", from: "url", source: source.url, cacheName, mode: 0 } as const;
      encodeToWorker(fetch);
    }
    const { length } = encodeToWorker(blockOf(id, spec, noResources, false));
    if (length <= blockBytesMax) return null;
    return `its command, environment and names take ${length} bytes; workers accept ${blockBytesMax}`;
  } catch (error) {
    if (error instanceof RangeError || error instanceof PeerProtocolError) return error.message;
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
