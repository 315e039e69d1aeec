/** `wqx catalog-query` and `wqx catalog-update`, under their own names and under cctools'. */
import assert from "node:assert/strict";
import { hostname } from "node:os";
import { needsParts } from "../support/cctools.ts";
import { FakeCatalog } from "../support/fake_catalog.ts";
import { deadPort } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";

const records = [
  { type: "a", n: 1, list: [1, [2], { x: 1.5 }], empty: [], none: {} },
  { type: "b", n: 2 },
];

Deno.test("catalog-query prints records for which an expression is true, whole or in columns", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  catalog.records = records;
  const ask = async (...words: string[]) => {
    const asked = await bed.run(["catalog-query", "-c", catalog.text, ...words]);
    assert.equal(asked.code, 0, asked.stderr);
    return asked.stdout;
  };
  assert.equal(await ask("-w", "n>1"), '[\n\n{\n  "type":"b",\n  "n":2\n}\n]\n');
  assert.equal(await ask("-w", "n>2"), "[\n\n]\n");
  assert.equal(
    await ask("--output", "type", "-p", "n+1", "-p", "x"),
    'type\tn+1\tx\t\n"a"\t2\terror("on line 1, x: undefined symbol")\t\n' +
      '"b"\t3\terror("on line 1, x: undefined symbol")\t\n',
  );
  assert.deepEqual(
    (await ask("--json")).trim().split("\n").map((line) => JSON.parse(line)),
    records,
  );
});

Deno.test("catalog-query says what is wrong, with the exit codes of either name", async () => {
  await using bed = await TestBed.create();
  await bed.run(["links", "bin"]);
  const real = { command: [bed.folder.join("bin/catalog_query")] };
  const dead = `127.0.0.1:${deadPort()}`;
  const cases: [words: string[], message: RegExp, code: number][] = [
    [["-w", "a=="], /^--where: invalid expression: a== \(parse error: line 1: .+\)$/m, 2],
    [["extra"], /^Unexpected argument "extra": the usage is /, 2],
    [["-t", "x"], /^--timeout: "x" is not a time/, 2],
    [
      ["-c", dead, "-t", "1"],
      /^couldn't query catalog: no catalog answers \(127\.0\.0\.1:\d+: .+\)/,
      1,
    ],
  ];
  for (const [words, message, code] of cases) {
    const own = await bed.run(["catalog-query", ...words]);
    assert.match(own.stderr, message);
    assert.equal(own.code, code, own.stderr);
    const linked = await bed.run(words, real);
    assert.match(linked.stderr, message);
    assert.equal(linked.code, 1);
  }
});

Deno.test("catalog-update tells of this machine; fields of a file win", async () => {
  await using bed = await TestBed.create();
  await using catalog = await FakeCatalog.start();
  await bed.run(["links", "bin"]);
  await bed.folder.write("more.jx", '{"type":"gate", "load": [1, 2,], # mine\n}');
  const real = { command: [bed.folder.join("bin/catalog_update")] };
  const told = await bed.run(["-c", catalog.text, "--file", "more.jx"], real);
  assert.equal(told.code, 0, told.stderr);
  await until(() => catalog.updates.length === 1, { what: "the update" });
  const record = JSON.parse(catalog.updates[0]!);
  assert.deepEqual([record.type, record.load], ["gate", [1, 2]]);
  const keys = ["cpu", "cpus", "load1", "load15", "load5", "memory_avail", "memory_total", "opsys"];
  for (const key of [...keys, "opsysversion", "owner", "version", "uptime,"]) {
    assert.ok(key in record, `${key} is told, ${hostname()}`);
  }
  assert.equal(record.opsys, "linux");
  assert.ok(record.memory_total > record.memory_avail && record.cpus > 0);
});

Deno.test("catalog-update that reaches nobody fails, but not as catalog_update", async () => {
  await using bed = await TestBed.create();
  await bed.run(["links", "bin"]);
  await bed.folder.write("bad.json", "[1]");
  const real = { command: [bed.folder.join("bin/catalog_update")] };
  const dead = ["-c", `127.0.0.1:${deadPort()}`];
  const own = await bed.run(["catalog-update", ...dead]);
  assert.match(own.stderr, /unable to send update: no catalog takes the update \(127.*refused/);
  const linked = await bed.run(dead, real);
  assert.match(linked.stderr, /^catalog_update: unable to send update: /);
  assert.deepEqual([own.code, linked.code], [1, 0]);
  for (const file of ["missing.json", "bad.json"]) {
    const refused = await bed.run([...dead, "-f", file], real);
    assert.match(refused.stderr, new RegExp(`^${file} does not contain a valid json record: `));
    assert.equal(refused.code, 1);
  }
});

Deno.test({
  ...needsParts(
    "catalog-query prints what catalog_query prints, to the byte; catalog_server takes our update",
    "catalog_server",
    "catalog_query",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const beside = ["-I", "127.0.0.1", "-u", `127.0.0.1:${deadPort()}`];
    await using server = bed.start(["-Z", "port", "-H", "history", ...beside], {
      command: ["catalog_server"],
    });
    const port = await until(async () => {
      const text = await Deno.readTextFile(bed.folder.join("port")).catch(() => "");
      return text.endsWith("\n") && Number(text);
    }, { what: "the catalog's port" });
    const catalog = ["-c", `127.0.0.1:${port}`];
    const bySockets: Record<string, string>[] = [
      {},
      { CATALOG_UPDATE_PROTOCOL: "udp" },
      // Compressed.
      { CATALOG_UPDATE_PROTOCOL: "udp", CATALOG_UPDATE_LIMIT: "500" },
    ];
    for (const [i, env] of bySockets.entries()) {
      const text = JSON.stringify({
        ...records[0],
        uuid: `u${i}`,
        text: 'a"\\\n\u00e4'.repeat(100),
      });
      await bed.folder.write("more.json", text);
      const told = await bed.run(["catalog-update", ...catalog, "-f", "more.json"], { env });
      assert.equal(told.code, 0, told.stderr);
    }
    const theirs = await until(async () => {
      const asked = await bed.run(catalog, { command: ["catalog_query"] });
      return asked.stdout.match(/"uuid"/g)?.length === 3 && asked.stdout;
    }, { what: "three records" });
    assert.equal((await bed.run(["catalog-query", ...catalog])).stdout, theirs);
    server.signal("SIGTERM");
    await server.ended;
    await bed.clean();
  },
});
