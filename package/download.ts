/**
 * Files from http(s) and file URLs, hashed while they are written, taken up again where a connection
 * broke, and given their name only when they are whole and what was promised.
 */
import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf, RunError } from "../core/errors.ts";
import { shownUrl } from "../core/package/condarc.ts";
import { delay } from "../io/clock.ts";

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** What the file must be; lower-case hex and bytes. */
  readonly expected?: {
    readonly sha256?: string | undefined;
    readonly md5?: string | undefined;
    readonly size?: number | undefined;
  };
  /** Called with the bytes there are so far, and all that there will be where that is known. */
  readonly onBytes?: (bytes: number, total: number | null) => void;
  /** First pause before a broken download goes on; each further one is twice as long. */
  readonly backoffMs?: number;
  /** A server that sends nothing for so long has hung up; ms. */
  readonly silenceMs?: number;
}

/** How often a download that got nowhere is tried again; one that got on starts counting anew. */
const triesMax = 5;
const backoffMsUsual = 500;
const silenceMsUsual = 60_000;

/** What came. */
export interface Downloaded {
  readonly sha256: string;
  readonly size: number;
}

/**
 * Downloads to `path`, by way of `path.partial`, which stays for the next try where only the
 * connection broke. The caller holds a lock on the place. Throws RunError, a whole sentence, or the
 * reason of the signal.
 */
export async function download(
  url: string,
  path: string,
  options: DownloadOptions,
): Promise<Downloaded> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await using partial = await Partial.open(`${path}.partial`, url, options);
  try {
    const wasBegun = partial.size > 0;
    await fetchInto(partial, url, options);
    // What an earlier run left may have been of another file.
    if (wasBegun && partial.mismatch() !== null) {
      await partial.restart();
      await fetchInto(partial, url, options);
    }
    const wrong = partial.mismatch();
    if (wrong !== null) {
      await partial.discard();
      throw new RunError(`Cannot use ${shownUrl(url)}: ${wrong}`);
    }
    return await partial.finish(path);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof RunError) throw error;
    // Room for others.
    if (partial.isUnwritable) await partial.discard();
    throw new RunError(`Cannot download ${shownUrl(url)}: ${messageOf(error)}`);
  }
}

/** The bytes that there are, and their hashes. */
class Partial implements AsyncDisposable {
  #sha256 = createHash("sha256");
  #md5: Hash | null;
  #size = 0;
  #isOpen = true;
  isUnwritable = false;

  private constructor(
    private readonly path: string,
    private readonly file: Deno.FsFile,
    private readonly shownUrl: string,
    private readonly options: DownloadOptions,
  ) {
    this.#md5 = this.#newMd5();
  }

