/** Short ways to listed tasks. */
import type { ListedInput, ListedOutput, ListedTask } from "../../core/tasklist/spec.ts";
import { bytesOf } from "./builders.ts";

/** A task that comes after others, which it names by their numbers. */
export function listed(
  id: number,
  after: readonly number[] = [],
  options: Partial<ListedTask> = {},
): ListedTask {
  return {
    id,
    name: null,
    tag: null,
    command: "true",
    after: after.map((other) => ({ id: other, named: other })),
    inputs: [],
    outputs: [],
    env: [],
    request: {},
    category: "default",
    priority: 0,
    retriesMax: 0,
    features: [],
    wallTimeMs: null,
    endTimeMs: null,
    ...options,
  };
}

export function localInput(path: string, options: Partial<ListedInput> = {}): ListedInput {
  const source = { kind: "path", path, as: "any", written: path } as const;
  return { source, sandboxName: path.slice(path.lastIndexOf("/") + 1), cache: false, ...options };
}

export function textInput(text: string, options: Partial<ListedInput> = {}): ListedInput {
  const source = { kind: "buffer", bytes: bytesOf(text) } as const;
  return { source, sandboxName: "text", cache: false, ...options };
}

export function localOutput(path: string, options: Partial<ListedOutput> = {}): ListedOutput {
  const sandboxName = path.slice(path.lastIndexOf("/") + 1);
  return { path, sandboxName, when: "success", cache: false, watch: false, ...options };
}
