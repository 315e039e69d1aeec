import assert from "node:assert/strict";
import fc from "fast-check";
import * as axis from "../../core/histogram/axis.ts";
import { Hist, isHist } from "../../core/histogram/hist.ts";
import { cutColumns, filled, histCase } from "../support/arbitraries.ts";

const mass = axis.regular(3, 0, 3, { name: "mass" });
const flow = { flow: true };

Deno.test("fill counts entries, underflow first and overflow last", () => {
  const hist = new Hist([mass]).fill({ mass: Float32Array.of(-1, 0, 0.5, 2, 3, NaN) });
  assert.deepEqual([...hist.values(flow)], [1, 2, 0, 1, 2]);
  assert.deepEqual([...hist.values()], [2, 0, 1]);
  assert.deepEqual([hist.sum(), hist.sum(flow)], [3, 6]);
  assert.deepEqual([hist.shape(), hist.shape(flow)], [[3], [5]]);
});

Deno.test("fill takes every kind of numbers", () => {
  const kinds = [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array, Uint32Array];
  const given = [
    ...[...kinds, Float32Array, Float64Array, Uint8ClampedArray].map((Type) => Type.of(1, 2)),
    BigInt64Array.of(1n, 2n),
    BigUint64Array.of(1n, 2n),
    [1, 2],
    [1n, 2n],
    [true, 2],
  ];
  for (const values of given) {
    assert.deepEqual([...new Hist([mass]).fill({ mass: values }).values()], [0, 1, 1]);
  }
  assert.deepEqual([...new Hist([mass]).fill({ mass: 1n }).values()], [0, 1, 0]);
});

Deno.test("single values and weights stand for all entries", () => {
  const dataset = axis.category(["A", "B"], { name: "dataset" });
  const hist = new Hist([mass, dataset], { storage: "weighted" });
  hist.fill({ mass: [0, 1, 1], dataset: "B", weight: 2 });
  hist.fill({ mass: 2, dataset: ["A", "?"], weight: Float32Array.of(3, -1) });
  assert.deepEqual([...hist.values()], [0, 2, 0, 4, 3, 0]);
  assert.deepEqual([...hist.variances()!], [0, 4, 0, 8, 9, 0]);
  assert.deepEqual([...hist.project("dataset").values(flow)], [3, 6, -1]);
});

Deno.test("fill is the same for one block and for many", () => {
  const many = Float32Array.from({ length: 10_001 }, (_, i) => (i % 50) / 10 - 1);
  const whole = new Hist([mass], { storage: "weighted" }).fill({ mass: many, weight: many });
  const single = new Hist([mass], { storage: "weighted" });
  for (const x of many) single.fill({ mass: x, weight: x });
  assert.deepEqual(whole, single);
  assert.equal(new Hist([mass]).fill({ mass: many }).sum(flow), many.length);
});

Deno.test("a growing category keeps its contents and the order in which it saw its bins", () => {
  const dataset = axis.category([], { name: "dataset", growth: true });
  const hist = new Hist([dataset, mass]);
  hist.fill({ mass: [0, 1], dataset: ["B", "A"] }).fill({ mass: 2, dataset: "B" });
  hist.fill({ mass: [], dataset: "never seen" });
  assert.deepEqual((hist.axes[0] as axis.CategoryAxis).categories, ["B", "A"]);
  assert.deepEqual([...hist.values()], [1, 0, 1, 0, 1, 0]);
  assert.deepEqual([...hist.select("dataset", "A").values()], [0, 1, 0]);
});

Deno.test("merging unites growing categories, those of the left first", () => {
  const dataset = axis.category([], { name: "dataset", growth: true });
  const one = new Hist([dataset]).fill({ dataset: ["A", "B"] });
  const other = new Hist([dataset]).fill({ dataset: ["B", "A", "A", "C"] });
  const merged = one.merge(other);
  assert.deepEqual((merged.axes[0] as axis.CategoryAxis).categories, ["A", "B", "C"]);
  assert.deepEqual([...merged.values()], [3, 2, 1]);
  assert.deepEqual([...one.values()], [1, 1], "merging changes neither side");
});

Deno.test("histograms of different bins or storage are not merged, and the reason is named", () => {
  const of = (a: axis.Axis, options = {}) => new Hist([a], options);
  const category = (categories: string[], growth = false) =>
    axis.category(categories, { name: "mass", growth });
  const cases: [Hist, Hist, RegExp][] = [
    [of(mass), of(mass, { storage: "weighted" }), /stores "count", the other "weighted"/],
    [of(mass), new Hist([mass, axis.integer(0, 1, { name: "n" })]), /1 axes, the other 2/],
    [of(mass), of(axis.regular(3, 0, 3, { name: "pt" })), /axis "mass" meets the axis "pt"/],
    [of(mass), of(axis.regular(4, 0, 3, { name: "mass" })), /has bins 3 on one side and 4/],
    [of(mass), of(axis.regular(3, 0, 4, { name: "mass" })), /has upper limit 3/],
    [of(mass), of(axis.integer(0, 3, { name: "mass" })), /has type regular on one side/],
    [of(mass), of(axis.regular(3, 0, 3, { name: "mass", overflow: false })), /has overflow true/],
    [of(mass), of(category(["A"])), /has type regular/],
    [of(category(["A"])), of(category(["B"])), /has categories \["A"\] on one side and \["B"\]/],
    [of(category(["A"])), of(category(["A"], true)), /has growth false/],
    [
      of(axis.variable([0, 1], { name: "mass" })),
      of(axis.variable([0, 2], { name: "mass" })),
      /has edges 0 1 on one side and 0 2 on the other/,
    ],
  ];
  for (const [a, b, message] of cases) assert.throws(() => a.merge(b), { message });
});

