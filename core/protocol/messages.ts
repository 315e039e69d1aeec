/**
 * The messages of Work Queue's wire protocol, one union per direction, in the words of the wire.
 *
 * What each protocol number added (for those that still meet us):
 *   9   names in lines are %-encoded; directories as `dir … end` blocks
 *   10  coprocesses
 *   11  `puturl`, `putcmd`, `cache-update`, `cache-invalid`; a failed stage-in is a result
 * wqx adds nothing that a peer must understand. It says more in `info` lines, whose unknown keys
 * every peer ignores: `wqx` in the greeting, `wqx-measured` before a result, `wqx-holds` of files
 * that the worker still has. Only a worker that said the last is sent `wqx-take`, and only one that
 * said `wqx-pieces` is sent files in pieces (see pieces.ts).
 */
import type { PieceList } from "../pieces.ts";

/** The protocol that wqx speaks when nothing else is known of the peer. */
export const protocolVersion = 11;

/** Protocols of workers that a wqx manager serves, and of managers that a wqx worker serves. */
export const protocolsSpoken = [11, 10, 9] as const;

/** How a peer wants to be spoken to, as far as peers differ. */
export interface Dialect {
  readonly protocol: number;
  /** Workers since 7.3.0, which announce `worker-end-time`, read `end_time` in seconds. */
  readonly endTimeInSeconds: boolean;
}

export const newestDialect: Dialect = { protocol: protocolVersion, endTimeInSeconds: true };

/** Longest line without its end, sent or accepted: cctools peers read into 4096 bytes. */
export const lineBytesMax = 4095;

/** Largest task block (command, environment and names) that is accepted, to bound memory. */
export const blockBytesMax = 16 * 1024 ** 2;

/** Result codes of Work Queue, with the numbers of its wire and API. */
export const resultCode = {
  success: 0,
  inputMissing: 1,
  outputMissing: 2,
  stdoutMissing: 4,
  signal: 8,
  resourceExhaustion: 16,
  endTime: 24,
  unknown: 32,
  forsaken: 40,
  maxRetries: 48,
  maxWallTime: 56,
  diskFull: 64,
  monitorError: 72,
  outputTransferError: 80,
} as const;

export type ResultCode = (typeof resultCode)[keyof typeof resultCode];

/** Files of a task as a task block names them; flags as in Work Queue. */
export interface TaskFile {
  readonly cacheName: string;
  readonly sandboxName: string;
  readonly flags: number;
}

export const fileFlag = { none: 0, cache: 1, watch: 16, failureOnly: 32, successOnly: 64 } as const;

/** One task as it travels: everything between `task` and `end`. */
export interface TaskBlock {
  readonly type: "task";
  readonly taskId: number;
  /** `wqx-key`: the same for the task under every manager of its run; one word. */
  readonly key?: string;
  /** `wqx-kept` in its place: the worker has it of an earlier link, and is not sent its inputs. */
  readonly kept?: true;
  readonly command: string;
  /** `wq_worker_coprocess:NAME`: the command is a function there; from protocol 10 on. */
  readonly coprocess?: string;
  readonly category: string;
  readonly cores: number;
  readonly gpus: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  /** Epoch; `null`: none. */
  readonly endTimeMs: number | null;
  readonly wallTimeMs: number | null;
  /** `NAME=value` each. */
  readonly env: readonly string[];
  readonly inputs: readonly TaskFile[];
  /** Sandbox names of directories to make. */
  readonly directories: readonly string[];
  readonly outputs: readonly TaskFile[];
}

/** A message that announces a payload of `length` bytes, which follows as {@link Payload} pieces. */
type WithPayload = { readonly length: number };

/**
 * A place in the cache: an object by its cached name, and for parts of a directory the path within
 * it, `""` for the object itself.
 */
export interface CachePlace {
  readonly cacheName: string;
  readonly inside: string;
}

/**
 * Real managers do not encode these names, real workers decode them: names with `%XX` of their own
 * are meant as they are written. Absent: both are the same.
 */
interface NamedObject {
  readonly cacheName: string;
  readonly written?: string;
}

export type ToWorker = TaskBlock | Order;

