/** One checked entry of a list → a task, wherever the list comes from. */
import { UsageError } from "../core/errors.ts";
import { defaultSandboxName, parseSandboxName } from "../core/tasklist/names.ts";
import type {
  Dependency,
  ListedInput,
  ListedOutput,
  ListedSource,
  ListedTask,
} from "../core/tasklist/spec.ts";
import { definedOnly, type Overrides } from "./run_options.ts";
import { type Path, resolveFrom } from "./source_file.ts";
import type { CommonYaml, InputYaml, OutputYaml, TaskYaml } from "./task_list_schema.ts";

/** What holds for all tasks of a list. */
export interface ListContext {
  /** Where relative paths start. */
  readonly folder: string;
  readonly defaults: CommonYaml | null;
  readonly overrides: Overrides;
}

/** Notes that something is wrong at a place in the entry. */
export type ComplainAt = (at: Path, text: string) => void;

/** A command that fails once will fail again, more often than not. */
const retriesDefault = 0;

export function listedTask(
  yaml: TaskYaml,
  id: number,
  after: readonly Dependency[],
  { folder, defaults, overrides }: ListContext,
  complain: ComplainAt,
): ListedTask {
  const { name = null, tag = null, command } = yaml;
  const inputs = yaml.inputs.map((input, i) =>
    inputOf(input, folder, (at, text) => complain(["inputs", i, ...at], text))
  );
  const outputs = yaml.outputs.map((output, i) =>
    outputOf(output, folder, (at, text) => complain(["outputs", i, ...at], text))
  );
  checkNames(inputs, outputs, complain);
  const env = { ...defaults?.env, ...yaml.env };
  const environment = yaml.environment ?? defaults?.environment;
  return {
    id,
    name,
    tag,
    command,
    ...environment !== undefined && {
      environment: { path: localPath(folder, environment), written: environment },
    },
    after: orNone(after),
    inputs: orNone(inputs),
    outputs: orNone(outputs),
    env: orNone(Object.entries(env).map(([variable, value]) => `${variable}=${value}`)),
    request: definedOnly({
      cores: yaml.resources.cores ?? overrides.cores ?? defaults?.resources.cores,
      memoryMb: yaml.resources.memory ?? overrides.memoryMb ?? defaults?.resources.memory,
      diskMb: yaml.resources.disk ?? overrides.diskMb ?? defaults?.resources.disk,
      gpus: yaml.resources.gpus ?? overrides.gpus ?? defaults?.resources.gpus,
    }),
    category: yaml.category ?? defaults?.category ?? "default",
    priority: yaml.priority ?? defaults?.priority ?? 0,
    retriesMax: yaml.retries ?? overrides.retries ?? defaults?.retries ?? retriesDefault,
    features: orNone(yaml.features ?? defaults?.features ?? []),
    wallTimeMs: yaml.wall_time ?? defaults?.wall_time ?? null,
    endTimeMs: yaml.end_time ?? defaults?.end_time ?? null,
  };
}

const none: readonly never[] = [];

/** One empty list for all of them: of a million tasks it is felt. */
function orNone<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? none : list;
}

function inputOf({ from, remoteName, cache }: InputYaml, folder: string, complain: ComplainAt) {
  return {
    source: sourceOf(from, folder, complain),
    sandboxName: sandboxNameOf(remoteName, defaultNameOf(from), complain),
    cache,
  } satisfies ListedInput;
}

function sourceOf(from: InputYaml["from"], folder: string, complain: ComplainAt): ListedSource {
  switch (from.kind) {
    case "buffer":
      return { kind: "buffer", bytes: new TextEncoder().encode(from.text) };
    case "empty_dir":
      return { kind: "empty directory" };
    case "url":
      if (!/^(https?|ftp):\/\/[^\s/]+/i.test(from.url)) {
        complain(["url"], `"${from.url}" is not a URL: it starts with http://, https:// or ftp://`);
      }
      return { kind: "url", url: from.url };
    default: {
      const as = from.kind === "dir" ? "directory" : from.kind;
      return { kind: "path", path: localPath(folder, from.path), as, written: from.path };
    }
  }
}

/** `null` where there is nothing to take it from. */
function defaultNameOf(from: InputYaml["from"]): string | null {
  switch (from.kind) {
    case "buffer":
      return null;
    case "empty_dir":
      return from.name;
    case "url":
      return defaultSandboxName(from.url.replace(/[?#].*$/, "").replace(/^\w+:\/\/[^/]*/, ""));
    default:
      return defaultSandboxName(from.path);
  }
}

function outputOf(
  { path, remoteName, when, cache, watch }: OutputYaml,
  folder: string,
  complain: ComplainAt,
): ListedOutput {
  return {
    path: localPath(folder, path),
    sandboxName: sandboxNameOf(remoteName, defaultSandboxName(path), complain),
    when,
    cache,
    watch,
  };
}

/** Without a slash at the end, so that a folder has one name. */
function localPath(folder: string, written: string): string {
  return resolveFrom(folder, written).replace(/(?<=.)\/+$/, "");
}

function sandboxNameOf(
  given: string | undefined,
  otherwise: string | null,
  complain: ComplainAt,
): string {
  const name = given ?? otherwise ?? "";
  if (name === "") {
    complain([], "there is no remote_name, its name in the sandbox");
    return name;
  }
  try {
    return parseSandboxName(name);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(given === undefined ? [] : ["remote_name"], error.message);
    return name;
  }
}

/** As Work Queue refuses it: what one name stands for must be clear. */
function checkNames(
  inputs: readonly ListedInput[],
  outputs: readonly ListedOutput[],
  complain: ComplainAt,
): void {
  const names = new Set<string>();
  const paths = new Set<string>();
  for (const [i, { sandboxName }] of inputs.entries()) {
    if (names.has(sandboxName)) {
      complain(["inputs", i], `two inputs are called "${sandboxName}" in the sandbox`);
    }
    names.add(sandboxName);
  }
  for (const [i, { sandboxName, path }] of outputs.entries()) {
    if (names.has(sandboxName)) {
      complain(["outputs", i], `an input is called "${sandboxName}" in the sandbox, too`);
    }
    if (paths.has(path)) complain(["outputs", i], `two outputs go to "${path}"`);
    paths.add(path);
  }
}
