/**
 * The manager's mind: what happened goes in as events, what is to be done comes out as actions.
 * It decides which task runs where, keeps each link's conversation in order, and sees to it that
 * every submitted task is returned exactly once, whatever becomes of workers.
 *
 * The shell performs actions of one link in the order in which they were given.
 */
import { PeerProtocolError, unreachable } from "../errors.ts";
import { type TaskId, taskId, type WorkerId } from "../ids.ts";
import {
  parseMeasured,
  protocolVersion,
  resultCode,
  type TaskBlock,
  type ToManager,
  type ToWorker,
} from "../protocol/messages.ts";
import { blockOf, whyUnsendable } from "./block.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { place } from "./place.ts";
import { WaitingTasks } from "./queue.ts";
import {
  type Attempt,
  failedOn,
  nextPhases,
  type Phase,
  type Report,
  type Task,
  type TaskEnd,
  type TaskInput,
  type TaskSpec,
  verdict,
} from "./tasks.ts";
import {
  isReady,
  newWorker,
  type Owed,
  promise,
  type Receiving,
  settle,
  withResource,
  type WorkerState,
} from "./workers.ts";
import { describeFailure } from "./words.ts";

/** What became of a payload whose place was given by a `receive` action. */
export type Stored =
  | { readonly kind: "printed"; readonly bytes: Uint8Array }
  | { readonly kind: "file" }
  | { readonly kind: "failed"; readonly why: string };

export type ManagerEvent =
  | { readonly type: "submitted"; readonly id: TaskId; readonly spec: TaskSpec }
  | { readonly type: "cancel"; readonly id: TaskId }
  | { readonly type: "link_opened"; readonly worker: WorkerId; readonly address: string }
  | { readonly type: "link_closed"; readonly worker: WorkerId; readonly why: string }
  | { readonly type: "received"; readonly worker: WorkerId; readonly message: ToManager }
  /** The payload of the last message is complete. */
  | { readonly type: "stored"; readonly worker: WorkerId; readonly stored: Stored }
  /** Bytes are moving on the link, in either direction. */
  | { readonly type: "moving"; readonly worker: WorkerId }
  /** A `dispatch` was broken off before its task block, because an input could not be read. */
  | {
    readonly type: "input_unreadable";
    readonly worker: WorkerId;
    readonly id: TaskId;
    /** Cached names of the inputs that did not go out, the unreadable one first. */
    readonly unsent: readonly string[];
    readonly why: string;
  }
  | { readonly type: "tick" };

/** Where a payload goes: into memory, into a local file, or away. */
export type Place =
  | { readonly kind: "printed" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "nobody" };

export type ManagerAction =
  | { readonly type: "send"; readonly worker: WorkerId; readonly message: ToWorker }
  | { readonly type: "answer_name"; readonly worker: WorkerId }
  /** Inputs first, each a `put` with its bytes, then the block. */
  | {
    readonly type: "dispatch";
    readonly worker: WorkerId;
    readonly id: TaskId;
    readonly inputs: readonly TaskInput[];
    readonly block: TaskBlock;
  }
  /** The payload that follows the last message goes there. */
  | {
    readonly type: "receive";
    readonly worker: WorkerId;
    readonly into: Place;
  }
  | { readonly type: "close"; readonly worker: WorkerId; readonly why: string }
  | {
    readonly type: "attempt_ended";
    readonly id: TaskId;
    readonly attempt: Attempt;
    readonly again: boolean;
  }
  | { readonly type: "returned"; readonly task: Task; readonly end: TaskEnd };

export interface Counts {
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly failedAttempts: number;
  readonly workers: number;
}

const nobody: ReadonlySet<WorkerId> = new Set();

export class Scheduler {
  readonly tasks = new Map<TaskId, Task>();
  readonly workers = new Map<WorkerId, WorkerState>();
  readonly #waiting = new WaitingTasks();
  #actions: ManagerAction[] = [];
  #done = 0;
  #failedAttempts = 0;

  constructor(readonly limits: Limits = defaultLimits) {}

  handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
    switch (event.type) {
      case "submitted":
        this.#submitted(event.id, event.spec);
        break;
      case "cancel":
        this.#cancel(event.id, nowMs);
        break;
      case "link_opened":
        this.workers.set(event.worker, newWorker(event.worker, event.address, nowMs));
        break;
      case "tick":
        for (const worker of [...this.workers.values()]) this.#keepalive(worker, nowMs);
        break;
      case "link_closed":
        this.#dropWorker(event.worker, event.why, nowMs);
        break;
      default: {
        const worker = this.workers.get(event.worker);
        // What still arrives from a link that we closed is of no interest.
        if (worker !== undefined) this.#fromWorker(worker, event, nowMs);
      }
    }
    return this.#take();
  }

  /** Gives waiting tasks to workers with room; called once per turn of the shell. */
  schedule(nowMs: number): ManagerAction[] {
    const blocked = new Set<string>();
    const taken = new Set<Task>();
    let budget = this.limits.dispatchMax;
    for (const task of this.#waiting.again) {
      if (budget === 0) break;
      const avoid = failedOn(task);
      const shape = avoid.size === 0 ? JSON.stringify(task.spec.request) : null;
      if (shape !== null && blocked.has(shape)) continue;
      if (this.#dispatch(task, avoid, nowMs)) {
        taken.add(task);
        budget--;
      } else if (shape !== null) {
        blocked.add(shape);
      }
    }
    this.#waiting.takeAgain(taken);
    for (const lane of this.#waiting.lanes()) {
      for (let task = lane.next(); task !== null && budget > 0; task = lane.next()) {
        if (!this.#dispatch(task, nobody, nowMs)) break;
        lane.take();
        budget--;
      }
    }
    return this.#take();
  }

  get counts(): Counts {
    let running = 0;
    let workers = 0;
    for (const worker of this.workers.values()) {
      running += worker.running.size + worker.retrieving.size;
      if (isReady(worker)) workers++;
    }
    return {
      waiting: this.#waiting.count,
      running,
      done: this.#done,
      failedAttempts: this.#failedAttempts,
      workers,
    };
  }

  // Tasks

  #submitted(id: TaskId, spec: TaskSpec): void {
    const task: Task = { id, spec, phase: { name: "waiting" }, attempts: [] };
    this.tasks.set(id, task);
    const why = whyUnsendable(id, spec);
    if (why === null) this.#waiting.push(task);
    else this.#return(task, { kind: "failure", code: resultCode.inputMissing, why });
  }

  #cancel(id: TaskId, nowMs: number): void {
    const task = this.tasks.get(id);
    if (task === undefined || task.phase.name === "done") return;
    if (task.phase.name === "waiting") {
      this.#waiting.forget(task);
    } else {
      const worker = this.workers.get(task.phase.worker)!;
      this.#endAttempt(task, worker, { kind: "canceled" }, nowMs);
    }
    this.#return(task, { kind: "canceled" });
  }

  #dispatch(task: Task, avoid: ReadonlySet<WorkerId>, nowMs: number): boolean {
    const placement = place(task.spec, this.workers.values(), avoid);
    if (placement === null) return false;
    const { worker, box } = placement;
    const inputs = task.spec.inputs.filter((input) => !worker.cached.has(input.cacheName));
    for (const input of inputs) if (input.cache) worker.cached.add(input.cacheName);
    promise(worker, task.id, box);
    this.#enter(task, { name: "running", worker: worker.id, box, sinceMs: nowMs });
    const block = blockOf(task.id, task.spec, box);
    this.#actions.push({ type: "dispatch", worker: worker.id, id: task.id, inputs, block });
    return true;
  }

  /**
   * The attempt is over for the worker: its box is free and it is told to forget the task.
   * Answers still owed for it will be read and dropped.
   */
  #endAttempt(
    task: Task,
    worker: WorkerState,
    ending: Attempt["ending"],
    nowMs: number,
  ): Attempt {
    const phase = task.phase;
    if (phase.name !== "running" && phase.name !== "retrieving") {
      throw new Error(`Task ${task.id} is ${phase.name}: it has no attempt to end`);
    }
    settle(worker, task.id, phase.box);
    worker.retrieving.delete(task.id);
    const report = phase.name === "retrieving" ? phase.report : null;
    const attempt: Attempt = {
      worker: worker.id,
      host: worker.greeting?.hostname ?? worker.address,
      startedMs: phase.sinceMs,
      endedMs: nowMs,
      box: phase.box,
      ending,
      exitCode: report?.exitCode ?? null,
      wallMs: report?.wallMs ?? 0,
      measured: report?.measured ?? null,
      printed: report?.printed ?? new Uint8Array(0),
    };
    task.attempts.push(attempt);
    if (this.workers.has(worker.id)) {
      this.#send(worker, { type: "kill", taskId: task.id });
      for (const file of [...task.spec.inputs.filter((i) => !i.cache), ...task.spec.outputs]) {
        this.#send(worker, { type: "unlink", cacheName: file.cacheName });
      }
    }
    return attempt;
  }

  /** An attempt that did not succeed: once more, or that was it. */
  #failed(task: Task, attempt: Attempt): void {
    const end = verdict(task, attempt, this.limits);
    if (attempt.ending.kind === "failure") this.#failedAttempts++;
    this.#actions.push({ type: "attempt_ended", id: task.id, attempt, again: end === null });
    if (end === null) {
      this.#enter(task, { name: "waiting" });
      this.#waiting.push(task);
    } else {
      this.#return(task, end);
    }
  }

  #return(task: Task, end: TaskEnd): void {
    this.#enter(task, { name: "done", end });
    this.#done++;
    this.tasks.delete(task.id);
    this.#actions.push({ type: "returned", task, end });
  }

  #enter(task: Task, phase: Phase): void {
    if (!nextPhases[task.phase.name].includes(phase.name)) {
      const story = task.attempts.map((a) => a.ending.kind).join(", ") || "no attempt yet";
      throw new Error(`Task ${task.id} cannot go ${task.phase.name} → ${phase.name} (${story})`);
    }
    task.phase = phase;
  }

  // Workers

  #fromWorker(
    worker: WorkerState,
    event: Extract<ManagerEvent, { worker: WorkerId }>,
    nowMs: number,
  ): void {
    worker.heardMs = nowMs;
    worker.checkedMs = null;
    switch (event.type) {
      case "moving":
        break;
      case "received":
        this.#receivedOrDrop(worker, event.message, nowMs);
        break;
      case "stored":
        this.#stored(worker, event.stored, nowMs);
        break;
      case "input_unreadable":
        this.#inputUnreadable(worker, event, nowMs);
        break;
      case "link_opened":
      case "link_closed":
        break;
      default:
        unreachable(event);
    }
  }

  #receivedOrDrop(worker: WorkerState, message: ToManager, nowMs: number): void {
    try {
      this.#received(worker, message, nowMs);
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#close(worker, error.message, nowMs);
    }
  }

  #received(worker: WorkerState, message: ToManager, nowMs: number): void {
    if (worker.greeting === null && message.type !== "workqueue") {
      throw new PeerProtocolError(`Got "${message.type}" before the greeting`);
    }
    switch (message.type) {
      case "workqueue":
        if (message.protocol !== protocolVersion) {
          throw new PeerProtocolError(
            `${message.hostname} speaks protocol ${message.protocol}; this manager speaks ` +
              `${protocolVersion}`,
          );
        }
        worker.greeting = message;
        break;
      case "resource":
        worker.total = withResource(worker.total, message.name, message.total);
        break;
      case "resource tag":
        worker.resourcesKnown = message.tag >= 0;
        break;
      case "info":
        this.#info(worker, message.key, message.value);
        break;
      case "alive":
      case "feature":
        break;
      case "name":
        this.#actions.push({ type: "answer_name", worker: worker.id });
        break;
      case "available_results":
        if (worker.owed.some((owed) => owed.kind === "results")) worker.moreResults = true;
        else this.#askForResults(worker);
        break;
      case "result":
        this.#result(worker, message, nowMs);
        break;
      case "file":
        this.#file(worker, message.path);
        break;
      case "missing":
        this.#missing(worker, message.path);
        break;
      case "end":
        this.#end(worker, nowMs);
        break;
      default:
        unreachable(message);
    }
  }

  #info(worker: WorkerState, key: string, value: string): void {
    if (key === "wqx") worker.speaksWqx = true;
    if (key === "wqx-measured") {
      const parsed = parseMeasured(value);
      if (parsed !== null && worker.running.has(taskId(parsed.taskId))) {
        worker.measured.set(parsed.taskId, parsed.measured);
      }
    }
  }

  #askForResults(worker: WorkerState): void {
    worker.moreResults = false;
    worker.owed.push({ kind: "results" });
    this.#send(worker, { type: "send_results" });
  }

  #result(
    worker: WorkerState,
    message: Extract<ToManager, { type: "result" }>,
    nowMs: number,
  ): void {
    if (worker.owed[0]?.kind !== "results") {
      throw new PeerProtocolError("A result nobody asked for");
    }
    const id = taskId(message.taskId);
    const task = worker.running.has(id) ? this.tasks.get(id) : undefined;
    if (task === undefined || task.phase.name !== "running") {
      this.#receive(worker, { kind: "nobody" });
      return;
    }
    const measured = worker.measured.get(id) ?? null;
    worker.measured.delete(id);
    if (message.status === resultCode.forsaken) {
      this.#receive(worker, { kind: "nobody" });
      const why = "the worker has less room than it said";
      this.#failed(task, this.#endAttempt(task, worker, { kind: "lost", why }, nowMs));
      return;
    }
    const { box, sinceMs } = task.phase;
    settle(worker, id, box);
    worker.retrieving.add(id);
    const wanted = task.spec.outputs.filter((output) =>
      output.when === "always" || (message.status === 0 && message.exitCode === 0)
    );
    const report: Report = {
      status: message.status,
      exitCode: message.exitCode,
      // A worker's clock may run as it likes: it cannot have run for longer than we waited.
      wallMs: Math.min(message.wallUs / 1000, nowMs - sinceMs),
      measured,
      printed: new Uint8Array(0),
      owed: wanted.length + 1,
      trouble: null,
    };
    this.#enter(task, { name: "retrieving", worker: worker.id, box, sinceMs, report });
    this.#receive(worker, { kind: "printed", task: id });
    for (const output of wanted) {
      worker.owed.push({ kind: "output", task: id, index: task.spec.outputs.indexOf(output) });
      this.#send(worker, { type: "get", cacheName: output.cacheName });
    }
  }

  #file(worker: WorkerState, path: string): void {
    const { task, index } = this.#owedOutput(worker, path);
    this.#receive(worker, { kind: "output", task, index });
  }

  #missing(worker: WorkerState, path: string): void {
    const owed = this.#owedOutput(worker, path);
    const retrieving = this.#retrieving(owed.task, worker);
    if (retrieving === null) return;
    const { sandboxName, when } = retrieving.task.spec.outputs[owed.index]!;
    if (when === "success") {
      const why = `it did not write its output ${sandboxName}`;
      retrieving.report.trouble ??= { code: resultCode.outputMissing, why };
    }
  }

  /** The output that is asked for first; an answer about any other would be taken for it. */
  #owedOutput(worker: WorkerState, path: string): Extract<Owed, { kind: "output" }> {
    const owed = worker.owed[0];
    if (owed?.kind !== "output") throw new PeerProtocolError(`"${path}" came without a "get"`);
    const task = this.tasks.get(owed.task); // gone if it was canceled meanwhile
    const asked = task?.spec.outputs[owed.index]?.cacheName ?? path;
    if (asked !== path) throw new PeerProtocolError(`Asked for "${asked}" and got "${path}"`);
    return owed;
  }

  #end(worker: WorkerState, nowMs: number): void {
    const owed = worker.owed.shift();
    if (owed === undefined) throw new PeerProtocolError('An "end" of nothing');
    if (owed.kind === "results") {
      if (worker.moreResults) this.#askForResults(worker);
    } else {
      this.#arrived(owed.task, worker, nowMs);
    }
  }

  #stored(worker: WorkerState, stored: Stored, nowMs: number): void {
    const receiving = worker.receiving;
    worker.receiving = null;
    if (receiving === null || receiving.kind === "nobody") return;
    const retrieving = this.#retrieving(receiving.task, worker);
    if (retrieving === null) return;
    const { report, task } = retrieving;
    if (stored.kind === "printed") report.printed = stored.bytes;
    if (stored.kind === "failed") {
      const what = receiving.kind === "printed"
        ? "its captured output"
        : `its output ${task.spec.outputs[receiving.index]!.sandboxName}`;
      const why = `the manager could not store ${what}: ${stored.why}`;
      report.trouble ??= { code: resultCode.outputTransferError, why };
    }
    if (receiving.kind === "printed") this.#arrived(task.id, worker, nowMs);
  }

  /** One of the answers for a task in retrieval is complete; the last one ends the attempt. */
  #arrived(id: TaskId, worker: WorkerState, nowMs: number): void {
    const retrieving = this.#retrieving(id, worker);
    if (retrieving === null || --retrieving.report.owed > 0) return;
    const { task, report } = retrieving;
    const failure = describeFailure(report) ?? report.trouble;
    if (failure === null) {
      const attempt = this.#endAttempt(task, worker, { kind: "success" }, nowMs);
      this.#actions.push({ type: "attempt_ended", id, attempt, again: false });
      this.#return(task, { kind: "success" });
    } else {
      const ending = { kind: "failure", ...failure } as const;
      this.#failed(task, this.#endAttempt(task, worker, ending, nowMs));
    }
  }

  /** The task, if this worker still owes us something for this very attempt of it. */
  #retrieving(id: TaskId, worker: WorkerState): { task: Task; report: Report } | null {
    const task = worker.retrieving.has(id) ? this.tasks.get(id) : undefined;
    return task?.phase.name === "retrieving" ? { task, report: task.phase.report } : null;
  }

  #inputUnreadable(
    worker: WorkerState,
    { id, unsent, why }: Extract<ManagerEvent, { type: "input_unreadable" }>,
    nowMs: number,
  ): void {
    for (const cacheName of unsent) worker.cached.delete(cacheName);
    const task = this.tasks.get(id);
    if (task?.phase.name !== "running" || task.phase.worker !== worker.id) return;
    const ending = { kind: "failure", code: resultCode.inputMissing, why } as const;
    this.#failed(task, this.#endAttempt(task, worker, ending, nowMs));
  }

  #keepalive(worker: WorkerState, nowMs: number): void {
    const { keepaliveIntervalMs, keepaliveTimeoutMs } = this.limits;
    if (worker.greeting === null) {
      if (nowMs - worker.joinedMs > keepaliveTimeoutMs) {
        this.#close(worker, "it connected and never greeted", nowMs);
      }
    } else if (worker.checkedMs !== null) {
      if (nowMs - worker.checkedMs > keepaliveTimeoutMs) {
        const silent = Math.round((nowMs - worker.heardMs) / 1000);
        this.#close(worker, `it was silent for ${silent} s and did not answer "check"`, nowMs);
      }
    } else if (nowMs - worker.heardMs > keepaliveIntervalMs) {
      this.#send(worker, { type: "check" });
      worker.checkedMs = nowMs;
    }
  }

  #close(worker: WorkerState, why: string, nowMs: number): void {
    this.#actions.push({ type: "close", worker: worker.id, why });
    this.#dropWorker(worker.id, why, nowMs);
  }

  #dropWorker(id: WorkerId, why: string, nowMs: number): void {
    const worker = this.workers.get(id);
    if (worker === undefined) return;
    this.workers.delete(id);
    for (const held of [...worker.running, ...worker.retrieving]) {
      const task = this.tasks.get(held)!;
      this.#failed(task, this.#endAttempt(task, worker, { kind: "lost", why }, nowMs));
    }
  }

  #receive(worker: WorkerState, receiving: Receiving): void {
    worker.receiving = receiving;
    this.#actions.push({ type: "receive", worker: worker.id, into: this.#placeFor(receiving) });
  }

  #placeFor(receiving: Receiving): Place {
    if (receiving.kind !== "output") return { kind: receiving.kind };
    const task = this.tasks.get(receiving.task); // gone if it was canceled meanwhile
    if (task === undefined) return { kind: "nobody" };
    return { kind: "file", path: task.spec.outputs[receiving.index]!.path };
  }

  #send(worker: WorkerState, message: ToWorker): void {
    this.#actions.push({ type: "send", worker: worker.id, message });
  }

  #take(): ManagerAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }
}
