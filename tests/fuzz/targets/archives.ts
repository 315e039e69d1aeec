/** Archives of environments and packages: tar, zip, zstd, ELF, relocations. */
import assert from "node:assert/strict";
import { concat } from "../../../core/bytes.ts";
import { RunError } from "../../../core/errors.ts";
import { elfLinks, withRunPath } from "../../../core/package/elf.ts";
import { replaceBinary, replaceShebang, replaceText } from "../../../core/package/placeholder.ts";
import { envShebang } from "../../../core/package/placeholder.ts";
import { parseCondaUnpack, parseRelocations } from "../../../core/package/relocations.ts";
import { writeRelocations } from "../../../core/package/relocations.ts";
import { SafeTree } from "../../../core/package/tar_safety.ts";
import { TarReader } from "../../../core/package/tar_reader.ts";
import { memberOffset, zipMembers } from "../../../core/package/zip_directory.ts";
import { isZstd, zstdFrames } from "../../../core/package/zstd_frames.ts";
import { checked, tarOf } from "../../support/tar.ts";
import { assertSame, inPieces, orRefused, type Target, textOf } from "../target.ts";

const tar = tarOf([
  { path: "bin/", kind: "folder" },
  { path: "bin/a", text: "x".repeat(20) },
  { path: "lib/b", kind: "link", target: "../bin/a" },
  { path: "lib/c", kind: "hard-link", target: "bin/a" },
  { path: `long/${"n".repeat(120)}`, text: "" },
]);

/** Sums of the headers, where there might be some. */
function withSums(bytes: Uint8Array): Uint8Array {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (block[257] === 0x75 || block[156]! >= 0x30 && block[148] !== 0) checked(block);
  }
  return bytes;
}

/** Members and data of a tar archive, and what the tree that they make is. */
function unpacked(pieces: Iterable<Uint8Array>): unknown {
  const reader = new TarReader();
  const tree = new SafeTree({ bytesMax: 1e6, why: "and no more is allowed", membersMax: 100 });
  const seen: unknown[] = [];
  let data = 0;
  const refused = orRefused(() => {
    for (const piece of pieces) {
      reader.feed(piece);
      for (let event = reader.next(); event !== null; event = reader.next()) {
        if (event.type === "data") {
          data += event.bytes.length;
          continue;
        }
        const safe = tree.admit(event.member);
        seen.push(data, event.member, safe);
        if (safe === null) continue;
        assertInside(safe.path);
        if (safe.kind === "hard-link") assertInside(safe.target);
        if (safe.kind === "link") assert.ok(!safe.target.startsWith("/"));
      }
    }
    reader.finish();
    tree.finish();
    return true;
  }, RunError);
  return [seen, refused === null ? null : data];
}

function assertInside(path: string): void {
  const parts = path.split("/");
  assert.ok(!parts.some((part) => part === "" || part === "." || part === ".."), path);
}

const number = (value: number, bytes: number) =>
  Uint8Array.from({ length: bytes }, (_, i) => value / 256 ** i & 255);

/** A zip archive with one stored member, as builders of packages write it. */
function zip(name: string, data: string): Uint8Array {
  const [label, content] = [name, data].map((text) => new TextEncoder().encode(text));
  const sizes = [number(content!.length, 4), number(content!.length, 4), number(label!.length, 2)];
  const local = concat([
    number(0x04034b50, 4),
    new Uint8Array(14),
    ...sizes,
    number(0, 2),
    label!,
    content!,
  ]);
  const entry = concat([
    number(0x02014b50, 4),
    new Uint8Array(16),
    ...sizes,
    new Uint8Array(16),
    label!,
  ]);
  const end = [
    number(1, 2),
    number(1, 2),
    number(entry.length, 4),
    number(local.length, 4),
    number(0, 2),
  ];
  return concat([local, entry, number(0x06054b50, 4), new Uint8Array(4), ...end]);
}

