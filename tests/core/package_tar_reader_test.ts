import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import { RunError } from "../../core/errors.ts";
import { tarEnd, tarHeader, tarPadding } from "../../core/package/tar_header.ts";
import { isHeader, type TarMember, TarReader } from "../../core/package/tar_reader.ts";
import { checked, type Member, tarOf } from "../support/tar.ts";

/** Members with their data, read in pieces of these sizes (the last one again and again). */
function read(archive: Uint8Array, sizes: readonly number[] = [archive.length]) {
  const reader = new TarReader();
  const found: { member: TarMember; text: string }[] = [];
  let at = 0;
  for (let i = 0; at < archive.length; i++) {
    const size = Math.max(1, sizes[Math.min(i, sizes.length - 1)]!);
    reader.feed(archive.subarray(at, at += size));
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (event.type === "member") found.push({ member: event.member, text: "" });
      else found.at(-1)!.text += new TextDecoder("latin1").decode(event.bytes);
    }
  }
  reader.finish();
  return found;
}

const name = fc.stringMatching(/^[a-z0-9._-]{1,30}$/);
const path = fc.array(name, { minLength: 1, maxLength: 12 }).map((parts) => parts.join("/"));
const members: fc.Arbitrary<Member[]> = fc.array(
  fc.record({
    path: fc.oneof(path, path.map((text) => `${text}/ü`)),
    text: fc.stringMatching(/^[ -~]{0,2000}$/),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    timeS: fc.integer({ min: 0, max: 2 ** 33 - 1 }),
  }),
  { maxLength: 8 },
);

Deno.test("TarReader reads what is written for archives, however it is cut", () => {
  fc.assert(fc.property(
    members,
    fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }),
    (written, sizes) => {
      const found = read(tarOf(written), sizes);
      assert.deepEqual(
        found.map(({ member, text }) => [member.path, text, member.mode, member.mtime]),
        written.map(({ path, text, mode, timeS }) => [path, text, mode, timeS]),
      );
    },
  ));
});

Deno.test("TarReader reads links, long names of GNU tar, large sizes and fractions of seconds", () => {
  const long = "d/".repeat(150) + "file";
  const plain = (entry: Partial<Member>) =>
    tarHeader({ path: "x", kind: "file", mode: 0o644, size: 0, timeS: 5, ...entry });
  const flagged = (flag: string, body: string) => {
    const bytes = new TextEncoder().encode(body);
    const block = plain({ size: bytes.length });
    block[156] = flag.charCodeAt(0);
    return concat([checked(block), bytes, tarPadding(bytes.length)]);
  };
  const archive = concat([
    flagged("L", `${long}\0`),
    flagged("K", `${long}.target\0`),
    plain({ kind: "link", target: "short" }),
    flagged("x", "22 mtime=1700000000.5\n11 path=ä\n"),
    plain({ kind: "hard-link", target: "bin/a" }),
    tarEnd,
  ]);
  assert.deepEqual(
    read(archive).map(({ member }) => [member.path, member.kind, member.target, member.mtime]),
    [[long, "link", `${long}.target`, 5], ["ä", "hard-link", "bin/a", 1700000000.5]],
  );

  const large = plain({});
  large.set([0x80, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0], 124); // 3 × 2^32, in base 256
  const reader = new TarReader();
  reader.feed(checked(large));
  const event = reader.next();
  assert.equal(event?.type === "member" && event.member.size, 3 * 2 ** 32);
});

Deno.test("TarReader says where an archive is cut off or damaged", () => {
  const whole = tarOf([{ path: "a", text: "x".repeat(700) }]);
  for (const length of [511, 512, 1000, 512 + 1024]) {
    assert.throws(() => read(whole.slice(0, length)), /cut off after \d+ bytes/, String(length));
  }
  const damaged = whole.slice();
  damaged[3]! ^= 1;
  assert.throws(() => read(damaged), /damaged: no tar header at byte 0/);
  assert.ok(isHeader(whole) && !isHeader(damaged) && !isHeader(whole.subarray(0, 100)));

  const holes = tarOf([{ path: "x", text: "22 GNU.sparse.major=1\n", typeFlag: "x" }]);
  assert.throws(() => read(holes), /a file with holes/);
  const endless = tarOf([{ path: "x", size: 2 ** 30, typeFlag: "x" }]);
  assert.throws(() => read(endless), /a header of 1073741824 bytes/);
});

Deno.test("any bytes are members or a RunError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(600), (bytes, at) => {
    const archive = tarOf([{ path: "a", text: "hello" }]);
    archive.set(bytes.subarray(0, Math.max(0, archive.length - at)), at);
    try {
      read(archive);
    } catch (error) {
      assert.ok(error instanceof RunError, String(error));
    }
  }));
});
