/** Short ways to the data and machines that core tests are about. */
import { sizingOf } from "../../core/allocation/sizing.ts";
import type { Item } from "../../core/analysis/items.ts";
import type { Ended } from "../../core/analysis/run.ts";
import type { AnalysisSpec, InputFile } from "../../core/analysis/spec.ts";
import { type TaskId, taskId, type WorkerId, workerId } from "../../core/ids.ts";
import type { CachePlace, TaskBlock, ToManager, ToWorker } from "../../core/protocol/messages.ts";
import type { Resources } from "../../core/resources.ts";
import type { ManagerAction, ManagerEvent, Stored } from "../../core/scheduler/actions.ts";
import { checkScheduler } from "../../core/scheduler/check.ts";
import { defaultLimits, type Limits } from "../../core/scheduler/limits.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import type { SchedulerOptions } from "../../core/scheduler/state.ts";
import type {
  Attempt,
  TaskEnd,
  TaskInput,
  TaskOutput,
  TaskSpec,
} from "../../core/scheduler/tasks.ts";
import type {
  Exit,
  WorkerAction,
  WorkerEvent,
  WorkerIdentity,
  WorkerLimits,
} from "../../core/worker/actions.ts";
import { WorkerMachine } from "../../core/worker/machine.ts";

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

export function resources(cores: number, memoryMb = 2000, diskMb = 4000, gpus = 0): Resources {
  return { cores, memoryMb, diskMb, gpus };
}

/** An input of its own; `cached` ones are shared by name. */
export function input(name: string, options: Partial<TaskInput> = {}): TaskInput {
  const source = { kind: "buffer", bytes: bytesOf(name), mode: 0o644 } as const;
  return { source, cacheName: `in-${name}`, sandboxName: name, cache: false, ...options };
}

export function cached(name: string): TaskInput {
  return input(name, { cache: true });
}

export function output(name: string, options: Partial<TaskOutput> = {}): TaskOutput {
  const path = `/run/${name}`;
  return { sandboxName: name, cacheName: `out-${name}`, path, when: "success", ...options };
}

export function taskSpec(options: Partial<TaskSpec> = {}): TaskSpec {
  return {
    command: "true",
    category: "default",
    priority: 0,
    request: { cores: 1 },
    inputs: [],
    outputs: [],
    env: [],
    retriesMax: 0,
    ...options,
  };
}

export function taskBlock(id: number, options: Partial<TaskBlock> = {}): TaskBlock {
  return {
    type: "task",
    taskId: id,
    command: "true",
    category: "default",
    cores: 1,
    gpus: 0,
    memoryMb: 500,
    diskMb: 1000,
    endTimeMs: null,
    wallTimeMs: null,
    env: [],
    inputs: [],
    directories: [],
    outputs: [],
    ...options,
  };
}

/** How a task went, as its worker tells it. */
export interface Told {
  readonly status?: number;
  readonly exitCode?: number;
  readonly wallUs?: number;
  readonly printed?: string;
  /** Sandbox names of outputs that are not there. */
  readonly missing?: readonly string[];
}

/** A scheduler with a clock that stands still, whose state is checked after every event. */
export class ManagerProbe {
  readonly scheduler: Scheduler;
  nowMs = 0;
  #actions: ManagerAction[] = [];
  #nextTask = 1;
  #nextWorker = 1;
  /** Asked of each worker and not answered yet: cached names. */
  readonly #gets = new Map<WorkerId, string[]>();

  constructor(
    limits: Partial<Limits> = {},
    options: Partial<Omit<SchedulerOptions, "limits">> = {},
  ) {
    this.scheduler = new Scheduler({ limits: { ...defaultLimits, ...limits }, ...options });
  }

  handle(event: ManagerEvent): ManagerAction[] {
    return this.#keep(this.scheduler.handle(event, this.nowMs));
  }

  schedule(): ManagerAction[] {
    return this.#keep(this.scheduler.schedule(this.nowMs));
  }

  /** What was done since the last call. */
  take(): ManagerAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** Which tasks are dispatched where now, in order. */
  dispatched(): string[] {
    return only(this.schedule(), "dispatch").map(({ worker, id }) => `${id} on ${worker}`);
  }

  /** The tasks that came back since the last call of this or of `take`. */
  ends(): [TaskId, TaskEnd][] {
    return only(this.take(), "returned").map(({ task, end }) => [task.id, end]);
  }