Deno.test("fill refuses what does not fit, names it, and changes nothing", () => {
  const dataset = axis.category([], { name: "dataset", growth: true });
  const hist = new Hist([mass, dataset], { name: "m" });
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ mass: [1], dataset: "A", pt: [1] }, /^Cannot fill the histogram "m": it has no axis "pt"/],
    [{ mass: [1] }, /no values for the axis "dataset"/],
    [{ mass: [1, 2], dataset: ["A"] }, /"mass" has 2 values and "dataset" has 1; give as many/],
    [{ mass: [1], dataset: "A", weight: [1, 2] }, /"mass" has 1 values and weight has 2/],
    [{ mass: [1], dataset: "A", weight: 2 }, /it counts entries; .* \{ storage: "weighted" \}/],
    [{ mass: ["1"], dataset: "A" }, /"mass" must be numbers, but number 0 is the string "1"/],
    [{ mass: [1, , 3], dataset: "A" }, /number 1 is undefined/],
    [{ mass: "A", dataset: "A" }, /array of numbers or a number, got the string "A"/],
    [{ mass: new Set(), dataset: "A" }, /or a number, got a Set/],
    [{ mass: [1], dataset: Float32Array.of(1) }, /array of strings, got a Float32Array/],
    [{ mass: [1], dataset: ["A", 3] }, /must be strings, but number 1 is a number/],
    [
      { mass: { offsets: Uint32Array.of(0), values: Float32Array.of() }, dataset: "A" },
      /got a jagged column \(give its \.values/,
    ],
  ];
  const before = new Hist([mass, dataset], { name: "m" });
  for (const [values, message] of cases) {
    assert.throws(() => hist.fill(values as never), { message });
    assert.deepEqual(hist, before);
  }
});

Deno.test("what makes no histogram is refused", () => {
  const big = (name: string) => axis.regular(10_000, 0, 1, { name });
  const cases: [() => unknown, RegExp][] = [
    [() => new Hist([]), /an array of one axis or more/],
    [() => new Hist([mass, mass]), /Two axes of a histogram are named "mass"/],
    [() => new Hist([mass], { storage: "mean" as never }), /"count" or "weighted".* got "mean"/],
    [() => new Hist([big("a"), big("b")]), /may have 2\^26 cells, these axes make 100040004/],
    [() => new Hist([mass]).project("pt"), /has no axis "pt", only mass/],
    [() => new Hist([mass]).select("mass", "A"), /has no category "A"/],
    [() => Hist.of([mass], {}, new Float64Array(4), null), /have 5 cells, given are 4/],
  ];
  for (const [make, message] of cases) assert.throws(make, { message });
});

Deno.test("projecting keeps the sum, selecting all categories too", () => {
  fc.assert(fc.property(histCase, (one) => {
    const hist = filled(one, one.fills);
    for (const { name } of hist.axes) {
      assert.equal(hist.project(name).sum(flow), hist.sum(flow));
    }
    const names = hist.axes.map((a) => a.name);
    assert.deepEqual(hist.project(...names), hist);
    assert.deepEqual(hist.project(...names.toReversed()).project(...names), hist);
  }));
});

Deno.test("merging is associative, and an empty histogram changes nothing", () => {
  fc.assert(fc.property(histCase, (one) => {
    const [a, b, c] = one.fills.map((fill) => filled(one, [fill])) as [Hist, Hist, Hist];
    assert.deepEqual(a.merge(b).merge(c), a.merge(b.merge(c)));
    assert.deepEqual(a.merge(filled(one, [])), a);
    assert.deepEqual(filled(one, []).merge(a), a);
  }));
});

Deno.test("filling in parts and merging is filling at once", () => {
  fc.assert(fc.property(histCase, fc.nat(6), (one, at) => {
    const cuttable = one.fills.filter((fill) =>
      Object.values(fill).some((v) => typeof v !== "string")
    );
    const parts = cuttable.map((fill) => cutColumns(fill, at));
    const merged = parts.flat().map((fill) => filled(one, [fill]));
    assert.deepEqual(
      merged.reduce((sum, next) => sum.merge(next), filled(one, [])),
      filled(one, cuttable),
    );
  }));
});

Deno.test("a histogram made by another copy of the module merges like one of our own", async () => {
  const other: typeof import("../../core/histogram/hist.ts") = await import(
    `../../core/histogram/hist.ts?${"copy"}`
  );
  const theirs = new other.Hist([mass]).fill({ mass: [1, 2] });
  assert.ok(!(theirs instanceof Hist));
  assert.ok(isHist(theirs));
  assert.deepEqual([...new Hist([mass]).fill({ mass: 1 }).merge(theirs).values()], [0, 2, 1]);
});
