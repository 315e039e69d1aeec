/**
 * What a compiled Linux file needs: the names of its libraries and where it looks for them (the
 * dynamic section of ELF). The run path can be replaced in place by one that is not longer.
 */

export interface ElfLinks {
  readonly needed: readonly string[];
  /** DT_RUNPATH, else DT_RPATH; folders with colons between, `$ORIGIN` for the file's own. */
  readonly runPath: string | null;
  /** Where the run path's text begins in the file. */
  readonly runPathOffset: number;
}

/** Longer lists of folders are not looked at (PATH_MAX). */
const pathBytesMax = 4096;
const dynamicSegment = 2, loadedSegment = 1;
const tag = { end: 0, needed: 1, stringTable: 5, rpath: 15, runPath: 29 } as const;

/** Links of a 64-bit little-endian ELF file; null for all other files, and for damaged ones. */
export function elfLinks(bytes: Uint8Array): ElfLinks | null {
  const isElf = bytes.length >= 64 && bytes[0] === 0x7f && bytes[1] === 0x45 &&
    bytes[2] === 0x4c && bytes[3] === 0x46 && bytes[4] === 2 && bytes[5] === 1;
  if (!isElf) return null;
  try {
    return readLinks(bytes);
  } catch (error) {
    if (error instanceof RangeError) return null; // a field beyond the end
    throw error;
  }
}

function readLinks(bytes: Uint8Array): ElfLinks {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (at: number) => Number(view.getBigUint64(at, true));
  const [tableAt, entryBytes, count] = [
    number(32),
    view.getUint16(54, true),
    view.getUint16(56, true),
  ];
  const segments = Array.from({ length: count }, (_, i) => {
    const at = tableAt + i * entryBytes;
    const [offset, address, size] = [number(at + 8), number(at + 16), number(at + 32)];
    return { type: view.getUint32(at, true), offset, address, size };
  });
  const fileOffset = (address: number): number => {
    const holder = segments.find((one) =>
      one.type === loadedSegment && address >= one.address && address < one.address + one.size
    );
    if (holder === undefined) throw new RangeError("an address that is nowhere");
    return holder.offset + address - holder.address;
  };
  const dynamic = segments.find(({ type }) => type === dynamicSegment);
  if (dynamic === undefined) return { needed: [], runPath: null, runPathOffset: 0 };
  const entries: { tag: number; value: number }[] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const entry = { tag: number(at), value: number(at + 8) };
    if (entry.tag === tag.end) break;
    entries.push(entry);
  }
  const strings = entries.find((entry) => entry.tag === tag.stringTable);
  if (strings === undefined) return { needed: [], runPath: null, runPathOffset: 0 };
  const stringsAt = fileOffset(strings.value);
  const text = (offset: number): string => {
    const at = stringsAt + offset;
    const letters = bytes.subarray(at, at + pathBytesMax);
    const end = letters.indexOf(0);
    if (end < 0) throw new RangeError("a string without end");
    return String.fromCharCode(...letters.subarray(0, end));
  };
  const path = entries.find((entry) => entry.tag === tag.runPath) ??
    entries.find((entry) => entry.tag === tag.rpath);
  return {
    needed: entries.filter((entry) => entry.tag === tag.needed).map(({ value }) => text(value)),
    runPath: path === undefined ? null : text(path.value),
    runPathOffset: path === undefined ? 0 : stringsAt + path.value,
  };
}

/** A copy with another run path; null if there is no room for it. */
export function withRunPath(
  bytes: Uint8Array,
  links: ElfLinks,
  runPath: string,
): Uint8Array | null {
  if (links.runPath === null || links.runPath.length < runPath.length) return null;
  const copy = bytes.slice();
  const padded = runPath.padEnd(links.runPath.length, "\0");
  copy.set(new TextEncoder().encode(padded), links.runPathOffset);
  return copy;
}
