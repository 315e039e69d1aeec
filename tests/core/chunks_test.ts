import assert from "node:assert/strict";
import fc from "fast-check";
import { chunksOf, FileCutter, piecesOf } from "../../core/analysis/chunks.ts";
import { Cutter } from "../../core/analysis/cutter.ts";
import { FixedSizer } from "../../core/chunks/fixed.ts";
import type { ChunkSizer } from "../../core/chunks/sizer.ts";
import { inputFile } from "../support/builders.ts";

const sizes = (entries: number, chunkSize: number) =>
  chunksOf(entries, chunkSize).map(({ start, stop }) => stop - start);

Deno.test("files are cut as coffea cuts them", () => {
  const cases: [number, number, number[]][] = [
    [0, 100, []],
    [1, 100, [1]],
    [99, 100, [99]],
    [100, 100, [100]],
    [149, 100, [149]],
    [151, 100, [76, 75]],
    [1000, 300, [334, 334, 332]],
    [1000, 150, [143, 143, 143, 143, 143, 143, 142]],
    [10, 1, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    [120_000, 100_000, [120_000]],
  ];
  for (const [entries, chunkSize, expected] of cases) {
    assert.deepEqual(sizes(entries, chunkSize), expected, `${entries} by ${chunkSize}`);
  }
  assert.deepEqual(chunksOf(1000, 300), [
    { start: 0, stop: 334 },
    { start: 334, stop: 668 },
    { start: 668, stop: 1000 },
  ]);
});

Deno.test("a number of chunks that ends in .5 goes to the even neighbour", () => {
  const cases: [number, number, number][] = [
    [50, 100, 1], // round(0.5) is 0, and there is at least one
    [150, 100, 2],
    [250, 100, 2],
    [350, 100, 4],
    [450, 100, 4],
    [550, 100, 6],
  ];
  for (const [entries, chunkSize, count] of cases) {
    assert.equal(sizes(entries, chunkSize).length, count, `${entries} by ${chunkSize}`);
  }
});

Deno.test("chunks cover every event once and in order, evenly, near the size asked for", () => {
  const entries = fc.nat({ max: 1_000_000 });
  const chunkSize = fc.integer({ min: 100, max: 200_000 });
  fc.assert(fc.property(entries, chunkSize, (entries, chunkSize) => {
    const chunks = chunksOf(entries, chunkSize);
    let at = 0;
    for (const { start, stop } of chunks) {
      assert.equal(start, at);
      assert.ok(stop > start);
      at = stop;
    }
    assert.equal(at, entries);
    const all = chunks.map(({ start, stop }) => stop - start);
    const [first = 0] = all;
    assert.ok(all.slice(0, -1).every((size) => size === first), "all but the last are equal");
    assert.ok((all.at(-1) ?? 0) <= first, "the last is no larger");
    assert.ok(first <= Math.ceil(1.5 * chunkSize));
    if (chunks.length > 1) assert.ok(first >= 0.75 * chunkSize);
  }));
});

Deno.test("another size makes a new plan for the rest of the file, the same one keeps to its plan", () => {
  const cutter = new FileCutter(1000, "nearest");
  const chunks = [300, 300, 150, 150, 300].map((size) => cutter.next(size));
  assert.deepEqual(chunks, [
    { start: 0, stop: 334 },
    { start: 334, stop: 668 },
    { start: 668, stop: 834 },
    { start: 834, stop: 1000 },
    null,
  ]);
});

Deno.test("a file cut upwards has no chunk larger than asked for, and as few as can be", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(fc.nat({ max: 20_000 }), sizes, (entries, sizes) => {
    const cutter = new FileCutter(entries, "up");
    let at = 0;
    for (let i = 0; cutter.eventsLeft > 0; i++) {
      const size = sizes[i % sizes.length]!;
      const left = cutter.chunksLeft(size);
      const { start, stop } = cutter.next(size)!;
      assert.equal(start, at);
      assert.ok(stop > start && stop - start <= size);
      assert.equal(left, Math.ceil((entries - start) / (stop - start)));
      at = stop;
    }
    assert.equal(at, entries);
    assert.equal(cutter.next(1), null);
  }));
});

