/**
 * The manager's shell around the scheduler: events go in, and its actions are done by links, files
 * and the owner.
 */
import type { CategorySettings } from "../core/allocation/category.ts";
import type { Observation } from "../core/allocation/policy.ts";
import type { AllocationSummary } from "../core/allocation/report.ts";
import { messageOf } from "../core/errors.ts";
import { type TaskId, taskId } from "../core/ids.ts";
import type { MonitorMode } from "../core/monitor/mode.ts";
import { blockPieces, textToWorker } from "../core/protocol/to_worker.ts";
import type { ManagerAction, ManagerEvent } from "../core/scheduler/actions.ts";
import { isCurrent, isFast, mayShare } from "../core/scheduler/pieces.ts";
import type { MonitorProgram } from "../core/scheduler/foreign_monitor.ts";
import { defaultLimits, type Limits } from "../core/scheduler/limits.ts";
import { Scheduler } from "../core/scheduler/machine.ts";
import type { OwnerOrder } from "../core/scheduler/orders.ts";
import type { TaskSpec } from "../core/scheduler/tasks.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import { type Advert, advertOf, type AdvertOptions } from "../core/status/advert.ts";
import { statusAnswer } from "../core/status/answer.ts";
import { explain } from "../core/status/explain_source.ts";
import type { SchedulerView, StatusSource } from "../core/status/snapshot.ts";
import { StallWatch } from "../core/status/stall.ts";
import { type QueueStatistics, Statistics } from "../core/status/statistics.ts";
import { delay } from "../io/clock.ts";
import { FileHashes, FileLists } from "../io/hash.ts";
import type { Write } from "../io/outbox.ts";
import { factsOf } from "./facts.ts";
import { anyAddress, type Farewell, Links } from "./links.ts";
import type { ManagerListener } from "./listener.ts";
import { openToAll, type Serving } from "./serving.ts";
import { type Facts, type Recipient, sendInput, sendLacking, Unreadable } from "./transfer.ts";

/** Kept of what a task prints; bytes. Enough for any stack trace, too little to fill a manager. */
const printedBytesUsual = 1024 ** 2;

/** How often silence is looked for. */
const tickMs = 1000;

export interface ManagerOptions {
  readonly hostname?: string;
  /** Project name, told to workers that ask, and to the catalog. */
  readonly name: string;
  /** Of wqx. */
  readonly version: string;
  /** First free port of the range; 0 to 0: the system's choice. */
  readonly port: { readonly low: number; readonly high: number };
  readonly limits?: Limits;
  /** Absent: open to all. */
  readonly serving?: Serving;
  /** By category; they win over the factor of `serving`, which is for all others. */
  readonly stragglerFactors?: ReadonlyMap<string, number>;
  /** By category; absent: tasks are given what they declare. */
  readonly allocations?: ReadonlyMap<string, CategorySettings>;
  /** Absent: tasks are not monitored. */
  readonly monitor?: MonitorMode;
  /** Absent: tasks are monitored on workers of wqx only. */
  readonly foreignMonitor?: MonitorProgram;
  /** Kept of what a task prints; bytes. */
  readonly printedBytesMax?: number;
  /** The same for all managers of a run, one word; absent: there is no other. */
  readonly run?: string;
}

/** What an owner may change of how its manager appears to others. */
export interface Presence {
  /** Project name; empty: none. */
  readonly name: string;
  readonly priority: number;
  /** Tasks that the owner knows it will still submit. */
  readonly tasksLeft: number;
  readonly preferredConnection: Serving["preferredConnection"];
  /** Of links that come later. */
  readonly password: Serving["password"];
}

type Dispatch = Extract<ManagerAction, { type: "dispatch" }>;

export class Manager implements AsyncDisposable {
  readonly #scheduler: Scheduler;
  readonly #links: Links;
  #serving: Serving;
  #presence: Pick<Presence, "name" | "priority" | "tasksLeft">;
  readonly #ticking: ReturnType<typeof setInterval>;
  readonly #statistics = new Statistics();
  readonly #stall = new StallWatch(performance.now());
  readonly #facts: Facts = { hashes: new FileHashes(), lists: new FileLists() };
  readonly #startedEpochMs = Date.now();
  #actions: ManagerAction[] = [];
  #performing = false;
  #scheduling = false;
  #paused = false;
  /** For want of room on a disk. */
  #outputsWaiting = 0;
  #saidPlain = false;
  #nextTask = 1;
  #closed = false;

