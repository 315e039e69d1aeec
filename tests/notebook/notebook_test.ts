/** The example's notebook, as a user runs it: cell by cell, in one folder. */
import assert from "node:assert/strict";
import { exampleCells, type NotebookBed, notebookTest } from "./notebook.ts";

/** Results of runs, by name, and whether all is as one pass over the file with numpy finds it. */
const check = {
  id: "check",
  source: `
import awkward as ak
import numpy as np
import uproot

with uproot.open("events.root:Events") as tree:
    pt = tree["Muon_pt"].array()
count = ak.to_numpy(ak.num(pt))
flat = ak.to_numpy(ak.flatten(pt))
pairs = int((count * (count - 1) // 2).sum())
found = {}
for run_name, result in results.items():
    if "mass" in result:
        cuts = {"Muons_pt": len(flat), "Muons_mass": pairs}
        edges = np.linspace(0.24, 300, 30_001)
        values = result["pt"].values(flow=True).sum(axis=0)
        mass = bool((result["mass"].values() == expected["mass"].values()).all())
    else:
        cuts = {"events": len(count), "muons": len(flat), "with two": int((count >= 2).sum())}
        edges = np.linspace(0, 100, 101)
        values = result["pt"].values(flow=True)
        mass = None
    bins = np.histogram(flat, np.concatenate([[-np.inf], edges, [np.inf]]))[0]
    # An edge may be off by its last bit: neighbours exchange an event then.
    pt_same = int(np.abs(np.cumsum(values) - np.cumsum(bins)).max())
    found[run_name] = {"cutflow": dict(result["cutflow"]) == cuts, "pt": pt_same, "mass": mass}
print("FOUND" + json.dumps(found))
`,
};

async function withCatalog(
  { bed }: NotebookBed,
  act: (catalogHost: string) => Promise<void>,
): Promise<void> {
  await using catalog = bed.start(["catalog", "-p", "0", "-H", bed.folder.join("history")]);
  const [, port = ""] = await catalog.says(/listens: \S+:(\d+)/);
  await act(`127.0.0.1:${port}`);
  catalog.signal("SIGTERM");
  await catalog.ended;
}

function* walk(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    yield `${folder}/${name}`;
    if (isDirectory) yield* walk(`${folder}/${name}`);
  }
}

notebookTest(
  "every cell of the notebook runs after the other, and what comes out is right",
  120_000,
  async (notebooks) => {
    await withCatalog(notebooks, async (CATALOG_HOST) => {
      const cells = await exampleCells();
      const { ran } = await notebooks.run([...cells, check], { CATALOG_HOST });
      assert.deepEqual([...ran.keys()], [...cells.map(({ id }) => id), "check"]);
      for (const { cell, error, traceback, text } of ran.values()) {
        assert.equal(error, null, `${cell}: ${text}${traceback}`);
        assert.doesNotMatch(text, /NOT WHAT|text file busy|Traceback|monitor error|missing/i, cell);
        assert.doesNotMatch(text, /unprocessed|different from|failed permanently|too small/i, cell);
        if (cell !== "splits" && cell !== "dynamic") {
          assert.doesNotMatch(text, /return code|resubmitting/, cell);
        }
      }
      const textOf = (cell: string) => ran.get(cell)!.text;
      const [, found = ""] = /FOUND(.*)/.exec(textOf("check")) ?? [];
      const same = { cutflow: true, pt: 0, mass: true };
      const sameMemory = { ...same, mass: null };
      assert.deepEqual(JSON.parse(found), {
        basic: same,
        "declared cores": same,
        automatic: same,
        "max-throughput": same,
        "measured only": same,
        fixed: same,
        splits: sameMemory,
        dynamic: sameMemory,
        catalog: same,
        environment: same,
        outside: same,
      });

      const [, splits] = /(\d+) chunks were split/.exec(textOf("splits")) ?? [];
      assert.ok(Number(splits) >= 1, textOf("splits"));
      assert.match(textOf("splits"), /resource exhaustion/);
      const [, size] = /from 2048 to (\d+) events a chunk/.exec(textOf("dynamic")) ?? [];
      assert.ok(Number(size) > 2048, textOf("dynamic"));
      const listening = /Listening for work queue workers on port (\d+)/;
      assert.equal(listening.exec(textOf("basic"))?.[1], notebooks.env["WQX_PORT"]);
      assert.notEqual(listening.exec(textOf("catalog"))?.[1], notebooks.env["WQX_PORT"]);
    });
    const { bed } = notebooks;
    await bed.clean();
    // Of the queues and factories in the notebook; one that runs by itself keeps its notes.
    const left = [...walk(bed.folder.path)].filter((path) => /wq-tmp|wqx-factory/.test(path));
    assert.deepEqual(left, []);
  },
);
