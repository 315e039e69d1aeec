/** A task as the worker knows it. */
import type { TaskBlock } from "../protocol/messages.ts";
import type { Resources } from "../resources.ts";
import type { Exit } from "./actions.ts";

export interface Result {
  readonly status: number;
  readonly exit: Exit;
  readonly body: "captured" | Uint8Array;
  readonly bodyBytes: number;
}

export type Phase =
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
  | { readonly name: "reported"; readonly result: Result };

export interface WorkerTask {
  block: TaskBlock;
  readonly box: Resources;
  phase: Phase;
  /** `null`: not yet. */
  startedMs: number | null;
  /** Under whose names its outputs lie in the cache, or are about to; `null`: they do not. */
  stagedAs: TaskBlock | null;
  /** Since when it is kept for a manager; `null`: it has one. */
  keptMs: number | null;
  /** Of its outputs, where that is known. */
  bytes: number;
}
