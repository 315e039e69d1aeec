import assert from "node:assert/strict";
import fc from "fast-check";
import type { Spec } from "vega";
import * as axis from "../../core/histogram/axis.ts";
import { Hist, type HistOptions } from "../../core/histogram/hist.ts";
import { fromUhi, toUhi } from "../../core/histogram/uhi.ts";
import {
  type Figure,
  figureOf,
  formatted,
  type HeatFigure,
  palette,
  type PlotOptions,
  type StepsFigure,
} from "../../core/plot/figure.ts";
import { contentRange, growGeometrically, linearFormat, logTicks } from "../../core/plot/scale.ts";
import { plotSpec } from "../../core/plot/spec.ts";
import { filled, histCase } from "../support/arbitraries.ts";

const mass = axis.regular(3, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" });
const pt = axis.regular(2, 0, 1, { name: "pt" });
const count = axis.integer(0, 3, { name: "n", label: "Muons" });
const dataset = axis.category([], { name: "dataset", growth: true });

/** Edges of `bins` bins that are all as wide in log(x). */
const powers = (bins: number, low: number, high: number) =>
  Array.from({ length: bins + 1 }, (_, i) => low * (high / low) ** (i / bins));
const domain = (spec: Spec, scale: string) =>
  spec.scales!.find(({ name }) => name === scale)!.domain as number[] as [number, number];

const steps = (figure: Figure) => figure as StepsFigure;
const heat = (figure: Figure) => figure as HeatFigure;

Deno.test("one axis becomes steps with errors, and what is outside is told", () => {
  const hist = new Hist([mass], { storage: "weighted", label: "Dimuon mass" });
  hist.fill({ mass: [50, 70, 70, 90, NaN, 1e9], weight: [1, 2, 2, 0.5, 3, 4] });
  const figure = steps(figureOf(hist));
  assert.equal(figure.kind, "steps");
  assert.equal(figure.title, "Dimuon mass");
  assert.deepEqual(figure.x, {
    title: "m(μμ) [GeV]",
    edges: [60, 80, 100, 120],
    names: null,
    log: false,
  });
  assert.equal(figure.yTitle, "Events / 20 GeV");
  assert.deepEqual(figure.series, [
    { name: "", values: [4, 0.5, 0], errors: [Math.sqrt(8), 0.5, 0] },
  ]);
  assert.deepEqual(figure.counts, ["sum of weights 12.5", "underflow 1", "overflow 7"]);
  assert.deepEqual([figure.remarks, figure.partial], [[], null]);
});

Deno.test("the vertical title says per what, where that is not plain", () => {
  const cases: [axis.Axis, string][] = [
    [mass, "Events / 20 GeV"],
    [axis.regular(3, 0, 1, { name: "x" }), "Events / 0.3333"],
    [count, "Events"],
    [dataset, "Events"],
    [axis.variable([0, 1, 2], { name: "x", unit: "cm" }), "Events / 1 cm"],
    [axis.variable([0, 1, 3], { name: "x" }), "Events / bin"],
    [axis.variable([0, 1, 2, 5], { name: "x" }), "Events / bin"],
  ];
  for (const [a, title] of cases) assert.equal(steps(figureOf(new Hist([a]))).yTitle, title);
});

Deno.test("a category beside an axis becomes overlaid steps, further ones are summed", () => {
  const hist = new Hist([dataset, mass, axis.category(["e"], { name: "channel" })]);
  hist.fill({ mass: [70, 90], dataset: ["tt", "DY"], channel: "e" });
  hist.fill({ mass: 70, dataset: "tt", channel: "mu" });
  const figure = steps(figureOf(hist));
  assert.deepEqual(figure.series.map((one) => [one.name, ...one.values]), [
    ["tt", 2, 0, 0],
    ["DY", 0, 1, 0],
  ]);
  assert.deepEqual(figure.remarks, ["summed over channel"]);
});

Deno.test("entries in none of the categories are told", () => {
  const hist = new Hist([mass, axis.category(["DY"], { name: "dataset" })]);
  hist.fill({ mass: [70, 70], dataset: ["DY", "?"] });
  assert.deepEqual(figureOf(hist).remarks, ["1 in no dataset shown"]);
});

Deno.test("more categories than colours: the smallest are summed", () => {
  const hist = new Hist([mass, dataset]);
  for (let i = 0; i < palette.length + 2; i++) {
    hist.fill({ mass: new Float32Array(i === 0 ? 50 : i).fill(70), dataset: `d${i}` });
  }
  const { series } = steps(figureOf(hist));
  assert.equal(series.length, palette.length);
  assert.equal(series[0]!.name, "d0");
  assert.deepEqual(series.at(-1), {
    name: "3 others",
    values: [1 + 2 + 3, 0, 0],
    errors: [Math.sqrt(6), 0, 0],
  });
});

Deno.test("two axes become a heat map; more are projected, which the title says", () => {
  const two = new Hist([mass, pt]).fill({ mass: [70, 70, 110], pt: [0.6, 0.6, 7] });
  assert.deepEqual(heat(figureOf(two)).cells, [0, 2, 0, 0, 0, 0]);
  assert.deepEqual(figureOf(two).counts, ["3 entries", "outside 1"]);
  const many = new Hist([dataset, pt, mass, count], { name: "all" });
  many.fill({ dataset: "DY", pt: 0.1, mass: 70, n: 1 });
  const figure = heat(figureOf(many));
  assert.deepEqual([figure.x.title, figure.y.title], ["pt", "m(μμ) [GeV]"]);
  assert.equal(figure.title, "all (projected onto pt, m(μμ))");
  assert.deepEqual(figure.remarks, ["summed over dataset, Muons"]);
  assert.deepEqual(figure.cells, [1, 0, 0, 0, 0, 0]);
});

Deno.test("categories alone are named along the axes", () => {
  const one = new Hist([dataset]).fill({ dataset: ["DY", "tt", "DY"] });
  assert.deepEqual(steps(figureOf(one)).x, {
    title: "dataset",
    edges: [0, 1, 2],
    names: ["DY", "tt"],
    log: false,
  });
  assert.deepEqual(steps(figureOf(one)).series[0]!.values, [2, 1]);
  const channel = axis.category(["e", "mu"], { name: "channel" });
  const two = new Hist([dataset, channel]).fill({ dataset: "DY", channel: ["mu", "mu"] });
  assert.deepEqual(heat(figureOf(two)).y.names, ["e", "mu"]);
  assert.deepEqual(heat(figureOf(two)).cells, [0, 2]);
});

Deno.test("bins too fine for a slide are drawn together, and none is lost", () => {
  const fine = new Hist([axis.regular(2500, 0, 1, { name: "x" })]);
  fine.fill({ x: Float64Array.from({ length: 5000 }, (_, i) => i / 5000) });
  const figure = steps(figureOf(fine));
  assert.equal(figure.series[0]!.values.length, 834);
  assert.equal(figure.x.edges.length, 835);
  assert.equal(figure.x.edges.at(-1), 1);
  assert.equal(figure.series[0]!.values.reduce((a, b) => a + b), 5000);
  assert.equal(figure.yTitle, "Events / 0.0012");
  assert.deepEqual(figure.remarks, ["3 bins drawn as one"]);
  const map = new Hist([axis.regular(300, 0, 1, { name: "x" }), pt]).fill({ x: 0.999, pt: 0.9 });
  const { cells, remarks } = heat(figureOf(map));
  assert.deepEqual([cells.length, cells.at(-1)], [200, 1]);
  assert.deepEqual(remarks, ["3 × 1 bins drawn as one"]);
});

Deno.test("the scale is logarithmic where asked for or where the contents span orders", () => {
  const flat = new Hist([count]).fill({ n: [0, 1, 2] });
  const steep = new Hist([count]).fill({ n: Array(500).fill(0) }).fill({ n: [1, 2, 2] });
  assert.equal(figureOf(flat).log, false);
  assert.equal(figureOf(flat, { log: true }).log, true);
  assert.equal(figureOf(steep).log, true);
  assert.equal(figureOf(steep, { log: false }).log, false);
  assert.equal(figureOf(new Hist([count], { log: true })).log, true);
  const negative = new Hist([count], { storage: "weighted" });
  negative.fill({ n: [0, 1, 2], weight: [1000, 1, -1] });
  assert.equal(figureOf(negative).log, false);
});

Deno.test("an axis is logarithmic where its bins grow with their edges over a wide span", () => {
  const cases: [number[], boolean][] = [
    [powers(150, 0.25, 300), true],
    [[20, 25, 30, 40, 50, 70, 100, 150, 200, 300, 500], true],
    [[1, 2, 5, 10, 20, 50], true],
    [powers(150, 0.25, 300).reverse().map((edge) => -edge), false], // below zero
    [[0, 1, 10, 100], false], // from zero
    [powers(10, 1, 21), true],
    [powers(10, 1, 19), false], // a short span
    [[1, 100], false], // nothing grows
    [[1, 21, 41, 61, 81, 101], false], // as wide everywhere
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100], false], // all but one as wide
  ];
  for (const [edges, log] of cases) assert.equal(growGeometrically(edges), log, edges.join(" "));
  const at = { name: "x" };
  assert.equal(figureOf(new Hist([axis.variable([1, 2, 5, 10, 20, 50], at)])).x.log, true);
  assert.equal(figureOf(new Hist([axis.regular(2000, 1, 1000, at)])).x.log, false);
  assert.equal(figureOf(new Hist([axis.integer(1, 100, at)])).x.log, false);
});

