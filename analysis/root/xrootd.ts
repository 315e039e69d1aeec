/**
 * Bytes of a file by XRootD (`root://`): by partial reads, many in one question, through the
 * client's library; where that cannot be had, by a copy that `xrdcp` makes in the working folder.
 * A server that restarts in the middle is waited for, and the file opened again.
 */
import { DataError } from "../../core/errors.ts";
import { delay } from "../../io/clock.ts";
import { copyByXrdcp, findXrdcp } from "../../io/xrdcp.ts";
import {
  requestTimeoutMs,
  XrootdError,
  type XrootdFailure,
  XrootdFile,
  XrootdUnavailable,
} from "../../io/xrootd.ts";
import { debugLine } from "../debug_line.ts";
import {
  type ByteSource,
  openPath,
  pastEnd,
  type Range,
  sourceOf,
  type SourceOptions,
} from "./source.ts";

/** How long a server is waited for that was never seen: it may be starting, or not be there. */
const firstPatienceMs = 20_000;
/** Between attempts to open a file again: at first, and at most. */
const pauseMinMs = 100, pauseMaxMs = 2_000;
/** Attempts to read when it is not known whether another one is of use. */
const unknownTriesMax = 3;
/** Most bytes asked for in one question, so that unpacking starts early and memory stays small. */
const questionBytesMax = 8 * 1024 ** 2;

/** These pass, so that it is worth trying again. */
const passing: ReadonlySet<XrootdFailure> = new Set(["offline", "lost"]);

/** Opens a `root://` URL. Throws DataError `unreachable`, or the reason of an abort. */
export async function openXrootd(url: string, options: SourceOptions): Promise<ByteSource> {
  const name = JSON.stringify(url);
  const remote = new Remote(url, name, options);
  try {
    await remote.open();
  } catch (error) {
    if (error instanceof XrootdUnavailable) return await openCopy(url, name, options, error);
    throw error;
  }
  return sourceOf({
    name,
    size: remote.size,
    gapBytes: 64 * 1024,
    // As many as one question may hold; they travel together.
    parallel: 64,
    preread: new Uint8Array(),
    fetch: (span) => remote.read(span),
    close: () => remote.close(),
  }, options);
}

interface Waiting extends PromiseWithResolvers<Uint8Array> {
  readonly range: Range;
}

/** A file that is opened again when its connection is lost. */
class Remote {
  #file: XrootdFile | null = null;
  #size: number | null = null;
  #waiting: Waiting[] = [];
  #asking = false;

  constructor(
    private readonly url: string,
    private readonly name: string,
    private readonly options: SourceOptions,
  ) {}

  get size(): number {
    return this.#size ?? 0;
  }

  async open(): Promise<void> {
    await this.#try(() => Promise.resolve());
    debugLine("xrootd", `${this.name} is read by ${this.#file!.how}`);
  }

  /** Exactly these bytes. Ranges that are asked for while a question is open go into the next. */
  read(range: Range): Promise<Uint8Array> {
    const waiting: Waiting = { ...Promise.withResolvers<Uint8Array>(), range };
    this.#waiting.push(waiting);
    if (!this.#asking) {
      this.#asking = true;
      void this.#ask();
    }
    return waiting.promise;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #ask(): Promise<void> {
    // Who asks at the same moment comes along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const some = this.#take();
      try {
        const parts = await this.#try((file) => file.read(some.map(({ range }) => range)));
        some.forEach(({ range: { start, bytes }, resolve, reject }, i) => {
          const part = parts[i]!;
          if (part.length === bytes) resolve(part);
          else reject(pastEnd({ name: this.name, size: start + part.length }, start + bytes));
        });
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
    }
    this.#asking = false;
  }

  #take(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.#waiting.length; count++) {
      bytes += this.#waiting[count]!.range.bytes;
      if (count > 0 && bytes > questionBytesMax) break;
    }
    return this.#waiting.splice(0, count);
  }

  /** Opens the file if need be and does it, again and again while what fails may pass. */
  #try<T>(what: (file: XrootdFile) => Promise<T>): Promise<T> {
    const { url, name, options } = this;
    return insist({ url, name, options, known: () => this.#size !== null }, async () => {
      try {
        this.#file ??= await this.#opened();
        return await what(this.#file);
      } catch (error) {
        if (error instanceof XrootdError) await this.close();
        throw error;
      }
    });
  }

  async #opened(): Promise<XrootdFile> {
    const { signal, timeoutMs = requestTimeoutMs(), xrootdLibraries: libraries } = this.options;
    const file = await XrootdFile.open(this.url, {
      timeoutMs,
      signal,
      libraries,
    });
    const before = this.#size;
    if (before !== null && file.size !== before) {
      await file.close();
      throw new DataError(
        "corrupt",
        `Cannot read ${this.name}: it changed while it was read, from ${before} bytes to ` +
          `${file.size}`,
      );
    }
    this.#size = file.size;
    return file;
  }
}