  static async open(path: string, url: string, options: DownloadOptions): Promise<Partial> {
    const file = await Deno.open(path, { create: true, read: true, write: true });
    const partial = new Partial(path, file, shownUrl(url), options);
    const piece = new Uint8Array(1024 ** 2);
    for (let count = await file.read(piece); count !== null; count = await file.read(piece)) {
      partial.#hash(piece.subarray(0, count));
    }
    const { size } = options.expected ?? {};
    if (size !== undefined && partial.#size > size) await partial.restart();
    return partial;
  }

  get size(): number {
    return this.#size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { size } = this.options.expected ?? {};
    if (size !== undefined && this.#size + bytes.length > size) {
      await this.discard();
      throw new RunError(
        `Cannot use ${this.shownUrl}: it is longer than the ${size} bytes that the channel tells`,
      );
    }
    try {
      for (let done = 0; done < bytes.length;) {
        done += await this.file.write(bytes.subarray(done));
      }
    } catch (error) {
      this.isUnwritable = true;
      throw error;
    }
    this.#hash(bytes);
    this.options.onBytes?.(this.#size, size ?? null);
  }

  async restart(): Promise<void> {
    await this.file.truncate(0);
    await this.file.seek(0, Deno.SeekMode.Start);
    this.#sha256 = createHash("sha256");
    this.#md5 = this.#newMd5();
    this.#size = 0;
  }

  /** Why it is not what was promised; null if it is. */
  mismatch(): string | null {
    const { sha256, md5, size } = this.options.expected ?? {};
    if (size !== undefined && this.#size !== size) {
      return `it has ${this.#size} bytes, and the channel tells ${size}`;
    }
    const is = this.#sha256.copy().digest("hex");
    if (sha256 !== undefined && is !== sha256) {
      return `its SHA-256 is ${is}, and the channel tells ${sha256}`;
    }
    const isMd5 = this.#md5?.copy().digest("hex");
    if (sha256 === undefined && md5 !== undefined && isMd5 !== md5) {
      return `its MD5 is ${isMd5}, and the channel tells ${md5}`;
    }
    return null;
  }

  async finish(path: string): Promise<Downloaded> {
    this.#close();
    await Deno.rename(this.path, path);
    return { sha256: this.#sha256.digest("hex"), size: this.#size };
  }

  async discard(): Promise<void> {
    await Deno.remove(this.path).catch(() => {}); // it has gone already
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const isEmpty = this.#isOpen && this.#size === 0;
    this.#close();
    if (isEmpty) await this.discard();
  }

  #close(): void {
    if (this.#isOpen) this.file.close();
    this.#isOpen = false;
  }

  #hash(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#md5?.update(bytes);
    this.#size += bytes.length;
  }

  #newMd5(): Hash | null {
    const { sha256, md5 } = this.options.expected ?? {};
    return sha256 === undefined && md5 !== undefined ? createHash("md5") : null;
  }
}

async function fetchInto(partial: Partial, url: string, options: DownloadOptions): Promise<void> {
  if (partial.size > 0 && partial.size === options.expected?.size) return;
  if (url.startsWith("file:")) return await copyInto(partial, url, options.signal);
  let tries = 0;
  for (;;) {
    const before = partial.size;
    const trouble = await fetchOnce(partial, url, options);
    if (trouble === null) return;
    tries = partial.size > before ? 1 : tries + 1;
    if (tries >= triesMax) {
      throw new Error(`${trouble}; given up after ${tries} tries`);
    }
    const pauseMs = (options.backoffMs ?? backoffMsUsual) * 2 ** (tries - 1);
    await delay(pauseMs, options.signal);
    options.signal.throwIfAborted();
  }
}

/** Statuses that another try may change. */
const passing = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Null when all is there, else why the next try should go on. Throws what no try would change. */
async function fetchOnce(
  partial: Partial,
  url: string,
  { signal, silenceMs = silenceMsUsual }: DownloadOptions,
): Promise<string | null> {
  using quiet = new Silence(silenceMs, signal);
  try {
    const { address, headers } = withCredentials(url);
    headers.set("accept-encoding", "identity");
    if (partial.size > 0) headers.set("range", `bytes=${partial.size}-`);
    const response = await fetch(address, { headers, signal: quiet.signal });
    const goesOn = response.status === 206 && rangeStart(response) === partial.size;
    if (!goesOn && response.status !== 200) {
      await response.body?.cancel();
      if (response.status === 416 || response.status === 206) {
        await partial.restart();
        return "the server has not the rest of what it began to send";
      }
      const status = `the server answers ${response.status} ${response.statusText}`.trim();
      if (passing.has(response.status)) return status;
      throw new RunError(`Cannot download ${shownUrl(url)}: ${status}`);
    }
    if (!goesOn && partial.size > 0) await partial.restart();
    const length = Number(response.headers.get("content-length") ?? NaN);
    const stop = Number.isNaN(length) ? null : partial.size + length;
    for await (const bytes of response.body ?? []) {
      quiet.heard();
      await partial.write(bytes);
    }
    return stop === null || partial.size === stop ? null : "the connection broke";
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RunError || partial.isUnwritable) throw error;
    return messageOf(error);
  }
}

/** Aborts when nothing was heard for some time, or as `outer` does. */
class Silence implements Disposable {
  readonly #stop = new AbortController();
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout>;

  constructor(private readonly ms: number, outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#stop.signal]);
    this.#timer = this.#next();
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#next();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #next(): ReturnType<typeof setTimeout> {
    const error = new Error(`nothing came for ${Math.ceil(this.ms / 1000)} s`);
    return setTimeout(() => this.#stop.abort(error), this.ms);
  }
}

function rangeStart(response: Response): number | null {
  const [, start] = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "") ?? [];
  return start === undefined ? null : Number(start);
}

/** `fetch` takes no URL with a password in it. */
function withCredentials(url: string): { address: URL; headers: Headers } {
  const address = new URL(url);
  const headers = new Headers();
  if (address.username !== "") {
    const text = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`;
    headers.set("authorization", `Basic ${new TextEncoder().encode(text).toBase64()}`);
    address.username = address.password = "";
  }
  return { address, headers };
}

async function copyInto(partial: Partial, url: string, signal: AbortSignal): Promise<void> {
  const path = fileURLToPath(url);
  using file = await Deno.open(path).catch((error) => {
    throw new RunError(`Cannot read ${path}: ${messageOf(error)}`);
  });
  await partial.restart();
  const piece = new Uint8Array(1024 ** 2);
  for (let count = await file.read(piece); count !== null; count = await file.read(piece)) {
    signal.throwIfAborted();
    await partial.write(piece.subarray(0, count));
  }
}
