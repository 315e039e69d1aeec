/** The Python module as a user installs it. */
import assert from "node:assert/strict";
import { environmentFor } from "../support/coffea.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const setuptools = findPython(["setuptools.command.bdist_wheel"]);
const source = new URL("../../python", import.meta.url).pathname;

Deno.test({
  ...needs(
    "path" in setuptools,
    "missing" in setuptools ? setuptools.missing : "",
    "pip installs one pure wheel, which works on its own",
  ),
  async fn() {
    if (!("path" in setuptools)) return;
    const python = setuptools.path;
    await using bed = await TestBed.create();
    const env = await environmentFor(python, bed);
    // What builds writes beside what it builds.
    const copy = bed.folder.join("clone/python");
    await bed.folder.write("clone/main.ts", "");
    const program = await bed.folder.write("clone/scripts/wqx", "#!/bin/sh\n");
    await Deno.chmod(program, 0o755);
    await bed.run(["-r", source, copy], { command: ["cp"] });
    const pip = async (...args: string[]) => {
      const run = await bed.run(["-m", "pip", "--no-input", ...args], {
        command: [python],
        env: { ...env, PIP_NO_INDEX: "1", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
      });
      assert.equal(run.code, 0, run.stderr);
    };
    await pip("wheel", "--no-deps", "--no-build-isolation", "-w", bed.folder.join("wheels"), copy);
    const wheels = [...Deno.readDirSync(bed.folder.join("wheels"))].map(({ name }) => name);
    assert.deepEqual(wheels, ["wqx-0.1.0-py3-none-any.whl"]);
    const target = bed.folder.join("site");
    await pip("install", "--target", target, "--no-deps", bed.folder.join("wheels", wheels[0]!));
    const found = async (site: string) =>
      await bed.run(["-c", "import wqx.binary; print(wqx.binary.find_wqx())"], {
        command: [python],
        env: { PYTHONPATH: site, PATH: "/usr/bin:/bin", WQX_BINARY: "" },
      });
    assert.match(
      (await found(target)).stderr,
      /Cannot find the program wqx: put it on PATH, or name it/,
    );
    const direct = bed.folder.join("direct");
    await pip("install", "--target", direct, "--no-deps", "--no-build-isolation", copy);
    assert.equal((await found(direct)).stdout.trim(), program);
    const script = "import work_queue, ndcctools.work_queue as wq; assert work_queue is wq; " +
      "q = wq.WorkQueue(0); print(wq.__file__, q.port > 0); q._free()";
    const run = await bed.run(["-c", script], {
      command: [python],
      env: { ...env, PYTHONPATH: target },
    });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /site\/ndcctools\/work_queue\/__init__\.py True/);
  },
});
