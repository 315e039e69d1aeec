/** Workers that look for their manager by name. */
import assert from "node:assert/strict";
import { FakeCatalog } from "../support/fake_catalog.ts";
import { deadPort, ScriptedManager } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";

const quick = ["--min-backoff", "20ms", "--max-backoff", "50ms", "--disk", "100"];

function looking(bed: TestBed, catalogs: string, ...options: string[]): Wqx {
  return bed.start(["worker", "-C", catalogs, ...quick, ...options]);
}

function record(port: number, changes: object = {}): object {
  return {
    ...{ type: "wq_master", project: "ana", name: "localhost", address: "127.0.0.1", port },
    ...{ lastheardfrom: 1, protocol: 11, ...changes },
  };
}

Deno.test("a worker finds its manager in the second catalog, asks its name, and serves it", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  catalog.records = [
    record(deadPort(), { project: "banana" }),
    record(manager.port, { network_interfaces: [{ address: "127.0.0.1" }] }),
  ];
  const catalogs = `127.0.0.1:${deadPort()},${catalog.text}`;
  await using worker = looking(bed, catalogs, "-M", "a.a|b", "--single-shot");
  const link = await manager.accept();
  await link.send("ana\nche");
  const lines = await link.greeting();
  assert.ok(lines.indexOf("name") === 1, lines.join("\n"));
  await link.send("ck\n");
  await until(() => link.lines.filter((line) => line === "alive").length > 1, {
    what: "its answer",
  });
  await link.send("exit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.match(worker.stderr, /^Connected to "ana" at localhost:\d+: offering/m);
  assert.match(atob(catalog.asked[0]!.slice("/query/".length)), /type=="wq_master"/);
  await bed.clean();
});

Deno.test("every address of a manager is tried, with the protocol of its record first", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  // Nobody listens on these other addresses of this machine.
  const network_interfaces = [{ address: "127.0.0.3" }, { address: "127.0.0.2" }];
  const found = record(manager.port, { network_interfaces, protocol: 9 });
  catalog.answer = () => ({ body: JSON.stringify(catalog.asked.length > 1 ? [found] : []) });
  await using worker = bed.start(
    ["worker", "-N", "ana", ...quick],
    { env: { CATALOG_HOST: catalog.text } },
  );
  const link = await manager.accept();
  assert.equal(await link.protocol(), 9);
  await link.greeting();
  assert.equal(catalog.asked.length, 2, "it looked again");
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("SIGTERM ends a worker whose catalog takes the question and never answers", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  catalog.answer = () => "silence";
  await using worker = looking(bed, catalog.text, "-M", "ana");
  await until(() => catalog.asked.length > 0, { what: "the question", timeoutMs: 20_000 });
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("a worker leaves a manager that took over the port of the one it looked for", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using stranger = new ScriptedManager();
  catalog.records = [record(stranger.port)];
  await using worker = looking(bed, catalog.text, "-M", "ana", "--connect-timeout", "60s");
  const link = await stranger.accept();
  await link.greeting();
  await link.send("banana\nput x 3 0644\nabc");
  await link.closed();
  await worker.says(
    /^Left "ana" at localhost:\d+: it is not the manager that the catalog told of: asked for its name, it says "banana"$/m,
  );
  using manager = new ScriptedManager();
  catalog.records = [record(manager.port)];
  const served = await manager.accept();
  await served.greeting();
  await served.send("ana\nexit\n");
  await served.closed();
  worker.signal("SIGTERM");
  await worker.ended;
  await bed.clean();
});

Deno.test("without a catalog a worker comes back to where its manager was, not to a stranger there", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  catalog.records = [record(manager.port)];
  await using worker = looking(bed, catalog.text, "-M", "ana", "--connect-timeout", "60s");
  const before = await manager.accept();
  await before.greeting();
  await before.send("ana\n");
  catalog.answer = () => "close";
  const served = catalog.asked.length;
  before.close();
  const again = await manager.accept();
  await again.greeting();
  assert.ok(catalog.asked.length > served, "a catalog is asked first");
  await again.send("banana\nput x 3 0644\nabc");
  await again.closed();
  await worker.says(/^Left "ana" at localhost:\d+: it is not the manager .*it says "banana"$/m);
  const back = await manager.accept();
  await back.greeting();
  await back.send("ana\n");
  await until(() => worker.stderr.match(/^Connected to "ana"/gm)?.length === 3, {
    what: "a third link",
  });
  using elsewhere = new ScriptedManager();
  catalog.answer = () => ({ body: JSON.stringify([record(elsewhere.port)]) });
  back.close();
  const found = await elsewhere.accept();
  await found.greeting();
  await found.send("ana\nexit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.match(
    worker.stderr,
    /^Cannot ask for managers: no catalog .*; trying again, and "ana" at localhost:\d+ where it was$/m,
  );
  await bed.clean();
});

