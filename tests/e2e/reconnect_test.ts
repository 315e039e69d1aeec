/** Managers that are killed while tasks run: workers keep these for the manager that comes back. */
import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { demo, readJson, TestBed, type Wqx } from "../support/wqx.ts";

/** A task that notes each of its runs, and ends when it is told to. */
const task = (bed: TestBed, n: number) =>
  JSON.stringify({
    command: `echo run >> ${bed.folder.join(`runs.${n}`)}; ` +
      `while [ ! -e ${bed.folder.join(`go.${n}`)} ]; do sleep 0.05; done; ` +
      `echo result ${n} > out; touch ${bed.folder.join(`over.${n}`)}; echo printed ${n}`,
    cores: 1,
    outputs: [{ file: `result.${n}`, remote_name: "out" }],
  }) + "\n";

async function listOf(bed: TestBed, count: number): Promise<string> {
  const path = bed.folder.join("tasks.jsonl");
  const tasks = Array.from({ length: count }, (_, n) => task(bed, n));
  await Deno.writeTextFile(path, tasks.join(""));
  return path;
}

function runsOf(bed: TestBed, n: number): number {
  try {
    return Deno.readTextFileSync(bed.folder.join(`runs.${n}`)).trim().split("\n").length;
  } catch {
    return 0;
  }
}

const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);
const allow = (bed: TestBed, n: number) => Deno.writeTextFile(bed.folder.join(`go.${n}`), "");

async function killed(wqx: Wqx): Promise<void> {
  wqx.signal("SIGKILL");
  await wqx.ended;
}

const backoff = ["--min-backoff", "50ms", "--max-backoff", "100ms"];

function startWorker(bed: TestBed, port: string, ...more: readonly string[]): Wqx {
  const size = ["--cores", "1", "--memory", "200", "--disk", "500"];
  return bed.start(["worker", "127.0.0.1", port, ...size, ...backoff, ...more]);
}

