/**
 * Whether a manager is the one that the catalog told of: its record may be older than it, and its
 * port another manager's by now. A worker asks for the name right after its greeting, so the answer
 * is the first line of the manager; one without a name does not answer, and begins with an order.
 */
import { concat } from "../bytes.ts";
import { PeerProtocolError } from "../errors.ts";

/** Longer than any name that goes through a catalog; bytes. */
const lineBytesMax = 65_536;

const newline = 0x0a;
const words = "it is not the manager that the catalog told of";

/** Whether a link ended because its manager turned out to be another one. */
export function isOtherManager(why: string): boolean {
  return why.startsWith(words);
}

export class NameCheck {
  #seen: Uint8Array = new Uint8Array(0);

  constructor(private readonly project: string) {}

  /**
   * What follows the name, once it is here; until then `null`. Throws a PeerProtocolError that
   * {@link isOtherManager} knows if it is another name.
   */
  feed(bytes: Uint8Array): Uint8Array | null {
    this.#seen = concat([this.#seen, bytes]);
    const end = this.#seen.indexOf(newline);
    if (end < 0 && this.#seen.length <= lineBytesMax) return null;
    const line = new TextDecoder().decode(this.#seen.subarray(0, Math.max(0, end)));
    if (line === this.project) return this.#seen.slice(end + 1);
    if (line.startsWith("auth ")) return this.#seen; // it wants a password before it says more
    throw new PeerProtocolError(`${words}: asked for its name, it says "${line.slice(0, 80)}"`);
  }
}
