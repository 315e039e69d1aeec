import assert from "node:assert/strict";
import { fromJson } from "../../core/jx/json.ts";
import { isJxObject } from "../../core/jx/value.ts";
import type { AdvertCounts } from "../../core/status/advert.ts";
import { askManager } from "../../io/manager_query.ts";
import { type Advertised, Advertiser, type Rhythm } from "../../manager/advertise.ts";
import { FakeCatalog } from "../support/fake_catalog.ts";
import { deadPort } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";

const slow: Rhythm = { everyMs: 60_000, newsMs: 10 };
const fast: Rhythm = { everyMs: 20, newsMs: 10 };

class FakeManager implements Advertised {
  counts: Omit<AdvertCounts, "joined"> & Advertised["counts"] = {
    waiting: 0,
    running: 0,
    done: 0,
    workers: 0,
    failedAttempts: 0,
  };
  statistics = { workersJoined: 0 };
  factories: string[] = [];
  readonly limited: [string, number][][] = [];

  advert({ id, lifetimeS }: Parameters<Advertised["advert"]>[0]): ReturnType<Advertised["advert"]> {
    const { workers } = this.counts;
    const record = fromJson({
      ...{ type: "wq_master", project: "ana", port: 5, owner: "me" },
      ...{ workers, wqx_id: id, lifetime: lifetimeS },
    });
    if (!isJxObject(record)) throw new Error("no object");
    return { full: record, lean: record };
  }

  limitFactories(limits: ReadonlyMap<string, number>): void {
    this.limited.push([...limits]);
  }
}

type Told = Record<string, string | number>;

function told(catalog: FakeCatalog): Told[] {
  return catalog.updates.map((text) => JSON.parse(text));
}

function start(catalog: { port: number }, manager: FakeManager, rhythm: Rhythm) {
  const notes: string[] = [];
  const advertiser = Advertiser.start({
    ...{ project: "ana", catalogs: [{ host: "127.0.0.1", port: catalog.port }], manager, rhythm },
    ...{ env: () => undefined, note: (line: string) => notes.push(line) },
  });
  return { advertiser, notes };
}

Deno.test("a manager tells the catalog at once, at news, and when it ends", async () => {
  await using catalog = await FakeCatalog.start();
  const manager = new FakeManager();
  const { advertiser, notes } = start(catalog, manager, slow);
  await until(() => catalog.updates.length === 1, { what: "the first update" });
  manager.counts = { ...manager.counts, workers: 3 };
  await until(() => catalog.updates.length === 2, { what: "the news" });
  await until(() => catalog.asked.length === 2, { what: "its questions" });
  await advertiser[Symbol.asyncDispose]();
  await until(() => catalog.updates.length === 3, { what: "the end" });
  const [first, second, last] = told(catalog);
  assert.deepEqual([first?.workers, first?.lifetime], [0, 180]);
  assert.equal(second?.workers, 3);
  assert.deepEqual([last?.type, last?.lifetime, last?.port], ["wqx_ended", 1, 5]);
  assert.deepEqual(notes, [], "all is well");
});

Deno.test("a manager tells of a worker that came and went before anybody looked", async () => {
  await using catalog = await FakeCatalog.start();
  const manager = new FakeManager();
  await using _advertiser = start(catalog, manager, slow).advertiser;
  await until(() => catalog.updates.length === 1, { what: "the first update" });
  manager.statistics.workersJoined++;
  await until(() => catalog.updates.length === 2, { what: "the news" });
});

Deno.test("without news a manager tells the catalog in its rhythm", async () => {
  await using catalog = await FakeCatalog.start();
  await using _advertiser = start(catalog, new FakeManager(), fast).advertiser;
  await until(() => catalog.updates.length >= 4, { what: "several updates" });
});

Deno.test("that no catalog listens is said once, and once that it listens again", async () => {
  const port = deadPort();
  const { advertiser, notes } = start({ port }, new FakeManager(), fast);
  await using _advertiser = advertiser;
  await until(() => notes.length === 1, { what: "the complaint" });
  assert.match(
    notes[0]!,
    /^Workers cannot find this manager by its name for now: no catalog takes the update \(.*refused.*\); trying again$/,
  );
  const updates: Deno.Conn[] = [];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: port + 1 });
  const taking = (async () => {
    for await (const conn of listener) updates.push(conn);
  })();
  await until(() => notes.length === 2, { what: "the good news" });
  assert.equal(notes[1], "The catalog is told of this manager again");
  await until(() => updates.length > 3, { what: "more updates" });
  assert.equal(notes.length, 2, "and no more of it");
  await advertiser[Symbol.asyncDispose]();
  listener.close();
  await taking;
  for (const conn of updates) conn.close();
});

Deno.test("a manager that was never heard ends without waiting for a catalog", async () => {
  const { advertiser, notes } = start({ port: deadPort() }, new FakeManager(), slow);
  await until(() => notes.length === 1, { what: "the complaint" });
  const sinceMs = performance.now();
  await advertiser[Symbol.asyncDispose]();
  assert.ok(performance.now() - sinceMs < 1500);
});