Deno.test("the log of an axis' metadata decides, where the axis is above zero", () => {
  const asking = (log: boolean) => ({ name: "x", label: "pT", metadata: { log } });
  const x = (a: axis.Axis) => {
    const { x, remarks } = figureOf(new Hist([a]));
    return [x.log, ...remarks];
  };
  assert.deepEqual(x(axis.regular(5, 1, 2, asking(true))), [true]);
  assert.deepEqual(x(axis.integer(1, 9, asking(true))), [true]);
  assert.deepEqual(x(axis.variable([1, 2, 5, 10, 20, 50], asking(false))), [false]);
  const refused = [false, "pT not logarithmic: it starts at 0"];
  assert.deepEqual(x(axis.regular(5, 0, 10, asking(true))), refused);
  assert.deepEqual(x(axis.regular(5, 0, 10, asking(false))), [false]);
  assert.deepEqual(x(axis.category(["a", "b"], asking(true))), [false]);
});

Deno.test("an axis from a UHI file keeps its log", () => {
  const hist = new Hist([axis.regular(5, 1, 2, { name: "x", metadata: { log: true } })]);
  assert.equal(figureOf(fromUhi(JSON.parse(JSON.stringify(toUhi(hist))))).x.log, true);
});

Deno.test("logarithmic axes have scales and ticks of their own, in heat maps on both sides", () => {
  const m = axis.variable(powers(150, 0.25, 300), { name: "m" });
  const x = axis.variable(powers(8, 1e-5, 1e3), { name: "x" });
  const { scales, axes } = plotSpec(new Hist([m, x]));
  const types = (scales ?? []).map((scale) => [scale.name, scale.type]);
  assert.deepEqual(types.slice(0, 2), [["x", "log"], ["y", "log"]]);
  const labelled = (scale: string) =>
    (axes ?? []).filter((one) => one.scale === scale && one.labels !== false);
  assert.deepEqual(labelled("x").map((one) => one.values), [[1, 10, 100]]);
  const written = JSON.stringify([labelled("x"), labelled("y")].map(([one]) => one!.encode));
  for (const label of [":'100'", ":'10⁻⁴'", ":'10²'"]) {
    assert.ok(written.replaceAll('\\"', "'").includes(label), `${label} in ${written}`);
  }
  const minor = (axes ?? []).find((one) => one.scale === "x" && one.labels === false);
  assert.deepEqual((minor!.values as number[]).slice(0, 3).map((v) => v.toFixed(1)), [
    "0.3",
    "0.4",
    "0.5",
  ]);
});

