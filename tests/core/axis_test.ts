import assert from "node:assert/strict";
import * as axis from "../../core/histogram/axis.ts";
import { binCount, binEdges, binFinder, cellCount } from "../../core/histogram/binning.ts";

Deno.test("bins are half open; below is -1, above and NaN are one past the last bin", () => {
  const cases: [axis.NumberAxis, [number, number][]][] = [
    [axis.regular(3, 0, 3, { name: "x" }), [
      [-1e-300, -1],
      [-0, 0],
      [0, 0],
      [0.999999999999999, 0],
      // As in boost-histogram: (x - lower) / (upper - lower) * bins rounds up to 1.
      [0.9999999999999999, 1],
      [1, 1],
      [2.9999999999999996, 2],
      [3, 3],
      [Infinity, 3],
      [-Infinity, -1],
      [NaN, 3],
    ]],
    [axis.variable([0, 1, 10], { name: "x" }), [
      [-0.1, -1],
      [0, 0],
      [1, 1],
      [9.99, 1],
      [10, 2],
      [NaN, 2],
      [-Infinity, -1],
    ]],
    [axis.integer(-1, 2, { name: "x" }), [
      [-1.5, -1],
      [-1, 0],
      [-0.5, 0],
      [1, 2],
      [1.9, 2],
      [2, 3],
      [NaN, 3],
      [Infinity, 3],
    ]],
  ];
  for (const [a, values] of cases) {
    for (const [x, bin] of values) assert.equal(binFinder(a)(x), bin, `${a.type} at ${x}`);
  }
});

Deno.test("without overflow the last bin takes its upper edge, and no more", () => {
  const closed = { name: "x", overflow: false };
  for (const a of [axis.regular(2, 0, 1, closed), axis.variable([0, 0.5, 1], closed)]) {
    assert.equal(binFinder(a)(1), 1);
    assert.equal(binFinder(a)(1.0000000000000002), 2);
    assert.equal(binFinder(a)(NaN), 2);
    assert.equal(cellCount(a), 3);
  }
  assert.equal(binFinder(axis.integer(0, 2, closed))(2), 2);
});

Deno.test("edges are one more than bins and end at the limits", () => {
  for (
    const a of [
      axis.regular(7, 0.1, 0.8, { name: "x" }),
      axis.variable([0.1, 0.2, 0.8], { name: "x" }),
      axis.integer(3, 9, { name: "x" }),
    ]
  ) {
    const edges = binEdges(a);
    assert.equal(edges.length, binCount(a) + 1);
    assert.equal(edges[0], a.type === "variable" ? 0.1 : a.lower);
    assert.ok(edges.every((edge, i) => i === 0 || edge > edges[i - 1]!));
  }
});

Deno.test("what makes no axis is refused with a sentence that says what would", () => {
  const x = { name: "x" };
  const cases: [() => unknown, RegExp][] = [
    [() => axis.regular(3, 0, 1, {} as never), /needs a name, such as \{ name: "mass" \}/],
    [() => axis.regular(3, 0, 1, undefined as never), /needs a name/],
    [() => axis.regular(3, 0, 1, { name: "weight" }), /cannot be named "weight"/],
    [() => axis.regular(0, 0, 1, x), /"x" needs a whole number of bins from 1 to 1e8, got 0/],
    [() => axis.regular(2.5, 0, 1, x), /got 2\.5/],
    [() => axis.regular(3, 1, 1, x), /finite limits, the lower one first, got 1 and 1/],
    [() => axis.regular(3, 0, Infinity, x), /finite limits/],
    [() => axis.regular(3, 0, 1, { name: "x", unit: 5 as never }), /unit of axis "x" must be/],
    [() => axis.regular(3, 1, 9, { name: "x", log: 1 as never }), /log of axis "x" must be true/],
    [() => axis.variable([1], x), /two edges or more, got 1/],
    [() => axis.variable([0, 2, 2], x), /rising edges; number 2 is 2 after 2/],
    [() => axis.variable([NaN, 2], x), /number 0 is NaN/],
    [() => axis.integer(0.5, 2, x), /needs integers, got 0\.5 and 2/],
    [() => axis.integer(2, 2, x), /whole number of bins/],
    [() => axis.category("DY" as never, x), /a list of strings, got the string itself/],
    [() => axis.category(["a", "a"], x), /has the category "a" twice/],
    [() => axis.category([3 as never], x), /Category 0 of axis "x" must be a string/],
    [() => axis.category([], x), /needs a category, or \{ growth: true \}/],
    [() => axis.category([], { ...x, growth: true, overflow: true }), /nothing can overflow/],
  ];
  for (const [make, message] of cases) assert.throws(make, { message });
});
