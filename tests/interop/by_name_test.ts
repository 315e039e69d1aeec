/**
 * Managers and workers that find one another by name, in a catalog of cctools and in ours: all
 * combinations of ours and theirs.
 */
import assert from "node:assert/strict";
import { needsParts, type Part } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { expectedTotal, writeWorkflow } from "./workflow.ts";
import { portIn, resultsOf, startCatalogServer, startTaskList } from "./wqx_parts.ts";

interface Kind {
  readonly whose: string;
  readonly part: readonly Part[];
  start(bed: TestBed): Wqx;
}

/** On a free port, which it writes to the file `catalog-port`; it tells nobody of itself. */
const catalogs: readonly Kind[] = [
  {
    whose: "cctools'",
    part: ["catalog_server"],
    start: startCatalogServer,
  },
  {
    whose: "ours",
    part: [],
    start: (bed) =>
      bed.start(["catalog", "-Z", "catalog-port", "-H", "history", "-I", "127.0.0.1"]),
  },
];

/** Rows of the table of managers: project, host, port, waiting, running, complete, workers. */
async function statusRows(bed: TestBed, catalog: string): Promise<string[][]> {
  const asked = await bed.run(["-C", catalog, "-t", "10"], { command: ["work_queue_status"] });
  assert.equal(asked.code, 0, asked.stdout + asked.stderr);
  return asked.stdout.trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/));
}

const size = ["--cores", "1", "--memory", "500", "--disk", "500", "-t", "60"];

for (const { whose, part, start } of catalogs) {
  Deno.test({
    ...needsParts(
      `a wqx manager with a name and a password is found by real parts and ours (catalog: ${whose})`,
      ...part,
      "work_queue_worker",
      "work_queue_status",
    ),
    async fn() {
      await using bed = await TestBed.create();
      await using server = start(bed);
      const catalog = `127.0.0.1:${await portIn(bed, "catalog-port", server)}`;
      const password = await bed.folder.write("password", "open sesame\n");
      await Deno.chmod(password, 0o600);
      const go = bed.folder.join("go");
      const command = `until [ -e ${go} ]; do sleep 0.05; done; echo done`;
      const tasks = Array.from({ length: 2 }, () => ({ command, resources: { cores: 1 } }));
      const named = ["-M", "ana 1", "-C", catalog, "--password", password, "-Z", "manager-port"];
      const { manager, port } = await startTaskList(bed, tasks, ...named);
      await using _manager = manager;
      assert.equal(await portIn(bed, "manager-port", manager), port);
      const found = ["-C", catalog, "--password", password, ...size];
      await using ours = bed.start(["worker", "-M", "ana.*", "--single-shot", ...found]);
      await using real = bed.start(["-M", "ana.*", "--single-shot", ...found], {
        command: ["work_queue_worker"],
      });
      // A project name with a blank is two words here.
      const row = ["ana", "1", "localhost", String(port), "0", "2", "0", "2"];
      await until(async () => `${await statusRows(bed, catalog)}` === `${row}`, {
        what: "the manager with two workers in the status",
        timeoutMs: 30_000,
      });
      await Deno.writeTextFile(go, "");
      assert.equal(await manager.ended, 0, manager.stderr);
      const results = resultsOf(manager);
      assert.deepEqual(results.map(({ output }) => output), ["done\n", "done\n"]);
      assert.equal(new Set(results.map(({ worker }) => worker)).size, 2, "each had one");
      assert.deepEqual([await ours.ended, await real.ended], [0, 0], ours.stderr + real.stderr);
      await until(async () => (await statusRows(bed, catalog)).length === 0, {
        what: "a status without the manager that ended",
      });
      server.signal("SIGTERM");
      await server.ended;
      await bed.clean();
    },
  });

  Deno.test({
    ...needsParts(
      `a wqx worker finds Makeflow by its name, with its password (catalog: ${whose})`,
      ...part,
      "makeflow",
      "mpirun",
    ),
    async fn() {
      await using bed = await TestBed.create();
      await using server = start(bed);
      const catalog = `127.0.0.1:${await portIn(bed, "catalog-port", server)}`;
      const password = await bed.folder.write("password", "open sesame\n");
      await Deno.chmod(password, 0o600);
      await writeWorkflow(bed.folder);
      // Open MPI, which Debian's makeflow starts with, leaves a folder there.
      const scratch = bed.folder.join("makeflow-scratch");
      await Deno.mkdir(scratch);
      const root = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
      await using makeflow = bed.start(
        [
          ...["-T", "wq", "-Z", "port", "-N", "flow", "-C", catalog, "--password", password],
          "work.makeflow",
        ],
        { command: ["makeflow"], env: { ...root, TMPDIR: scratch } },
      );
      const port = await portIn(bed, "port", makeflow);
      await using worker = bed.start([
        ...["worker", "-M", "flow|other", "-C", catalog, "--password", password],
        ...["--single-shot", "--cores", "2", "--memory", "1000", "--disk", "1000"],
      ]);
      assert.equal(await makeflow.ended, 0, makeflow.stdout + makeflow.stderr);
      assert.equal(await worker.ended, 0, worker.stderr);
      assert.match(worker.stderr, new RegExp(`^Connected to "flow" at localhost:${port}: `, "m"));
      assert.equal(await Deno.readTextFile(bed.folder.join("total")), `${expectedTotal}\n`);
      server.signal("SIGTERM");
      await server.ended;
      await bed.clean();
    },
  });
}
