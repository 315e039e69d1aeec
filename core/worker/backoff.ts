/** How long a worker waits before it tries to connect again, and when it leaves by chance. */
import type { Rng } from "../env.ts";

export interface Backoff {
  /** Pause after a served link, and the first one after a failure, doubled from there. */
  readonly minMs: number;
  readonly maxMs: number;
}

/** Work Queue's: 1 s after a served link; 2, 4, 8 … 60 s after failures. */
export const defaultBackoff: Backoff = { minMs: 1000, maxMs: 60_000 };

/** `failures` in a row since a manager last served us. */
export function pauseMs(backoff: Backoff, failures: number): number {
  return Math.min(backoff.maxMs, backoff.minMs * 2 ** failures);
}

/**
 * When a worker leaves that does so with this probability every minute: the whole minutes until
 * then, drawn at once from the geometric distribution, in ms; `null` for never.
 */
export function volatileMs(probability: number, rng: Rng): number | null {
  if (probability <= 0) return null;
  const minutes = probability >= 1 ? 1 : 1 + Math.floor(
    Math.log(1 - rng()) / Math.log(1 - probability),
  );
  return minutes * 60_000;
}
