/** From files to chunks: ranges `[start, stop)` of events, as even as coffea cuts them. */

export interface Range {
  readonly start: number;
  readonly stop: number;
}

/** Halves go to the even neighbour, as Python's `round` does and so coffea's cut. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const fraction = x - floor;
  if (fraction !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Cuts `entries` events into equal ranges near `chunkSize` (the last may be shorter):
 * n = max(round(entries / chunkSize), 1) chunks of ceil(entries / n) events. No events, no chunks.
 */
export function chunksOf(entries: number, chunkSize: number): Range[] {
  const count = Math.max(1, roundHalfEven(entries / chunkSize));
  const size = Math.ceil(entries / count);
  const chunks: Range[] = [];
  for (let start = 0; start < entries; start += size) {
    chunks.push({ start, stop: Math.min(entries, start + size) });
  }
  return chunks;
}
