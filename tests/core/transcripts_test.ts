import assert from "node:assert/strict";
import fc from "fast-check";
import {
  cutAt,
  decodeStream,
  driven,
  encodeStream,
  play,
  streamsOf,
} from "../support/transcript.ts";

const folder = new URL("../golden/wire/", import.meta.url);
const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const transcripts = names.map((name) => ({
  name,
  text: Deno.readTextFileSync(new URL(name, folder)),
}));

const updating =
  Deno.permissions.querySync({ name: "env", variable: "GOLDEN" }).state === "granted" &&
  Deno.env.get("GOLDEN") === "update";

Deno.test("the machines say and do what the transcripts say", async (t) => {
  for (const { name, text } of transcripts) {
    await t.step(name, () => {
      const played = play(text);
      if (updating) Deno.writeTextFileSync(new URL(name, folder), played);
      else assert.equal(played, text, `tests/golden/wire/${name}: see GOLDEN=update`);
    });
  }
});

Deno.test("a transcript decodes to the same messages however its bytes are cut", async (t) => {
  for (const { name, text } of transcripts) {
    await t.step(name, () => {
      for (const { side, bytes } of streamsOf(text)) {
        const whole = decodeStream(side, [bytes]);
        assert.ok(whole.length > 0 || bytes.length === 0);
        assert.deepEqual(decodeStream(side, [...bytes].map((b) => Uint8Array.of(b))), whole);
        fc.assert(
          fc.property(fc.array(fc.nat()), (places) => {
            assert.deepEqual(decodeStream(side, cutAt(bytes, places)), whole);
          }),
          { numRuns: 20 },
        );
      }
    });
  }
});

Deno.test("a decoded transcript encodes to the same bytes where they are ours", async (t) => {
  for (const { name, text } of transcripts) {
    await t.step(name, () => {
      for (const stream of streamsOf(text)) {
        const { side, bytes } = stream;
        const messages = decodeStream(side, [bytes]);
        // Nothing of wqx asks like a browser.
        if (messages.some((m) => m.type === "http")) continue;
        const again = encodeStream(stream, messages);
        if (messages.at(-1)?.type === "refused") continue;
        if (driven(text).includes(side)) assert.deepEqual(again, bytes);
        else assert.deepEqual(decodeStream(side, [again]), messages);
      }
    });
  }
});
