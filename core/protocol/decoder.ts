/**
 * Bytes in, messages out. A grammar says what a line means and how many bytes follow it; the
 * decoder keeps what is incomplete until the rest arrives. It never waits and never asks.
 *
 * After an error the decoder stays broken: the link it served must be closed.
 */
import { PeerProtocolError } from "../errors.ts";
import { lineBytesMax, type Payload } from "./messages.ts";

/** What one line came to. */
export type Parsed<M> =
  /** A message; with a payload if it has `length`. */
  | { readonly kind: "message"; readonly message: M; readonly payloadBytes?: number }
  /** Part of a message that is not complete; `blobBytes` more bytes belong to it. */
  | { readonly kind: "part"; readonly blobBytes?: number }
  | { readonly kind: "nothing" };

/** The lines of one direction. May keep state between lines (a task block). */
export interface Grammar<M> {
  line(text: string): Parsed<M>;
  /** The bytes asked for by `blobBytes`, whole; returns the message if they complete it. */
  blob(bytes: Uint8Array): M | null;
}

// A line that begins with U+FEFF keeps it.
const text = new TextDecoder("utf-8", { ignoreBOM: true });
const newline = 0x0a;
const noBytes = new Uint8Array(0);

type Expecting =
  | { readonly what: "line" }
  | { readonly what: "payload"; readonly left: number }
  | { readonly what: "blob"; readonly bytes: number }
  | { readonly what: "nothing more"; readonly error: PeerProtocolError };

export class Decoder<M> {
  /** Received and not yet consumed; the first one from `#offset` on. */
  #chunks: Uint8Array[] = [];
  /** So many of them are ours: the others are borrowed until `next` has nothing more to give. */
  #owned = 0;
  #offset = 0;
  #buffered = 0;
  /** Bytes at the front known to hold no line end, so that trickled lines are not rescanned. */
  #scanned = 0;
  #expecting: Expecting = { what: "line" };

  constructor(private readonly grammar: Grammar<M>) {}

  /** The array may be used again once {@link next} has returned `null`. */
  feed(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#buffered += bytes.length;
  }

  /**
   * The next message or piece of payload, `null` if more bytes are needed; throws on bad ones. The
   * bytes of a payload are part of what was fed.
   */
  next(): M | Payload | null {
    const found = this.#next();
    if (found === null) this.#keepRest();
    return found;
  }

  /** Whether the peer closed in the middle of something. */
  get midway(): boolean {
    return this.#buffered > 0 || this.#expecting.what !== "line";
  }

  #next(): M | Payload | null {
    for (;;) {
      const expecting = this.#expecting;
      switch (expecting.what) {
        case "nothing more":
          throw expecting.error;
        case "payload": {
          if (expecting.left > 0 && this.#buffered === 0) return null;
          const bytes = expecting.left === 0 ? noBytes : this.#takeUpTo(expecting.left);
          const left = expecting.left - bytes.length;
          this.#expecting = left === 0 ? { what: "line" } : { what: "payload", left };
          return { type: "payload", bytes, last: left === 0 };
        }
        case "blob": {
          if (this.#buffered < expecting.bytes) return null;
          this.#expecting = { what: "line" };
          const message = this.#orBreak(() => this.grammar.blob(this.#take(expecting.bytes)));
          if (message !== null) return message;
          break;
        }
        case "line": {
          const line = this.#line();
          if (line === null) return null;
          const message = this.#parse(line);
          if (message !== null) return message;
        }
      }
    }
  }

  #keepRest(): void {
    for (; this.#owned < this.#chunks.length; this.#owned++) {
      const rest = this.#chunks[this.#owned]!.slice(this.#owned === 0 ? this.#offset : 0);
      if (this.#owned === 0) this.#offset = 0;
      this.#chunks[this.#owned] = rest;
    }
  }

  #parse(line: string): M | null {
    const parsed = this.#orBreak(() => this.grammar.line(line));
    switch (parsed.kind) {
      case "nothing":
        return null;
      case "part":
        if (parsed.blobBytes !== undefined) {
          this.#expecting = { what: "blob", bytes: parsed.blobBytes };
        }
        return null;
      case "message":
        if (parsed.payloadBytes !== undefined) {
          this.#expecting = { what: "payload", left: parsed.payloadBytes };
        }
        return parsed.message;
    }
  }

  #orBreak<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof PeerProtocolError) this.#expecting = { what: "nothing more", error };
      throw error;
    }
  }

  /** One line without its end. NUL ends it early and CR is dropped, as in cctools. */
  #line(): string | null {
    let seen = 0;
    for (let i = 0; i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i]!;
      const from = i === 0 ? this.#offset : 0;
      const size = chunk.length - from;
      if (seen + size > this.#scanned) {
        const end = chunk.indexOf(newline, from + Math.max(0, this.#scanned - seen));
        if (end >= 0) {
          const length = seen + end - from;
          if (length > lineBytesMax) throw this.#tooLong();
          const bytes = this.#take(length + 1).subarray(0, length);
          this.#scanned = 0;
          let line = text.decode(bytes);
          const nul = line.indexOf("\0");
          if (nul >= 0) line = line.slice(0, nul);
          return line.includes("\r") ? line.replaceAll("\r", "") : line;
        }
      }
      seen += size;
    }
    this.#scanned = seen;
    if (seen > lineBytesMax) throw this.#tooLong();
    return null;
  }

  #tooLong(): PeerProtocolError {
    const error = new PeerProtocolError(`Cannot read a line of more than ${lineBytesMax} bytes`);
    this.#expecting = { what: "nothing more", error };
    return error;
  }

  /** Exactly `count` buffered bytes; copies only if they lie in several chunks. */
  #take(count: number): Uint8Array {
    const first = this.#takeUpTo(count);
    if (first.length === count) return first;
    const whole = new Uint8Array(count);
    whole.set(first);
    for (let length = first.length; length < count;) {
      const piece = this.#takeUpTo(count - length);
      whole.set(piece, length);
      length += piece.length;
    }
    return whole;
  }

  #takeUpTo(count: number): Uint8Array {
    const chunk = this.#chunks[0];
    if (chunk === undefined || count === 0) return noBytes;
    const piece = chunk.subarray(this.#offset, this.#offset + count);
    this.#offset += piece.length;
    this.#buffered -= piece.length;
    if (this.#offset === chunk.length) {
      this.#chunks.shift();
      this.#owned = Math.max(0, this.#owned - 1);
      this.#offset = 0;
    }
    return piece;
  }
}
