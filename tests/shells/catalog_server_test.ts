/** The catalog on real sockets: updates of all kinds, questions of all kinds, strangers. */
import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import { selfSignedIdentity } from "../../io/tls_identity.ts";
import { rawRequest, sendDatagram, sendStream, TestCatalog } from "../support/catalog.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const encoder = new TextEncoder();

function compressed(text: string, compress = deflateSync): Uint8Array {
  return Uint8Array.from([0x1a, ...compress(encoder.encode(text))]);
}

function typesOf(catalog: TestCatalog): string[] {
  return [...catalog.store.records()].map((record) => String(record.get("type"))).sort();
}

Deno.test("updates come by UDP and TCP, plain and compressed, as objects and as lines", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder);
  await sendDatagram(catalog.port, '{"type":"a","port":1}');
  await sendDatagram(catalog.port, compressed('{"type":"b","port":2}'));
  await sendDatagram(catalog.port, "type c\nport 3\n");
  await sendStream(catalog.port, '{"type":"d","port":4}');
  await sendStream(catalog.port, compressed('{"type":"e","port":5}'));
  await sendStream(catalog.port, "type f\nport 6\n");
  await catalog.knows(6);
  assert.deepEqual(typesOf(catalog), ["a", "b", "c", "d", "e", "f"]);
  for (const record of catalog.store.records()) assert.equal(record.get("address"), "127.0.0.1");
});

Deno.test("strangers' updates are dropped with a reason, and the next good one is taken", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder);
  const dropped: (string | Uint8Array)[] = [
    "",
    "[1]",
    "{1:3}",
    "hello",
    '{"a":1+1}',
    compressed('{"type":"x"}', gzipSync),
    compressed(`{"type":"x","pad":"${"x".repeat(2 ** 21)}"}`), // 2 kB that would become 2 MB
    Uint8Array.from({ length: 1000 }, (_, i) => (i * 7919) % 256),
    "[".repeat(60_000),
  ];
  for (const payload of dropped) {
    await sendDatagram(catalog.port, payload);
    await sendStream(catalog.port, payload);
  }
  await sendStream(catalog.port, `{"a":[${"1,".repeat(500_000)}1]`); // 10⁶ bytes, unfinished
  await sendStream(catalog.port, `{"a":"${"x".repeat(1024 ** 2)}"}`); // a byte too long, and more
  await sendStream(catalog.port, `{"type":"large","a":[${"1,".repeat(500_000)}1]}`);
  await sendDatagram(catalog.port, '{"type":"good"}');
  await until(() => typesOf(catalog).at(-1) === "large" || typesOf(catalog).at(-1) === "good", {
    what: "the good update",
  });
  await catalog.knows(1); // without ports they have one key
  assert.match(catalog.notes[0]!, /^Dropped an update of 127\.0\.0\.1: /);
  assert.ok(catalog.notes.length < 5, "not a sentence for each");
});

Deno.test("answers end with the connection, are not chunked, and allow every reader", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder);
  await sendStream(catalog.port, '{"type":"a","port":1,"p":"é"}');
  await catalog.knows(1);
  const request = (line: string) => rawRequest(catalog.port, `${line}\r\nHost: localhost\r\n\r\n`);
  const answer = await request("GET /query.json HTTP/1.1"); // without Connection: close
  const [head, body] = answer.split("\r\n\r\n");
  assert.match(head!, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(head!, /^content-type: text\/plain; charset=utf-8\r?$/im);
  assert.match(head!, /^connection: close\r?$/im);
  assert.match(head!, /^access-control-allow-origin: \*\r?$/im);
  assert.ok(!/transfer-encoding|content-encoding/i.test(head!));
  assert.match(
    body!,
    /^\[\n\{"name":"[^"]+","lastheardfrom":\d+,"address":"127\.0\.0\.1","type":"a","port":1,"p":"é"\}\n\]\n$/,
  );
  for (
    const line of [
      `GET http://localhost:${catalog.port}/query.json HTTP/1.1`, // as proxies are asked
      "POST /query.json HTTP/1.1",
      "GET /query.json HTTP/1.0",
      `GET /query/${btoa("true")} HTTP/1.1`,
      `GET /query/${btoa('type=="a"')} HTTP/1.1`.replace("= ", "%3D "),
    ]
  ) {
    assert.equal((await request(line)).split("\r\n\r\n")[1], body, line);
  }
  assert.equal(
    (await rawRequest(catalog.port, "GET /query.json HTTP/1.1\r\n\r\n")).split("\r\n\r\n")[1],
    body,
  );
});

