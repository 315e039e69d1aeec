import assert from "node:assert/strict";
import fc from "fast-check";
import { PeerProtocolError } from "../../core/errors.ts";
import {
  checkCacheName,
  checkSandboxName,
  decodeName,
  encodeName,
} from "../../core/protocol/names.ts";
import { anyText } from "../support/texts.ts";

const awkwardText = fc.oneof(
  anyText({ maxLength: 100 }),
  anyText({ maxLength: 5 }).map((s) => `\ufeff${s}`),
);

Deno.test("decodeName undoes encodeName for any text, and the field has no white space", () => {
  fc.assert(fc.property(awkwardText, (name) => {
    const field = encodeName(name);
    assert.match(field, /^[\x21-\x7a]*$/);
    assert.doesNotMatch(field, /[\\<>'"]/);
    assert.equal(decodeName(field), name);
  }));
});

Deno.test("names are encoded as Work Queue does it, and what it mangles is encoded properly", () => {
  const cases: [string, string][] = [
    ["in.txt", "in.txt"],
    ["a/b&;?#+=[]^$*()!,:@`-_z", "a/b&;?#+=[]^$*()!,:@`-_z"],
    ["a b", "a%20b"],
    ["100%", "100%25"],
    ["\\<>'\"", "%5C%3C%3E%27%22"],
    ["{|}~\x7f", "%7B%7C%7D%7E%7F"],
    ["\n\t\x01", "%0A%09%01"],
    ["é", "%C3%A9"],
    ["😀", "%F0%9F%98%80"],
  ];
  for (const [name, field] of cases) {
    assert.equal(encodeName(name), field);
    assert.equal(decodeName(field), name);
  }
});

Deno.test("decodeName reads digits of either case, and leaves a lone % as it is", () => {
  const cases: [string, string][] = [
    ["%c3%A9", "é"],
    ["%", "%"],
    ["100%", "100%"],
    ["%4", "%4"],
    ["%zz%20", "%zz "],
    ["%%41", "%A"],
    ["é", "é"],
    ["é%20", "é "],
  ];
  for (const [field, name] of cases) assert.equal(decodeName(field), name);
});

Deno.test("a cached name is one plain path component", () => {
  for (const name of ["a", "file-0-5d41-in.txt", "...", ".hidden", "a b", "é"]) {
    assert.equal(checkCacheName(name), name);
  }
  for (const name of ["", ".", "..", "/", "a/b", "../a", "/a", "a/", "a\0b"]) {
    assert.throws(() => checkCacheName(name), {
      constructor: PeerProtocolError,
      message: `Refused the cached name ${JSON.stringify(name)}: not a plain name`,
    });
  }
});

Deno.test("a sandbox name stays in the sandbox", () => {
  for (const name of ["a", "data/a.root", "a/b/c", "...", "a..b/..c", "é f"]) {
    assert.equal(checkSandboxName(name), name);
  }
  const climbing = [
    "..",
    "../a",
    "a/..",
    "a/../b",
    "/",
    "/a",
    "a//b",
    "a/",
    "",
    ".",
    "./a",
    "a\0b",
  ];
  for (const name of climbing) {
    assert.throws(() => checkSandboxName(name), {
      constructor: PeerProtocolError,
      message: `Refused the sandbox name ${JSON.stringify(name)}: ` +
        'it must be a relative path without ".."',
    });
  }
});