Deno.test("error bars stand in the middle of their bins as drawn, and end at the frame", () => {
  const bars = (spec: Spec) => {
    const data = spec.data as { name: string; values: Record<"x" | "low" | "high", number>[] }[];
    return data.find(({ name }) => name === "bars")!.values;
  };
  const a = axis.variable([1, 100, 10_000], { name: "x" });
  const few = new Hist([a], { storage: "weighted", log: true });
  few.fill({ x: [10, 10, 1000, 1000], weight: [4, 4, 3, -2.5] });
  const spec = plotSpec(few);
  assert.deepEqual(bars(spec).map((bar) => Math.round(bar.x)), [10, 1000]);
  assert.equal(bars(spec)[1]!.low, domain(spec, "y")[0], "0.5 ± 3.9 is cut below");
  fc.assert(fc.property(histCase, fc.boolean(), (one, log) => {
    const hist = filled(one, one.fills);
    const figure = figureOf(hist, { log });
    if (figure.kind !== "steps") return;
    const spec = plotSpec(hist, { log });
    const [low, high] = domain(spec, "y");
    for (const bar of bars(spec)) {
      assert.ok(low <= bar.low && bar.low <= bar.high && bar.high <= high, JSON.stringify(bar));
    }
  }));
});

Deno.test("a histogram has its own title, else the words of its key", () => {
  const title = (options: HistOptions, given: PlotOptions) =>
    figureOf(new Hist([count], options), given).title;
  assert.equal(title({}, {}), "");
  assert.equal(title({}, { key: "muons-pt_all" }), "muons pt all");
  assert.equal(title({ name: "pt" }, { key: "muons-pt" }), "pt");
  assert.equal(title({ name: "pt", label: "Muon pT" }, { key: "muons-pt" }), "Muon pT");
  assert.equal(title({ label: "Muon pT" }, { key: "muons-pt", title: "Given" }), "Given");
});

