/** Task lists on real processes: what is run, what is told, and that nothing is left behind. */
import assert from "node:assert/strict";
import { HttpFiles } from "../support/http_files.ts";
import { until } from "../support/until.ts";
import { readJson, TestBed, type Wqx, wqxFromSource } from "../support/wqx.ts";
import type { ResultLine } from "../../core/tasklist/result.ts";

/** The results on stdout, in the order of the list. */
function resultsOf({ stdout, stderr }: Wqx): ResultLine[] {
  const lines = stdout.split("\n").filter((line) => line !== "");
  const results = lines.map((line): ResultLine => JSON.parse(line));
  const ids = results.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length, `a result twice: ${stdout}\n${stderr}`);
  return results.sort((a, b) => a.id - b.id);
}

const jsonLines = (tasks: readonly unknown[]) =>
  tasks.map((task) => JSON.stringify(task) + "\n").join("");

const manage = (bed: TestBed, ...args: string[]) => bed.run(["manager", ...args]);

Deno.test("50 tasks that depend on one another run in order, with their files there and back", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("list/add.sh", 'cat "$@" | wc -l; cat "$@" > sum; echo more >> sum\n');
  // A tree: task i comes after 2i and 2i+1, and joins what they wrote.
  const tasks = Array.from({ length: 50 }, (_, i) => {
    const parts = [2 * (i + 1), 2 * (i + 1) + 1].filter((part) => part <= 50);
    return {
      name: `t${i + 1}`,
      command: `sh add.sh ${parts.map((part) => `${part}.txt`).join(" ")} </dev/null`,
      inputs: [{ file: "add.sh", cache: true }, ...parts.map((part) => `out/${part}.txt`)],
      outputs: [{ file: `out/${i + 1}.txt`, remote_name: "sum" }],
      after: parts.map((part) => `t${part}`),
    };
  });
  await bed.folder.write("list/tasks.jsonl", jsonLines(tasks));
  const wqx = await manage(bed, "list/tasks.jsonl");
  assert.equal(wqx.code, 0, wqx.stderr);
  const results = resultsOf(wqx);
  assert.deepEqual(results.map(({ state }) => state), Array(50).fill("success"));
  assert.equal(results[0]!.output, "49\n");
  const first = await Deno.readTextFile(bed.folder.join("list/out/1.txt"));
  assert.equal(first, "more\n".repeat(50));
  for (const { id, ended } of results) {
    for (const part of [2 * id, 2 * id + 1].filter((part) => part <= 50)) {
      assert.ok(results[part - 1]!.ended! <= ended!, `task ${id} before ${part}`);
    }
  }
  assert.match(wqx.stderr, /Tasks: 50 succeeded\n/);
  const output = bed.folder.join("tasks-output");
  assert.equal(await Deno.readTextFile(`${output}/results.jsonl`), wqx.stdout);
  const report = await readJson(`${output}/report.json`);
  assert.deepEqual([report.state, report.tasks.total, report.tasks.success], ["complete", 50, 50]);
  assert.deepEqual([...Deno.readDirSync(output)].map(({ name }) => name).sort(), [
    "report.json",
    "results.jsonl",
  ]);
  await bed.clean();
});

Deno.test("buffers, folders and URLs come in; files, folders, variables and limits hold", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("lib/deep/x", "in the lib\n");
  await bed.folder.write("web.txt", "from the web\n");
  await using server = new HttpFiles(bed.folder.path);
  await bed.folder.write(
    "tasks.yaml",
    `
defaults: {env: {GREETING: hello}}
tasks:
  - command: cat cfg/a lib/deep/x web.txt; ls -d scratch; echo $GREETING $WHO; mkdir res; cp cfg/a res/b
    inputs:
      - {buffer: "in the buffer\\n", remote_name: cfg/a}
      - {dir: lib, cache: yes}
      - {url: "${server.url("web.txt")}", cache: yes}
      - {empty_dir: scratch}
    outputs: [{dir: made/res}]
    env: {WHO: you}
    tag: all
  - {command: sleep 100, wall_time: 1s}
  - {command: sleep 100, end_time: 2020-01-01T00:00:00Z}
  - {command: 'echo $CORES; yes | head -c 3000000', resources: {cores: 1, memory: 100}}
  - {command: 'echo why > log; exit 3', outputs: [{file: log, when: failure}, {file: res, when: success}]}
  - {command: echo, outputs: nothing}
`,
  );
  const wqx = await manage(bed, "tasks.yaml");
  assert.equal(wqx.code, 1, wqx.stderr);
  const [all, slow, late, long, failed, missing] = resultsOf(wqx);
  assert.equal(
    all!.output,
    "in the buffer\nin the lib\nfrom the web\nscratch\nhello you\n",
    all!.why ?? "",
  );
  assert.deepEqual([all!.tag, all!.exit_code, all!.attempts], ["all", 0, 1]);
  assert.equal(await Deno.readTextFile(bed.folder.join("made/res/b")), "in the buffer\n");
  assert.match(slow!.why!, /longer than its wall time/);
  assert.match(late!.why!, /end time/);
  assert.match(long!.output, /^\[\d+ bytes of output left out\]\n/);
  assert.ok(long!.output.length > 500_000 && long!.output.length < 2_000_000);
  assert.equal(long!.allocated!.cores, 1);
  assert.ok(long!.measured!["memory"]! > 0 && long!.wall_time! > 0);
  assert.deepEqual([failed!.state, failed!.exit_code], ["failure", 3]);
  assert.equal(await Deno.readTextFile(bed.folder.join("log")), "why\n");
  assert.match(missing!.why!, /did not write its output nothing/);
  await bed.clean();
});

