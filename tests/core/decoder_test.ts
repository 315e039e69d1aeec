import assert from "node:assert/strict";
import { PeerProtocolError } from "../../core/errors.ts";
import { Decoder, type Grammar, type Parsed } from "../../core/protocol/decoder.ts";
import { lineBytesMax } from "../../core/protocol/messages.ts";
import { bytesOf, textOf } from "../support/builders.ts";
import { cutAt } from "../support/transcript.ts";

/**
 * `say WORDS` is a message; `pay N` has a payload, `blob N` a part of its own, which completes it if
 * it begins with `!`; `# …` is nothing.
 */
class Toy implements Grammar<{ readonly type: "said"; readonly text: string }> {
  readonly blobs: string[] = [];

  line(text: string): Parsed<{ readonly type: "said"; readonly text: string }> {
    const [word, rest = ""] = text.split(" ");
    const message = { type: "said", text } as const;
    switch (word) {
      case "pay":
        return { kind: "message", message, payloadBytes: Number(rest) };
      case "blob":
        return { kind: "part", blobBytes: Number(rest) };
      case "part":
        return { kind: "part" };
      case "#":
        return { kind: "nothing" };
      case "bad":
        throw new PeerProtocolError("bad");
      default:
        return { kind: "message", message };
    }
  }

  blob(bytes: Uint8Array): Said | null {
    const text = textOf(bytes);
    this.blobs.push(text);
    return text.startsWith("!") ? { type: "said", text } : null;
  }
}

function toy(...pieces: (string | Uint8Array)[]): { decoder: Decoder<Said>; grammar: Toy } {
  const grammar = new Toy();
  const decoder = new Decoder<Said>(grammar);
  for (const piece of pieces) decoder.feed(typeof piece === "string" ? bytesOf(piece) : piece);
  return { decoder, grammar };
}

interface Said {
  readonly type: "said";
  readonly text: string;
}

const said = (text: string) => ({ type: "said", text });

Deno.test("next() keeps half a line until the rest arrives", () => {
  const { decoder } = toy("he");
  assert.equal(decoder.next(), null);
  assert.ok(decoder.midway);
  decoder.feed(new Uint8Array(0));
  decoder.feed(bytesOf("ll"));
  assert.equal(decoder.next(), null);
  decoder.feed(bytesOf("o\nmore\nand"));
  assert.deepEqual(decoder.next(), said("hello"));
  assert.deepEqual(decoder.next(), said("more"));
  assert.equal(decoder.next(), null);
  assert.ok(decoder.midway);
  decoder.feed(bytesOf("\n"));
  assert.deepEqual(decoder.next(), said("and"));
  assert.ok(!decoder.midway);
});

Deno.test("a line end may come in a piece of its own, and several pieces before next()", () => {
  const { decoder } = toy("a", "b", "\n", "\n", "c", "\n");
  assert.deepEqual(decoder.next(), said("ab"));
  assert.deepEqual(decoder.next(), said(""));
  assert.deepEqual(decoder.next(), said("c"));
  assert.equal(decoder.next(), null);
});

Deno.test("CR is dropped wherever it stands, and NUL ends a line early", () => {
  const { decoder } = toy("a\rb\r\nc\0d\n\0\n");
  assert.deepEqual(decoder.next(), said("ab"));
  assert.deepEqual(decoder.next(), said("c"));
  assert.deepEqual(decoder.next(), said(""));
});

Deno.test("a payload comes in the pieces in which it arrives, and the last one says so", () => {
  const { decoder } = toy("pay 5\nab");
  assert.deepEqual(decoder.next(), said("pay 5"));
  assert.deepEqual(decoder.next(), { type: "payload", bytes: bytesOf("ab"), last: false });
  assert.equal(decoder.next(), null);
  assert.ok(decoder.midway, "in the middle of a payload, though nothing is buffered");
  decoder.feed(bytesOf("cde\nnext\n"));
  assert.deepEqual(decoder.next(), { type: "payload", bytes: bytesOf("cde"), last: true });
  assert.deepEqual(decoder.next(), said(""));
  assert.deepEqual(decoder.next(), said("next"));
});

