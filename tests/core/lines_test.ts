import assert from "node:assert/strict";
import fc from "fast-check";
import { LineSplitter } from "../../core/tasklist/lines.ts";
import { bytesOf } from "../support/builders.ts";

/** All lines of a text that arrives in these pieces. */
function split(pieces: readonly Uint8Array[], lineBytesMax = 1000) {
  const splitter = new LineSplitter(lineBytesMax);
  return [...pieces.flatMap((piece) => splitter.feed(piece)), ...splitter.end()];
}

const texts = (lines: ReturnType<typeof split>) =>
  lines.map((line) => line.kind === "text" ? line.text : line.why);

Deno.test("lines are numbered from 1, and the last one needs no newline", () => {
  assert.deepEqual(split([bytesOf("a\n\nb")]), [
    { kind: "text", number: 1, text: "a" },
    { kind: "text", number: 2, text: "" },
    { kind: "text", number: 3, text: "b" },
  ]);
  assert.deepEqual(split([bytesOf("a\n")]), [{ kind: "text", number: 1, text: "a" }]);
  assert.deepEqual(split([]), []);
});

Deno.test("however a text is cut, its lines are the same", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", " "))),
      fc.array(fc.nat(40)),
      (lines, cuts) => {
        const bytes = bytesOf(lines.join("\n"));
        const pieces: Uint8Array[] = [];
        let start = 0;
        for (const cut of cuts) {
          pieces.push(bytes.slice(start, start + cut));
          start += cut;
        }
        pieces.push(bytes.slice(start));
        // Who feeds may use the same bytes again.
        const splitter = new LineSplitter(10_000);
        const found = pieces.flatMap((piece) => {
          const own = piece.slice();
          const some = splitter.feed(own);
          own.fill(0);
          return some;
        });
        const expected = lines.join("\n").split("\n");
        if (expected.at(-1) === "") expected.pop();
        assert.deepEqual(
          texts([...found, ...splitter.end()]),
          expected.map((line) => line.replace(/^\ufeff/, "")),
        );
      },
    ),
  );
});

Deno.test("a line that is too long is told of and not kept, and the next one is read", () => {
  const long = bytesOf("x".repeat(600));
  assert.deepEqual(texts(split([long, long, bytesOf("\nshort")])), [
    "this line is longer than 1000 bytes; send files instead",
    "short",
  ]);
  assert.deepEqual(texts(split([bytesOf("12345\n123456\n")], 5)), [
    "12345",
    "this line is longer than 5 bytes; send files instead",
  ]);
});

Deno.test("a line that is no UTF-8 is told of, and the next one is read", () => {
  const latin1 = Uint8Array.of(0x66, 0xfc, 0x72, 0x0a);
  assert.deepEqual(texts(split([latin1, bytesOf("ok\n")])), [
    "this line is not text in UTF-8",
    "ok",
  ]);
});