Deno.test("a partial result is marked, with the part where it is known", () => {
  const hist = new Hist([count]);
  assert.equal(figureOf(hist, { partial: false }).partial, null);
  assert.equal(figureOf(hist, { partial: true }).partial, "partial result");
  assert.equal(figureOf(hist, { partial: "3 of 4 files" }).partial, "partial result: 3 of 4 files");
});

Deno.test("contents that are not finite are left out, and that is told", () => {
  const hist = new Hist([count], { storage: "weighted" });
  hist.fill({ n: [0, 1], weight: [NaN, 2] });
  assert.deepEqual(figureOf(hist).remarks, ["1 bins are not finite and not drawn"]);
  assert.doesNotThrow(() => plotSpec(hist));
});

Deno.test("ranges hold values and errors, and leave the headroom free", () => {
  assert.deepEqual(contentRange([4, 9], [1, 3], false, 0.25), { low: 0, high: 16 });
  assert.deepEqual(contentRange([-10, 9], null, false, 0), { low: -11, high: 9 });
  assert.deepEqual(contentRange([0], null, false, 0.5), { low: 0, high: 1 });
  assert.deepEqual(contentRange([0], null, true, 0.5), { low: 0.5, high: 10 });
  assert.deepEqual(contentRange([2, 100], null, true, 0.5), { low: 1, high: 10_000 });
  assert.deepEqual(contentRange([NaN, 2], null, false, 0), { low: 0, high: 2 });
  assert.deepEqual(contentRange([1, 2], [Infinity, 0], false, 0), { low: 0, high: 2 });
  assert.deepEqual(contentRange([-5], [100], true, 0), { low: 47.5, high: 95 });
});

Deno.test("ticks of logarithmic scales are powers of ten, with halves where there are few", () => {
  const labels = (low: number, high: number) =>
    logTicks({ low, high }).major.map((tick) => tick.label);
  assert.deepEqual(labels(0.5, 2e4), ["1", "10", "10²", "10³", "10⁴"]);
  assert.deepEqual(labels(0.5, 10), ["0.5", "1", "2", "5", "10"]);
  assert.deepEqual(labels(150, 900), ["2·10²", "5·10²"]);
  assert.deepEqual(labels(0.10000000000000002, 999.9999999999998), [
    "0.1",
    "1",
    "10",
    "10²",
    "10³",
  ]);
  assert.deepEqual(
    logTicks({ low: 1e-3, high: 2e3 }, 3).major.map((tick) => tick.label),
    ["0.001", "0.01", "0.1", "1", "10", "100", "1000"],
  );
  assert.deepEqual(labels(1e-12, 1), ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]);
  assert.deepEqual(logTicks({ low: 1, high: 1e4 }).minor.slice(0, 9), [
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    20,
  ]);
  assert.equal(linearFormat({ low: 0, high: 500 }), null);
  assert.equal(linearFormat({ low: -2e4, high: 1 }), "~s");
  assert.equal(linearFormat({ low: 0, high: 1e-5 }), "~e");
});

Deno.test("counts are written in groups of digits, fractions with four", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [1234567, "1,234,567"],
    [0.123456, "0.1235"],
    [1234.56, "1,235"],
    [-2.5, "-2.5"],
  ];
  for (const [value, text] of cases) assert.equal(formatted(value), text);
});

Deno.test("any histogram has a specification, the same each time, that fits the slide", () => {
  const options = fc.record({
    size: fc.constantFrom("16:9", "4:3" as const),
    log: fc.boolean(),
    partial: fc.boolean(),
  });
  fc.assert(fc.property(histCase, options, (one, given) => {
    const hist = filled(one, one.fills);
    const spec = plotSpec(hist, given);
    assert.deepEqual(spec, plotSpec(hist, given));
    const { left, right, top, bottom } = spec.padding as Record<string, number>;
    assert.equal(Number(spec.width) + left! + right!, given.size === "4:3" ? 960 : 1280);
    assert.equal(Number(spec.height) + top! + bottom!, 720);
  }));
});
