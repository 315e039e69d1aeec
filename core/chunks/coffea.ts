/**
 * The chunk size of coffea's WorkQueueExecutor, for comparison: a straight line through all chunks
 * so far except the slowest or heaviest quarter, down to a power of two, and now and then half of
 * it. What is known of exhausted chunks only halves the size until the next success.
 */
import { roundHalfEven } from "../analysis/chunks.ts";
import type { Rng } from "../env.ts";
import type { ChunkDone, ChunkExhausted, ChunkSizer, ChunkTargets } from "./sizer.ts";

/** One chunk in ten is asked for at half the size, so that sizes differ and a line can be drawn. */
const halfShare = 0.1;

export class CoffeaSizer implements ChunkSizer {
  readonly rounding = "nearest";
  readonly perDataset = false;
  readonly #done: ChunkDone[] = [];
  #current: number;
  #asked = false;
  /** Chunks have come in since the size was computed. */
  #stale = false;

  constructor(
    private readonly chunkSize: number,
    private readonly targets: ChunkTargets,
    private readonly chance: Rng,
  ) {
    this.#current = chunkSize;
  }

  get current(): number {
    if (this.#stale) {
      this.#current = coffeaChunkSize(this.#done, this.targets, this.chunkSize);
      this.#stale = false;
    }
    return this.#current;
  }

  sizeFor(): number {
    const size = this.current;
    if (!this.#asked) {
      this.#asked = true;
      return size;
    }
    return this.chance() < 1 - halfShare ? size : Math.max(1, Math.floor(size / 2));
  }

  isProbed(): boolean {
    return true;
  }

  sizeWithin(_dataset: string, events: number): number {
    return events;
  }

  succeeded(chunk: ChunkDone): void {
    this.#done.push(chunk);
    this.#stale = true;
  }

  exhausted({ events }: ChunkExhausted): number {
    if (events <= this.current) this.#current = Math.ceil(events / 2);
    return this.#current;
  }

  takeNotes(): string[] {
    return [];
  }
}

/** coffea's size after these chunks: a power of two, the smaller one if there are two targets. */
export function coffeaChunkSize(
  done: readonly ChunkDone[],
  { memoryMb, wallMs }: ChunkTargets,
  chunkSize: number,
): number {
  const events = done.map((chunk) => chunk.events);
  const sizes: number[] = [];
  const [first, second] = done;
  if (second !== undefined && wallMs !== null && first?.wallMs !== null) {
    const seconds = done.map((chunk) => (chunk.wallMs ?? -1000) / 1000);
    sizes.push(sizeAtTarget(events, seconds, wallMs / 1000));
  }
  if (second !== undefined && memoryMb !== null && first?.memoryMb !== null) {
    sizes.push(sizeAtTarget(events, done.map((chunk) => chunk.memoryMb ?? -1), memoryMb));
  }
  const found = sizes.filter((size) => size !== 0);
  const size = found.length > 0 ? Math.min(...found) : chunkSize;
  return size < 1 ? 1 : 2 ** Math.floor(Math.log2(size));
}

/** Events that take `target`, by least squares of events over what they took. */
function sizeAtTarget(
  events: readonly number[],
  took: readonly number[],
  target: number,
): number {
  const rates = events.map((n, i) => n / Math.max(1, took[i]!));
  const sorted = [...rates].sort((a, b) => a - b);
  const [q1, q2] = [0.25, 0.5].map((q) => sorted[roundHalfEven(q * (sorted.length - 1))]!);
  const kept = events.map((n, i) => [took[i]!, n] as const).filter((_, i) => rates[i]! >= q1!);
  const meanTook = mean(kept.map(([x]) => x));
  const meanEvents = mean(kept.map(([, n]) => n));
  const square = mean(kept.map(([x]) => (x - meanTook) ** 2));
  const slope = mean(kept.map(([x, n]) => (x - meanTook) * (n - meanEvents))) / square;
  const intercept = meanEvents - slope * meanTook;
  // Not a number if all took the same.
  return slope >= 0 && intercept <= 0 ? slope * target + intercept : q2! * target;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
