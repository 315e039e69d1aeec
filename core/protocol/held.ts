/**
 * Files that a worker of wqx still has from an earlier link, each as the value of an info line in
 * its greeting or later: `SIZE SHA256`. A manager that would send such a file says `wqx-take` in
 * place of `put`. Managers that do not know the line pass it over.
 */
import type { ToManager } from "./messages.ts";

export interface Held {
  readonly bytes: number;
  /** Of the content; lower-case hexadecimal. */
  readonly sha256: string;
}

/** A smaller file is sent as fast as it is hashed and asked for. */
export const heldBytesMin = 1024 ** 2;
/** A larger one would be hashed for so long that the other end takes the silence for a fault. */
export const heldBytesMax = 16 * 1024 ** 3;
/** Told, and believed, on one link: a few lines, not a flood. */
export const heldCountMax = 32;

const key = "wqx-holds";

export function holdsInfo({ bytes, sha256 }: Held): ToManager {
  return { type: "info", key, value: `${bytes} ${sha256}` };
}

/** The inverse of {@link holdsInfo}; `null` for what does not parse, as for any unknown info. */
export function parseHolds(value: string): Held | null {
  const match = /^(\d{1,15}) (\S+)$/.exec(value);
  if (match === null || !isSha256(match[2]!)) return null;
  const bytes = Number(match[1]);
  return bytes < heldBytesMin || bytes > heldBytesMax ? null : { bytes, sha256: match[2]! };
}

/** Whether it is written as hashes are on the wire. */
export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}
