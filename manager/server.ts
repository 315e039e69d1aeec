/**
 * The manager's shell: sockets, files and the clock around the scheduler. Each link has one reader
 * and one outbox, so a slow worker delays nobody else.
 */
import type { CategorySettings } from "../core/allocation/category.ts";
import type { AllocationSummary } from "../core/allocation/report.ts";
import type { MonitorMode } from "../core/monitor/mode.ts";
import { messageOf, PeerProtocolError, RunError } from "../core/errors.ts";
import { type TaskId, taskId, type WorkerId, workerId } from "../core/ids.ts";
import { Decoder } from "../core/protocol/decoder.ts";
import type { Payload, ToManager } from "../core/protocol/messages.ts";
import { ToManagerGrammar } from "../core/protocol/to_manager.ts";
import { blockPieces, textToWorker } from "../core/protocol/to_worker.ts";
import { defaultLimits, type Limits } from "../core/scheduler/limits.ts";
import type { ManagerAction, ManagerEvent, Place, Stored } from "../core/scheduler/actions.ts";
import type { MonitorProgram } from "../core/scheduler/foreign_monitor.ts";
import { Scheduler } from "../core/scheduler/machine.ts";
import type { OwnerOrder } from "../core/scheduler/orders.ts";
import type { Attempt, Task, TaskEnd, TaskSpec } from "../core/scheduler/tasks.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import type { Resources } from "../core/resources.ts";
import { FileSink, nowhere, type Sink, TailSink, UpdateSink } from "../io/files.ts";
import { delay, within } from "../io/clock.ts";
import { FileHashes } from "../io/hash.ts";
import { authenticate, managerPatienceMs } from "../io/handshake.ts";
import { Link } from "../io/link.ts";
import { Outbox, type Write } from "../io/outbox.ts";
import { statusAnswer } from "../core/status/answer.ts";
import { type Advert, advertOf, type AdvertOptions } from "../core/status/advert.ts";
import type { OwnerView, SchedulerView, StatusSource } from "../core/status/snapshot.ts";
import { type QueueStatistics, Statistics } from "../core/status/statistics.ts";
import { factsOf } from "./facts.ts";
import { openToAll, type Serving } from "./serving.ts";
import { sendInput, Unreadable } from "./transfer.ts";

/** Kept of what a task prints; bytes. Enough for any stack trace, too little to fill a manager. */
const printedBytesUsual = 1024 ** 2;

/** How often silence is looked for. */
const tickMs = 1000;

/** All of IPv4. */
const anyAddress = "0.0.0.0";

/** For a worker to take the last lines when the manager closes. */
const farewellMs = 2000;

/** What the owner of a manager hears of. Called in order, never from within a call of its own. */
export interface ManagerListener {
  attemptEnded(id: TaskId, attempt: Attempt, again: boolean): void;
  returned(task: Task, end: TaskEnd): void;
  workerJoined(worker: WorkerState): void;
  workerLeft(worker: WorkerState, why: string): void;
  /** A connection that did not get so far as to be a worker. */
  refused(address: string, why: string): void;
  /** A host gets no tasks for a while. */
  hostBlocked(host: string, why: string): void;
  /** A task waits, although workers are connected, for a larger one. */
  tooLarge(why: string): void;
  /** A task was given to a worker. */
  dispatched?(id: TaskId, worker: WorkerState, box: Resources): void;
  /** After each turn in which something may have changed. */
  turned?(): void;
  /** What the owner knows of its tasks besides, for those who ask how they do. */
  view?(): OwnerView | undefined;
}

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

interface Connection {
  readonly link: Link;
  readonly outbox: Outbox;
  sink: Sink;
  /** Why we closed it, if we did. */
  closedBecause: string | null;
  /** The answer to a question about the status is under way; afterwards the link is closed. */
  answering: Promise<void> | null;
}

export class Manager implements AsyncDisposable {
  readonly #scheduler: Scheduler;
  readonly #connections = new Map<WorkerId, Connection>();
  #serving: Serving;
  #presence: Pick<Presence, "name" | "priority" | "tasksLeft">;
  readonly #links = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #ticking: ReturnType<typeof setInterval>;
  readonly #accepting: Promise<void>;
  readonly #statistics = new Statistics();
  readonly #hashes = new FileHashes();
  readonly #startedEpochMs = Date.now();
  #actions: ManagerAction[] = [];
  #performing = false;
  #scheduling = false;
  #paused = false;
  #nextTask = 1;
  #nextWorker = 1;
  #closed = false;

