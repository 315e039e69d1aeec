/** How long a worker waits before it tries to connect again. */

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