/** The same with the long fields that builders write for tiny members too (ZIP64). */
function zip64(name: string, data: string): Uint8Array {
  const [label, content] = [name, data].map((text) => new TextEncoder().encode(text));
  const local = concat([
    number(0x04034b50, 4),
    new Uint8Array(22),
    number(label!.length, 2),
    number(0, 2),
    label!,
    content!,
  ]);
  const unknown = number(0xffffffff, 4);
  const long = [content!.length, content!.length, 0].map((value) => number(value, 8));
  const entry = concat([
    number(0x02014b50, 4),
    new Uint8Array(16),
    unknown,
    unknown,
    number(label!.length, 2),
    number(4 + 24, 2),
    new Uint8Array(10),
    unknown,
    label!,
    number(1, 2),
    number(24, 2),
    ...long,
  ]);
  const end = concat([
    number(0x06064b50, 4),
    number(44, 8),
    new Uint8Array(20),
    number(1, 8),
    number(entry.length, 8),
    number(local.length, 8),
  ]);
  const locator = concat([
    number(0x07064b50, 4),
    new Uint8Array(4),
    number(local.length + entry.length, 8),
    number(1, 4),
  ]);
  const last = concat([number(0x06054b50, 4), new Uint8Array(8), unknown, unknown, number(0, 2)]);
  return concat([local, entry, end, locator, last]);
}

