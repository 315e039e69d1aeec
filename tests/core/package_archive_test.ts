import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import { formatOf } from "../../core/package/archive_format.ts";
import {
  memberTimeS,
  ownPlaceholder,
  restorePlaceholder,
  retimedByteCode,
  withOwnPlaceholder,
} from "../../core/package/contents.ts";
import { distInfoName, editableSource, recordedPaths } from "../../core/package/dist_info.ts";
import { elfLinks } from "../../core/package/elf.ts";
import { endsMember, memberBytes } from "../../core/package/member_cut.ts";
import { replaceBinary, replaceText } from "../../core/package/placeholder.ts";
import { tarEnd, type TarEntry, tarHeader, tarPadding } from "../../core/package/tar_header.ts";
import { type TarMember, TarReader } from "../../core/package/tar_reader.ts";
import {
  isPackedOfLibrary,
  isPackedOfVenv,
  parseVenvSettings,
  venvVersion,
} from "../../core/package/venv.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function membersOf(tar: Uint8Array): TarMember[] {
  const reader = new TarReader();
  reader.feed(tar);
  const found: TarMember[] = [];
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.type === "member") found.push(event.member);
  }
  return found;
}

Deno.test("a tar header reads back, however long or foreign its names are", () => {
  const name = fc.stringMatching(/^[a-zé日 .-]{1,120}$/).filter((text) => !/^\.+$/.test(text));
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const entry: fc.Arbitrary<TarEntry> = fc.oneof(
    fc.record({
      path,
      kind: fc.constant("file" as const),
      mode: fc.constantFrom(0o644, 0o755),
      size: fc.constant(3),
      timeS: fc.constant(memberTimeS),
    }),
    fc.record({
      path,
      target: path,
      kind: fc.constantFrom("link" as const, "hard-link" as const),
      mode: fc.constant(0o777),
      size: fc.constant(0),
      timeS: fc.constant(memberTimeS),
    }),
  );
  fc.assert(fc.property(fc.array(entry, { maxLength: 5 }), (entries) => {
    const tar = concat(
      entries.flatMap((one) => {
        const content = new Uint8Array(one.size).fill(7);
        return [tarHeader(one), content, tarPadding(one.size)];
      }).concat(tarEnd),
    );
    assert.equal(tar.length % 512, 0);
    assert.deepEqual(
      membersOf(tar).map(({ path, kind, target }) => ({ path, kind, target: target ?? "" })),
      entries.map(({ path, kind, target }) => ({ path, kind, target: target ?? "" })),
    );
  }));
});

Deno.test("a size beyond eleven octal digits goes into an extended header", () => {
  const size = 9 * 1024 ** 3;
  const header = tarHeader({ path: "big", kind: "file", mode: 0o644, size, timeS: 0 });
  assert.equal(membersOf(header)[0]?.size, size);
});

Deno.test("a changed list of files moves the cuts near it and no others", () => {
  const file = (i: number, size = 20_000 + (i * 7919) % 90_000) => ({ path: `lib/file${i}`, size });
  const list = Array.from({ length: 3000 }, (_, i) => file(i));
  const cuts = (files: readonly { path: string; size: number }[]) => {
    const ends: string[] = [];
    let held = 0;
    let largest = 0;
    for (const { path, size } of files) {
      held += size;
      if (!endsMember(path, size, held)) continue;
      ends.push(path);
      largest = Math.max(largest, held);
      held = 0;
    }
    return { ends, largest };
  };
  const { ends, largest } = cuts(list);
  const mean = list.reduce((sum, { size }) => sum + size, 0) / ends.length;
  assert.ok(mean > memberBytes.mean / 2 && mean < memberBytes.mean * 1.5, `mean ${mean}`);
  assert.ok(largest < memberBytes.max + 110_000);
  const added = [...list.slice(0, 1500), ...Array.from({ length: 40 }, (_, i) => file(9000 + i))]
    .concat(list.slice(1500));
  const same = cuts(added).ends.filter((path) => ends.includes(path)).length;
  assert.ok(ends.length - same <= 4, `${ends.length - same} of ${ends.length} cuts moved`);
});

Deno.test("what installing put into a file is taken out again, byte for byte", () => {
  const placeholder = "/placehold".repeat(6);
  const part = fc.constantFrom(placeholder, "\0", "/lib", ":", "abc", "\0\0\0");
  const prefix = fc.constantFrom("/e", "/opt/env", "/a/longer/place/for/an/environment");
  fc.assert(fc.property(fc.array(part, { maxLength: 12 }), prefix, (parts, to) => {
    // A string without end cannot tell its padding from what follows.
    const original = bytes(`\x7fELF${parts.join("")}\0`);
    const installed = replaceBinary(original, placeholder, to);
    assert.deepEqual(restorePlaceholder(installed, "binary", to, placeholder), original);
    const text = replaceText(original, placeholder, to);
    assert.deepEqual(restorePlaceholder(text, "text", to, placeholder), original);
  }));
});

