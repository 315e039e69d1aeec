/** Answers to the questions that catalog_server answers too, from memory or from the history. */
import { answerBody } from "../core/catalog/formats.ts";
import { type HistoryState, HistoryTimes, lineOf } from "../core/catalog/history.ts";
import { CatalogTable, type Entry } from "../core/catalog/table.ts";
import { decodeFilter, type Question } from "../core/catalog/target.ts";
import { matches } from "../core/jx/eval.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { JxSyntaxError, parseJx } from "../core/jx/parse.ts";
import type { CatalogStore } from "./store.ts";

/** A filter is worked out in slices this long, so that updates and others get their turn. */
const sliceMs = 8;
/** Of a stream; characters. */
const pieceLetters = 64 * 1024;

export interface QuestionOptions {
  readonly store: CatalogStore;
  /** Longest time for one answer, and for one stream of updates. */
  readonly timeoutMs: number;
  readonly streamTimeoutMs: number;
  /** Questions into the history that are worked on at once; others wait. */
  readonly historyJobsMax: number;
}

export type Answer =
  | { readonly status: 200; readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> }
  | { readonly status: 400 | 503; readonly body: string };

export class Answers {
  #jobs = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly options: QuestionOptions) {}

  /** What `question` gets; `gone` fires when nobody waits for it any more. */
  async to(question: Question, gone: AbortSignal): Promise<Answer> {
    let filter: JxExpr | null = null;
    if (question.filter !== null) {
      const text = decodeFilter(question.filter);
      if (text === null) return { status: 400, body: "Invalid base-64 encoding.\n" };
      try {
        filter = parseJx(text);
      } catch (error) {
        if (!(error instanceof JxSyntaxError)) throw error;
        return { status: 400, body: "Invalid query text.\n" };
      }
    }
    if (question.kind === "updates") {
      const late = AbortSignal.timeout(this.options.streamTimeoutMs);
      const signal = AbortSignal.any([gone, late]);
      return { status: 200, body: this.#stream(question, filter ?? true, signal) };
    }
    const late = AbortSignal.timeout(this.options.timeoutMs);
    const signal = AbortSignal.any([gone, late]);
    try {
      const entries = question.atS === null
        ? this.options.store.entries()
        : entriesOf(await this.#stateAt(question.atS, signal));
      const chosen = filter === null ? entries : await filtered(entries, filter, signal);
      return { status: 200, body: answerBody(question.format, chosen) };
    } catch (error) {
      if (!signal.aborted) throw error;
      return { status: 503, body: "The answer takes too long.\n" };
    }
  }

  async #stateAt(atS: number, signal: AbortSignal): Promise<HistoryState> {
    await this.#enter(signal);
    try {
      return await this.options.store.history.stateAt(atS, signal);
    } finally {
      this.#leave();
    }
  }

  #stream(
    { fromS, toS }: Question & { kind: "updates" },
    filter: JxExpr,
    signal: AbortSignal,
  ): ReadableStream<Uint8Array> {
    const lines = this.#lines(fromS, toS, filter, signal);
    const encoder = new TextEncoder();
    return new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await lines.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (error) {
          controller.error(error); // out of time, or nobody reads
        }
      },
      async cancel() {
        await lines.return(undefined);
      },
    });
  }

  async *#lines(
    fromS: number,
    toS: number,
    filter: JxExpr,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    await this.#enter(signal);
    try {
      const times = new HistoryTimes();
      const shown = new Set<string>();
      let text = "";
      for await (
        const { atS, event } of this.options.store.history.eventsBetween(fromS, toS, signal)
      ) {
        // A record is chosen by what it was when it was created, as in catalog_server.
        if (event.type === "create") {
          if (matches(filter, event.record)) shown.add(event.key);
          else shown.delete(event.key);
        }
        if (!shown.has(event.key)) continue;
        if (event.type === "delete") shown.delete(event.key);
        text += times.line(atS) + lineOf(event);
        if (text.length < pieceLetters) continue;
        yield text;
        text = "";
      }
      if (text !== "") yield text;
    } finally {
      this.#leave();
    }
  }

  /** Waits for its turn; throws `signal.reason`. */
  async #enter(signal: AbortSignal): Promise<void> {
    if (this.#jobs >= this.options.historyJobsMax) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(resolve), 1);
        reject(signal.reason);
      };
      this.#waiting.push(resolve);
      signal.addEventListener("abort", giveUp);
      await promise.finally(() => signal.removeEventListener("abort", giveUp));
      return; // the place was handed over
    }
    this.#jobs++;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#jobs--;
    else next();
  }
}

/** In the order of every answer. */
function entriesOf(state: HistoryState): readonly Entry[] {
  const unlimited = { lifetimeMs: 0, recordsMax: Infinity, recordsPerAddressMax: Infinity };
  const table = new CatalogTable({ ...unlimited, bytesMax: Infinity });
  for (const [key, record] of state) table.put({ key, record }, 0);
  return table.entries();
}

/** Those for which the expression is true. Throws `signal.reason`. */
async function filtered(
  entries: readonly Entry[],
  filter: JxExpr,
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  if (filter === true) return entries;
  const chosen: Entry[] = [];
  let sliceEndMs = performance.now() + sliceMs;
  for (const entry of entries.slice()) {
    if (matches(filter, entry.record)) chosen.push(entry);
    if (performance.now() < sliceEndMs) continue;
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
    sliceEndMs = performance.now() + sliceMs;
  }
  return chosen;
}