Deno.test("a task that fails is tried again as often as it says, and takes along what comes after it", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write(
    "tasks.jsonl",
    jsonLines([
      { name: "good", command: "echo fine" },
      { name: "bad", command: "echo oops; exit 3", retries: 2 },
      { name: "next", command: "true", after: ["good", "bad"] },
      { name: "last", command: "true", after: "next" },
      { command: "true", after: "good" },
    ]),
  );
  const wqx = await manage(bed, "tasks.jsonl", "--output", "out");
  assert.equal(wqx.code, 1);
  const results = resultsOf(wqx);
  assert.deepEqual(results.map(({ state, attempts, why }) => [state, attempts, why]), [
    ["success", 1, null],
    ["failure", 3, "it ended with exit code 3"],
    ["not run", 0, 'it comes after task "bad", which failed'],
    ["not run", 0, 'it comes after task "next", which was not run'],
    ["success", 1, null],
  ]);
  assert.equal(results[1]!.output, "oops\n");
  assert.match(wqx.stderr, /Failed task "bad" \(2\) on host \S+; trying again: it ended with exit/);
  assert.match(wqx.stderr, /Task "bad" \(2\) failed on host \S+: it ended with exit code 3/);
  assert.match(wqx.stderr, /Tasks: 2 succeeded, 1 failed, 2 not run/);
  assert.equal((await readJson(bed.folder.join("out/report.json"))).state, "failed");
  await bed.clean();
});

Deno.test("a list with an input that is missing is refused before anything starts", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("tasks.yaml", "tasks:\n  - {command: echo, inputs: [nothing.root]}\n");
  const wqx = await manage(bed, "tasks.yaml");
  assert.equal(wqx.code, 2);
  assert.match(
    wqx.stderr,
    /^tasks\.yaml:2:30: tasks\[0\]\.inputs\[0\]: there is no file or folder/,
  );
  assert.equal(wqx.stdout, "");
  await assert.rejects(Deno.stat(bed.folder.join("tasks-output")), Deno.errors.NotFound);
  const options = await manage(bed, "tasks.yaml", "--chunksize", "5");
  assert.deepEqual([options.code, options.stdout], [2, ""]);
});

Deno.test("options of analyses are refused for a list", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("tasks.jsonl", jsonLines([{ command: "true" }]));
  for (const option of [["--chunksize", "5"], ["--maxchunks", "1"], ["--skip-bad-files"]]) {
    const wqx = await manage(bed, "tasks.jsonl", ...option);
    assert.equal(wqx.code, 2);
    assert.equal(wqx.stderr, `${option[0]} is for analyses, and this is a list of tasks\n`);
  }
});

