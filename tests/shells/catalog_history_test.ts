/** The history on disk: after kill -9, damage, a full disk, and with the folders of others. */
import assert from "node:assert/strict";
import { printJx } from "../../core/jx/print.ts";
import { tableLimitsDefault } from "../../core/catalog/table.ts";
import { CatalogStore, type StoreOptions } from "../../catalog/store.ts";
import { sendStream, TestCatalog } from "../support/catalog.ts";
import { TempFolder } from "../support/temp.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";

const source = { address: "10.0.0.1", name: "h" };

/** With the notes it wrote. */
async function open(history: string, options: Partial<StoreOptions> = {}) {
  const notes: string[] = [];
  const store = await CatalogStore.open({
    history,
    limits: tableLimitsDefault,
    serverBytesMax: null,
    updateLog: null,
    nowMs: Date.now,
    note: (line) => notes.push(line),
    ...options,
  });
  return { store, notes };
}

function shown(store: CatalogStore): string[] {
  return [...store.records()].map((record) =>
    printJx(new Map([...record].filter(([name]) => name !== "lastheardfrom")))
  );
}

/** The one log below the folder. */
function logOf(folder: TempFolder): string {
  const year = [...Deno.readDirSync(folder.path)].find(({ name }) => /^\d+$/.test(name))!.name;
  const log = [...Deno.readDirSync(folder.join(year))].find(({ name }) => name.endsWith(".log"))!;
  return folder.join(year, log.name);
}

Deno.test("a store that is opened again knows all records, and a new series of each manager", async () => {
  await using folder = await TempFolder.create();
  {
    using store = (await open(folder.path)).store;
    store.update('{"type":"wq_master","port":1,"v":1,"gone":1,"tasks_waiting":4}', source);
    store.update('{"type":"wq_master","port":1,"v":2,"tasks_waiting":5}', source);
    store.update('{"type":"x","port":2}', source);
  }
  const { store, notes } = await open(folder.path);
  using _store = store;
  assert.deepEqual(shown(store), [
    '{"name":"h","address":"10.0.0.1","type":"wq_master","port":1,"v":2,"tasks_waiting":5}',
    '{"name":"h","address":"10.0.0.1","type":"x","port":2}',
  ]);
  assert.deepEqual(store.series("10.0.0.1:1:h").map(({ waiting }) => waiting), [4, 5]);
  assert.deepEqual(notes, []);
});

Deno.test("a line cut off in the middle and garbage are left out, and the rest is known", async () => {
  await using folder = await TempFolder.create();
  {
    using store = (await open(folder.path)).store;
    store.update('{"type":"x","port":1,"v":1}', source);
  }
  const log = logOf(folder);
  await Deno.writeTextFile(log, 'garbage\n\0\0\nC 10.0.0.1:9:h {"name":"h","po', { append: true });
  {
    const { store, notes } = await open(folder.path);
    using _store = store;
    assert.deepEqual(shown(store), ['{"name":"h","address":"10.0.0.1","type":"x","port":1,"v":1}']);
    assert.match(notes[0]!, /^3 damaged lines of the history in .* were left out$/);
    store.update('{"type":"x","port":1,"v":2}', source);
  }
  using store = (await open(folder.path)).store;
  assert.deepEqual(shown(store), ['{"name":"h","address":"10.0.0.1","type":"x","port":1,"v":2}']);
});

Deno.test("a damaged checkpoint is said, and an earlier day is used", async () => {
  await using folder = await TempFolder.create();
  await folder.write("2026/100.ckpt", "{}\n");
  await folder.write("2026/100.log", 'T 1775865600\nC k:1:h {"name":"h","port":1}\n');
  await folder.write("2026/101.ckpt", '{"k:1:h":{"name":');
  await folder.write("2026/101.log", 'T 1775952000\nM k:1:h {"v":2}\n');
  const { store, notes } = await open(folder.path, { nowMs: () => Date.UTC(2026, 3, 12, 1) });
  using _store = store;
  assert.deepEqual(shown(store), ['{"name":"h","port":1,"v":2}']);
  assert.match(notes[0]!, /101\.ckpt is damaged; an earlier one is used/);
});

Deno.test("recovered records live on for a lifetime, because nobody could speak to us", async () => {
  await using folder = await TempFolder.create();
  let nowMs = Date.UTC(2026, 4, 1);
  const options = { nowMs: () => nowMs };
  {
    using store = (await open(folder.path, options)).store;
    store.update('{"type":"x","port":1,"lifetime":60}', source);
  }
  nowMs += 3 * 86_400_000;
  using store = (await open(folder.path, options)).store;
  assert.equal(shown(store).length, 1);
  nowMs += 61_000;
  await until(() => shown(store).length === 0, { what: "the end of the record" });
});

Deno.test("two catalogs cannot share a folder", async () => {
  await using folder = await TempFolder.create();
  using _store = (await open(folder.path)).store;
  await assert.rejects(open(folder.path), {
    name: "RunError",
    message: `Cannot write the history to ${folder.path}: another catalog does so; name another ` +
      "folder by --history",
  });
});

Deno.test("a folder that cannot be written is a sentence", async () => {
  await using folder = await TempFolder.create();
  const path = `${await folder.write("file", "")}/history`;
  await assert.rejects(open(path), {
    name: "RunError",
    message: /^Cannot write the history to .*file/,
  });
});

Deno.test({
  ...needs(
    (() => {
      try {
        return Deno.statSync("/dev/full").isCharDevice === true;
      } catch {
        return false;
      }
    })(),
    "there is no /dev/full",
    "a full disk is said once, questions are answered, and nothing is missing when there is room",
  ),
  async fn() {
    await using folder = await TempFolder.create();
    let nowMs = Date.UTC(2026, 4, 1);
    const history = folder.join("history");
    await using catalog = await TestCatalog.start(folder, { store: { nowMs: () => nowMs } });
    // The log of the next day is a device that takes nothing.
    await Deno.symlink("/dev/full", `${history}/2026/121.log`);
    nowMs += 86_400_000;
    await sendStream(catalog.port, '{"type":"x","port":1,"v":1}');
    await catalog.knows(1);
    await sendStream(catalog.port, '{"type":"y","port":2}');
    await catalog.knows(2);
    await until(() => catalog.notes.length > 0, { what: "the sentence about the disk" });
    assert.match(
      catalog.notes[0]!,
      /^Cannot write the history in .* queries are answered as before/,
    );
    assert.equal(JSON.parse(await catalog.ask("/query.json")).length, 2);
    await Deno.remove(`${history}/2026/121.log`);
    nowMs += 20_000;
    catalog.store.history.flush(nowMs);
    assert.match(catalog.notes.at(-1)!, /is whole again$/);
    assert.equal(catalog.notes.length, 2);
    const lines = (await Deno.readTextFile(`${history}/2026/121.log`)).split("\n");
    assert.equal(lines.filter((line) => /^C .*"port":[12]/.test(line)).length, 2);
  },
});

Deno.test("new records are added to the update log, changed ones are not", async () => {
  await using folder = await TempFolder.create();
  const updateLog = folder.join("new.log");
  using store = (await open(folder.join("history"), { updateLog })).store;
  store.update('{"type":"x","port":1}', source);
  store.update('{"type":"x","port":1,"v":2}', source);
  store.update('{"type":"x","port":2}', source);
  const lines = (await Deno.readTextFile(updateLog)).trim().split("\n");
  assert.deepEqual(lines.map((line) => JSON.parse(line).port), [1, 2]);
});
