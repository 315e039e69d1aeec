/**
 * The worker's mind: messages of the manager and what became of files and processes go in,
 * actions come out. It lives as long as one link: a worker forgets everything when it loses its
 * manager. Where the manager is of a run that may go on, tasks are kept instead, and the machine
 * goes on with the next link: see keeping.ts.
 *
 * The shell performs the actions of one task in order, and sends in order.
 */
import { unreachable } from "../errors.ts";
import { formatSizeMb } from "../units.ts";
import type { Held } from "../protocol/held.ts";
import { measuredInfo } from "../protocol/measured.ts";
import { askKey } from "../protocol/silence.ts";
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
import { greetingOf, heldMessages, resourceMessages, runningMessage } from "./greeting.ts";
import { KeptTasks } from "./keeping.ts";
import { Silence } from "./silence.ts";
import type { Phase, Result, WorkerTask } from "./task.ts";
import { hasGrown, noteSizes, updatesOf } from "./watching.ts";
import { fits, minus, noResources, plus, type Resources } from "../resources.ts";

type Transfer = Extract<
  ToWorker,
  { type: "put" | "dir" | "symlink" | "dir_end" | "fetch" | "offer" | "fill" | "thirdput" }
>;

/** Said of an object that could not be obtained; real managers do not read while they write. */
const complaintMax = 2000;

/** Decoded as real workers do, then as it was written, which real managers mean. */
function namesOf(m: { readonly cacheName: string; readonly written?: string }): string[] {
  return m.written === undefined ? [m.cacheName] : [m.cacheName, m.written];
}

interface TaskIn<N extends Phase["name"]> {
  readonly task: WorkerTask;
  readonly phase: Extract<Phase, { name: N }>;
}

