import assert from "node:assert/strict";
import fc from "fast-check";
import * as axis from "../../core/histogram/axis.ts";
import { Hist } from "../../core/histogram/hist.ts";
import {
  type Figure,
  figureOf,
  formatted,
  type HeatFigure,
  palette,
  type StepsFigure,
} from "../../core/plot/figure.ts";
import { contentRange, linearFormat, logTicks } from "../../core/plot/scale.ts";
import { plotSpec } from "../../core/plot/spec.ts";
import { filled, histCase } from "../support/arbitraries.ts";

const mass = axis.regular(3, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" });
const pt = axis.regular(2, 0, 1, { name: "pt" });
const count = axis.integer(0, 3, { name: "n", label: "Muons" });
const dataset = axis.category([], { name: "dataset", growth: true });

const steps = (figure: Figure) => figure as StepsFigure;
const heat = (figure: Figure) => figure as HeatFigure;

Deno.test("one axis becomes steps with errors, and what is outside is told", () => {
  const hist = new Hist([mass], { storage: "weighted", label: "Dimuon mass" });
  hist.fill({ mass: [50, 70, 70, 90, NaN, 1e9], weight: [1, 2, 2, 0.5, 3, 4] });
  const figure = steps(figureOf(hist));
  assert.equal(figure.kind, "steps");
  assert.equal(figure.title, "Dimuon mass");
  assert.deepEqual(figure.x, { title: "m(μμ) [GeV]", edges: [60, 80, 100, 120], names: null });
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
});

Deno.test("ticks of logarithmic scales are powers of ten, with halves where there are few", () => {
  const labels = (low: number, high: number) =>
    logTicks({ low, high }).major.map((tick) => tick.label);
  assert.deepEqual(labels(0.5, 2e4), ["1", "10", "10²", "10³", "10⁴"]);
  assert.deepEqual(labels(0.5, 10), ["0.5", "1", "2", "5", "10"]);
  assert.deepEqual(labels(150, 900), ["2·10²", "5·10²"]);
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