Deno.test("a worker gives up a manager that is nowhere, saying that no catalog told of another", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  catalog.records = [record(manager.port)];
  await using worker = looking(bed, catalog.text, "-M", "ana", "--connect-timeout", "500ms");
  const link = await manager.accept();
  await link.greeting();
  await link.send("ana\n");
  catalog.answer = () => "close";
  manager.close();
  assert.equal(await worker.ended, 1);
  assert.match(
    worker.stderr,
    /\(tried for \d s\): no catalog answers \(.*\); "ana" at localhost:\d+: Connection refused/,
  );
  await bed.clean();
});

Deno.test("that a manager of earlier had no work ends no worker that nobody tells of others", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  catalog.records = [record(manager.port)];
  const idle = ["--timeout", "1s", "--connect-timeout", "60s"];
  await using worker = looking(bed, catalog.text, "-M", "ana", ...idle);
  const link = await manager.accept();
  await link.greeting();
  await link.send("ana\n");
  catalog.answer = () => "close";
  await link.closed();
  const asked = catalog.asked.length;
  await until(() => catalog.asked.length >= asked + 3, { what: "more questions" });
  assert.ok(worker.running, worker.stderr);
  using another = new ScriptedManager();
  catalog.answer = () => ({ body: JSON.stringify([record(another.port)]) });
  const served = await another.accept();
  await served.greeting();
  await served.send("ana\nexit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("catalog down, no manager, manager there: each is said once", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  using manager = new ScriptedManager();
  catalog.answer = () => "close";
  await using worker = looking(bed, catalog.text, "-M", "ana");
  const rounds = async (count: number) => {
    const before = catalog.asked.length;
    await until(() => catalog.asked.length >= before + count, { what: "more questions" });
  };
  await rounds(4);
  catalog.answer = () => ({ body: "[]" });
  await rounds(4);
  catalog.answer = () => ({ body: JSON.stringify([record(manager.port)]) });
  const link = await manager.accept();
  await link.greeting();
  await link.send("ana\nexit\n");
  assert.equal(await worker.ended, 0, worker.stderr);
  const said = worker.stderr.split("\n").map((line) => line.replace(/\(.*\)/, "(…)").slice(0, 60));
  assert.deepEqual(said.slice(0, 3), [
    "Cannot ask for managers: no catalog answers (…); trying agai",
    "A catalog answers again",
    'Waiting for a manager with project name "ana"',
  ]);
  assert.match(said[3]!, /^Connected to "ana"/);
  await bed.clean();
});

Deno.test("a worker gives up where there is never a catalog, or never such a manager", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  const dead = deadPort();
  const cases: [catalog: string, records: object[], options: string[], message: RegExp][] = [
    [`127.0.0.1:${dead}`, [], [], /no catalog answers \(127\.0\.0\.1:\d+: connect ECONNREFUSED/],
    [catalog.text, [], [], /\(tried for \d s\): there is none$/m],
    [catalog.text, [record(dead)], ["--ssl"], /"ana" at localhost:\d+ has no TLS, which --ssl ins/],
    [catalog.text, [record(dead)], [], /"ana" at localhost:\d+: Connection refused/],
  ];
  for (const [where, records, options, message] of cases) {
    catalog.records = records;
    await using worker = looking(bed, where, "-M", "ana", "--connect-timeout", "200ms", ...options);
    assert.equal(await worker.ended, 1);
    assert.match(
      worker.stderr,
      /^Cannot connect to a manager with project name "ana" in the catalog at 127\.0\.0\.1:\d+ /m,
    );
    assert.match(worker.stderr, message);
  }
  await bed.clean();
});

Deno.test("a project name that is no pattern, or two ways to a manager, is refused before anything", async () => {
  await using bed = await TestBed.create();
  const cases: [string[], RegExp][] = [
    [["-M", "a("], /^--manager-name: "a\(" is not a regular expression: /],
    [["-M", "ana", "-C", "no catalog"], /^--catalog: "no catalog" is no catalog: write HOST or/],
    [["-M", "ana", "localhost", "1"], /^Give either -M "ana" or the manager "localhost", not both/],
    [["-M", "ana", "--connection-mode", "by_i"], /^--connection-mode: "by_i" is no way to connect/],
  ];
  for (const [args, message] of cases) {
    const worker = await bed.run(["worker", ...args]);
    assert.equal(worker.code, 2);
    assert.match(worker.stderr, message);
  }
});