Deno.test("compiled strings without room for the placeholder are left to themselves", () => {
  const restore = (text: string) =>
    restorePlaceholder(bytes(text), "binary", "/env", "/placeholder");
  assert.equal(restore("/env/lib\0next\0"), null);
  assert.equal(restore("/env/lib"), null);
  assert.equal(restorePlaceholder(bytes("/env\0"), "binary", "/env", "/e"), null);
});

Deno.test("of two prefixes, one within the other, each text loses the longer first", () => {
  const marked = withOwnPlaceholder(bytes("/base/venv/bin /base/lib"), ["/base", "/base/venv"]);
  assert.equal(
    new TextDecoder().decode(marked),
    `${ownPlaceholder}/bin ${ownPlaceholder}/lib`,
  );
});

function byteCode(magic: number, flags: number, timeS: number, size: number): Uint8Array {
  const head = new DataView(new ArrayBuffer(20));
  head.setUint16(0, magic, true);
  head.setUint32(4, flags, true);
  head.setUint32(8, timeS, true);
  head.setUint32(12, size, true);
  return new Uint8Array(head.buffer);
}

Deno.test("byte code follows its source to the archive's time, and only if it is of that source", () => {
  const source = { size: 100, timeS: 1_700_000_000 };
  assert.deepEqual(
    retimedByteCode(byteCode(3495, 0, source.timeS, 100), source),
    byteCode(3495, 0, memberTimeS, 100),
  );
  assert.equal(retimedByteCode(byteCode(3495, 0, source.timeS - 1, 100), source), null);
  assert.equal(retimedByteCode(byteCode(3495, 0, source.timeS, 99), source), null);
  assert.equal(retimedByteCode(byteCode(3495, 1, source.timeS, 100), source), null);
  assert.equal(retimedByteCode(byteCode(3379, 0, source.timeS, 100), source), null);
  assert.equal(retimedByteCode(new Uint8Array(15), source), null);
});

Deno.test("RECORD tells of files in the prefix, and of none outside", () => {
  const record = 'numpy/__init__.py,sha256=x,12\n../../../bin/f2py,,\n"a ""b"", c.py",,\n' +
    "../../../../../etc/passwd,,\n/abs,,\n\n";
  assert.deepEqual(recordedPaths(record, "lib/python3.11/site-packages"), [
    "lib/python3.11/site-packages/numpy/__init__.py",
    "bin/f2py",
    'lib/python3.11/site-packages/a "b", c.py',
  ]);
  assert.deepEqual(distInfoName("my_pkg-1.0.post1.dist-info"), {
    name: "my_pkg",
    version: "1.0.post1",
  });
  assert.equal(distInfoName("numpy"), null);
});

Deno.test("an editable install is told by direct_url.json", () => {
  const text = (editable: boolean) =>
    JSON.stringify({ url: "file:///src/my%20app", dir_info: { editable } });
  assert.equal(editableSource(text(true)), "/src/my app");
  assert.equal(editableSource(text(false)), null);
  assert.equal(editableSource("{"), null);
});

Deno.test("a name says the format, and what wqx does not write gets a sentence", () => {
  assert.equal(formatOf("a.tar.gz"), "tar.gz");
  assert.equal(formatOf("/x.zip/env"), "tar.gz");
  assert.equal(formatOf("env-1.2"), "tar.gz");
  assert.equal(formatOf("a.tzst"), "tar.zst");
  assert.equal(formatOf("A.TAR"), "tar");
  for (const name of ["a.tar.bz2", "a.txz", "a.zip", "a.squashfs"]) {
    assert.throws(() => formatOf(name), {
      name: "UsageError",
      message: /wqx writes no \..*tar\.gz/,
    });
  }
});

Deno.test("damaged and foreign files have no links, and do not throw", () => {
  assert.equal(elfLinks(bytes("#!/bin/sh\n".repeat(20))), null);
  const head = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
  fc.assert(fc.property(fc.uint8Array({ minLength: 58, maxLength: 400 }), (rest) => {
    elfLinks(new Uint8Array([...head, ...rest]));
  }));
});

Deno.test("pyvenv.cfg is read as venv, virtualenv and uv write it", () => {
  const of = (text: string) => venvVersion(parseVenvSettings(text));
  assert.equal(of("home = /usr/bin\nversion = 3.11.7\n"), "3.11");
  assert.equal(of("HOME=/x\nversion_info = 3.13.0.final.0\n"), "3.13");
  assert.equal(of("home = /x\n"), null);
  assert.equal(parseVenvSettings("Home = /a = b\n").get("home"), "/a = b");
});

Deno.test("of Python goes along what tasks use", () => {
  const packed = ["os.py", "json/__init__.py", "lib-dynload/x.so", "unittest/mock.py"];
  const left = ["test/x.py", "idlelib/y.py", "tkinter/z.py", "site-packages/a", "config-3.11/M"]
    .concat("__pycache__/os.cpython-311.opt-1.pyc", "sqlite3/test/a.py");
  assert.deepEqual([...packed, ...left].filter(isPackedOfLibrary), packed);
  const own = ["bin/pip", "bin/python-argcomplete", "share/x"];
  const machines = ["bin/python", "bin/python3.11", "bin/activate.csh", "pyvenv.cfg", "lib64"];
  assert.deepEqual([...own, ...machines].filter(isPackedOfVenv), own);
});
