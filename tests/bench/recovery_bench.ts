/**
 * How long does a manager need to go on? A list of 100,000 tasks on fake workers is killed near its
 * end; then the time from the start of `wqx manager --resume` until it listens, and until it has
 * the first new result, from a worker that waits for it.
 */
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { startFakeWorkers } from "./contest.ts";
import type { BenchRow } from "./row.ts";

const taskCount = 100_000;
const killedAfter = 99_000;
const workerCount = 100;
const patienceMs = 600_000;

export async function recoveryBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const { folder } = bed;
  await folder.write("tasks.jsonl", `{"command":"true"}\n`.repeat(taskCount));
  const args = ["-p", "0", "--workers", "none", "--cores", "1"];
  const manager = bed.start(["manager", "tasks.jsonl", ...args, "--output", "out"]);
  using lines = new LineCount(folder.join("out/results.jsonl"));
  {
    await using _manager = manager;
    await using _workers = startFakeWorkers(bed, await portOf(manager), workerCount);
    await until(() => lines.count() >= killedAfter, {
      what: `${killedAfter} results`,
      timeoutMs: patienceMs,
    });
  }
  const before = lines.count();
  const startedMs = performance.now();
  await using resumed = bed.start(["manager", "--resume", "out", ...args.slice(0, 2)]);
  const port = await portOf(resumed);
  const listensMs = performance.now() - startedMs;
  await using _workers = startFakeWorkers(bed, port, 1);
  await until(() => lines.count() > before, { what: "a new result", timeoutMs: patienceMs });
  const dispatchesMs = performance.now() - startedMs;
  resumed.signal("SIGKILL");
  await resumed.ended;
  const what = `a list of ${taskCount}, killed after ${killedAfter} results: from --resume`;
  return [
    { name: `${what} until it listens`, value: listensMs, unit: "ms" },
    { name: `${what} until the first new result`, value: dispatchesMs, unit: "ms" },
  ];
}

async function portOf(manager: Wqx): Promise<number> {
  const [, port] = await manager.says(/Listening on port (\d+)/, patienceMs);
  return Number(port);
}

/** Of a file that grows; what was counted is not read again. */
class LineCount implements Disposable {
  #file: Deno.FsFile | null = null;
  #count = 0;

  constructor(private readonly path: string) {}

  count(): number {
    try {
      this.#file ??= Deno.openSync(this.path);
    } catch {
      return 0; // it is not there yet
    }
    const buffer = new Uint8Array(1024 ** 2);
    for (let size = this.#file.readSync(buffer); size !== null;) {
      for (const byte of buffer.subarray(0, size)) if (byte === 10) this.#count++;
      size = this.#file.readSync(buffer);
    }
    return this.#count;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }
}
