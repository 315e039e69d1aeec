/** The real scheduler with a shell of memory: files are a map, links are wires. */
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { type TaskId, taskId, type WorkerId, workerId } from "../../core/ids.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { ToManager } from "../../core/protocol/messages.ts";
import { ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { encodeToWorker } from "../../core/protocol/to_worker.ts";
import { heldBytesMin } from "../../core/protocol/held.ts";
import { checkScheduler } from "../../core/scheduler/check.ts";
import type { ManagerAction, ManagerEvent, Place } from "../../core/scheduler/actions.ts";
import type { Scheduler } from "../../core/scheduler/machine.ts";
import { isCurrent, mayShare } from "../../core/scheduler/pieces.ts";
import type { Task, TaskEnd, TaskInput, TaskSpec } from "../../core/scheduler/tasks.ts";
import { bytesOf } from "../support/builders.ts";
import { checkPromises } from "./checks.ts";
import type { SimDisk } from "./disk.ts";
import { Freezer } from "./freezer.ts";
import { listOf, piecesOf } from "./pieces.ts";
import type { Timeline } from "./timeline.ts";
import type { End, Wire } from "./wire.ts";
import { sha256Of } from "./worker.ts";

interface Line {
  readonly decoder: Decoder<ToManager>;
  wire: Wire | null;
  place: Place;
  pieces: Uint8Array[];
  /** A file is being written: nothing is read meanwhile. */
  writing: boolean;
}

/** Decisions between two looks at everything that must hold. */
const decisionsPerCheck = 4;

export interface SimManagerOptions {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  /** Its tasks are numbered from here on. */
  readonly firstTask: number;
  /** Time of one write. */
  readonly diskMs: () => number;
  /** Whether keeping an output fails this time. */
  readonly unstored: () => boolean;
  /** Names of inputs that could not be read. */
  readonly unread: Set<string>;
  /** Whether reading an input fails this time. */
  readonly unreadable: () => boolean;
  readonly returned: (task: Task, end: TaskEnd) => void;
  /** Every action, for comparing runs; absent: nobody compares. */
  readonly log?: ((line: string) => void) | undefined;
}

export class SimManager {
  /** While true no task is dispatched. */
  paused = false;
  readonly #lines = new Map<WorkerId, Line>();
  readonly #freezer: Freezer;
  #nextTask: number;
  #nextWorker = 1;
  #scheduling = false;
  #decisions = 0;
  #dead = false;
  readonly #actions: ManagerAction[] = [];

  constructor(private readonly timeline: Timeline, private readonly options: SimManagerOptions) {
    this.#freezer = new Freezer(timeline);
    this.#nextTask = options.firstTask;
    const tick = () => {
      if (this.#dead) return;
      this.#deliver({ type: "tick" });
      this.timeline.in(1000, tick);
    };
    timeline.in(1000, tick);
  }

  get scheduler(): Scheduler {
    return this.options.scheduler;
  }

  get disk(): SimDisk {
    return this.options.disk;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** No other manager of this world had a task of this number. */
  get nextTask(): number {
    return this.#nextTask;
  }

  /** Killed: it does nothing any more, and the system closes its links. */
  die(): void {
    this.#dead = true;
    const lines = [...this.#lines.values()];
    this.#lines.clear();
    for (const { wire } of lines) wire?.cut();
  }

  /** SIGSTOP, and SIGCONT after so long; what comes meanwhile waits. */
  freeze(ms: number): void {
    this.#freezer.freeze(ms);
  }

  submit(spec: TaskSpec): TaskId {
    const id = taskId(this.#nextTask++);
    this.#deliver({ type: "submitted", id, spec });
    return id;
  }

  cancel(id: TaskId): void {
    this.#deliver({ type: "cancel", id });
  }

  limitFactory(name: string, workersMax: number): void {
    this.#deliver({ type: "factory_limits", limits: new Map([[name, workersMax]]) });
  }

  /** A worker connects; `plug` is told the wire once both ends exist. */
  accept(address: string): { end: End; plug: (wire: Wire) => void } {
    const worker = workerId(`w${this.#nextWorker++}`);
    const decoder = new Decoder<ToManager>(new ToManagerGrammar());
    const place: Place = { kind: "nobody" };
    const line: Line = { decoder, wire: null, place, pieces: [], writing: false };
    this.#lines.set(worker, line);
    this.#deliver({ type: "link_opened", worker, address });
    const end: End = {
      received: (bytes) => {
        line.decoder.feed(bytes);
        this.#freezer.whenAwake(() => this.#read(worker, line));
      },
      closed: () => {
        this.#freezer.whenAwake(() => this.#closed(worker, "it closed the connection"));
      },
    };
    return { end, plug: (wire) => line.wire = wire };
  }

  #read(worker: WorkerId, line: Line): void {
    try {
      while (!line.writing && this.#lines.has(worker)) {
        const m = line.decoder.next();
        if (m === null) return;
        if (m.type !== "payload") {
          this.#deliver({ type: "received", worker, message: m });
          continue;
        }
        line.pieces.push(m.bytes);
        if (m.last) this.#store(worker, line);
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      line.wire!.close("manager");
      this.#closed(worker, error.message);
    }
  }

  #store(worker: WorkerId, line: Line): void {
    const bytes = concat(line.pieces);
    line.pieces = [];
    const { place } = line;
    if (place.kind !== "file") {
      const stored = place.kind === "printed" ? { kind: "printed", bytes } as const : file;
      this.#deliver({ type: "stored", worker, stored });
      return;
    }
    const { disk, diskMs, unstored } = this.options;
    line.writing = true;
    this.timeline.in(diskMs(), () => {
      this.#freezer.whenAwake(() => {
        line.writing = false;
        if (!this.#lines.has(worker)) return;
        const kept = disk.write(place.path, bytes) && !unstored();
        this.#deliver({ type: "stored", worker, stored: kept ? file : noRoom });
        this.#read(worker, line);
      });
    });
  }

  #closed(worker: WorkerId, why: string): void {
    if (!this.#lines.delete(worker)) return;
    this.#deliver({ type: "link_closed", worker, why });
  }

  #deliver(event: ManagerEvent): void {
    this.#freezer.whenAwake(() => {
      if (this.#dead) return;
      this.#perform(this.scheduler.handle(event, this.timeline.nowMs));
      this.#check();
      if (this.#scheduling) return;
      this.#scheduling = true;
      this.timeline.in(0, () => this.#freezer.whenAwake(() => this.#schedule()));
    });
  }

  #schedule(): void {
    this.#scheduling = false;
    if (this.#dead || this.paused) return;
    this.#perform(this.scheduler.schedule(this.timeline.nowMs));
    this.#check();
  }

  #check(): void {
    if (++this.#decisions % decisionsPerCheck !== 0) return;
    checkScheduler(this.scheduler);
    checkPromises(this.scheduler);
  }

  #perform(actions: readonly ManagerAction[]): void {
    const first = this.#actions.length === 0;
    this.#actions.push(...actions);
    if (!first) return; // a reaction to an action comes after it
    for (let i = 0; i < this.#actions.length; i++) this.#act(this.#actions[i]!);
    this.#actions.length = 0;
  }

  #act(action: ManagerAction): void {
    this.options.log?.(`${this.timeline.nowMs.toFixed(3)} ${brief(action)}`);
    switch (action.type) {
      case "attempt_ended":
      case "host_blocked":
      case "too_large":
        return;
      case "returned":
        this.options.returned(action.task, action.end);
        return;
    }
    const line = this.#lines.get(action.worker);
    if (line === undefined) return;
    switch (action.type) {
      case "send":
        return line.wire!.send("worker", encodeToWorker(action.message));
      case "answer_name":
        return line.wire!.send("worker", bytesOf("sim\n"));
      case "dispatch":
        return this.#dispatch(line.wire!, action);
      case "fill":
        return this.#fill(line.wire!, action);
      case "make_directory":
      case "answer_status":
        return;
      case "receive":
        line.place = action.into;
        return;
      case "close":
        line.wire!.close("manager");
        this.#lines.delete(action.worker);
        return;
    }
  }

  #dispatch(
    wire: Wire,
    { worker, id, inputs, block }: Extract<ManagerAction, { type: "dispatch" }>,
  ): void {
    for (const [i, input] of inputs.entries()) {
      const bytes = this.#open(input);
      if (bytes === null) {
        for (const { cacheName } of inputs.slice(i)) this.options.unread.add(cacheName);
        const unsent = inputs.slice(i).map((rest) => rest.cacheName);
        const why = "it cannot be read";
        this.timeline.in(0, () => {
          this.#deliver({ type: "input_unreadable", worker, id, unsent, why });
        });
        return;
      }
      const { cacheName } = input;
      if (input.cache && this.#letTake(worker, cacheName, bytes, wire)) continue;
      if (input.cache && this.#offer(worker, id, input, bytes, wire)) continue;
      const length = bytes.length;
      const put = { type: "put", cacheName, inside: "", length, mode: 0o644 } as const;
      wire.send("worker", encodeToWorker(put));
      wire.send("worker", bytes);
      // As if they were large, which takes simulated links too long.
      const sending = { bytes: heldBytesMin, stays: input.cache };
      this.#deliver({ type: "sending", worker, id, ...sending });
      this.#deliver({ type: "sent", worker, id });
    }
    wire.send("worker", encodeToWorker(block));
  }

  /** Whether the worker has this content of an earlier link. */
  #letTake(worker: WorkerId, cacheName: string, bytes: Uint8Array, wire: Wire): boolean {
    const sha256 = sha256Of(bytes);
    if (!this.scheduler.workers.get(worker)?.holds.has(sha256)) return false;
    this.#deliver({ type: "taken", worker, cacheName, sha256 });
    const take = { type: "fetch", from: "kept", source: sha256, cacheName, mode: 0o644 } as const;
    wire.send("worker", encodeToWorker(take));
    return true;
  }

  /** Whether the worker was asked which pieces it lacks. */
  #offer(
    worker: WorkerId,
    id: TaskId,
    { cacheName, source }: TaskInput,
    bytes: Uint8Array,
    wire: Wire,
  ): boolean {
    const state = this.scheduler.workers.get(worker);
    if (state === undefined || source.kind !== "file") return false;
    if (!mayShare(state, cacheName, heldBytesMin)) return false;
    const pieces = listOf(bytes);
    this.#deliver({ type: "offered", worker, offer: { cacheName, path: source.path, pieces, id } });
    const file = { cacheName, mode: 0o644, sha256: sha256Of(bytes), bytes: bytes.length, pieces };
    wire.send("worker", encodeToWorker({ type: "offer", ...file }));
    return true;
  }

  #fill(
    wire: Wire,
    { worker, offer, lacking }: Extract<ManagerAction, { type: "fill" }>,
  ): void {
    const state = this.scheduler.workers.get(worker);
    if (state === undefined || !isCurrent(state, offer)) return;
    const { cacheName, path } = offer;
    const file = this.options.unreadable() ? undefined : this.disk.read(path);
    const pieces = file === undefined ? [] : piecesOf(file);
    const bytes = concat(pieces.filter((_, i) => lacking.includes(i)));
    wire.send("worker", encodeToWorker({ type: "fill", cacheName, length: bytes.length }));
    wire.send("worker", bytes);
  }

  #open({ source }: TaskInput): Uint8Array | null {
    if (this.options.unreadable()) return null;
    if (source.kind === "buffer") return source.bytes;
    return source.kind === "file" ? this.disk.read(source.path) ?? null : null;
  }
}

const file = { kind: "file" } as const;
const noRoom = { kind: "failed", why: "there is no room" } as const;

function brief(action: ManagerAction): string {
  switch (action.type) {
    case "send":
      return `${action.worker} ← ${JSON.stringify(action.message)}`;
    case "dispatch":
      return `${action.worker} ← task ${action.id} and ${action.inputs.length} inputs`;
    case "returned":
      return `task ${action.task.id} returned: ${JSON.stringify(action.end)}`;
    case "attempt_ended":
      return `task ${action.id} attempt: ${JSON.stringify(action.attempt.ending)}`;
    default:
      return JSON.stringify(action);
  }
}
