/** What goes into the worker's machine and what comes out of it. */
import type { Held } from "../protocol/held.ts";
import type { Measured } from "../protocol/measured.ts";
import type { CachePlace, TaskBlock, ToManager, ToWorker } from "../protocol/messages.ts";
import type { Resources } from "../resources.ts";
import type { SilenceLimits } from "./silence.ts";

/** Who the worker says it is. Each text is one word. */
export interface WorkerIdentity {
  readonly hostname: string;
  readonly os: string;
  readonly arch: string;
  /** Of wqx. */
  readonly version: string;
  /** `worker-` and 32 hexadecimal digits. */
  readonly id: string;
  readonly resources: Resources;
  readonly features: readonly string[];
  /** Spoken on this link. */
  readonly protocol: number;
  /** What one of its coprocesses has, of which it tells managers; `null`: it has none. */
  readonly coprocess: Resources | null;
  /** When the worker will stop; epoch, `null`: not known to. */
  readonly stopsAtMs: number | null;
  /** `null`: none started it. */
  readonly factory: string | null;
  /** The manager is asked whether this is its name; absent: it may have any. */
  readonly project?: string | undefined;
}

export interface WorkerLimits {
  /** Without a task for so long, the worker leaves. Work Queue's idle timeout. */
  readonly idleTimeoutMs: number;
  /** So long tasks are kept for the manager whose link broke; absent or 0: not at all. */
  readonly keepTasksMs?: number;
  /** Outputs of those that have ended, all together. */
  readonly keptOutputBytesMax?: number;
  /** Of the manager; absent: the usual ones. */
  readonly silence?: SilenceLimits;
}

/** How a task's command ended, as the operating system told it. */
export interface Exit {
  /** Exit code or signal number. */
  readonly exitCode: number;
  readonly wallMs: number;
  readonly measured: Measured | null;
}

export type WorkerEvent =
  /** `holds`: files that are kept from earlier links. */
  | { readonly type: "connected"; readonly holds?: readonly Held[] }
  /** One more of them, whose hash has become known. */
  | { readonly type: "holds"; readonly held: Held }
  | { readonly type: "received"; readonly message: ToWorker }
  /** Bytes of a payload are arriving. */
  | { readonly type: "moving" }
  /** An object that a `fetch` named was obtained, when a task needed it. */
  | {
    readonly type: "fetched";
    readonly cacheName: string;
    readonly bytes: number;
    readonly wallMs: number;
  }
  | { readonly type: "fetch_failed"; readonly cacheName: string; readonly why: string }
  /** Answer to `assemble`: the body of `wqx-lacks`. */
  | { readonly type: "lacking"; readonly cacheName: string; readonly bits: Uint8Array }
  /** A `thirdput` is done. */
  | { readonly type: "delivered"; readonly trouble: string | null }
  /** Sizes of watched files. */
  | {
    readonly type: "looked";
    readonly taskId: number;
    readonly sizes: ReadonlyMap<string, number>;
  }
  /** The worker is to leave: `info KEY VALUE` tells the manager why. */
  | {
    readonly type: "leave";
    readonly key: string;
    readonly value: string;
    readonly why: string;
    readonly then: Afterwards;
  }
  | { readonly type: "staged_in"; readonly taskId: number; readonly trouble: string | null }
  | { readonly type: "exited"; readonly taskId: number; readonly exit: Exit }
  /** Outputs are in the cache; `printedBytes` is the size of what the command printed. */
  | {
    readonly type: "staged_out";
    readonly taskId: number;
    readonly printedBytes: number;
    /** Of all outputs; told in answer to `restage`. */
    readonly outputBytes?: number;
  }
  /** The link broke. The machine goes on without one, until `connected`. */
  | { readonly type: "lost" }
  /**
   * `epochMs`: the time of day, which end times are given in. `busy`: something is on its way to the
   * manager, or of it being stored.
   */
  | { readonly type: "tick"; readonly epochMs: number; readonly busy?: boolean };

