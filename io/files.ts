/** Moving the bytes of files, in bounded pieces. */
import { dirname } from "node:path";
import { concat } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import { delay } from "./clock.ts";
import type { Write } from "./outbox.ts";

/** Read at once of a file on its way out; bytes. */
const pieceBytes = 256 * 1024;

/** A piece that takes longer is not the memory of this machine answering; ms. */
const quickMs = 5;

/**
 * Chooses, piece by piece, between asking the file system here and now, which costs least, and in
 * another thread, where a slow one (a disk that is busy, NFS) keeps nobody waiting. The first piece
 * and the one after a slow one go there: so a file system that hangs stops its own files only, and
 * one that became slow stops the others for one piece.
 */
export class Pace {
  #quick = false;

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** Does one of the two, and notes how long it took. */
  async take<T>(now: () => T, later: () => Promise<T>): Promise<T> {
    const startedMs = this.nowMs();
    const done = this.#quick ? now() : await later();
    this.#quick = this.nowMs() - startedMs < quickMs;
    return done;
  }

  async writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const rest = bytes.subarray(done);
      done += await this.take(() => file.writeSync(rest), () => file.write(rest));
    }
  }
}

/**
 * Writes exactly `size` bytes of an open file. Throws if the file has become shorter: the peer was
 * promised that many.
 */
export async function copyOut(file: Deno.FsFile, size: number, write: Write): Promise<void> {
  const piece = new Uint8Array(Math.min(pieceBytes, size));
  const pace = new Pace();
  for (let left = size; left > 0;) {
    const wanted = piece.subarray(0, Math.min(piece.length, left));
    const count = await pace.take(() => file.readSync(wanted), () => file.read(wanted));
    if (count === null) throw new Error(`The file became ${left} bytes shorter while it was sent`);
    await write(piece.subarray(0, count));
    left -= count;
  }
}

/**
 * Takes the pieces of one payload. A failure is kept for the end, and the rest passes by. What need
 * not be waited for returns no promise, so that the messages behind it are of the same turn.
 */
export interface Sink {
  /** The bytes are the caller's again as soon as this is done. */
  take(bytes: Uint8Array): Promise<void> | void;
  /** Closes it; `null`, or why the payload could not be kept. */
  finish(): Promise<string | null> | null;
  /** The link broke in the middle: leave nothing behind. */
  abandon(): Promise<void>;
}

export const nowhere: Sink = {
  take() {},
  finish: () => null,
  abandon: () => Promise.resolve(),
};

/** Before it is tried again to write to a disk that was full; ms. */
const tryAgainAfterMs = 500;

/** Of who waits until there is room again on a disk that is full. */
export interface Patience {
  /** Waits no longer. */
  readonly signal: AbortSignal;
  /** A write has to wait, or does not any more. */
  began(why: string): void;
  ended(): void;
}

/**
 * Writes beside `path` and moves into place when complete, so that no half file bears its name. The
 * name meanwhile is one that no peer can guess: it may have sent a file or a link of any other.
 * Without patience a full disk is a failure like others.
 */
export class FileSink implements Sink {
  #file: Deno.FsFile | null = null;
  #writtenBytes = 0;
  #trouble: string | null = null;
  readonly #pace = new Pace();
  readonly #partial: string;

  constructor(
    private readonly path: string,
    private readonly mode: number,
    private readonly patience: Patience | null = null,
  ) {
    this.#partial = `${dirname(path)}/.${crypto.randomUUID()}.partial`;
  }

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#trouble !== null) return;
    try {
      const file = this.#file ??= await this.#patiently(() => this.#open());
      await this.#patiently(async (again) => {
        // The write that failed may have written some of it.
        if (again) await file.seek(this.#writtenBytes, Deno.SeekMode.Start);
        await this.#pace.writeAll(file, bytes);
      });
      this.#writtenBytes += bytes.length;
    } catch (error) {
      await this.#give(error);
    }
  }

  async finish(): Promise<string | null> {
    if (this.#trouble !== null) return this.#trouble;
    try {
      this.#file ??= await this.#patiently(() => this.#open());
      this.#file.close();
      this.#file = null;
      await this.#patiently(() => Deno.rename(this.#partial, this.path));
    } catch (error) {
      await this.#give(error);
    }
    return this.#trouble;
  }

  async abandon(): Promise<void> {
    await this.#give(new Error("the link broke"));
  }

  async #open(): Promise<Deno.FsFile> {
    const options = { write: true, createNew: true, mode: this.mode } as const;
    try {
      return await Deno.open(this.#partial, options);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.mkdir(dirname(this.#partial), { recursive: true });
      return await Deno.open(this.#partial, options);
    }
  }

  /** `again`: the disk was full when it was last tried. */
  async #patiently<T>(attempt: (again: boolean) => Promise<T>): Promise<T> {
    const { patience } = this;
    let isFull = false;
    try {
      for (;;) {
        try {
          return await attempt(isFull);
        } catch (error) {
          if (patience === null || patience.signal.aborted || !meansFull(error)) throw error;
          if (!isFull) patience.began(messageOf(error));
          isFull = true;
        }
        await delay(tryAgainAfterMs, patience.signal);
      }
    } finally {
      if (isFull) patience?.ended();
    }
  }

  async #give(error: unknown): Promise<void> {
    this.#trouble = error instanceof Error ? error.message : String(error);
    this.#file?.close();
    this.#file = null;
    await removeIfThere(this.#partial);
  }
}

/** Of the disk, or of what its user may have of it. */
function meansFull(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Writes into a file from an offset on; what lay behind it goes. */
export class UpdateSink implements Sink {
  #file: Deno.FsFile | null = null;
  #trouble: string | null = null;
  readonly #pace = new Pace();

  constructor(private readonly path: string, private readonly offset: number) {}

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#trouble !== null) return;
    try {
      this.#file ??= await this.#open();
      await this.#pace.writeAll(this.#file, bytes);
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : String(error);
    }
  }

  finish(): Promise<string | null> {
    this.#file?.close();
    this.#file = null;
    return Promise.resolve(this.#trouble);
  }

  async abandon(): Promise<void> {
    await this.finish();
  }

  async #open(): Promise<Deno.FsFile> {
    await Deno.mkdir(dirname(this.path), { recursive: true });
    const file = await Deno.open(this.path, { write: true, create: true });
    await file.truncate(this.offset);
    await file.seek(this.offset, Deno.SeekMode.Start);
    return file;
  }
}

/** Keeps the last bytes of a payload in memory. */
export class TailSink implements Sink {
  #pieces: Uint8Array[] = [];
  #size = 0;
  #dropped = 0;

  constructor(private readonly bytesMax: number) {}

  take(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes.slice());
    this.#size += bytes.length;
    while (this.#size - this.#pieces[0]!.length >= this.bytesMax) {
      const first = this.#pieces.shift()!;
      this.#size -= first.length;
      this.#dropped += first.length;
    }
  }

  finish(): null {
    return null;
  }

  abandon(): Promise<void> {
    return Promise.resolve();
  }

  /** Whether there was more than is kept. */
  get isCut(): boolean {
    return this.#dropped > 0 || this.#size > this.bytesMax;
  }

  /** What is kept, after a line that says how much is not. */
  get bytes(): Uint8Array {
    const kept = concat(this.#pieces);
    const dropped = this.#dropped + Math.max(0, kept.length - this.bytesMax);
    if (dropped === 0) return kept;
    const note = new TextEncoder().encode(`[${dropped} bytes of output left out]\n`);
    return concat([note, kept.subarray(-this.bytesMax)]);
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors; // the latter: below a file
    if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
  }
}
