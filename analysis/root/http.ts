/** Bytes of a file by HTTP range requests; a server without ranges has its file read whole. */
import { DataError, messageOf } from "../../core/errors.ts";
import { headBytes } from "./header.ts";
import { type ByteSource, type Range, sourceOf, type SourceOptions } from "./source.ts";

/** Largest file downloaded whole, because its server gives no ranges: it is held in memory. */
export const wholeFileBytesMax = 512 * 1024 ** 2;
/** Longest silence of a server: over what a tape-backed or busy store usually takes. */
const defaultTimeoutMs = 60_000;

/** Opens an http(s) URL. Throws DataError `unreachable`, or the reason of an abort. */
export async function openUrl(url: string, options: SourceOptions): Promise<ByteSource> {
  const name = JSON.stringify(url);
  if (!URL.canParse(url)) throw new DataError("unreachable", `Cannot read ${name}: it is no URL`);
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const target: Target = { url, name, timeoutMs };
  const first = await get(target, { start: 0, bytes: headBytes }, options.signal);
  // After a redirect, the place that answered is asked again: replicas of a file may differ.
  const found: Target = { ...target, url: first.url, size: first.size };
  return sourceOf({
    name,
    size: first.size,
    gapBytes: 64 * 1024,
    parallel: 4,
    preread: first.body,
    async fetch(span, signal) {
      const { status, body } = await get(found, span, signal);
      // A server may change its mind about ranges.
      return status === 206 ? body : body.subarray(span.start, span.start + span.bytes);
    },
    close: () => {},
  }, options);
}

interface Target {
  readonly url: string;
  readonly name: string;
  readonly timeoutMs: number;
  /** As the first answer gave it; another size means that the file has changed. */
  readonly size?: number;
}

interface Answer {
  readonly status: 200 | 206;
  readonly url: string;
  readonly body: Uint8Array;
  /** Of the whole file. */
  readonly size: number;
}

/** One request. Throws DataError `unreachable` or `corrupt`, or the reason of an abort. */
async function get(target: Target, range: Range, signal?: AbortSignal): Promise<Answer> {
  const { url, name, timeoutMs } = target;
  const silence = new AbortController();
  const stop = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), timeoutMs);
  };
  heard();
  try {
    const last = range.start + range.bytes - 1;
    // A compressed answer would have other bytes at these places.
    const headers = { "range": `bytes=${range.start}-${last}`, "accept-encoding": "identity" };
    const response = await fetch(url, { signal: stop, headers });
    heard();
    try {
      return await read(response, target, range, heard);
    } catch (error) {
      await response.body?.cancel().catch(() => {}); // it may be what failed
      throw error;
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof DataError) throw error;
    const why = silence.signal.aborted
      ? `no answer for ${timeoutMs / 1000} s`
      : whyNotFetched(error, new URL(url).host);
    throw new DataError("unreachable", `Cannot read ${name}: ${why}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function read(
  response: Response,
  { name, size: expected, url }: Target,
  range: Range,
  heard: () => void,
): Promise<Answer> {
  const unreachable = (why: string) =>
    new DataError("unreachable", `Cannot read ${name}: ${new URL(url).host} ${why}`);
  switch (response.status) {
    case 200: {
      const body = await bodyOf(response, wholeFileBytesMax, heard);
      if (body === null) {
        throw unreachable(
          `sends no parts of files (HTTP ranges), and the file is too large to be read whole ` +
            `(over ${wholeFileBytesMax / 1024 ** 2} MB). Copy it to a disk`,
        );
      }
      if (expected !== undefined && body.length !== expected) {
        throw changed(name, expected, body.length);
      }
      return { status: 200, url: response.url, body, size: body.length };
    }
    case 206: {
      const size = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]);
      if (!Number.isSafeInteger(size)) throw unreachable("does not say how long the file is");
      if (expected !== undefined && size !== expected) throw changed(name, expected, size);
      const wanted = Math.min(range.bytes, size - range.start);
      const body = await bodyOf(response, wanted, heard);
      if (body?.length !== wanted) {
        throw unreachable(`sent ${body?.length ?? "more"} bytes where ${wanted} were asked for`);
      }
      return { status: 206, url: response.url, body, size };
    }
    case 416: // the range starts past the end
      await response.body?.cancel();
      if (expected !== undefined) throw changed(name, expected, "fewer");
      return { status: 206, url: response.url, body: new Uint8Array(), size: 0 };
    default:
      throw unreachable(`answered ${response.status} ${response.statusText}`.trimEnd());
  }
}

function changed(name: string, before: number, after: number | "fewer"): DataError {
  return new DataError(
    "corrupt",
    `Cannot read ${name}: it changed while it was read, from ${before} bytes to ${after}`,
  );
}

/** The body, or null if it is longer than `bytesMax`; the rest of it is left unread. */
async function bodyOf(response: Response, bytesMax: number, heard: () => void) {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of response.body ?? []) {
    heard();
    total += part.length;
    if (total > bytesMax) return null;
    parts.push(part);
  }
  const body = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

/** Deno tells a chain of causes; people need the plain one at its end. */
function whyNotFetched(error: unknown, host: string): string {
  const cause = error instanceof Error ? error.cause ?? error : error;
  const text = messageOf(cause);
  if (/dns error/.test(text)) return `there is no host ${host}`;
  if (/Connection refused/.test(text)) return `${host} refused the connection: is its server up?`;
  if (/reading a body|before message completed|reset by peer/.test(text)) {
    return `${host} closed the connection in the middle of its answer`;
  }
  return `${host}: ${text.split(": ").at(-1)}`;
}
