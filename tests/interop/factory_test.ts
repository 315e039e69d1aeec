/** Factories and workers of cctools beside ours, on this machine, by name in a real catalog. */
import assert from "node:assert/strict";
import { startScript } from "../../core/shell_words.ts";
import { findPart, needsParts } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx, wqxFromSource } from "../support/wqx.ts";
import { portIn, resultsOf, startCatalogServer, startTaskList } from "./wqx_parts.ts";

/** A real catalog, and a manager in it with six tasks that run until the file `go` is there. */
async function startQueue(bed: TestBed, name: string) {
  const server = startCatalogServer(bed);
  const catalog = `127.0.0.1:${await portIn(bed, "catalog-port", server)}`;
  const command = `until [ -e ${bed.folder.join("go")} ]; do sleep 0.05; done; echo done`;
  const tasks = Array.from({ length: 6 }, () => ({ command, resources: { cores: 1 } }));
  const { manager } = await startTaskList(bed, tasks, "-M", name, "-C", catalog);
  return { server, catalog, manager };
}

/** Lets the tasks end, and then stops all. */
async function finish(
  bed: TestBed,
  { manager, server }: { readonly manager: Wqx; readonly server: Wqx },
  ...factories: readonly Wqx[]
): Promise<void> {
  await Deno.writeTextFile(bed.folder.join("go"), "");
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.deepEqual(resultsOf(manager).map(({ output }) => output), Array(6).fill("done\n"));
  for (const factory of factories) {
    factory.signal("SIGTERM");
    assert.equal(await factory.ended, 0, factory.stderr);
  }
  server.signal("SIGTERM");
  await server.ended;
  await bed.clean();
}

/** In all, since the manager began. */
async function joined(manager: Wqx, count: number, factory: Wqx): Promise<void> {
  await until(() => {
    if (!factory.running) assert.fail(factory.stdout + factory.stderr);
    return [...manager.stderr.matchAll(/^Worker w\d+ joined/gm)].length >= count;
  }, {
    what: `${count} workers`,
    timeoutMs: 90_000,
  });
}

Deno.test({
  ...needsParts(
    "wqx factory grows real workers for a wqx manager, by a configuration that changes",
    "catalog_server",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const queue = await startQueue(bed, "fac 1");
    await using _server = queue.server;
    const { manager, catalog } = queue;
    await using _manager = manager;
    const config = (maxWorkers: number) =>
      bed.folder.write(
        "factory.jx",
        `{"manager-name": "fac.1", "max-workers": ${maxWorkers}, "min-workers": 0, "cores": 1,
          "memory": cores * 300, "disk": 300, "timeout": 60}`,
      );
    await config(1);
    await using factory = bed.start([
      ...["factory", "-T", "local", "-C", "factory.jx", "--catalog", catalog],
      ...["--worker-binary", findPart("work_queue_worker")!, "--interval", "500ms"],
    ]);
    await factory.says(/the maximum is 1;.*: submit 1$/m);
    await joined(manager, 1, factory);
    await config(2);
    await joined(manager, 2, factory);
    await finish(bed, queue, factory);
    assert.doesNotMatch(manager.stderr, /wqx worker .* joined/);
  },
});

Deno.test({
  ...needsParts(
    "work_queue_factory grows wqx workers for a wqx manager",
    "catalog_server",
    "work_queue_factory",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const queue = await startQueue(bed, "fac 2");
    await using _server = queue.server;
    const { manager, catalog } = queue;
    await using _manager = manager;
    // As a real worker's: the factory knows nothing of what is in it.
    const binary = await bed.folder.write("our_worker", startScript([...wqxFromSource, "worker"]));
    await Deno.chmod(binary, 0o755);
    await using factory = bed.start([
      ...["-T", "local", "-M", "fac.2", "--catalog", catalog, "-w", "0", "-W", "2", "-t", "60"],
      ...["--cores", "1", "--memory", "300", "--disk", "300", "--worker-binary", binary],
      // Its shell is all that it kills; our worker follows its parent.
      ...["-S", bed.folder.join("scratch"), "-E", "--parent-death"],
    ], { command: ["work_queue_factory"] });
    await joined(manager, 2, factory);
    await finish(bed, queue, factory);
  },
});

Deno.test({
  ...needsParts(
    "wqx factory and work_queue_factory on one manager together bring what it needs",
    "catalog_server",
    "work_queue_factory",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const queue = await startQueue(bed, "fac 3");
    await using _server = queue.server;
    const { manager, catalog } = queue;
    await using _manager = manager;
    const size = ["--cores", "1", "--memory", "300", "--disk", "300", "-w", "0", "-t", "60"];
    await using theirs = bed.start([
      ...["-T", "local", "-M", "fac.3", "--catalog", catalog, "-W", "1", ...size],
      ...["-S", bed.folder.join("scratch"), "-E", "--parent-death"],
    ], { command: ["work_queue_factory"] });
    await theirs.says(/\|submitted: 0 \|needed: 1 .*\|requested: 1/, 90_000);
    await using ours = bed.start([
      ...["factory", "-T", "local", "-M", "fac.3", "--catalog", catalog, ...size],
      ...["--worker-binary", findPart("work_queue_worker")!, "--interval", "500ms"],
    ]);
    await ours.says(/: submit 5$/m);
    await joined(manager, 6, ours);
    await finish(bed, queue, ours, theirs);
  },
});
