/**
 * Streams of server-sent events. A page is told what changed of what it shows, at most every half
 * second, however fast records come; where there is much to look at, or many pages, less often.
 */
import { streamSSE } from "hono/streaming";
import type { Context } from "hono";
import { delay } from "../io/clock.ts";
import type { CatalogFacts } from "./facts.ts";
import type { CatalogChange, CatalogView } from "./view.ts";

/** Between two messages: people cannot follow more. */
const gapMs = 500;
/** All streams together may take a quarter of the time: with 10,000 records a look costs 60 ms. */
const gapPerLook = 4;
/** A word from time to time shows proxies, and us, that the other end is there. */
const heartbeatMs = 15_000;
/** Each costs work at every change. */
const streamsMax = 250;

let streams = 0;

export interface LiveEvent {
  readonly event: string;
  readonly data: unknown;
}

/** What a stream says next; nothing if what it is about has not changed. */
export type Teller = (nowMs: number) => readonly LiveEvent[];

export interface StreamOptions {
  /** Whether a change is worth a look; all are if this is not given. */
  readonly concerns?: (change: CatalogChange) => boolean;
}

/** Answers with a stream that says what `tell` returns: at once, and when something changed. */
export function liveStream(
  context: Context,
  view: CatalogView,
  facts: CatalogFacts,
  tell: Teller,
  { concerns = () => true }: StreamOptions = {},
): Response {
  if (streams >= streamsMax) {
    return context.text("Too many pages are open; this one does not update itself.\n", 503);
  }
  // Proxies such as nginx would hold the events back.
  context.header("X-Accel-Buffering", "no");
  context.header("Cache-Control", "no-store");
  return streamSSE(context, async (stream) => {
    streams++;
    let changed = true;
    // Ends the rest between two looks.
    let rest = new AbortController();
    const unsubscribe = view.subscribe((change) => {
      if (!concerns(change)) return;
      changed = true;
      rest.abort();
    });
    const ending = new AbortController();
    const stop = () => {
      ending.abort();
      rest.abort();
    };
    facts.closing.addEventListener("abort", stop);
    stream.onAbort(stop);
    try {
      while (!ending.signal.aborted && !facts.closing.aborted) {
        rest = new AbortController();
        if (!changed) await delay(heartbeatMs, rest.signal);
        if (ending.signal.aborted) break;
        if (!changed) {
          await stream.write(": here\n\n");
          continue;
        }
        changed = false;
        const startMs = performance.now();
        const events = tell(facts.nowMs());
        const lookMs = performance.now() - startMs;
        for (const { event, data } of events) {
          await stream.writeSSE({ event, data: JSON.stringify(data) });
        }
        await delay(Math.max(gapMs, gapPerLook * lookMs * streams), ending.signal);
      }
    } finally {
      streams--;
      unsubscribe();
      facts.closing.removeEventListener("abort", stop);
    }
  });
}
