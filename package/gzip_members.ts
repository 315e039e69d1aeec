/** Compresses pieces to gzip members in several threads, and hands them on in order. */
import type { GzipDone, GzipJob } from "./gzip_thread.ts";
import { threadModule } from "./thread_module.ts";

/** Pieces that a thread has before it: some, as it may wait for one that is written before its own. */
const waitingMax = 4;

/** Threads that start before there is a piece: they take as long as looking at the files does. */
const threadsAtOnce = 2;

/** More threads than this wait for who reads the files. */
const threadsMax = 16;

/** Where compressed bytes go, and the memory of pieces. */
export interface PieceSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Nobody looks at this memory any more. */
  free(buffer: ArrayBuffer): void;
}

/** One thread, and those who wait for its answers, in order. */
class GzipThread {
  readonly #worker: Worker;
  readonly #waiting: PromiseWithResolvers<GzipDone>[] = [];
  /** Why it is of no more use; it may break before it has anything to do. */
  #error: Error | null = null;

  constructor(module: URL) {
    this.#worker = new Worker(module, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<GzipDone>) =>
      this.#waiting.shift()?.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#error = new Error(`compressing failed: ${event.message}`);
      for (const one of this.#waiting.splice(0)) one.reject(this.#error);
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  compress(job: GzipJob): Promise<GzipDone> {
    if (this.#error !== null) throw this.#error;
    const answer = Promise.withResolvers<GzipDone>();
    answer.promise.catch(() => {}); // told to who takes the member
    this.#waiting.push(answer);
    this.#worker.postMessage(job, { transfer: [job.piece.buffer] });
    return answer.promise;
  }

  end(): void {
    this.#worker.terminate();
  }
}

/** A gzip member for each piece, written in the order of the pieces. */
export class GzipMembers {
  readonly #threads: GzipThread[];
  readonly #pending: Promise<GzipDone>[] = [];

  private constructor(
    private readonly level: number,
    private readonly sink: PieceSink,
    private readonly module: URL,
    private readonly count: number,
  ) {
    const first = Math.min(threadsAtOnce, count);
    this.#threads = Array.from({ length: first }, () => new GzipThread(module));
  }

  static async create(
    level: number,
    sink: PieceSink,
    module?: URL,
  ): Promise<GzipMembers> {
    const count = Math.min(threadsMax, Math.max(1, navigator.hardwareConcurrency));
    return new GzipMembers(level, sink, module ?? await threadModule("gzip_thread"), count);
  }

  /** Takes the piece, with its memory. Waits where too many are under way. */
  async push(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#pending.push(this.#leastBusy().compress({ piece, level: this.level }));
    if (this.#pending.length >= waitingMax * this.count) await this.#writeFirst();
  }

  /** Done when all is written. */
  async end(): Promise<void> {
    while (this.#pending.length > 0) await this.#writeFirst();
    this.drop();
  }

  /** After a failure, in place of `end`. */
  drop(): void {
    for (const thread of this.#threads.splice(0)) thread.end();
  }

  #leastBusy(): GzipThread {
    const [least] = this.#threads.toSorted((a, b) => a.waiting - b.waiting);
    const isEnough = this.#threads.length >= this.count;
    if (least !== undefined && (isEnough || least.waiting === 0)) return least;
    const thread = new GzipThread(this.module);
    this.#threads.push(thread);
    return thread;
  }

  async #writeFirst(): Promise<void> {
    const { member, buffer } = await this.#pending.shift()!;
    this.sink.free(buffer);
    await this.sink.write(member);
  }
}
