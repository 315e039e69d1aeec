/** Parsl's WorkQueueExecutor, as it comes from PyPI, on the Python module and wqx workers. */
import assert from "node:assert/strict";
import { coffeas, environmentFor } from "../support/coffea.ts";
import { startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const { python } = coffeas.find(({ variable }) => variable === "WQX_TEST_COFFEA")!;
const hasParsl = python !== "" &&
  new Deno.Command(python, { args: ["-c", "import parsl"], stderr: "null" }).outputSync().success;

Deno.test({
  ...needs(
    hasParsl,
    "set WQX_TEST_COFFEA to a Python that has parsl, too",
    "two hundred apps of Parsl run on its WorkQueueExecutor",
  ),
  async fn() {
    await using bed = await TestBed.create();
    // Its provider starts work_queue_worker by that name.
    await bed.run(["links", bed.folder.join("bin")]);
    const { PATH } = await environmentFor(python, bed);
    const own = `${bed.folder.join("bin")}:${PATH}`;
    await using program = await startProgram(bed, python, "parsl_apps.py", { env: { PATH: own } });
    assert.equal(await program.ended, 0, `${program.stdout}\n${program.stderr}`);
    assert.match(program.stdout, /^equal$/m);
    await bed.clean();
  },
});
