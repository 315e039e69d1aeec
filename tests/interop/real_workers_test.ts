/** wqx managers and real workers, which are Debian's and speak protocol 9. */
import assert from "node:assert/strict";
import type { ResultLine } from "../../core/tasklist/result.ts";
import {
  needsParts,
  realProtocol,
  startRealWorker,
  sweepAfterRealWorker,
} from "../support/cctools.ts";
import { HttpFiles } from "../support/http_files.ts";
import { Recorder } from "../support/recorder.ts";
import { until } from "../support/until.ts";
import { demo, readJson, TestBed, wqxFromSource } from "../support/wqx.ts";
import { resultsOf, startTaskList, startWqxWorker } from "./wqx_parts.ts";

const taskCount = 500;

/** Tasks with a shared input, one of their own, and an output each; every hundredth fails. */
async function writeTasks(bed: TestBed): Promise<Record<string, unknown>[]> {
  const squares = Array.from({ length: taskCount }, (_, i) => `${i * i}\n`);
  await bed.folder.write("squares", squares.join(""));
  return Array.from({ length: taskCount }, (_, i) => ({
    name: `t${i}`,
    command: 'sed -n "$(cat line)p" squares > out; test $(cat line) -lt $LIMIT || exit 7',
    inputs: [
      { file: "squares", cache: true },
      { buffer: String(i + 1), remote_name: "line" },
    ],
    outputs: [{ file: `squared/${i}`, remote_name: "out", when: "always" }],
    env: { LIMIT: i % 100 === 99 ? "0" : "1000" },
    resources: { cores: 1 },
  }));
}

async function assertAllDone(bed: TestBed, results: ReturnType<typeof resultsOf>): Promise<void> {
  assert.equal(results.length, taskCount);
  assert.equal(new Set(results.map(({ id }) => id)).size, taskCount);
  const failed = results.filter(({ state }) => state !== "success");
  assert.deepEqual(failed.map(({ name }) => name).sort(), ["t199", "t299", "t399", "t499", "t99"]);
  for (const { exit_code, why } of failed) assert.ok(exit_code === 7 && why !== null, `${why}`);
  for (let i = 0; i < taskCount; i++) {
    assert.equal(await Deno.readTextFile(bed.folder.join(`squared/${i}`)), `${i * i}\n`);
  }
}

/** How many of the results each worker sent; not monitored, ours alone measures. */
function sharesOf(results: ReturnType<typeof resultsOf>): { ours: number; real: number } {
  const ours = results.filter(({ measured }) => measured !== null).length;
  return { ours, real: results.length - ours };
}