for (
  const { filter, types } of [
    { filter: "true", types: ["a", "b"] },
    { filter: "false", types: [] },
    { filter: 'type=="b"', types: ["b"] },
    { filter: "1", types: [] },
    { filter: "port", types: [] },
    { filter: "missing>3", types: [] },
    { filter: 'like(project,"^x.?y")', types: ["a"] },
    { filter: 'project=="a?b??c???"', types: ["b"] }, // with a slash in its base64
    { filter: "[x for x in range(1000000)]==[]", types: [] },
  ]
) {
  Deno.test(`the filter ${filter} chooses ${types.join(", ") || "nothing"}`, async () => {
    await using folder = await TempFolder.create();
    await using catalog = await TestCatalog.start(folder);
    const source = { address: "10.0.0.1", name: "h" };
    catalog.store.update('{"type":"a","port":1,"project":"xxy"}', source);
    catalog.store.update('{"type":"b","port":2,"project":"a?b??c???"}', source);
    const found = JSON.parse(await catalog.ask(`/query/${btoa(filter)}`));
    assert.deepEqual(found.map(({ type }: { type: string }) => type), types);
  });
}

Deno.test("questions that cannot be read get the sentences of catalog_server", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder);
  for (
    const [path, status, body] of [
      ["/query/!!!", 400, "Invalid base-64 encoding.\n"],
      [`/query/${btoa("(((")}`, 400, "Invalid query text.\n"],
      ["/updates/1/2/!!", 400, "Invalid base-64 encoding.\n"],
      ["/query/", 404, null],
      ["/nowhere", 404, null],
    ] as const
  ) {
    const answer = await fetch(`http://127.0.0.1:${catalog.port}${path}`);
    assert.equal(answer.status, status, path);
    const text = await answer.text();
    if (body !== null) assert.equal(text, body);
  }
  assert.match(await rawRequest(catalog.port, "garbage\r\n\r\n"), /^HTTP\/1\.1 400 /);
});

Deno.test("the past is answered from the history, and its updates as a stream", async () => {
  await using folder = await TempFolder.create();
  let nowMs = Date.UTC(2026, 4, 1, 23, 59, 0);
  await using catalog = await TestCatalog.start(folder, { store: { nowMs: () => nowMs } });
  const source = { address: "10.0.0.1", name: "h" };
  const atS = () => Math.floor(nowMs / 1000);
  const update = (text: string, laterMs: number) => {
    nowMs += laterMs;
    catalog.store.history.flush(nowMs);
    assert.equal(catalog.store.update(text, source), null);
    catalog.store.history.flush(nowMs);
    return atS();
  };
  const first = update('{"type":"a","port":1,"v":1}', 1000);
  const second = update('{"type":"a","port":1,"v":2}', 10_000);
  const nextDay = update('{"type":"b","port":2}', 120_000);
  const at = async (s: number) => JSON.parse(await catalog.ask(`/history/${s}/query.json`));
  assert.deepEqual(await at(first - 1), []);
  assert.equal((await at(first))[0].v, 1);
  assert.equal((await at(second - 1))[0].v, 1);
  assert.equal((await at(second))[0].v, 2);
  assert.equal((await at(nextDay)).length, 2);
  assert.equal(
    (JSON.parse(await catalog.ask(`/history/${nextDay}/query/${btoa('type=="b"')}`))).length,
    1,
  );
  assert.equal(
    await catalog.ask(`/updates/${first + 1}/${nextDay}/${btoa('type=="a"')}`),
    `T ${first + 1}\nC 10.0.0.1:1:h {"name":"h","lastheardfrom":${first},"address":"10.0.0.1",` +
      `"type":"a","port":1,"v":1}\nt 9\nM 10.0.0.1:1:h {"v":2}\n`,
  );
  assert.deepEqual(
    [...Deno.readDirSync(folder.join("history/2026"))].map(({ name }) => name).sort(),
    ["120.ckpt", "120.log", "121.ckpt", "121.log"],
  );
});

