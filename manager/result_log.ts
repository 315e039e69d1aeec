/**
 * Results on their way out: appended to a file, and from there to whoever reads them, so that a
 * slow reader holds nobody up and takes no memory.
 */
import { messageOf, RunError } from "../core/errors.ts";

/** Read at once of the file on the way to the reader; bytes. */
const pieceBytes = 256 * 1024;

/** Takes some bytes when it can; `false` when nobody reads any more. */
export type Reader = (bytes: Uint8Array) => Promise<boolean>;

export class ResultLog {
  /** Lines that are not written yet. */
  #lines: string[] = [];
  #writtenBytes = 0;
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
  ) {
    this.#work = Promise.all([this.#append(), this.#copy(reader)]);
    this.#work.catch(() => {}); // `failed` and `end` tell of it
  }

  /** What was in the file is lost. */
  static async open(path: string, reader: Reader): Promise<ResultLog> {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    return new ResultLog(path, file, await Deno.open(path), reader);
  }

  /** Rejects with a RunError when results cannot be kept; never resolves. */
  get failed(): Promise<never> {
    return this.#work.then(() => Promise.withResolvers<never>().promise);
  }

  add(result: unknown): void {
    this.#lines.push(JSON.stringify(result) + "\n");
    this.#wake();
  }

  /** Waits until all is written and read, without the reader if `signal` fires; then closes. */
  async end(signal: AbortSignal): Promise<void> {
    this.#ended = true;
    this.#wake();
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
        const bytes = this.#nextBytes();
        if (bytes === null && this.#ended) break;
        if (bytes === null) {
          await this.#news.promise;
        } else {
          await this.#write(bytes);
          this.#wake();
        }
      }
      this.#complete = true;
      this.#wake();
    } catch (error) {
      this.#stop();
      throw new RunError(`Cannot write results to ${this.path}: ${messageOf(error)}`);
    }
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
  #nextBytes(): Uint8Array | null {
    if (this.#lines.length === 0) return null;
    let length = 0;
    let count = 0;
    while (count < this.#lines.length && (count === 0 || length < pieceBytes)) {
      length += this.#lines[count++]!.length;
    }
    const lines = this.#lines.slice(0, count);
    this.#lines = this.#lines.slice(count);
    return new TextEncoder().encode(lines.join(""));
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
