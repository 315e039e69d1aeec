/**
 * What an explanation is made from: rows that a manager of wqx fills from its scheduler, and that
 * are filled from status records, with less in them, for any other manager.
 */
import type { Wish } from "../allocation/policy.ts";
import type { Resources } from "../resources.ts";

export interface WorkerFacts {
  /** As its manager names it; `null` where that is not known. */
  readonly id: string | null;
  readonly host: string;
  readonly address: string;
  /** It has said what it has. */
  readonly ready: boolean;
  readonly total: Resources;
  readonly free: Resources;
  /** Given to it and not back. */
  readonly tasks: number;
  /** Of these, ended, with outputs under way. */
  readonly retrieving: number;
  /** `null`: not known. */
  readonly features: ReadonlySet<string> | null;
  /** Its host gets no tasks for so long; `null`: it does. */
  readonly blockedMs: number | null;
  /** Until it stops; `null`: not known to. */
  readonly leavesInMs: number | null;
  readonly transfer: {
    readonly to: "worker" | "manager";
    readonly bytes: number;
    readonly sinceMs: number;
  } | null;
  /** Name of the factory that started it. */
  readonly factory: string | null;
}

export interface TaskFacts {
  readonly id: number;
  /** In the list that it comes from. */
  readonly name: string | null;
  readonly category: string;
  readonly priority: number;
  /** What the next attempt asks for. */
  readonly wish: Wish;
  /** Why its category does not know yet what to ask for; `null` where it does, or never learns. */
  readonly learning: string | null;
  readonly features: readonly string[];
  /** Time that it has to be given on a worker; 0: any. */
  readonly needsMs: number;
  readonly history: {
    /** Hosts on which it failed by itself, one for each time. */
    readonly failedOn: readonly string[];
    /** The last failure, as a sentence goes on. */
    readonly lastWhy: string | null;
    /** Workers that went away under it. */
    readonly lost: number;
    /** It may have taken them along, so others go first for so long; 0: nothing speaks for that. */
    readonly behindMs: number;
    /** Boxes that it outgrew. */
    readonly outgrown: number;
  };
  /** Ids of workers on which it failed. */
  readonly avoids: ReadonlySet<string>;
  readonly phase: "waiting" | "running" | "retrieving";
  /** Where it is: two workers while a straggler is overtaken. */
  readonly on: readonly {
    readonly host: string;
    readonly box: Resources;
    /** `null`: not known. */
    readonly sinceMs: number | null;
  }[];
}

/** Waiting tasks that want the same. */
export interface WaitingKind {
  readonly first: TaskFacts;
  readonly count: number;
}

export interface QueueFacts {
  readonly workers: readonly WorkerFacts[];
  /** In the order in which they are looked at. */
  readonly kinds: readonly WaitingKind[];
  readonly waiting: number;
  readonly running: number;
  readonly retrieving: number;
  readonly done: number;
  /** Waiting for other tasks of a list, and not counted above. */
  readonly held: number;
  /** The manager tells less than one of wqx. */
  readonly foreign: boolean;
  /** For how long nothing has moved, where that is a reason to worry (stall.ts). */
  readonly still: {
    readonly ms: number;
    /** Of those that run, the task that has done so for longest. */
    readonly oldest: TaskFacts | null;
    /** Average time of tasks that ended well; `null`: none has. */
    readonly usualMs: number | null;
  } | null;
}

/** A task and how many go before it. */
export interface Placed {
  readonly task: TaskFacts;
  /** Waiting tasks of a higher priority. */
  readonly higher: number;
  /** Of the same priority, that came earlier. */
  readonly earlier: number;
}
