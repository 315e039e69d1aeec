/**
 * The worker's mind: messages of the manager and what became of files and processes go in,
 * actions come out. It lives as long as one link; a new link gets a new machine, because a worker
 * forgets everything when it loses its manager.
 *
 * The shell performs the actions of one task in order, and sends in order.
 */
import { unreachable } from "../errors.ts";
import { formatSizeMb } from "../units.ts";
import { type Held, holdsInfo } from "../protocol/held.ts";
import { measuredInfo } from "../protocol/measured.ts";
import { piecesInfo } from "../protocol/pieces.ts";
import {
  fileFlag,
  resultCode,
  type TaskBlock,
  type ToManager,
  type ToWorker,
} from "../protocol/messages.ts";
import type {
  Afterwards,
  Exit,
  WorkerAction,
  WorkerEvent,
  WorkerIdentity,
  WorkerLimits,
} from "./actions.ts";
import { fits, minus, noResources, plus, type Resources } from "../resources.ts";

type Transfer = Extract<
  ToWorker,
  { type: "put" | "dir" | "symlink" | "dir_end" | "fetch" | "offer" | "fill" | "thirdput" }
>;

/** Said of an object that could not be obtained; real managers do not read while they write. */
const complaintMax = 2000;

interface Result {
  readonly status: number;
  readonly exit: Exit;
  readonly body: "captured" | Uint8Array;
  readonly bodyBytes: number;
}

type Phase =
  | { readonly name: "waiting" }
  | { readonly name: "staging in" }
  | {
    readonly name: "running";
    readonly sinceMs: number;
    /** Bytes sent and bytes seen of each watched file. */
    readonly watched: Map<string, { sent: number; seen: number }>;
    /** The limit that it was killed for. */
    outlived: number | null;
  }
  | { readonly name: "staging out"; readonly status: number; readonly exit: Exit }
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