Deno.test({
  ...needsParts(
    `a real worker and one of wqx run a list of ${taskCount} tasks together, with a password`,
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const password = await bed.folder.write("password", "open sesame\n");
    const { manager, port } = await startTaskList(
      bed,
      await writeTasks(bed),
      ...["--password", password],
    );
    await using _manager = manager;
    await using ours = startWqxWorker(bed, port, "--password", password);
    await using real = startRealWorker(bed, port, { passwordFile: password });
    assert.equal(await manager.ended, 1, manager.stderr);
    await assertAllDone(bed, resultsOf(manager));
    const shares = sharesOf(resultsOf(manager));
    assert.ok(shares.ours > 50 && shares.real > 50, JSON.stringify(shares));
    assert.deepEqual([await ours.ended, await real.ended], [0, 0], ours.stderr + real.stderr);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    `a list of ${taskCount} tasks survives the SIGKILL of its real worker half-way`,
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const { manager, port } = await startTaskList(bed, await writeTasks(bed));
    await using _manager = manager;
    await using real = startRealWorker(bed, port);
    await manager.says(/w1 joined/);
    await using _ours = startWqxWorker(bed, port);
    await until(() => resultsOf(manager).length >= taskCount / 2, { what: "half of the results" });
    real.signal("SIGKILL");
    await real.ended;
    assert.equal(await manager.ended, 1, manager.stderr);
    await assertAllDone(bed, resultsOf(manager));
    const shares = sharesOf(resultsOf(manager));
    assert.ok(shares.real > 50, `the real worker had its share: ${JSON.stringify(shares)}`);
    assert.match(manager.stderr, /w1 was lost/);
    await sweepAfterRealWorker(bed);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts("a manager refuses a real worker with another password", "work_queue_worker"),
  async fn() {
    await using bed = await TestBed.create();
    const right = await bed.folder.write("right", "secret\n");
    const wrong = await bed.folder.write("wrong", "guess\n");
    const tasks = [{ name: "guarded", command: "echo inside" }];
    const { manager, port } = await startTaskList(bed, tasks, "--password", right);
    await using _manager = manager;
    for (
      const [options, says] of [
        [{ passwordFile: wrong }, /wrong password/],
        [{}, /requires a password/],
      ] as const
    ) {
      // It would try again for a minute, or rest for some seconds.
      await using stranger = startRealWorker(bed, port, options);
      await stranger.says(says);
    }
    await sweepAfterRealWorker(bed);
    assert.doesNotMatch(manager.stderr, /joined/);
    assert.match(manager.stderr, /presented the wrong password/);
    assert.match(manager.stderr, /without authenticating/);
    await using worker = startRealWorker(bed, port, { passwordFile: right });
    assert.equal(await manager.ended, 0, manager.stderr);
    assert.deepEqual(resultsOf(manager).map(({ output }) => output), ["inside\n"]);
    assert.equal(await worker.ended, 0, worker.stderr);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts("a real worker gets and gives files of every kind", "work_queue_worker"),
  async fn() {
    await using bed = await TestBed.create();
    const { folder } = bed;
    await folder.write("served/page", "from the net\n");
    await using http = new HttpFiles(folder.join("served"));
    await folder.write("in.txt", "one\n");
    await folder.write("with space & ü.txt", "odd\n");
    await Deno.chmod(await folder.write("run.sh", "#!/bin/sh\necho ran $1\n"), 0o755);
    await folder.write("tree/a", "x");
    await folder.write("tree/sub/b", "y");
    await Deno.mkdir(folder.join("tree/empty"));
    await Deno.symlink("a", folder.join("tree/link"));
    const { manager, port } = await startTaskList(bed, [
      {
        name: "files",
        command: "cat buffer in.txt odd page; ./run.sh well; ls -d e; echo back > out",
        inputs: [
          { buffer: "buffered ", remote_name: "buffer" },
          { file: "in.txt", cache: true },
          { file: "with space & ü.txt", remote_name: "odd" },
          { url: http.url("page"), remote_name: "page" },
          { file: "run.sh" },
          { empty_dir: "e" },
        ],
        outputs: [{ file: "back.txt", remote_name: "out" }],
      },
      {
        name: "tree",
        command: "find t | sort; cat t/link; cp -r t o",
        inputs: [{ dir: "tree", remote_name: "t", cache: true }],
        outputs: [{ dir: "tree-back", remote_name: "o" }],
      },
      {
        name: "again",
        after: "tree",
        command: "cat t/sub/b in.txt",
        inputs: [{ dir: "tree", remote_name: "t", cache: true }, { file: "in.txt", cache: true }],
      },
      {
        name: "environment",
        command: 'echo "$OWN $CORES $MEMORY"',
        env: { OWN: "a b" },
        resources: { cores: 1, memory: "100MB" },
      },
      { name: "exit", command: "echo to stdout; echo to stderr >&2; exit 3" },
      { name: "missing", command: "true", outputs: ["nothing"] },
      {
        name: "on failure",
        command: "echo f > f; echo s > s; exit 1",
        outputs: [{ file: "f", when: "failure" }, { file: "s", when: "success" }],
      },
      { name: "large", command: "head -c 900000 /dev/zero | tr '\\0' x" },
      { name: "timely", command: "sleep 2; echo in time", wall_time: "100s" },
      // Real workers kill the shell and nothing that it started.
      { name: "late", command: "exec sleep 600", wall_time: "1s" },
      { name: "featured", command: "echo featured", features: ["special/feature"] },
    ]);
    await using _manager = manager;
    await using recorder = Recorder.before(port);
    await using real = startRealWorker(bed, recorder.port, {
      args: ["--feature", "special/feature"],
    });
    assert.equal(await manager.ended, 1, manager.stderr);
    assert.equal(await real.ended, 0, real.stderr);

    const results = new Map(resultsOf(manager).map((result) => [result.name, result]));
    const outcome = (name: string) => {
      const { state, exit_code, output } = results.get(name)!;
      return [state, exit_code, output];
    };
    const told = recorder.transcript();
    assert.ok(recorder.lines("W", 0)[0]!.startsWith(`workqueue ${realProtocol} `));
    assert.deepEqual(outcome("files"), [
      "success",
      0,
      "buffered one\nodd\nfrom the net\nran well\ne\n",
    ], told);
    assert.equal(await Deno.readTextFile(folder.join("back.txt")), "back\n");
    const listed = ["t", "t/a", "t/empty", "t/link", "t/sub", "t/sub/b"].map((name) => `${name}\n`);
    assert.deepEqual(outcome("tree"), ["success", 0, `${listed.join("")}x`], told);
    assert.equal(await Deno.readTextFile(folder.join("tree-back/sub/b")), "y");
    assert.equal(await Deno.readTextFile(folder.join("tree-back/link")), "x", "links are followed");
    assert.ok((await Deno.stat(folder.join("tree-back/empty"))).isDirectory);
    assert.deepEqual(outcome("again"), ["success", 0, "yone\n"]);
    assert.equal(told.match(/^M put .*in\.txt/gm)?.length, 1, "it was cached");
    // What it declares, or its share of the worker while nothing has been measured.
    assert.match(results.get("environment")!.output, /^a b 1 (100|500)\n$/);
    assert.deepEqual(outcome("exit"), ["failure", 3, "to stdout\nto stderr\n"]);
    assert.equal(outcome("missing")[0], "failure");
    assert.match(results.get("missing")!.why!, /nothing/);
    assert.equal(outcome("on failure")[0], "failure");
    assert.equal(await Deno.readTextFile(folder.join("f")), "f\n");
    assert.throws(() => Deno.statSync(folder.join("s")), Deno.errors.NotFound);
    assert.deepEqual(outcome("large"), ["success", 0, "x".repeat(900_000)]);
    assert.deepEqual(outcome("timely"), ["success", 0, "in time\n"], "a real worker counts µs");
    assert.equal(outcome("late")[0], "failure");
    assert.deepEqual(outcome("featured"), ["success", 0, "featured\n"]);
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a task whose line would not fit fails alone on a real worker",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const { manager, port } = await startTaskList(bed, [
      {
        name: "too long",
        command: "true",
        inputs: [{ buffer: "", remote_name: "n".repeat(5000) }],
      },
      { name: "well", command: "echo well" },
    ]);
    await using _manager = manager;
    await using _real = startRealWorker(bed, port);
    assert.equal(await manager.ended, 1, manager.stderr);
    const states = Object.fromEntries(resultsOf(manager).map(({ name, state }) => [name, state]));
    assert.equal(states.well, "success");
    assert.notEqual(states["too long"], "success");
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "a watched file grows here while its task runs on a real worker",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const go = bed.folder.join("go");
    const { manager, port } = await startTaskList(bed, [{
      command: `echo first > log; until [ -e ${go} ]; do sleep 0.05; done; echo second >> log`,
      outputs: [{ file: "log", watch: true }],
    }]);
    await using _manager = manager;
    await using _real = startRealWorker(bed, port);
    const log = () => Deno.readTextFile(bed.folder.join("log")).catch(() => "");
    await until(async () => await log() === "first\n", { what: "the first line of the log" });
    await Deno.writeTextFile(go, "");
    assert.equal(await manager.ended, 0, manager.stderr);
    assert.equal(await log(), "first\nsecond\n");
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "the demo on a real worker and one of wqx gives the same result as on our own workers",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const analysis = ["manager", `${demo}/analysis.yaml`, "--chunksize", "5000"];
    const alone = await bed.run([...analysis, "--output", "alone"]);
    assert.equal(alone.code, 0, alone.stderr);
    await using manager = bed.start([
      ...[...analysis, "--output", "together", "--workers", "none", "--monitor", "watchdog"],
    ]);
    const [, port] = await manager.says(/Listening on port (\d+)/);
    await using real = startRealWorker(bed, Number(port));
    await manager.says(/w1 joined/);
    await using ours = startWqxWorker(bed, Number(port));
    assert.equal(await manager.ended, 0, manager.stderr);
    assert.deepEqual([await ours.ended, await real.ended], [0, 0], ours.stderr + real.stderr);
    const result = (name: string) => Deno.readTextFile(bed.folder.join(`${name}/result.json`));
    assert.equal(await result("together"), await result("alone"));
    const report = await readJson(bed.folder.join("together/report.json"));
    // What was found in the files before, no task looked for again.
    const tasks = report.tasks.filter(({ attempts }: { attempts: unknown[] }) =>
      attempts.length > 0
    );
    const workers = tasks.map((task: { attempts: { worker: string }[] }) =>
      task.attempts.at(-1)!.worker
    );
    for (const worker of ["w1", "w2"]) assert.ok(workers.includes(worker), `${worker} had no task`);
    for (const { attempts } of tasks) {
      const { worker, memoryMb, cpuMs } = attempts.at(-1);
      assert.ok(memoryMb > 40 && cpuMs > 10, `${worker}: ${memoryMb} MB, ${cpuMs} ms`);
    }
    await bed.clean();
  },
});