Deno.test("tasks on stdin run as they come; bad lines and missing inputs are refused, the others go on", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("in.txt", "here\n");
  await using wqx = bed.start(["manager", "-", "--output", "out"], { stdin: "piped" });
  await wqx.write('{"command":"cat in.txt","inputs":"in.txt","name":"a"}\nnonsense\n');
  await wqx.says(/"output":"here\\n"/);
  await wqx.says(/stdin:2:1: this is not JSON/);
  assert.ok(wqx.running, "more may come");
  await wqx.write(jsonLines([
    { command: "echo b", after: ["a"] },
    { command: "cat x", inputs: "missing", name: "c" },
    { command: "echo d", after: "c" },
    { comand: "echo e" },
    { command: "echo f", outputs: ["same"] },
  ]));
  await wqx.says(/"output":"b\\n"/);
  await wqx.write('{"command":"echo last"}');
  await wqx.closeInput();
  assert.equal(await wqx.ended, 1, wqx.stderr);
  assert.deepEqual(resultsOf(wqx).map(({ state, why }) => `${state}: ${why}`), [
    "success: null",
    "refused: stdin:2:1: this is not JSON: unexpected token 'o'",
    "success: null",
    'refused: there is no file or folder "missing"',
    'not run: it comes after task "c", which was refused',
    'refused: stdin:6:2: unknown key "comand": did you mean "command"?',
    "failure: it did not write its output same",
    "success: null",
  ]);
  assert.equal(await Deno.readTextFile(bed.folder.join("out/results.jsonl")), wqx.stdout);
  await bed.clean();
});

Deno.test("nothing on stdin is nothing to do, and workers from elsewhere may do it", async () => {
  await using bed = await TestBed.create();
  await using empty = bed.start(["manager", "-", "-q"], { stdin: "piped" });
  await empty.closeInput();
  assert.deepEqual([await empty.ended, empty.stdout, empty.stderr], [0, "", ""]);

  await bed.folder.write("tasks.jsonl", jsonLines([{ command: "echo from afar" }]));
  await using manager = bed.start(["manager", "tasks.jsonl", "--workers", "none"]);
  const [, port] = await manager.says(/Listening on port (\d+)\. Start a worker/);
  await using worker = bed.start(["worker", "127.0.0.1", port!, "--cores", "1"]);
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal(resultsOf(manager)[0]!.output, "from afar\n");
  await worker.ended;
  await bed.clean();
});

Deno.test("a reader of results that leaves does not end the run", async () => {
  await using bed = await TestBed.create();
  const tasks = Array.from({ length: 40 }, (_, i) => ({ command: `echo ${i}` }));
  await bed.folder.write("tasks.jsonl", jsonLines(tasks));
  const args = ["manager", "tasks.jsonl"];
  const script = '"$@" | head -n 1; exit 0';
  const wqx = await bed.run(args, { command: ["/bin/sh", "-c", script, "sh", ...wqxFromSource] });
  assert.equal(resultsOf(wqx).length, 1);
  const kept = await Deno.readTextFile(bed.folder.join("tasks-output/results.jsonl"));
  assert.equal(kept.split("\n").length, 41);
  await bed.clean();
});

/** Two tasks that end when they are told to, and others behind them. */
async function beginHeldTasks(bed: TestBed): Promise<{ wqx: Wqx; release: () => Promise<void> }> {
  await Deno.mkdir(bed.folder.join("gate"));
  const gate = bed.folder.join("gate");
  const hold = (i: number) =>
    `touch ${gate}/began${i}; until [ -e ${gate}/open ]; do sleep 0.05; done`;
  const tasks = [
    { name: "one", command: hold(1) },
    { name: "two", command: `${hold(2)}; exit 1`, retries: 5 },
    { command: "true" },
    { command: "true", after: "one" },
  ];
  const list = { workers: { max: 2, cores: 1 }, tasks };
  await bed.folder.write("tasks.json", JSON.stringify(list));
  const wqx = bed.start(["manager", "tasks.json", "--output", "out"]);
  await until(() => [...Deno.readDirSync(gate)].length === 2, { what: "two tasks that run" });
  return { wqx, release: () => Deno.writeTextFile(`${gate}/open`, "") };
}

Deno.test("the first Ctrl-C lets what runs end and starts nothing new, not even another attempt", async () => {
  await using bed = await TestBed.create();
  const { wqx, release } = await beginHeldTasks(bed);
  await using _ = wqx;
  wqx.signal("SIGINT");
  await wqx.says(/Press Ctrl-C again/);
  await release();
  assert.equal(await wqx.ended, 130, wqx.stderr);
  assert.deepEqual(resultsOf(wqx).map(({ state, attempts, why }) => [state, attempts, why]), [
    ["success", 1, null],
    [
      "canceled",
      1,
      "it ended with exit code 1, and the run was interrupted before another attempt",
    ],
    ["canceled", 0, "the run was interrupted"],
    ["canceled", 0, "the run was interrupted"],
  ]);
  assert.equal((await readJson(bed.folder.join("out/report.json"))).state, "interrupted");
  await bed.clean();
});

