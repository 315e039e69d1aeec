/**
 * Unpacks what ROOT compresses: a chain of blocks, each with a 9-byte header that names the
 * algorithm (2 letters, a method byte) and both sizes (3 bytes each, little-endian).
 * Format: ROOT, core/zip/src/RZip.cxx. Every algorithm with a checksum has it checked.
 */
import { inflateSync, zstdDecompressSync } from "node:zlib";
import xz from "xz-decompress";
import xxhash from "xxhash-wasm";
import { concat } from "../../core/bytes.ts";
import { unzip } from "./jsroot.ts";

const blockHeaderBytes = 9;
const lz4ChecksumBytes = 8;

/** The `size` bytes that `packed` holds. Throws Error saying what is wrong if it does not. */
export async function unpack(packed: Uint8Array, size: number): Promise<Uint8Array> {
  // Equal sizes are how ROOT marks that nothing was gained by compressing.
  if (packed.length === size) return packed;
  const blocks = splitBlocks(packed, size);
  if (blocks.length === 1 && blocks[0]) return await unpackBlock(blocks[0].block, size);
  const all = new Uint8Array(size);
  let at = 0;
  for (const { block, size } of blocks) {
    all.set(await unpackBlock(block, size), at);
    at += size;
  }
  return all;
}

/** Sizes are checked before anything is unpacked, so that bad bytes cannot ask for much memory. */
function splitBlocks(packed: Uint8Array, size: number): { block: Uint8Array; size: number }[] {
  const blocks = [];
  let at = 0, total = 0;
  while (total < size) {
    if (at + blockHeaderBytes > packed.length) {
      throw new Error(`compressed data end after ${total} of ${size} bytes`);
    }
    const end = at + blockHeaderBytes + uint24(packed, at + 3);
    const blockSize = uint24(packed, at + 6);
    if (end > packed.length || blockSize === 0 || total + blockSize > size) {
      throw new Error(`the block at byte ${at} of the compressed data has an impossible size`);
    }
    blocks.push({ block: packed.subarray(at, end), size: blockSize });
    at = end;
    total += blockSize;
  }
  return blocks;
}

async function unpackBlock(block: Uint8Array, size: number): Promise<Uint8Array> {
  const algorithm = String.fromCharCode(block[0] ?? 0, block[1] ?? 0);
  const body = block.subarray(blockHeaderBytes);
  // One byte more than needed lets the decoder see the end without a second buffer.
  const options = { chunkSize: Math.max(size + 1, 64), maxOutputLength: size };
  let bytes: Uint8Array | null;
  switch (algorithm) {
    case "ZL":
      bytes = inflateSync(body, options);
      break;
    case "ZS":
      bytes = zstdDecompressSync(body, options);
      break;
    case "XZ":
      bytes = await unpackXz(body, size);
      break;
    case "L4":
      await checkLz4(body);
      bytes = await unzip(block, size);
      break;
    case "CS": // ROOT before version 3
      bytes = await unzip(block, size);
      break;
    default:
      throw new Error(`unknown compression ${JSON.stringify(algorithm)}`);
  }
  if (bytes?.length !== size) {
    throw new Error(`${algorithm} block does not unpack to ${size} bytes`);
  }
  return bytes;
}

/** Null for more than `size` bytes: a few kilobytes can stand for gigabytes. */
async function unpackXz(body: Uint8Array, size: number): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of new xz.XzReadableStream(ReadableStream.from([body]))) {
    bytes += piece.length;
    if (bytes > size) return null;
    pieces.push(piece);
  }
  return concat(pieces);
}

async function checkLz4(body: Uint8Array): Promise<void> {
  const expected = new DataView(body.buffer, body.byteOffset).getBigUint64(0);
  hasher ??= xxhash();
  if ((await hasher).h64Raw(body.subarray(lz4ChecksumBytes)) !== expected) {
    throw new Error("the checksum of an LZ4 block does not match");
  }
}
let hasher: ReturnType<typeof xxhash> | undefined;

function uint24(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
}
