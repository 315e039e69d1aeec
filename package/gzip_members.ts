/** Compresses pieces to gzip members in several threads, and hands them on in order. */
import type { GzipJob } from "./gzip_thread.ts";
import { threadModule } from "./thread_module.ts";

/** Pieces that a thread has before it: the one at work, and the next. */
const waitingMax = 2;

/**
 * Level for the zlib of this runtime, zlib-ng: between the ends its levels pack a little less than
 * those of the zlib that conda-pack and gzip use, and the next one as tight as they, in less time.
 */
function runtimeLevel(level: number): number {
  return level > 1 && level < 9 ? level + 1 : level;
}

/** One thread, and those who wait for its answers, in order. */
class GzipThread {
  readonly #worker: Worker;
  readonly #waiting: PromiseWithResolvers<Uint8Array>[] = [];

  constructor(module: URL) {
    this.#worker = new Worker(module, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<Uint8Array>) =>
      this.#waiting.shift()?.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(`compressing failed: ${event.message}`);
      for (const one of this.#waiting.splice(0)) one.reject(error);
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  compress(job: GzipJob): Promise<Uint8Array> {
    const answer = Promise.withResolvers<Uint8Array>();
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
  readonly #threads: GzipThread[] = [];
  readonly #pending: Promise<Uint8Array>[] = [];

  constructor(
    private readonly level: number,
    private readonly write: (bytes: Uint8Array) => Promise<void>,
    private readonly threadsMax: number = Math.max(1, navigator.hardwareConcurrency),
  ) {}

  /** Takes the piece, whose memory is gone with it. Waits where too many are under way. */
  async push(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    const thread = await this.#leastBusy();
    this.#pending.push(thread.compress({ piece, level: runtimeLevel(this.level) }));
    if (this.#pending.length >= waitingMax * this.threadsMax) await this.#writeFirst();
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

  async #leastBusy(): Promise<GzipThread> {
    const [least] = this.#threads.toSorted((a, b) => a.waiting - b.waiting);
    const isEnough = this.#threads.length >= this.threadsMax;
    if (least !== undefined && (isEnough || least.waiting === 0)) return least;
    const thread = new GzipThread(await threadModule("gzip_thread"));
    this.#threads.push(thread);
    return thread;
  }

  async #writeFirst(): Promise<void> {
    await this.write(await this.#pending.shift()!);
  }
}
