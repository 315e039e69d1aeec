import assert from "node:assert/strict";
import fc from "fast-check";
import * as axis from "../../core/histogram/axis.ts";
import { Hist } from "../../core/histogram/hist.ts";
import { fromUhi, toUhi } from "../../core/histogram/uhi.ts";
import { filled, histCase } from "../support/arbitraries.ts";

/** Through text, as a file would take it. */
const again = (hist: Hist) => fromUhi(JSON.parse(JSON.stringify(toUhi(hist))));

Deno.test("a histogram has its name, axes and cells in the UHI schema", () => {
  const hist = new Hist([
    axis.regular(2, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" }),
    axis.category(["DY"], { name: "dataset", growth: true }),
  ], { storage: "weighted", label: "Dimuon mass", log: true });
  hist.fill({ mass: [50, 70, 100], dataset: "DY", weight: [1, 2, 0.5] });
  assert.deepEqual(JSON.parse(JSON.stringify(toUhi(hist))), {
    uhi_schema: 1,
    writer_info: { wqx: { schema: 1 } },
    metadata: { label: "Dimuon mass", log: true },
    axes: [
      {
        type: "regular",
        lower: 60,
        upper: 120,
        bins: 2,
        underflow: true,
        overflow: true,
        circular: false,
        metadata: { name: "mass", label: "m(μμ)", unit: "GeV" },
      },
      {
        type: "category_str",
        categories: ["DY"],
        flow: false,
        writer_info: { "boost-histogram": { growth: true } },
        metadata: { name: "dataset" },
      },
    ],
    storage: {
      type: "weighted",
      values: [[1], [2], [0.5], [0]],
      variances: [[1], [4], [0.25], [0]],
    },
  });
});

Deno.test("fromUhi reads what toUhi wrote", () => {
  fc.assert(fc.property(histCase, (one) => {
    const hist = filled(one, one.fills);
    assert.deepEqual(again(hist), hist);
  }));
});

Deno.test("contents that JSON has no number for survive", () => {
  const x = axis.integer(0, 3, { name: "x" });
  const hist = new Hist([x], { storage: "weighted" });
  hist.fill({ x: [0, 1, 2], weight: [NaN, Infinity, -Infinity] });
  assert.deepEqual(again(hist), hist);
});

const plain = {
  uhi_schema: 1,
  axes: [{ type: "regular", lower: 0, upper: 2, bins: 2, underflow: false, overflow: true }],
  storage: { type: "int" },
};

Deno.test("fromUhi reads empty and sparse storage, and axes without a name", () => {
  assert.deepEqual([...fromUhi(plain).values({ flow: true })], [0, 0, 0]);
  assert.equal(fromUhi(plain).axes[0]!.name, "axis0");
  const sparse = { ...plain, storage: { type: "double", index: [[2, 0]], values: [1.5, 3] } };
  assert.deepEqual([...fromUhi(sparse).values({ flow: true })], [3, 0, 1.5]);
});

Deno.test("metadata of others is kept", () => {
  const metadata = { name: "h", author: "me", _flag: true };
  const hist = fromUhi({ ...plain, metadata });
  assert.deepEqual(again(hist), hist);
  assert.deepEqual(toUhi(hist)["metadata"], metadata);
});

Deno.test("fromUhi refuses what it cannot read and names the place", () => {
  const [regular] = plain.axes;
  const withAxis = (change: object) => ({ ...plain, axes: [{ ...regular, ...change }] });
  const withStorage = (storage: object) => ({ ...plain, storage });
  const cases: [unknown, RegExp][] = [
    [3, /^a UHI histogram must be an object, got 3$/],
    [{ ...plain, uhi_schema: 2 }, /^uhi_schema must be 1, got 2$/],
    [{ uhi_schema: 1, axes: 5 }, /^axes must be an array, got 5$/],
    [{ ...plain, axes: [] }, /one axis or more/],
    [withAxis({ type: "boolean" }), /axes\[0\]\.type must be regular, .* got "boolean"/],
    [withAxis({ circular: true }), /axes\[0\] is circular, which is not supported/],
    [withAxis({ bins: "2" }), /axes\[0\]\.bins must be a number, got "2"/],
    [withAxis({ underflow: undefined }), /axes\[0\]\.underflow must be true or false/],
    [withAxis({ metadata: { a: [] } }), /axes\[0\]\.metadata\.a must be a string, number or/],
    [
      withAxis({ upper: 3, writer_info: { "boost-histogram": { orig_type: "Integer" } } }),
      /axes\[0\] has 2 bins for the integers from 0 to 3/,
    ],
    [
      withStorage({ type: "mean" }),
      /storage\.type must be one of int, weighted, double, got "mean"/,
    ],
    [
      withStorage({ type: "int", values: [1, 2] }),
      /storage\.values must have the shape of the axes, 3 with/,
    ],
    [withStorage({ type: "int", values: [1, "2", 3] }), /storage\.values must hold numbers.* "2"/],
    [withStorage({ type: "int", values: [1, 2.5, 3] }), /must be integers/],
    [
      withStorage({ type: "weighted", values: [1, 2, 3] }),
      /storage\.variances must have the shape/,
    ],
    [
      withStorage({ type: "int", index: [[3]], values: [1] }),
      /storage\.values has no cell 3 on axis 0, which has 3/,
    ],
    [
      withStorage({ type: "int", index: [[1, 2]], values: [1] }),
      /as many entries as storage\.index/,
    ],
  ];
  for (const [value, message] of cases) assert.throws(() => fromUhi(value), { message });
});
