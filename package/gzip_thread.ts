/** A thread that compresses pieces in the order in which they come. It is bundled beside the file. */
import { gzipSync } from "node:zlib";
import { runtimeLevel } from "../core/package/gzip_level.ts";

export interface GzipJob {
  readonly piece: Uint8Array<ArrayBuffer>;
  /** As users know it, of zlib. */
  readonly level: number;
}

export interface GzipDone {
  /** The piece as a gzip member. */
  readonly member: Uint8Array<ArrayBuffer>;
  /** Of the piece, free again. */
  readonly buffer: ArrayBuffer;
}

self.onmessage = ({ data: { piece, level } }: MessageEvent<GzipJob>) => {
  const made = gzipSync(piece, { level: runtimeLevel(level, piece) });
  // A copy, because the runtime may hand out a view of something larger.
  const member = new Uint8Array(made);
  // Time 0 and a fixed system: the header tells nothing of where it was made.
  member.fill(0, 4, 8);
  member[9] = 3;
  const done: GzipDone = { member, buffer: piece.buffer };
  self.postMessage(done, { transfer: [member.buffer, piece.buffer] });
};