  submit(options: Partial<TaskSpec> = {}): TaskId {
    const id = taskId(this.#nextTask++);
    this.handle({ type: "submitted", id, spec: taskSpec(options) });
    return id;
  }

  cancel(id: TaskId): ManagerAction[] {
    return this.handle({ type: "cancel", id });
  }

  open(): WorkerId {
    const worker = workerId(`w${this.#nextWorker++}`);
    this.#gets.set(worker, []);
    this.handle({ type: "link_opened", worker, address: `10.0.0.${this.#nextWorker - 1}:4000` });
    return worker;
  }

  /** A worker of this size connects and greets; its host is named like its link. */
  join(size: Resources = resources(4), host?: string): WorkerId {
    const worker = this.open();
    for (const message of greeting(host ?? worker, size)) this.receive(worker, message);
    return worker;
  }

  receive(worker: WorkerId, message: ToManager): ManagerAction[] {
    return this.handle({ type: "received", worker, message });
  }

  close(worker: WorkerId, why = "it closed the connection"): ManagerAction[] {
    return this.handle({ type: "link_closed", worker, why });
  }

  after(seconds: number): ManagerAction[] {
    this.nowMs += seconds * 1000;
    return this.handle({ type: "tick" });
  }

  /** The worker tells of tasks that ended, and gives their outputs. */
  finish(worker: WorkerId, ids: TaskId | readonly TaskId[], told: Told = {}): ManagerAction[] {
    const before = this.#actions.length;
    this.receive(worker, { type: "available_results" });
    for (const id of typeof ids === "number" ? [ids] : ids) this.result(worker, id, told);
    this.receive(worker, { type: "end" });
    this.answer(worker, told);
    return this.#actions.slice(before);
  }

  /** A `result` with its payload. */
  result(worker: WorkerId, id: TaskId, told: Told = {}): void {
    const { status = 0, exitCode = 0, wallUs = 0, printed = "" } = told;
    const bytes = bytesOf(printed);
    const sizes = { status, exitCode, wallUs, length: bytes.length };
    this.receive(worker, { type: "result", taskId: id, ...sizes });
    this.stored(worker, { kind: "printed", bytes });
  }

  /** Answers every `get` that is not answered yet. */
  answer(worker: WorkerId, { missing = [] }: Told = {}): void {
    for (const path of this.#gets.get(worker)!.splice(0)) {
      if (missing.some((name) => path === `out-${name}`)) {
        this.receive(worker, { type: "missing", path, errno: 2 });
      } else {
        this.receive(worker, { type: "file", path, length: 1 });
        this.stored(worker, { kind: "file" });
      }
      this.receive(worker, { type: "end" });
    }
  }

  stored(worker: WorkerId, stored: Stored): ManagerAction[] {
    return this.handle({ type: "stored", worker, stored });
  }

  #keep(actions: ManagerAction[]): ManagerAction[] {
    this.#actions.push(...actions);
    for (const action of actions) {
      if (action.type === "send" && action.message.type === "get") {
        this.#gets.get(action.worker)!.push(action.message.cacheName);
      }
    }
    checkScheduler(this.scheduler);
    return actions;
  }
}

/** Of an attempt without files. */
export const nothingMoved: Attempt["moved"] = {
  address: "10.0.0.1:4000",
  sentBytes: 0,
  sentMs: null,
  reportedMs: null,
  receivedBytes: 0,
};

/** A task that is alone on a worker of one core. */
export function runningTask(options: Partial<TaskSpec> = {}): {
  probe: ManagerProbe;
  worker: WorkerId;
  id: TaskId;
} {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(1));
  const id = probe.submit(options);
  probe.schedule();
  return { probe, worker, id };
}

export function greeting(hostname: string, size: Resources): ToManager[] {
  const resource = (name: string, total: number): ToManager => (
    { type: "resource", name, total, smallest: total, largest: total }
  );
  return [
    { type: "workqueue", protocol: 11, hostname, os: "Linux", arch: "x86_64", version: "8.0.0" },
    resource("workers", 1),
    resource("disk", size.diskMb),
    resource("memory", size.memoryMb),
    resource("gpus", size.gpus),
    resource("cores", size.cores),
    { type: "resource tag", tag: 0 },
    { type: "info", key: "worker-end-time", value: "0" },
  ];
}

