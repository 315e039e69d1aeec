/**
 * Partial results as bytes, for tasks to hand on: a JSON tree, and beside it the raw numbers.
 *
 * | bytes | what |
 * | --- | --- |
 * | 0–7 | `wqx-acc1` |
 * | 8–15 | length of the whole in bytes |
 * | 16–47 | SHA-256 of all that follows |
 * | 48–55 | length of the tree in bytes |
 * | 56– | the tree in UTF-8, zeros up to a multiple of 8, then the arrays, each so aligned |
 *
 * All numbers are little-endian, as every platform of Deno is, so arrays are copied as they lie.
 */
import { createHash } from "node:crypto";
import { type Accumulator, typedArrays } from "./merge.ts";
import { type NumbersForm, readTree, writeTree } from "./json.ts";
import type { FlatColumn } from "../columns.ts";

/** The bytes are no partial result, or not all of one. */
export class DamagedResultError extends Error {
  override readonly name = "DamagedResultError";
}

const magic = new TextEncoder().encode("wqx-acc1");
const digestStart = 16;
const bodyStart = 48;
const treeStart = 56;

/** Shorter lists of plain numbers cost less as JSON than as an array of their own. */
const listMin = 16;

const aligned = (length: number) => Math.ceil(length / 8) * 8;

/** The accumulator as bytes. Throws an `AccumulatorError` if it holds what cannot be merged. */
export function encode(accumulator: Accumulator): Uint8Array<ArrayBuffer> {
  const blocks: FlatColumn[] = [];
  let length = 0;
  const keep = (array: FlatColumn) => {
    blocks.push(array);
    const at = length;
    length += aligned(array.byteLength);
    return [at, array.length];
  };
  const form: NumbersForm = {
    cells: { write: keep, read: unread },
    write: keep,
    read: unread,
    listMin,
  };
  const tree = new TextEncoder().encode(JSON.stringify(writeTree(accumulator, form)));
  const blocksStart = treeStart + aligned(tree.length);
  const bytes = new Uint8Array(blocksStart + length);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setBigUint64(8, BigInt(bytes.length), true);
  view.setBigUint64(bodyStart, BigInt(tree.length), true);
  bytes.set(tree, treeStart);
  let at = blocksStart;
  for (const block of blocks) {
    bytes.set(new Uint8Array(block.buffer, block.byteOffset, block.byteLength), at);
    at += aligned(block.byteLength);
  }
  bytes.set(digest(bytes), digestStart);
  return bytes;
}

function unread(): never {
  throw new Error("encoding does not read");
}

/**
 * The accumulator that `encode` wrote. Throws a `DamagedResultError` that says how if the bytes are
 * something else, cut off, or changed.
 */
export function decode(bytes: Uint8Array): Accumulator {
  const problem = "Cannot read a partial result:";
  const start = bytes.subarray(0, magic.length);
  if (start.some((byte, i) => byte !== magic[i])) {
    throw new DamagedResultError(`${problem} it does not start with "wqx-acc1"`);
  }
  if (bytes.length < treeStart) {
    throw new DamagedResultError(
      `${problem} it was cut off after ${bytes.length} bytes, within its header`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(8, true);
  if (BigInt(bytes.length) !== length) {
    throw new DamagedResultError(
      `${problem} it has ${bytes.length} bytes, but was written with ${length}`,
    );
  }
  if (digest(bytes).some((byte, i) => byte !== bytes[digestStart + i])) {
    throw new DamagedResultError(`${problem} its ${length} bytes are not those that were written`);
  }
  const treeLength = Number(view.getBigUint64(bodyStart, true));
  const tree = bytes.subarray(treeStart, treeStart + treeLength);
  const blocks = bytes.subarray(treeStart + aligned(treeLength));
  const block: NumbersForm["read"] = (value, name) => {
    const [at, count] = value as [number, number];
    const Type = typedArrays[name];
    // A copy, so that the array is aligned and does not keep the whole file in memory.
    const own = blocks.slice(at, at + count * Type.BYTES_PER_ELEMENT);
    return new Type(own.buffer);
  };
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(tree));
  } catch {
    throw new DamagedResultError(`${problem} its tree is not JSON`);
  }
  return readTree(parsed, {
    cells: { write: unread, read: (value) => block(value, "Float64Array") as Float64Array },
    write: unread,
    read: block,
    listMin,
  });
}

function digest(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes.subarray(bodyStart)).digest();
}
