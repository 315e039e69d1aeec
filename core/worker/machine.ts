/**
 * The worker's mind: messages of the manager and what became of files and processes go in,
 * actions come out. It lives as long as one link; a new link gets a new machine, because a worker
 * forgets everything when it loses its manager.
 *
 * The shell performs the actions of one task in order, and sends in order.
 */
import { unreachable } from "../errors.ts";
import {
  type Measured,
  measuredInfo,
  protocolVersion,
  resultCode,
  type TaskBlock,
  type ToManager,
  type ToWorker,
} from "../protocol/messages.ts";
import { fits, minus, noResources, plus, type Resources } from "../resources.ts";

/** Who the worker says it is. Each text is one word. */
export interface WorkerIdentity {
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  /** Of wqx. */
  readonly version: string;
  /** `worker-` and 32 hexadecimal digits. */
  readonly id: string;
  readonly resources: Resources;
  readonly features: readonly string[];
}

export interface WorkerLimits {
  /** Without a task for so long, the worker leaves. Work Queue's idle timeout. */
  readonly idleTimeoutMs: number;
}

/** How a task's command ended, as the operating system told it. */
export interface Exit {
  /** Exit code or signal number. */
  readonly exitCode: number;
  readonly wallMs: number;
  readonly measured: Measured | null;
}

export type WorkerEvent =
  | { readonly type: "connected" }
  | { readonly type: "received"; readonly message: ToWorker }
  | { readonly type: "staged_in"; readonly taskId: number; readonly trouble: string | null }
  | { readonly type: "exited"; readonly taskId: number; readonly exit: Exit }
  /** Outputs are in the cache; `printedBytes` is the size of what the command printed. */
  | { readonly type: "staged_out"; readonly taskId: number; readonly printedBytes: number }
  | { readonly type: "tick" };

/** What the worker does once the link is closed. */
export type Afterwards = "reconnect" | "terminate";

export type WorkerAction =
  | { readonly type: "send"; readonly message: ToManager }
  /** The payload of the `put` that was just received goes into the cache. */
  | { readonly type: "store"; readonly cacheName: string; readonly mode: number }
  | { readonly type: "unlink"; readonly cacheName: string }
  /** Make the sandbox and link the inputs into it. Answered by `staged_in`. */
  | { readonly type: "stage_in"; readonly task: TaskBlock }
  /** Run the command. Answered by `exited`. */
  | { readonly type: "start"; readonly task: TaskBlock }
  /** Move what there is of the outputs into the cache. Answered by `staged_out`. */
  | { readonly type: "stage_out"; readonly task: TaskBlock }
  /**
   * Kill what runs, remove the sandbox and the captured output. No answer, and no answer any more
   * to what was asked for this task before: its id may be used again.
   */
  | { readonly type: "forget"; readonly taskId: number }
  /** `result` with its payload: what the command printed, or words of ours. */
  | {
    readonly type: "send_result";
    readonly message: Extract<ToManager, { type: "result" }>;
    readonly body: "captured" | Uint8Array;
  }
  /** The answer to `get`: `file` with its bytes or `missing`, then `end`. */
  | { readonly type: "send_cached"; readonly cacheName: string }
  | { readonly type: "close"; readonly why: string; readonly then: Afterwards };

interface Result {
  readonly status: number;
  readonly exit: Exit;
  readonly body: "captured" | Uint8Array;
  readonly bodyBytes: number;
}

type Phase =
  | { readonly name: "waiting" }
  | { readonly name: "staging in" }
  | { readonly name: "running" }
  | { readonly name: "staging out"; readonly exit: Exit }
  | {
    readonly name: "complete";
    readonly result: Result;
  }
  /** Told to the manager; kept until it says `kill`. */
  | { readonly name: "reported" };

interface WorkerTask {
  readonly block: TaskBlock;
  readonly box: Resources;
  phase: Phase;
}

interface TaskIn<N extends Phase["name"]> {
  readonly task: WorkerTask;
  readonly phase: Extract<Phase, { name: N }>;
}

function withoutRunning(status: number, exitCode: number, why: string): Result {
  const body = new TextEncoder().encode(why);
  return { status, exit: { exitCode, wallMs: 0, measured: null }, body, bodyBytes: body.length };
}