/** Decoded as real workers do, then as it was written, which real managers mean. */
function namesOf(m: { readonly cacheName: string; readonly written?: string }): string[] {
  return m.written === undefined ? [m.cacheName] : [m.cacheName, m.written];
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
  #boxesHeld = 0;
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
        this.#greet(event.holds ?? []);
        break;
      case "holds":
        this.#tellHeld(event.held);
        break;
      case "received":
        this.#received(event.message, nowMs);
        break;
      case "moving":
        this.#busyMs = nowMs;
        break;
      case "fetched":
        this.#fetched(event.cacheName, event.bytes, event.wallMs);
        break;
      case "fetch_failed":
        this.#fetchFailed(event.cacheName, event.why);
        break;
      case "lacking":
        this.#tellLacking(event.cacheName, event.bits);
        break;
      case "delivered":
        // Managers that understand it read 0 as success.
        this.#send({ type: "thirdput-complete", value: event.trouble === null ? 0 : 1 });
        break;
      case "looked":
        this.#looked(event.taskId, event.sizes);
        break;
      case "leave":
        this.#send({ type: "info", key: event.key, value: event.value });
        this.#close(event.why, event.then);
        break;
      case "staged_in":
        this.#stagedIn(event.taskId, event.trouble, nowMs);
        break;
      case "exited":
        this.#exited(event.taskId, event.exit);
        break;
      case "staged_out":
        this.#stagedOut(event.taskId, event.printedBytes);
        break;
      case "tick":
        this.#checkRunning(nowMs, event.epochMs);
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

  #greet(holds: readonly Held[]): void {
    const { hostname, os, arch, version, id, resources, features, protocol } = this.identity;
    this.#send({ type: "workqueue", protocol, hostname, os, arch, version });
    // Before the resources, which bring tasks: the answer is to come first, see NameCheck.
    if (this.identity.project !== undefined) this.#send({ type: "name" });
    this.#send({ type: "info", key: "worker-id", value: id });
    this.#send({ type: "info", key: "wqx", value: version });
    if (protocol >= 11) this.#send(piecesInfo);
    for (const held of holds) this.#tellHeld(held);
    for (const name of features) this.#send({ type: "feature", name });
    this.#send({ type: "alive" });
    this.#tellResources(resources);
    this.#tellRunning();
    // 0: no end known. A real manager sends no task to a worker that does not say this.
    const { stopsAtMs, factory } = this.identity;
    const stopsAt = String(Math.floor((stopsAtMs ?? 0) / 1000));
    this.#send({ type: "info", key: "worker-end-time", value: stopsAt });
    if (factory !== null) this.#send({ type: "info", key: "from-factory", value: factory });
  }

  /** Before protocol 11 a worker cannot say that it has lost something. */
  #tellHeld(held: Held): void {
    if (this.identity.protocol >= 11) this.#send(holdsInfo(held));
  }

  #tellResources(r: Resources): void {
    const { coprocess } = this.identity;
    const ofOne = coprocess === null ? [] : [
      ["coprocess_disk", coprocess.diskMb],
      ["coprocess_memory", coprocess.memoryMb],
      ["coprocess_gpus", coprocess.gpus],
      ["coprocess_cores", coprocess.cores],
    ] as const;
    const rows = [
      ...ofOne,
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
      case "dir":
      case "symlink":
      case "dir_end":
      case "fetch":
      case "offer":
      case "fill":
      case "thirdput":
        this.#busyMs = nowMs;
        this.#transfer(message);
        break;
      case "invalidate-file": // for foremen
      case "tlq":
        break;
      case "task":
        this.#task(message, nowMs);
        break;
      case "send_results":
        this.#sendResults();
        break;
      case "get":
        this.#act({
          type: "send_cached",
          names: namesOf(message),
          written: message.written ?? message.cacheName,
        });
        break;
      case "kill":
        this.#kill(message.taskId, nowMs);
        break;
      case "unlink":
        this.#act({ type: "unlink", names: namesOf(message) });
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

  #put(message: Extract<ToWorker, { type: "put" }>): void {
    const why = this.#whyTooLarge(message.length);
    if (why === null) this.#act({ type: "store", place: message, mode: message.mode });
    else this.#act({ type: "decline", place: message, why });
  }

  #whyTooLarge(bytes: number): string | null {
    const { diskMb } = this.identity.resources;
    if (bytes <= diskMb * 1024 ** 2) return null;
    const size = formatSizeMb(Math.ceil(bytes / 1024 ** 2));
    return `it is ${size}, and this worker has ${formatSizeMb(diskMb)} of disk`;
  }

  #tellLacking(cacheName: string, bits: Uint8Array): void {
    this.#send({ type: "lacks", cacheName, length: bits.length });
    this.#act({ type: "send_body", body: bits });
  }

  #transfer(message: Transfer): void {
    switch (message.type) {
      case "put":
        this.#put(message);
        break;
      case "dir":
        this.#act({ type: "make_directory", place: message });
        break;
      case "symlink":
        this.#act({ type: "make_link", place: message, target: message.target });
        break;
      case "dir_end":
        break;
      case "fetch":
        this.#act({ type: "expect", source: message });
        break;
      case "offer": {
        const refused = this.#whyTooLarge(message.bytes);
        this.#act({ type: "assemble", offer: message, refused });
        break;
      }
      case "fill":
        this.#act({ type: "fill", cacheName: message.cacheName });
        break;
      case "thirdput":
        this.#act({ type: "deliver", request: message });
        break;
      default:
        unreachable(message);
    }
  }

  #fetched(cacheName: string, bytes: number, wallMs: number): void {
    if (this.identity.protocol < 11) return;
    this.#send({ type: "cache-update", cacheName, bytes, wallUs: Math.round(wallMs * 1000) });
  }

  #fetchFailed(cacheName: string, why: string): void {
    if (this.identity.protocol < 11) return;
    const body = new TextEncoder().encode(why.slice(0, complaintMax));
    this.#send({ type: "cache-invalid", cacheName, length: body.length });
    this.#act({ type: "send_body", body });
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
        this.#boxesHeld++;
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

  #stagedIn(taskId: number, trouble: string | null, nowMs: number): void {
    const task = this.#inPhase(taskId, "staging in")?.task;
    if (task === undefined) return;
    if (trouble === null) {
      const names = task.block.outputs.filter((file) => file.flags & fileFlag.watch);
      const watched = new Map(names.map((file) => [file.sandboxName, { sent: 0, seen: 0 }]));
      task.phase = { name: "running", sinceMs: nowMs, watched, outlived: null };
      this.#act({ type: "start", task: task.block });
      this.#tellRunning();
    } else {
      this.#free(task);
      this.#complete(taskId, withoutRunning(resultCode.inputMissing, 1, trouble));
    }
  }

  #exited(taskId: number, exit: Exit): void {
    const running = this.#inPhase(taskId, "running");
    if (running === null) return;
    const { task, phase: { outlived } } = running;
    this.#free(task);
    const outgrew = exit.measured?.exceeded !== undefined;
    const status = outlived ?? (outgrew ? resultCode.resourceExhaustion : resultCode.success);
    task.phase = {
      name: "staging out",
      status,
      exit: outlived === null ? exit : { ...exit, exitCode: 9 },
    };
    this.#act({ type: "stage_out", task: task.block });
  }

  #stagedOut(taskId: number, printedBytes: number): void {
    const phase = this.#inPhase(taskId, "staging out")?.phase;
    if (phase === undefined) return;
    const { status, exit } = phase;
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
    if (this.#announced || (this.#unreported.size === 0 && !this.#hasGrown())) return;
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
    this.#sendUpdates();
    this.#send({ type: "end" });
    this.#announced = false;
  }

  /** Limits and watched files of what runs. */
  #checkRunning(nowMs: number, epochMs: number): void {
    for (const [taskId, { block, phase }] of this.#tasks) {
      if (phase.name !== "running") continue;
      if (phase.watched.size > 0) {
        this.#act({ type: "look", taskId, names: [...phase.watched.keys()] });
      }
      if (phase.outlived !== null) continue;
      if (block.wallTimeMs !== null && nowMs - phase.sinceMs > block.wallTimeMs) {
        phase.outlived = resultCode.maxWallTime;
      } else if (block.endTimeMs !== null && epochMs > block.endTimeMs) {
        phase.outlived = resultCode.endTime;
      }
      if (phase.outlived !== null) this.#act({ type: "kill", taskId });
    }
  }

  #looked(taskId: number, sizes: ReadonlyMap<string, number>): void {
    const watched = this.#inPhase(taskId, "running")?.phase.watched;
    for (const [name, file] of watched ?? []) {
      const size = sizes.get(name) ?? 0;
      if (size < file.seen) watched!.delete(name); // rewritten: what grows there is not the same
      else file.seen = size;
    }
  }

  #hasGrown(): boolean {
    for (const { phase } of this.#tasks.values()) {
      if (phase.name !== "running") continue;
      for (const { sent, seen } of phase.watched.values()) if (seen > sent) return true;
    }
    return false;
  }

  #sendUpdates(): void {
    for (const [taskId, { phase }] of this.#tasks) {
      if (phase.name !== "running") continue;
      for (const [path, file] of phase.watched) {
        if (file.seen === file.sent) continue;
        const { sent: offset, seen } = file;
        file.sent = seen;
        const length = seen - offset;
        this.#act({
          type: "send_update",
          message: { type: "update", taskId, path, offset, length },
        });
      }
    }
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
    // Sums of fractions drift; when nothing holds a box, nothing is in use.
    this.#inUse = --this.#boxesHeld === 0 ? noResources : minus(this.#inUse, task.box);
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
