/**
 * Bytes of a file by range, from disk, by HTTP or by XRootD. Ranges that lie close together are read as one,
 * because a seek or a round trip costs more than a few bytes too many.
 */
import { DataError, messageOf } from "../../core/errors.ts";

export interface Range {
  readonly start: number;
  readonly bytes: number;
}

/** A run of neighbouring ranges that is read at once; `parts` are places in the list asked for. */
export interface Span extends Range {
  readonly parts: readonly number[];
}

export interface SourceOptions {
  /** Ends all reading; the reads then reject with its reason. */
  readonly signal?: AbortSignal;
  /** Longest silence of a server before it counts as unreachable. */
  readonly timeoutMs?: number;
  /** File names of the XRootD client's library, in place of those by which it is known. */
  readonly xrootdLibraries?: readonly string[];
}

export interface ByteSource extends AsyncDisposable {
  /** For people: the path or URL, in quotes. */
  readonly name: string;
  readonly size: number;
  /** Fetched so far, gaps between ranges included. */
  readonly bytesRead: number;
  /** What ends all reading. */
  readonly signal: AbortSignal | undefined;
  /**
   * Hands each range to `use` as soon as it is there, in any order. Throws DataError
   * `unreachable`, or `truncated` for a range past the end; nothing is in flight afterwards.
   */
  read(
    ranges: readonly Range[],
    use: (bytes: Uint8Array, index: number) => Promise<void> | void,
  ): Promise<void>;
}

/** Largest span read at once, so that unpacking starts early and memory stays small. */
const spanBytesMax = 8 * 1024 ** 2;

/** Joins ranges no further apart than `gapBytes`; a single range may be longer than a span. */
export function spansOf(ranges: readonly Range[], gapBytes: number): Span[] {
  const order = ranges.map((range, index) => ({ range, index }))
    .sort((a, b) => a.range.start - b.range.start);
  const spans: { start: number; bytes: number; parts: number[] }[] = [];
  for (const { range, index } of order) {
    const last = spans.at(-1);
    const stop = range.start + range.bytes;
    if (
      last && range.start <= last.start + last.bytes + gapBytes && stop - last.start <= spanBytesMax
    ) {
      last.bytes = Math.max(last.bytes, stop - last.start);
      last.parts.push(index);
    } else {
      spans.push({ start: range.start, bytes: range.bytes, parts: [index] });
    }
  }
  return spans;
}

/** What differs between disk, HTTP and XRootD. */
export interface Access {
  readonly name: string;
  readonly size: number;
  readonly gapBytes: number;
  /** Spans in flight at once. */
  readonly parallel: number;
  /** Bytes from the start of the file that are there already. */
  readonly preread: Uint8Array;
  /** Exactly the bytes of the span, or it throws. */
  fetch(span: Range, signal: AbortSignal): Promise<Uint8Array>;
  close(): void | Promise<void>;
}

/** A source over an access: joins ranges, keeps some spans in flight, counts bytes. */
export function sourceOf(access: Access, options: SourceOptions): ByteSource {
  const { preread } = access;
  let bytesRead = preread.length;
  return {
    name: access.name,
    size: access.size,
    signal: options.signal,
    get bytesRead() {
      return bytesRead;
    },
    async read(ranges, use) {
      for (const { start, bytes } of ranges) {
        if (start + bytes > access.size) throw pastEnd(access, start + bytes);
      }
      const failed = new AbortController();
      const signal = options.signal
        ? AbortSignal.any([options.signal, failed.signal])
        : failed.signal;
      const queue = spansOf(ranges, access.gapBytes).values();
      async function work() {
        for (const span of queue) {
          signal.throwIfAborted();
          const there = span.bytes === 0 || span.start + span.bytes <= preread.length;
          const data = there
            ? preread.subarray(span.start, span.start + span.bytes)
            : await access.fetch(span, signal);
          if (!there) bytesRead += data.length;
          for (const index of span.parts) {
            const { start, bytes } = ranges[index]!;
            const at = start - span.start;
            await use(data.subarray(at, at + bytes), index);
          }
        }
      }
      const works = Array.from({ length: access.parallel }, () =>
        work().catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }));
      await Promise.allSettled(works);
      // The first failure aborted the others, so it is the reason even of theirs.
      signal.throwIfAborted();
    },
    async [Symbol.asyncDispose]() {
      await access.close();
    },
  };
}

/** The bytes of one range. */
export async function readOne(
  source: ByteSource,
  start: number,
  bytes: number,
): Promise<Uint8Array> {
  let result = new Uint8Array();
  await source.read([{ start, bytes }], (data) => void (result = new Uint8Array(data)));
  return result;
}

/** Opens a local file, which may be a copy of another. Throws DataError `unreachable`. */
export async function openPath(
  path: string,
  options: SourceOptions,
  copy?: { readonly name: string; readonly closed: () => void },
): Promise<ByteSource> {
  const name = copy?.name ?? JSON.stringify(path);
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw new DataError("unreachable", `Cannot read ${name}: ${whyNotOpened(error)}`, {
      cause: error,
    });
  }
  try {
    const info = await file.stat();
    if (info.isDirectory) {
      throw new DataError("unreachable", `Cannot read ${name}: it is a folder, not a file`);
    }
    // The file has one position, so that only one read at a time may use it.
    let last: Promise<unknown> = Promise.resolve();
    return sourceOf({
      name,
      size: info.size,
      gapBytes: 16 * 1024,
      parallel: 1,
      preread: new Uint8Array(),
      fetch: (span) => {
        const own = last.then(() => readFully(file, span, name));
        last = own.catch(() => {});
        return own;
      },
      close: () => {
        file.close();
        copy?.closed();
      },
    }, options);
  } catch (error) {
    file.close();
    throw error;
  }
}

async function readFully(file: Deno.FsFile, { start, bytes }: Range, name: string) {
  const data = new Uint8Array(bytes);
  let filled = 0;
  try {
    await file.seek(start, Deno.SeekMode.Start);
    while (filled < bytes) {
      const count = await file.read(data.subarray(filled));
      if (count === null) break;
      filled += count;
    }
  } catch (error) {
    throw new DataError("unreachable", `Cannot read ${name}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (filled < bytes) throw pastEnd({ name, size: start + filled }, start + bytes);
  return data;
}

/** A file that ends before byte `wanted`. */
export function pastEnd({ name, size }: { name: string; size: number }, wanted: number): DataError {
  return new DataError(
    "truncated",
    `Cannot read ${name}: it is cut off: byte ${wanted} is needed, and it has ${size}. ` +
      "Copy it again",
  );
}

function whyNotOpened(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder, not a file";
  return messageOf(error);
}
