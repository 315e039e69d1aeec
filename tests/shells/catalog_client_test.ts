import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";
import type { Address } from "../../core/addresses.ts";
import { fromJson, toJson } from "../../core/jx/json.ts";
import { parseJx } from "../../core/jx/parse.ts";
import { isJxObject, type JxObject } from "../../core/jx/value.ts";
import {
  CatalogClient,
  type CatalogClientOptions,
  catalogsOf,
  sendUpdate,
} from "../../io/catalog_client.ts";
import { FakeCatalog, listOf } from "../support/fake_catalog.ts";
import { deadPort } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
const once = { patienceMs: 0, signal: never };

function envOf(variables: Record<string, string> = {}): (name: string) => string | undefined {
  return (name) => variables[name];
}

function clientOf(
  catalogs: readonly Address[],
  options: CatalogClientOptions = {},
): CatalogClient {
  return new CatalogClient(catalogs, { env: envOf(), ...options });
}

function dead(): Address {
  return { host: "127.0.0.1", port: deadPort() };
}

function json(records: readonly JxObject[]): unknown {
  return records.map(toJson);
}

function recordOf(fields: object): JxObject {
  const record = fromJson(fields);
  if (!isJxObject(record)) throw new Error("no object");
  return record;
}

Deno.test("a filter goes in base64, and is applied here once more", async () => {
  await using catalog = await FakeCatalog.start();
  catalog.records = [{ type: "a", n: 1 }, { type: "b" }, 5 as unknown as object];
  const client = clientOf([catalog.address], { env: envOf({ HTTP_USER_AGENT: "here/1" }) });
  assert.deepEqual(json(await client.query(parseJx('type=="a"'), once)), [{ type: "a", n: 1 }]);
  const [, base64] = /^\/query\/(.*)$/.exec(catalog.asked[0]!)!;
  assert.equal(atob(base64!), 'type=="a"');
  assert.match(catalog.heads[0]!, /user-agent: Mozilla\/5\.0 \(compatible; wqx here\/1\)\r\n/i);
  assert.match(catalog.heads[0]!, /connection: close\r\n/i);
  assert.deepEqual(json(await client.query(null, once)), [{ type: "a", n: 1 }, { type: "b" }]);
  assert.equal(catalog.asked[1], "/query.json");
});

Deno.test("where the question is not understood or too long, all records are asked for", async () => {
  await using catalog = await FakeCatalog.start();
  const body = listOf([{ type: "a" }, { type: "b" }]);
  const client = clientOf([catalog.address]);
  for (
    const bad of [{ status: 400, body: "no" }, { status: 404, body: "no" }, { body: "<html>" }]
  ) {
    catalog.asked.length = 0;
    catalog.answer = (target) => target === "/query.json" ? { body } : bad;
    assert.deepEqual(json(await client.query(parseJx('type=="a"'), once)), [{ type: "a" }]);
    assert.equal(catalog.asked.length, 2);
  }
  catalog.asked.length = 0;
  const long = parseJx(`type=="a" or type=="${"x".repeat(2000)}"`);
  assert.deepEqual(json(await client.query(long, once)), [{ type: "a" }]);
  assert.deepEqual(catalog.asked, ["/query.json"], "servers close at a longer line");
});

Deno.test("answers are JX: 64-bit integers, the first of equal keys, and a bad record hides no other", async () => {
  await using catalog = await FakeCatalog.start();
  const client = clientOf([catalog.address]);
  catalog.answer = () => ({ body: '[\n{"a":9007199254740993,"a":1}\n]\n' });
  assert.equal((await client.query(null, once))[0]?.get("a"), 9007199254740993n);
  catalog.answer = () => ({ body: '[\n{"a":1},\n{"b":error},\n{"c":"\u00e4"}\n]\n' });
  assert.deepEqual(json(await client.query(null, once)), [{ a: 1 }, { c: "\u00e4" }]);
});

