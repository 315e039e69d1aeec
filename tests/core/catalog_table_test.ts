/** Which records a catalog keeps, in which order, and for how long. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { answerBody } from "../../core/catalog/formats.ts";
import { UpdateRates } from "../../core/catalog/rates.ts";
import { readUpdate } from "../../core/catalog/record.ts";
import { CatalogTable, type TableLimits } from "../../core/catalog/table.ts";
import { decodeFilter, questionOf } from "../../core/catalog/target.ts";

const limits: TableLimits = {
  lifetimeMs: 1_800_000,
  recordsMax: 6,
  recordsPerAddressMax: 4,
  bytesMax: 10_000,
};

function keyed(fields: object, address = "10.0.0.1", name = address) {
  return readUpdate(JSON.stringify(fields), { address, name }, 0).accepted!;
}

function keysOf(table: CatalogTable): string[] {
  return table.entries().map(({ key }) => key);
}

Deno.test("records are ordered by name without regard to case, then by key", () => {
  const table = new CatalogTable(limits);
  for (const [port, name] of [[2, "b"], [1, "C"], [3, "B"], [4, "a"]] as const) {
    table.put(keyed({ port }, "10.0.0.1", name), 0);
  }
  assert.deepEqual(keysOf(table).map((key) => key.slice(9)), ["4:a", "2:b", "3:B", "1:C"]);
});

Deno.test("a record replaces the one of its key wholesale and says so", () => {
  const table = new CatalogTable(limits);
  const [created] = table.put(keyed({ port: 1, a: 1 }), 0);
  const [changed] = table.put(keyed({ port: 1, b: 1 }), 0);
  assert.equal(created!.before, null);
  assert.equal(changed!.before, created!.after);
  assert.equal(changed!.after!.has("a"), false);
  assert.equal(table.size, 1);
});

for (
  const { lifetime, keptMs } of [
    { lifetime: undefined, keptMs: 1_800_000 },
    { lifetime: 60, keptMs: 60_000 },
    { lifetime: 1e6, keptMs: 1_800_000 },
    { lifetime: -1, keptMs: 1_800_000 },
    { lifetime: "60", keptMs: 1_800_000 },
  ]
) {
  Deno.test(`a record with lifetime ${lifetime} is kept for ${keptMs / 1000} s of silence`, () => {
    const table = new CatalogTable(limits);
    table.put(keyed({ lifetime, type: "x" }), 1000);
    assert.deepEqual(table.expire(1000 + keptMs), []);
    assert.equal(table.expire(1001 + keptMs).length, 1);
    assert.equal(table.size, 0);
  });
}

Deno.test("one address that fills the table loses its own oldest records, not those of others", () => {
  const table = new CatalogTable(limits);
  table.put(keyed({ port: 1 }, "10.0.0.2"), 0);
  table.put(keyed({ port: 1 }, "10.0.0.3"), 0);
  for (let port = 1; port <= 100; port++) table.put(keyed({ port }, "10.0.0.9"), port);
  assert.deepEqual(keysOf(table), [
    "10.0.0.2:1:10.0.0.2",
    "10.0.0.3:1:10.0.0.3",
    ...["100", "97", "98", "99"].map((port) => `10.0.0.9:${port}:10.0.0.9`),
  ]);
});

Deno.test("where there are too many records or bytes, who has most loses first", () => {
  const table = new CatalogTable(limits);
  for (let i = 1; i <= 3; i++) table.put(keyed({ port: i }, "10.0.0.1"), i);
  for (let i = 1; i <= 4; i++) table.put(keyed({ port: i }, `10.0.1.${i}`), i);
  assert.equal(table.size, 6);
  assert.equal(table.get("10.0.0.1:1:10.0.0.1"), undefined);
  table.put(keyed({ port: 9, pad: "x".repeat(9_900) }, "10.0.2.1"), 9);
  assert.equal(table.get("10.0.2.1:9:10.0.2.1"), undefined, "alone larger than what is left");
  assert.equal(table.size, 5);
});

Deno.test("whatever is put, the order is right, limits hold and changes tell the whole", () => {
  const puts = fc.array(fc.record({
    port: fc.integer({ min: 0, max: 5 }),
    address: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    name: fc.constantFrom("a", "B", "c"),
    padding: fc.integer({ min: 0, max: 3000 }),
  }));
  fc.assert(fc.property(puts, (list) => {
    const table = new CatalogTable(limits);
    const told = new Set<string>();
    for (const [i, { port, address, name, padding }] of list.entries()) {
      const record = keyed({ port, pad: "x".repeat(padding) }, address, name);
      for (const { key, after } of table.put(record, i)) {
        if (after === null) told.delete(key);
        else told.add(key);
      }
    }
    const names = table.entries().map(({ record }) => String(record.get("name")).toLowerCase());
    assert.deepEqual(names, names.toSorted());
    assert.deepEqual(new Set(keysOf(table)), told);
    assert.ok(table.size <= limits.recordsMax);
    const bytes = table.entries().reduce((sum, { printed }) => sum + printed.length, 0);
    assert.ok(bytes <= limits.bytesMax);
  }));
});

Deno.test("answers have the forms of catalog_server", () => {
  const table = new CatalogTable();
  const json = () => new TextDecoder().decode(answerBody("json", table.entries()));
  assert.equal(json(), "[\n\n]\n");
  table.put(keyed({ type: "x", port: 1, n: { a: [1, 2.5] }, s: "a\nname liar", t: "é b" }, "h"), 0);
  table.put(keyed({ type: "y" }, "i"), 0);
  const first = '{"name":"h","lastheardfrom":0,"address":"h","type":"x","port":1,' +
    '"n":{"a":[1,2.5]},"s":"a\\nname liar","t":"é b"}';
  assert.equal(
    json(),
    `[\n${first},\n{"name":"i","lastheardfrom":0,"address":"i","type":"y"}\n]\n`,
  );
  assert.equal(
    new TextDecoder().decode(answerBody("text", table.entries())),
    'name h\nlastheardfrom 0\naddress h\ntype x\nport 1\nn {"a":[1,2.5]}\ns "a\\nname liar"\nt é b\n\n' +
      "name i\nlastheardfrom 0\naddress i\ntype y\n\n",
  );
  assert.equal(
    new TextDecoder().decode(answerBody("newclassads", table.entries())).split("\n").slice(0, 7)
      .join("\n"),
    '[\nname="h";\nlastheardfrom=0;\naddress="h";\ntype="x";\nport=1;\nn={"a":[1,2.5]};',
  );
});

const records = { kind: "records", format: "json", filter: null, atS: null } as const;

for (
  const [path, question] of [
    ["/query.json", records],
    ["/query.text", { ...records, format: "text" }],
    ["/query.newclassads", { ...records, format: "newclassads" }],
    ["/query/dHJ1ZQ==", { ...records, filter: "dHJ1ZQ==" }],
    ["/query/ab/c+/d=", { ...records, filter: "ab/c+/d=" }],
    ["/history/1795000000/query.json", { ...records, atS: 1_795_000_000 }],
    ["/history/5/query/ab/cd", { ...records, filter: "ab/cd", atS: 5 }],
    ["/updates/5/7/ab/c=", { kind: "updates", fromS: 5, toS: 7, filter: "ab/c=" }],
    ["/query/", null],
    ["/query", null],
    ["/history/5/", null],
    ["/history/-5/query.json", null],
    ["/updates/5/7/", null],
    ["/", null],
  ] as const
) {
  Deno.test(`the target ${path} is ${question === null ? "no question" : "understood"}`, () => {
    assert.deepEqual(questionOf(path), question);
  });
}

Deno.test("filters are base64 of UTF-8, slashes included, and nothing else is", () => {
  assert.equal(decodeFilter("cHJvamVjdD09ImE/Yj8/Yz8/PyI="), 'project=="a?b??c???"');
  assert.equal(decodeFilter("cD09IsOpIg=="), 'p=="é"');
  for (const wrong of ["", "a", "ab=c", "####", "/w==", "dHJ1ZQ"]) {
    assert.equal(decodeFilter(wrong), null, wrong);
  }
});

Deno.test("an address may send a burst, then a steady rate; others are not touched by it", () => {
  const rates = new UpdateRates({ updatesPerSecond: 10, burst: 20, addressesMax: 100 });
  const allowed = (address: string, times: number, nowMs: number, bytes = 100) =>
    Array.from({ length: times }, () => rates.allow(address, bytes, nowMs)).filter(Boolean).length;
  assert.equal(allowed("a", 100, 0), 20);
  assert.equal(allowed("a", 100, 1000), 10);
  assert.equal(allowed("b", 1, 1000), 1);
  assert.equal(allowed("c", 100, 1000, 64 * 1024), 4, "long updates count as several");
  assert.equal(allowed("a", 100, 999_000), 20, "no more than the burst is saved");
});
