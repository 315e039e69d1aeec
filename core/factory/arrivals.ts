/**
 * Whether workers of ours have connected, even those that came and went between two reports:
 * managers count all that ever joined them (`workers_joined`). Whose they were they do not say, so
 * that those which other factories have brought meanwhile are not held to be ours. A worker that
 * connects again counts again, and so may one that nobody's factory started: this is for telling
 * that a command works, not for counting.
 */
import { integerOf, type JxObject } from "../jx/value.ts";
import { managerKey, type Peer } from "./peers.ts";

/** How many had arrived at some time, to be compared with later. */
export type ArrivalMark = number & { readonly __brand: "ArrivalMark" };

export class Arrivals {
  /** By manager, as last heard. */
  #counts: ReadonlyMap<string, number> = new Map();
  #joined = 0;
  /** By other factory, as last heard. */
  #told: ReadonlyMap<string, number> = new Map();
  #brought = 0;
  /** Of those that they brought, the ones that may still be in a queue. */
  #waiting = 0;
  /** Some other factory does not say how many it brought, as those of cctools. */
  #unclear = false;

  /** Of this moment. */
  get mark(): ArrivalMark {
    return this.#joined - (this.#brought - this.#waiting) as ArrivalMark;
  }

  /** What managers (and foremen) and the other factories say now. */
  heard(managers: readonly JxObject[], peers: readonly Peer[]): void {
    const counts = managers.map((record) =>
      [managerKey(record), integerOf(record, "workers_joined")] as const
    );
    for (const [key, count] of counts) {
      // Of a manager that is new to us, or has started anew, nobody knows since when they came.
      this.#joined += Math.max(0, count - (this.#counts.get(key) ?? count));
    }
    this.#counts = new Map(counts);
    this.#unclear = peers.some(({ brought }) => brought === null);
    const told = peers.map(({ id, held, brought }) => [id, brought ?? 0, held] as const);
    for (const [id, brought, held] of told) {
      const before = this.#told.get(id);
      // Of one that is new to us, all may be about to join; one that has started anew counts anew.
      this.#brought += before === undefined ? held : brought - (brought < before ? 0 : before);
    }
    this.#told = new Map(told.map(([id, brought]) => [id, brought]));
    this.#waiting = peers.reduce((sum, peer) => sum + Math.max(0, peer.held - peer.running), 0);
  }

  /** Whether a worker has joined since then that no other factory can have brought. */
  anySince(mark: ArrivalMark): boolean {
    return !this.#unclear && this.#joined - this.#brought > mark;
  }
}
