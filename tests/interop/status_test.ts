/** Debian's `work_queue_status` on the port of a wqx manager, and what wqx prints beside it. */
import assert from "node:assert/strict";
import { runCommandLine } from "../../cmd/commands.ts";
import { programNamed } from "../../cmd/names.ts";
import {
  Driver,
  needsParts,
  realProtocol,
  startRealWorker,
  sweepAfterRealWorker,
} from "../support/cctools.ts";
import { AnsweringManager, startCatalog } from "../support/status_peers.ts";
import { recordingTerminal } from "../support/terminal.ts";
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

/** Tables of records that have little in common with one another. */
const records = {
  queue_status:
    `[{"type":"wq_master","project":"a-project-with-a-name-that-is-far-too-long-to-fit",` +
    `"port":9123,"tasks_waiting":123456789,"tasks_running":0,"tasks_complete":1.5,"workers":12,` +
    `"capacity_tasks":10,"capacity_cores":20,"capacity_memory":5120,"capacity_disk":10240}]`,
  task_status: `[{"taskid":1,"state":"RUNNING","priority":"0","host":"node7.cluster.example.org",` +
    `"command":"./fit --dataset 'Z to mu mu' --long option --longer option --even-longer option",` +
    `"cores":1,"memory":200,"disk":-1,"gpus":0},` +
    `{"taskid":123456,"state":"WAITING_RETRIEVAL","priority":"-1.5","command":"true",` +
    `"cores":0.25,"memory":null,"disk":true,"gpus":[1,"a"]}]`,
  worker_status:
    `[{"hostname":"node7","address_port":"192.0.2.17:41234","total_tasks_complete":7,` +
    `"total_tasks_running":2,"cores_inuse":2,"cores_total":64,"memory_inuse":1000,` +
    `"memory_total":1000000,"disk_inuse":12345678,"disk_total":123456789,"gpus_inuse":0,` +
    `"gpus_total":8},{"hostname":"a-host-with-a-long-name"}]`,
  wable_status: `[{"category":"fit","tasks_on_workers":3,"tasks_waiting":100,"workers_able":2,` +
    `"max_cores":"4.000","max_memory":"~700","max_disk":"na"},{"category":"merge"}]`,
  resources_status: `[{"project":"demo","cores_total":64,"cores_inuse":3,"memory_total":131072,` +
    `"memory_inuse":1000,"gpus_total":4},{"project":"other","memory_total":500}]`,
};

/** Of a manager, a foreman of it, one of that, and one that serves nobody. */
const catalogRecords = [
  `{"name":"localhost","lastheardfrom":1795000000,"address":"127.0.0.1","type":"wq_master",` +
  `"project":"alpha","port":9000,"tasks_waiting":1,"tasks_running":2,"tasks_complete":3,` +
  `"workers":4,"my_manager":"127.0.0.1:-1","cores_total":12,"cores_inuse":3,"memory_total":20000,` +
  `"memory_inuse":700,"capacity_tasks":10,"capacity_cores":20}`,
  `{"name":"localhost","address":"127.0.0.1","type":"wq_manager","project":"beta","port":9001,` +
  `"my_manager":"127.0.0.1:9000","workers":1}`,
  `{"name":"localhost","address":"127.0.0.1","type":"wq_master","project":"gamma","port":9002,` +
  `"my_manager":"127.0.0.1:9001","workers":1}`,
  `{"name":"localhost","address":"127.0.0.1","type":"wq_master","project":"delta","port":9003}`,
];

const widths = [10, 30, 60, 79, 80, 81, 100, 133, 200];

async function output(bed: TestBed, command: readonly string[], args: string[], columns: number) {
  const env = { COLUMNS: String(columns) };
  const { code, stdout, stderr } = await bed.run(args, { command, env });
  assert.equal(code, 0, `${command} ${args}: ${stderr}`);
  return stdout;
}

