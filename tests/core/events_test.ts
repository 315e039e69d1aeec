import assert from "node:assert/strict";
import fc from "fast-check";
import { Events, matchColumns } from "../../analysis/events.ts";
import type { Column } from "../../core/columns.ts";

const metadata = { dataset: "collisions", file: "a.root", tree: "Events", start: 100, stop: 103 };

const columns = new Map<string, Column>([
  ["MET_pt", Float32Array.of(10, 20, 30)],
  ["event", BigUint64Array.of(1n, 2n, 2n ** 63n)],
  ["Muon_pt", { offsets: Uint32Array.of(0, 2, 2, 3), values: Float32Array.of(50, 40, 7) }],
  ["Muon_charge", { offsets: Uint32Array.of(0, 2, 2, 3), values: Int32Array.of(1, -1, 1) }],
  ["Jet_pt", { offsets: Uint32Array.of(0, 2, 3, 3), values: Float32Array.of(90, 80, 60) }],
  ["Jet_id", { offsets: Uint32Array.of(0, 1, 1, 1), values: BigInt64Array.of(-5n) }],
]);

const events = new Events(3, metadata, columns);

Deno.test("Events hands out columns as they were read, and what is known of the chunk", () => {
  assert.equal(events.length, 3);
  assert.equal(events.metadata.dataset, "collisions");
  assert.deepEqual(events.names, [...columns.keys()]);
  assert.equal(events.flat("MET_pt"), columns.get("MET_pt"));
  assert.deepEqual(events.flat64("event")[2], 2n ** 63n);
  const { offsets, values } = events.jagged("Muon_pt");
  assert.deepEqual([...values.subarray(offsets[0], offsets[1])], [50, 40]);
  assert.deepEqual(events.jagged64("Jet_id").values, BigInt64Array.of(-5n));
});

Deno.test("Events says what would do if a column is asked for that cannot be given", async (t) => {
  const cases: [string, () => unknown, string][] = [
    [
      "not read, but near to one that was",
      () => events.flat("MET_p"),
      'Column "MET_p" was not read: did you mean "MET_pt"? ' +
      'If not, add it to the processor\'s "columns"',
    ],
    [
      "not read",
      () => events.jagged("Electron_mvaFall17"),
      'Column "Electron_mvaFall17" was not read: add it to the processor\'s "columns"',
    ],
    [
      "flat for a jagged one",
      () => events.flat("Muon_pt"),
      'Column "Muon_pt" has a run of values an event: read it with events.jagged("Muon_pt")',
    ],
    [
      "jagged for a flat one",
      () => events.jagged("MET_pt"),
      'Column "MET_pt" has one value an event: read it with events.flat("MET_pt")',
    ],
    [
      "numbers of 64-bit integers",
      () => events.flat("event"),
      'Column "event" holds 64-bit integers: read it with events.flat64("event")',
    ],
    [
      "numbers of 64-bit integers, jagged",
      () => events.jagged("Jet_id"),
      'Column "Jet_id" holds 64-bit integers: read it with events.jagged64("Jet_id")',
    ],
    [
      "64-bit integers of numbers",
      () => events.flat64("MET_pt"),
      'Column "MET_pt" does not hold 64-bit integers: read it with events.flat("MET_pt")',
    ],
    [
      "objects without a field",
      () => events.objects("Muon", []).next(),
      'objects("Muon", []) names no field',
    ],
  ];
  for (const [name, ask, message] of cases) {
    await t.step(name, () => assert.throws(ask, { name: "ColumnError", message }));
  }
});

Deno.test("Events.objects() goes through the events and their objects in order", () => {
  assert.deepEqual([...events.objects("Muon", ["pt", "charge"])], [
    [{ pt: 50, charge: 1 }, { pt: 40, charge: -1 }],
    [],
    [{ pt: 7, charge: 1 }],
  ]);
});

Deno.test("Events.objects() refuses columns of different lengths, naming the event", () => {
  const mixed = new Map(columns).set("Muon_eta", columns.get("Jet_pt")!);
  assert.throws(() => [...new Events(3, metadata, mixed).objects("Muon", ["pt", "eta"])], {
    message: '"Muon_pt" and "Muon_eta" differ in length at event 101: ' +
      "they do not describe the same objects",
  });
});

Deno.test("matchColumns() takes names and stars, in the tree's order, each once", () => {
  const available = ["run", "nMuon", "Muon_pt", "Muon_eta", "Muon.x", "MuonX"];
  assert.deepEqual(matchColumns(["Muon_*", "nMuon", "*_eta"], available), {
    names: ["nMuon", "Muon_pt", "Muon_eta"],
    unmatched: [],
  });
  assert.deepEqual(matchColumns(["Muon.*", "Electron_*", "pt"], available), {
    names: ["Muon.x"],
    unmatched: ["Electron_*", "pt"],
  });
  assert.deepEqual(matchColumns([], available), { names: [], unmatched: [] });
});

Deno.test("matchColumns() finds any name by itself and by any part of it between stars", () => {
  const name = fc.string({ minLength: 1 }).filter((text) => !/[*\n\r\u2028\u2029]/.test(text));
  fc.assert(fc.property(name, fc.nat(), fc.nat(), (text, a, b) => {
    const [from, to] = [a % text.length, b % text.length].sort((x, y) => x - y);
    assert.deepEqual(matchColumns([text], [text, `${text}x`]).names, [text]);
    assert.deepEqual(matchColumns([`*${text.slice(from, to)}*`], [text]).names, [text]);
  }));
});