export class WorkerMachine {
  readonly #tasks = new Map<number, WorkerTask>();
  /** Those of `#tasks` that wait for room, in order of arrival. */
  readonly #waiting = new Set<number>();
  /** Those of `#tasks` that are complete and not yet reported. */
  readonly #unreported = new Set<number>();
  #actions: WorkerAction[] = [];
  #inUse: Resources = noResources;
  /** `available_results` was sent and its results were not asked for yet. */
  #announced = false;
  #busyMs: number;
  #closing = false;

  constructor(
    readonly identity: WorkerIdentity,
    readonly limits: WorkerLimits,
    nowMs: number,
  ) {
    this.#busyMs = nowMs;
  }

  handle(event: WorkerEvent, nowMs: number): WorkerAction[] {
    if (this.#closing) return [];
    switch (event.type) {
      case "connected":
        this.#greet();
        break;
      case "received":
        this.#received(event.message, nowMs);
        break;
      case "staged_in":
        this.#stagedIn(event.taskId, event.trouble);
        break;
      case "exited":
        this.#exited(event.taskId, event.exit);
        break;
      case "staged_out":
        this.#stagedOut(event.taskId, event.printedBytes);
        break;
      case "tick":
        break;
      default:
        unreachable(event);
    }
    this.#startWhatFits();
    this.#announce();
    this.#leaveIfIdle(nowMs);
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** Tasks whose sandbox exists, for display and tests. */
  get taskCount(): number {
    return this.#tasks.size;
  }

  #greet(): void {
    const { hostname, os, arch, version, id, resources, features } = this.identity;
    this.#send({ type: "workqueue", protocol: protocolVersion, hostname, os, arch, version });
    this.#send({ type: "info", key: "worker-id", value: id });
    this.#send({ type: "info", key: "wqx", value: version });
    for (const name of features) this.#send({ type: "feature", name });
    this.#send({ type: "alive" });
    this.#tellResources(resources);
    this.#tellRunning();
    // 0: no end known. A real manager sends no task to a worker that does not say this.
    this.#send({ type: "info", key: "worker-end-time", value: "0" });
  }

  #tellResources(r: Resources): void {
    const rows = [
      ["workers", 1],
      ["disk", r.diskMb],
      ["memory", r.memoryMb],
      ["gpus", r.gpus],
      ["cores", r.cores],
    ] as const;
    for (const [name, total] of rows) {
      this.#send({ type: "resource", name, total, smallest: total, largest: total });
    }
    this.#send({ type: "resource tag", tag: 0 });
    this.#send({ type: "info", key: "end_of_resource_update", value: "0" });
  }