Deno.test({
  ...needsParts(
    "work_queue_status of wqx prints what the real one prints, byte for byte, at any width",
    "work_queue_status",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await using manager = new AnsweringManager(records);
    await using catalog = startCatalog(catalogRecords);
    const direct = ["127.0.0.1", String(manager.port)];
    const fromCatalog = ["-C", `127.0.0.1:${catalog.port}`];
    const questions = [
      ...["-Q", "-T", "-W", "-A", "-R"].map((option) => [option, ...direct]),
      ...["-T", "-W", "-R"].map((option) => [option, "-l", ...direct]),
      ...[[], ["-R"], ["--capacity"], ["-l"], ["-M", "alpha"], ["-M", "alph"]].map((options) => [
        ...options,
        ...fromCatalog,
      ]),
      ["--where", "port>9001", ...fromCatalog],
    ];
    const ours: string[] = [];
    for (const question of questions) {
      for (const columns of question.includes("-l") ? [80] : widths) {
        const real = await output(bed, ["work_queue_status"], question, columns);
        ours.push(await ownOutput(question, columns));
        const what = `${question.join(" ")} at ${columns} columns`;
        assert.equal(comparable(ours.at(-1)!, question), comparable(real, question), what);
      }
    }
    assert.ok(ours.every((text) => text !== ""), "each of them prints something");
    await bed.clean();
  },
});

/**
 * Work Queue of before 7.5 ends the table of resources with disk, which was gpus since, and writes
 * quotes as no JSON reader takes them.
 */
function comparable(text: string, question: readonly string[]): string {
  if (realProtocol >= 11) return text;
  if (question.includes("-l")) return text.replaceAll("\\'", "'");
  return question.includes("-R") ? text.replace(/.{20}$/gm, "") : text;
}

/** In this process: it is the same, and a hundred starts of it would take minutes. */
async function ownOutput(args: readonly string[], columns: number): Promise<string> {
  const before = Deno.env.get("COLUMNS");
  Deno.env.set("COLUMNS", String(columns));
  try {
    const terminal = recordingTerminal();
    const code = await programNamed("work_queue_status")!.run(args, terminal);
    assert.equal(code, 0, terminal.err());
    return terminal.out();
  } finally {
    if (before === undefined) Deno.env.delete("COLUMNS");
    else Deno.env.set("COLUMNS", before);
  }
}

Deno.test({
  ...needsParts(
    "the tasks and workers of a real manager are shown and explained, though it explains nothing",
    "libwork_queue",
    "gcc",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const go = bed.folder.join("go");
    const task = (tag: string, cores: number) => [
      ["task", tag, `until [ -e ${go} ]; do sleep 0.05; done`],
      ["cores", cores],
      ["memory", 100],
      ["disk", 100],
      ["submit"],
    ];
    await using driver = await Driver.start(bed, [
      ...task("a", 2),
      ...task("b", 2),
      ...task("c", 8),
      ["until", go],
    ]);
    await using real = startRealWorker(bed, driver.port);
    const at = ["127.0.0.1", String(driver.port)];
    const ask = async (...args: string[]) => {
      const terminal = recordingTerminal();
      assert.equal(await runCommandLine(args, terminal), 0);
      return terminal.out().replaceAll(/\s+/g, " ");
    };
    await until(async () => / RUNNING /i.test(await ask("status", "-T", ...at)), {
      what: "a task that runs",
    });
    assert.match(
      await ask("explain", "3", ...at),
      /^Task 3 .* waits: it needs 8 cores.* too small/,
    );
    assert.match(await ask("explain", ...at), /^2 tasks wait, 1 runs?, 0 are done\./);
    assert.match(await ask("status", "--once", ...at), /Workers \(1\) host .* 2\/2 /);
    await Deno.writeTextFile(go, "");
    await driver.finish();
    real.signal("SIGTERM");
    await real.ended;
    await sweepAfterRealWorker(bed);
    await bed.clean();
  },
});
