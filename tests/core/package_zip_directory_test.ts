import assert from "node:assert/strict";
import fc from "fast-check";
import { memberOffset, type ReadAt, zipMembers } from "../../core/package/zip_directory.ts";
import { RunError } from "../../core/errors.ts";

interface Made {
  readonly name: string;
  readonly data: Uint8Array;
}

/** A zip of stored members, as builders of packages write it; `zip64` uses the long fields always. */
function zipOf(members: readonly Made[], zip64: boolean, comment = ""): Uint8Array {
  const out: number[] = [];
  const put = (value: number, bytes: number) => {
    for (let i = 0; i < bytes; i++) out.push(Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
  };
  const text = (value: string) => out.push(...new TextEncoder().encode(value));
  const big = 0xffffffff;
  const offsets: number[] = [];
  for (const { name, data } of members) {
    offsets.push(out.length);
    put(0x04034b50, 4);
    for (const value of [45, 0, 0, 0, 0]) put(value, 2);
    put(0, 4);
    put(zip64 ? big : data.length, 4);
    put(zip64 ? big : data.length, 4);
    put(new TextEncoder().encode(name).length, 2);
    put(zip64 ? 20 : 0, 2);
    text(name);
    if (zip64) {
      [[1, 2], [16, 2], [data.length, 8], [data.length, 8]].forEach(([v, b]) => put(v!, b!));
    }
    out.push(...data);
  }
  const start = out.length;
  for (const [i, { name, data }] of members.entries()) {
    put(0x02014b50, 4);
    for (const value of [45, 45, 0, 0, 0, 0]) put(value, 2);
    put(0, 4);
    put(zip64 ? big : data.length, 4);
    put(zip64 ? big : data.length, 4);
    put(new TextEncoder().encode(name).length, 2);
    put(zip64 ? 28 : 0, 2);
    for (const value of [0, 0, 0]) put(value, 2);
    put(0, 4);
    put(zip64 ? big : offsets[i]!, 4);
    text(name);
    if (!zip64) continue;
    put(1, 2);
    put(24, 2);
    for (const value of [data.length, data.length, offsets[i]!]) put(value, 8);
  }
  const size = out.length - start;
  if (zip64) {
    const end = out.length;
    put(0x06064b50, 4);
    put(44, 8);
    put(45, 2);
    put(45, 2);
    put(0, 4);
    put(0, 4);
    for (const value of [members.length, members.length, size, start]) put(value, 8);
    put(0x07064b50, 4);
    put(0, 4);
    put(end, 8);
    put(1, 4);
  }
  put(0x06054b50, 4);
  put(0, 2);
  put(0, 2);
  put(zip64 ? 0xffff : members.length, 2);
  put(zip64 ? 0xffff : members.length, 2);
  put(zip64 ? big : size, 4);
  put(zip64 ? big : start, 4);
  put(comment.length, 2);
  text(comment);
  return Uint8Array.from(out);
}

const readOf = (bytes: Uint8Array): ReadAt => (offset, length) =>
  bytes.slice(offset, offset + length);

const members = fc.array(
  fc.record({ name: fc.string({ maxLength: 20 }), data: fc.uint8Array({ maxLength: 50 }) }),
  { maxLength: 5 },
);

Deno.test("members of a zip are found where they are, with and without ZIP64 fields", () => {
  const comments = fc.constantFrom("", "a comment");
  fc.assert(fc.property(members, fc.boolean(), comments, (made, zip64, comment) => {
    const bytes = zipOf(made, zip64, comment);
    const read = readOf(bytes);
    const found = zipMembers(read, bytes.length);
    assert.equal(found.length, made.length);
    for (const [i, { name, data }] of made.entries()) {
      const member = found[i]!;
      const start = memberOffset(read, member, bytes.length);
      assert.equal(member.name, new TextDecoder().decode(new TextEncoder().encode(name)));
      assert.ok(member.isStored);
      assert.deepEqual(bytes.slice(start, start + member.size), data);
    }
  }));
});

Deno.test("a zip that is cut off anywhere is an error of the sentence kind", () => {
  const data = new Uint8Array(40).fill(7);
  for (const zip64 of [true, false]) {
    const whole = zipOf([{ name: "pkg-a.tar.zst", data }, { name: "info", data }], zip64);
    for (let size = 0; size < whole.length; size++) {
      const bytes = whole.slice(0, size);
      assert.throws(() => zipMembers(readOf(bytes), size), RunError);
    }
  }
});

Deno.test("any change of a byte gives members or a RunError, and nothing beyond the file", () => {
  const data = new Uint8Array(10);
  fc.assert(fc.property(fc.boolean(), fc.nat(), fc.nat(255), (zip64, at, value) => {
    const bytes = zipOf([{ name: "a", data }, { name: "b", data }], zip64);
    bytes[at % bytes.length] = value;
    const read = readOf(bytes);
    try {
      for (const member of zipMembers(read, bytes.length)) {
        const start = memberOffset(read, member, bytes.length);
        assert.ok(start + member.size <= bytes.length);
      }
    } catch (error) {
      assert.ok(error instanceof RunError, String(error));
    }
  }));
});
