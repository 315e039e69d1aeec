/** A thread that compresses pieces in the order in which they come. It is bundled beside the file. */
import { gzipSync } from "node:zlib";

/** Level of the runtime's zlib; the piece becomes a gzip member. */
export interface GzipJob {
  readonly piece: Uint8Array<ArrayBuffer>;
  readonly level: number;
}

self.onmessage = ({ data: { piece, level } }: MessageEvent<GzipJob>) => {
  const made = gzipSync(piece, { level });
  // A copy, because the runtime may hand out a view of something larger.
  const member = new Uint8Array(made);
  // Time 0 and a fixed system: the header tells nothing of where it was made.
  member.fill(0, 4, 8);
  member[9] = 3;
  self.postMessage(member, { transfer: [member.buffer] });
};
