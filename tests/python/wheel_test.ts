/** The Python module as a user installs it. */
import assert from "node:assert/strict";
import { environmentFor } from "../support/coffea.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const found = findPython(["setuptools.command.bdist_wheel"]);
const source = new URL("../../python", import.meta.url).pathname;

Deno.test({
  ...needs(
    "path" in found,
    "missing" in found ? found.missing : "",
    "pip installs one pure wheel, which works on its own",
  ),
  async fn() {
    if (!("path" in found)) return;
    await using bed = await TestBed.create();
    const env = await environmentFor(found.path, bed);
    // What builds writes beside what it builds.
    const copy = bed.folder.join("source");
    await bed.run(["-r", source, copy], { command: ["cp"] });
    const pip = async (...args: string[]) => {
      const run = await bed.run(["-m", "pip", "--no-input", ...args], {
        command: [found.path],
        env: { ...env, PIP_NO_INDEX: "1", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
      });
      assert.equal(run.code, 0, run.stderr);
    };
    await pip("wheel", "--no-deps", "--no-build-isolation", "-w", bed.folder.join("wheels"), copy);
    const wheels = [...Deno.readDirSync(bed.folder.join("wheels"))].map(({ name }) => name);
    assert.deepEqual(wheels, ["wqx-0.1.0-py3-none-any.whl"]);
    const target = bed.folder.join("site");
    await pip("install", "--target", target, "--no-deps", bed.folder.join("wheels", wheels[0]!));
    const script = "import work_queue, ndcctools.work_queue as wq; assert work_queue is wq; " +
      "q = wq.WorkQueue(0); print(wq.__file__, q.port > 0); q._free()";
    const run = await bed.run(["-c", script], {
      command: [found.path],
      env: { ...env, PYTHONPATH: target },
    });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /site\/ndcctools\/work_queue\/__init__\.py True/);
  },
});
