/**
 * Results on their way out: appended to a file, and from there to whoever reads them, so that a
 * slow reader holds nobody up and takes no memory.
 */
import { crc32 } from "node:zlib";
import { messageOf, RunError } from "../core/errors.ts";
import type { LinesRecord } from "../core/tasklist/records.ts";
import { delay } from "../io/clock.ts";
import type { JournalFile } from "./journal.ts";

/** Read at once of the file on the way to the reader; bytes. */
const pieceBytes = 256 * 1024;

/** Between two writes; ms. */
const gatherMs = 1;

/** Before it is tried again to write to a disk that was full; ms. */
const tryAgainAfterMs = 500;

/** With a journal, which is told of lines once they are written. */
export interface Journaling {
  readonly journal: JournalFile;
  /** What is in the file up to here stays. */
  readonly offset: number;
  /** The disk is full, or is not any more: nothing should be started meanwhile. */
  paused(why: string | null): void;
}

/** A result, and what is to be known of it. */
interface Entry {
  readonly line: string;
  /** Of what it is the result of. */
  readonly print: number;
  /** Files that came with it. */
  readonly files: readonly string[];
}

interface Batch {
  readonly bytes: Uint8Array;
  readonly entries: readonly Entry[];
}

/** Takes some bytes when it can; `false` when nobody reads any more. */
export type Reader = (bytes: Uint8Array) => Promise<boolean>;

export class ResultLog {
  /** Lines that are not written yet. */
  #entries: Entry[] = [];
  #writtenBytes: number;
  /** After those of `#entries`. */
  #last: Entry[] = [];
  #lastIsDue = false;
  #full = false;
  /** No more lines will come. */
  #ended = false;
  /** All lines are written. */
  #complete = false;
  #news = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<false>();
  #stopping = false;
  readonly #work: Promise<unknown>;

  private constructor(
    private readonly path: string,
    private readonly file: Deno.FsFile,
    private readonly source: Deno.FsFile,
    reader: Reader,
    private readonly journaling: Journaling | null,
  ) {
    this.#writtenBytes = journaling?.offset ?? 0;
    this.#work = Promise.all([this.#append(), this.#copy(reader)]);
    this.#work.catch(() => {}); // `failed` and `end` tell of it
  }

  /** What was in the file is lost, but for what the journal has of it: that is read again. */
  static async open(
    path: string,
    reader: Reader,
    journaling: Journaling | null = null,
  ): Promise<ResultLog> {
    const file = await Deno.open(path, { write: true, create: true });
    const offset = journaling?.offset ?? 0;
    if ((await file.stat()).size > offset) await file.truncate(offset);
    if (offset > 0) await file.seek(offset, Deno.SeekMode.Start);
    return new ResultLog(path, file, await Deno.open(path), reader, journaling);
  }

  /** Rejects with a RunError when results cannot be kept; never resolves. */
  get failed(): Promise<never> {
    return this.#work.then(() => Promise.withResolvers<never>().promise);
  }

  /** `files`: those that came with it, which are to be as safe as it is. */
  add(result: unknown, print = 0, files: readonly string[] = []): void {
    this.#entries.push({ line: JSON.stringify(result) + "\n", print, files });
    this.#wake();
  }

  /** For the end, behind all others: of what was given up. */
  addLast(result: unknown): void {
    this.#last.push({ line: JSON.stringify(result) + "\n", print: 0, files: [] });
  }

  /** All others are there: those for the end may come. */
  tellLast(): void {
    this.#lastIsDue = true;
    this.#wake();
  }

  /** Waits until all is written and read, without the reader if `signal` fires; then closes. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ended = true;
    this.tellLast();
    const stop = () => this.#stop();
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    try {
      await this.#work;
    } finally {
      signal.removeEventListener("abort", stop);
      this.file.close();
      this.source.close();
    }
  }

  async #append(): Promise<void> {
    try {
      while (true) {
        const batch = this.#nextBatch();
        if (batch === null && this.#lastIsDue && this.#last.length > 0) {
          this.journaling?.journal.append({ type: "stopped" });
          this.#entries = this.#last.splice(0);
        } else if (batch === null && this.#ended) {
          break;
        } else if (batch === null) {
          await this.#news.promise;
        } else {
          await this.#put(batch);
          this.#wake();
          // Lines that come meanwhile are written together.
          if (!this.#ended) await delay(gatherMs);
        }
      }
      this.#complete = true;
      this.#wake();
    } catch (error) {
      this.#stop();
      throw new RunError(`Cannot write results to ${this.path}: ${messageOf(error)}`);
    }
  }

  /** In place, and as safe as was asked for, before the journal speaks of it. */
  async #put({ bytes, entries }: Batch): Promise<void> {
    const { journal } = this.journaling ?? {};
    for (const { files } of entries) for (const path of files) await journal?.keep(path);
    while (!await this.#hasRoom(bytes)) await delay(tryAgainAfterMs);
    await journal?.keep(this.path);
    const prints = entries.map(({ print }) => print);
    const record: LinesRecord = {
      type: "lines",
      until: this.#writtenBytes,
      sum: crc32(bytes),
      prints,
    };
    journal?.append(record);
  }

  /** Writes it; false if the disk is full, and somebody can do something about it. */
  async #hasRoom(bytes: Uint8Array): Promise<boolean> {
    const { paused } = this.journaling ?? {};
    try {
      if (this.#full) await this.file.seek(this.#writtenBytes, Deno.SeekMode.Start);
      await this.#write(bytes);
    } catch (error) {
      const full = (error as { code?: unknown }).code === "ENOSPC";
      if (!full || paused === undefined || this.#stopping) throw error;
      if (!this.#full) paused(messageOf(error));
      this.#full = true;
      return false;
    }
    if (this.#full) paused?.(null);
    this.#full = false;
    return true;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += await this.file.write(bytes.subarray(done));
    }
    this.#writtenBytes += bytes.length;
  }

  async #copy(reader: Reader): Promise<void> {
    const piece = new Uint8Array(pieceBytes);
    for (let readBytes = 0; !this.#stopping;) {
      const left = this.#writtenBytes - readBytes;
      if (left === 0 && this.#complete) return;
      if (left === 0) {
        await this.#news.promise;
        continue;
      }
      const count = await this.source.read(piece.subarray(0, Math.min(piece.length, left)));
      readBytes += count ?? 0;
      const read = reader(piece.subarray(0, count ?? 0));
      if (!await Promise.race([read, this.#stopped.promise])) return;
    }
  }

  /** Lines that wait, as one text of bounded size; `null` if there are none. */
  #nextBatch(): Batch | null {
    if (this.#entries.length === 0) return null;
    let length = 0;
    let count = 0;
    while (count < this.#entries.length && (count === 0 || length < pieceBytes)) {
      length += this.#entries[count++]!.line.length;
    }
    const entries = this.#entries.slice(0, count);
    this.#entries = this.#entries.slice(count);
    const bytes = new TextEncoder().encode(entries.map(({ line }) => line).join(""));
    return { bytes, entries };
  }

  #stop(): void {
    this.#stopping = true;
    this.#stopped.resolve(false);
    this.#wake();
  }

  #wake(): void {
    const told = this.#news;
    this.#news = Promise.withResolvers();
    told.resolve();
  }
}
