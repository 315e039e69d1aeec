/** Files of simulated worlds in pieces: a few bytes each, as theirs are small. */
import { entryBytes, PieceList, pieceName } from "../../core/pieces.ts";

const pieceBytes = 4;

export function piecesOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.ceil(bytes.length / pieceBytes);
  return Array.from(
    { length: count },
    (_, i) => bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes),
  );
}

export function listOf(bytes: Uint8Array): PieceList {
  const pieces = piecesOf(bytes);
  const entries = new Uint8Array(pieces.length * entryBytes);
  const view = new DataView(entries.buffer);
  for (const [i, piece] of pieces.entries()) {
    entries.set(Uint8Array.fromHex(pieceName(piece)), i * entryBytes);
    view.setUint32((i + 1) * entryBytes - 4, piece.length);
  }
  return new PieceList(entries);
}
