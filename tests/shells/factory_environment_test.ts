/** `--python-package`: workers of a factory that run in a packed environment. */
import assert from "node:assert/strict";
import { packEnvironment } from "../support/environment.ts";
import { TestBed } from "../support/wqx.ts";
import { resultsOf, startTaskList } from "../interop/wqx_parts.ts";

Deno.test("workers on this machine share an environment, and so do their tasks", async () => {
  await using bed = await TestBed.create();
  const archive = await packEnvironment(bed.folder, "env.tar.gz", {
    unpack: `echo unpacked >>${bed.folder.join("unpacked")}`,
  });
  const tasks = Array.from({ length: 6 }, () => ({
    command: 'hello; echo "$CONDA_PREFIX"; sleep .3',
    resources: { cores: 1 },
  }));
  const { manager, port } = await startTaskList(bed, tasks);
  await using _manager = manager;
  await using factory = bed.start([
    ...["factory", "-T", "local", "127.0.0.1", String(port), "-w", "2", "--interval", "300ms"],
    ...["--cores", "1", "--memory", "200", "--disk", "100"],
    ...["--python-package", archive, "-S", bed.folder.join("s")],
  ]);
  assert.equal(await manager.ended, 0, manager.stderr + factory.stderr);
  factory.signal("SIGTERM");
  assert.equal(await factory.ended, 0, factory.stderr);
  for (const { output } of resultsOf(manager)) {
    assert.match(output ?? "", /^hello from env-[0-9a-f]{12}\.tar\.gz-env: \n\/.*\/s\/.*-env\n$/);
  }
  assert.equal(await Deno.readTextFile(bed.folder.join("unpacked")), "unpacked\n");
  await bed.clean();
});
