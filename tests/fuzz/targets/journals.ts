/** Journals of runs, results of task lists, and partial results. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { createHash } from "node:crypto";
import { DamagedResultError, decode, encode } from "../../../core/accumulator/codec.ts";
import { AccumulatorError } from "../../../core/accumulator/merge.ts";
import { concat } from "../../../core/bytes.ts";
import { integer, regular } from "../../../core/histogram/axis.ts";
import { Hist } from "../../../core/histogram/hist.ts";
import { describeEnd, frameOf, journalHead, JournalReader } from "../../../core/journal/frames.ts";
import { orRefused, type Target } from "../target.ts";

const records = [{ type: "opened", n: 1 }, { type: "cut", file: 0, range: [0, 5] }, "x", [1, 2]];
const journal = concat([journalHead(), ...records.map(frameOf)]);

/** Checksums of the frames, as far as their lengths lead. */
function summed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length >= 16) view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
  for (let at = 16; at + 12 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const end = at + 12 + length;
    if (end > bytes.length) break;
    view.setUint32(
      at + 8,
      crc32(bytes.subarray(at + 12, end), crc32(bytes.subarray(at + 4, at + 8))),
      true,
    );
    at = end;
  }
  return bytes;
}

const hist = new Hist([regular(3, 0, 1, { name: "x" }), integer(0, 4, { name: "n" })]);
hist.fill({ x: 0.5, n: 2 });
const results = [
  encode({ sum: 3, list: Array.from({ length: 20 }, (_, i) => i), big: 2n ** 65n }),
  encode({ h: hist, set: new Set(["a"]), array: new Float64Array([1, 2]) }),
];

/** Length and SHA-256 of a partial result. */
function sealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 56) return bytes;
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(8, BigInt(bytes.length), true);
  bytes.set(createHash("sha256").update(bytes.subarray(48)).digest(), 16);
  return bytes;
}

export const journalTargets: readonly Target[] = [
  {
    name: "journal",
    code: ["core/journal/"],
    words: ["wqx-jrnl", "WQJR", "WQJR\x02\0\0\0", "null", "{}"],
    seeds: [journal, journal.subarray(0, journal.length - 5), journalHead(), "x"],
    mend: summed,
    run(bytes) {
      const reader = new JournalReader(bytes);
      let before = reader.offset;
      for (let record = reader.next(); record !== null; record = reader.next()) {
        assert.ok(reader.offset > before && reader.offset <= bytes.length);
        before = reader.offset;
      }
      const { end } = reader;
      assert.ok(end !== null && end.offset <= bytes.length);
      describeEnd("journal", end);
      if (end.kind === "foreign") return;
      // What is cut off there is whole, and has the same records.
      const again = new JournalReader(bytes.subarray(0, end.offset));
      assert.equal([...again.rest()].length, [...new JournalReader(bytes).rest()].length);
      assert.equal(again.end?.kind, "whole");
    },
  },
  {
    name: "partial-results",
    code: [
      "core/accumulator/codec.ts",
      "core/accumulator/json.ts",
      "core/histogram/uhi.ts",
      "core/histogram/axis.ts",
    ],
    words: [
      "wqx-acc1",
      "float64",
      "hist",
      "uhi_schema",
      "axes",
      "storage",
      "regular",
      "variable",
      "category_str",
      "[0,",
      "1e308",
      "-1",
    ],
    seeds: results,
    mend: sealed,
    run(bytes) {
      const value = orRefused(() => decode(bytes), DamagedResultError, AccumulatorError);
      if (value !== null) encode(value);
    },
  },
];
