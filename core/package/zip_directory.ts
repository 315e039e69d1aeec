/**
 * Where the members of a zip archive lie, from its directory at the end (APPNOTE 6.3), ZIP64 fields
 * included: builders of conda packages write them for tiny members too.
 */
import { RunError } from "../errors.ts";

export interface ZipMember {
  readonly name: string;
  /** Compressed and uncompressed alike: others than stored ones are not read. */
  readonly size: number;
  readonly isStored: boolean;
  /** Of its local header, behind which its bytes lie. */
  readonly headerOffset: number;
}

/** Reads bytes of the archive; fewer where it ends. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

/** Members looked for: a conda package has three. */
const membersMax = 1000;
const endBytes = 22;
/** A comment may follow the end record. */
const tailBytes = endBytes + 0xffff;
const localBytes = 30;

/** All members, in the order of the directory. Throws RunError, the end of a sentence. */
export function zipMembers(read: ReadAt, fileBytes: number): readonly ZipMember[] {
  const tailAt = Math.max(0, fileBytes - tailBytes);
  const tail = view(read(tailAt, fileBytes - tailAt));
  let end = tail.byteLength - endBytes;
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new RunError("it is no zip archive, or cut off: its directory is missing");
  let count = tail.getUint16(end + 10, true);
  let size = tail.getUint32(end + 12, true);
  let offset = tail.getUint32(end + 16, true);
  const locator = end - 20;
  if (locator >= 0 && tail.getUint32(locator, true) === 0x07064b50) {
    const big = view(read(number64(tail, locator + 8), 56));
    if (big.byteLength < 56 || big.getUint32(0, true) !== 0x06064b50) throw damaged();
    count = number64(big, 32);
    size = number64(big, 40);
    offset = number64(big, 48);
  }
  if (count > membersMax) throw new RunError(`it has ${count} members, and a package has three`);
  if (offset + size > fileBytes) throw damaged();
  const directory = view(read(offset, size));
  if (directory.byteLength !== size) throw damaged();
  const members: ZipMember[] = [];
  for (let at = 0; members.length < count;) {
    if (at + 46 > size || directory.getUint32(at, true) !== 0x02014b50) throw damaged();
    const nameBytes = directory.getUint16(at + 28, true);
    const extraBytes = directory.getUint16(at + 30, true);
    const next = at + 46 + nameBytes + extraBytes + directory.getUint16(at + 32, true);
    if (next > size) throw damaged();
    members.push(memberAt(directory, at, nameBytes, extraBytes));
    at = next;
  }
  return members;
}

function memberAt(data: DataView, at: number, nameBytes: number, extraBytes: number): ZipMember {
  const name = new TextDecoder().decode(bytesOf(data, at + 46, nameBytes));
  let full = data.getUint32(at + 24, true);
  let packed = data.getUint32(at + 20, true);
  let headerOffset = data.getUint32(at + 42, true);
  const stop = at + 46 + nameBytes + extraBytes;
  for (let field = at + 46 + nameBytes; field + 4 <= stop;) {
    const length = data.getUint16(field + 2, true);
    if (data.getUint16(field, true) === 1) {
      // Only those fields are here whose place in the record says so.
      let value = field + 4;
      const take = (): number => {
        if (value + 8 > field + 4 + length || value + 8 > stop) throw damaged();
        value += 8;
        return number64(data, value - 8);
      };
      if (full === 0xffffffff) full = take();
      if (packed === 0xffffffff) packed = take();
      if (headerOffset === 0xffffffff) headerOffset = take();
    }
    field += 4 + length;
  }
  const isStored = data.getUint16(at + 10, true) === 0 && full === packed;
  return { name, size: packed, isStored, headerOffset };
}

/** Where a member's bytes begin. Throws RunError, the end of a sentence. */
export function memberOffset(read: ReadAt, member: ZipMember, fileBytes: number): number {
  const header = view(read(member.headerOffset, localBytes));
  if (header.byteLength < localBytes || header.getUint32(0, true) !== 0x04034b50) throw damaged();
  const start = member.headerOffset + localBytes + header.getUint16(26, true) +
    header.getUint16(28, true);
  if (start + member.size > fileBytes) throw new RunError("it is cut off within a member");
  return start;
}

function damaged(): RunError {
  return new RunError("it is a damaged zip archive: its directory does not add up");
}

/** Throws for numbers that no file has. */
function number64(data: DataView, at: number): number {
  const value = data.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged();
  return Number(value);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bytesOf(data: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset + at, length);
}
