/** Debian's `work_queue_status` on the port of a wqx manager. */
import assert from "node:assert/strict";
import { needsParts, startRealWorker } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";
import { resultsOf, startTaskList, startWqxWorker } from "./wqx_parts.ts";

/** What it prints, given these options. */
async function ask(bed: TestBed, port: number, ...options: string[]): Promise<string> {
  const asked = await bed.run([...options, "-t", "10", "127.0.0.1", String(port)], {
    command: ["work_queue_status"],
  });
  assert.equal(asked.code, 0, asked.stdout + asked.stderr);
  return asked.stdout;
}

/** Rows of a table, by their words; the first line is the head. */
function rowsOf(table: string): string[][] {
  return table.trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/));
}

Deno.test({
  ...needsParts(
    "work_queue_status shows a wqx manager, its tasks, workers and categories",
    "work_queue_status",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const go = bed.folder.join("go");
    const tasks = Array.from({ length: 6 }, (_, i) => ({
      name: `t${i}`,
      command: `until [ -e ${go} ]; do sleep 0.05; done; echo ${i}`,
      category: i % 2 === 0 ? "even" : "odd",
      priority: -i,
      resources: { cores: 1, memory: 200 },
    }));
    const { manager, port } = await startTaskList(bed, tasks);
    await using _manager = manager;
    await using ours = startWqxWorker(bed, port);
    await using real = startRealWorker(bed, port);
    await manager.says(/w2 joined/);
    const running = await until(async () => {
      const rows = rowsOf(await ask(bed, port, "-T"));
      return rows.filter(([, state]) => state?.toLowerCase() === "running").length === 4 && rows;
    }, { what: "four tasks that run" });

    assert.deepEqual(running.map(([id]) => id).toSorted(), ["1", "2", "3", "4", "5", "6"]);
    assert.deepEqual(running.map(([, state]) => state?.toLowerCase()).toSorted(), [
      ...["running", "running", "running", "running", "waiting", "waiting"],
    ]);
    const waiting = running.filter(([, state]) => state?.toLowerCase() === "waiting");
    assert.deepEqual(waiting.map(([id]) => id), ["5", "6"], "those of the lowest priority");

    const [queue] = rowsOf(await ask(bed, port, "-Q"));
    // PROJECT HOST PORT WAITING RUNNING COMPLETE WORKERS
    assert.deepEqual([queue?.[0], ...queue?.slice(2) ?? []], [
      "tasks",
      ...[String(port), "2", "4", "0", "2"],
    ]);

    const workers = rowsOf(await ask(bed, port, "-W"));
    assert.equal(workers.length, 2);
    // HOST ADDRESS COMPLETED RUNNING CORE_U CORE_A MEM_U MEM_A DISK_U DISK_A
    for (const [host, address, completed, count, coresUsed, cores, , memory] of workers) {
      assert.deepEqual([host, completed, count], [Deno.hostname(), "0", "2"]);
      assert.match(address!, /^127\.0\.0\.1:\d+$/);
      assert.deepEqual([coresUsed, cores, memory], ["2", "2", "1000"]);
    }

    const categories = rowsOf(await ask(bed, port, "-A")).map((row) => row.join(" "));
    assert.equal(
      categories.filter((row) => /^(even|odd) 2 1 2 /.test(row)).length,
      2,
      `${categories}`,
    );

    const [told] = JSON.parse(await ask(bed, port, "-Q", "-l"));
    assert.equal(told.type, "wq_master");
    assert.deepEqual([told.tasks_submitted, told.tasks_waiting, told.workers_connected], [6, 2, 2]);
    const details = JSON.parse(await ask(bed, port, "-T", "-l"));
    for (const task of details) {
      const { command, category } = tasks[task.taskid - 1]!;
      assert.deepEqual([task.command, task.category], [command, category]);
      if (task.state.toLowerCase() !== "running") continue;
      const agoS = (task.current_time - task.time_when_commit_start) / 1e6;
      assert.ok(agoS > 0 && agoS < 60, `sent ${agoS} s ago`);
    }

    await Deno.writeTextFile(go, "");
    assert.equal(await manager.ended, 0, manager.stderr);
    assert.equal(resultsOf(manager).length, 6);
    assert.deepEqual([await ours.ended, await real.ended], [0, 0]);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a real worker that stops in the middle of a transfer delays neither others nor a status answer",
    "work_queue_status",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    // Holes take no space, but have to travel; more than all buffers on the way can take.
    const bytes = 300 * 1024 ** 2;
    await bed.folder.write("large", "");
    await Deno.truncate(bed.folder.join("large"), bytes);
    const { manager, port } = await startTaskList(bed, [
      { name: "large", command: "wc -c < large", inputs: ["large"], features: ["stalls"] },
      ...Array.from({ length: 50 }, (_, i) => ({ name: `t${i}`, command: `echo ${i}` })),
    ]);
    await using _manager = manager;
    await using real = startRealWorker(bed, port, { args: ["--feature", "stalls"] });
    await manager.says(/w1 joined/);
    real.signal("SIGSTOP");
    try {
      await using ours = startWqxWorker(bed, port);
      const done = await until(() => {
        const names = resultsOf(manager).map(({ name }) => name);
        return names.length >= 40 && names;
      }, { what: "the results of the other worker" });
      assert.ok(!done.includes("large"));
      const [queue] = rowsOf(await ask(bed, port, "-Q"));
      assert.equal(queue?.at(-1), "2", "both workers are shown");
      assert.equal(manager.running, true);
      real.signal("SIGCONT");
      assert.equal(await manager.ended, 0, manager.stderr);
      const large = resultsOf(manager).find(({ name }) => name === "large")!;
      assert.deepEqual([large.state, large.output, large.attempts], ["success", `${bytes}\n`, 1]);
      await ours.ended;
    } finally {
      if (real.running) real.signal("SIGCONT");
    }
    await real.ended;
    await bed.clean();
  },
});
