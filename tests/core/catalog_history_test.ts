/** Changes of records as lines, and back. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  apply,
  checkpointPieces,
  dayOf,
  HistoryReader,
  type HistoryState,
  HistoryTimes,
  lineBytesMax,
  linesOf,
  parseCheckpoint,
} from "../../core/catalog/history.ts";
import { parseJxValue } from "../../core/jx/parse.ts";
import { printJx } from "../../core/jx/print.ts";
import type { JxObject } from "../../core/jx/value.ts";
import { anyText } from "../support/texts.ts";

const object = (text: string) => parseJxValue(text) as JxObject;

function replay(lines: readonly string[], state: HistoryState = new Map()) {
  const reader = new HistoryReader();
  for (const line of lines.join("").split("\n")) {
    for (const event of reader.read(line)) apply(state, event);
  }
  return { state, reader };
}

function shown(state: HistoryState): Record<string, string> {
  return Object.fromEntries([...state].map(([key, record]) => [key, printJx(record)]));
}

Deno.test("a change is written as catalog_server writes it, without what changes always", () => {
  const before = object('{"name":"h","lastheardfrom":1,"uptime":5,"s":"a b","v":1}');
  const after = object('{"name":"h","lastheardfrom":9,"uptime":6,"v":2,"n":{"a":[1]}}');
  const key = "10.0.0.1:5:h";
  assert.deepEqual(linesOf({ key, before: null, after: before }), [
    'C 10.0.0.1:5:h {"name":"h","lastheardfrom":1,"uptime":5,"s":"a b","v":1}\n',
  ]);
  assert.deepEqual(linesOf({ key, before, after }), [
    "R 10.0.0.1:5:h s\n",
    'M 10.0.0.1:5:h {"v":2,"n":{"a":[1]}}\n',
  ]);
  assert.deepEqual(linesOf({ key, before, after: null }), ["D 10.0.0.1:5:h\n"]);
  const heard = object('{"name":"h","lastheardfrom":7,"uptime":7,"s":"a b","v":1}');
  assert.deepEqual(linesOf({ key, before, after: heard }), []);
});

Deno.test("times are written once in full, then as what has passed", () => {
  const times = new HistoryTimes();
  assert.deepEqual([100, 100, 103, 90].map((atS) => times.line(atS)), [
    ...["T 100\n", "", "t 3\n", "T 90\n"],
  ]);
  times.restart();
  assert.equal(times.line(90), "T 90\n");
});

Deno.test("a record longer than catalog_server's lines is written in parts", () => {
  const fields = Array.from({ length: 5 }, (_, i) => [`f${i}`, "x".repeat(30_000)] as const);
  const after: JxObject = new Map([...fields, ["huge", "y".repeat(80_000)]]);
  const lines = linesOf({ key: "k", before: null, after });
  assert.ok(lines.length > 1 && lines.every((line) => line.length <= lineBytesMax));
  assert.deepEqual(replay(lines).state, new Map([["k", new Map(fields)]]));
});

Deno.test("an event may follow a removal on its line, as older catalog_servers write", () => {
  const { state, reader } = replay([
    "T 1795381684\n",
    'C 127.0.0.1:5:h {"v":1,"s":"a b","r":1}\n',
    "t 1\n",
    'R 127.0.0.1:5:h sM 127.0.0.1:5:h {"v":2}\n',
    "R 127.0.0.1:5:h r\n",
    "U 127.0.0.1:5:h w [1,2]\n",
  ]);
  assert.deepEqual(shown(state), { "127.0.0.1:5:h": '{"v":2,"w":[1,2]}' });
  assert.deepEqual([reader.atS, reader.damaged], [1795381685, 0]);
});

Deno.test("damaged lines are counted and change nothing", () => {
  const { state, reader } = replay([
    'C k {"v":1}\n',
    ...['C k {"v":\n', "M k\n", "garbage\n", "\0\0\0\n", "D k x\n", "C \n", "T x\n", "R k\n"],
    'M unknown {"v":2}\n',
    'C l {"v":1',
  ]);
  assert.deepEqual(shown(state), { k: '{"v":1}' });
  assert.equal(reader.damaged, 9);
});

Deno.test("a checkpoint reads as it was written; one cut off is none", () => {
  const state: HistoryState = new Map([
    ['10.0.0.1:1:h:"u', object('{"a":1,"b":"é"}')],
    ["10.0.0.2:1:i", object("{}")],
  ]);
  const text = [...checkpointPieces(state)].join("");
  assert.deepEqual(parseCheckpoint(text), state);
  assert.deepEqual(parseCheckpoint([...checkpointPieces([])].join("")), new Map());
  assert.equal(parseCheckpoint(text.slice(0, -5)), null);
  assert.equal(parseCheckpoint("key 10.0.0.1:1:h\nname h\n"), null);
});

Deno.test("days are counted from 0 in UTC", () => {
  assert.deepEqual(dayOf(Date.UTC(2026, 0, 1) / 1000), { year: 2026, day: 0 });
  assert.deepEqual(dayOf(Date.UTC(2026, 10, 22, 23, 59, 59) / 1000), { year: 2026, day: 325 });
  assert.deepEqual(dayOf(Date.UTC(2028, 11, 31) / 1000), { year: 2028, day: 365 });
});

Deno.test("any course of records is the same after it was written and read, wherever it begins", () => {
  // Records with a NUL in a text are dropped as they come.
  const text = anyText().filter((one) => !one.includes("\0"));
  const value = fc.oneof(fc.integer().map(BigInt), text, fc.boolean());
  const field = fc.constantFrom("a", "b", "c d", "R", "MM");
  const record = fc.array(fc.tuple(field, value), { minLength: 1 }).map((pairs) => new Map(pairs));
  const change = fc.tuple(fc.constantFrom("k:1", "k:2", "k:3"), fc.option(record));
  fc.assert(fc.property(fc.array(change), (course) => {
    const now: HistoryState = new Map();
    const lines: string[] = [];
    for (const [key, after] of course) {
      const before = now.get(key) ?? null;
      if (before === null && after === null) continue;
      lines.push(...linesOf({ key, before, after }));
      if (after === null) now.delete(key);
      else now.set(key, after);
    }
    const sorted = (state: HistoryState) =>
      Object.fromEntries([...state].map(([key, fields]) => [key, [...fields].sort()]));
    const { state, reader } = replay(lines);
    assert.equal(reader.damaged, 0);
    assert.deepEqual(sorted(state), sorted(now));
    // A log over a checkpoint of its own end changes nothing.
    assert.deepEqual(sorted(replay(lines, new Map(state)).state), sorted(now));
  }));
});
