/** A task as a client submits it → the task that a manager runs. */
import { bufferInput, emptyDirectoryInput, fileCacheName, fileInput } from "../cache_names.ts";
import { commandInput, pieceInput, shared, urlInput } from "../cache_names.ts";
import { UsageError } from "../errors.ts";
import { type TaskId, taskId } from "../ids.ts";
import { fileFlag } from "../protocol/messages.ts";
import type { TaskInput, TaskOutput, TaskSpec } from "../scheduler/tasks.ts";
import { parseSandboxName } from "../tasklist/names.ts";
import { absolutePath, list, number, record, text, whole } from "./fields.ts";
import { nothingSaid, parseSaid, type SaidOfTask } from "./kept.ts";

export interface Submitted {
  readonly id: TaskId;
  readonly spec: TaskSpec;
  /** Folder in which its summary is kept; `null`: nowhere of its own. */
  readonly monitorOutput: string | null;
  /** For the journal; `null`: it is not to be kept. */
  readonly said: SaidOfTask | null;
}

/** The raw section of a frame, of which each buffer takes what comes next. */
export class Buffers {
  #used = 0;

  constructor(private readonly raw: Uint8Array) {}

  /** A copy: the frame is not kept for it. */
  take(size: number): Uint8Array {
    const bytes = this.raw.slice(this.#used, this.#used + size);
    if (bytes.length < size) throw new UsageError(`its buffers are longer than the raw section`);
    this.#used += size;
    return bytes;
  }

  /** Throws a UsageError if some of it belongs to no task. */
  end(): void {
    const left = this.raw.length - this.#used;
    if (left > 0) throw new UsageError(`${left} bytes of the raw section belong to no buffer`);
  }
}

/** Kinds of inputs, as Work Queue numbers them. */
const inputKind = { file: 1, buffer: 2, command: 3, piece: 4, directory: 5, url: 6 } as const;

/** Without effect here: `SYMLINK`, `PREEXIST`. */
const flagsIgnored = 2 | 4;
const flagsKnown = Object.values(fileFlag).reduce<number>((all, one) => all | one, flagsIgnored);

const none: readonly never[] = [];

/** Throws a UsageError, the end of a sentence, for what is no task. */
export function parseTask(value: unknown, buffers: Buffers): Submitted {
  const [given, command, category = "default", inputs = none, outputs = none, options] = list(
    "a task",
    value,
  );
  const id = taskId(whole("its id", given, 1));
  const word = text("its category", category);
  const shell = text("its command", command);
  const spec: TaskSpec = {
    ...optionsOf(options, shell),
    category: word,
    inputs: mapped(list("its inputs", inputs), (one, i) => inputOf(one, `${id}.${i}`, buffers)),
    outputs: mapped(list("its outputs", outputs), (one, i) => outputOf(one, `${id}.out${i}`)),
    retriesMax: 0,
    exitCodeIsData: true,
  };
  const { monitor_output: kept, journal } = options === undefined ? {} : record("options", options);
  return {
    id,
    spec,
    monitorOutput: kept === undefined ? null : absolutePath("the folder", kept),
    said: journal === undefined ? nothingSaid : parseSaid(journal),
  };
}

/** One empty list for all tasks without files: of a million it is felt. */
function mapped<B>(from: readonly unknown[], map: (one: unknown, i: number) => B): readonly B[] {
  return from.length === 0 ? none : from.map(map);
}

type FromOptions = Omit<
  TaskSpec,
  "category" | "inputs" | "outputs" | "retriesMax" | "exitCodeIsData"
>;

const nothingDeclared: TaskSpec["request"] = {};

function optionsOf(value: unknown, command: string): FromOptions {
  if (value === undefined) return { command, priority: 0, request: nothingDeclared, env: none };
  const options = record("its options", value);
  const spec: { -readonly [K in keyof FromOptions]: FromOptions[K] } = {
    command,
    priority: 0,
    request: nothingDeclared,
    env: none,
  };
  const request: { -readonly [K in keyof TaskSpec["request"]]: TaskSpec["request"][K] } = {};
  const features: string[] = [];
  for (const [key, option] of Object.entries(options)) {
    switch (key) {
      case "cores":
      case "gpus":
        if (number(key, option) >= 0) request[key] = number(key, option);
        break;
      case "memory":
      case "disk":
        if (number(key, option) >= 0) request[`${key}Mb`] = number(key, option);
        break;
      case "priority":
        spec.priority = number(key, option);
        break;
      case "max_retries":
        if (whole(key, option) >= 1) spec.dispatchesMax = whole(key, option);
        break;
      case "end_time":
        if (number(key, option) >= 1) spec.endTimeMs = number(key, option) / 1000;
        break;
      case "start_time_min":
        if (number(key, option) >= 1) spec.notBeforeMs = number(key, option) / 1000;
        break;
      case "running_time":
        if (number(key, option) > 0) spec.wallTimeMs = number(key, option) / 1000;
        break;
      case "running_time_min":
        if (number(key, option) > 0) spec.wallTimeMinMs = number(key, option) * 1000;
        break;
      case "env":
        Object.assign(spec, environmentOf(record(key, option), spec.command));
        break;
      case "features":
        for (const name of list(key, option)) features.push(text("a feature", name));
        break;
      case "coprocess":
        spec.coprocess = `wq_worker_coprocess:${text(key, option)}`;
        features.push(spec.coprocess);
        break;
      case "tag":
      case "algorithm":
      case "monitor_output":
      case "journal":
        break;
      default:
        throw new UsageError(`there is no option ${JSON.stringify(key)} of tasks`);
    }
  }
  if (Object.keys(request).length > 0) spec.request = request;
  if (features.length > 0) spec.features = features;
  return spec;
}

/** The wire can set variables only; the shell of the command unsets the others. */
function environmentOf(
  env: Readonly<Record<string, unknown>>,
  command: string,
): Pick<TaskSpec, "env" | "command"> {
  const set: string[] = [];
  const unset: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || /[=\0]/.test(name)) {
      throw new UsageError(`${JSON.stringify(name)} is no name of a variable`);
    }
    if (value !== null) set.push(`${name}=${text(`the variable ${name}`, value)}`);
    // No shell knows a variable of another name.
    else if (/^[A-Za-z_]\w*$/.test(name)) unset.push(name);
  }
  return {
    env: set,
    command: unset.length === 0 ? command : `unset ${unset.join(" ")}; ${command}`,
  };
}