/** `tail` holds so many MB until its input ends. */
const holding = (mb: number) => `(head -c ${mb}M /dev/zero; sleep 0.5) | tail -c ${mb}M >/dev/null`;

Deno.test({
  ...needsParts(
    "tasks are monitored on a real worker by the wqx that it is sent",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    const { manager, port } = await startTaskList(
      bed,
      [
        {
          name: "measured",
          command: `${holding(100)}; echo "it's done" > "o t"`,
          outputs: ["o t"],
        },
        // Ended by the system after a second of CPU time, however long that takes.
        {
          name: "busy",
          command: "sh -c 'ulimit -t 1; while :; do :; done'; exit 7",
          retries: 0,
        },
        { name: "killed", command: "kill -SEGV $$", retries: 0 },
        // It would fit if it could have more, and may not.
        { name: "held", category: "held", command: holding(300), resources: { memory: "150MB" } },
        // It may, and the category of its own begins with a share of the worker.
        { name: "climbs", category: "climbs", command: holding(600) },
        { name: "late", command: "sleep 600; true", wall_time: "1s", retries: 0 },
      ],
      "--monitor",
      "watchdog",
    );
    await using _manager = manager;
    await using recorder = Recorder.before(port);
    await using real = startRealWorker(bed, recorder.port);
    assert.equal(await manager.ended, 1, manager.stderr);
    assert.equal(await real.ended, 0, real.stderr);
    const results = new Map(resultsOf(manager).map((result) => [result.name, result]));
    const of = (name: string) => results.get(name)!;

    assert.equal(of("measured").state, "success", of("measured").why ?? "");
    assert.equal(await Deno.readTextFile(bed.folder.join("o t")), "it's done\n");
    const { memory, disk, total_processes } = of("measured").measured!;
    assert.ok(memory! > 100 && memory! < 125, `${memory} MB`);
    assert.ok(disk! <= 1 && total_processes! >= 2, `${disk} MB, ${total_processes} processes`);

    assert.deepEqual([of("busy").state, of("busy").exit_code], ["failure", 7]);
    const cpu = of("busy").measured!["cpu_time"]!;
    assert.ok(cpu > 0.9 && cpu < 1.3, `${cpu} s`);
    assert.equal(of("killed").exit_code, 128 + 11);

    assert.match(of("held").why!, /^it needs more than 150 MB memory, its limit \(it had \d+ MB/);
    assert.match(of("held").output, /Killed for memory/);
    assert.ok(of("held").wall_time! < 0.5, "it was ended");
    assert.equal(of("climbs").state, "success", of("climbs").why ?? "");
    assert.ok(of("climbs").attempts > 1 && of("climbs").measured!["memory"]! > 600);

    assert.equal(of("late").why, "it ran longer than its wall time");
    assert.equal(recorder.transcript().match(/^M put wqx /gm)?.length, 1, "it was cached");
    await bed.clean();
  },
});

Deno.test({
  ...needsParts(
    "tasks of a real worker on which wqx cannot run fail, and say so",
    "work_queue_worker",
  ),
  async fn() {
    await using bed = await TestBed.create();
    // Gone once the manager runs, so that what it sends along cannot start.
    const deno = bed.folder.join("deno");
    await Deno.copyFile(Deno.execPath(), deno);
    await bed.folder.write("tasks.jsonl", '{"command": "true", "retries": 1}\n');
    const main = wqxFromSource.slice(1);
    await using manager = bed.start(
      [
        ...["manager", "tasks.jsonl", "--workers", "none", "--port", "0", "--output", "run"],
        ...["--monitor", "measure"],
      ],
      { command: [deno, ...main] },
    );
    const [, port] = await manager.says(/Listening on port (\d+)/);
    await Deno.remove(deno);
    await using real = startRealWorker(bed, Number(port));
    assert.equal(await manager.ended, 1, manager.stderr);
    assert.equal(await real.ended, 0, real.stderr);
    const [{ attempts, exit_code, why }] = resultsOf(manager) as [ResultLine];
    assert.deepEqual([attempts, exit_code], [2, null]);
    assert.match(
      why!,
      /^wqx, which was sent along .* cannot be started on this worker \(exit code 127/,
    );
    await bed.clean();
  },
});
