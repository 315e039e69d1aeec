/**
 * What wqx peers say of a file in pieces. A worker that knows of it says `info wqx-pieces 1`. Where
 * that worker has a file which may be another version of the one it is to get, the manager sends
 * `wqx-pieces` with the list of them in place of `put`. The worker answers each with one
 * `wqx-lacks`, in order, whose body has a bit for each piece; the manager sends those bytes by
 * `wqx-fill`, and the worker says `cache-update` or `cache-invalid` of the whole.
 */
import { PeerProtocolError } from "../errors.ts";
import { pieceBytesMax, pieceBytesUsual, PieceList } from "../pieces.ts";
import { heldBytesMin } from "./held.ts";
import type { ToManager } from "./messages.ts";

/** In the greeting; its value is the version of all this. */
export const piecesKey = "wqx-pieces";
export const piecesInfo: ToManager = { type: "info", key: piecesKey, value: "1" };

/** A smaller file is sent as fast as it is asked for; bytes. */
export const piecedBytesMin = heldBytesMin;
/** A larger one would be listed for so long (10 s) that the link is taken for dead. */
export const piecedBytesMax = 4 * 1024 ** 3;

/** Of the largest file, if its pieces are half as large as usual. */
export const pieceCountMax = 2 * piecedBytesMax / pieceBytesUsual;

/**
 * The list of a file of `bytes`. Throws PeerProtocolError if it cannot be that.
 * @param entries as {@link PieceList} has them
 */
export function checkedPieces(entries: Uint8Array, bytes: number, cacheName: string): PieceList {
  const pieces = new PieceList(entries);
  for (let i = 0; i < pieces.count; i++) {
    const length = pieces.lengthOf(i);
    if (length < 1 || length > pieceBytesMax) {
      throw new PeerProtocolError(
        `Piece ${i} of ${cacheName} has ${length} bytes, not 1 to ${pieceBytesMax}`,
      );
    }
  }
  if (pieces.bytes !== bytes) {
    throw new PeerProtocolError(
      `The pieces of ${cacheName} have ${pieces.bytes} bytes together, and it has ${bytes}`,
    );
  }
  return pieces;
}

/** Of the body of `wqx-lacks`. */
export function lackingBytes({ count }: PieceList): number {
  return Math.ceil(count / 8);
}

/** The body of `wqx-lacks`: bit `i % 8` of byte `i / 8`, from the least one on, is of piece `i`. */
export function encodeLacking(pieces: PieceList, lacking: Iterable<number>): Uint8Array {
  const bits = new Uint8Array(lackingBytes(pieces));
  for (const index of lacking) bits[index >> 3]! |= 1 << (index & 7);
  return bits;
}

/** Indexes of the pieces, in order. Throws PeerProtocolError for one that there is not. */
export function parseLacking(bits: Uint8Array, { count }: PieceList, cacheName: string): number[] {
  const lacking: number[] = [];
  for (let index = 0; index < bits.length * 8; index++) {
    if ((bits[index >> 3]! >> (index & 7) & 1) === 0) continue;
    if (index >= count) {
      throw new PeerProtocolError(`It lacks piece ${index} of ${cacheName}, which has ${count}`);
    }
    lacking.push(index);
  }
  return lacking;
}