export type FetchMessage = Extract<ToWorker, { type: "fetch" }>;
export type OfferMessage = Extract<ToWorker, { type: "offer" }>;

/** What the worker does once the link is closed. */
export type Afterwards = "reconnect" | "terminate";

export type WorkerAction =
  | { readonly type: "send"; readonly message: ToManager }
  /** The payload of the `put` that was just received goes into the cache. */
  | { readonly type: "store"; readonly place: CachePlace; readonly mode: number }
  /** That payload is passed over; tasks that need it fail for this reason. */
  | { readonly type: "decline"; readonly place: CachePlace; readonly why: string }
  | { readonly type: "make_directory"; readonly place: CachePlace }
  | { readonly type: "make_link"; readonly place: CachePlace; readonly target: string }
  /** To be obtained when a task needs it; takes the place of an earlier source. */
  | { readonly type: "expect"; readonly source: FetchMessage }
  /**
   * Put a file together from pieces that there are. Answered by `lacking`, in order; after the
   * `fill` that comes then, or without it, by `fetched` or `fetch_failed`. `refused`: it is not to
   * be, for this reason.
   */
  | { readonly type: "assemble"; readonly offer: OfferMessage; readonly refused: string | null }
  /** The payload of the message that was just received is what that file lacks. */
  | { readonly type: "fill"; readonly cacheName: string }
  /** Give an output away; answered by `delivered`. */
  | { readonly type: "deliver"; readonly request: Extract<ToWorker, { type: "thirdput" }> }
  /** Look how large these files of the sandbox are; answered by `looked`. */
  | { readonly type: "look"; readonly taskId: number; readonly names: readonly string[] }
  /** New bytes of a watched file. */
  | { readonly type: "send_update"; readonly message: Extract<ToManager, { type: "update" }> }
  /** The task has outlived a limit; answered by `exited` as any end. */
  | { readonly type: "kill"; readonly taskId: number }
  /** The first of these names that the cache has. */
  | { readonly type: "unlink"; readonly names: readonly string[] }
  /** Make the sandbox and link the inputs into it. Answered by `staged_in`. */
  | { readonly type: "stage_in"; readonly task: TaskBlock }
  /** Run the command. Answered by `exited`. */
  | { readonly type: "start"; readonly task: TaskBlock }
  /** Move what there is of the outputs into the cache. Answered by `staged_out`. */
  | { readonly type: "stage_out"; readonly task: TaskBlock }
  /** The attempt that was number `from` has that of `task` now; what is told of it has it too. */
  | { readonly type: "adopt"; readonly from: number; readonly task: TaskBlock }
  /** Outputs in the cache under names of `from` get those of `task`. Answered by `staged_out`. */
  | { readonly type: "restage"; readonly from: TaskBlock; readonly task: TaskBlock }
  /**
   * Kill what runs, remove the sandbox and the captured output. No answer, and no answer any more
   * to what was asked for this task before: its id may be used again.
   */
  | { readonly type: "forget"; readonly taskId: number }
  /** The payload of the message that was sent last. */
  | { readonly type: "send_body"; readonly body: Uint8Array }
  /** `result` with its payload: what the command printed, or words of ours. */
  | {
    readonly type: "send_result";
    readonly message: Extract<ToManager, { type: "result" }>;
    readonly body: "captured" | Uint8Array;
  }
  /** The answer to `get`: `file`, or `dir` with its files, or `missing`; then `end`. */
  | {
    readonly type: "send_cached";
    /** The first of these that the cache has. */
    readonly names: readonly string[];
    /** As the manager wrote it, which the answer repeats. */
    readonly written: string;
  }
  | {
    readonly type: "close";
    readonly why: string;
    readonly then: Afterwards;
    /** The link is lost, and `lost` follows: the manager did not mean it to end. */
    readonly broken?: true;
  };
