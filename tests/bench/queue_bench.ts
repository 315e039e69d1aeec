/**
 * A million waiting tasks: what do they take in the manager's memory, and do they slow it down?
 * The same number of tasks is timed with a short queue and with a long one.
 */
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";
import { startContestant, startFakeWorkers, time } from "./contest.ts";
import { type BenchRow, median } from "./row.ts";

const shortQueue = 10_000;
const longQueue = 1_000_000;
const timedTasks = 10_000;
const workers = 10;
const repeats = 3;
const patienceMs = 300_000;

export async function queueBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const short: Run[] = [];
  const long: Run[] = [];
  for (let i = 0; i < repeats; i++) {
    short.push(await run(bed, shortQueue));
    long.push(await run(bed, longQueue));
  }
  const rate = (runs: readonly Run[]) => timedTasks / median(runs.map(({ seconds }) => seconds));
  const bytes = median(long.map(({ bytesEach }) => bytesEach));
  const ratio = { to: `that with ${shortQueue}`, value: rate(long) / rate(short) };
  return [
    { name: `${longQueue} queued tasks: heap for each`, value: bytes, unit: "bytes" },
    {
      name: `${shortQueue} queued tasks, ${workers} fake workers`,
      value: rate(short),
      unit: "tasks/s",
    },
    {
      name: `${longQueue} queued tasks, ${workers} fake workers`,
      value: rate(long),
      unit: "tasks/s",
      ratio,
    },
    {
      name: `task list of ${longQueue} lines: memory of wqx manager, above an empty one's`,
      value: (await listMb(bed, longQueue) - await listMb(bed, 1)) * 1024 ** 2 / longQueue,
      unit: "bytes per task",
    },
  ];
}

interface Run {
  readonly bytesEach: number;
  /** From the last submission to the return of the last task that is timed. */
  readonly seconds: number;
}

async function run(bed: TestBed, count: number): Promise<Run> {
  const manager = await startContestant(bed, "wqx_manager.ts", timedTasks, workers, count);
  const { said } = await time(manager, (port) => startFakeWorkers(bed, port, workers));
  const [, bytesEach, seconds] = /^queued \d+ ([\d.]+) ([\d.]+)$/m.exec(said)!;
  return { bytesEach: Number(bytesEach), seconds: Number(seconds) };
}

/** Memory in RAM of `wqx manager` when it waits for workers to run a list of so many tasks. */
async function listMb(bed: TestBed, count: number): Promise<number> {
  const path = bed.folder.join("tasks.jsonl");
  using file = await Deno.create(path);
  const writer = file.writable.getWriter();
  const encoder = new TextEncoder();
  for (let from = 0; from < count; from += 10_000) {
    const ids = Array.from({ length: Math.min(10_000, count - from) }, (_, i) => from + i);
    await writer.write(encoder.encode(ids.map((id) => `{"command":"echo ${id}"}\n`).join("")));
  }
  await writer.close();
  await using manager = bed.start(
    ["manager", "tasks.jsonl", "--workers", "none", "--port", "0", "--output", "run"],
  );
  await manager.says(/Listening on port/, patienceMs);
  const waiting = new RegExp(` ${count} waiting`);
  await until(() => waiting.test(manager.stderr), { what: `${waiting}`, timeoutMs: patienceMs });
  const status = await Deno.readTextFile(`/proc/${manager.pid}/status`);
  return Number(/^VmRSS:\s*(\d+)/m.exec(status)![1]) / 1024;
}
