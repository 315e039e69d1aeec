/** coffea 0.7's WorkQueueExecutor, as it comes from PyPI, on the Python module. */
import assert from "node:assert/strict";
import { coffeas, makeEvents, noCoffea } from "../support/coffea.ts";
import { startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const coffea = coffeas.find(({ variable }) => variable === "WQX_TEST_COFFEA07")!;

Deno.test({
  ...needs(
    coffea.python !== "",
    noCoffea(coffea.variable),
    "coffea 0.7's WorkQueueExecutor gives what its IterativeExecutor does, a worker killed meanwhile",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const file = await makeEvents(coffea, bed, 3000);
    const other = bed.folder.join("other.root");
    await Deno.rename(file, other);
    const args = [other, await makeEvents(coffea, bed, 2500)];
    await using program = await startProgram(bed, coffea.python, "coffea07.py", { args });
    assert.equal(await program.ended, 0, `${program.stdout}\n${program.stderr}`);
    assert.match(program.stdout, /^equal$/m);
    await bed.clean();
  },
});