/** Actions as short words, for comparing whole sequences. */
export function brief(actions: readonly ManagerAction[]): string[] {
  return actions.map((action) => {
    switch (action.type) {
      case "send":
        return `${action.worker}: ${briefMessage(action.message)}`;
      case "answer_name":
        return `${action.worker}: (its name)`;
      case "dispatch":
        return `${action.worker}: ${
          [...action.inputs.map((i) => `put ${i.cacheName}`), `task ${action.id}`].join(", ")
        }`;
      case "fill":
        return `${action.worker}: fill ${action.offer.cacheName}: ${action.lacking.join(" ")}`;
      case "receive":
        return `${action.worker}: receive ${
          "path" in action.into ? action.into.path : action.into.kind
        }`;
      case "make_directory":
        return `${action.worker}: make ${action.path}`;
      case "answer_status":
        return `${action.worker}: answer ${action.question.type}`;
      case "too_large":
        return `too large: ${action.id}`;
      case "host_blocked":
        return `block ${action.host}`;
      case "close":
        return `${action.worker}: close`;
      case "attempt_ended":
        return `attempt of ${action.id}: ${action.attempt.ending.kind}${
          action.again ? ", again" : ""
        }`;
      case "returned":
        return `returned ${action.task.id}: ${action.end.kind}`;
    }
  });
}

function briefMessage(message: ToWorker): string {
  switch (message.type) {
    case "get":
    case "unlink":
      return `${message.type} ${message.cacheName}`;
    case "kill":
      return `kill ${message.taskId}`;
    default:
      return message.type;
  }
}

/** Only actions of one type. */
export function only<T extends ManagerAction["type"]>(
  actions: readonly ManagerAction[],
  type: T,
): Extract<ManagerAction, { type: T }>[] {
  return actions.filter((a) => a.type === type) as Extract<ManagerAction, { type: T }>[];
}

export const identity: WorkerIdentity = {
  hostname: "node7",
  os: "Linux",
  arch: "x86_64",
  version: "0.1.0",
  id: "worker-7b117d8fba266f8cbce1cf140f978cf6",
  resources: resources(4),
  features: [],
  protocol: 11,
  coprocess: null,
  stopsAtMs: null,
  factory: null,
};

/** When the clocks of tests stand at 0; epoch. */
export const epochOffsetMs = 1_700_000_000_000;

/** A worker machine with a clock that stands still. */
export class WorkerProbe {
  readonly machine: WorkerMachine;
  nowMs = 0;

  constructor(
    private readonly options: Partial<WorkerIdentity> = {},
    idleTimeoutMs = 900_000,
    more: Partial<WorkerLimits> = {},
  ) {
    const limits = { idleTimeoutMs, ...more };
    this.machine = new WorkerMachine({ ...identity, ...options }, limits, 0);
  }

  /** The link broke, and there is another. */
  relink(): WorkerAction[] {
    this.machine.relink({ ...identity, ...this.options }, this.nowMs);
    return this.handle({ type: "connected" });
  }

  handle(event: WorkerEvent): WorkerAction[] {
    return this.machine.handle(event, this.nowMs);
  }

  receive(message: ToWorker): WorkerAction[] {
    return this.handle({ type: "received", message });
  }

  /** A task comes. */
  task(id: number, options: Partial<TaskBlock> = {}): WorkerAction[] {
    return this.receive(taskBlock(id, options));
  }

  stagedIn(id: number, trouble: string | null = null): WorkerAction[] {
    return this.handle({ type: "staged_in", taskId: id, trouble });
  }

  exited(id: number, options: Partial<Exit> = {}): WorkerAction[] {
    const exit = { exitCode: 0, wallMs: 10, measured: null, ...options };
    return this.handle({ type: "exited", taskId: id, exit });
  }

  stagedOut(id: number, printedBytes = 0): WorkerAction[] {
    return this.handle({ type: "staged_out", taskId: id, printedBytes });
  }

  /** From staged in to staged out. */
  run(id: number, options: Partial<Exit> = {}, printedBytes = 0): WorkerAction[] {
    this.stagedIn(id);
    this.exited(id, options);
    return this.stagedOut(id, printedBytes);
  }

  after(seconds: number): WorkerAction[] {
    this.nowMs += seconds * 1000;
    return this.handle({ type: "tick", epochMs: epochOffsetMs + this.nowMs });
  }
}

