/**
 * Where a compressed archive is cut into gzip members. Whether a cut follows a file depends on the
 * file's path and size alone, and a large file is cut at fixed places of its own, so that a package
 * that is added or changed alters the members near it and leaves all others byte for byte alike.
 */
import { createHash } from "node:crypto";

/** Tar bytes in a member: on average, at least, at most (compressed about a third of that). */
export const memberBytes = { mean: 1536 * 1024, min: 384 * 1024, max: 4 * 1024 ** 2 } as const;

/** A file larger than this gets members of its own, each of so many bytes of it. */
export const pieceBytes = 2 * 1024 ** 2;

/**
 * Whether a member ends after this file. `sinceCut` is what the member holds with it; `bytes` what
 * the file takes in the tar. Files are chosen by chance in proportion to their size, which their
 * path decides.
 */
export function endsMember(path: string, bytes: number, sinceCut: number): boolean {
  if (sinceCut >= memberBytes.max) return true;
  if (sinceCut < memberBytes.min) return false;
  const chance = createHash("sha256").update(path).digest().readUInt32LE(0) / 2 ** 32;
  return chance < 1 - Math.exp(-bytes / (memberBytes.mean - memberBytes.min));
}