/** All that a manager says to a worker but tasks. */
export type Order =
  | ({ readonly type: "put"; readonly mode: number } & CachePlace & WithPayload)
  /** Opens a directory; what follows up to its `dir_end` lies in it. */
  | ({ readonly type: "dir" } & CachePlace)
  | ({ readonly type: "symlink"; readonly target: string } & CachePlace)
  | ({ readonly type: "dir_end" } & CachePlace)
  /**
   * The worker obtains the object itself: `puturl`, `putcmd` (11); `url`, `thirdget` (8–10);
   * `wqx-take`, whose source is the SHA-256 of a file that the worker has kept.
   */
  | {
    readonly type: "fetch";
    readonly from: "url" | "command" | "path" | "kept";
    readonly source: string;
    readonly cacheName: string;
    readonly mode: number;
  }
  /** 8–10: an output goes to a path or command of the worker; answered by `thirdput-complete`. */
  | {
    readonly type: "thirdput";
    readonly to: "command" | "path";
    readonly target: string;
    readonly cacheName: string;
  }
  /** `wqx-pieces`: a file by its pieces, which the list names; answered by `lacks`. */
  | {
    readonly type: "offer";
    readonly cacheName: string;
    readonly mode: number;
    /** Of the whole file; lower-case hexadecimal. */
    readonly sha256: string;
    readonly bytes: number;
    readonly pieces: PieceList;
  }
  /** `wqx-fill`: the bytes of those pieces that the worker lacks, in order. */
  | ({ readonly type: "fill"; readonly cacheName: string } & WithPayload)
  | { readonly type: "send_results" }
  | ({ readonly type: "get" } & NamedObject)
  | { readonly type: "kill"; readonly taskId: number }
  | ({ readonly type: "unlink" } & NamedObject)
  | { readonly type: "invalidate-file"; readonly cacheName: string }
  | { readonly type: "tlq"; readonly url: string }
  | { readonly type: "check" }
  /** `wqx-run`: of which run the manager is; one word. */
  | { readonly type: "run"; readonly run: string }
  /** `wqx-drop`: a task that the worker has of an earlier link is not wanted. */
  | { readonly type: "drop"; readonly key: string }
  | { readonly type: "release" }
  | { readonly type: "exit" }
  | { readonly type: "auth" };

export type ToManager =
  | {
    readonly type: "workqueue";
    readonly protocol: number;
    readonly hostname: string;
    readonly os: string;
    readonly arch: string;
    readonly version: string;
  }
  | { readonly type: "info"; readonly key: string; readonly value: string }
  | { readonly type: "feature"; readonly name: string }
  | {
    readonly type: "resource";
    readonly name: string;
    readonly total: number;
    readonly smallest: number;
    readonly largest: number;
  }
  | { readonly type: "resource tag"; readonly tag: number }
  | { readonly type: "alive" }
  | { readonly type: "name" }
  | { readonly type: "tlq"; readonly url: string }
  | { readonly type: "available_results" }
  | (
    & {
      readonly type: "result";
      readonly status: number;
      readonly exitCode: number;
      readonly wallUs: number;
      readonly taskId: number;
    }
    & WithPayload
  )
  /** New bytes of a watched file. */
  | (
    & {
      readonly type: "update";
      readonly taskId: number;
      readonly path: string;
      readonly offset: number;
    }
    & WithPayload
  )
  | ({ readonly type: "file"; readonly path: string } & WithPayload)
  | { readonly type: "dir"; readonly path: string }
  | { readonly type: "missing"; readonly path: string; readonly errno: number }
  | { readonly type: "end" }
  | {
    readonly type: "cache-update";
    readonly cacheName: string;
    readonly bytes: number;
    readonly wallUs: number;
  }
  | ({ readonly type: "cache-invalid"; readonly cacheName: string } & WithPayload)
  /** `wqx-lacks`: which pieces of the file that was offered first; a bit for each. */
  | ({ readonly type: "lacks"; readonly cacheName: string } & WithPayload)
  | { readonly type: "thirdput-complete"; readonly value: number }
  /** Not from workers: `queue_status` and its like, and browsers. */
  | { readonly type: "status"; readonly request: string }
  | { readonly type: "http"; readonly path: string }
  | { readonly type: "auth" };

/** A piece of the payload announced before; `last` closes it, also when it is empty. */
export interface Payload {
  readonly type: "payload";
  readonly bytes: Uint8Array;
  readonly last: boolean;
}
