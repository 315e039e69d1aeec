/** The real worker machine with a shell of memory: cache and sandboxes are maps, tasks take time. */
import { createHash } from "node:crypto";
import { concat } from "../../core/bytes.ts";
import { monitorModeIn } from "../../core/monitor/mode.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { heldBytesMin } from "../../core/protocol/held.ts";
import { encodeLacking } from "../../core/protocol/pieces.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { TaskBlock, ToWorker } from "../../core/protocol/messages.ts";
import { encodeToManager } from "../../core/protocol/to_manager.ts";
import { ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import type {
  FetchMessage,
  OfferMessage,
  WorkerAction,
  WorkerEvent,
  WorkerIdentity,
} from "../../core/worker/actions.ts";
import { keptNamePrefix } from "../../core/worker/keeping.ts";
import { WorkerMachine } from "../../core/worker/machine.ts";
import { pieceName } from "../../core/pieces.ts";
import { Freezer } from "./freezer.ts";
import { askedIn, cannotStart, monitored } from "./monitored.ts";
import { piecesOf } from "./pieces.ts";
import type { Timeline } from "./timeline.ts";
import type { End, Wire } from "./wire.ts";

export type Files = Map<string, Uint8Array>;

/** What a command does with its sandbox: how long it takes, and what it leaves at its end. */
export interface Effect {
  readonly ms: number;
  readonly exitCode: number;
  readonly printed: Uint8Array;
  readonly outputs: Files;
  /** Peak; 10 where it does not matter. */
  readonly memoryMb?: number;
  /** At its end it kills its worker. */
  readonly killsWorker?: boolean;
}

/** Tasks that run, or the outputs of those that have ended, or all about those. */
export type LostKept = "task" | "outputs" | "result";

type StepEvent = Extract<WorkerEvent, { type: "staged_in" | "exited" | "staged_out" }>;

export interface SimWorkerOptions {
  readonly identity: WorkerIdentity;
  /** So far its calendar is ahead. */
  readonly calendarAheadMs: () => number;
  /** Factor on the time of everything. */
  readonly slowness: number;
  readonly execute: (command: string, sandbox: Files) => Effect;
  /** Says and knows nothing of wqx. */
  readonly foreign: boolean;
  /** Whether a monitor that was sent along cannot be started this time. */
  readonly monitorFails: () => boolean;
  /** Whether keeping a received object fails this time. */
  readonly storeFails: () => boolean;
  /** What is left of earlier links, by content hash. */
  readonly kept: Files;
  /** Whether a kept file, or a piece of it, turns out to be another one this time. */
  readonly keptGarbled: () => boolean;
  /** Whether a file that was put together gets its name unseen. */
  readonly gullible: boolean;
  /** Names of files that their manager could not read at some time: tasks may have come without. */
  readonly unread: ReadonlySet<string>;
  /** It does not hear that it should forget a task. */
  readonly deafToKill: boolean;
  /** Of what it kept and gives to the next manager, this is not there any more. */
  readonly losesKept: LostKept | null;
  /** So long it keeps tasks when a link breaks; 0: not at all. */
  readonly keepTasksMs: number;
  /** One of its tasks has killed it. */
  readonly poisoned: () => void;
  /** The link is over: by the manager, by a fault, or because the worker left. */
  readonly gone: (terminate: boolean) => void;
}

interface Attempt {
  /** Its number now. */
  taskId: number;
  readonly sandbox: Files;
  printed: Uint8Array;
  forgotten: boolean;
  /** It was killed: what it would have come to does not happen. */
  killed: boolean;
}

/** A file that is put together. */
interface Assembly {
  readonly offer: OfferMessage;
  /** What is there of it, once it was looked for. */
  found: (Uint8Array | null)[] | null;
}

/** The same bytes are asked for again and again. */
const hashes = new WeakMap<Uint8Array, string>();

export function sha256Of(bytes: Uint8Array): string {
  let hash = hashes.get(bytes);
  if (hash === undefined) {
    hash = createHash("sha256").update(bytes).digest("hex");
    hashes.set(bytes, hash);
  }
  return hash;
}

export class SimWorker {
  readonly #machine: WorkerMachine;
  #decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
  readonly #cache: Files = new Map();
  readonly #attempts = new Map<number, Attempt>();
  /** Names of the cache whose bytes came from the manager. */
  readonly #sent = new Set<string>();
  /** To be taken from what is kept, when a task needs them. */
  readonly #sources = new Map<string, FetchMessage>();
  readonly #assemblies = new Map<string, Assembly>();
  /** Names that it was sent and does not have, through no fault of the manager. */
  readonly #missed = new Set<string>();
  #storing: {
    readonly name: string;
    readonly pieces: Uint8Array[];
    /** It is what this one lacks; `null`: nobody asked for it. */
    readonly filling?: Assembly | null;
  } | null = null;
  readonly #freezer: Freezer;
  #wire: Wire | null = null;
  #alive = true;
  /** Counts links. */
  #links = 0;
  #isTicking = false;
  /** It has lost its manager, and has tasks for the next one. */
  isKeeping = false;

  constructor(private readonly timeline: Timeline, private readonly options: SimWorkerOptions) {
    const keepTasksMs = options.foreign ? 0 : options.keepTasksMs;
    const limits = { idleTimeoutMs: 900_000, keepTasksMs };
    this.#machine = new WorkerMachine(options.identity, limits, timeline.nowMs);
    this.#freezer = new Freezer(timeline);
  }

  /** Of its next link. */
  newEnd(): End {
    const link = ++this.#links;
    const onLink = (happen: () => void) => {
      this.#freezer.whenAwake(() => {
        if (link === this.#links) happen();
      });
    };
    return {
      received: (bytes) => onLink(() => this.#received(bytes)),
      closed: () => onLink(() => this.#lose()),
    };
  }

  start(wire: Wire): void {
    this.#wire = wire;
    // As if they were large, which takes simulated links too long.
    const holds = [...this.options.kept.keys()]
      .map((sha256) => ({ bytes: heldBytesMin, sha256 }));
    if (this.isKeeping) this.#machine.relink(this.options.identity, this.timeline.nowMs);
    this.isKeeping = false;
    this.#deliver({ type: "connected", holds });
    if (this.#isTicking) return;
    this.#isTicking = true;
    const tick = () => {
      if (!this.#alive) return;
      const epochMs = this.timeline.nowMs + this.options.calendarAheadMs();
      this.#freezer.whenAwake(() => this.#deliver({ type: "tick", epochMs }));
      this.timeline.in(5000, tick);
    };
    this.timeline.in(5000, tick);
  }

  /** Killed: it does nothing any more, and nobody is told by it. */
  die(): void {
    this.#alive = false;
  }

  /** SIGSTOP to it and its tasks, and SIGCONT after so long. */
  freeze(ms: number): void {
    this.#freezer.freeze(ms);
  }

  /** Tasks that it has a sandbox for; none once it is gone. */
  get taskCount(): number {
    return this.#alive ? this.#machine.taskCount : 0;
  }

  #received(bytes: Uint8Array): void {
    if (!this.#alive) return;
    this.#decoder.feed(bytes);
    try {
      for (let m = this.#decoder.next(); m !== null && this.#alive; m = this.#decoder.next()) {
        if (m.type !== "payload") {
          const unheard = this.options.deafToKill && m.type === "kill";
          if (!unheard) this.#deliver({ type: "received", message: m });
          continue;
        }
        const { name, pieces, filling } = this.#storing!;
        pieces.push(m.bytes);
        if (!m.last) continue;
        if (filling !== undefined) this.#complete(filling, concat(pieces));
        else if (!this.options.storeFails()) this.#keep(name, concat(pieces));
        else this.#missed.add(name);
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      this.#wire!.close("worker");
      this.#leave(false);
    }
  }

  #deliver(event: WorkerEvent): void {
    if (!this.#alive) return;
    for (const action of this.#machine.handle(event, this.timeline.nowMs)) this.#perform(action);
  }

  #perform(action: WorkerAction): void {
    switch (action.type) {
      case "send": {
        const { message } = action;
        const ofWqx = message.type === "info" && message.key.startsWith("wqx");
        if (!(ofWqx && this.options.foreign)) this.#send(encodeToManager(message));
        break;
      }
      case "assemble":
        this.#assemble(action.offer);
        break;
      case "fill": {
        const name = action.cacheName;
        this.#storing = { name, pieces: [], filling: this.#assemblies.get(name) ?? null };
        break;
      }
      case "store":
        this.#assemblies.delete(action.place.cacheName);
        this.#storing = { name: action.place.cacheName, pieces: [] };
        break;
      case "unlink":
        for (const name of action.names) this.#remove(name);
        break;
      case "expect":
        this.#assemblies.delete(action.source.cacheName);
        this.#sources.set(action.source.cacheName, action.source);
        break;
      case "send_body":
        this.#send(action.body);
        break;
      case "stage_in":
        this.#stageIn(action.task);
        break;
      case "start":
        this.#start(action.task);
        break;
      case "stage_out":
        this.#stageOut(action.task);
        break;
      case "adopt": {
        const attempt = this.#attempts.get(action.from)!;
        this.#attempts.delete(action.from);
        this.#attempts.set(action.task.taskId, attempt);
        attempt.taskId = action.task.taskId;
        // Its end will be nobody's.
        if (action.task.kept && this.options.losesKept === "task") attempt.forgotten = true;
        break;
      }
      case "restage":
        this.#restage(action);
        break;
      case "forget": {
        const attempt = this.#attempts.get(action.taskId);
        if (attempt !== undefined) attempt.forgotten = true;
        this.#attempts.delete(action.taskId);
        break;
      }
      case "send_result": {
        this.#send(encodeToManager(action.message));
        const { taskId } = action.message;
        const body = action.body === "captured" ? this.#attempts.get(taskId)!.printed : action.body;
        this.#send(body);
        break;
      }
      case "send_cached":
        this.#sendCached(action.written);
        break;
      case "kill":
        this.#kill(action.taskId);
        break;
      case "look":
      case "make_directory":
      case "make_link":
      case "deliver":
      case "send_update":
        throw new Error(`No simulated task asks for "${action.type}"`);
      case "close":
        this.#wire!.close("worker");
        if (action.broken === true) this.#lose();
        else this.#leave(action.then === "terminate");
        break;
    }
  }

  #stageIn(task: TaskBlock): void {
    const attempt: Attempt = {
      taskId: task.taskId,
      sandbox: new Map(),
      printed: new Uint8Array(0),
      forgotten: false,
      killed: false,
    };
    this.#attempts.set(task.taskId, attempt);
    this.#link(task, attempt, 1);
  }

  #link(task: TaskBlock, attempt: Attempt, ms: number): void {
    this.#after(ms, attempt, () => {
      if (task.inputs.some(({ cacheName }) => this.#assemblies.has(cacheName))) {
        this.#link(task, attempt, 50);
        return null;
      }
      let trouble: string | null = null;
      for (const { cacheName, sandboxName } of task.inputs) {
        this.#takeKept(cacheName);
        const bytes = this.#cache.get(cacheName);
        if (bytes === undefined) trouble = this.#whyMissing(cacheName);
        else attempt.sandbox.set(sandboxName, bytes);
      }
      return { type: "staged_in", taskId: task.taskId, trouble };
    });
  }

  #whyMissing(cacheName: string): string {
    if (!this.#missed.has(cacheName) && !this.options.unread.has(cacheName)) {
      throw new Error(`${cacheName} should be in the cache of a worker, and was never sent`);
    }
    return `${cacheName} is not in the cache`;
  }

  #keep(name: string, bytes: Uint8Array): void {
    this.#cache.set(name, bytes);
    this.#sent.add(name);
  }

  #remove(name: string): void {
    this.#cache.delete(name);
    this.#sent.delete(name);
    this.#sources.delete(name);
    this.#assemblies.delete(name);
  }

  /** Some of its pieces may be in other files. */
  #assemble(offer: OfferMessage): void {
    const { cacheName, pieces } = offer;
    const assembly: Assembly = { offer, found: null };
    this.#sources.delete(cacheName);
    this.#assemblies.set(cacheName, assembly);
    const link = this.#links;
    this.#later(this.options.slowness, () => {
      if (link !== this.#links) return;
      const there = new Map<string, Uint8Array>();
      const sent = [...this.#sent].map((name) => this.#cache.get(name)!);
      for (const file of [...this.options.kept.values(), ...sent]) {
        for (const piece of piecesOf(file)) there.set(pieceName(piece), piece);
      }
      assembly.found = Array.from({ length: pieces.count }, (_, i) => {
        const piece = there.get(pieces.nameOf(i)) ?? null;
        return piece !== null && this.options.keptGarbled() ? piece.toReversed() : piece;
      });
      const lacking = assembly.found.flatMap((piece, i) => piece === null ? [i] : []);
      this.#deliver({ type: "lacking", cacheName, bits: encodeLacking(pieces, lacking) });
    });
  }

  #complete(assembly: Assembly | null, filled: Uint8Array): void {
    if (assembly === null) return;
    const { cacheName, sha256, pieces } = assembly.offer;
    if (this.#assemblies.get(cacheName) !== assembly) return;
    this.#assemblies.delete(cacheName);
    let at = 0;
    const bytes = concat((assembly.found ?? []).map((piece, i) => {
      return piece ?? filled.subarray(at, at += pieces.lengthOf(i));
    }));
    if (sha256Of(bytes) === sha256 || this.options.gullible) {
      this.#keep(cacheName, bytes);
      this.#deliver({ type: "fetched", cacheName, bytes: bytes.length, wallMs: 1 });
    } else {
      this.#missed.add(cacheName);
      this.#deliver({ type: "fetch_failed", cacheName, why: "it has another hash" });
    }
  }

  #takeKept(cacheName: string): void {
    const source = this.#sources.get(cacheName);
    if (source === undefined || this.#cache.has(cacheName)) return;
    this.#sources.delete(cacheName);
    const bytes = this.options.kept.get(source.source);
    this.options.kept.delete(source.source);
    if (bytes === undefined || this.options.keptGarbled()) {
      this.#missed.add(cacheName);
      this.#deliver({ type: "fetch_failed", cacheName, why: "it has changed" });
    } else {
      this.#keep(cacheName, bytes);
      this.#deliver({ type: "fetched", cacheName, bytes: bytes.length, wallMs: 1 });
    }
  }

  #start(task: TaskBlock): void {
    const attempt = this.#attempts.get(task.taskId)!;
    const effect = this.#execute(task, attempt.sandbox);
    const { memoryMb = 10 } = effect;
    const usage = { cpuUserMs: effect.ms, cpuSystemMs: 0, memoryPeakMb: memoryMb };
    if (monitorModeIn(task.env) === "watchdog" && memoryMb > task.memoryMb) {
      // Half-way it has outgrown what it was given.
      this.#after(effect.ms / 2, attempt, () => {
        if (attempt.killed) return null;
        const exceeded = { resource: "memory", limit: task.memoryMb, measured: task.memoryMb + 1 };
        const measured = { ...usage, memoryPeakMb: exceeded.measured, exceeded };
        const exit = { exitCode: 9, wallMs: effect.ms / 2, measured };
        return { type: "exited", taskId: task.taskId, exit };
      });
      return;
    }
    this.#after(effect.ms, attempt, () => {
      if (attempt.killed) return null;
      if (effect.killsWorker) {
        this.options.poisoned();
        return null;
      }
      for (const [name, bytes] of effect.outputs) attempt.sandbox.set(name, bytes);
      attempt.printed = effect.printed;
      const exit = { exitCode: effect.exitCode, wallMs: effect.ms, measured: usage };
      return { type: "exited", taskId: task.taskId, exit };
    });
  }

  #execute({ command }: TaskBlock, sandbox: Files): Effect {
    const { slowness, execute, monitorFails } = this.options;
    const asked = askedIn(command);
    if (asked === null) return execute(command, sandbox);
    if (monitorFails()) return cannotStart;
    return monitored(asked, sandbox, slowness, execute);
  }

  #stageOut(task: TaskBlock): void {
    const attempt = this.#attempts.get(task.taskId)!;
    this.#after(1, attempt, () => {
      for (const { cacheName, sandboxName } of task.outputs) {
        this.#remove(cacheName);
        const bytes = attempt.sandbox.get(sandboxName);
        if (bytes !== undefined) this.#cache.set(cacheName, bytes);
      }
      const printedBytes = attempt.printed.length;
      return { type: "staged_out", taskId: task.taskId, printedBytes };
    });
  }

  #restage({ from, task }: Extract<WorkerAction, { type: "restage" }>): void {
    const attempt = this.#attempts.get(task.taskId)!;
    const { losesKept } = this.options;
    if (task.kept && losesKept === "result") return;
    if (task.kept && losesKept === "outputs") {
      for (const { cacheName } of from.outputs) this.#remove(cacheName);
    }
    this.#after(1, attempt, () => {
      for (const [i, { cacheName }] of from.outputs.entries()) {
        const bytes = this.#cache.get(cacheName);
        this.#remove(cacheName);
        if (bytes !== undefined) this.#cache.set(task.outputs[i]!.cacheName, bytes);
      }
      return { type: "staged_out", taskId: task.taskId, printedBytes: attempt.printed.length };
    });
  }

  #sendCached(name: string): void {
    const bytes = this.#cache.get(name);
    if (bytes === undefined) {
      this.#send(encodeToManager({ type: "missing", path: name, errno: 2 }));
    } else {
      this.#send(encodeToManager({ type: "file", path: name, length: bytes.length }));
      this.#send(bytes);
    }
    this.#send(encodeToManager({ type: "end" }));
  }

  #kill(taskId: number): void {
    const attempt = this.#attempts.get(taskId)!;
    attempt.killed = true;
    this.#after(1, attempt, () => {
      return { type: "exited", taskId, exit: { exitCode: 9, wallMs: 0, measured: null } };
    });
  }

  /** Something that takes time; forgotten attempts report nothing. */
  #after(ms: number, attempt: Attempt, work: () => StepEvent | null): void {
    this.#later(ms * this.options.slowness, () => {
      if (attempt.forgotten) return;
      const event = work();
      if (event !== null) this.#deliver({ ...event, taskId: attempt.taskId });
    });
  }

  #later(ms: number, work: () => void): void {
    this.timeline.in(ms, () => {
      this.#freezer.whenAwake(() => {
        if (this.#alive) work();
      });
    });
  }

  #send(bytes: Uint8Array): void {
    this.#wire!.send("manager", bytes);
  }

  /** The link broke. */
  #lose(): void {
    if (!this.#alive) return;
    this.#links++;
    this.#deliver({ type: "lost" });
    const settle = () => {
      if (this.#machine.staging.length > 0) this.#later(1, settle);
      else if (this.#machine.taskCount === 0) this.#leave(false);
      else this.#comeBack();
    };
    settle();
  }

  #comeBack(): void {
    this.isKeeping = true;
    this.#decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
    this.#storing = null;
    this.#keepSent();
    for (const name of [...this.#cache.keys()]) {
      if (!name.startsWith(keptNamePrefix)) this.#remove(name);
    }
    this.#sources.clear();
    this.#assemblies.clear();
    this.options.gone(false);
  }

  #keepSent(): void {
    for (const name of this.#sent) {
      const bytes = this.#cache.get(name)!;
      this.options.kept.set(sha256Of(bytes), bytes);
    }
  }

  #leave(terminate: boolean): void {
    if (!this.#alive) return; // it may hear more than once
    this.#alive = false;
    this.#keepSent();
    this.options.gone(terminate);
  }
}
