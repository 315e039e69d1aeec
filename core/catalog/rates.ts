/** How much one address may send: a bucket of updates that fills again at a steady rate. */

export interface RateLimit {
  readonly updatesPerSecond: number;
  /** Updates that may come at once after a pause. */
  readonly burst: number;
  /** Addresses remembered; where there are more, those silent longest are forgotten. */
  readonly addressesMax: number;
}

/** A cluster behind one address may have thousands of managers; each speaks once a minute. */
export const rateLimitDefault: RateLimit = {
  updatesPerSecond: 2000,
  burst: 4000,
  addressesMax: 10_000,
};

/** An update this long counts as two, and so on: the long ones cost most. Bytes. */
const bytesPerUpdate = 16 * 1024;

interface Bucket {
  left: number;
  atMs: number;
}

export class UpdateRates {
  /** The one longest silent comes first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(private readonly limit: RateLimit = rateLimitDefault) {}

  /** Whether an update may come in now; one that may not costs nothing. */
  allow(address: string, bytes: number, nowMs: number): boolean {
    const { updatesPerSecond, burst, addressesMax } = this.limit;
    const known = this.#buckets.get(address);
    const refilled = known === undefined
      ? burst
      : known.left + Math.max(0, nowMs - known.atMs) / 1000 * updatesPerSecond;
    const cost = 1 + Math.floor(bytes / bytesPerUpdate);
    const available = Math.min(burst, refilled);
    const allowed = available >= cost;
    this.#buckets.delete(address);
    this.#buckets.set(address, { left: allowed ? available - cost : available, atMs: nowMs });
    if (this.#buckets.size > addressesMax) this.#buckets.delete(this.#buckets.keys().next().value!);
    return allowed;
  }
}
