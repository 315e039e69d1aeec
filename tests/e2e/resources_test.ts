/** The ways in which an analysis may size its tasks, on real processes. */
import assert from "node:assert/strict";
import type { ReportedAttempt, ReportedTask } from "../../core/analysis/report.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";
import { demo, readJson, TestBed, type Wqx } from "../support/wqx.ts";

/** Events of the larger file of the demo, which the tests copy. */
const eventsOfFile = 120_000;

/** A processor that holds so much more memory for each event, for a moment. */
const processorOf = (kbPerEvent: number) => `
import type { Processor } from "wqx";
export default {
  columns: ["nMuon"],
  async process(events) {
    const block = new Uint8Array(events.length * ${kbPerEvent * 1024}).fill(1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { events: events.length, held: block[0] ?? 0 };
  },
} satisfies Processor;
`;

interface Run {
  readonly bed: TestBed;
  readonly wqx: Wqx & { code: number };
  // deno-lint-ignore no-explicit-any -- a report is looked into, not modelled
  readonly report: any;
  readonly processing: readonly ReportedTask[];
}

/** Runs an analysis of so many copies of the file; `keys` are lines of its YAML. */
async function analyse(
  bed: TestBed,
  { kbPerEvent = 1, files = 1, keys }: { kbPerEvent?: number; files?: number; keys: string[] },
  ...options: string[]
): Promise<Run> {
  for (let i = 0; i < files; i++) {
    await Deno.copyFile(`${demo}/data/dimuon_a.root`, bed.folder.join(`${i}.root`));
  }
  await bed.folder.write("processor.ts", processorOf(kbPerEvent));
  const names = Array.from({ length: files }, (_, i) => `${i}.root`);
  const lines = [`datasets: {some: [${names}]}`, "processor: processor.ts", ...keys];
  await bed.folder.write("analysis.yaml", `${lines.join("\n")}\n`);
  const wqx = await bed.run(["manager", "analysis.yaml", "--output", "out", ...options]);
  const report = await readJson(bed.folder.join("out/report.json"));
  const tasks: ReportedTask[] = report.tasks;
  return { bed, wqx, report, processing: tasks.filter((task) => task.category === "processing") };
}

const attemptsOf = (tasks: readonly ReportedTask[]) => tasks.flatMap((task) => task.attempts);

/** Most attempts that ran at the same time. */
function mostAtOnce(attempts: readonly ReportedAttempt[]): number {
  // Its outputs may still be on their way when the next one has its place.
  const running = (atMs: number) =>
    attempts.filter(({ startedMs, wallMs }) => startedMs <= atMs && atMs < startedMs + wallMs)
      .length;
  return Math.max(0, ...attempts.map(({ startedMs }) => running(startedMs)));
}

async function assertComplete({ wqx, report, bed }: Run, events: number): Promise<void> {
  assert.equal(wqx.code, 0, wqx.stderr);
  assert.equal(report.state, "complete");
  const { result } = await readJson(bed.folder.join("out/result.json"));
  assert.equal(result.events, events);
  await bed.clean();
}

Deno.test("whole workers: one chunk at a time", async () => {
  await using bed = await TestBed.create();
  const run = await analyse(bed, {
    keys: ["chunksize: 30000", "resources: {cores: 2, mode: fixed}", "workers: {max: 1, cores: 2}"],
  });
  await assertComplete(run, eventsOfFile);
  assert.equal(run.processing.length, 4);
  assert.equal(mostAtOnce(attemptsOf(run.processing)), 1);
});

Deno.test("cores are declared: the rest is given in proportion", async () => {
  await using bed = await TestBed.create();
  const workers = "workers: {max: 1, cores: 4, memory: 2000, disk: 4000}";
  const run = await analyse(bed, {
    keys: ["chunksize: 15000", "resources: {cores: 1, mode: fixed}", workers],
  });
  await assertComplete(run, eventsOfFile);
  const attempts = attemptsOf(run.processing);
  for (const { allocated } of attempts) {
    assert.deepEqual(allocated, { cores: 1, memoryMb: 500, diskMb: 1000 });
  }
  assert.equal(mostAtOnce(attempts), 4);
});

for (const mode of ["auto", "adaptive"]) {
  Deno.test(`mode ${mode}: with a quarter of the chunks in, several run at once`, async () => {
    await using bed = await TestBed.create();
    const workers = "workers: {max: 1, cores: 4, memory: 2000, disk: 4000}";
    const run = await analyse(bed, {
      keys: ["chunksize: 5000", `resources: {mode: ${mode}}`, workers],
    });
    await assertComplete(run, eventsOfFile);
    const attempts = attemptsOf(run.processing).sort((a, b) => a.endedMs - b.endedMs);
    const quarterMs = attempts[Math.ceil(attempts.length / 4)]!.endedMs;
    const later = attempts.filter(({ startedMs }) => startedMs >= quarterMs);
    assert.ok(mostAtOnce(later) > 1, `${mostAtOnce(later)} of ${later.length} at once`);
    const { allocations } = run.report;
    const row = allocations.find((one: { category: string }) => one.category === "processing");
    assert.equal(row.steady, true, row.why);
    assert.ok(row.current.memoryMb < 2000 && row.largestSeen.memoryMb > 30, JSON.stringify(row));
  });
}

