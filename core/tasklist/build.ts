/** A listed task, and what was found out about its inputs → the task that a manager runs. */
import {
  bufferInput,
  emptyDirectoryInput,
  fileCacheName,
  fileInput,
  shared,
  urlInput,
} from "../cache_names.ts";
import type { TaskInput, TaskOutput, TaskSpec } from "../scheduler/tasks.ts";
import type { ListedInput, ListedOutput, ListedTask } from "./spec.ts";

/** A local path as it was found when the task became ready. */
export interface Found {
  readonly kind: "file" | "directory";
  /** Changes with the content: a file that was rewritten is another one for the caches. */
  readonly version: string;
}

/**
 * Cached names of outputs that stay on workers, by the local path that receives them, so that a
 * task that has the file as a cached input finds it where it was made.
 */
export type KeptOutputs = ReadonlyMap<string, string>;

/** `found` has the path of every input that has one. */
export function taskSpecOf(
  task: ListedTask,
  found: ReadonlyMap<string, Found>,
  kept: KeptOutputs,
): TaskSpec {
  const { command, category, priority, env, retriesMax, features, wallTimeMs, endTimeMs } = task;
  return {
    command,
    category,
    priority,
    request: task.request,
    inputs: mapped(task.inputs, (input, i) => inputOf(input, `${task.id}.${i}`, found, kept)),
    outputs: mapped(task.outputs, (output, i) => outputOf(task, output, i)),
    env,
    retriesMax,
    ...(features.length > 0 && { features }),
    ...(wallTimeMs !== null && { wallTimeMs }),
    ...(endTimeMs !== null && { endTimeMs }),
  };
}

/** One empty list for all tasks without files: of a million it is felt. */
function mapped<A, B>(list: readonly A[], map: (one: A, i: number) => B): readonly B[] {
  return list.length === 0 ? none : list.map(map);
}

const none: readonly never[] = [];

/** Under which name an output stays on its worker; only for those with `cache`. */
export function keptNameOf(task: ListedTask, output: ListedOutput): string {
  return fileCacheName(output.path, shared, `of task ${task.id}`);
}

function inputOf(
  { source, sandboxName, cache }: ListedInput,
  own: string,
  found: ReadonlyMap<string, Found>,
  kept: KeptOutputs,
): TaskInput {
  const options = { sandboxName, owner: cache ? shared : own };
  switch (source.kind) {
    case "path": {
      const { kind, version } = found.get(source.path)!;
      const input = fileInput(source.path, { ...options, kind, version: cache ? version : "" });
      const keptName = cache ? kept.get(source.path) : undefined;
      return keptName === undefined ? input : { ...input, cacheName: keptName };
    }
    case "buffer":
      return bufferInput(source.bytes, options);
    case "url":
      return urlInput(source.url, options);
    case "empty directory":
      return emptyDirectoryInput({ sandboxName, owner: own });
  }
}

function outputOf(task: ListedTask, output: ListedOutput, i: number): TaskOutput {
  const { path, sandboxName, when, cache, watch } = output;
  const cacheName = cache ? keptNameOf(task, output) : fileCacheName(path, `${task.id}.out${i}`);
  return {
    sandboxName,
    cacheName,
    path,
    when,
    ...(cache && { cache }),
    ...(watch && { watch }),
  };
}
