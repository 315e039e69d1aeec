/** Packed environments of tasks on real workers, and of real managers' tasks on ours. */
import assert from "node:assert/strict";
import { needsParts, startRealWorker } from "../support/cctools.ts";
import { packEnvironment, wrapperScript } from "../support/environment.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";
import { resultsOf, startTaskList, startWqxWorker } from "./wqx_parts.ts";

const one = { cores: 1 };

Deno.test({
  ...needsParts(
    "a real worker and one of wqx run the same tasks in the same environment",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await packEnvironment(bed.folder, "env.tar.gz");
    const tasks = Array.from({ length: 40 }, (_, i) => ({
      command: `hello ${i} | sed 's/hello from [^:]*://' > out`,
      environment: "env.tar.gz",
      outputs: [{ file: `outs/${i}`, remote_name: "out" }],
      resources: one,
    }));
    const { manager, port } = await startTaskList(bed, tasks);
    await using _manager = manager;
    await using real = startRealWorker(bed, port);
    await manager.says(/w1 joined/);
    await until(() => resultsOf(manager).length > 0, { what: "a result of the real worker" });
    await using ours = startWqxWorker(bed, port);
    assert.equal(await manager.ended, 0, manager.stderr + manager.stdout);
    for (let i = 0; i < tasks.length; i++) {
      assert.equal(await Deno.readTextFile(bed.folder.join(`outs/${i}`)), ` ${i}\n`);
    }
    const workers = new Set(resultsOf(manager).map(({ worker }) => worker));
    assert.equal(workers.size, 2, "both had their share");
    assert.deepEqual([await ours.ended, await real.ended], [0, 0], ours.stderr + real.stderr);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "tasks of a real manager that name an environment run in it on our worker",
    "makeflow",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await packEnvironment(bed.folder, "env.tar.gz");
    await Deno.chmod(await bed.folder.write("poncho_package_run", wrapperScript), 0o755);
    const rules = Array.from({ length: 10 }, (_, i) =>
      `out.${i}: poncho_package_run env.tar.gz
\t./poncho_package_run -e env.tar.gz hello ${i} >out.${i}
`);
    await bed.folder.write("rules", rules.join("\n"));
    await using manager = bed.start(
      ["-T", "wq", "-p", "0", "-Z", "port", "rules"],
      { command: ["makeflow"] },
    );
    const port = await until(async () => {
      if (!manager.running) assert.fail(manager.stdout + manager.stderr);
      return Number(await Deno.readTextFile(bed.folder.join("port")).catch(() => "")) || null;
    }, { what: "the port of makeflow", timeoutMs: 20_000 });
    await using worker = startWqxWorker(bed, port);
    assert.equal(await manager.ended, 0, manager.stdout + manager.stderr);
    await worker.ended;
    for (let i = 0; i < 10; i++) {
      const said = await Deno.readTextFile(bed.folder.join(`out.${i}`));
      assert.match(said, new RegExp(`^hello from [0-9a-f]+: ${i}\n$`));
    }
    assert.equal(worker.stderr.match(/^Unpacked the environment env\.tar\.gz \(/gm)?.length, 1);
  },
});
