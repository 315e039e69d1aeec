import assert from "node:assert/strict";
import fc from "fast-check";
import { Coverage } from "../../core/analysis/missing.ts";
import { inputFile } from "../support/builders.ts";

const file = inputFile("a.root");

Deno.test("what is missing are the events of no range that was added, in any order", () => {
  const size = 60;
  const pieces = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 })
    .chain((lengths) =>
      fc.shuffledSubarray(lengths.map((_, i) => i)).map((chosen) => ({ lengths, chosen }))
    );
  fc.assert(fc.property(pieces, ({ lengths, chosen }) => {
    const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
    const coverage = new Coverage();
    const there = new Set<number>();
    for (const i of chosen) {
      const range = { start: starts[i]!, stop: starts[i]! + lengths[i]! };
      if (range.stop > size) continue;
      coverage.add(file, range);
      for (let event = range.start; event < range.stop; event++) there.add(event);
    }
    const [missing] = coverage.missing([file], () => size);
    const expected = Array.from({ length: size }, (_, i) => i).filter((i) => !there.has(i));
    const events = (missing?.ranges ?? []).flatMap(({ start, stop }) =>
      Array.from({ length: stop - start }, (_, i) => start + i)
    );
    assert.deepEqual(events, expected);
    assert.equal(missing?.events ?? 0, expected.length);
    // Ranges are as long as can be.
    const ranges = missing?.ranges ?? [];
    for (const [i, { start }] of ranges.entries()) assert.notEqual(start, ranges[i - 1]?.stop);
  }));
});

Deno.test("of a file that was not looked at all is missing, and nobody knows how much", () => {
  const coverage = new Coverage();
  const seen = inputFile("b.root");
  coverage.add(seen, { start: 0, stop: 5 });
  const missing = coverage.missing([file, seen], (one) => one === seen ? 5 : null);
  assert.deepEqual(missing, [{ dataset: "A", file: "a.root", ranges: null, events: null }]);
});