/** A list of tasks, and its manager's port. */
async function begin(bed: TestBed, count: number): Promise<[Wqx, string]> {
  const list = await listOf(bed, count);
  const manager = bed.start(["manager", list, "--workers", "none", "--output", "out"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return [manager, port!];
}

const resumed = (bed: TestBed, port: string) =>
  bed.start(["manager", "--resume", "out", "--port", port]);

async function running(bed: TestBed, ...tasks: readonly number[]): Promise<void> {
  await until(() => tasks.every((n) => runsOf(bed, n) > 0), { what: "tasks that run" });
}

Deno.test("tasks that ran or ended without a manager are not run again by the next one", async () => {
  await using bed = await TestBed.create();
  const [first, port] = await begin(bed, 3);
  await using _first = first;
  await using one = startWorker(bed, port);
  await using two = startWorker(bed, port);
  await running(bed, 0, 1);
  await killed(first);
  await one.says(/Keeping 1 of its tasks/);
  await two.says(/Keeping 1 of its tasks/);
  await allow(bed, 0);
  await until(() => isThere(bed.folder.join("over.0")), { what: "the end of a task" });
  await using second = resumed(bed, port);
  await until(() => isThere(bed.folder.join("result.0")), { what: "the result that was kept" });
  await running(bed, 2);
  await allow(bed, 1);
  await allow(bed, 2);
  assert.equal(await second.ended, 0, second.stderr);
  assert.deepEqual([0, 1, 2].map((n) => runsOf(bed, n)), [1, 1, 1]);
  for (const n of [0, 1, 2]) {
    assert.equal(await Deno.readTextFile(bed.folder.join(`result.${n}`)), `result ${n}\n`);
  }
  const lines = (await Deno.readTextFile(bed.folder.join("out", "results.jsonl"))).trim();
  const printed = lines.split("\n").map((line) => JSON.parse(line).output);
  assert.deepEqual(printed.toSorted(), ["printed 0\n", "printed 1\n", "printed 2\n"]);
  assert.deepEqual([await one.ended, await two.ended], [0, 0]);
  await bed.clean();
});

Deno.test("a worker forgets and kills what nobody came back for in time", async () => {
  await using bed = await TestBed.create();
  const [first, port] = await begin(bed, 1);
  await using _first = first;
  await using worker = startWorker(bed, port, "--keep-tasks", "1s");
  await running(bed, 0);
  await killed(first);
  await worker.says(/Keeping 1 of its tasks/);
  await until(() => !runs(bed.folder.join("go.0")), { what: "the end of the task" });
  await using second = resumed(bed, port);
  await until(() => runsOf(bed, 0) === 2, { what: "another run of the task" });
  await allow(bed, 0);
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

Deno.test("tasks of a worker that was killed too are run again", async () => {
  await using bed = await TestBed.create();
  const [first, port] = await begin(bed, 1);
  await using _first = first;
  await using worker = startWorker(bed, port);
  await running(bed, 0);
  await killed(first);
  await worker.says(/Keeping 1 of its tasks/);
  await killed(worker);
  await until(() => !runs(bed.folder.join("go.0")), { what: "the end of the task" });
  await using second = resumed(bed, port);
  await using another = startWorker(bed, port);
  await until(() => runsOf(bed, 0) === 2, { what: "another run of the task" });
  await allow(bed, 0);
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await another.ended, 0, another.stderr);
  await bed.clean();
});

Deno.test("without a catalog workers come back to where their manager was, and to its key only", async () => {
  await using bed = await TestBed.create();
  await using catalog = bed.start(["catalog", "-p", "0", "-H", "history"]);
  const [, catalogPort] = await catalog.says(/listens: \S+:(\d+)/);
  const named = ["-M", "lost", "-C", `127.0.0.1:${catalogPort}`];
  const found = [...named, "--workers", "none"];
  const list = await listOf(bed, 1);
  await using first = bed.start(["manager", list, ...found, "--port", "0", "--output", "out"]);
  const [, port] = await first.says(/Listening on port (\d+)/);
  const size = ["--cores", "1", "--memory", "200", "--disk", "500"];
  const log = ["-d", "all", "-o", "worker.log"];
  await using worker = bed.start(["worker", ...named, ...log, ...size, ...backoff]);
  await running(bed, 0);
  await killed(catalog);
  await killed(first);
  await worker.says(/Keeping 1 of its tasks/);
  {
    // Of the same name, at the same place, with another key.
    const env = { XDG_STATE_HOME: bed.folder.join("state") };
    await using stranger = bed.start(["manager", "-", ...found, "--port", port!], {
      ...{ stdin: "piped", env },
    });
    await stranger.says(/Listening on port/);
    const path = bed.folder.join("worker.log");
    await until(() => /its key is not the one that/.test(Deno.readTextFileSync(path)), {
      what: "the refusal",
      timeoutMs: 30_000,
    });
    assert.doesNotMatch(stranger.stderr, /joined/);
  }
  await using second = resumed(bed, port!);
  await second.says(/Worker \S+ joined/);
  await allow(bed, 0);
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.equal(runsOf(bed, 0), 1);
  await bed.clean();
});

Deno.test("a manager of another run gets none of them, and they end", async () => {
  await using bed = await TestBed.create();
  const [first, port] = await begin(bed, 1);
  await using _first = first;
  await using worker = startWorker(bed, port);
  await running(bed, 0);
  await killed(first);
  await worker.says(/Keeping 1 of its tasks/);
  await using second = bed.start(["manager", "-", "--workers", "none", "--port", port], {
    stdin: "piped",
  });
  await until(() => !runs(bed.folder.join("go.0")), { what: "the end of the task" });
  await second.write(`{"command":"echo other"}\n`);
  await second.closeInput();
  assert.equal(await second.ended, 0, second.stderr);
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.equal(runsOf(bed, 0), 1);
  await bed.clean();
});

Deno.test("an analysis goes on with what its workers have, to the same bits", async () => {
  await using bed = await TestBed.create();
  const small = [`${demo}/analysis.yaml`, "--maxchunks", "2"];
  const whole = await bed.run(["manager", ...small, "--workers", "1", "--output", "whole"]);
  assert.equal(whole.code, 0, whole.stderr);
  await using first = bed.start(["manager", ...small, "--workers", "none", "--output", "out"]);
  const [, port] = await first.says(/Listening on port (\d+)/);
  await using worker = startWorker(bed, port!, "--memory", "2000", "--disk", "2000");
  await until(() => runs("task", bed.folder.path), { what: "a task of it" });
  await killed(first);
  await worker.says(/Keeping 1 of its tasks/);
  await using second = resumed(bed, port!);
  assert.equal(await second.ended, 0, second.stderr);
  const resultIn = async (out: string) =>
    (await readJson(bed.folder.join(out, "result.json"))).result;
  assert.deepEqual(await resultIn("out"), await resultIn("whole"));
  assert.equal(await worker.ended, 0, worker.stderr);
  await bed.clean();
});

/** Whether a process has this in its command line, as a word of its own where its folder is told. */
function runs(text: string, within = ""): boolean {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    try {
      const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
      const isIt = within === "" ? words.some((one) => one.includes(text)) : words.includes(text);
      if (isIt && Deno.readTextFileSync(`/proc/${name}/environ`).includes(within)) return true;
    } catch {
      // Ended while we looked.
    }
  }
  return false;
}