/** Worker actions as short words. */
export function briefWork(actions: readonly WorkerAction[]): string[] {
  return actions.map((action) => {
    switch (action.type) {
      case "send":
        return briefReport(action.message);
      case "store":
      case "decline":
      case "make_directory":
      case "make_link":
        return `${action.type} ${pathOf(action.place)}`;
      case "unlink":
      case "send_cached":
        return `${action.type} ${action.names.join(" or ")}`;
      case "expect":
        return `expect ${action.source.cacheName} from ${action.source.source}`;
      case "assemble":
        return `assemble ${action.offer.cacheName}${action.refused === null ? "" : ", refused"}`;
      case "fill":
        return `fill ${action.cacheName}`;
      case "deliver":
        return `deliver ${action.request.cacheName} to ${action.request.target}`;
      case "look":
        return `look ${action.taskId}: ${action.names.join(", ")}`;
      case "kill":
        return `kill ${action.taskId}`;
      case "send_body":
        return `body ${textOf(action.body)}`;
      case "send_update": {
        const { taskId, path, offset, length } = action.message;
        return `update ${taskId} ${path} ${offset} ${length}`;
      }
      case "stage_in":
      case "start":
      case "stage_out":
        return `${action.type} ${action.task.taskId}`;
      case "adopt":
        return `adopt ${action.from} as ${action.task.taskId}`;
      case "restage":
        return `restage ${action.task.taskId}`;
      case "forget":
        return `forget ${action.taskId}`;
      case "send_result": {
        const { taskId, status, exitCode } = action.message;
        return `result of ${taskId}: ${status} ${exitCode}`;
      }
      case "close":
        return `close, ${action.then}`;
    }
  });
}

/** Where it lies under the cache. */
export function pathOf({ cacheName, inside }: CachePlace): string {
  return inside === "" ? cacheName : `${cacheName}/${inside}`;
}

function briefReport(message: ToManager): string {
  switch (message.type) {
    case "info":
      return `info ${message.key} ${message.value}`;
    case "resource":
      return `resource ${message.name} ${message.total} ${message.smallest} ${message.largest}`;
    case "resource tag":
      return `resource tag ${message.tag}`;
    case "feature":
      return `feature ${message.name}`;
    case "cache-update":
      return `cache-update ${message.cacheName} ${message.bytes} ${message.wallUs}`;
    case "cache-invalid":
      return `cache-invalid ${message.cacheName} ${message.length}`;
    case "thirdput-complete":
      return `thirdput-complete ${message.value}`;
    default:
      return message.type;
  }
}

export function inputFile(file: string, options: Partial<InputFile> = {}): InputFile {
  return { dataset: "A", file, source: `/data/${file}`, send: true, tree: "Events", ...options };
}

export function analysisSpec(options: Partial<AnalysisSpec> = {}): AnalysisSpec {
  return {
    name: "demo",
    files: [inputFile("a.root")],
    datasets: new Map([["A", {}]]),
    processor: { kind: "module", path: "/home/user/processor.ts" },
    chunkSize: 100,
    chunksMax: null,
    resources: {},
    sizing: sizingOf("fixed"),
    workers: null,
    port: { low: 0, high: 0 },
    output: "/run",
    retries: 5,
    skipBadFiles: false,
    ...options,
  };
}

/** The item's task succeeded; `entries` is what preprocessing found. */
export function succeeded(item: Item, resultPath = "", entries = 0): Ended {
  const outcome = item.kind === "preprocess"
    ? { ok: true, kind: item.kind, entries, uuid: `uuid of ${item.file.file}` } as const
    : { ok: true, kind: item.kind, events: 0, bytesRead: 0 } as const;
  const last = { host: "node7", exitCode: 0, attempts: 1, measured: null, printed: "" };
  return { item, end: { kind: "success" }, outcome, resultPath, ...last };
}

/** The item's task failed for good, and nothing is known of the reason but the exit code. */
export function failed(item: Item, options: Partial<Ended> = {}): Ended {
  return {
    item,
    end: { kind: "failure", code: 0, why: "it ended with exit code 1" },
    outcome: null,
    resultPath: "",
    host: "node7",
    exitCode: 1,
    attempts: 6,
    measured: null,
    printed: "",
    ...options,
  };
}
