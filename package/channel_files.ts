/**
 * Files of channels, from disk or over HTTP. What came over HTTP is kept with its ETag, so that
 * the next time the server need only say that nothing has changed.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { concat } from "../core/bytes.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { type ChannelSettings, shownUrl } from "../core/package/condarc.ts";
import { FileSink, removeIfThere } from "../io/files.ts";

/** `null`: there is no such file. */
export type ChannelFile = Uint8Array | null;

export interface ChannelFilesOptions {
  /** Folder of the kept files. */
  readonly cache: string;
  readonly settings: ChannelSettings;
  /** Nothing is asked of servers; what is kept is taken as it is. */
  readonly offline: boolean;
  /** Told of what is unexpected and yet no failure. */
  readonly note: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Before the first repetition; each later one waits twice as long. ms */
  readonly retryDelayMs?: number;
}

/** The server, or the way to it, may be well again in a moment, or at another place. */
class Transient extends Error {
  constructor(message: string, readonly waitMs: number | null = null) {
    super(message);
  }
}

/** The file could not be had from this place; another one may have it. */
export class PlaceError extends RunError {}

/** Waits that servers ask for are honoured up to here; ms. */
const waitMsMax = 30_000;
const retryDelayMs = 500;

interface Kept {
  readonly etag?: string;
  readonly lastModified?: string;
  readonly bytes: ChannelFile;
}

export class ChannelFiles implements Disposable {
  readonly #clients = new Map<string, Deno.HttpClient>();
  #caCerts: Promise<string[]> | null = null;

  constructor(private readonly options: ChannelFilesOptions) {}

  /**
   * The file at a URL. Throws PlaceError if it cannot be had: the host cannot be reached and
   * nothing is kept, or it refuses.
   */
  async get(url: string): Promise<ChannelFile> {
    if (url.startsWith("file:")) return await readLocal(url);
    const path = this.#keptPath(url);
    const kept = await readKept(path, url);
    if (this.options.offline) {
      if (kept !== null) return kept.bytes;
      throw new PlaceError(`Cannot read ${shownUrl(url)} offline: no copy of it is kept`);
    }
    try {
      return await this.#retrying(() => this.#ask(url, kept, path));
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      const why = `Cannot read ${shownUrl(url)}: ${error.message}`;
      if (kept === null) throw new PlaceError(why);
      this.options.note(`${why}. The copy of last time is taken.`);
      return kept.bytes;
    }
  }