Deno.test("an empty payload is one empty, last piece", () => {
  const { decoder } = toy("pay 0\n");
  assert.deepEqual(decoder.next(), said("pay 0"));
  assert.deepEqual(decoder.next(), { type: "payload", bytes: bytesOf(""), last: true });
  assert.equal(decoder.next(), null);
  assert.ok(!decoder.midway);
});

Deno.test("a blob reaches the grammar whole, and what follows is a line again", () => {
  const { decoder, grammar } = toy("# comment\nblob 3\na");
  assert.equal(decoder.next(), null);
  assert.ok(decoder.midway);
  decoder.feed(bytesOf("\n"));
  decoder.feed(bytesOf("bblob 0\npart\ndone\n"));
  assert.deepEqual(decoder.next(), said("done"));
  assert.deepEqual(grammar.blobs, ["a\nb", ""]);
});

Deno.test("an array that was fed may be used again once next() returned null", () => {
  const { decoder, grammar } = toy();
  const lent = new Uint8Array(8);
  const heard: unknown[] = [];
  for (const text of ["he", "llo\nblob", " 5\n!ab", "c", "d\npay 3\n", "xy", "z\nlast\n"]) {
    decoder.feed(lent.subarray(0, new TextEncoder().encodeInto(text, lent).written));
    for (let m = decoder.next(); m !== null; m = decoder.next()) {
      heard.push("bytes" in m ? textOf(m.bytes) : m.text);
    }
    lent.fill(0x3f);
  }
  assert.deepEqual(heard, ["hello", "!abcd", "", "pay 3", "xy", "z", "", "last"]);
  assert.deepEqual(grammar.blobs, ["!abcd"]);
});

Deno.test("a blob may complete a message", () => {
  const { decoder } = toy("blob 3\n!b");
  assert.equal(decoder.next(), null);
  decoder.feed(bytesOf("\nnext\nblob 2\n!c"));
  assert.deepEqual(decoder.next(), said("!b\n"));
  assert.deepEqual(decoder.next(), said("next"));
  assert.deepEqual(decoder.next(), said("!c"));
  assert.ok(!decoder.midway);
});

Deno.test("a line of 4096 bytes is refused also if its end arrives in the same piece", () => {
  for (const extra of [1, 900, 5_000_000]) {
    const { decoder } = toy(`${"x".repeat(lineBytesMax + extra)}\nalive\n`);
    assert.throws(() => decoder.next(), PeerProtocolError);
  }
});

Deno.test("after an error the decoder stays broken", () => {
  const { decoder } = toy("bad\ngood\n");
  assert.throws(() => decoder.next(), PeerProtocolError);
  assert.throws(() => decoder.next(), PeerProtocolError);
  decoder.feed(bytesOf("good\n"));
  assert.throws(() => decoder.next(), PeerProtocolError);
  assert.ok(decoder.midway);
});

Deno.test("an error of ours passes through", () => {
  const grammar: Grammar<Said> = {
    line: () => {
      throw new TypeError("ours");
    },
    blob: () => null,
  };
  const decoder = new Decoder(grammar);
  decoder.feed(bytesOf("x\n"));
  assert.throws(() => decoder.next(), TypeError);
});

Deno.test("a line of 4095 bytes is read, one more byte is refused, however it is cut", () => {
  const tooLong = {
    constructor: PeerProtocolError,
    message: "Cannot read a line of more than 4095 bytes",
  };
  const line = "x".repeat(lineBytesMax);
  for (const size of [1, 7, 1000, 4094, 4095, 4096]) {
    const places = Array.from({ length: 5000 / size }, (_, i) => (i + 1) * size);
    const fits = toy(...cutAt(bytesOf(`${line}\n`), places)).decoder;
    assert.deepEqual(fits.next(), said(line));
    // Without its line end: it is not waited for.
    const long = toy(...cutAt(bytesOf(`${line}x`), places)).decoder;
    assert.throws(() => long.next(), tooLong);
    assert.throws(() => long.next(), tooLong);
  }
  const { decoder } = toy(line);
  assert.equal(decoder.next(), null);
  decoder.feed(bytesOf("x"));
  assert.throws(() => decoder.next(), tooLong);
});