/** What is tried, for messages and patience. */
interface Trial {
  readonly url: string;
  readonly name: string;
  readonly options: SourceOptions;
  /** Whether the file has been open: then its server is known to be there. */
  known(): boolean;
}

/** Tries until it succeeds or fails for good. Throws DataError, or the signal's reason. */
async function insist<T>(
  { url, name, options: { signal, timeoutMs = requestTimeoutMs() }, known }: Trial,
  attempt: () => Promise<T>,
): Promise<T> {
  const startedMs = performance.now();
  for (let tries = 1;; tries++) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof XrootdError)) throw error;
      const pauseMs = Math.min(pauseMinMs * 2 ** (tries - 1), pauseMaxMs);
      const waitedMs = performance.now() - startedMs;
      // Of a file that was open, whatever else fails may be that of one connection.
      const passes = passing.has(error.failure) ||
        (error.failure === "other" && known() && tries < unknownTriesMax);
      const patienceMs = known() ? timeoutMs : Math.min(firstPatienceMs, timeoutMs);
      if (!passes || waitedMs + pauseMs > patienceMs) {
        throw dataErrorOf(error, url, name, waitedMs);
      }
      debugLine("xrootd", `${name}: ${error.message}; trying again`);
      await delay(pauseMs, signal);
      signal?.throwIfAborted();
    }
  }
}

/** For people: what the failure of the client means for this file. */
function dataErrorOf(
  { failure, message, errno }: XrootdError,
  url: string,
  name: string,
  waitedMs: number,
): DataError {
  const [, host = "", path = ""] = /^\w+:\/\/([^/]*)\/(.*)$/s.exec(url) ?? [];
  // Whoever writes one slash asks for a path that starts nowhere.
  const slash = path.startsWith("/") ? "" : `; a path starts with a slash: root://${host}//${path}`;
  const why: Record<XrootdFailure, string> = {
    "not-found": `there is no such file on ${host}${slash}`,
    "no-host": `there is no host ${host}`,
    denied: `${host} does not let you read it${slash || proxyHint}`,
    "not-authenticated": `${host} does not accept who asks${proxyHint}`,
    folder: "it is a folder, not a file",
    offline: `${host} refused the connection: is its server up?`,
    lost: `the connection to ${host} was lost and did not come back`,
    silent: `no answer from ${host} for ${(waitedMs / 1000).toFixed(1)} s`,
    redirects: `${host} sends from one server to another without end`,
    other: `${host}: the XRootD client failed with ${errno === null ? message : `errno ${errno}`}` +
      slash,
  };
  return new DataError("unreachable", `Cannot read ${name}: ${why[failure]}`);
}

const proxyHint = ": is your proxy valid? voms-proxy-init makes a new one, and x509-proxy: FILE " +
  "names it";

async function openCopy(
  url: string,
  name: string,
  options: SourceOptions,
  missing: XrootdUnavailable,
): Promise<ByteSource> {
  const xrdcp = findXrdcp();
  if (!("path" in xrdcp)) {
    debugLine("xrootd", `no library of XRootD: ${missing.message}; no xrdcp: ${xrdcp.why}`);
    throw new DataError(
      "unreachable",
      `Cannot read ${name}: there is no XRootD client on this machine. Install xrootd-client ` +
        "(Debian, Fedora, EPEL) or xrootd (conda-forge)",
    );
  }
  debugLine(
    "xrootd",
    `${name} is copied by ${xrdcp.path}, as there is no library: ${missing.message}`,
  );
  const { signal, timeoutMs = requestTimeoutMs() } = options;
  const folder = await Deno.makeTempDir({ dir: ".", prefix: "xrdcp-" });
  const path = `${folder}/copy.root`;
  const remove = () => Deno.removeSync(folder, { recursive: true });
  try {
    const copy = () => copyByXrdcp(xrdcp.path, url, path, { timeoutMs, signal });
    await insist({ url, name, options, known: () => false }, copy);
    return await openPath(path, options, { name, closed: remove });
  } catch (error) {
    remove();
    throw error;
  }
}
