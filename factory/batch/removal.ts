/** Removing jobs until they have gone: a remove command may fail, be lost, or take its time. */
import { delay } from "../../io/clock.ts";
import { BatchError, type JobId } from "./batch_system.ts";

/** Ids in one command line: far below the 128 KiB that one may have. */
const idsPerCallMax = 200;

/** Before it is looked whether they have gone; then they are removed once more. */
const pausesMs = [200, 500, 1000, 2000, 4000];

export interface Removal {
  /** Removes some; what went wrong as a sentence, or `null`. */
  readonly remove: (ids: readonly JobId[]) => Promise<string | null>;
  /** Those of them that are neither over nor on their way out. */
  readonly left: (ids: readonly JobId[]) => Promise<readonly JobId[]>;
}

/** Throws BatchError naming what is still there. Ids that are over are no error. */
export async function removeAll(
  ids: readonly JobId[],
  { remove, left }: Removal,
  signal: AbortSignal,
): Promise<void> {
  let open = ids;
  let complaint: string | null = null;
  for (const pauseMs of pausesMs) {
    if (open.length === 0) return;
    complaint = null;
    for (const some of inPieces(open)) complaint = await remove(some) ?? complaint;
    open = await left(open);
    // Most queues forget a job within moments: no reason to remove it again.
    if (open.length > 0 && !signal.aborted) {
      await delay(pauseMs);
      open = await left(open);
    }
  }
  if (open.length === 0) return;
  throw new BatchError(
    `Removed ${pausesMs.length} times, but still there: ${open.join(", ")}` +
      (complaint === null ? "" : `; ${complaint}`),
  );
}

export function inPieces<T>(items: readonly T[]): T[][] {
  const pieces: T[][] = [];
  for (let at = 0; at < items.length; at += idsPerCallMax) {
    pieces.push(items.slice(at, at + idsPerCallMax));
  }
  return pieces;
}
