/** Asks the solver's thread, and turns its troubles into sentences. */
import { RunError } from "../core/errors.ts";
import type { SolveAnswer, SolveRequest } from "./solver_worker.ts";
import { threadModule } from "./thread_module.ts";

/** What the solver found, or a tree of what conflicts and words about what it cannot read. */
export type Solved = Exclude<SolveAnswer, { readonly is: "broke" }>;

/** Starts with the first question; `using` ends it. Questions come one after another. */
export class SolverThread implements Disposable {
  #worker: Worker | null = null;

  /** Throws RunError if it breaks or takes longer than `timeoutMs`, else the signal's reason. */
  async ask(
    request: SolveRequest,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Solved> {
    const url = await threadModule("solver_worker");
    signal?.throwIfAborted();
    const worker = this.#worker ??= new Worker(url, { type: "module" });
    const { promise, resolve, reject } = Promise.withResolvers<Solved>();
    const stop = () => reject(signal?.reason);
    const timer = setTimeout(() => {
      const seconds = Math.round(timeoutMs / 1000);
      reject(
        new RunError(
          `The solver found no answer in ${seconds} s: say more about what you want, ` +
            "such as python=3.11, or give versions of the largest packages",
        ),
      );
    }, timeoutMs);
    signal?.addEventListener("abort", stop, { once: true });
    const broke = (why: string) =>
      reject(new RunError(`The solver broke on ${request.specs.join(", ")}: ${why}`));
    worker.onmessage = ({ data }: MessageEvent<SolveAnswer>) =>
      data.is === "broke" ? broke(data.text) : resolve(data);
    worker.onerror = (event) => {
      event.preventDefault(); // or the error would be this thread's too
      broke(event.message.split("\n")[0]!);
    };
    try {
      worker.postMessage(request);
      return await promise;
    } catch (error) {
      this[Symbol.dispose](); // what broke is of no more use, and what still thinks is not wanted
      throw error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  [Symbol.dispose](): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}