Deno.test("a catalog that failed is asked after the others, until it answers again", async () => {
  await using first = await FakeCatalog.start();
  await using second = await FakeCatalog.start();
  const client = clientOf([first.address, second.address], { attemptMs: 300 });
  const asked = () => [first.asked.length, second.asked.length];
  for (const bad of ["silence", "close", { status: 500, body: "" }] as const) {
    first.answer = () => bad;
    second.answer = () => ({ body: "[]" });
    await client.query(null, once);
    const before = asked();
    await client.query(null, once);
    assert.deepEqual(asked(), [before[0], before[1]! + 1], JSON.stringify(bad));
    second.answer = () => "close";
    first.answer = () => ({ body: "[]" });
    await client.query(null, once); // and first is first again
  }
});

Deno.test("no catalog answers: tried again after pauses, and then a sentence names each", async () => {
  await using catalog = await FakeCatalog.start();
  const gone = dead();
  const client = clientOf([gone, catalog.address]);
  catalog.answer = () => catalog.asked.length > 1 ? { body: '[{"a":1}]' } : "close";
  assert.equal((await client.query(null, { patienceMs: 10_000, signal: never })).length, 1);
  assert.equal(catalog.asked.length, 2);
  catalog.answer = () => ({ status: 503, body: "" });
  await assert.rejects(client.query(null, once), (error: Error) => {
    assert.equal(error.name, "RunError");
    assert.match(
      error.message,
      new RegExp(
        `^no catalog answers \\(127\\.0\\.0\\.1:${catalog.port}: HTTP status 503; ` +
          `127\\.0\\.0\\.1:${gone.port}: connect ECONNREFUSED .*\\)$`,
      ),
    );
    return true;
  });
  const bad = clientOf([catalog.address]);
  catalog.answer = () => ({ body: '{"a":1}' });
  await assert.rejects(bad.query(null, once), /its answer is not a list of records/);
  catalog.answer = () => ({ body: "nothing to see" });
  await assert.rejects(bad.query(null, once), /its answer cannot be read: /);
});

Deno.test("a question is broken off by its signal, with the signal's reason", async () => {
  await using catalog = await FakeCatalog.start();
  catalog.answer = () => "silence";
  const stop = new AbortController();
  const asking = clientOf([catalog.address]).query(null, { patienceMs: 0, signal: stop.signal });
  await until(() => catalog.asked.length === 1, { what: "the question" });
  stop.abort(new Error("enough"));
  await assert.rejects(asking, /^Error: enough$/);
});

Deno.test("redirections are followed, but not for ever", async () => {
  await using catalog = await FakeCatalog.start();
  catalog.answer = (target) =>
    target === "/new.json"
      ? { body: '[{"a":1}]' }
      : { status: 302, head: "Location: /new.json\n", body: "" };
  const client = clientOf([catalog.address]);
  assert.equal((await client.query(null, once)).length, 1);
  catalog.answer = () => ({ status: 301, head: "Location: /again\n", body: "" });
  await assert.rejects(client.query(null, once), /it redirects more than 5 times/);
});

Deno.test("HTTP_PROXY is gone through, one after the other, and DIRECT past them", async () => {
  await using proxy = await FakeCatalog.start();
  await using catalog = await FakeCatalog.start();
  proxy.answer = () => ({ body: '[{"via":"proxy"}]' });
  catalog.answer = () => ({ body: '[{"via":"nobody"}]' });
  const none = `http://127.0.0.1:${deadPort()}`;
  const cases: [HTTP_PROXY: string, via: string][] = [
    [`http://${proxy.text}`, "proxy"],
    [`${none};http://${proxy.text}/;DIRECT`, "proxy"],
    [`${none};DIRECT`, "nobody"],
    ["DIRECT", "nobody"],
  ];
  for (const [HTTP_PROXY, via] of cases) {
    const client = clientOf([catalog.address], { env: envOf({ HTTP_PROXY }) });
    assert.deepEqual(json(await client.query(null, once)), [{ via }], HTTP_PROXY);
  }
  assert.equal(proxy.asked[0], `http://${catalog.text}/query.json`);
  const bad = clientOf([catalog.address], { env: envOf({ HTTP_PROXY: "socks" }) });
  await assert.rejects(
    bad.query(null, once),
    /HTTP_PROXY is "socks"; write http:\/\/host:port, or/,
  );
});

