/** A run with coffea that is killed goes on, to the same result. */
import assert from "node:assert/strict";
import { JournalReader } from "../../core/journal/frames.ts";
import { coffeas, environmentFor, example, makeEvents, noCoffea } from "../support/coffea.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";
import { readJson, TestBed } from "../support/wqx.ts";

const coffea = coffeas.find(({ python }) => python !== "") ?? coffeas[0]!;

Deno.test({
  ...needs(
    coffea.python !== "",
    noCoffea(coffea.variable),
    "a run with coffea that was killed goes on to an equal result",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    await makeEvents(coffea, bed, 8000);
    await Deno.copyFile(`${example}dimuon.py`, bed.folder.join("dimuon.py"));
    const { python } = coffea;
    await bed.folder.write(
      "analysis.yaml",
      `datasets: {simulation: events.root}\n` +
        `processor: {module: dimuon.py:Dimuon, python: ${python}, schema: NanoAODSchema}\n` +
        "chunksize: 1000\n",
    );
    const env = await environmentFor(python, bed);
    const args = ["manager", "analysis.yaml", "--output"];
    const whole = await bed.run([...args, "whole"], { env });
    assert.equal(whole.code, 0, whole.stderr);
    await using first = bed.start([...args, "out"], { env });
    const journal = bed.folder.join("out/.parts/journal");
    await until(async () => {
      const bytes = await Deno.readFile(journal).catch(() => new Uint8Array());
      const types = [...new JournalReader(bytes).rest()].map((one) =>
        (one as { type: string }).type
      );
      return types.filter((type) => type === "ended").length >= 4;
    }, { what: "some results", timeoutMs: 60_000 });
    first.signal("SIGKILL");
    await first.ended;
    const second = await bed.run(["manager", "--resume", "out"], { env });
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /Going on with the run/);
    const { result } = await readJson(bed.folder.join("out/result.json"));
    assert.deepEqual(result, (await readJson(bed.folder.join("whole/result.json"))).result);
    await Deno.stat(bed.folder.join("out/result.pkl"));
    await bed.clean();
  },
});
