import assert from "node:assert/strict";
import { journalHead } from "../../core/journal/frames.ts";
import { fsyncModes, JournalFile, parseFsync, Pause, readJournal } from "../../manager/journal.ts";
import { RunFolder } from "../../manager/run_folder.ts";
import { ResultLog } from "../../manager/result_log.ts";
import { PreprocessCache } from "../../manager/preprocess_cache.ts";
import { inputFile } from "../support/builders.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const silent = { note: () => {}, paused: () => {} };

Deno.test("records are in the file in order, in every way of bringing it to disk", async () => {
  await using temp = await TempFolder.create();
  for (const fsync of fsyncModes) {
    const path = temp.join(fsync);
    const other = await temp.write(`${fsync}.acc`, "a result");
    {
      await using journal = await JournalFile.open(path, { fsync, owner: silent });
      for (let i = 0; i < 100; i++) journal.append({ i });
      await journal.keep(other);
      await journal.keep(temp.join("gone meanwhile"));
      journal.append("last");
      await journal.settled();
      const { records, end } = await readJournal(path);
      assert.deepEqual([records.length, records[7], records[100]], [101, { i: 7 }, "last"]);
      assert.equal(end.kind, "whole");
      journal.append("at the end");
    }
    assert.equal((await readJournal(path)).records.at(-1), "at the end");
  }
});

Deno.test("what comes of one turn is one write", async () => {
  await using temp = await TempFolder.create();
  await using journal = await JournalFile.open(temp.join("j"), { fsync: "never", owner: silent });
  await journal.written();
  for (let i = 0; i < 10; i++) journal.append(i);
  assert.equal(Deno.statSync(temp.join("j")).size, journalHead().length);
  await journal.written();
  assert.equal((await readJournal(temp.join("j"))).records.length, 10);
});

Deno.test("a journal goes on where what can be used ends", async () => {
  await using temp = await TempFolder.create();
  const path = temp.join("j");
  const write = async (offset: number, record: string) => {
    await using journal = await JournalFile.open(path, { offset, fsync: "never", owner: silent });
    journal.append(record);
  };
  await write(0, "first");
  const { end: { offset } } = await readJournal(path);
  await Deno.writeTextFile(path, "half a frame", { append: true });
  assert.equal((await readJournal(path)).end.kind, "torn");
  await write(offset, "second");
  const { records, end } = await readJournal(path);
  assert.deepEqual([records, end.kind], [["first", "second"], "whole"]);
});

Deno.test("a full disk pauses whoever hands out tasks, and is told once", async () => {
  const notes: string[] = [];
  const paused: boolean[] = [];
  const owner = {
    note: (line: string) => void notes.push(line),
    paused: (now: boolean) => void paused.push(now),
  };
  {
    await using journal = await JournalFile.open("/dev/full", { fsync: "never", owner });
    journal.append("one");
    await until(() => notes.length > 0, { what: "a note" });
    journal.append("two");
  }
  assert.deepEqual(paused, [true]);
  assert.equal(notes.length, 1);
  assert.match(
    notes[0]!,
    /^Cannot write to \/dev\/full: No space left.*\. Nothing new is started until it can; make room/,
  );
});

Deno.test("a pause that came before anybody could be told is told later", () => {
  const pause = new Pause();
  const told: boolean[] = [];
  pause.set(true);
  pause.tell((paused) => void told.push(paused));
  pause.set(false);
  assert.deepEqual(told, [true, false]);
});

Deno.test("lines are in the journal once they are in the file, those of the given up last", async () => {
  await using temp = await TempFolder.create();
  const path = temp.join("results.jsonl");
  await Deno.writeTextFile(path, "kept\ntorn");
  const journal = await JournalFile.open(temp.join("j"), { fsync: "never", owner: silent });
  let read = "";
  const log = await ResultLog.open(path, (bytes) => {
    read += new TextDecoder().decode(bytes);
    return Promise.resolve(true);
  }, { journal, offset: 5, paused: () => {} });
  log.addLast("given up");
  log.add("done", 7);
  await log.end(new AbortController().signal);
  await journal[Symbol.asyncDispose]();
  assert.equal(read, 'kept\n"done"\n"given up"\n');
  const { records } = await readJournal(temp.join("j"));
  const told = records.map((record) => {
    const { type, until, prints } = record as Record<string, unknown>;
    return [type, until, prints];
  });
  assert.deepEqual(told, [
    ["lines", 12, [7]],
    ["stopped", undefined, undefined],
    ["lines", 23, [0]],
  ]);
});

Deno.test("a folder is one manager's at a time, and free when that is gone", async () => {
  await using temp = await TempFolder.create();
  const path = temp.join("out");
  {
    await using folder = await RunFolder.take(path);
    folder.unfinished = true;
    await assert.rejects(RunFolder.take(path), {
      name: "UsageError",
      message: new RegExp(`the run of process ${Deno.pid} is using it`),
    });
    await Deno.writeFile(folder.journalPath, journalHead());
  }
  await using folder = await RunFolder.take(path);
  assert.deepEqual((await RunFolder.journaled(path))?.records, []);
  await folder.clear();
  assert.equal(await RunFolder.journaled(path), null);
});

Deno.test("a journal of another format is refused, and what would do is said", async () => {
  await using temp = await TempFolder.create();
  await Deno.mkdir(temp.join("out/.parts"), { recursive: true });
  await Deno.writeFile(temp.join("out/.parts/journal"), journalHead(9));
  await assert.rejects(RunFolder.journaled(temp.join("out")), {
    name: "UsageError",
    message: /version 9, and this wqx reads version 1; --fresh starts the run anew$/,
  });
});

Deno.test("what was found in a file is known as long as the file stays as it is", async () => {
  await using temp = await TempFolder.create();
  const cache = new PreprocessCache(temp.join("cache"));
  const file = { ...inputFile("a.root"), source: "/data/a.root" };
  const stamp = { bytes: 10, modifiedMs: 1 };
  const found = { entries: 7, uuid: "u" };
  assert.equal(await cache.find(file, stamp), null);
  await cache.keep(file, found, stamp);
  assert.deepEqual(await cache.find(file, stamp), found);
  assert.equal(await cache.find(file, { bytes: 11, modifiedMs: 1 }), null);
  assert.equal(await cache.find(file, { bytes: 10, modifiedMs: 2 }), null);
  assert.equal(await cache.find({ ...file, tree: "Other" }, stamp), null);
  for (const { name } of Deno.readDirSync(temp.join("cache"))) {
    await temp.write(`cache/${name}`, "{");
  }
  assert.equal(await cache.find(file, stamp), null);
  // Without a folder there is no cache, and nothing fails.
  await new PreprocessCache("/dev/null/none").keep(file, found, stamp);
});

Deno.test("there are three ways of bringing results to disk", () => {
  assert.equal(parseFsync("always"), "always");
  assert.throws(() => parseFsync("often"), {
    name: "UsageError",
    message: '"often" is no way to bring results to disk: never, interval, always',
  });
});