function inputOf(value: unknown, own: string, buffers: Buffers): TaskInput {
  const [which, source, name, flags = 0, first = 0, last = 0] = list("an input", value);
  const options = {
    sandboxName: sandboxName(name),
    owner: (flagsOf(flags) & fileFlag.cache) !== 0 ? shared : own,
  };
  switch (which) {
    case inputKind.file:
      return fileInput(absolutePath("the path of an input", source), options);
    case inputKind.buffer:
      return bufferInput(buffers.take(whole("the size of a buffer", source, 0)), options);
    case inputKind.command:
      return commandInput(text("the command of an input", source), options);
    case inputKind.piece: {
      const path = absolutePath("the path of an input", source);
      const range = { first: whole("first", first, 0), last: whole("last", last, 0) };
      return pieceInput(path, range, options);
    }
    case inputKind.directory:
      return emptyDirectoryInput({ ...options, owner: own });
    case inputKind.url:
      return urlInput(text("the url of an input", source), options);
    default:
      throw new UsageError(`there is no kind ${JSON.stringify(which)} of inputs`);
  }
}

function outputOf(value: unknown, own: string): TaskOutput {
  const [path, name, flags = 0] = list("an output", value);
  const to = absolutePath("the path of an output", path).replace(/(?<=.)\/+$/, "");
  const bits = flagsOf(flags);
  const cache = (bits & fileFlag.cache) !== 0;
  return {
    sandboxName: sandboxName(name),
    // The name of the same path as an input: a task that has it as one finds it where it was made.
    cacheName: fileCacheName(to, cache ? shared : own),
    path: to,
    when: (bits & fileFlag.failureOnly) !== 0
      ? "failure"
      : (bits & fileFlag.successOnly) !== 0
      ? "success"
      : "always",
    ...(cache && { cache }),
    ...((bits & fileFlag.watch) !== 0 && { watch: true }),
  };
}

function flagsOf(value: unknown): number {
  const flags = whole("the flags of a file", value, 0);
  if ((flags & ~flagsKnown) === 0) return flags;
  throw new UsageError(`the flags of a file are ${flags}, with bits that mean nothing`);
}

/** `./x` is `x`; what leads out of the sandbox stays, and fails its own task only. */
function sandboxName(value: unknown): string {
  const name = text("the remote name of a file", value);
  try {
    return parseSandboxName(name);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return name;
  }
}
