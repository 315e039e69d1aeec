/** Many tasks through the Python module, on workers that finish at once. */
import assert from "node:assert/strict";
import { startFakeWorkers } from "../bench/contest.ts";
import { modulePython, startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const found = modulePython();

Deno.test({
  ...needs(
    "path" in found,
    "missing" in found ? found.missing : "",
    "ten thousand tasks of a Python program come back once each",
  ),
  async fn() {
    if (!("path" in found)) return;
    await using bed = await TestBed.create();
    await using program = await startProgram(bed, found.path, "many.py", { args: ["10000"] });
    const [, port] = await program.says(/^port (\d+)$/m);
    await using _workers = startFakeWorkers(bed, Number(port), 20);
    assert.equal(await program.ended, 0, `${program.stdout}\n${program.stderr}`);
    assert.match(program.stdout, /^all back$/m);
  },
});
