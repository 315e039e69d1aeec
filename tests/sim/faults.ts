/** What a seed makes of the world: even how likely each fault is. Some do not occur at all. */
import type { Rng } from "../../core/env.ts";

export interface Faults {
  /** Faults happen until then; afterwards everything has to come to an end. */
  readonly lastMs: number;
  /** Mean times between faults, over all workers; Infinity: never. */
  readonly cutEveryMs: number;
  readonly killEveryMs: number;
  /** A worker that is there and says nothing any more, as behind a dead router. */
  readonly muteEveryMs: number;
  readonly stallEveryMs: number;
  /** Probabilities. */
  readonly taskFails: number;
  readonly storeFails: number;
  readonly inputUnreadable: number;
  /** Of each file that a worker was told to take from what it kept. */
  readonly keptGarbled: number;
  /** Largest piece in which bytes arrive. */
  readonly pieceBytesMax: number;
  /** Largest factor by which a worker is slower than others. */
  readonly slownessMax: number;
  readonly latencyMsMax: number;
  /** Largest need of a plain task. */
  readonly memoryMbMax: number;
  /** Mean time between changes of how many workers their factory wants; Infinity: it has no limit. */
  readonly limitEveryMs: number;
}

export function drawFaults(rng: Rng): Faults {
  const maybe = (probability: number, value: () => number, otherwise: number) =>
    rng() < probability ? value() : otherwise;
  const between = (low: number, high: number) => low * (high / low) ** rng();
  return {
    lastMs: between(5_000, 300_000),
    cutEveryMs: maybe(0.6, () => between(500, 60_000), Infinity),
    killEveryMs: maybe(0.5, () => between(2_000, 60_000), Infinity),
    muteEveryMs: maybe(0.4, () => between(5_000, 100_000), Infinity),
    stallEveryMs: maybe(0.5, () => between(1_000, 60_000), Infinity),
    taskFails: maybe(0.5, () => rng() * 0.4, 0),
    storeFails: maybe(0.3, () => rng() * 0.1, 0),
    inputUnreadable: maybe(0.3, () => rng() * 0.1, 0),
    pieceBytesMax: Math.round(maybe(0.5, () => between(1, 100), 65_536)),
    slownessMax: maybe(0.5, () => between(1, 20), 1),
    latencyMsMax: between(0.1, 200),
    memoryMbMax: maybe(0.5, () => between(100, 2000), 0),
    keptGarbled: maybe(0.3, () => rng() * 0.5, 0),
    limitEveryMs: maybe(0.3, () => between(2_000, 60_000), Infinity),
  };
}