  /**
   * A file that is known by its SHA-256 in hexadecimal, so that a kept one need not be asked for
   * again. Throws PlaceError if it cannot be had or has another hash.
   */
  async getHashed(url: string, sha256: string): Promise<Uint8Array> {
    const path = `${this.options.cache}/repodata/shards/${sha256}`;
    const kept = url.startsWith("file:") ? null : await readLocal(path);
    if (kept !== null && sha256Of(kept) === sha256) return kept;
    if (this.options.offline && !url.startsWith("file:")) {
      throw new PlaceError(`Cannot read ${shownUrl(url)} offline: no copy of it is kept`);
    }
    const fresh = url.startsWith("file:")
      ? await readLocal(url)
      : await this.#retrying(() => this.#ask(url, null, null)).catch((error) => {
        if (!(error instanceof Transient)) throw error;
        throw new PlaceError(`Cannot read ${shownUrl(url)}: ${error.message}`);
      });
    if (fresh === null) throw new PlaceError(`There is no ${shownUrl(url)}`);
    if (sha256Of(fresh) !== sha256) {
      throw new PlaceError(
        `${shownUrl(url)} is damaged: its SHA-256 is not the one that the channel tells`,
      );
    }
    if (!url.startsWith("file:")) await write(path, [fresh]);
    return fresh;
  }

  /** What is kept of a URL turned out to be damaged: the next time it is fetched whole. */
  async forget(url: string): Promise<void> {
    if (!url.startsWith("file:")) await removeIfThere(this.#keptPath(url));
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #keptPath(url: string): string {
    const name = createHash("sha256").update(url).digest("hex").slice(0, 32);
    return `${this.options.cache}/repodata/${name}`;
  }

  async #retrying<T>(once: () => Promise<T>): Promise<T> {
    const { settings, signal, retryDelayMs: firstMs = retryDelayMs } = this.options;
    for (let tried = 0;; tried++) {
      try {
        return await once();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Transient) || tried >= settings.retriesMax) throw error;
        await delay(Math.min(error.waitMs ?? firstMs * 2 ** tried, waitMsMax), signal);
      }
    }
  }

  /** One question; with `path`, the answer is kept there. */
  async #ask(url: string, kept: Kept | null, path: string | null): Promise<ChannelFile> {
    const { readTimeoutMs } = this.options.settings;
    using patience = new Patience(readTimeoutMs, this.options.signal);
    const { plain, headers } = withoutCredentials(url);
    if (kept?.bytes instanceof Uint8Array) {
      if (kept.etag !== undefined) headers.set("if-none-match", kept.etag);
      else if (kept.lastModified !== undefined) {
        headers.set("if-modified-since", kept.lastModified);
      }
    }
    let response: Response;
    try {
      const client = await this.#clientFor(plain);
      response = await fetch(plain, { headers, signal: patience.signal, ...client && { client } });
    } catch (error) {
      if (error instanceof RunError) throw error;
      throw new Transient(patience.expired ? noAnswer(readTimeoutMs) : connectionWords(error));
    }
    const { status } = response;
    if (status === 200) {
      const bytes = await readBody(response, patience, readTimeoutMs);
      if (path !== null) await this.#keep(path, url, response, bytes);
      return bytes;
    }
    await response.body?.cancel();
    if (status === 304 && kept !== null) return kept.bytes;
    if (status === 404 || status === 410) {
      if (path !== null && kept?.bytes !== null) await this.#keep(path, url, response, null);
      return null;
    }
    if (status === 408 || status === 429 || status >= 500) {
      throw new Transient(`the server answered ${status}`, retryAfterMs(response));
    }
    const hint = status === 401 || status === 403
      ? "; give user and password in the channel's URL if it needs them"
      : "";
    throw new PlaceError(`Cannot read ${shownUrl(url)}: the server answered ${status}${hint}`);
  }

  async #keep(path: string, url: string, response: Response, bytes: ChannelFile): Promise<void> {
    const head = {
      url: shownUrl(url),
      etag: response.headers.get("etag") ?? undefined,
      lastModified: response.headers.get("last-modified") ?? undefined,
      size: bytes?.length ?? null,
    };
    const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
    await write(path, bytes === null ? [line] : [line, bytes]);
  }

  /** With the proxy and the certificates of the settings; nothing if there are none. */
  async #clientFor(url: string): Promise<Deno.HttpClient | null> {
    const { settings } = this.options;
    const { protocol, hostname } = new URL(url);
    const scheme = protocol.slice(0, -1);
    if (settings.sslVerify === false && scheme === "https") {
      throw new RunError(
        `Cannot read ${shownUrl(url)} without a check of its certificate, as ssl_verify says: ` +
          "give ssl_verify the file of the authority that signed it",
      );
    }
    const proxy = settings.proxies.get(`${scheme}://${hostname}`) ?? settings.proxies.get(scheme);
    const ca = scheme === "https" && typeof settings.sslVerify === "string"
      ? settings.sslVerify
      : null;
    if (proxy === undefined && ca === null) return null;
    const key = `${proxy} ${ca}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const caCerts = ca === null ? undefined : await (this.#caCerts ??= readCertificates(ca));
    const client = Deno.createHttpClient({
      ...proxy !== undefined && { proxy: { url: proxy } },
      ...caCerts !== undefined && { caCerts },
    });
    this.#clients.set(key, client);
    return client;
  }
}

/** Aborts when nothing has come for some time, or with another signal. */
class Patience implements Disposable {
  readonly #own = new AbortController();
  readonly signal: AbortSignal;
  expired = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly idleMs: number, other: AbortSignal | undefined) {
    this.signal = other === undefined
      ? this.#own.signal
      : AbortSignal.any([this.#own.signal, other]);
    this.renew();
  }

  renew(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.expired = true;
      this.#own.abort();
    }, this.idleMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

async function readBody(
  response: Response,
  patience: Patience,
  idleMs: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of response.body ?? []) {
      patience.renew();
      pieces.push(piece);
    }
  } catch (error) {
    throw new Transient(patience.expired ? noAnswer(idleMs) : connectionWords(error));
  }
  return concat(pieces);
}

function noAnswer(ms: number): string {
  return `nothing came from the server for ${ms / 1000} s`;
}

/** Deno's words without the URL, which stands before them already. */
function connectionWords(error: unknown): string {
  return messageOf(error).replace(
    /^error sending request (?:from \S+ )?for url \([^)]*\)(?:: )?/,
    "",
  )
    .replace(/^client error \(\w+\): /, "") || "the connection broke";
}

function retryAfterMs(response: Response): number | null {
  const seconds = response.headers.get("retry-after");
  return seconds !== null && /^\d+$/.test(seconds) ? Number(seconds) * 1000 : null;
}

/** `fetch` refuses URLs with a password in them. */
function withoutCredentials(url: string): { plain: string; headers: Headers } {
  const parsed = new URL(url);
  const headers = new Headers();
  if (parsed.username !== "" || parsed.password !== "") {
    const pair = `${decodeURIComponent(parsed.username)}:${decodeURIComponent(parsed.password)}`;
    headers.set("authorization", `Basic ${new TextEncoder().encode(pair).toBase64()}`);
    parsed.username = parsed.password = "";
  }
  return { plain: parsed.href, headers };
}

async function readCertificates(path: string): Promise<string[]> {
  try {
    return [await Deno.readTextFile(path)];
  } catch (error) {
    throw new RunError(`Cannot read the certificates in ${path}: ${messageOf(error)}`);
  }
}

/** The bytes at a path or `file:` URL. */
async function readLocal(place: string): Promise<ChannelFile> {
  const path = place.startsWith("file:") ? fileURLToPath(place) : place;
  try {
    return await Deno.readFile(path);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (error instanceof NotFound || error instanceof NotADirectory) return null;
    throw new PlaceError(`Cannot read ${path}: ${messageOf(error)}`);
  }
}

/** What is kept at a path: a line about it, then the bytes. Null if it is not as it was written. */
async function readKept(path: string, url: string): Promise<Kept | null> {
  const all = await readLocal(path);
  const end = all?.indexOf(0x0a) ?? -1;
  if (all === null || end < 0) return null;
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder().decode(all.subarray(0, end)));
  } catch {
    return null;
  }
  if (!isRecord(head) || head.url !== shownUrl(url)) return null;
  const bytes = all.subarray(end + 1);
  if (head.size !== null && head.size !== bytes.length) return null;
  return {
    ...typeof head.etag === "string" && { etag: head.etag },
    ...typeof head.lastModified === "string" && { lastModified: head.lastModified },
    bytes: head.size === null ? null : bytes,
  };
}

async function write(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const sink = new FileSink(path, 0o644);
  for (const part of parts) await sink.take(part);
  const trouble = await sink.finish();
  if (trouble !== null) throw new RunError(`Cannot write ${path}: ${trouble}`);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
