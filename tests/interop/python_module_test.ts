/** A Python program on this repository's module, served by cctools' own worker. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { needsParts, startRealWorker, sweepAfterRealWorker } from "../support/cctools.ts";
import { modulePython, startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const found = modulePython();
const name = "a real worker runs the tasks and functions of a Python program on wqx";

Deno.test({
  ...("path" in found ? needsParts(name, "work_queue_worker") : needs(false, found.missing, name)),
  async fn() {
    if (!("path" in found)) return;
    await using bed = await TestBed.create();
    await using program = await startProgram(bed, found.path, "foreign_worker.py");
    const [, port] = await program.says(/^port (\d+)$/m);
    // Its functions are run by the `python3` of its PATH, which has to have cloudpickle.
    const env = { PATH: `${dirname(found.path)}:${Deno.env.get("PATH")}` };
    await using worker = startRealWorker(bed, Number(port), { env });
    assert.equal(await program.ended, 0, `${program.stdout}\n${program.stderr}${worker.stderr}`);
    assert.match(program.stdout, /^all back$/m);
    await worker.ended;
    await sweepAfterRealWorker(bed);
  },
});
