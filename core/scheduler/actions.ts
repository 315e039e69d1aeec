/** What goes into the scheduler and what comes out of it. */
import type { TaskId, WorkerId } from "../ids.ts";
import type { Order, TaskBlock, ToManager } from "../protocol/messages.ts";
import type { OwnerOrder } from "./orders.ts";
import type { Offer } from "./pieces.ts";
import type { Attempt, Task, TaskEnd, TaskInput, TaskSpec } from "./tasks.ts";

/** What became of a payload whose place was given by a `receive` action. */
export type Stored =
  | { readonly kind: "printed"; readonly bytes: Uint8Array; readonly isCut?: boolean }
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
  | { readonly type: "directory_failed"; readonly worker: WorkerId; readonly why: string }
  /** Bytes are moving on the link, in either direction. */
  | { readonly type: "moving"; readonly worker: WorkerId }
  /** Sending of a body begins: so many bytes. */
  | {
    readonly type: "sending";
    readonly worker: WorkerId;
    readonly bytes: number;
    /** The task that it is an input of. */
    readonly id?: TaskId;
    /** It is a file that is to stay. */
    readonly stays?: boolean;
  }
  /** It has left. */
  | { readonly type: "sent"; readonly worker: WorkerId; readonly id?: TaskId }
  /** In place of a body the worker was told to take the file of this hash, which it has once. */
  | {
    readonly type: "taken";
    readonly worker: WorkerId;
    readonly cacheName: string;
    readonly sha256: string;
  }
  /** In place of a body the worker was told of which pieces it consists. */
  | { readonly type: "offered"; readonly worker: WorkerId; readonly offer: Offer }
  /** A `dispatch` was broken off before its task block, because an input could not be read. */
  | {
    readonly type: "input_unreadable";
    readonly worker: WorkerId;
    readonly id: TaskId;
    /** Cached names of the inputs that did not go out, the unreadable one first. */
    readonly unsent: readonly string[];
    readonly why: string;
  }
  /** What the catalog says of the most workers that factories want to have, by name. */
  | { readonly type: "factory_limits"; readonly limits: ReadonlyMap<string, number> }
  | { readonly type: "order"; readonly order: OwnerOrder }
  | { readonly type: "tick" };

/** Where a payload goes: into memory, into a local file, or away. */
export type Place =
  /** `whole`: also if it is more than is kept of what a task prints. */
  | { readonly kind: "printed"; readonly whole?: true }
  | { readonly kind: "file"; readonly path: string }
  /** Into an existing file, from `offset` on; what lay behind it goes. */
  | { readonly kind: "update"; readonly path: string; readonly offset: number }
  | { readonly kind: "nobody" };

export type ManagerAction =
  | { readonly type: "send"; readonly worker: WorkerId; readonly message: Order }
  | { readonly type: "answer_name"; readonly worker: WorkerId }
  /** Not a worker: answer this question and close. */
  | {
    readonly type: "answer_status";
    readonly worker: WorkerId;
    readonly question: Extract<ToManager, { type: "status" | "http" }>;
  }
  /** Inputs first, each with its bytes, then the block. */
  | {
    readonly type: "dispatch";
    readonly worker: WorkerId;
    readonly id: TaskId;
    readonly inputs: readonly TaskInput[];
    readonly block: TaskBlock;
  }
  /** These pieces of the file, so many bytes together, in one payload. */
  | {
    readonly type: "fill";
    readonly worker: WorkerId;
    readonly offer: Offer;
    readonly lacking: readonly number[];
    readonly bytes: number;
  }
  /** The payload that follows the last message goes there. */
  | { readonly type: "receive"; readonly worker: WorkerId; readonly into: Place }
  /** A directory of an output; answered by `directory_failed` if it cannot be made. */
  | { readonly type: "make_directory"; readonly worker: WorkerId; readonly path: string }
  | { readonly type: "close"; readonly worker: WorkerId; readonly why: string }
  | {
    readonly type: "attempt_ended";
    readonly id: TaskId;
    readonly attempt: Attempt;
    readonly again: boolean;
  }
  /** A task, and those like it, waits for a larger worker than there is. */
  | { readonly type: "too_large"; readonly id: TaskId; readonly why: string }
  | { readonly type: "host_blocked"; readonly host: string; readonly why: string }
  | { readonly type: "returned"; readonly task: Task; readonly end: TaskEnd };
