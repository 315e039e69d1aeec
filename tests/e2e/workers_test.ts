import assert from "node:assert/strict";
import { until } from "../support/until.ts";
import { demo, readJson, TestBed } from "../support/wqx.ts";

/** A run of the demo that waits for workers; `null` chunks: as the demo has them. */
function waitForWorkers(bed: TestBed, output: string) {
  const args = ["manager", `${demo}/analysis.yaml`, "--workers", "none", "--output", output];
  return bed.start([...args, "--chunksize", "5000"]);
}

Deno.test("workers that join by themselves share a run, and SIGKILL of one changes no bit of its result", async () => {
  await using bed = await TestBed.create();
  const undisturbed = await bed.run(
    ["manager", `${demo}/analysis.yaml`, "--output", "undisturbed", "--chunksize", "5000"],
  );
  assert.equal(undisturbed.code, 0, undisturbed.stderr);

  await using manager = waitForWorkers(bed, "disturbed");
  const [, port] = await manager.says(/Listening on port (\d+)/);
  const start = () => bed.start(["worker", "localhost", port!, "--cores", "1"]);
  await using first = start();
  await manager.says(/w1 joined/);
  await using second = start();
  await manager.says(/w2 joined/);
  // Some partial results of both are in, others are on their way.
  const parts = bed.folder.join("disturbed/.parts");
  await until(() => [...Deno.readDirSync(parts)].length > 6, { what: "partial results" });
  second.signal("SIGKILL");
  await manager.says(/w2 was lost/);
  await using third = start();
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal(await first.ended, 0, "a worker ends well when there is no more work");
  await third.ended;

  const of = (name: string) => Deno.readTextFile(bed.folder.join(`${name}/result.json`));
  assert.equal(await of("disturbed"), await of("undisturbed"));
  const report = await readJson(bed.folder.join("disturbed/report.json"));
  const hosts = new Set<string>();
  for (const task of report.tasks) for (const attempt of task.attempts) hosts.add(attempt.worker);
  assert.ok(hosts.has("w1") && hosts.has("w2"), `only ${[...hosts].join(", ")} worked`);
  await bed.clean();
});

Deno.test("a worker comes back to a manager that broke the link, and leaves when told to", async () => {
  await using bed = await TestBed.create();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using worker = bed.start(["worker", "127.0.0.1", String(listener.addr.port)]);
  (await listener.accept()).close();
  const again = await listener.accept();
  worker.signal("SIGTERM");
  assert.equal(await worker.ended, 0, worker.stderr);
  again.close();
  listener.close();
  await bed.clean();
});

Deno.test("a worker that finds no manager in time says so and fails", async () => {
  await using bed = await TestBed.create();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const worker = await bed.run(["worker", "127.0.0.1", String(port), "-t", "1s"]);
  assert.equal(worker.code, 1);
  assert.match(
    worker.stderr,
    /Cannot connect to a manager at 127\.0\.0\.1:\d+ \(tried for \d+ s\)/,
  );
  await bed.clean();
});

Deno.test("partial results are merged before processing ends", async () => {
  await using bed = await TestBed.create();
  const run = await bed.run(
    ["manager", `${demo}/analysis.yaml`, "--output", "out", "--chunksize", "3000"],
  );
  assert.equal(run.code, 0, run.stderr);
  const { tasks } = await readJson(bed.folder.join("out/report.json"));
  const starts = (category: string): number[] =>
    tasks.filter((task: { category: string }) => task.category === category)
      .map((task: { attempts: { startedMs: number }[] }) => task.attempts.at(-1)!.startedMs);
  assert.ok(Math.min(...starts("accumulating")) < Math.max(...starts("processing")));
});

Deno.test("SIGKILL of the manager takes its local workers, their tasks and folders along", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("slow.ts", slowProcessor);
  await bed.folder.write("slow.yaml", slowAnalysis);
  await using manager = bed.start(["manager", "slow.yaml", "--output", "out"]);
  await manager.says(/processing: 0\//);
  manager.signal("SIGKILL");
  await manager.ended;
  await bed.clean();
});

Deno.test("the first Ctrl-C merges what is there, marked partial; the second ends at once", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("slow.ts", slowProcessor);
  await bed.folder.write("slow.yaml", slowAnalysis);
  const begin = async (out: string) => {
    const parts = bed.folder.join(out, ".parts");
    await Deno.mkdir(parts, { recursive: true });
    const manager = bed.start(["manager", "slow.yaml", "--output", out]);
    await until(async () => {
      // The manager takes the folder over: for a moment it is not there.
      const entries = await Array.fromAsync(Deno.readDir(parts)).catch(() => []);
      const names = entries.map(({ name }) => name);
      return names.some((name) => name.startsWith("p-") && name.endsWith(".acc"));
    }, { what: "a partial result", timeoutMs: 30_000 }).catch(async (error) => {
      await manager[Symbol.asyncDispose]();
      throw new Error(`${error.message}: ${manager.stderr}`);
    });
    return manager;
  };
  await using once = await begin("out");
  once.signal("SIGINT");
  assert.equal(await once.ended, 130, once.stderr);
  const result = await readJson(bed.folder.join("out/result.json"));
  assert.equal(result.partial, true);
  assert.ok(result.events.processed > 0 && result.events.processed < 120_000, result.events);
  assert.equal(result.result.events, result.events.processed);
  assert.equal((await readJson(bed.folder.join("out/report.json"))).state, "interrupted");
  await bed.clean();

  await using twice = await begin("other");
  twice.signal("SIGINT");
  await twice.says(/Press Ctrl-C again/);
  // Pressed until it works: what comes at once after the first counts as the same press.
  await until(() => {
    if (twice.running) twice.signal("SIGINT");
    return !twice.running;
  }, { what: "the end" });
  // A press in its last moment, when all is cleaned up, ends it as any program.
  assert.ok([130, -1].includes(await twice.ended), twice.stderr);
  await bed.clean();
});

const slowAnalysis = `
name: slow
datasets:
  all: ${demo}/data/dimuon_a.root
processor: slow.ts
chunksize: 2000
`;

/** Never comes to its end for events beyond 6000, unless it is killed. */
const slowProcessor = `
import type { Processor } from "wqx";
export default {
  columns: ["nMuon"],
  async process(events) {
    if (events.metadata.start >= 6000) await new Promise((resolve) => setTimeout(resolve, 3_600_000));
    return { events: events.length };
  },
} satisfies Processor;
`;

Deno.test("with TLS and a password the run goes on as without, and strangers stay outside", async () => {
  await using bed = await TestBed.create();
  await bed.folder.write("right", "sesame\n");
  await bed.folder.write("wrong", "sesam\n");
  await Deno.chmod(bed.folder.join("right"), 0o600);
  const args = ["manager", `${demo}/analysis.yaml`, "--workers", "none", "--output", "out"];
  await using manager = bed.start([...args, "--ssl", "--password", "right"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  const start = (...options: string[]) =>
    bed.run(["worker", "127.0.0.1", port!, "--single-shot", ...options]);
  assert.notEqual((await start("--password", "right")).code, 0, "it speaks no TLS");
  await manager.says(/refused: .*TLS/);
  await start("--ssl", "--password", "wrong");
  await manager.says(/refused: it presented the wrong password/);
  const right = await start("--ssl", "--password", "right");
  assert.equal(right.code, 0, right.stderr);
  assert.equal(await manager.ended, 0, manager.stderr);
  const { events } = await readJson(bed.folder.join("out/result.json"));
  assert.deepEqual(events, { processed: 160_000, total: 160_000 });
  await bed.clean();
});
