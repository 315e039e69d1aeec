/**
 * Frames of the manager's API (docs/api.md): a head of four numbers, JSON, raw bytes. Pure: bytes in
 * pieces of any size in, frames out.
 */
import { PeerProtocolError } from "../errors.ts";

/** Version of the protocol that this is. */
export const apiVersion = 1;

/** Sizes of the two sections, kind, request id; unsigned, 32 bits each, little-endian. */
const headBytes = 16;

/** A million tasks in one frame, and no more: both sides hold a frame as a whole. */
export const jsonBytesMax = 64 * 1024 ** 2;

/** Above what a task may print (1 GiB), and within what one buffer can be. */
export const rawBytesMax = 2 * 1024 ** 3;

export const kind = {
  // from the client
  hello: 1,
  submit: 2,
  request: 3,
  // from the manager
  welcome: 16,
  results: 17,
  counts: 18,
  reply: 19,
  refused: 20,
  failed: 21,
} as const;

export type Kind = (typeof kind)[keyof typeof kind];

const kinds: ReadonlySet<number> = new Set(Object.values(kind));

export interface Frame {
  readonly kind: Kind;
  /** Of a request and its answer; 0 elsewhere. */
  readonly request: number;
  readonly value: unknown;
  readonly raw: Uint8Array;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const nothing = new Uint8Array(0);

/** The bytes of a frame before its raw section, of which only the size is told. */
export function frameStart(
  which: Kind,
  value: unknown,
  { request = 0, rawBytes = 0 }: { readonly request?: number; readonly rawBytes?: number } = {},
): Uint8Array {
  const json = utf8.encode(JSON.stringify(value));
  const bytes = new Uint8Array(headBytes + json.length);
  const head = new DataView(bytes.buffer);
  head.setUint32(0, json.length, true);
  head.setUint32(4, rawBytes, true);
  head.setUint32(8, which, true);
  head.setUint32(12, request, true);
  bytes.set(json, headBytes);
  return bytes;
}

interface Head {
  readonly jsonBytes: number;
  readonly rawBytes: number;
  readonly kind: Kind;
  readonly request: number;
}

/** Frames out of pieces. Throws a PeerProtocolError for what is no frame, and is of no use then. */
export class FrameDecoder {
  #pieces: Uint8Array[] = [];
  /** Of the first piece, so many bytes have been taken. */
  #at = 0;
  #size = 0;
  #head: Head | null = null;

  /** The bytes belong to the decoder from now on. */
  feed(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#size += bytes.length;
  }

  /** The next complete frame; `null`: more bytes are needed. */
  next(): Frame | null {
    if (this.#head === null) {
      if (this.#size < headBytes) return null;
      this.#head = headOf(this.#take(headBytes));
    }
    const { jsonBytes, rawBytes, kind, request } = this.#head;
    if (this.#size < jsonBytes + rawBytes) return null;
    this.#head = null;
    const json = this.#take(jsonBytes);
    const raw = this.#take(rawBytes);
    return { kind, request, value: parse(json), raw };
  }

  /** Whether a frame has begun and not ended. */
  get isWithin(): boolean {
    return this.#head !== null || this.#size > 0;
  }

  #take(count: number): Uint8Array {
    if (count === 0) return nothing;
    this.#size -= count;
    const first = this.#pieces[0]!;
    const end = this.#at + count;
    if (first.length >= end) {
      const taken = first.subarray(this.#at, end);
      if (first.length > end) this.#at = end;
      else this.#dropFirst();
      return taken;
    }
    this.#pieces[0] = first.subarray(this.#at);
    this.#at = 0;
    const taken = new Uint8Array(count);
    let filled = 0;
    let used = 0;
    for (const piece of this.#pieces) {
      const part = piece.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length < piece.length) {
        this.#pieces[used] = piece.subarray(part.length);
        break;
      }
      used++;
      if (filled === count) break;
    }
    this.#pieces.splice(0, used);
    return taken;
  }

  #dropFirst(): void {
    this.#pieces.shift();
    this.#at = 0;
  }
}

function headOf(bytes: Uint8Array): Head {
  const [jsonBytes, rawBytes, which, request] = [
    numberAt(bytes, 0),
    numberAt(bytes, 4),
    numberAt(bytes, 8),
    numberAt(bytes, 12),
  ];
  if (!kinds.has(which)) throw new PeerProtocolError(`a frame of unknown kind ${which}`);
  if (jsonBytes > jsonBytesMax) {
    throw new PeerProtocolError(`a frame with ${jsonBytes} bytes of JSON, above ${jsonBytesMax}`);
  }
  if (rawBytes > rawBytesMax) {
    throw new PeerProtocolError(`a frame with ${rawBytes} raw bytes, above ${rawBytesMax}`);
  }
  return { jsonBytes, rawBytes, kind: which as Kind, request };
}

/** A client may send each task in a frame of its own: a view for each is felt. */
function numberAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

function parse(json: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8.decode(json));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PeerProtocolError(`a frame whose JSON does not parse: ${why}`);
  }
}
