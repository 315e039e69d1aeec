/**
 * Which protocol to offer to a manager. A manager closes on any number but its own, without a
 * byte, and a worker never hears which that is. So the newest is offered first, and the next one at
 * once when the link closes unheard: that costs one connection, as asking first (`queue_status`)
 * would cost every worker, and a busy manager accepts one connection at a time.
 */

/** Most likely first: 10 was never in a release of Work Queue. */
export const protocolsTried: readonly number[] = [11, 9, 10];

/** What is known of one manager's protocol; lives as long as the worker. */
export class ProtocolGuess {
  #order: readonly number[];
  #at = 0;

  /**
   * @param fixed by the user: nothing else is offered
   * @param likely what the catalog says, offered first if wqx speaks it
   */
  constructor({ fixed, likely }: { fixed?: number | undefined; likely?: number | undefined } = {}) {
    this.#order = fixed === undefined ? protocolsTried : [fixed];
    if (likely !== undefined) this.#prefer(likely);
  }

  /** To be announced in the next greeting. */
  get offer(): number {
    return this.#order[this.#at]!;
  }

  /** The manager answered the offer: it comes first from now on. */
  heard(): void {
    this.#prefer(this.offer);
    this.#at = 0;
  }

  /**
   * The link closed before a byte came. True: the next number is to be offered at once. False: all
   * were refused, or the manager has other reasons; try again after a pause.
   */
  refused(): boolean {
    this.#at = (this.#at + 1) % this.#order.length;
    return this.#at > 0;
  }

  /** Nobody is there: the last silence was the end of a manager, not its answer. */
  unreachable(): void {
    this.#at = 0;
  }

  #prefer(protocol: number): void {
    if (!this.#order.includes(protocol)) return;
    this.#order = [protocol, ...this.#order.filter((other) => other !== protocol)];
  }
}
