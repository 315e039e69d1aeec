/** Workers as a manager knows them, each by what it said on its link. */
import type { TaskId, WorkerId } from "../ids.ts";
import type { Measured } from "../protocol/measured.ts";
import { type Dialect, newestDialect, type ToManager } from "../protocol/messages.ts";
import type { Offer, PieceTalk } from "./pieces.ts";
import type { Offered } from "./reconnect.ts";
import { minus, noResources, plus, type Resources } from "../resources.ts";

/** Among the outputs of a task; or what `wqx monitor` wrote of it. */
export type OutputIndex = number | "summary";

/** An answer that a worker owes us; answers come in the order of the questions. */
export type Owed =
  | { readonly kind: "results" }
  | {
    readonly kind: "output";
    readonly task: TaskId;
    readonly index: OutputIndex;
    readonly cacheName: string;
    /** Something of it came, or the word that it is missing. */
    answered: boolean;
  };

export interface WorkerState {
  readonly id: WorkerId;
  readonly address: string;
  readonly joinedMs: number;
  /** `null` until it has greeted. */
  greeting: Extract<ToManager, { type: "workqueue" }> | null;
  dialect: Dialect;
  /** Workers of wqx say so in an info line; `false` for all others. */
  speaksWqx: boolean;
  readonly features: Set<string>;
  /** When it will stop; epoch, `null`: not known to stop. */
  stopsAtMs: number | null;
  /** The factory that started it; `null`: none that we know of. */
  factory: string | null;
  /** It was told to leave, and gets no tasks. */
  leaving: boolean;
  /** It gets no more tasks, and is told to leave when it has none. */
  draining: boolean;
  total: Resources;
  /** The worker has told all it has: the `resource tag` line closes the block. */
  resourcesKnown: boolean;
  /** Sum of the boxes of `running`. */
  promised: Resources;
  /** Given to the worker and not yet reported back. */
  readonly running: Set<TaskId>;
  /** Reported, outputs under way. */
  readonly retrieving: Set<TaskId>;
  /** Cached names that were sent to stay. */
  readonly cached: Set<string>;
  readonly owed: Owed[];
  /** `available_results` came while we were still reading earlier ones. */
  moreResults: boolean;
  /** Measurements that arrived ahead of their result. */
  readonly measured: Map<number, Measured>;
  /** What it said of objects that it could not obtain, by cached name. */
  readonly complaints: Map<string, string>;
  /** Size in bytes, by SHA-256, of files that it has from earlier links and may be told to take. */
  readonly holds: Map<string, number>;
  /** Cached names of those, and of files in pieces, that it was told to take, until it says what came of it. */
  readonly taking: Set<string>;
  /** It keeps tasks when the link breaks, and was told the run. */
  keeps: boolean;
  /** Tasks of an earlier link that it still has, by key. */
  readonly offered: Map<string, Offered>;
  /** Those of `running` with an input that the worker should have taken, and could not. */
  readonly bereft: Set<TaskId>;
  /** `null`: it knows nothing of files in pieces. */
  pieces: PieceTalk | null;
  /** Where the bytes that follow go, while they follow. */
  receiving: Receiving | null;
  /** The transfer under way in each direction, for its deadline. */
  readonly transfers: { in: Transfer | null; out: Transfer | null };
  /** Bytes and time of finished transfers, for the rate. */
  readonly moved: { bytes: number; ms: number };
  /** Last sign of life: a line, or bytes moving in either direction. */
  heardMs: number;
  /** When `check` was sent and not answered yet. */
  checkedMs: number | null;
}

export interface Transfer {
  readonly bytes: number;
  readonly sinceMs: number;
}

export type Receiving =
  | { readonly kind: "printed"; readonly task: TaskId }
  | {
    readonly kind: "output";
    readonly task: TaskId;
    readonly index: number;
    /** Path within an output directory, with a slash before it; else empty. */
    readonly inside: string;
  }
  | {
    readonly kind: "update";
    readonly task: TaskId;
    readonly path: string;
    readonly offset: number;
  }
  | { readonly kind: "summary"; readonly task: TaskId }
  | { readonly kind: "complaint"; readonly cacheName: string }
  | { readonly kind: "lacking"; readonly offer: Offer }
  | { readonly kind: "nobody" };

export function newWorker(id: WorkerId, address: string, nowMs: number): WorkerState {
  return {
    id,
    address,
    joinedMs: nowMs,
    greeting: null,
    dialect: { ...newestDialect, endTimeInSeconds: false },
    speaksWqx: false,
    features: new Set(),
    stopsAtMs: null,
    factory: null,
    leaving: false,
    draining: false,
    total: noResources,
    resourcesKnown: false,
    promised: noResources,
    running: new Set(),
    retrieving: new Set(),
    cached: new Set(),
    owed: [],
    moreResults: false,
    measured: new Map(),
    complaints: new Map(),
    holds: new Map(),
    taking: new Set(),
    keeps: false,
    offered: new Map(),
    bereft: new Set(),
    pieces: null,
    receiving: null,
    transfers: { in: null, out: null },
    moved: { bytes: 0, ms: 0 },
    heardMs: nowMs,
    checkedMs: null,
  };
}

/**
 * It has told all that the choice of its tasks depends on, and has not been told to leave. Old
 * workers tell no end time.
 */
export function isReady(w: WorkerState): boolean {
  return w.greeting !== null && w.resourcesKnown && !w.leaving &&
    (w.dialect.endTimeInSeconds || w.dialect.protocol < 10);
}

/** As it calls itself; its address while it has not. */
export function hostOf(w: WorkerState): string {
  return w.greeting?.hostname ?? w.address;
}

export function hasRoomFor({ total, promised }: WorkerState, box: Resources): boolean {
  return box.cores <= total.cores - promised.cores &&
    box.memoryMb <= total.memoryMb - promised.memoryMb &&
    box.diskMb <= total.diskMb - promised.diskMb && box.gpus <= total.gpus - promised.gpus;
}

/** Whether any task could find room: one that needs gpus only does without free cores. */
export function hasRoom({ total, promised }: WorkerState): boolean {
  return promised.cores < total.cores || promised.gpus < total.gpus;
}

/** Throws if the worker has not that much free: a box is given out once. */
export function promise(w: WorkerState, task: TaskId, box: Resources): void {
  if (!hasRoomFor(w, box)) throw new Error(`${w.id} would promise more than it has`);
  w.running.add(task);
  w.promised = plus(w.promised, box);
}

/** Frees the box of a task; `false` if it was free already. */
export function settle(w: WorkerState, task: TaskId, box: Resources): boolean {
  if (!w.running.delete(task)) return false;
  w.bereft.delete(task);
  w.promised = withoutDrift(w, box);
  return true;
}

/** What is promised without this box, which was given back just now. */
export function withoutDrift(
  { running, offered, promised }: WorkerState,
  box: Resources,
): Resources {
  // Sums of fractions drift; an idle worker has promised exactly nothing.
  return running.size + offered.size === 0 ? noResources : minus(promised, box);
}

/** A `resource` line changes one total; unknown names (a foreman's `workers`) are passed over. */
export function withResource(total: Resources, name: string, value: number): Resources {
  switch (name) {
    case "cores":
      return { ...total, cores: value };
    case "memory":
      return { ...total, memoryMb: value };
    case "disk":
      return { ...total, diskMb: value };
    case "gpus":
      return { ...total, gpus: value };
    default:
      return total;
  }
}
