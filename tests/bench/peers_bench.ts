/**
 * How many tasks a second does a manager get done, beside a C program on Debian's libwork_queue?
 * First by fake workers that finish at once, beside a loop that only moves the messages; then by
 * one real 2-core worker, beside Debian's pair, HyperQueue and processes that are merely started.
 * `WQX_BENCH=large`: 100,000 tasks, and 3,000 fake workers too.
 */
import { startRealWorker } from "../support/cctools.ts";
import { findPython } from "../support/python.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import {
  isLarge,
  startContestant,
  startFakeWorkers,
  startWorkQueue,
  time,
  type Timing,
  workQueueMissing,
} from "./contest.ts";
import { type BenchRow, median } from "./row.ts";

const fakeTasks = isLarge ? 100_000 : 5_000;
/** Fewer of them for the library, which would take an hour; its rate does not rise with more. */
const libraryTasks = 5_000;
const fakeWorkers = isLarge ? [1, 10, 100, 1_000, 3_000] : [1, 10, 100, 1_000];
const realTasks = 2_000;

/** Of runs that take a second or less. */
const repeats = isLarge ? 1 : 3;

export async function peersBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const rows: BenchRow[] = [];
  for (const count of fakeWorkers) rows.push(...await byFakeWorkers(bed, count));
  rows.push(...await byRealWorker(bed));
  return rows;
}

async function byFakeWorkers(bed: TestBed, count: number): Promise<BenchRow[]> {
  const what = `${fakeTasks} × true, ${count} fake worker(s)`;
  const rate = async (name: string) => {
    const timings: Timing[] = [];
    for (let i = 0; i < repeats; i++) {
      const contestant = await startContestant(bed, name, fakeTasks, count);
      timings.push(await time(contestant, (port) => startFakeWorkers(bed, port, count)));
    }
    return {
      perSecond: fakeTasks / median(timings.map(({ seconds }) => seconds)),
      workersBusy: median(timings.map(({ workersBusy }) => workersBusy)),
    };
  };
  const bare = await rate("bare_loop.ts");
  const wqx = await rate("wqx_manager.ts");
  const toBare = { to: "bare loop", value: wqx.perSecond / bare.perSecond };
  const rows: BenchRow[] = [
    { name: `${what}: bare loop`, value: bare.perSecond, unit: "tasks/s" },
    { name: `${what}: wqx manager`, value: wqx.perSecond, unit: "tasks/s", ratio: toBare },
    {
      // Far below 100 %: they wait for the manager, not it for them.
      name: `${what}: fake workers busy under wqx`,
      value: 100 * wqx.workersBusy,
      unit: "% of a core",
    },
  ];
  if (workQueueMissing() !== null) return rows;
  const driver = await startWorkQueue(bed, libraryTasks, count);
  const { seconds } = await time(driver, (port) => startFakeWorkers(bed, port, count, 9));
  const value = libraryTasks / seconds;
  rows.push({ name: `${what}: libwork_queue`, value, unit: "tasks/s" });
  rows.push({ name: `${what}: wqx ÷ libwork_queue`, value: wqx.perSecond / value, unit: "×" });
  return rows;
}

async function byRealWorker(bed: TestBed): Promise<BenchRow[]> {
  const what = `${realTasks} × true, one real 2-core worker`;
  const startWqx = (port: number): Wqx =>
    bed.start(["worker", "127.0.0.1", `${port}`, "--cores", "2"]);
  const contestant = await startContestant(bed, "wqx_manager.ts", realTasks, 1);
  const wqx = realTasks / (await time(contestant, startWqx)).seconds;
  const others: { name: string; value: number }[] = [
    { name: "sh -c true, 2 at once", value: await bareSpawns() },
  ];
  if (workQueueMissing() === null) {
    const driver = await startWorkQueue(bed, realTasks, 1);
    const { seconds } = await time(driver, (port) => startRealWorker(bed, port));
    others.push({ name: "libwork_queue and work_queue_worker", value: realTasks / seconds });
  }
  const hyperQueue = await byHyperQueue(bed);
  if (hyperQueue !== null) others.push({ name: "HyperQueue, LocalCluster", value: hyperQueue });
  return [
    { name: `${what}: wqx`, value: wqx, unit: "tasks/s" },
    ...others.flatMap(({ name, value }): BenchRow[] => [
      { name: `${what}: ${name}`, value, unit: "tasks/s" },
      { name: `${what}: wqx ÷ ${name}`, value: wqx / value, unit: "×" },
    ]),
  ];
}

async function bareSpawns(): Promise<number> {
  let left = realTasks;
  const startedMs = performance.now();
  const options: Deno.CommandOptions = { args: ["-c", "true"], stdin: "null", stdout: "null" };
  await Promise.all([1, 2].map(async () => {
    while (left-- > 0) await new Deno.Command("/bin/sh", options).spawn().status;
  }));
  return realTasks / (performance.now() - startedMs) * 1000;
}

/** Tasks a second, or `null` without the Python package `hyperqueue`. */
async function byHyperQueue(bed: TestBed): Promise<number | null> {
  const python = findPython(["hyperqueue"]);
  if ("missing" in python) return null;
  const script = new URL("./local_cluster.py", import.meta.url).pathname;
  const run = await bed.run([script, String(realTasks)], { command: [python.path] });
  const [, perSecond] = /^tasks\/s ([\d.]+)$/m.exec(run.stdout) ?? [];
  if (perSecond === undefined) throw new Error(`HyperQueue failed: ${run.stderr}${run.stdout}`);
  return Number(perSecond);
}