Deno.test("an update goes to all catalogs by TCP, in plain letters", async () => {
  await using one = await FakeCatalog.start();
  await using two = await FakeCatalog.start();
  const record = recordOf({ type: "x", name: "\u00e4\ud83d\ude00", big: 5 });
  const gone = dead();
  const catalogs = [one.address, gone, two.address];
  const troubles = await sendUpdate(catalogs, record, { signal: never, env: envOf() });
  assert.equal(troubles.length, 1);
  assert.match(troubles[0]!, new RegExp(`^127\\.0\\.0\\.1:${gone.port}: .*refused`));
  await until(() => one.updates.length + two.updates.length === 2, { what: "both updates" });
  // catalog_server makes all records unreadable for all clients otherwise.
  assert.deepEqual(
    [...one.updates, ...two.updates],
    Array(2).fill('{"type":"x","name":"??","big":5}'),
  );
  await assert.rejects(sendUpdate([gone], record, { signal: never, env: envOf() }), {
    name: "RunError",
    message: /^no catalog takes the update \(127\.0\.0\.1:\d+: .*refused.*\)$/,
  });
});

Deno.test("by UDP a long record goes compressed, else the lean one", async () => {
  await using catalog = await FakeCatalog.start();
  const env = envOf({ CATALOG_UPDATE_PROTOCOL: "udp" });
  const long = recordOf({ type: "x", text: "a".repeat(5000) });
  const noise = Array.from({ length: 2000 }, (_, i) => (i * 7919 % 104729).toString(36)).join("");
  const incompressible = recordOf({ type: "x", noise });
  const lean = recordOf({ type: "lean" });
  const plain = recordOf({ type: "short" });
  for (const record of [plain, long, incompressible]) {
    const before = catalog.datagrams.length;
    await sendUpdate([catalog.address], record, { signal: never, env, lean });
    await until(() => catalog.datagrams.length > before, { what: "the datagram" });
  }
  const [first, second, third] = catalog.datagrams.map((bytes) => bytes);
  assert.equal(new TextDecoder().decode(first), '{"type":"short"}');
  assert.equal(second![0], 0x1a);
  assert.match(
    new TextDecoder().decode(inflateSync(second!.subarray(1))),
    /^\{"type":"x","text":"aaa/,
  );
  assert.equal(new TextDecoder().decode(third), '{"type":"lean"}');
  assert.equal(catalog.updates.length, 0);
});

Deno.test("a record that is too long for a catalog is replaced by the lean one", async () => {
  await using catalog = await FakeCatalog.start();
  const long = recordOf({ text: "a".repeat(1024 ** 2) });
  const lean = recordOf({ type: "lean" });
  await sendUpdate([catalog.address], long, { signal: never, env: envOf(), lean });
  await until(() => catalog.updates.length === 1, { what: "the update" });
  assert.equal(catalog.updates[0], '{"type":"lean"}');
});

Deno.test("catalogsOf() takes the option before CATALOG_HOST, and says which was wrong", () => {
  const list = (option: string | undefined, variables: Record<string, string>) =>
    catalogsOf(option, envOf(variables)).map(({ host, port }) => `${host} ${port}`);
  assert.deepEqual(list("a,b:1", { CATALOG_HOST: "c", CATALOG_PORT: "77" }), ["a 77", "b 1"]);
  assert.deepEqual(list("", { CATALOG_HOST: "c" }), ["c 9097"]);
  assert.deepEqual(list(undefined, {}), [
    "catalog.cse.nd.edu 9097",
    "backup-catalog.cse.nd.edu 9097",
  ]);
  const wrong: [option: string | undefined, variables: Record<string, string>, message: RegExp][] =
    [
      ["a b", {}, /^--catalog: "a b" is no catalog/],
      [undefined, { CATALOG_HOST: "a b" }, /^environment CATALOG_HOST: "a b" is no catalog/],
      ["a", { CATALOG_PORT: "x" }, /^environment CATALOG_PORT: "x" is not a port/],
    ];
  for (const [option, variables, message] of wrong) {
    assert.throws(() => list(option, variables), { name: "UsageError", message });
  }
});
