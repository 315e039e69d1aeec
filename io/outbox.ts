/**
 * What is to go out on one link, in order. Bytes that wait together leave in one write; a file is
 * read only as fast as the peer takes it. A body and the lines around it must be pushed, or written,
 * each on its own: under TLS that keeps them in records of their own, which C peers need.
 */
import type { Link } from "./link.ts";

export type Write = (bytes: Uint8Array) => Promise<void>;

/** Bytes, or something that writes its own. */
export type Outgoing = Uint8Array | ((write: Write) => Promise<void>);

/** Waiting small messages are joined up to this size; bytes. */
const joinBytesMax = 64 * 1024;

/** Writes of functions up to this size are joined as well; bytes. */
const smallBytesMax = 4096;

export class Outbox {
  #waiting: Outgoing[] = [];
  #pumping: Promise<void> | null = null;
  #broken = false;

  /**
   * @param moved called after each write
   * @param broke called once, with the reason, when the link can take no more
   */
  constructor(
    private readonly link: Link,
    private readonly moved: () => void,
    private readonly broke: (error: unknown) => void,
  ) {}

  push(outgoing: Outgoing): void {
    if (this.#broken) return;
    this.#waiting.push(outgoing);
    this.#pumping ??= this.#pump();
  }

  /** Resolves when everything pushed so far has left, or the link broke. */
  async drained(): Promise<void> {
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    // Let the turn that pushed finish first, so that its messages leave in one write.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting;
        this.#waiting = [];
        await this.#send(batch);
      }
    } catch (error) {
      this.#broken = true;
      this.#waiting = [];
      this.broke(error);
    } finally {
      this.#pumping = null;
    }
  }

  async #send(batch: readonly Outgoing[]): Promise<void> {
    let joined: Uint8Array[] = [];
    let size = 0;
    const flush = async () => {
      if (size === 0) return;
      const pieces = joined;
      joined = [];
      size = 0;
      await this.link.writeAll(pieces);
      this.moved();
    };
    const join = async (bytes: Uint8Array) => {
      if (size + bytes.length > joinBytesMax) await flush();
      joined.push(bytes);
      size += bytes.length;
    };
    const write: Write = async (bytes) => {
      // A copy: who writes piece by piece uses one buffer for all of them.
      if (bytes.length <= smallBytesMax) return await join(bytes.slice());
      await flush();
      await this.link.write(bytes);
      this.moved();
    };
    for (const outgoing of batch) {
      if (typeof outgoing === "function") await outgoing(write);
      else await join(outgoing);
    }
    await flush();
  }
}
