/**
 * What is to go out on one link, in order. What waits together leaves in one write, its text encoded
 * at once; a file is read only as fast as the peer takes it. Lines are text and bodies are bytes:
 * under TLS that keeps a body and what follows it in records of their own, which C peers need.
 */
import type { Link, Piece } from "./link.ts";

export type Write = (piece: Piece) => Promise<void>;

/** Text, bytes, or something that writes its own. */
export type Outgoing = Piece | ((write: Write) => Promise<void>);

/** Waiting pieces are joined up to the size of a TLS record, and elsewhere of a busy turn; bytes. */
const joinBytesMax = { secure: 16 * 1024, plain: 192 * 1024 };

/** Bodies written by functions are joined as well up to this size; bytes. */
const smallBytesMax = 4096;

/**
 * Messages that may wait for a peer. One that asks and asks, and does not read the answers, must not
 * fill our memory; no worker has so many tasks that its orders come near.
 */
const waitingMax = 250_000;

export class Outbox {
  #waiting: Outgoing[] = [];
  #joined: Piece[] = [];
  #joinedBytes = 0;
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
    if (this.#waiting.length >= waitingMax) {
      this.#fail(new Error("it asks for more than it reads"));
      return;
    }
    this.#waiting.push(outgoing);
    this.#pumping ??= this.#pump();
  }

  /** Something has not left yet. */
  get isBusy(): boolean {
    return this.#pumping !== null;
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
        for (const outgoing of batch) {
          if (typeof outgoing === "function") await outgoing(this.#write);
          else if (this.#wouldOverflow(outgoing)) await this.#write(outgoing);
          else this.#join(outgoing);
        }
        await this.#flush();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = null;
    }
  }

  #fail(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#waiting = [];
    this.#joined = [];
    this.broke(error);
  }

  readonly #write: Write = async (piece) => {
    if (this.#wouldOverflow(piece)) await this.#flush();
    if (typeof piece === "string") return this.#join(piece);
    // A copy: who writes piece by piece uses one buffer for all of them.
    if (piece.length <= smallBytesMax) return this.#join(piece.slice());
    await this.#flush();
    await this.link.write(piece);
    this.moved();
  };

  #wouldOverflow(piece: Piece): boolean {
    const max = this.link.secure ? joinBytesMax.secure : joinBytesMax.plain;
    return this.#joinedBytes > 0 && this.#joinedBytes + bytesMaxOf(piece) > max;
  }

  #join(piece: Piece): void {
    const last = this.#joined.length - 1;
    const before = this.#joined[last];
    if (typeof piece === "string" && typeof before === "string") {
      this.#joined[last] = before + piece;
    } else this.#joined.push(piece);
    this.#joinedBytes += bytesMaxOf(piece);
  }

  async #flush(): Promise<void> {
    if (this.#joinedBytes === 0) return;
    const pieces = this.#joined;
    this.#joined = [];
    this.#joinedBytes = 0;
    await this.link.writeAll(pieces);
    this.moved();
  }
}

/** A character takes at most three bytes: nearer than that need not be known. */
function bytesMaxOf(piece: Piece): number {
  return typeof piece === "string" ? piece.length * 3 : piece.length;
}