Deno.test("the second Ctrl-C ends at once, with a result for every task and no process left", async () => {
  await using bed = await TestBed.create();
  const { wqx } = await beginHeldTasks(bed);
  await using _ = wqx;
  wqx.signal("SIGINT");
  await wqx.says(/Press Ctrl-C again/);
  // Pressed until it works: what comes at once after the first counts as the same press.
  await until(() => {
    if (/Ending at once/.test(wqx.stderr)) return true;
    wqx.signal("SIGINT");
  }, { what: "the end" });
  assert.equal(await wqx.ended, 130, wqx.stderr);
  assert.deepEqual(resultsOf(wqx).map(({ state }) => state), Array(4).fill("canceled"));
  await bed.clean();
});

Deno.test("Ctrl-C ends a stream that is still open", async () => {
  await using bed = await TestBed.create();
  await using wqx = bed.start(["manager", "-"], { stdin: "piped" });
  await wqx.write('{"command":"echo a"}\n');
  await wqx.says(/"state":"success"/);
  wqx.signal("SIGINT");
  assert.equal(await wqx.ended, 130, wqx.stderr);
  await bed.clean();
});

Deno.test("a cached output is not sent to the worker that made it", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write(
    "tasks.yaml",
    `
tasks:
  - {name: make, command: "echo made > kept; cp kept copy", outputs: [{file: kept, cache: yes}, copy]}
  - {name: spoil, command: "echo more >> ${bed.folder.join("kept")}", after: make}
  - {command: cat kept copy, inputs: [{file: kept, cache: yes}, {file: copy, cache: yes}], after: spoil}
`,
  );
  const wqx = await manage(bed, "tasks.yaml");
  assert.equal(wqx.code, 0, wqx.stdout);
  assert.equal(await Deno.readTextFile(bed.folder.join("kept")), "made\nmore\n");
  assert.equal(resultsOf(wqx)[2]!.output, "made\nmade\n", "the worker has its own");
  await bed.clean();
});

Deno.test("a straggler of a category that has a factor is overtaken by a second copy", async () => {
  await using bed = await TestBed.create();
  const quick = Array.from({ length: 10 }, () => ({ command: "sleep 0.1" }));
  // Slow for whoever comes first.
  const command = `mkdir ${
    bed.folder.join("first")
  } 2>/dev/null && exec sleep 1000; echo overtaken`;
  const list = {
    workers: { max: 2, cores: 1 },
    categories: { fit: { fast_abort: 3 } },
    defaults: { category: "fit" },
    tasks: [...quick, { command, after: quick.map((_, i) => i + 1) }],
  };
  await bed.folder.write("tasks.json", JSON.stringify(list));
  const wqx = await manage(bed, "tasks.json");
  assert.equal(wqx.code, 0, wqx.stderr);
  const last = resultsOf(wqx)[10]!;
  assert.deepEqual([last.output, last.exit_code, last.attempts], ["overtaken\n", 0, 2]);
  await bed.clean();
});

Deno.test("a watched output can be read while its task runs", async () => {
  await using bed = await TestBed.create();
  const gate = bed.folder.join("gate");
  const command = `echo one > log; until [ -e ${gate} ]; do sleep 0.05; done; echo two >> log`;
  const tasks = [{ command, outputs: { file: "seen/log", watch: true } }];
  await bed.folder.write("tasks.jsonl", jsonLines(tasks));
  await using wqx = bed.start(["manager", "tasks.jsonl"]);
  const seen = () => Deno.readTextFile(bed.folder.join("seen/log")).catch(() => "");
  await until(async () => await seen() === "one\n", { what: "the first line", timeoutMs: 20_000 });
  await Deno.writeTextFile(gate, "");
  assert.equal(await wqx.ended, 0, wqx.stderr);
  assert.equal(await seen(), "one\ntwo\n");
  await bed.clean();
});

Deno.test("tasks wait for a worker that has the features they ask for", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("tasks.jsonl", jsonLines([{ command: "echo here", features: "avx" }]));
  await using manager = bed.start(["manager", "tasks.jsonl"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await manager.says(/Worker w1 joined/);
  await using worker = bed.start(["worker", "127.0.0.1", port!, "--feature", "avx"]);
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal(resultsOf(manager)[0]!.worker, "w2");
  await worker.ended;
  await bed.clean();
});
