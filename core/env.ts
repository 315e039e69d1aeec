/** Clock and chance as the core sees them: handed in, never taken. */

/** Milliseconds since some fixed moment, never going back. */
export type NowMs = number;

/** A number in [0, 1), like `Math.random`, but from a seed. */
export type Rng = () => number;

/** Mulberry32 (Tommy Ettinger, public domain): small, seedable, good enough for choosing. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
