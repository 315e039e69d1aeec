/**
 * Files as lists of pieces whose ends the content chooses, so that two files which differ in some
 * places have most pieces in common, wherever these lie. An end is where a rolling hash of the last
 * 32 bytes is small ("gear" hash and normalized sizes of FastCDC: Xia et al., USENIX ATC 2016).
 */
import { createHash } from "node:crypto";
import { seededRng } from "./env.ts";

/**
 * Sizes of pieces; bytes. A change costs about two pieces and a file of 300 MB takes a list of
 * 100 kB.
 */
export const pieceBytesMin = 32 * 1024;
export const pieceBytesUsual = 64 * 1024;
export const pieceBytesMax = 256 * 1024;

/** So many bits of the rolling hash are zero at an end: more before the usual size, fewer after. */
const strictMask = -1 << (32 - 18);
const looseMask = -1 << (32 - 14);

/** A number for each byte; another table would find other ends in the same file. */
const gear = Int32Array.from({ length: 256 }, ((rng) => () => rng() * 2 ** 32)(seededRng(64)));

/**
 * Of SHA-256 so many bytes name a piece. An honest pair of pieces never has the same; a forged one
 * only makes the hash of the whole file differ, and the file is sent whole.
 */
const nameBytes = 16;
/** Of a piece in a list: its name and, big-endian, its length. */
export const entryBytes = nameBytes + 4;

/** Finds the ends of pieces in blocks that follow each other. */
export class PieceCutter {
  #length = 0;
  #rolled = 0;

  /** Where in `block` the piece ends that goes on at `from`; `null`: it goes on behind the block. */
  end(block: Uint8Array, from: number): number | null {
    const start = from - this.#length;
    const usual = Math.min(block.length, start + pieceBytesUsual);
    const last = Math.min(block.length, start + pieceBytesMax);
    const first = Math.max(from, start + pieceBytesMin);
    const end = this.#scan(block, first, usual, strictMask) ??
      this.#scan(block, Math.max(first, usual), last, looseMask);
    if (end !== null) return this.#cut(end);
    if (start + pieceBytesMax <= block.length) return this.#cut(last);
    this.#length = block.length - start;
    return null;
  }

  /** A function of its own, because it is all that takes time: compiled alone it is 3 times as fast. */
  #scan(block: Uint8Array, from: number, to: number, mask: number): number | null {
    const numbers = gear;
    let rolled = this.#rolled;
    for (let at = from; at < to; at++) {
      rolled = ((rolled << 1) + numbers[block[at]!]!) | 0;
      if ((rolled & mask) === 0) return at + 1;
    }
    this.#rolled = rolled;
    return null;
  }

  #cut(end: number): number {
    this.#length = 0;
    this.#rolled = 0;
    return end;
  }
}

/** The pieces of a file in order, by name and length; held as they are on the wire. */
export class PieceList {
  readonly #view: DataView;

  /** `entries`: {@link entryBytes} each. */
  constructor(readonly entries: Uint8Array) {
    this.#view = new DataView(entries.buffer, entries.byteOffset, entries.length);
  }

  get count(): number {
    return this.entries.length / entryBytes;
  }

  lengthOf(index: number): number {
    return this.#view.getUint32(index * entryBytes + nameBytes);
  }

  nameOf(index: number): string {
    const at = index * entryBytes;
    return this.entries.subarray(at, at + nameBytes).toHex();
  }

  /** Of the file. */
  get bytes(): number {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += this.lengthOf(i);
    return sum;
  }
}

/** As {@link PieceList.nameOf} has it. */
export function pieceName(piece: Uint8Array): string {
  return createHash("sha256").update(piece).digest("hex").slice(0, nameBytes * 2);
}

export interface ListedFile {
  /** Of the whole; lower-case hexadecimal. */
  readonly sha256: string;
  readonly pieces: PieceList;
}

/** Reads a file block by block, and lists its pieces. */
export class PieceLister {
  readonly #cutter = new PieceCutter();
  readonly #whole = createHash("sha256");
  #piece: ReturnType<typeof createHash> | null = null;
  #pieceLength = 0;
  #entries = new Uint8Array(64 * entryBytes);
  #count = 0;

  /** The array may be used again afterwards. */
  feed(block: Uint8Array): void {
    this.#whole.update(block);
    for (let from = 0; from < block.length;) {
      const end = this.#cutter.end(block, from);
      const part = block.subarray(from, end ?? block.length);
      this.#piece ??= createHash("sha256");
      this.#piece.update(part);
      this.#pieceLength += part.length;
      from += part.length;
      if (end !== null) this.#close();
    }
  }

  /** Once, at the end of the file. */
  finish(): ListedFile {
    this.#close();
    const entries = this.#entries.slice(0, this.#count * entryBytes);
    return { sha256: this.#whole.digest("hex"), pieces: new PieceList(entries) };
  }

  #close(): void {
    if (this.#piece === null) return;
    const at = this.#count++ * entryBytes;
    if (at === this.#entries.length) {
      const larger = new Uint8Array(at * 2);
      larger.set(this.#entries);
      this.#entries = larger;
    }
    this.#entries.set(this.#piece.digest().subarray(0, nameBytes), at);
    new DataView(this.#entries.buffer).setUint32(at + nameBytes, this.#pieceLength);
    this.#piece = null;
    this.#pieceLength = 0;
  }
}

/** Two versions of one file rarely differ by so much in size; factor. */
const similarMax = 4;

/** Whether files of these sizes may be versions of one. */
export function areSimilar(bytes: number, otherBytes: number): boolean {
  return bytes <= otherBytes * similarMax && otherBytes <= bytes * similarMax;
}
