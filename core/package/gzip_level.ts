/**
 * Which level of the runtime's zlib gives the size that a level of zlib means. The runtime has
 * zlib-ng, whose levels are as tight as those of zlib (conda-pack, gzip) for text up to 5 and for
 * machine code up to 3, and a little less above; the next one is as tight, in less time than zlib.
 * Measured in pieces of 1 MiB of a Python environment on 2026-11-23.
 */

/** Levels above are raised by one. */
const plainLevelMax = { text: 5, code: 3 } as const;
const levelMax = 9;

/** One byte in so many is looked at, and the share of them that is no ASCII in what counts as code. */
const lookEvery = 64;
const codeShare = 0.15;

export function runtimeLevel(level: number, piece: Uint8Array): number {
  const raised = level > plainLevelMax[isCode(piece) ? "code" : "text"];
  return Math.min(levelMax, raised ? level + 1 : level);
}

function isCode(piece: Uint8Array): boolean {
  let others = 0;
  for (let at = 0; at < piece.length; at += lookEvery) {
    const byte = piece[at]!;
    if (byte < 9 || byte > 126) others++;
  }
  return others * lookEvery > piece.length * codeShare;
}
