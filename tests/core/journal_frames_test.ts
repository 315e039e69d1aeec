import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import {
  describeEnd,
  frameOf,
  type JournalEnd,
  journalHead,
  JournalReader,
} from "../../core/journal/frames.ts";

/** The frame of bytes that need not be JSON. */
function framed(payload: Uint8Array): Uint8Array {
  const frame = concat([frameOf(0).subarray(0, 12), payload]);
  const view = new DataView(frame.buffer);
  view.setUint32(4, payload.length, true);
  view.setUint32(8, crc32(payload, crc32(frame.subarray(4, 8))), true);
  return frame;
}

const record = fc.record({ type: fc.string(), value: fc.jsonValue({ maxDepth: 2 }) })
  .map((value): unknown => JSON.parse(JSON.stringify(value)));
const records = fc.array(record, { minLength: 1, maxLength: 8 });

function written(all: readonly unknown[]): Uint8Array {
  return concat([journalHead(), ...all.map(frameOf)]);
}

function read(bytes: Uint8Array): { got: unknown[]; end: JournalEnd } {
  const reader = new JournalReader(bytes);
  const got = [...reader.rest()];
  return { got, end: reader.end! };
}

Deno.test("a journal is read as it was written", () => {
  fc.assert(fc.property(records, (all) => {
    const bytes = written(all);
    assert.deepEqual(read(bytes), { got: all, end: { kind: "whole", offset: bytes.length } });
  }));
});

Deno.test("a journal cut anywhere gives all records that are whole, and says that it is torn", () => {
  fc.assert(fc.property(records, fc.nat(), (all, seed) => {
    const ends = [16];
    for (const one of all) ends.push(ends.at(-1)! + frameOf(one).length);
    const bytes = written(all);
    const length = seed % bytes.length;
    const { got, end } = read(bytes.subarray(0, length));
    const whole = ends.filter((at) => at <= length).length - 1;
    assert.deepEqual(got, all.slice(0, Math.max(0, whole)));
    const offset = ends[whole] ?? 0;
    assert.equal(end.kind, length === 0 || offset === length ? "whole" : "torn");
    assert.equal(end.offset, offset);
  }));
});

Deno.test("a flipped bit costs its record and what follows, and is named by its place", () => {
  fc.assert(fc.property(records, fc.nat(), fc.nat(7), (all, seed, bit) => {
    const bytes = written(all);
    const at = 16 + seed % (bytes.length - 16);
    bytes[at]! ^= 1 << bit;
    let offset = 16;
    let before = 0;
    while (offset + frameOf(all[before]).length <= at) offset += frameOf(all[before++]).length;
    const { got, end } = read(bytes);
    assert.deepEqual(got, all.slice(0, before));
    assert.equal(end.offset, offset);
    // Only what has sound frames behind it can be told from a torn end.
    assert.equal(end.kind, before + 1 < all.length ? "damaged" : "torn");
  }));
});

Deno.test("a flipped bit in the head, another format and other files are foreign", () => {
  fc.assert(fc.property(fc.nat(15), fc.nat(7), (at, bit) => {
    const bytes = written([{ type: "a" }]);
    bytes[at]! ^= 1 << bit;
    const { got, end } = read(bytes);
    assert.deepEqual([got, end.kind], [[], "foreign"]);
  }));
  const later = concat([journalHead(7), frameOf(1)]);
  assert.equal(
    describeEnd("run/journal", read(later).end),
    "run/journal cannot be read: its format has version 7, and this wqx reads version 1",
  );
});

Deno.test("any bytes at all give records or an end, never an exception", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    read(bytes);
    read(concat([journalHead(), bytes]));
    read(concat([journalHead(), frameOf([1]), bytes, frameOf([2])]));
    read(concat([journalHead(), framed(bytes)])); // its checksum holds
  }));
});

Deno.test("people are told where a journal is damaged and what follows from it", () => {
  const first = frameOf("first");
  const bytes = concat([journalHead(), first, frameOf("second"), frameOf("third")]);
  bytes[16 + first.length + 14]! ^= 1;
  assert.equal(
    describeEnd("run/journal", read(bytes).end),
    "run/journal is damaged at byte 35: what is before is used, and the tasks of the 39 bytes " +
      "after it run again",
  );
  assert.equal(
    describeEnd("run/journal", read(bytes.subarray(0, 20)).end),
    "The last record of run/journal was not written whole (4 bytes at 16); it is left out, and " +
      "its task runs again",
  );
});
