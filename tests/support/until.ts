/** Waiting for conditions, never for durations. */

export interface UntilOptions {
  /** What is waited for, as the failure says it: "the manager's first record". */
  readonly what: string;
  readonly timeoutMs?: number;
}

/**
 * Resolves with the first value of `probe` that is neither false nor null nor undefined;
 * throws, naming what never came, after `timeoutMs` (10 s).
 */
export async function until<T>(
  probe: () => T | Promise<T>,
  { what, timeoutMs = 10_000 }: UntilOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const giveUpMs = performance.now() + timeoutMs;
  while (true) {
    const value = await probe();
    if (value !== false && value !== null && value !== undefined) {
      return value as Exclude<T, false | null | undefined>;
    }
    if (performance.now() > giveUpMs) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
