/** Contents for an archive: a prefix taken back out of a file, byte code that fits its source. */
import { replaceText } from "./placeholder.ts";

/** In files that no conda package knows it comes in the prefix's place; in parts, see placeholder.ts. */
export const ownPlaceholder = ["/opt/wqx_", "placeholder_", "of_the_", "prefix"].join("");

/** Time of every file in an archive, 2000-01-01: the same content gives the same bytes. */
export const memberTimeS = 946_684_800;

/**
 * A file as its package had it, from one with the prefix in the placeholder's place. In compiled
 * files the placeholder takes back the NULs that were put behind its string; null where they are
 * not there, so that the file was made in another way.
 */
export function restorePlaceholder(
  bytes: Uint8Array,
  mode: "text" | "binary",
  prefix: string,
  placeholder: string,
): Uint8Array | null {
  if (mode === "text") return replaceText(bytes, prefix, placeholder);
  const needle = new TextEncoder().encode(prefix);
  const room = new TextEncoder().encode(placeholder).length - needle.length;
  if (room < 0) return null;
  const out = bytes.slice();
  for (let start = indexOf(out, needle, 0); start >= 0;) {
    const end = out.indexOf(0, start);
    if (end < 0) return null;
    const text = replaceText(out.subarray(start, end), prefix, placeholder);
    // What was longer ended before a NUL, and that one is not ours.
    if (out.subarray(end, start + text.length + 1).some((byte) => byte !== 0)) return null;
    if (start + text.length > out.length) return null;
    out.set(text, start);
    start = indexOf(out, needle, start + text.length);
  }
  return out;
}

/** All prefixes in a text replaced by our own placeholder; those that others begin with come last. */
export function withOwnPlaceholder(bytes: Uint8Array, prefixes: readonly string[]): Uint8Array {
  const longestFirst = [...prefixes].sort((a, b) => b.length - a.length);
  return longestFirst.reduce(
    (text, prefix) => replaceText(text, prefix, ownPlaceholder),
    bytes,
  );
}

function indexOf(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(needle[0]!, from); at >= 0; at = bytes.indexOf(needle[0]!, at + 1)) {
    if (needle.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

/** Of Python 3.7, the first whose byte code tells how it is to be checked. */
const firstMagic = 3390;

/**
 * Byte code that says its source is of `memberTimeS`, as all sources in an archive are. Null if it
 * was not made from this source (of so many bytes, at that time) or says so in another way, which
 * leaves it to Python to compile again.
 */
export function retimedByteCode(
  bytes: Uint8Array,
  source: { readonly size: number; readonly timeS: number },
): Uint8Array | null {
  if (bytes.length < 16) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isByTime = view.getUint16(0, true) >= firstMagic && view.getUint32(4, true) === 0;
  if (!isByTime) return null;
  if (view.getUint32(8, true) !== source.timeS || view.getUint32(12, true) !== source.size) {
    return null;
  }
  const copy = bytes.slice();
  new DataView(copy.buffer).setUint32(8, memberTimeS, true);
  return copy;
}