Deno.test("thousand half-open connections and slow senders are cut off, and nobody waits", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder);
  const open = await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
    const port = catalog.port + i % 2; // both of questions and of updates
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(encoder.encode(i % 2 === 0 ? "GET /query.json HT" : '{"type":"'));
    return connection;
  }));
  try {
    await sendStream(catalog.port, '{"type":"good"}');
    await catalog.knows(1);
    const startMs = performance.now();
    assert.equal(JSON.parse(await catalog.ask("/query.json")).length, 1);
    assert.ok(performance.now() - startMs < 2_000);
    // Those of updates are out of time after 5 s.
    await until(async () => await open[1]!.read(new Uint8Array(1)).catch(() => null) === null, {
      what: "the end of a connection that does not finish its update",
    });
  } finally {
    for (const connection of open) connection.close();
  }
});

Deno.test("an answer that nobody fetches is given up after its time", async () => {
  await using folder = await TempFolder.create();
  await using catalog = await TestCatalog.start(folder, { serve: { timeoutMs: 300 } });
  const source = { address: "10.0.0.1", name: "h" };
  for (let port = 0; port < 40; port++) {
    catalog.store.update(`{"port":${port},"pad":"${"x".repeat(500_000)}"}`, source);
  }
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: catalog.port });
  await connection.write(encoder.encode("GET /query.json HTTP/1.1\r\nHost: h\r\n\r\n"));
  await new Promise((resolve) => setTimeout(resolve, 1_000)); // what is tested is doing nothing
  let bytes = 0;
  const buffer = new Uint8Array(2 ** 20);
  for (let count; (count = await connection.read(buffer).catch(() => null)) !== null;) {
    bytes += count;
  }
  assert.ok(bytes < 20_000_000, `${bytes} bytes came although the time was over`);
  assert.equal(JSON.parse(await catalog.ask("/query.json")).length, 40);
});

Deno.test("the same is answered by HTTPS", async () => {
  await using folder = await TempFolder.create();
  const identity = await selfSignedIdentity();
  await using catalog = await TestCatalog.start(folder, { serve: { tls: { port: 0, identity } } });
  await sendStream(catalog.port, '{"type":"a","port":1}');
  await catalog.knows(1);
  const { request } = await import("node:https");
  const answer = await new Promise<string>((resolve, reject) => {
    request({
      host: "127.0.0.1",
      port: catalog.server.tlsPort!,
      path: "/query.json",
      rejectUnauthorized: false,
    }, async (response) => {
      let text = "";
      for await (const piece of response) text += piece;
      resolve(text);
    }).on("error", reject).end();
  });
  assert.equal(JSON.parse(answer)[0].type, "a");
});

Deno.test("a manager's course is kept while it is known, and listeners hear of every change", async () => {
  await using folder = await TempFolder.create();
  let nowMs = Date.now();
  await using catalog = await TestCatalog.start(folder, { store: { nowMs: () => nowMs } });
  const heard: (string | null)[] = [];
  const end = catalog.store.subscribe(({ record }) =>
    heard.push(record && String(record.get("v")))
  );
  const source = { address: "10.0.0.1", name: "h" };
  for (let v = 0; v < 2000; v++) {
    catalog.store.update(
      `{"type":"wq_master","port":1,"v":${v},"tasks_waiting":${v},"workers":3}`,
      source,
    );
    nowMs += 1000;
  }
  const series = catalog.store.series("10.0.0.1:1:h");
  assert.ok(series.length > 300 && series.length <= 720, `${series.length} points`);
  assert.equal(series[0]!.waiting, 0);
  assert.deepEqual({ ...series.at(-1), atMs: 0 }, {
    atMs: 0,
    waiting: 1999,
    running: 0,
    done: 0,
    workers: 3,
  });
  assert.deepEqual([heard.length, heard.at(-1)], [2000, "1999"]);
  nowMs += 1_900_000;
  await until(() => heard.at(-1) === null, { what: "the end of the record" });
  assert.deepEqual(catalog.store.series("10.0.0.1:1:h"), []);
  end();
});
