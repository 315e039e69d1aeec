import assert from "node:assert/strict";
import fc from "fast-check";
import {
  defaultPlaceholder,
  envShebang,
  holds,
  replaceBinary,
  replaceShebang,
  replaceText,
} from "../../core/package/placeholder.ts";
import { RunError } from "../../core/errors.ts";

const placeholder = `/made/at/${"placehold_".repeat(24)}`;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (b: Uint8Array) => new TextDecoder().decode(b);

Deno.test("replaceText puts the prefix in place of every placeholder", () => {
  const file = bytes(`a=${placeholder}/lib:${placeholder}\nb=${placeholder.slice(0, -1)}\n`);
  assert.equal(
    text(replaceText(file, placeholder, "/env")),
    `a=/env/lib:/env\nb=${placeholder.slice(0, -1)}\n`,
  );
});

Deno.test("replaceText is String.replaceAll, for any text and any placeholder", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "/", "é"), { maxLength: 40 })
    .map((parts) => parts.join(""));
  fc.assert(fc.property(letters, letters, letters, (file, from, to) => {
    fc.pre(from !== "");
    assert.equal(text(replaceText(bytes(file), from, to)), file.replaceAll(from, to));
    assert.equal(holds(bytes(file), from), file.includes(from));
  }));
});

Deno.test("a file without the placeholder comes back as it is", () => {
  const file = bytes("nothing here");
  assert.equal(replaceText(file, placeholder, "/env"), file);
  assert.equal(replaceBinary(file, placeholder, "/env"), file);
  assert.equal(replaceShebang(file, placeholder, "/env", "linux-64"), file);
});

Deno.test("replaceBinary keeps the length and pads each string at its own end", () => {
  const file = bytes(`A\0${placeholder}/lib:${placeholder}/share\0tail\0${placeholder}/x\0`);
  const replaced = replaceBinary(file, placeholder, "/env");
  const gap = placeholder.length - "/env".length;
  assert.equal(
    text(replaced),
    `A\0/env/lib:/env/share${"\0".repeat(2 * gap)}\0tail\0/env/x${"\0".repeat(gap)}\0`,
  );
  assert.equal(replaced.length, file.length);
});

Deno.test("replaceBinary ends a string without NUL at the end of the file", () => {
  const replaced = replaceBinary(bytes(`x\0${placeholder}/a`), placeholder, "/e");
  assert.equal(text(replaced).replace(/\0+$/, ""), "x\0/e/a");
  assert.equal(replaced.length, 2 + placeholder.length + 2);
});

Deno.test("replaceBinary keeps length and all other strings of any file", () => {
  const piece = fc.constantFrom("/P/", "a", "\0", "lib", ":");
  fc.assert(fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
    const file = pieces.join("").replaceAll("/P/", placeholder);
    const replaced = text(replaceBinary(bytes(file), placeholder, "/env"));
    assert.equal(replaced.length, file.length);
    const strings = (all: string) => all.split("\0").filter((one) => one !== "");
    assert.deepEqual(strings(replaced), strings(file.replaceAll(placeholder, "/env")));
  }));
});

Deno.test("replaceBinary refuses a prefix longer than the placeholder", () => {
  const file = bytes("/short/lib\0");
  assert.throws(
    () => replaceBinary(file, "/short", "/much/longer"),
    (error) => error instanceof RunError && /room for a path of 6 bytes/.test(error.message),
  );
});

const long = `/${"deep/".repeat(30)}env`;

Deno.test("a first line stays as it is while kernels can follow it", () => {
  const file = bytes(`#!${placeholder}/bin/python3.11 -s\nimport sys\n`);
  assert.equal(
    text(replaceShebang(file, placeholder, "/env", "linux-64")),
    "#!/env/bin/python3.11 -s\nimport sys\n",
  );
  assert.equal(
    text(replaceShebang(file, placeholder, long, "osx-arm64")),
    `#!${long}/bin/python3.11 -s\nimport sys\n`,
  );
});

Deno.test("where the first line gets too long Python is started by sh, others by env", () => {
  const python = bytes(`#!${placeholder}/bin/python -s\np = "${placeholder}"\n`);
  assert.equal(
    text(replaceShebang(python, placeholder, long, "linux-64")),
    `#!/bin/sh\n'''exec' "${long}/bin/python" -s "$0" "$@" #'''\np = "${long}"\n`,
  );
  const perl = bytes(`#!${placeholder}/bin/perl\n1;\n`);
  assert.equal(
    text(replaceShebang(perl, placeholder, long, "linux-64")),
    "#!/usr/bin/env perl\n1;\n",
  );
  const options = bytes(`#!${placeholder}/bin/perl -w\n1;\n`);
  assert.equal(
    text(replaceShebang(options, placeholder, long, "linux-64")),
    "#!/usr/bin/env -S perl -w\n1;\n",
  );
});

Deno.test("a first line of 127 bytes stays, one of 128 does not", () => {
  const prefix = (length: number) => `/${"x".repeat(length - "#!//bin/python".length)}`;
  const file = bytes(`#!${placeholder}/bin/python\n`);
  const first = (length: number) =>
    text(replaceShebang(file, placeholder, prefix(length), "linux-64")).split("\n")[0];
  assert.equal(first(127)?.length, 127);
  assert.equal(first(128), "#!/bin/sh");
});

Deno.test("a prefix with a blank or a dollar is quoted for sh", () => {
  const file = bytes(`#!${placeholder}/bin/python\n`);
  assert.equal(
    text(replaceShebang(file, placeholder, "/my $env", "linux-64")),
    `#!/bin/sh\n'''exec' "/my \\$env/bin/python" "$0" "$@" #'''\n`,
  );
});

Deno.test("a first line that is none, or starts a program elsewhere, is ordinary text", () => {
  for (const line of ["#! python", "#!", "import x", `#!${"/x".repeat(100)}`]) {
    const file = `${line}\n${placeholder}\n`;
    assert.equal(
      text(replaceShebang(bytes(file), placeholder, long, "linux-64")),
      `${line}\n${long}\n`,
    );
  }
});

Deno.test("envShebang finds the program on PATH, and splits options", () => {
  const rows: [string, string | null][] = [
    ["#!/env/bin/python3.11\nx\n", "#!/usr/bin/env python3.11\nx\n"],
    ["#! /env/bin/python -s\nx\n", "#!/usr/bin/env -S python -s\nx\n"],
    ["#!/env/bin/python\np = '/env/share'\n", null],
    ["#!/usr/bin/python\n", null],
    ["#!/environment/bin/python\n", null],
    ["x\n#!/env/bin/python\n", null],
    ["#!/env/bin/python", "#!/usr/bin/env python"],
  ];
  for (const [file, expected] of rows) {
    const made = envShebang(bytes(file), "/env");
    assert.equal(made === null ? null : text(made), expected, file);
  }
});

Deno.test("bytes of any encoding after the first line survive", () => {
  const tail = Uint8Array.of(0x0a, 0xff, 0xfe, 0xe9, 0x0a);
  const line = bytes("#!/env/bin/python");
  const file = Uint8Array.from([...line, ...tail]);
  assert.deepEqual(envShebang(file, "/env")?.slice(-5), tail);
  assert.deepEqual(replaceShebang(file, "/env", long, "linux-64").slice(-5), tail);
});

Deno.test("the default placeholder is what old packages mean", () => {
  assert.match(defaultPlaceholder, /^\/opt\/anaconda1anaconda\d/);
  assert.equal(defaultPlaceholder.length, 32);
});
