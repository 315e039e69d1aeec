/** `processor: FILE.py:NAME` with real coffeas: same results as their own, and clear failures. */
import assert from "node:assert/strict";
import {
  coffeas,
  environmentFor,
  example,
  makeEvents,
  noCoffea,
  runScript,
} from "../support/coffea.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";
import { readJson, TestBed } from "../support/wqx.ts";

const events = 20_000;
const chunkSize = 1_000;

for (const coffea of coffeas) {
  const { variable, python } = coffea;
  const test = (name: string, fn: (bed: TestBed) => Promise<void>) =>
    Deno.test({
      ...needs(python !== "", noCoffea(variable), `${name} (${variable})`),
      fn: async () => {
        await using bed = await TestBed.create();
        await makeEvents(coffea, bed, events);
        await Deno.copyFile(`${example}dimuon.py`, bed.folder.join("dimuon.py"));
        await fn(bed);
      },
    });

  test("an analysis equals coffea's own, bin by bin, with a worker killed", async (bed) => {
    await bed.folder.write(
      "analysis.yaml",
      `datasets: {simulation: events.root}\n` +
        `processor: {module: dimuon.py:Dimuon, python: ${python}, schema: NanoAODSchema}\n` +
        `chunksize: ${chunkSize}\n`,
    );
    const env = await environmentFor(python, bed);
    const manager = ["manager", "analysis.yaml", "--output", "out", "--workers", "none"];
    await using run = bed.start(manager, { env });
    const [, port] = await run.says(/Listening on port (\d+)/);
    const worker = ["worker", "localhost", port!, "--cores", "1", "--memory", "2000"];
    await using first = bed.start(worker, { env });
    await using _second = bed.start(worker, { env });
    await run.says(/Worker w2 joined/);
    await until(() => [...Deno.readDirSync(bed.folder.join("out/.parts"))].length > 3, {
      what: "some partial results",
      timeoutMs: 60_000,
    });
    first.signal("SIGKILL");
    assert.equal(await run.ended, 0, run.stderr);
    const told = await runScript(
      coffea,
      bed,
      "compare.py",
      "out",
      "events.root",
      String(chunkSize),
      bed.folder.path,
    );
    assert.match(told.stdout, /^equal$/m, told.stderr);
    const { events: counted, outputs } = await readJson(bed.folder.join("out/report.json"));
    assert.deepEqual(counted, { processed: events, total: events });
    const names = outputs.map((path: string) => path.split("/").at(-1));
    assert.deepEqual(names, ["result.pkl", "result.json", "simulation-mass.svg", "pt.svg"]);
  });

  // The runner says it, whatever the version of coffea.
  if (variable === "WQX_TEST_COFFEA07") continue;

  test("what a processor does wrong is said once, with the place", async (bed) => {
    await bed.folder.write("wrong.py", wrongModule);
    const env = await environmentFor(python, bed);
    const fails = async (processor: string, patterns: readonly RegExp[]) => {
      await bed.folder.write(
        "analysis.yaml",
        `datasets: {simulation: events.root}\nprocessor: ${processor}\n` +
          `chunksize: ${chunkSize}\nretries: 0\nworkers: {max: 1, cores: 2}\n`,
      );
      const args = ["manager", "analysis.yaml", "--output", "out", "--quiet"];
      const { code, stderr } = await bed.run(args, { env });
      assert.equal(code, 1, stderr);
      for (const pattern of patterns) {
        assert.equal([...stderr.matchAll(pattern)].length, 1, `${pattern} in ${stderr}`);
      }
    };
    const of = (name: string) => `{module: "wrong.py:${name}", schema: NanoAODSchema}`;
    await fails(of("Raises"), [
      /^Failed processing events \[\d+, \d+\) of "events.root" \(dataset simulation\) \(on host .*, exit code 1\): Failed in process\(\): ValueError: no muons$/gm,
      /wrong\.py", line \d+, in process/g,
    ]);
    await fails(of("Raisse"), [/wrong\.py has no "Raisse": did you mean "Raises"\?/g]);
    await fails(of("Missing"), [
      /there is no module "not_there" in the Python of the worker: .*python3 \(3\..*has coffea /g,
    ]);
    await fails(of("Unpicklable"), [
      /process\(\) returned what cannot be pickled, at \['deep'\]\['generator'\]: TypeError: /g,
    ]);
    await fails(of("Nothing"), [/process\(\) returned nothing: return an accumulator/g]);
    await fails(of("number"), [/number of wrong\.py is no processor of coffea: .* it is int/g]);
    await fails(`{module: "dimuon.py:Dimuon", schema: NanoAODSchemas}`, [
      /There is no schema "NanoAODSchemas" in coffea\.nanoevents: did you mean "NanoAODSchema"\?/g,
    ]);
    await fails(`{module: "dimuon.py:Dimuon", python: /nowhere/python3}`, [
      /there is no "\/nowhere\/python3" on the worker: name a Python that has coffea with/g,
    ]);
  });
}

const wrongModule = `
from coffea import processor

class Raises(processor.ProcessorABC):
    def process(self, events):
        raise ValueError("no muons")
    def postprocess(self, accumulator):
        pass

class Missing(Raises):
    def process(self, events):
        import not_there

class Unpicklable(Raises):
    def process(self, events):
        return {"fine": 1, "deep": {"generator": (i for i in range(2))}}

class Nothing(Raises):
    def process(self, events):
        pass

number = 5
`;
