import assert from "node:assert/strict";
import { copyOut, FileSink, Pace, TailSink } from "../../io/files.ts";
import { someBytes } from "../support/link_pair.ts";
import { TempFolder } from "../support/temp.ts";

Deno.test("a file system is waited for in this thread only after it was quick, until it is slow", async () => {
  let nowMs = 0;
  const pace = new Pace(() => nowMs);
  const taken: string[] = [];
  for (const ms of [0, 4, 0, 20, 20, 0, 0]) {
    const note = (where: string) => {
      taken.push(where);
      nowMs += ms;
    };
    await pace.take(() => note("now"), () => Promise.resolve(note("later")));
  }
  assert.deepEqual(taken, ["later", "now", "now", "now", "later", "later", "now"]);
});

Deno.test("a file is the same behind copyOut and a sink, whatever becomes of their buffers", async () => {
  await using folder = await TempFolder.create();
  const bytes = someBytes(3_000_001);
  await Deno.writeFile(folder.join("from"), bytes);
  const sink = new FileSink(folder.join("a/b/to"), 0o640);
  using file = await Deno.open(folder.join("from"));
  await copyOut(file, bytes.length, async (piece) => {
    assert.ok(typeof piece !== "string");
    const lent = piece.slice();
    await sink.take(lent);
    lent.fill(0);
  });
  assert.equal(await sink.finish(), null);
  assert.deepEqual(await Deno.readFile(folder.join("a/b/to")), bytes);
});

Deno.test("a file that became shorter while it was sent is an error, not a wait", async () => {
  await using folder = await TempFolder.create();
  await Deno.writeFile(folder.join("f"), new Uint8Array(10));
  using file = await Deno.open(folder.join("f"));
  await assert.rejects(copyOut(file, 11, async () => {}), {
    message: "The file became 1 bytes shorter while it was sent",
  });
});

Deno.test("a sink in memory keeps the end, and needs no waiting", () => {
  const sink = new TailSink(5);
  const lent = new Uint8Array(3);
  for (const text of ["", "abc", "def", "ghi"]) {
    const { written } = new TextEncoder().encodeInto(text, lent);
    assert.equal(sink.take(lent.subarray(0, written)), undefined);
  }
  assert.equal(sink.finish(), null);
  assert.equal(new TextDecoder().decode(sink.bytes), "[4 bytes of output left out]\nefghi");
});