/** A small shared library with a run path, in the fewest bytes. */
function elf(): Uint8Array {
  const strings = new TextEncoder().encode("\0libc.so.6\0/opt/prefix/lib\0");
  const [tableAt, dynamicAt, stringsAt] = [64, 64 + 2 * 56, 64 + 2 * 56 + 4 * 16];
  const bytes = new Uint8Array(stringsAt + strings.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setBigUint64(32, BigInt(tableAt), true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (i: number, type: number, offset: number, size: number) => {
    const at = tableAt + i * 56;
    view.setUint32(at, type, true);
    [offset, offset].forEach((v, j) => view.setBigUint64(at + 8 + 8 * j, BigInt(v), true));
    view.setBigUint64(at + 32, BigInt(size), true);
  };
  segment(0, 1, 0, bytes.length);
  segment(1, 2, dynamicAt, 4 * 16);
  [[5, stringsAt], [1, 1], [29, 11], [0, 0]].forEach(([tag, value], i) => {
    view.setBigUint64(dynamicAt + 16 * i, BigInt(tag!), true);
    view.setBigUint64(dynamicAt + 16 * i + 8, BigInt(value!), true);
  });
  bytes.set(strings, stringsAt);
  return bytes;
}

const zstd = Uint8Array.fromHex("28b52ffd2003190000616263");

export const archiveTargets: readonly Target[] = [
  {
    name: "tar",
    code: ["core/package/tar_reader.ts", "core/package/tar_safety.ts"],
    words: [
      "../",
      "/",
      "ustar",
      "0000644\0",
      "x",
      "L",
      "K",
      "2",
      "1",
      "20 path=../../a\n",
      "13 size=99\n",
      "\x80\0\0\0\0\0\0\x01",
      "\0".repeat(512),
    ],
    lengthMax: 8192,
    seeds: [tar],
    mend: withSums,
    run: (bytes) => assertSame(unpacked(inPieces(bytes)), unpacked([bytes]), "cut elsewhere"),
  },
  {
    name: "tar-links",
    code: ["core/package/tar_safety.ts"],
    words: [
      "..",
      "/",
      "./",
      "bin",
      "lib",
      "\0",
      "file",
      "folder",
      "link",
      "hard-link",
      "a".repeat(256),
    ],
    isJson: true,
    lengthMax: 1000,
    seeds: [
      '[["folder","bin"],["file","bin/a"],["link","lib/b","../bin/a"],["hard-link","c","bin/a"],["link","d","lib"],["link","lib/e","../d/b"]]',
      '[["link","a","b"],["link","b","c/.."],["folder","c"],["link","x","a/../a"]]',
    ],
    run(bytes) {
      const members: unknown = orRefused(() => JSON.parse(textOf(bytes)), SyntaxError);
      if (!Array.isArray(members)) return;
      const tree = new SafeTree({ bytesMax: 1e9, why: "and no more is allowed", membersMax: 50 });
      const made = new Map<string, string>();
      const whole = orRefused(() => {
        for (const member of members) {
          const [kind, path, target = ""]: unknown[] = Array.isArray(member) ? member : [];
          const known = (["file", "folder", "link", "hard-link", "other"] as const).find((one) =>
            one === kind
          );
          if (known === undefined || typeof path !== "string" || typeof target !== "string") {
            continue;
          }
          const safe = tree.admit({
            path,
            kind: known,
            target,
            size: 0,
            mode: 0,
            mtime: 0,
            typeFlag: "0",
          });
          if (safe === null) continue;
          assertInside(safe.path);
          made.set(safe.path, safe.kind === "link" ? safe.target : "");
        }
        tree.finish();
        return true;
      }, RunError);
      if (whole) { for (const path of made.keys()) assertStays(path, made); }
    },
  },
  {
    name: "zip",
    code: ["core/package/zip_directory.ts"],
    words: [
      "PK\x01\x02",
      "PK\x03\x04",
      "PK\x05\x06",
      "PK\x06\x06",
      "PK\x06\x07",
      "\x01\0\x18\0",
      "\xff\xff\xff\xff",
    ],
    seeds: [
      zip("info-a.tar.zst", "abc"),
      zip64("info-a.tar.zst", "abc"),
      concat([zip("x", ""), new Uint8Array(30)]),
    ],
    run(bytes) {
      const read = (offset: number, length: number) => {
        assert.ok(offset >= 0 && length >= 0 && Number.isSafeInteger(offset + length));
        return bytes.subarray(offset, offset + length);
      };
      for (const member of orRefused(() => zipMembers(read, bytes.length), RunError) ?? []) {
        const start = orRefused(() => memberOffset(read, member, bytes.length), RunError);
        assert.ok(start === null || start + member.size <= bytes.length);
      }
    },
  },
  {
    name: "zstd-frames",
    code: ["core/package/zstd_frames.ts"],
    words: ["\x28\xb5\x2f\xfd", "\x50\x2a\x4d\x18", "\x01\0\0", "\xff\xff\xff\xff"],
    seeds: [zstd, concat([zstd, zstd])],
    run(bytes) {
      isZstd(bytes);
      for (const { start, stop } of zstdFrames(bytes) ?? []) {
        assert.ok(start < stop && stop <= bytes.length);
      }
    },
  },
  {
    name: "elf",
    code: ["core/package/elf.ts"],
    words: ["\x7fELF\x02\x01", "\x1d\0\0\0\0\0\0\0", "/lib", "\0"],
    seeds: [elf()],
    run(bytes) {
      const links = elfLinks(bytes);
      if (links === null || links.runPath === null) return;
      const changed = orRefused(() => withRunPath(bytes, links, "$ORIGIN"), RunError);
      if (changed !== null) assert.equal(changed.length, bytes.length);
    },
  },
  {
    name: "placeholders",
    code: ["core/package/placeholder.ts"],
    words: ["/opt/prefix", "/opt/prefix/bin/python3.11", "#!", "/usr/bin/env ", "\0", "\n", " -E "],
    seeds: [
      "#!/opt/prefix/bin/python3.11 -u\nimport x # /opt/prefix\n",
      "a/opt/prefix/lib\0b/opt/prefix\0\0",
    ],
    run(bytes) {
      assert.equal(replaceBinary(bytes, "/opt/prefix", "/new").length, bytes.length);
      replaceText(bytes, "/opt/prefix", "/a longer prefix");
      for (const prefix of ["/new", "/with blank", `/${"long".repeat(40)}`]) {
        replaceShebang(bytes, "/opt/prefix", prefix, "linux-64");
      }
      envShebang(bytes, "/opt/prefix");
    },
  },
  {
    name: "relocations",
    code: ["core/package/relocations.ts"],
    words: [
      "_prefix_records = [",
      "('a', '/p', 'text'),",
      "\\x41",
      "\\u00e9",
      "#",
      "..",
      "binary",
      '"',
    ],
    isJson: true,
    seeds: [
      writeRelocations([{ path: "bin/a", placeholder: "/p", mode: "text" }, {
        path: "b",
        placeholder: "/q",
        mode: "binary",
      }]),
      "x = 1\n_prefix_records = [\n('bin/a', '/opt/\\x41', 'text'),\n(\"b\", '/q', 'binary'), # c\n]\n",
    ],
    run(bytes) {
      const text = textOf(bytes);
      for (const parse of [parseRelocations, parseCondaUnpack]) {
        const found = orRefused(() => parse(text), RunError);
        if (found === null) continue;
        for (const { path } of found) {
          assert.ok(!path.startsWith("/") && !path.split("/").includes(".."));
        }
        assert.equal(parseRelocations(writeRelocations(found)).length, found.length);
      }
    },
  },
];

/** Walks what was made as a system would: it never gets above the root. */
function assertStays(path: string, made: ReadonlyMap<string, string>): void {
  const at: string[] = [];
  const todo = path.split("/").reverse();
  for (let steps = 0; todo.length > 0 && steps < 100; steps++) {
    const name = todo.pop()!;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      assert.ok(at.pop() !== undefined, `${path} leads out`);
      continue;
    }
    const target = made.get([...at, name].join("/")) ?? "";
    if (target === "") at.push(name);
    else todo.push(...target.split("/").reverse());
  }
}
