import assert from "node:assert/strict";
import fc from "fast-check";
import { chunksOf } from "../../core/analysis/chunks.ts";

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