Deno.test("chunks that need more than their limit are cut until they fit, and the run finishes", async () => {
  await using bed = await TestBed.create();
  const run = await analyse(bed, {
    kbPerEvent: 12,
    keys: [
      "chunksize: 40000",
      "resources: {memory: 400}",
      "workers: {max: 1, cores: 2, memory: 800, disk: 4000}",
    ],
  });
  await assertComplete(run, eventsOfFile);
  const { chunks } = run.report;
  assert.ok(chunks.split >= 1, JSON.stringify(chunks));
  assert.ok(chunks.eventsExhausted >= 40_000 && chunks.smallest <= 20_000, JSON.stringify(chunks));
  for (const { memoryMb, ending } of attemptsOf(run.processing)) {
    assert.ok(ending !== "success" || memoryMb! <= 400, `${memoryMb} MB`);
  }
  assert.match(
    run.wqx.stderr,
    /Exhausted memory \(limit 400 MB, measured \d+ MB\) processing events \[0, 40000\) .* cut into/,
  );
});

Deno.test("chunks grow towards their memory target and do not pass it", async () => {
  await using bed = await TestBed.create();
  const run = await analyse(bed, {
    kbPerEvent: 12,
    files: 4,
    keys: [
      "chunksize: 2048",
      "dynamic-chunksize: {memory: 500}",
      "workers: {max: 1, cores: 2, memory: 1000, disk: 4000}",
    ],
  });
  await assertComplete(run, 4 * eventsOfFile);
  const { chunks } = run.report;
  assert.ok(chunks.current > 8 * 2048, JSON.stringify(chunks));
  const largest = Math.max(...attemptsOf(run.processing).map(({ memoryMb }) => memoryMb ?? 0));
  assert.ok(largest > 250 && largest <= 500, `largest seen ${largest} MB`);
});

Deno.test("preprocessing over an explicit limit fails for good, with a clear message", async () => {
  await using bed = await TestBed.create();
  const run = await analyse(bed, {
    keys: ["resources: {memory: 20}", "workers: {max: 1, cores: 2, memory: 800, disk: 4000}"],
  });
  assert.equal(run.wqx.code, 1);
  assert.match(
    run.wqx.stderr,
    /preprocessing "0\.root".* needs more than 20 MB memory, the limit of "preprocessing"/,
  );
  assert.match(
    run.wqx.stderr,
    /It cannot be done in smaller steps: raise resources.memory/,
  );
  await bed.clean();
});

Deno.test("a task that no worker is large enough for is told of, and runs once one is", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("t.jsonl", '{"command":"true","resources":{"memory":"3GB"}}\n');
  await using manager = bed.start(["manager", "t.jsonl", "--workers", "none"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  const join = (memory: string) =>
    bed.start(["worker", "127.0.0.1", port!, "--memory", memory, "--disk", "500", "--single-shot"]);
  await using small = join("1000");
  await manager.says(
    /Task 1 \(default\) needs 3072 MB memory, but the largest worker has .*1000 MB memory/,
  );
  await using large = join("4000");
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.deepEqual([await small.ended, await large.ended], [0, 0]);
  await bed.clean();
});

Deno.test("a task over its memory is ended at once, and nothing of its tree is left", async () => {
  await using bed = await TestBed.create();
  const hog = "import time\nb = bytearray(600 << 20)\ntime.sleep(60)";
  const command = `python3 -c '${hog}' & wait`;
  const task = { command, resources: { memory: "200MB" } };
  await bed.folder.write("t.jsonl", `${JSON.stringify(task)}\n`);
  const wqx = await bed.run(["manager", "t.jsonl"]);
  assert.equal(wqx.code, 1);
  const [line] = wqx.stdout.split("\n");
  const result = JSON.parse(line!);
  assert.match(result.why, /^it needs more than 200 MB memory, its limit \(it had \d+ MB/);
  assert.ok(result.wall_time < 30 && result.measured.memory > 200, line);
  await until(() => bed.clean().then(() => true), { what: "the end of its processes" });
});

const cgroupRoot = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].find(isWritableGroup);

function isWritableGroup(folder: string): boolean {
  try {
    const kept = Deno.statSync(`${folder}/cgroup.procs`).isFile;
    const counts = [...Deno.readDirSync(folder)].some(({ name }) =>
      name === "memory.limit_in_bytes" || name === "memory.stat"
    );
    return kept && counts && Deno.uid() === 0;
  } catch {
    return false;
  }
}

Deno.test({
  ...needs(
    cgroupRoot !== undefined,
    "no control group can be made here",
    "in a control group that it was given, a worker holds tasks to their memory",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    const group = `${cgroupRoot}/wqx-test-${Deno.pid}`;
    await Deno.mkdir(group);
    try {
      const hog = "python3 -c 'b = bytearray(600 << 20); import time; time.sleep(60)'";
      const tasks = [{ command: hog, resources: { memory: "100MB" } }, { command: "true" }];
      const lines = tasks.map((task) => `${JSON.stringify(task)}\n`).join("");
      await bed.folder.write("t.jsonl", lines);
      const wqx = await bed.run(["manager", "t.jsonl"], { env: { WQX_CGROUP: group } });
      const results = wqx.stdout.trim().split("\n").map((line) => JSON.parse(line));
      const [over, fine] = results.sort((a, b) => a.id - b.id);
      assert.match(over.why, /^it needs more than 100 MB memory, its limit/);
      // The kernel leaves it no more than the headroom above its limit.
      assert.ok(over.measured.memory < 200, `${over.measured.memory} MB`);
      assert.equal(fine.state, "success");
      await bed.clean();
    } finally {
      await Deno.remove(group);
    }
  },
});
