import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Frame,
  FrameDecoder,
  frameStart,
  jsonBytesMax,
  kind,
  rawBytesMax,
} from "../../core/api/frames.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { concat } from "../../core/bytes.ts";

const anyFrame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.constantFrom(...Object.values(kind)),
  request: fc.nat(2 ** 32 - 1),
  value: fc.jsonValue(),
  raw: fc.uint8Array({ maxLength: 50 }),
}, { noNullPrototype: true });

function bytesOf({ kind: which, request, value, raw }: Frame): Uint8Array {
  return concat([frameStart(which, value, { request, rawBytes: raw.length }), raw]);
}

function decoded(pieces: Iterable<Uint8Array>): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const piece of pieces) {
    decoder.feed(piece);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) frames.push(frame);
  }
  return frames;
}

function head(jsonBytes: number, rawBytes: number, which: number): Uint8Array {
  return new Uint8Array(new Uint32Array([jsonBytes, rawBytes, which, 0]).buffer);
}

Deno.test("frames come out as they went in, however their bytes are cut", () => {
  fc.assert(fc.property(fc.array(anyFrame), fc.infiniteStream(fc.integer({ min: 1, max: 70 })), (
    frames,
    sizes,
  ) => {
    const bytes = concat(frames.map(bytesOf));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = sizes.next().value;
      pieces.push(bytes.slice(at, at + size));
      at += size;
    }
    const normal = frames.map((frame) => ({
      ...frame,
      value: JSON.parse(JSON.stringify(frame.value)),
    }));
    const plain = decoded(pieces).map((frame) => ({ ...frame, raw: new Uint8Array(frame.raw) }));
    assert.deepEqual(plain, normal);
  }));
});

Deno.test("half a frame is no frame, and is known to be half", () => {
  const decoder = new FrameDecoder();
  const bytes = frameStart(kind.submit, [1, 2, 3]);
  decoder.feed(bytes.slice(0, -1));
  assert.equal(decoder.next(), null);
  assert.equal(decoder.isWithin, true);
  decoder.feed(bytes.slice(-1));
  assert.deepEqual(decoder.next()?.value, [1, 2, 3]);
  assert.equal(decoder.isWithin, false);
});

Deno.test("what is no frame is refused, with what is wrong", () => {
  const text = (words: string) => new TextEncoder().encode(words);
  const cases: [Uint8Array, RegExp][] = [
    [text("GET / HTTP/1.1\r\n\r\n"), /a frame of unknown kind/],
    [head(0, 0, 4), /a frame of unknown kind 4/],
    [head(jsonBytesMax + 1, 0, kind.submit), /bytes of JSON, above 67108864/],
    [head(2, rawBytesMax + 1, kind.submit), /raw bytes, above 2147483648/],
    [concat([head(2, 0, kind.submit), text("[]]")]).slice(0, 17), /^$/],
    [concat([head(2, 0, kind.submit), text("[}")]), /JSON does not parse/],
    [concat([head(0, 0, kind.submit)]), /JSON does not parse/],
    [concat([head(3, 0, kind.submit), Uint8Array.of(0x22, 0xff, 0x22)]), /JSON does not parse/],
  ];
  for (const [bytes, why] of cases) {
    if (why.source === "^$") assert.deepEqual(decoded([bytes]), []);
    else assert.throws(() => decoded([bytes]), { name: "PeerProtocolError", message: why });
  }
});

Deno.test("any bytes at all give frames or a PeerProtocolError", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (pieces) => {
    try {
      decoded(pieces);
    } catch (error) {
      assert.ok(error instanceof PeerProtocolError);
    }
  }));
});
