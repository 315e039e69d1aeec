/** Merges and preprocessing that outgrow what they are given, on real processes under the monitor. */
import assert from "node:assert/strict";
import type { ReportedTask } from "../../core/analysis/report.ts";
import { demo, readJson, TestBed, type Wqx } from "../support/wqx.ts";

/** Events of the file of the demo. */
const eventsOfFile = 120_000;

/** A processor whose accumulator has so many MB; the sum over all parts depends on their order. */
const processorOf = (mb: number) => `
import type { Processor } from "wqx";
export default {
  columns: ["MET_pt"],
  process(events) {
    let met = 0;
    for (const pt of events.flat("MET_pt")) met += pt;
    return { events: events.length, large: new Float64Array(${mb * 2 ** 17}).fill(met) };
  },
  postprocess({ events, large }) {
    return { events, first: large[0], last: large.at(-1) };
  },
} satisfies Processor;
`;

/** An analysis of one file, cut into so many chunks; `keys` are lines of its YAML. */
async function writeAnalysis(
  { folder }: TestBed,
  { mb, chunks, keys }: { mb: number; chunks: number; keys: readonly string[] },
): Promise<void> {
  await Deno.copyFile(`${demo}/data/dimuon_a.root`, folder.join("some.root"));
  await folder.write("processor.ts", processorOf(mb));
  const lines = [
    "datasets: {some: some.root}",
    "processor: processor.ts",
    `chunksize: ${eventsOfFile / chunks}`,
    "output: out",
    ...keys,
  ];
  await folder.write("analysis.yaml", `${lines.join("\n")}\n`);
}

async function resultIn({ folder }: TestBed): Promise<unknown> {
  const { partial, result } = await readJson(folder.join("out/result.json"));
  assert.equal(partial, false);
  return result;
}

async function mergesIn({ folder }: TestBed): Promise<ReportedTask[]> {
  const { tasks } = await readJson(folder.join("out/report.json"));
  return tasks.filter(({ category }: ReportedTask) => category === "accumulating");
}

function join(bed: TestBed, port: string, memoryMb: number): Wqx {
  const args = ["--memory", `${memoryMb}`, "--cores", "1", "--disk", "4000", "--single-shot"];
  return bed.start(["worker", "127.0.0.1", port, ...args]);
}

const workers = "workers: {max: 1, cores: 2, memory: 2000, disk: 8000}";

Deno.test("merges over an explicit limit take fewer parts at once, and the result is the same", async () => {
  await using bed = await TestBed.create();
  const results: unknown[] = [];
  // Two parts of 24 MB take 190 MB to merge, ten 350 MB, a chunk 140 MB.
  for (const limit of [[], ["resources: {memory: 260}"]]) {
    await writeAnalysis(bed, { mb: 24, chunks: 10, keys: [workers, ...limit] });
    const run = await bed.run(["manager", "analysis.yaml", "--fresh"]);
    assert.equal(run.code, 0, run.stderr);
    results.push(await resultIn(bed));
    const narrowed = /Exhausted memory \(limit 260 MB, .*; from now on 5 are merged at once/;
    assert.equal(narrowed.test(run.stderr), limit.length > 0, run.stderr);
  }
  const [unlimited, limited] = results;
  assert.deepEqual(limited, unlimited);
  const merges = await mergesIn(bed);
  assert.ok(merges.length >= 3, JSON.stringify(merges));
  assert.equal(merges.at(-1)!.end, "success");
  for (const { memoryMb, ending } of merges.flatMap(({ attempts }) => attempts)) {
    assert.ok(ending !== "success" || memoryMb! <= 260, `${memoryMb} MB`);
  }
  await bed.clean();
});

Deno.test("what no worker has the memory for waits for a larger one: a file, then two parts", async () => {
  await using bed = await TestBed.create();
  await writeAnalysis(bed, { mb: 64, chunks: 2, keys: ["workers: none", "port: 0"] });
  await using manager = bed.start(["manager", "analysis.yaml"]);
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using small = join(bed, port!, 20);
  await manager.says(
    /Exhausted memory \(limit 20 MB, .*\) preprocessing "some.root" .*; it waits for a worker that gives it 40 MB/,
  );
  await using middling = join(bed, port!, 300);
  await manager.says(
    /Exhausted memory \(limit 300 MB, .*\) accumulating 2 partial results .*; it waits for a worker that gives it 600 MB/,
  );
  await manager.says(/needs 600 MB memory, but the largest worker has .*300 MB memory/);
  assert.ok(manager.running);
  await using large = join(bed, port!, 1000);
  assert.equal(await manager.ended, 0, manager.stderr);
  assert.equal((await resultIn(bed) as { events: number }).events, eventsOfFile);
  assert.deepEqual([await small.ended, await middling.ended, await large.ended], [0, 0, 0]);
  await bed.clean();
});

Deno.test("two parts over an explicit limit fail the run for good, with a clear message", async () => {
  await using bed = await TestBed.create();
  const keys = [workers, "resources: {memory: 300}"];
  await writeAnalysis(bed, { mb: 64, chunks: 2, keys });
  const run = await bed.run(["manager", "analysis.yaml"]);
  assert.equal(run.code, 1, run.stderr);
  assert.match(
    run.stderr,
    /accumulating 2 partial results .* needs more than 300 MB memory, the limit of "accumulating"/,
  );
  assert.match(
    run.stderr,
    /No fewer partial results can be merged at once: raise resources.memory, or use larger workers/,
  );
  await bed.clean();
});
