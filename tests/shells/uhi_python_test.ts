/** Against the Python packages that physicists read results with: same bins, same file. */
import assert from "node:assert/strict";
import { seededRng } from "../../core/env.ts";
import { type Accumulator, fromJson, toJson } from "../../core/accumulator.ts";
import * as axis from "../../core/histogram/axis.ts";
import type { Axis, NumberAxis } from "../../core/histogram/axis.ts";
import { binEdges } from "../../core/histogram/binning.ts";
import { Hist } from "../../core/histogram/hist.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";

const python = findPython([
  "boost_histogram.serialization",
  "uhi.schema",
  "hist",
  "fastjsonschema",
]);
const missing = "missing" in python ? python.missing : "";

/** Runs a program with `input` as JSON on its standard input; what it prints is JSON too. */
async function runPython(program: string, input: unknown): Promise<unknown> {
  if ("missing" in python) throw new Error(python.missing);
  const child = new Deno.Command(python.path, {
    args: ["-c", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(input)));
  await writer.close();
  const { success, stdout } = await child.output();
  assert.ok(success, "Python failed; its message is above");
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Random values, every edge, and the doubles next to each edge. */
function valuesFor(a: NumberAxis, random: () => number): number[] {
  const edges = [...binEdges(a)];
  const [low, high] = [edges[0]!, edges.at(-1)!];
  const near = edges.flatMap((edge) => {
    const bits = new BigInt64Array(Float64Array.of(edge).buffer)[0]!;
    const at = (change: bigint) => new Float64Array(BigInt64Array.of(bits + change).buffer)[0]!;
    return edge === 0 ? [0, -0, 5e-324, -5e-324] : [at(-1n), edge, at(1n)];
  });
  const far = [NaN, Infinity, -Infinity, low - 1, high + 1];
  const inside = Array.from({ length: 2000 }, () => low + (random() * 1.2 - 0.1) * (high - low));
  const all = [...near, ...far, ...inside];
  // boost-histogram takes integers only for an integer axis.
  return a.type === "integer" ? all.filter((x) => Number.isFinite(x)).map(Math.floor) : all;
}

function randomNumberAxes(random: () => number): NumberAxis[] {
  const made: NumberAxis[] = [];
  for (let i = 0; i < 40; i++) {
    const flow = { name: "x", underflow: random() < 0.7, overflow: random() < 0.7 };
    const low = random() < 0.3 ? 0 : (random() - 0.5) * 10 ** Math.floor(random() * 6);
    const width = random() < 0.3 ? 1 : random() * 10 ** Math.floor(random() * 6 - 2) + 1e-3;
    const bins = 1 + Math.floor(random() * 100);
    made.push(axis.regular(bins, low, low + width, flow));
    const edges = Array.from({ length: 10 }, () => low + random() * width).sort((a, b) => a - b);
    made.push(axis.variable(new Set(edges), flow));
    made.push(axis.integer(Math.floor(low), Math.floor(low) + bins, flow));
  }
  return made;
}

const fillInPython = `
import json, sys
import numpy as np, boost_histogram as bh
from boost_histogram.serialization import from_uhi
out = []
for case in json.load(sys.stdin):
    h = from_uhi(case["uhi"])
    kind = np.int64 if isinstance(h.axes[0], bh.axis.Integer) else np.float64
    h.fill(np.array([kind(x) for x in case["values"]], dtype=kind))
    out.append({"cells": h.view(flow=True).tolist(), "edges": h.axes[0].edges.tolist()})
json.dump(out, sys.stdout)
`;

Deno.test({
  ...needs(missing === "", missing, "bins and edges are those of boost-histogram, to the last bit"),
  async fn() {
    const random = seededRng(20261122);
    const cases = randomNumberAxes(random).map((a) => ({ a, values: valuesFor(a, random) }));
    const theirs = await runPython(
      fillInPython,
      cases.map(({ a, values }) => ({
        uhi: toJson(new Hist([a])),
        values: values.map(String),
      })),
    ) as { cells: number[]; edges: number[] }[];
    cases.forEach(({ a, values }, i) => {
      const ours = new Hist([a]).fill({ x: values });
      const what = JSON.stringify(toJson(new Hist([a])));
      assert.deepEqual([...ours.values({ flow: true })], theirs[i]!.cells, what);
      assert.deepEqual([...binEdges(a)], theirs[i]!.edges, what);
    });
  },
});

const readInPython = `
import json, sys
import numpy as np, boost_histogram as bh, hist
from uhi.schema import validate
from uhi.io.json import default, object_hook
from boost_histogram.serialization import from_uhi, to_uhi
text = sys.stdin.read()
validate(json.loads(text))
out = {}
for name, one in json.loads(text, object_hook=object_hook).items():
    h = hist.Hist(from_uhi(one))
    weighted = h.storage_type is bh.storage.Weight
    out[name] = {
        "axes": [type(a).__name__ for a in h.axes],
        "names": [a.name for a in h.axes],
        "labels": [a.label for a in h.axes],
        "values": np.ravel(h.values(flow=True)).tolist(),
        "variances": np.ravel(h.variances(flow=True)).tolist(),
        "again": json.loads(json.dumps(to_uhi(h), default=default)),
    }
json.dump(out, sys.stdout)
`;

Deno.test({
  ...needs(missing === "", missing, "hist reads our histograms, and we read them back from it"),
  async fn() {
    const all: Axis[] = [
      axis.regular(6, 60, 120, { name: "mass", label: "m(μμ)", unit: "GeV" }),
      axis.variable([0, 1, 5, 20], { name: "pt", underflow: false }),
      axis.integer(-1, 4, { name: "n", overflow: false }),
      axis.category(["A", "B"], { name: "kind" }),
      axis.category([], { name: "dataset", growth: true }),
    ];
    const random = seededRng(3);
    const many = (low: number, high: number) =>
      Float64Array.from({ length: 500 }, () => low + random() * (high - low));
    const columns = {
      mass: many(50, 130),
      pt: many(-5, 25),
      n: many(-3, 6).map(Math.floor),
      kind: Array.from({ length: 500 }, () => ["A", "B", "C"][Math.floor(random() * 3)]!),
      dataset: Array.from({ length: 500 }, () => ["tt", "DY", "W"][Math.floor(random() * 3)]!),
    };
    const weight = many(-1, 2);
    const histograms: Record<string, Hist> = {
      counted: new Hist(all, { name: "counted", log: true }).fill(columns),
      weighted: new Hist(all, { storage: "weighted" }).fill({ ...columns, weight }),
      summed: new Hist(all.slice(0, 2), { storage: "double" })
        .fill({ mass: columns.mass, pt: columns.pt }),
      empty: new Hist([all[4]!, all[0]!]),
      inner: new Hist([all[0]!, all[4]!]),
    };
    for (const one of all) {
      histograms[one.name] = new Hist([one]).fill({
        [one.name]: columns[one.name as keyof typeof columns],
      });
    }
    const read = await runPython(readInPython, toJson(histograms)) as Record<
      string,
      Record<"axes" | "names" | "labels" | "values" | "variances" | "again", unknown>
    >;
    const classes = {
      regular: "Regular",
      variable: "Variable",
      integer: "Integer",
      category: "StrCategory",
    };
    for (const [name, ours] of Object.entries(histograms)) {
      const theirs = read[name]!;
      assert.deepEqual(theirs.axes, ours.axes.map((a) => classes[a.type]), name);
      assert.deepEqual(theirs.names, ours.axes.map((a) => a.name));
      assert.deepEqual(theirs.values, [...ours.values({ flow: true })]);
      assert.deepEqual(theirs.variances, [...ours.variances({ flow: true })!]);
      const again: Accumulator = fromJson(theirs.again);
      assert.deepEqual(toJson(again), toJson(ours));
    }
    assert.deepEqual(read["mass"]!.labels, ["m(μμ)"]);
  },
});