Deno.test("another manager of the same name is told of, once, if it is alive", async () => {
  await using catalog = await FakeCatalog.start();
  const other = { type: "wq_master", project: "ana", name: "node7.site.edu", port: 7 };
  catalog.answer = () => {
    const own = told(catalog).at(-1)!;
    const records = [
      { ...own, lastheardfrom: 1000 },
      { ...other, owner: "bob", lastheardfrom: 990 },
      { ...other, port: 8, lastheardfrom: 100 },
      { ...other, type: "wq_factory", lastheardfrom: 1000 },
    ];
    return { body: JSON.stringify(records) };
  };
  const rhythm = { everyMs: 60_000, newsMs: 10 };
  const manager = new FakeManager();
  const { advertiser, notes } = start(catalog, manager, rhythm);
  await using _advertiser = advertiser;
  await until(() => notes.length === 1, { what: "the warning" });
  assert.equal(
    notes[0],
    'There is another manager called "ana", at node7.site.edu:7 of bob: workers and factories ' +
      "will serve both. Give one of them another name (-M)",
  );
  for (const workers of [1, 2]) {
    const before = catalog.asked.length;
    manager.counts = { ...manager.counts, workers };
    await until(() => catalog.asked.length > before, { what: "another question" });
  }
  assert.equal(notes.length, 1);
});

Deno.test("limits of the factories whose workers are here are asked for, and nobody is held up", async () => {
  await using catalog = await FakeCatalog.start();
  const manager = new FakeManager();
  manager.factories = ["f", 'g "2"'];
  const factory = { type: "wq_factory", factory_name: "f", max_workers: 3 };
  catalog.records = [factory, { ...factory, factory_name: "h" }, {
    type: "wq_factory",
    factory_name: 'g "2"',
  }];
  const { advertiser } = start(catalog, manager, slow);
  await until(() => manager.limited.length === 1, { what: "the limits" });
  assert.deepEqual(manager.limited, [[["f", 3]]], "only those asked for, if they have one");
  catalog.answer = () => "silence";
  for (const workers of [1, 2, 3]) {
    manager.counts = { ...manager.counts, workers };
    const before = catalog.updates.length;
    await until(() => catalog.updates.length > before, { what: "an update meanwhile" });
  }
  await advertiser[Symbol.asyncDispose]();
  assert.equal(manager.limited.length, 1, "limits stay as they were");
});

/** A manager that waits on stdin for tasks, with these options. */
async function manager(bed: TestBed, ...options: string[]) {
  const words = ["manager", "-", "--workers", "none", "-Z", "port", ...options];
  const program = bed.start(words, { stdin: "piped" });
  await program.says(/Listening on port/);
  return { program, port: (await Deno.readTextFile(bed.folder.join("port"))).trim() };
}

Deno.test("a manager with -M says how workers find it, and lets those of a full factory go", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = [{ type: "wq_factory", factory_name: "f", max_workers: 0 }];
  const { program, port } = await manager(bed, "-M", "my run", "-C", catalog.text);
  await using _program = program;
  assert.match(
    program.stderr,
    new RegExp(
      `^Listening on port ${port} as "my run". Start a worker: ` +
        `wqx worker -M 'my run' -C 127.0.0.1:${catalog.port}, or wqx worker --join \\S+:${port}/[\\w-]{43}$`,
      "m",
    ),
  );
  const to = ["worker", "127.0.0.1", port, "--disk", "100"];
  await using stays = bed.start([...to, "--single-shot"]);
  await stays.says(/^Connected/m);
  const leaves = await bed.run([...to, "--from-factory", "f"]);
  assert.equal(leaves.code, 0, leaves.stderr);
  assert.match(leaves.stderr, /^Left .*: the manager has no more work$/m);
  assert.ok(stays.running);
  await program.closeInput();
  assert.equal(await program.ended, 0, program.stderr);
  const updates = told(catalog);
  assert.deepEqual([updates[0]?.project, updates.at(-1)?.type], ["my run", "wqx_ended"]);
  await stays.ended;
  await bed.clean();
});

Deno.test("without -M a manager tells no catalog, and answers as the run is called", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  const { program, port } = await manager(bed, "-C", catalog.text);
  await using _program = program;
  const address = { host: "127.0.0.1", port: Number(port) };
  const asking = { tls: false, password: null, timeoutMs: 5000, signal: AbortSignal.timeout(5000) };
  assert.equal((await askManager(address, "queue_status", asking))[0]?.get("project"), "tasks");
  await program.closeInput();
  assert.equal(await program.ended, 0, program.stderr);
  assert.deepEqual([catalog.updates, catalog.asked], [[], []]);
  await bed.clean();
});

Deno.test("a name that would harm a catalog, or a port file that cannot be, is refused", async () => {
  await using bed = await TestBed.create();
  const cases: [options: string[], message: RegExp, code: number][] = [
    [
      ["-M", "m\u00e4h"],
      /^--manager-name: "m\u00e4h" is no project name: it is plain letters, 1 to/,
      2,
    ],
    [["-M", ""], /^--manager-name: "" is no project name/, 2],
    [["-M", "a", "-C", "b c"], /^--catalog: "b c" is no catalog: write HOST or HOST:PORT/, 2],
    [["--preferred-connection", "by"], /^--preferred-connection: "by" is no way to connect/, 2],
    [["-Z", "no/such/folder"], /Cannot write the port to no\/such\/folder: .*No such file/, 1],
  ];
  for (const [options, message, code] of cases) {
    const refused = await bed.run(["manager", "-", "--workers", "none", ...options]);
    assert.match(refused.stderr, message);
    assert.equal(refused.code, code, refused.stderr);
  }
});
