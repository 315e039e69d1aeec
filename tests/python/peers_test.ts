/** Programs on the Python module that need other packages, or another Python, than its own tests. */
import assert from "node:assert/strict";
import { coffeas, environmentFor } from "../support/coffea.ts";
import { modulePython, runProgram, startProgram } from "../support/python_module.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const { python } = coffeas.find(({ variable }) => variable === "WQX_TEST_COFFEA")!;

/** Whether that Python has a package. */
function has(name: string): boolean {
  if (python === "") return false;
  return new Deno.Command(python, { args: ["-c", `import ${name}`], stderr: "null" })
    .outputSync().success;
}

Deno.test({
  ...needs(
    has("parsl"),
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

Deno.test({
  ...needs(
    has("dask"),
    "set WQX_TEST_COFFEA to a Python that has dask, too",
    "graphs of dask run on DaskWQ, tries and errors included",
  ),
  fn: async () => void await runProgram(python, "dask_graphs.py"),
});

const own = modulePython();
const other = Deno.env.get("WQX_TEST_OTHER_PYTHON") ?? "";

Deno.test({
  ...needs(
    "path" in own && other !== "",
    "set WQX_TEST_OTHER_PYTHON to a Python of another minor version that has cloudpickle",
    "a function for a Python of another minor version is refused in words, unless it has a name",
  ),
  async fn() {
    if (!("path" in own)) return;
    await using bed = await TestBed.create();
    const env = { OTHER_PYTHON: other };
    await using program = await startProgram(bed, own.path, "other_python.py", { env });
    assert.equal(await program.ended, 0, `${program.stdout}\n${program.stderr}`);
    await bed.clean();
  },
});