/** Words of the system for ENOSPC and EDQUOT. */
function isFull(trouble: string): boolean {
  return /No space left on device|Disk quota exceeded|\bos error (?:28|122)\b/.test(trouble);
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
  #linked = true;
  #identity: WorkerIdentity;
  #silence: Silence;
  readonly #kept: KeptTasks;

  constructor(identity: WorkerIdentity, readonly limits: WorkerLimits, nowMs: number) {
    this.#identity = identity;
    this.#busyMs = nowMs;
    this.#silence = new Silence(nowMs, limits.silence);
    this.#kept = new KeptTasks(this.#tasks, limits, {
      act: (action) => this.#act(action),
      end: (id) => this.#end(id),
    });
  }

  get identity(): WorkerIdentity {
    return this.#identity;
  }

  /** There is another link, on which `connected` comes next. */
  relink(identity: WorkerIdentity, nowMs: number): void {
    this.#identity = identity;
    this.#linked = true;
    this.#closing = false;
    this.#busyMs = nowMs;
    this.#silence = new Silence(nowMs, this.limits.silence);
    this.#kept.relink();
  }

  handle(event: WorkerEvent, nowMs: number): WorkerAction[] {
    if (this.#closing && event.type !== "lost") return [];
    switch (event.type) {
      case "connected":
        this.#greet(event.holds ?? [], nowMs);
        break;
      case "holds":
        for (const one of heldMessages(this.#identity, [event.held])) this.#send(one);
        break;
      case "received":
        this.#received(event.message, nowMs);
        break;
      case "moving":
        this.#busyMs = nowMs;
        this.#silence.heard();
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
        noteSizes(this.#inPhase(event.taskId, "running")?.phase, event.sizes);
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
        this.#stagedOut(event);
        break;
      case "tick":
        this.#checkRunning(nowMs, event.epochMs);
        this.#kept.endStale(nowMs);
        if (this.#linked) this.#bearSilence(nowMs, event.busy === true);
        break;
      case "lost":
        this.#lose(nowMs);
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

  /** Those that are kept and have outputs on the way to where they stay. */
  get staging(): number[] {
    return this.#kept.staging;
  }

  /** Nothing is known yet of the manager, and tasks are kept for one of an earlier link. */
  get isUnproven(): boolean {
    return this.#kept.isUnproven;
  }

  /** Tasks whose sandbox exists, for display and tests. */
  get taskCount(): number {
    return this.#tasks.size;
  }

  #greet(files: readonly Held[], nowMs: number): void {
    const possessions = {
      files,
      tasks: this.#kept.offers(nowMs),
      keepsTasks: this.#kept.isOn,
      runningCount: this.#runningCount,
    };
    for (const message of greetingOf(this.#identity, possessions)) this.#send(message);
  }

  #received(message: ToWorker, nowMs: number): void {
    this.#kept.heard(message);
    this.#silence.heard();
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
      case "run":
        this.#silence.answers();
        break; // KeptTasks has heard it
      case "drop":
        break; // that too
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
    const { diskMb } = this.#identity.resources;
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
    if (this.#identity.protocol < 11) return;
    this.#send({ type: "cache-update", cacheName, bytes, wallUs: Math.round(wallMs * 1000) });
  }

  #fetchFailed(cacheName: string, why: string): void {
    if (this.#identity.protocol < 11) return;
    const body = new TextEncoder().encode(why.slice(0, complaintMax));
    this.#send({ type: "cache-invalid", cacheName, length: body.length });
    this.#act({ type: "send_body", body });
  }

  #task(block: TaskBlock, nowMs: number): void {
    this.#busyMs = nowMs;
    // A known id means that the manager gave up on the earlier attempt.
    if (this.#tasks.has(block.taskId)) this.#kill(block.taskId, nowMs);
    if (this.#kept.giveTo(block)) return;
    const { cores, memoryMb, diskMb, gpus } = block;
    const asked = { cores, memoryMb, diskMb, gpus };
    const box = cores + memoryMb + diskMb + gpus === 0 ? this.#identity.resources : asked;
    this.#tasks.set(block.taskId, {
      block,
      box,
      phase: { name: "waiting" },
      startedMs: null,
      stagedAs: null,
      keptMs: null,
      bytes: 0,
    });
    // It had to go in the meantime.
    if (block.kept) this.#forsake(block.taskId);
    else this.#waiting.add(block.taskId);
  }

  #startWhatFits(): void {
    for (const taskId of this.#waiting) {
      const task = this.#tasks.get(taskId)!;
      if (!fits(task.box, this.#identity.resources)) {
        this.#waiting.delete(taskId);
        this.#forsake(taskId);
      } else if (fits(task.box, minus(this.#identity.resources, this.#inUse))) {
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
    for (const one of resourceMessages(this.#identity)) this.#send(one);
    // Real managers do not read a body here.
    this.#complete(taskId, withoutRunning(resultCode.forsaken, 0, ""));
  }

  #stagedIn(taskId: number, trouble: string | null, nowMs: number): void {
    const task = this.#inPhase(taskId, "staging in")?.task;
    if (task === undefined) return;
    if (trouble === null) {
      const names = task.block.outputs.filter((file) => file.flags & fileFlag.watch);
      const watched = new Map(names.map((file) => [file.sandboxName, { sent: 0, seen: 0 }]));
      task.startedMs = nowMs;
      task.phase = { name: "running", sinceMs: nowMs, watched, outlived: null };
      this.#act({ type: "start", task: task.block });
      this.#tellRunning();
    } else {
      this.#free(task);
      // A full disk is not the task's fault, nor that of its inputs.
      const status = isFull(trouble) ? resultCode.forsaken : resultCode.inputMissing;
      this.#complete(taskId, withoutRunning(status, 1, trouble));
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
    task.stagedAs = task.block;
    this.#act({ type: "stage_out", task: task.block });
  }

  #stagedOut(
    { taskId, printedBytes, outputBytes = 0 }: Extract<WorkerEvent, { type: "staged_out" }>,
  ): void {
    const staged = this.#inPhase(taskId, "staging out");
    if (staged === null) return;
    const { task, phase: { status, exit } } = staged;
    task.bytes = printedBytes + outputBytes;
    // It was kept, or taken, in the meantime.
    if (task.stagedAs !== task.block) return this.#kept.restage(task);
    this.#complete(taskId, { status, exit, body: "captured", bodyBytes: printedBytes });
  }

  #complete(taskId: number, result: Result): void {
    const task = this.#tasks.get(taskId)!;
    task.phase = { name: "complete", result };
    if (task.keptMs === null) this.#unreported.add(taskId);
    else this.#kept.keepLess();
  }

  /**
   * A real manager forgets an announcement that it reads before the `end` of the last one, so
   * there is one at a time.
   */
  #announce(): void {
    if (
      !this.#linked || this.#announced ||
      (this.#unreported.size === 0 && !hasGrown(this.#tasks.values()))
    ) {
      return;
    }
    this.#announced = true;
    this.#send({ type: "available_results" });
  }

  #sendResults(): void {
    for (const taskId of this.#unreported) {
      const { task, phase } = this.#inPhase(taskId, "complete")!;
      const { result } = phase;
      const { status, exit: { exitCode, wallMs, measured }, body, bodyBytes } = result;
      if (measured !== null) this.#send(measuredInfo(taskId, measured));
      const wallUs = Math.round(wallMs * 1000);
      this.#act({
        type: "send_result",
        message: { type: "result", status, exitCode, length: bodyBytes, wallUs, taskId },
        body,
      });
      task.phase = { name: "reported", result };
    }
    this.#unreported.clear();
    for (const message of updatesOf(this.#tasks.values())) {
      this.#act({ type: "send_update", message });
    }
    this.#send({ type: "end" });
    this.#announced = false;
  }

  /** Limits and watched files of what runs. */
  #checkRunning(nowMs: number, epochMs: number): void {
    for (const [taskId, { block, phase }] of this.#tasks) {
      if (phase.name !== "running") continue;
      if (phase.watched.size > 0 && taskId >= 0) {
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

  #kill(taskId: number, nowMs: number): void {
    this.#busyMs = nowMs;
    const ids = taskId < 0 ? [...this.#tasks.keys()] : [taskId];
    for (const id of ids) this.#end(id);
  }

  #end(id: number): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    if (task.phase.name === "staging in" || task.phase.name === "running") this.#free(task);
    this.#tasks.delete(id);
    this.#waiting.delete(id);
    this.#unreported.delete(id);
    this.#kept.ended(task);
    this.#act({ type: "forget", taskId: id });
  }

  /** What ran or has ended is kept, if there will be somebody who may want it. */
  #lose(nowMs: number): void {
    this.#linked = false;
    this.#closing = false;
    this.#announced = false;
    this.#unreported.clear();
    this.#kept.keep(nowMs);
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

  #bearSilence(nowMs: number, busy: boolean): void {
    const next = this.#silence.look(nowMs, busy);
    if (next === null) return;
    const { seconds } = this.#silence;
    if (next === "ask") {
      this.#send({ type: "info", key: askKey, value: String(seconds) });
    } else {
      this.#closing = true;
      const why = `the manager was silent for ${seconds} s and did not answer`;
      this.#act({ type: "close", why, then: "reconnect", broken: true });
    }
  }

  #close(why: string, then: Afterwards): void {
    this.#closing = true;
    this.#act({ type: "close", why, then });
  }

  #tellRunning(): void {
    this.#send(runningMessage(this.#runningCount));
  }

  get #runningCount(): number {
    let count = 0;
    for (const { phase } of this.#tasks.values()) if (phase.name === "running") count++;
    return count;
  }

  #inPhase<N extends Phase["name"]>(taskId: number, name: N): TaskIn<N> | null {
    const task = this.#tasks.get(taskId);
    return task?.phase.name === name ? { task, phase: task.phase as TaskIn<N>["phase"] } : null;
  }

  #send(message: ToManager): void {
    if (this.#linked) this.#act({ type: "send", message });
  }

  #act(action: WorkerAction): void {
    this.#actions.push(action);
  }
}