  #received(message: ToWorker, nowMs: number): void {
    switch (message.type) {
      case "put":
        this.#busyMs = nowMs;
        this.#act({ type: "store", cacheName: message.cacheName, mode: message.mode });
        break;
      case "task":
        this.#task(message, nowMs);
        break;
      case "send_results":
        this.#sendResults();
        break;
      case "get":
        this.#act({ type: "send_cached", cacheName: message.cacheName });
        break;
      case "kill":
        this.#kill(message.taskId, nowMs);
        break;
      case "unlink":
        this.#act({ type: "unlink", cacheName: message.cacheName });
        break;
      case "check":
        this.#send({ type: "alive" });
        this.#tellRunning();
        break;
      case "release":
        this.#close("the manager released it", "reconnect");
        break;
      case "exit":
        this.#close("the manager has no more work", "terminate");
        break;
      case "auth":
        this.#close("the manager requires a password", "reconnect");
        break;
      default:
        unreachable(message);
    }
  }

  #task(block: TaskBlock, nowMs: number): void {
    this.#busyMs = nowMs;
    // A known id means that the manager gave up on the earlier attempt.
    if (this.#tasks.has(block.taskId)) this.#kill(block.taskId, nowMs);
    const { cores, memoryMb, diskMb, gpus } = block;
    const asked = { cores, memoryMb, diskMb, gpus };
    const box = cores + memoryMb + diskMb + gpus === 0 ? this.identity.resources : asked;
    this.#tasks.set(block.taskId, { block, box, phase: { name: "waiting" } });
    this.#waiting.add(block.taskId);
  }

  #startWhatFits(): void {
    for (const taskId of this.#waiting) {
      const task = this.#tasks.get(taskId)!;
      if (!fits(task.box, this.identity.resources)) {
        this.#waiting.delete(taskId);
        this.#forsake(taskId);
      } else if (fits(task.box, minus(this.identity.resources, this.#inUse))) {
        this.#inUse = plus(this.#inUse, task.box);
        this.#waiting.delete(taskId);
        task.phase = { name: "staging in" };
        this.#act({ type: "stage_in", task: task.block });
      }
    }
  }

  /** The manager believes in more room than there is: say what there is, give the task back. */
  #forsake(taskId: number): void {
    this.#send({ type: "alive" });
    this.#tellResources(this.identity.resources);
    // Real managers do not read a body here.
    this.#complete(taskId, withoutRunning(resultCode.forsaken, 0, ""));
  }

  #stagedIn(taskId: number, trouble: string | null): void {
    const task = this.#inPhase(taskId, "staging in")?.task;
    if (task === undefined) return;
    if (trouble === null) {
      task.phase = { name: "running" };
      this.#act({ type: "start", task: task.block });
      this.#tellRunning();
    } else {
      this.#free(task);
      this.#complete(taskId, withoutRunning(resultCode.inputMissing, 1, trouble));
    }
  }

  #exited(taskId: number, exit: Exit): void {
    const task = this.#inPhase(taskId, "running")?.task;
    if (task === undefined) return;
    this.#free(task);
    task.phase = { name: "staging out", exit };
    this.#act({ type: "stage_out", task: task.block });
  }

  #stagedOut(taskId: number, printedBytes: number): void {
    const exit = this.#inPhase(taskId, "staging out")?.phase.exit;
    if (exit === undefined) return;
    const status = resultCode.success;
    this.#complete(taskId, { status, exit, body: "captured", bodyBytes: printedBytes });
  }

  #complete(taskId: number, result: Result): void {
    this.#tasks.get(taskId)!.phase = { name: "complete", result };
    this.#unreported.add(taskId);
  }

  /**
   * A real manager forgets an announcement that it reads before the `end` of the last one, so
   * there is one at a time.
   */
  #announce(): void {
    if (this.#announced || this.#unreported.size === 0) return;
    this.#announced = true;
    this.#send({ type: "available_results" });
  }

  #sendResults(): void {
    for (const taskId of this.#unreported) {
      const { task, phase } = this.#inPhase(taskId, "complete")!;
      const { status, exit: { exitCode, wallMs, measured }, body, bodyBytes } = phase.result;
      if (measured !== null) this.#send(measuredInfo(taskId, measured));
      const wallUs = Math.round(wallMs * 1000);
      this.#act({
        type: "send_result",
        message: { type: "result", status, exitCode, length: bodyBytes, wallUs, taskId },
        body,
      });
      task.phase = { name: "reported" };
    }
    this.#unreported.clear();
    this.#send({ type: "end" });
    this.#announced = false;
  }

  #kill(taskId: number, nowMs: number): void {
    this.#busyMs = nowMs;
    const ids = taskId < 0 ? [...this.#tasks.keys()] : [taskId];
    for (const id of ids) {
      const task = this.#tasks.get(id);
      if (task === undefined) continue;
      if (task.phase.name === "staging in" || task.phase.name === "running") this.#free(task);
      this.#tasks.delete(id);
      this.#waiting.delete(id);
      this.#unreported.delete(id);
      this.#act({ type: "forget", taskId: id });
    }
  }

  #free(task: WorkerTask): void {
    const left = minus(this.#inUse, task.box);
    this.#inUse = left.cores < 1e-9 && left.memoryMb < 1e-9 ? noResources : left;
  }

  #leaveIfIdle(nowMs: number): void {
    if (this.#tasks.size > 0) this.#busyMs = nowMs;
    if (nowMs - this.#busyMs <= this.limits.idleTimeoutMs) return;
    const seconds = Math.round(this.limits.idleTimeoutMs / 1000);
    this.#send({ type: "info", key: "idle-disconnecting", value: String(seconds) });
    this.#close(`no task came for ${seconds} s`, "terminate");
  }

  #close(why: string, then: Afterwards): void {
    this.#closing = true;
    this.#act({ type: "close", why, then });
  }

  #tellRunning(): void {
    const running = [...this.#tasks.values()].filter((task) => task.phase.name === "running");
    this.#send({ type: "info", key: "tasks_running", value: String(running.length) });
  }

  #inPhase<N extends Phase["name"]>(taskId: number, name: N): TaskIn<N> | null {
    const task = this.#tasks.get(taskId);
    return task?.phase.name === name ? { task, phase: task.phase as TaskIn<N>["phase"] } : null;
  }

  #send(message: ToManager): void {
    this.#act({ type: "send", message });
  }

  #act(action: WorkerAction): void {
    this.#actions.push(action);
  }
}
