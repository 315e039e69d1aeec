import assert from "node:assert/strict";
import { copyOut, FileSink, Pace, TailSink } from "../../io/files.ts";
import { someBytes } from "../support/link_pair.ts";
import { needs } from "../support/skip.ts";
import { SmallDisk, smallDiskMissing } from "../support/small_disk.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

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

Deno.test({
  ...needs(smallDiskMissing === null, smallDiskMissing ?? "", "a sink waits for room if it may"),
  fn: async () => {
    await using folder = await TempFolder.create();
    await using disk = await SmallDisk.mount(folder.join("disk"), "size=64k");
    const bytes = someBytes(100_000);
    let said: string[] = [];
    const stop = new AbortController();
    const patience = {
      signal: stop.signal,
      began: (why: string) => void said.push(why),
      ended: () => void said.push("ended"),
    };
    const path = `${disk.path}/to`;
    const isFull = "No space left on device (os error 28)";
    const impatient = new FileSink(path, 0o640);
    await impatient.take(bytes);
    assert.equal(await impatient.finish(), isFull);

    const sink = new FileSink(path, 0o640, patience);
    await sink.take(bytes.subarray(0, 50_000));
    const taking = sink.take(bytes.subarray(50_000));
    await until(() => said.length > 0, { what: "a full disk" });
    assert.deepEqual(said, [isFull]);
    await disk.resize("1m");
    await taking;
    assert.equal(await sink.finish(), null);
    assert.deepEqual(said, [isFull, "ended"]);
    assert.deepEqual(await Deno.readFile(path), bytes);

    // It is told to wait no longer.
    said = [];
    const stopped = new FileSink(`${disk.path}/other`, 0o640, patience);
    const waiting = stopped.take(new Uint8Array(2_000_000));
    await until(() => said.length > 0, { what: "a full disk" });
    stop.abort();
    await waiting;
    assert.equal(await stopped.finish(), isFull);
    assert.deepEqual(said, [isFull, "ended"]);
    assert.deepEqual([...Deno.readDirSync(disk.path)].map(({ name }) => name), ["to"]);
  },
});
