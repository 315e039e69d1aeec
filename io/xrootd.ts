/**
 * Files of XRootD servers (`root://`), through the client that is installed here: its POSIX library
 * in a thread (xrootd_thread.ts). Where it cannot be had, xrdcp.ts copies files whole.
 */
import type { ThreadAnswer, ThreadRequest } from "./xrootd_thread.ts";

/** The library cannot be had here; the message says why. */
export class XrootdUnavailable extends Error {
  override readonly name = "XrootdUnavailable";
}

/** Why a call of the client failed, of the reasons that make a difference. */
export type XrootdFailure =
  | "not-found"
  | "no-host"
  | "denied" // it knows who asks, and says no
  | "not-authenticated" // it does not know who asks
  | "folder"
  | "offline" // nobody answers at that address
  | "lost" // the connection was, or the server says that it is busy
  | "silent"
  | "redirects" // it is sent around without end
  | "other";

/** A call of the client failed. */
export class XrootdError extends Error {
  override readonly name = "XrootdError";
  constructor(readonly failure: XrootdFailure, readonly errno: number | null, said?: string) {
    super(said ?? (errno === null ? failure : `${failure} (errno ${errno})`));
  }
}

/** By error number of Linux, as the client translates its own (XrdPosixMap::mapCode). */
const failures: Readonly<Record<number, XrootdFailure>> = {
  1: "denied", // EPERM
  2: "not-found", // ENOENT
  4: "lost", // EINTR: the operation was interrupted
  9: "lost", // EBADF: a server that was started again does not know what was open
  11: "lost", // EAGAIN
  13: "denied", // EACCES
  16: "lost", // EBUSY
  21: "folder", // EISDIR
  40: "redirects", // ELOOP
  43: "not-found", // EIDRM: no replica
  52: "not-authenticated", // EBADE, which XRootD calls EAUTH
  62: "silent", // ETIME: the operation expired
  71: "lost", // EPROTO: the conversation broke off
  88: "lost", // ENOTSOCK: the socket broke
  44: "lost", // ECHRNG: the session is another one
  103: "not-authenticated", // ECONNABORTED: the login failed
  104: "lost", // ECONNRESET
  107: "lost", // ENOTCONN
  108: "lost", // ESHUTDOWN
  110: "silent", // ETIMEDOUT
  111: "offline", // ECONNREFUSED
  113: "no-host", // EHOSTUNREACH: the address means nothing
};

/** Names by version of XRootD (5, 6), and what a conda environment has. */
export function xrootdLibraries(): string[] {
  const conda = Deno.env.get("CONDA_PREFIX");
  return [
    "libXrdPosixPreload.so.2",
    "libXrdPosixPreload.so.6",
    "libXrdPosixPreload.so",
    ...conda ? [`${conda}/lib/libXrdPosixPreload.so`] : [],
  ];
}

/**
 * Set where the user has not: the client's own patience is 30 minutes a request, and for as long it
 * does not call a server again that was down. Seconds, and counts.
 */
const patience: Readonly<Record<string, string>> = {
  // Between two attempts the client waits until the window is over; a caller can do better.
  XRD_CONNECTIONRETRY: "1",
  XRD_CONNECTIONWINDOW: "60",
  XRD_REQUESTTIMEOUT: "60",
  XRD_STREAMERRORWINDOW: "0",
  XRD_STREAMTIMEOUT: "60",
  XRD_TIMEOUTRESOLUTION: "1",
};

/** How long a server may take over a request, for which `XRD_REQUESTTIMEOUT` is the user's word. */
export function requestTimeoutMs(): number {
  const [own, usual] = [Deno.env.get("XRD_REQUESTTIMEOUT"), patience["XRD_REQUESTTIMEOUT"]];
  return 1000 * (Number(own) || Number(usual));
}

export interface XrootdOptions {
  /** No call takes longer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** In place of {@link xrootdLibraries}. */
  readonly libraries?: readonly string[] | undefined;
}

/** An open file, with a thread of its own. */
export class XrootdFile {
  #worker: Worker | null;
  #size = 0;
  #library = "";
  #vector = false;
  #lastId = 0;
  readonly #asked = new Map<number, PromiseWithResolvers<ThreadAnswer>>();

  private constructor(private readonly options: XrootdOptions) {
    for (const [name, value] of Object.entries(patience)) {
      if (Deno.env.get(name) === undefined) Deno.env.set(name, value);
    }
    this.#worker = new Worker(new URL("./xrootd_thread.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<ThreadAnswer>) => {
      this.#asked.get(data.id)?.resolve(data);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`The thread of the XRootD client broke: ${event.message}`));
    };
  }

  /** Throws XrootdUnavailable, XrootdError, or the signal's reason. */
  static async open(url: string, options: XrootdOptions): Promise<XrootdFile> {
    const file = new XrootdFile(options);
    try {
      const libraries = options.libraries ?? xrootdLibraries();
      const answer = await file.#ask({ ask: "open", url, libraries });
      if (answer.is !== "open") throw new Error(`Not an answer to open: ${answer.is}`);
      file.#size = answer.size;
      file.#library = answer.library;
      file.#vector = answer.vector;
      return file;
    } catch (error) {
      file.#end(error);
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  /** For the log: `libXrdPosixPreload.so.2, vector reads`. */
  get how(): string {
    return `${this.#library}, ${this.#vector ? "vector" : "single"} reads`;
  }

  /** Of each range what there is of it. Throws XrootdError, or the signal's reason. */
  async read(
    ranges: readonly { readonly start: number; readonly bytes: number }[],
  ): Promise<readonly Uint8Array<ArrayBuffer>[]> {
    const answer = await this.#ask({ ask: "read", ranges });
    return answer.is === "read" ? answer.parts : [];
  }

  /** Does not wait for a server that does not answer. */
  async close(): Promise<void> {
    const closed = this.#asked.size === 0 && this.#worker !== null
      ? this.#ask({ ask: "close" }, closePatienceMs).catch(() => {})
      : null;
    await closed;
    this.#end(new XrootdError("lost", null));
  }

  /** The thread is left to itself: it ends when its call returns. */
  #end(reason: unknown): void {
    this.#worker?.terminate();
    this.#worker = null;
    for (const { reject } of this.#asked.values()) reject(reason);
    this.#asked.clear();
  }

  async #ask(
    request: ThreadRequest extends infer R ? R extends ThreadRequest ? Omit<R, "id"> : never
      : never,
    timeoutMs = this.options.timeoutMs,
  ): Promise<ThreadAnswer> {
    const { signal } = this.options;
    signal?.throwIfAborted();
    if (this.#worker === null) throw new XrootdError("lost", null);
    const id = ++this.#lastId;
    const answered = Promise.withResolvers<ThreadAnswer>();
    this.#asked.set(id, answered);
    const aborted = () => this.#end(signal?.reason);
    const timer = setTimeout(() => this.#end(new XrootdError("silent", null)), timeoutMs);
    signal?.addEventListener("abort", aborted);
    try {
      this.#worker.postMessage({ ...request, id });
      const answer = await answered.promise;
      if (answer.is === "unavailable") throw new XrootdUnavailable(answer.why);
      if (answer.is !== "failed") return answer;
      throw new XrootdError(failures[answer.errno] ?? "other", answer.errno);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      this.#asked.delete(id);
    }
  }
}

/** A server has nothing to do to close a file that was only read. */
const closePatienceMs = 2_000;