Deno.test("pieces cover their range evenly", () => {
  assert.deepEqual(piecesOf({ start: 100, stop: 107 }, 4), [
    { start: 100, stop: 104 },
    { start: 104, stop: 107 },
  ]);
  assert.deepEqual(piecesOf({ start: 0, stop: 2 }, 1).length, 2);
});

/** Asks for the sizes in turn, and for some chunks of each dataset before its turn. */
function sizerOf(sizes: readonly number[], early: number): ChunkSizer {
  const asked = new Map<string, number>();
  let serial = 0;
  return {
    rounding: "up",
    perDataset: true,
    current: sizes[0]!,
    sizeFor(dataset) {
      asked.set(dataset, (asked.get(dataset) ?? 0) + 1);
      return sizes[serial++ % sizes.length]!;
    },
    isProbed: (dataset) => (asked.get(dataset) ?? 0) >= early,
    sizeWithin: (_dataset, events) => events,
    succeeded: () => {},
    exhausted: ({ events }) => events,
    takeNotes: () => [],
  };
}

Deno.test("whatever the sizes, each event of each file is in one chunk, a file's in order", () => {
  const file = fc.record({ dataset: fc.constantFrom("A", "B", "C"), entries: fc.nat(3000) });
  const sizes = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 9 });
  fc.assert(fc.property(fc.array(file, { maxLength: 8 }), sizes, fc.nat(4), (all, sizes, early) => {
    const files = all.map(({ dataset, entries }, i) => ({
      file: inputFile(`${i}.root`, { dataset }),
      uuid: "",
      entries,
    }));
    const cutter = new Cutter(files, sizerOf(sizes, early), null);
    const at = new Map(files.map(({ file }) => [file, 0]));
    let events = 0;
    for (let next = cutter.next(0); next !== null; next = cutter.next(0)) {
      const { file, range } = next;
      assert.equal(range.start, at.get(file));
      assert.ok(range.stop > range.start);
      at.set(file, range.stop);
      events += range.stop - range.start;
    }
    assert.ok(cutter.isDone);
    assert.deepEqual([...at.values()], all.map(({ entries }) => entries));
    assert.equal(events, cutter.eventsTotal);
  }));
});

Deno.test("a few chunks of the next dataset are cut before its turn", () => {
  const files = ["A", "B", "C"].map((dataset) => (
    { file: inputFile(`${dataset}.root`, { dataset }), uuid: "", entries: 50 }
  ));
  const cutter = new Cutter(files, sizerOf([10], 2), null);
  const order = Array.from({ length: 15 }, () => cutter.next(0)!.file.dataset).join("");
  assert.equal(order, "AABBAAACCBBBCCC");
});

Deno.test("of one size, the number of chunks is known from the start", () => {
  const entries = fc.array(fc.nat(5000), { maxLength: 6 });
  const chunksMax = fc.option(fc.integer({ min: 1, max: 9 }));
  fc.assert(fc.property(entries, fc.integer({ min: 50, max: 900 }), chunksMax, (all, size, max) => {
    const files = all.map((entries, i) => ({
      file: inputFile(`${i}.root`, { dataset: i % 2 === 0 ? "A" : "B" }),
      uuid: "",
      entries,
    }));
    const cutter = new Cutter(files, new FixedSizer(size), max);
    let [count, events] = [0, 0];
    const expected = cutter.chunksLeft;
    for (let next = cutter.next(0); next !== null; next = cutter.next(0)) {
      count++;
      events += next.range.stop - next.range.start;
      assert.equal(cutter.chunksLeft, expected - count);
    }
    assert.equal(count, expected);
    assert.equal(events, cutter.eventsTotal);
  }));
});
