import assert from "node:assert/strict";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { demo, readJson, TestBed } from "../support/wqx.ts";

const python = findPython(["uproot", "awkward", "numpy"]);

/** The demo's numbers, counted independently: another reader, another language, no chunks. */
const independentCount = `
import json, sys, uproot, awkward as ak, numpy as np
def count(x, n, low, high):  # bins as boost-histogram cuts them; numpy differs for values on an edge
    i = np.floor((x.astype(np.float64) - low) / (high - low) * n)
    return np.bincount(i[(i >= 0) & (i < n)].astype(int), minlength=n).tolist()
out = {}
for dataset, path in (("collisions", sys.argv[1]), ("simulation", sys.argv[2])):
    a = uproot.open(path)["Events"].arrays(["run", "Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"])
    pair = a[ak.num(a.Muon_pt) >= 2]
    pt, eta, phi, m, q = (ak.to_numpy(pair["Muon_" + v][:, :2]).astype(np.float64) for v in ("pt", "eta", "phi", "mass", "charge"))
    opposite = q[:, 0] != q[:, 1]
    pt, eta, phi, m = pt[opposite], eta[opposite], phi[opposite], m[opposite]
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    e = np.sqrt(px**2 + py**2 + pz**2 + m**2)
    mass = np.sqrt(np.maximum(0, e.sum(1)**2 - px.sum(1)**2 - py.sum(1)**2 - pz.sum(1)**2))
    out[dataset] = {
        "all": len(a), "two": len(pair), "opposite": int(opposite.sum()),
        "window": int(((mass > 60) & (mass < 120)).sum()),
        "z": count(mass, 60, 60, 120),
        "pt": count(ak.to_numpy(ak.flatten(a.Muon_pt)), 50, 0, 100),
        "runs": sorted(set(ak.to_numpy(a.run).tolist())),
    }
print(json.dumps(out))
`;

Deno.test("the demo ends with a complete result and a picture of each histogram", async () => {
  await using bed = await TestBed.create();
  const wqx = await bed.run(["manager", `${demo}/analysis.yaml`, "--output", "out"]);
  assert.equal(wqx.code, 0, wqx.stderr);
  const result = await readJson(bed.folder.join("out/result.json"));
  assert.equal(result.partial, false);
  assert.deepEqual(result.events, { processed: 160_000, total: 160_000 });
  const names = [...Deno.readDirSync(bed.folder.join("out"))].map(({ name }) => name).sort();
  const pictures = ["met.svg", "muons-eta.svg", "muons-pt.svg", "spectrum.svg", "z.svg"];
  assert.deepEqual(names, [...pictures, "report.json", "result.json", "run"].sort());
  const ofRun = [...Deno.readDirSync(bed.folder.join("out/run"))].map(({ name }) => name).sort();
  assert.deepEqual(ofRun, ["allocation.svg", "chunks.svg", "tasks.svg"]);
  const report = await readJson(bed.folder.join("out/report.json"));
  assert.equal(report.state, "complete");
  assert.equal(report.tasks.length, 19);
  for (const category of report.categories) assert.ok(category.memoryMbMax > 5, category.category);
  await bed.clean();
});

Deno.test({
  ...needs(
    "path" in python,
    "missing" in python ? python.missing : "",
    "the demo's counts equal an independent count with uproot",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    const wqx = await bed.run(["manager", `${demo}/analysis.yaml`, "--output", "out"]);
    assert.equal(wqx.code, 0, wqx.stderr);
    const { result } = await readJson(bed.folder.join("out/result.json"));
    const files = ["a", "b"].map((x) => `${demo}/data/dimuon_${x}.root`);
    const { stdout, stderr, success } = await new Deno.Command((python as { path: string }).path, {
      args: ["-c", independentCount, ...files],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const counted = JSON.parse(new TextDecoder().decode(stdout));
    const datasets: string[] = result.z.axes[0].categories;
    assert.deepEqual([...datasets].sort(), ["collisions", "simulation"]);
    for (const dataset of datasets) {
      const expected = counted[dataset];
      assert.deepEqual(Object.values(result.cutflow[dataset]), [
        expected.all,
        expected.two,
        expected.opposite,
        expected.window,
      ]);
      const row = datasets.indexOf(dataset);
      const pt = result.muons.pt.storage.values[row];
      assert.deepEqual(pt.slice(1, 51), expected.pt, `pt of ${dataset}`);
      const weight = dataset === "simulation" ? 0.565 : 1;
      const z = result.z.storage.values[row].slice(1, 61);
      expected.z.forEach((count: number, bin: number) => {
        assert.ok(Math.abs(z[bin] - weight * count) < 1e-9 * count + 1e-9, `${dataset} bin ${bin}`);
      });
    }
  },
});
