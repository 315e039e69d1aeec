/** ROOT files: the container by jsroot, headers, compressed blocks and baskets by us. */
import assert from "node:assert/strict";
import { type Basket, decode, int32s } from "../../../analysis/root/decode.ts";
import { uuidFromHead } from "../../../analysis/root/header.ts";
import { type Layout, scalarBytes } from "../../../analysis/root/layout.ts";
import { openTree } from "../../../analysis/root/mod.ts";
import { unpack } from "../../../analysis/root/unpack.ts";
import type { FlatColumn } from "../../../core/columns.ts";
import { DataError } from "../../../core/errors.ts";
import { deflateSync, zstdCompressSync } from "node:zlib";
import { concat } from "../../../core/bytes.ts";
import { orRefused, type Target } from "../target.ts";

const sample = Deno.readFileSync(new URL("../../golden/root/types.root", import.meta.url));

const scalars = ["bool", "int8", "int16", "int32", "int64", "float32", "float64"] as const;
const shapes = ["fixed", "counted", "vector"] as const;

/** Layout and basket by the first bytes, their values by the rest. */
function asBasket(bytes: Uint8Array): { readonly layout: Layout; readonly basket: Basket } | null {
  if (bytes.length < 12) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const scalar = scalars[bytes[0]! % scalars.length]!;
  const shape = shapes[bytes[1]! % shapes.length]!;
  const perEvent = bytes[2] === 255 ? view.getUint32(8) : bytes[2]!;
  const events = bytes[3] === 255 ? view.getUint32(4) & 0x7fffffff : bytes[3]!;
  const from = Math.min(bytes[4]!, events), to = Math.min(from + bytes[5]!, events);
  const offsetCount = Math.min(bytes[6]!, (bytes.length - 12) >> 2);
  const split = bytes.length - 4 * offsetCount;
  const entryOffsets = bytes[6] === 255 ? null : int32s(bytes.subarray(split));
  const values = bytes.subarray(12, split);
  // Leaves side by side: this one, what is before it, and what is behind it.
  const offsetBytes = bytes[8]! & 15;
  const ownBytes = perEvent * scalarBytes(scalar);
  const record = bytes[7]! < 200
    ? null
    : { offsetBytes, bytes: offsetBytes + ownBytes + (bytes[9]! & 15) };
  const fixed = shape === "fixed" ? perEvent : 1;
  return {
    layout: { scalar, shape, perEvent: fixed, record: shape === "fixed" ? record : null },
    basket: { from, to, values, events, entryOffsets, base: bytes[10]! & 3 },
  };
}

const head = (letters: string, packed: number, size: number) =>
  concat([
    new TextEncoder().encode(letters),
    new Uint8Array([8, packed & 255, packed >> 8, 0, size & 255, size >> 8, 0]),
  ]);
const text = new TextEncoder().encode("the same the same the same the same");
const blocks = (["ZL", "ZS"] as const).map((letters) => {
  const packed = letters === "ZL" ? deflateSync(text) : zstdCompressSync(text);
  return concat([head(letters, packed.length, text.length), packed]);
});

/** A file of few branches, damaged where the mutation says: it is too long to be an input itself. */
function damaged(bytes: Uint8Array): Uint8Array {
  const file = sample.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const place = view.getUint16(at) << 1 ^ bytes[at + 2]! & 1;
    file[place % file.length] = bytes[at + 3]!;
  }
  return file;
}

export const rootTargets: readonly Target[] = [
  {
    name: "root-files",
    code: ["analysis/root/"],
    words: [],
    lengthMax: 64,
    // The list of contents, headers of keys, the tree.
    seeds: [new Uint8Array(0), new Uint8Array([0, 50, 0, 1]), new Uint8Array([250, 0, 1, 255])],
    async run(bytes) {
      const path = await Deno.makeTempFile({ prefix: "wqx-fuzz-", suffix: ".root" });
      try {
        await Deno.writeFile(path, damaged(bytes));
        await using reader = await openTree(path, "types");
        const names = reader.columns().flatMap(({ name, readable }) => readable ? [name] : []);
        // Of three hundred branches one, else an input would take a fifth of a second.
        const chosen = names[bytes.reduce((sum, byte) => sum + byte, 0) % names.length];
        if (chosen !== undefined) {
          await reader.read([chosen], 0, Math.min(reader.entries, 1000));
        }
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
      } finally {
        await Deno.remove(path);
      }
    },
  },
  {
    name: "root-heads",
    code: ["analysis/root/header.ts"],
    words: ["root", "\0\x0f\x42\x40", "<html"],
    lengthMax: 1024,
    seeds: [sample.subarray(0, 300)],
    run(bytes) {
      for (const size of [bytes.length, 1e6]) {
        const uuid = orRefused(() => uuidFromHead("file", bytes, size), DataError);
        assert.ok(uuid === null || uuid.length === 36);
      }
    },
  },
  {
    name: "root-baskets",
    code: ["analysis/root/decode.ts"],
    words: ["\xff\xff\xff\xff", "\0\0\0\x01", "\x7f\xff\xff\xff"],
    lengthMax: 512,
    seeds: [
      concat([new Uint8Array([5, 0, 1, 4, 1, 2, 0, 0, 0, 0, 0, 0]), new Uint8Array(16)]),
      concat([
        new Uint8Array([3, 1, 0, 2, 0, 2, 2, 0, 0, 0, 0, 0]),
        new Uint8Array(8),
        new Uint8Array([0, 0, 0, 0, 0, 0, 0, 4]),
      ]),
      concat([
        new Uint8Array([5, 2, 0, 1, 0, 1, 255, 0, 0, 0, 0, 0]),
        new Uint8Array([0x40, 0, 0, 10, 0, 9, 0, 0, 0, 1, 1, 2, 3, 4]),
      ]),
      concat([new Uint8Array([5, 0, 1, 2, 0, 2, 0, 200, 4, 8, 0, 0]), new Uint8Array(16)]),
    ],
    run(bytes) {
      const made = asBasket(bytes);
      if (made === null) return;
      const { layout, basket } = made;
      const column = orRefused(() => decode(layout, [basket]), Error);
      if (column === null) return;
      const values: FlatColumn = "offsets" in column ? column.values : column;
      assert.ok(values.length * scalarBytes(layout.scalar) <= bytes.length);
    },
  },
  {
    name: "root-blocks",
    code: ["analysis/root/unpack.ts"],
    words: ["ZL\x08", "ZS\x01", "XZ\0", "L4\x01", "CS\x08", "\x23\0\0", "\xff\xff\xff"],
    lengthMax: 600,
    seeds: [...blocks, concat(blocks)],
    async run(bytes) {
      for (const size of [text.length, 2 * text.length]) {
        try {
          assert.equal((await unpack(bytes, size)).length, size);
        } catch (error) {
          // A caller tells it as damage of the file, whatever a decoder called it.
          if (!(error instanceof Error) || error.name === "AssertionError") throw error;
        }
      }
    },
  },
];
