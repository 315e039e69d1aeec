/** Moving the bytes of files, in bounded pieces. */
import { dirname } from "node:path";
import { concat } from "../core/bytes.ts";
import type { Write } from "./outbox.ts";

/** Read at once of a file on its way out; bytes. */
const pieceBytes = 256 * 1024;

/**
 * Writes exactly `size` bytes of an open file. Throws if the file has become shorter: the peer was
 * promised that many.
 */
export async function copyOut(file: Deno.FsFile, size: number, write: Write): Promise<void> {
  const piece = new Uint8Array(Math.min(pieceBytes, size));
  for (let left = size; left > 0;) {
    const count = await file.read(piece.subarray(0, Math.min(piece.length, left)));
    if (count === null) throw new Error(`The file became ${left} bytes shorter while it was sent`);
    await write(piece.subarray(0, count));
    left -= count;
  }
}

/** Takes the pieces of one payload. A failure is kept for the end, and the rest passes by. */
export interface Sink {
  take(bytes: Uint8Array): Promise<void>;
  /** Closes it; `null`, or why the payload could not be kept. */
  finish(): Promise<string | null>;
  /** The link broke in the middle: leave nothing behind. */
  abandon(): Promise<void>;
}

export const nowhere: Sink = {
  take: () => Promise.resolve(),
  finish: () => Promise.resolve(null),
  abandon: () => Promise.resolve(),
};

/**
 * Writes beside `path` and moves into place when complete, so that no half file bears its name. The
 * name meanwhile is one that no peer can guess: it may have sent a file or a link of any other.
 */
export class FileSink implements Sink {
  #file: Deno.FsFile | null = null;
  #trouble: string | null = null;
  readonly #partial: string;

  constructor(private readonly path: string, private readonly mode: number) {
    this.#partial = `${dirname(path)}/.${crypto.randomUUID()}.partial`;
  }

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#trouble !== null) return;
    try {
      this.#file ??= await this.#open();
      for (let done = 0; done < bytes.length;) {
        done += await this.#file.write(bytes.subarray(done));
      }
    } catch (error) {
      await this.#give(error);
    }
  }

  async finish(): Promise<string | null> {
    if (this.#trouble !== null) return this.#trouble;
    try {
      this.#file ??= await this.#open();
      this.#file.close();
      this.#file = null;
      await Deno.rename(this.#partial, this.path);
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

  async #give(error: unknown): Promise<void> {
    this.#trouble = error instanceof Error ? error.message : String(error);
    this.#file?.close();
    this.#file = null;
    await removeIfThere(this.#partial);
  }
}

/** Writes into a file from an offset on; what lay behind it goes. */
export class UpdateSink implements Sink {
  #file: Deno.FsFile | null = null;
  #trouble: string | null = null;

  constructor(private readonly path: string, private readonly offset: number) {}

  async take(bytes: Uint8Array): Promise<void> {
    if (this.#trouble !== null) return;
    try {
      this.#file ??= await this.#open();
      for (let done = 0; done < bytes.length;) {
        done += await this.#file.write(bytes.subarray(done));
      }
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

  take(bytes: Uint8Array): Promise<void> {
    this.#pieces.push(bytes.slice());
    this.#size += bytes.length;
    while (this.#size - this.#pieces[0]!.length >= this.bytesMax) {
      const first = this.#pieces.shift()!;
      this.#size -= first.length;
      this.#dropped += first.length;
    }
    return Promise.resolve();
  }

  finish(): Promise<null> {
    return Promise.resolve(null);
  }

  abandon(): Promise<void> {
    return Promise.resolve();
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
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
