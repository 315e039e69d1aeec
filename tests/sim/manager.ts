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
import { listOf, piecesOf } from "./pieces.ts";
import type { Timeline } from "./timeline.ts";
import type { End, Wire } from "./wire.ts";
import { sha256Of } from "./worker.ts";

interface Line {
  readonly decoder: Decoder<ToManager>;
  wire: Wire | null;
  place: Place;
  pieces: Uint8Array[];
}

export interface SimManagerOptions {
  readonly scheduler: Scheduler;
  /** Whether reading an input fails this time. */
  readonly unreadable: () => boolean;
  readonly returned: (task: Task, end: TaskEnd) => void;
  /** Every action, for comparing runs; absent: nobody compares. */
  readonly log?: ((line: string) => void) | undefined;
}

export class SimManager {
  /** The manager's disk, by path. */
  readonly files = new Map<string, Uint8Array>();
  readonly #lines = new Map<WorkerId, Line>();
  #nextTask = 1;
  #nextWorker = 1;
  #scheduling = false;
  readonly #actions: ManagerAction[] = [];

  constructor(private readonly timeline: Timeline, private readonly options: SimManagerOptions) {
    const tick = () => {
      this.#deliver({ type: "tick" });
      this.timeline.in(1000, tick);
    };
    timeline.in(1000, tick);
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
    const line: Line = { decoder, wire: null, place: { kind: "nobody" }, pieces: [] };
    this.#lines.set(worker, line);
    this.#deliver({ type: "link_opened", worker, address });
    const end: End = {
      received: (bytes) => this.#received(worker, line, bytes),
      closed: () => this.#closed(worker, "it closed the connection"),
    };
    return { end, plug: (wire) => line.wire = wire };
  }

  #received(worker: WorkerId, line: Line, bytes: Uint8Array): void {
    if (!this.#lines.has(worker)) return;
    line.decoder.feed(bytes);
    try {
      for (let m = line.decoder.next(); m !== null; m = line.decoder.next()) {
        if (m.type !== "payload") {
          this.#deliver({ type: "received", worker, message: m });
          continue;
        }
        line.pieces.push(m.bytes.slice());
        if (m.last) this.#stored(worker, line);
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      line.wire!.close("manager");
      this.#closed(worker, error.message);
    }
  }

  #stored(worker: WorkerId, line: Line): void {
    const bytes = concat(line.pieces);
    line.pieces = [];
    const { place } = line;
    if (place.kind === "file") this.files.set(place.path, bytes);
    const stored = place.kind === "printed"
      ? { kind: "printed", bytes } as const
      : { kind: "file" } as const;
    this.#deliver({ type: "stored", worker, stored });
  }

  #closed(worker: WorkerId, why: string): void {
    if (!this.#lines.delete(worker)) return;
    this.#deliver({ type: "link_closed", worker, why });
  }

  #deliver(event: ManagerEvent): void {
    const { scheduler } = this.options;
    this.#perform(scheduler.handle(event, this.timeline.nowMs));
    checkScheduler(scheduler);
    if (this.#scheduling) return;
    this.#scheduling = true;
    this.timeline.in(0, () => {
      this.#scheduling = false;
      this.#perform(scheduler.schedule(this.timeline.nowMs));
      checkScheduler(scheduler);
    });
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
        return this.options.returned(action.task, action.end);
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
      const bytes = this.#read(input);
      if (bytes === null) {
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
    if (!this.options.scheduler.workers.get(worker)?.holds.has(sha256)) return false;
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
    const state = this.options.scheduler.workers.get(worker);
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
    const state = this.options.scheduler.workers.get(worker);
    if (state === undefined || !isCurrent(state, offer)) return;
    const { cacheName, path } = offer;
    const file = this.options.unreadable() ? undefined : this.files.get(path);
    const pieces = file === undefined ? [] : piecesOf(file);
    const bytes = concat(pieces.filter((_, i) => lacking.includes(i)));
    wire.send("worker", encodeToWorker({ type: "fill", cacheName, length: bytes.length }));
    wire.send("worker", bytes);
  }

  #read({ source }: TaskInput): Uint8Array | null {
    if (this.options.unreadable()) return null;
    if (source.kind === "buffer") return source.bytes;
    return source.kind === "file" ? this.files.get(source.path) ?? null : null;
  }
}

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