  private constructor(
    private readonly options: ManagerOptions,
    private readonly owner: ManagerListener,
  ) {
    this.#serving = options.serving ?? openToAll;
    this.#presence = { name: options.name, priority: 0, tasksLeft: 0 };
    const factor = this.#serving.stragglerFactor;
    this.#scheduler = new Scheduler({
      limits: options.limits ?? defaultLimits,
      epochOffsetMs: Date.now() - performance.now(),
      stragglerFactors: new Map([
        ...(factor === null ? [] : [["default", factor] as const]),
        ...(options.stragglerFactors ?? []),
      ]),
      allocations: options.allocations ?? new Map(),
      monitor: options.monitor ?? "off",
      foreignMonitor: options.foreignMonitor ?? null,
      run: { id: options.run ?? randomWord(), manager: randomWord() },
    });
    this.#links = Links.listen(
      {
        hostname: options.hostname ?? anyAddress,
        port: options.port,
        printedBytesMax: options.printedBytesMax ?? printedBytesUsual,
      },
      {
        serving: () => this.#serving,
        workers: this.#scheduler.workers,
        deliver: (event, nowMs) => this.#deliver(event, nowMs),
        refused: (address, why) => owner.refused(address, why),
        workerJoined: (worker) => this.#joined(worker),
        workerLeft: (worker, why) => owner.workerLeft(worker, why),
        diskFull: (why) => this.#diskFull(why),
      },
    );
    this.#ticking = setInterval(() => this.#tick(), tickMs);
  }

  /** Throws a RunError if no port of the range is free. */
  static listen(options: ManagerOptions, owner: ManagerListener): Manager {
    return new Manager(options, owner);
  }

  get port(): number {
    return this.#links.port;
  }

  get counts(): Scheduler["counts"] {
    return this.#scheduler.counts;
  }

  get allocations(): AllocationSummary[] {
    return this.#scheduler.allocations;
  }

  get workers(): Iterable<WorkerState> {
    return this.#scheduler.workers.values();
  }

  /** What catalogs are told of it. */
  advert(options: AdvertOptions): Advert {
    return advertOf(this.status, { pin: this.#serving.tls?.identity.pin, ...options });
  }

  /** Names of the factories whose limits count. */
  get factories(): readonly string[] {
    return this.#scheduler.factories;
  }

  /** What the catalog says of the most workers that factories want to have. */
  limitFactories(limits: ReadonlyMap<string, number>): void {
    this.#deliver({ type: "factory_limits", limits });
  }

  /** `given`: an id that no other task has. */
  submit(spec: TaskSpec, given = taskId(this.#nextTask)): TaskId {
    this.#nextTask = Math.max(this.#nextTask, given + 1);
    this.#deliver({ type: "submitted", id: given, spec });
    return given;
  }

  order(order: OwnerOrder): void {
    this.#deliver({ type: "order", order });
  }

  /** While paused no task is dispatched; all else goes on. */
  set paused(paused: boolean) {
    this.#paused = paused;
    if (!paused) this.#scheduleSoon();
  }

  present({ password, preferredConnection, ...presence }: Partial<Presence>): void {
    this.#presence = { ...this.#presence, ...presence };
    this.#serving = {
      ...this.#serving,
      ...(password !== undefined && { password }),
      ...(preferredConnection !== undefined && { preferredConnection }),
    };
  }

  /** Tasks that no worker has. */
  get waitingCount(): number {
    return this.#scheduler.waitingCount;
  }

  get scheduler(): SchedulerView {
    return this.#scheduler;
  }

  get statistics(): QueueStatistics {
    return this.#statistics;
  }

  /** Epoch minus the clock of attempts; ms. */
  get epochOffsetMs(): number {
    return this.#scheduler.options.epochOffsetMs;
  }

  /** All that can be told of it now. */
  get status(): StatusSource {
    const nowMs = performance.now();
    const { hostname, version } = this.options;
    const { name, priority, tasksLeft } = this.#presence;
    return {
      scheduler: this.#scheduler,
      statistics: this.#statistics,
      facts: factsOf({
        project: name === "" ? null : name,
        version,
        priority,
        tasksLeft,
        hostname: hostname ?? anyAddress,
        port: this.port,
        // Real workers that find it in a catalog speak TLS if it says so, and only then.
        ssl: this.#serving.tls?.required ?? false,
        startedEpochMs: this.#startedEpochMs,
        preferredConnection: this.#serving.preferredConnection,
        hostsBlocked: this.#scheduler.hostsBlocked(nowMs),
      }),
      at: { nowMs, epochMs: nowMs + this.#scheduler.options.epochOffsetMs },
      stillMs: this.#stillMs(nowMs),
      owner: this.owner.view?.(),
    };
  }

  /** What an attempt under an earlier manager says of the tasks of a category. */
  remember(category: string, seen: Observation): void {
    this.#scheduler.remember(category, seen);
  }

  cancel(id: TaskId): void {
    this.#deliver({ type: "cancel", id });
  }

  /** Whether a task is with no worker now. */
  isWaiting(id: TaskId): boolean {
    return this.#scheduler.tasks.get(id)?.phase.name === "waiting";
  }

  /** Says `exit` to all workers and closes. Tasks that are not done are lost to their workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close("exit");
  }

  /** The port is free at the end. */
  async close(farewell: Farewell): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticking);
    await this.#links.close(farewell);
  }

  // Events and actions

  #deliver(event: ManagerEvent, nowMs = performance.now()): void {
    // First: so it comes before the outboxes begin, and what is dispatched leaves with the rest.
    this.#scheduleSoon();
    this.#statistics.happened(event, nowMs);
    this.#stall.happened(event, nowMs);
    this.#perform(this.#scheduler.handle(event, nowMs));
  }

  /** Told once for all outputs that wait. */
  #diskFull(why: string | null): void {
    this.#outputsWaiting += why === null ? -1 : 1;
    if (this.#outputsWaiting === (why === null ? 0 : 1)) this.owner.diskFull?.(why);
  }

  #tick(): void {
    this.#deliver({ type: "tick" });
    const stillMs = this.#stillMs(performance.now());
    if (stillMs !== null && this.#stall.isDue(stillMs)) {
      this.owner.stalled?.(explain({ kind: "queue" }, this.status).text);
    }
  }

  /** Who pauses a manager knows why nothing moves. */
  #stillMs(nowMs: number): number | null {
    if (this.#paused) return null;
    const { tasks: { size: open }, waitingCount } = this.#scheduler;
    const { usualMs } = this.#statistics;
    return this.#stall.stillMs({ open, running: open - waitingCount, usualMs }, nowMs);
  }

  /** Once for all events of a turn: 2,000 results must not mean 2,000 scans of the queue. */
  #scheduleSoon(): void {
    if (this.#scheduling || this.#closed) return;
    this.#scheduling = true;
    queueMicrotask(() => {
      this.#scheduling = false;
      if (this.#paused) return this.owner.turned?.();
      const actions = this.#scheduler.schedule(performance.now());
      this.#perform(actions);
      this.owner.turned?.();
      // A full turn may have stopped for its limit; give the links a turn before the next one.
      if (actions.length >= this.#scheduler.options.limits.dispatchMax) {
        setTimeout(() => this.#scheduleSoon(), 0);
      }
    });
  }

  #perform(actions: readonly ManagerAction[]): void {
    this.#actions.push(...actions);
    if (this.#performing) return; // the owner reacted to an action: it comes after this one
    this.#performing = true;
    try {
      for (let i = 0; i < this.#actions.length; i++) this.#act(this.#actions[i]!);
    } finally {
      this.#actions = [];
      this.#performing = false;
    }
  }

  #act(action: ManagerAction): void {
    this.#statistics.acted(action);
    this.#stall.acted(action);
    switch (action.type) {
      case "attempt_ended":
        this.owner.attemptEnded(action.id, action.attempt, action.again);
        return;
      case "returned":
        this.owner.returned(action.task, action.end);
        return;
      case "host_blocked":
        this.owner.hostBlocked(action.host, action.why);
        return;
      case "too_large":
        this.owner.tooLarge(action.why);
        return;
    }
    const connection = this.#links.get(action.worker);
    if (connection === undefined) return; // its link broke in the meantime
    switch (action.type) {
      case "send":
        connection.send(textToWorker(action.message));
        break;
      case "answer_name":
        connection.send(`${this.#presence.name}\n`);
        break;
      case "dispatch":
        this.#tellDispatched(action);
        if (action.inputs.length > 0) connection.send((write) => this.#dispatch(action, write));
        else for (const piece of this.#block(action)) connection.send(piece);
        break;
      case "fill":
        connection.send((write) => this.#fill(action, write));
        break;
      case "make_directory":
        try {
          Deno.mkdirSync(action.path, { recursive: true });
        } catch (error) {
          const why = messageOf(error);
          this.#deliver({ type: "directory_failed", worker: action.worker, why });
        }
        break;
      case "answer_status":
        connection.answer((write) => this.#answerStatus(action.question, write));
        break;
      case "receive":
        connection.receive(action.into);
        break;
      case "close":
        connection.close(action.why);
        break;
    }
  }

  #joined(worker: WorkerState): void {
    this.owner.workerJoined(worker);
    if (this.#saidPlain || this.#serving.tls === null) return;
    if (this.#links.get(worker.id)?.isExposed !== true) return;
    this.#saidPlain = true;
    this.owner.plainText?.(worker);
  }

  #tellDispatched({ id, worker, block }: Dispatch): void {
    const state = this.#scheduler.workers.get(worker);
    if (state !== undefined) this.owner.dispatched?.(id, state, block);
  }

  async #dispatch(action: Dispatch, write: Write): Promise<void> {
    const { worker, id, inputs } = action;
    const state = this.#scheduler.workers.get(worker);
    if (state === undefined) return; // dropped meanwhile
    const { dialect, holds, greeting: platform } = state;
    const to: Recipient = {
      dialect,
      platform,
      holds,
      taken: (cacheName, sha256) => this.#deliver({ type: "taken", worker, cacheName, sha256 }),
      mayShare: (cacheName, bytes) => !isFast(state) && mayShare(state, cacheName, bytes),
      offered: (offer) => this.#deliver({ type: "offered", worker, offer: { ...offer, id } }),
    };
    for (const [i, input] of inputs.entries()) {
      try {
        const stays = input.cache && input.source.kind === "file";
        const begin = (bytes: number) =>
          this.#deliver({ type: "sending", worker, bytes, id, stays });
        await sendInput(input, to, this.#facts, write, begin);
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        const unsent = inputs.slice(i).map((rest) => rest.cacheName);
        this.#deliver({ type: "input_unreadable", worker, id, unsent, why: error.message });
        return;
      } finally {
        this.#deliver({ type: "sent", worker, id });
      }
    }
    for (const piece of this.#block(action)) await write(piece);
  }

  /** Nothing, if the worker does not wait for it any more. */
  async #fill(
    { worker, offer, lacking, bytes }: Extract<ManagerAction, { type: "fill" }>,
    write: Write,
  ): Promise<void> {
    const state = this.#scheduler.workers.get(worker);
    if (state === undefined || !isCurrent(state, offer)) return;
    const { id } = offer;
    this.#deliver({ type: "sending", worker, bytes, id });
    await sendLacking(offer, lacking, bytes, write);
    this.#deliver({ type: "sent", worker, id });
  }

  /** What is to be sent of a task block; nothing if its worker was dropped meanwhile. */
  #block({ worker, block }: Dispatch): ReturnType<typeof blockPieces> {
    const dialect = this.#scheduler.workers.get(worker)?.dialect;
    return dialect === undefined ? [] : blockPieces(block, dialect);
  }

  /** In pieces, with a turn for everybody else after each; then closes the link. */
  async #answerStatus(
    question: Extract<ManagerAction, { type: "answer_status" }>["question"],
    write: Write,
  ): Promise<void> {
    for (const piece of statusAnswer(question, this.status) ?? []) {
      await write(piece);
      await delay(0);
    }
  }
}

/** No other manager has it. */
function randomWord(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