  private constructor(
    private readonly listener: Deno.TcpListener,
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
    });
    this.#accepting = this.#accept();
    this.#ticking = setInterval(() => this.#deliver({ type: "tick" }), tickMs);
  }

  /** Throws a RunError if no port of the range is free. */
  static listen(options: ManagerOptions, owner: ManagerListener): Manager {
    return new Manager(listenInRange(options), options, owner);
  }

  get port(): number {
    return this.listener.addr.port;
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
    return advertOf(this.#statusSource(), options);
  }

  /** Names of the factories whose limits count. */
  get factories(): readonly string[] {
    return this.#scheduler.factories;
  }

  /** What the catalog says of the most workers that factories want to have. */
  limitFactories(limits: ReadonlyMap<string, number>): void {
    this.#deliver({ type: "factory_limits", limits });
  }

  /** `given`: an id above all earlier ones. */
  submit(spec: TaskSpec, given = taskId(this.#nextTask)): TaskId {
    this.#nextTask = given + 1;
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
    return this.#statusSource();
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

  /** `release`: workers look for another manager. The port is free at the end. */
  async close(farewell: "exit" | "release"): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopping.abort();
    clearInterval(this.#ticking);
    this.listener.close();
    await this.#accepting;
    const farewells = [...this.#connections.values()].map(async ({ link, outbox }) => {
      outbox.push(textToWorker({ type: farewell }));
      // A worker that does not read its farewell is left to find out by itself.
      await within(farewellMs, outbox.drained());
      link.close();
    });
    await Promise.all([...farewells, ...this.#links]);
  }

  // Events and actions

  #deliver(event: ManagerEvent, nowMs = performance.now()): void {
    // First: so it comes before the outboxes begin, and what is dispatched leaves with the rest.
    this.#scheduleSoon();
    this.#statistics.happened(event, nowMs);
    this.#perform(this.#scheduler.handle(event, nowMs));
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
    const connection = this.#connections.get(action.worker);
    if (connection === undefined) return; // its link broke in the meantime
    const { outbox } = connection;
    switch (action.type) {
      case "send":
        outbox.push(textToWorker(action.message));
        break;
      case "answer_name":
        outbox.push(`${this.#presence.name}\n`);
        break;
      case "dispatch":
        this.#tellDispatched(action);
        if (action.inputs.length > 0) outbox.push((write) => this.#dispatch(action, write));
        else for (const piece of this.#block(action)) outbox.push(piece);
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
        outbox.push((write) => this.#answerStatus(action.question, write));
        connection.answering = outbox.drained().then(() => connection.link.close());
        break;
      case "receive":
        connection.sink = this.#sinkFor(action.into);
        break;
      case "close":
        connection.closedBecause = action.why;
        connection.link.close();
        break;
    }
  }

  #tellDispatched({ id, worker, block }: Dispatch): void {
    const state = this.#scheduler.workers.get(worker);
    if (state !== undefined) this.owner.dispatched?.(id, state, block);
  }

  #sinkFor(place: Place): Sink {
    switch (place.kind) {
      case "printed":
        return new TailSink(this.options.printedBytesMax ?? printedBytesUsual);
      case "file":
        return new FileSink(place.path, 0o666);
      case "update":
        return new UpdateSink(place.path, place.offset);
      case "nobody":
        return nowhere;
    }
  }

  async #dispatch(action: Dispatch, write: Write): Promise<void> {
    const { worker, id, inputs } = action;
    const state = this.#scheduler.workers.get(worker);
    if (state === undefined) return; // dropped meanwhile
    const { dialect, holds, greeting: platform } = state;
    const taken = (cacheName: string, sha256: string) =>
      this.#deliver({ type: "taken", worker, cacheName, sha256 });
    for (const [i, input] of inputs.entries()) {
      try {
        const begin = (bytes: number) => this.#deliver({ type: "sending", worker, bytes, id });
        await sendInput(input, { dialect, platform, holds, taken }, this.#hashes, write, begin);
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
    for (const piece of statusAnswer(question, this.#statusSource()) ?? []) {
      await write(piece);
      await delay(0);
    }
  }

  #statusSource(): StatusSource {
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
        ssl: this.#serving.identity !== null,
        startedEpochMs: this.#startedEpochMs,
        preferredConnection: this.#serving.preferredConnection,
        hostsBlocked: this.#scheduler.hostsBlocked(nowMs),
      }),
      at: { nowMs, epochMs: nowMs + this.#scheduler.options.epochOffsetMs },
      owner: this.owner.view?.(),
    };
  }

  // Links

  async #accept(): Promise<void> {
    for (;;) {
      let conn: Deno.TcpConn;
      try {
        conn = await this.listener.accept();
      } catch (error) {
        if (this.#closed) return;
        // The peer may be gone before it is accepted, or files may have run out for a moment.
        if (error instanceof Deno.errors.BadResource) return;
        await delay(100);
        continue;
      }
      const link = this.#admit(new Link(conn)).finally(() => this.#links.delete(link));
      this.#links.add(link);
    }
  }

  /** TLS and password come before the protocol; they cost nobody else any time. */
  async #admit(link: Link): Promise<void> {
    const { password, identity } = this.#serving;
    const patience = { deadlineMs: managerPatienceMs, signal: this.#stopping.signal };
    let ahead: Uint8Array | undefined;
    try {
      if (identity !== null) await link.startTls({ role: "server", identity }, patience);
      if (password !== null) {
        ahead = await authenticate(link, password.content, { role: "manager", ...patience });
      }
    } catch (error) {
      link.close();
      if (!(error instanceof PeerProtocolError)) throw error;
      this.owner.refused(link.peer, error.message);
      return;
    }
    await this.#serve(link, ahead);
  }

  async #serve(link: Link, ahead: Uint8Array | undefined): Promise<void> {
    const worker = workerId(`w${this.#nextWorker++}`);
    const outbox = new Outbox(
      link,
      () => this.#deliver({ type: "moving", worker }),
      (error) => {
        connection.closedBecause ??= messageOf(error);
        link.close();
      },
    );
    const connection: Connection = {
      link,
      outbox,
      sink: nowhere,
      closedBecause: null,
      answering: null,
    };
    this.#connections.set(worker, connection);
    this.#deliver({ type: "link_opened", worker, address: link.peer });
    const state = this.#scheduler.workers.get(worker)!;
    let why = "it closed the connection";
    try {
      const decoder = new Decoder<ToManager>(new ToManagerGrammar());
      for await (const bytes of link.received(ahead)) {
        decoder.feed(bytes);
        const nowMs = performance.now();
        for (let m = decoder.next(); m !== null; m = decoder.next()) {
          const storing = this.#received(worker, connection, state, m, nowMs);
          if (storing !== undefined) await storing;
        }
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      why = error.message;
    } finally {
      // It may have closed its half after the question.
      await connection.answering;
      why = connection.closedBecause ?? why;
      this.#connections.delete(worker);
      link.close();
      await connection.sink.abandon();
      this.#deliver({ type: "link_closed", worker, why });
      if (connection.answering === null) this.owner.workerLeft(state, why);
    }
  }

  /** Returns a promise only for what has to be waited for: all else is done in this turn. */
  #received(
    worker: WorkerId,
    connection: Connection,
    state: WorkerState,
    message: ToManager | Payload,
    nowMs: number,
  ): Promise<void> | void {
    if (message.type !== "payload") {
      this.#deliver({ type: "received", worker, message }, nowMs);
      if (message.type === "resource tag") this.owner.workerJoined(state);
      return;
    }
    const { last } = message;
    const taking = connection.sink.take(message.bytes);
    if (taking === undefined) return this.#taken(worker, connection, last);
    return taking.then(() => this.#taken(worker, connection, last));
  }

  #taken(worker: WorkerId, connection: Connection, last: boolean): Promise<void> | void {
    if (!last) return this.#deliver({ type: "moving", worker });
    const { sink } = connection;
    connection.sink = nowhere;
    const closing = sink.finish();
    if (closing === null) return this.#deliver({ type: "stored", worker, stored: storedBy(sink) });
    return closing.then((why) => {
      const stored: Stored = why === null ? storedBy(sink) : { kind: "failed", why };
      this.#deliver({ type: "stored", worker, stored });
    });
  }
}

function storedBy(sink: Sink): Stored {
  return sink instanceof TailSink
    ? { kind: "printed", bytes: sink.bytes, isCut: sink.isCut }
    : { kind: "file" };
}

function listenInRange({ port, hostname = anyAddress }: ManagerOptions): Deno.TcpListener {
  let trouble: unknown;
  for (let candidate = port.low; candidate <= port.high; candidate++) {
    try {
      return Deno.listen({ hostname, port: candidate });
    } catch (error) {
      trouble = error;
    }
  }
  const which = port.low === port.high
    ? `port ${port.low}`
    : `any port from ${port.low} to ${port.high}`;
  const why = trouble instanceof Deno.errors.AddrInUse
    ? "in use by another program; choose another one with --port, or 0 for any free one"
    : messageOf(trouble);
  throw new RunError(`Cannot listen on ${which}: ${why}`);
}
