/** Real coffeas in environments made of a virtual one, on workers whose PATH has no Python. */
import assert from "node:assert/strict";
import { packVenv } from "../../package/venv.ts";
import {
  type Coffea,
  coffeas,
  environmentFor,
  example,
  makeEvents,
  noCoffea,
  runScript,
} from "../support/coffea.ts";
import { needs } from "../support/skip.ts";
import { readJson, TestBed } from "../support/wqx.ts";

const events = 5_000;

/** What an analysis does not import, to be done sooner. */
const exclude = "pyarrow* jedi* debugpy* mplhep_data* notebook* fontTools* pip IPython* parsl*"
  .split(" ").map((name) => `*/site-packages/${name}/*`).concat("*/tests/*");

async function packed({ python }: Coffea, bed: TestBed): Promise<string> {
  const archive = bed.folder.join("environment.tar.gz");
  await packVenv(python.replace(/\/bin\/[^/]*$/, ""), archive, { level: 1, exclude });
  return archive;
}

for (const coffea of coffeas) {
  const { variable, python } = coffea;
  Deno.test({
    ...needs(
      python !== "",
      noCoffea(variable),
      `executors, PythonTasks and analyses run in a packed environment (${variable})`,
    ),
    async fn(t) {
      await using bed = await TestBed.create();
      await makeEvents(coffea, bed, events);
      const archive = await packed(coffea, bed);
      await t.step("the executor and tasks of the Python module", async () => {
        const words = [bed.folder.join("events.root"), archive];
        const { code, stdout, stderr } = await runScript(
          coffea,
          bed,
          "environment_cases.py",
          ...words,
        );
        const log = await Deno.readTextFile(bed.folder.join("worker.log")).catch(() => "");
        assert.equal(code, 0, stderr + log);
        const told = JSON.parse(stdout.split("\n").findLast((line) => line.startsWith("{"))!);
        assert.equal(told.n, events);
        assert.equal(told.prefixes.length, 1);
        assert.match(told.prefixes[0], /\/worker-\d+-\d+\/environments\/[0-9a-f]+$/);
        assert.deepEqual(told.task?.[0], 1, told.std_output);
        assert.match(told.task?.[1], /\/environments\/[0-9a-f]+$/);
        assert.deepEqual(told.pairs, [[1, 3], [2, 3]]);
        assert.match(told.missing, /nowhere\.tar\.gz/);
        // Once by each of the two workers.
        assert.equal(log.match(/^Unpacked the environment/gm)?.length, 2, log);
        const debug = await Deno.readTextFile(bed.folder.join("debug"));
        assert.match(debug, /warm \S+\/environments\/[0-9a-f]+\/bin\/python3?: process/);
      });
      await t.step("an analysis", async () => {
        await Deno.copyFile(`${example}dimuon.py`, bed.folder.join("dimuon.py"));
        await bed.folder.write(
          "analysis.yaml",
          `datasets: {simulation: events.root}\n` +
            `processor: {module: dimuon.py:Dimuon, schema: NanoAODSchema}\n` +
            `chunksize: 1000\nenvironment: environment.tar.gz\n`,
        );
        const env = await environmentFor(python, bed);
        await using run = bed.start(
          ["manager", "analysis.yaml", "--output", "out", "--workers", "none"],
          { env },
        );
        const [, port] = await run.says(/Listening on port (\d+)/);
        const words = ["worker", "localhost", port!, "--cores", "2", "--memory", "4000"];
        await using worker = bed.start(words, { env: { PATH: "/nowhere" } });
        assert.equal(await run.ended, 0, run.stderr);
        // It removes a large environment, which may take longer than what is killed is waited for.
        worker.signal("SIGTERM");
        await worker.ended;
        assert.equal(worker.stderr.match(/^Unpacked the environment/gm)?.length, 1);
        assert.equal((await readJson(bed.folder.join("out/report.json"))).events.processed, events);
      });
      await bed.clean();
    },
  });
}
