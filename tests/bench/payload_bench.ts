/**
 * How fast does a large file travel to a worker and back, and what memory does that take? wqx's
 * pair beside Debian's, and beside a loop that only reads, sends, receives and writes.
 *
 * The first task has the file as a cached input and does nothing; the second one finds it in the
 * cache and renames it, so that it is its output: each of them is one transfer.
 */
import { Driver, startRealWorker } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import { peakMb } from "../support/memory.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { startModule, workQueueMissing } from "./contest.ts";
import { type BenchRow, median } from "./row.ts";

const mb = 1024 ** 2;
const largeMb = 500;
/** Memory that grew with the file would show. */
const smallMb = 50;
const repeats = 3;
const patienceMs = 300_000;

/** One transfer in and one out, seconds each. */
interface Transfers {
  readonly in: number;
  readonly out: number;
}

interface WqxRun extends Transfers {
  /** At its most, of memory in RAM; MB. */
  readonly peakMb: { readonly manager: number; readonly worker: number };
}

export async function payloadBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const large = await writeFile(bed, "large", largeMb);
  const small = await writeFile(bed, "small", smallMb);
  const smallRun = await byWqx(bed, small, smallMb);
  const wqx: WqxRun[] = [];
  const real: Transfers[] = [];
  const bare: number[] = [];
  // In turn, so that all have the same of whatever else the machine does.
  for (let i = 0; i < repeats; i++) {
    wqx.push(await byWqx(bed, large, largeMb));
    bare.push(await bareLoop(bed, large));
    if (workQueueMissing() === null) real.push(await byWorkQueue(bed, large));
  }
  const rows: BenchRow[] = [];
  const bareRate = largeMb / median(bare);
  rows.push({ name: `${largeMb} MB: bare loop`, value: bareRate, unit: "MB/s" });
  for (const way of ["in", "out"] as const) {
    const rate = largeMb / median(wqx.map((run) => run[way]));
    const name = `${largeMb} MB ${way}`;
    const ratio = { to: "bare loop", value: rate / bareRate };
    rows.push({ name: `${name}: wqx`, value: rate, unit: "MB/s", ratio });
    if (real.length === 0) continue;
    const realRate = largeMb / median(real.map((run) => run[way]));
    rows.push({ name: `${name}: Debian's pair`, value: realRate, unit: "MB/s" });
    rows.push({ name: `${name}: wqx ÷ Debian's pair`, value: rate / realRate, unit: "×" });
  }
  for (const who of ["manager", "worker"] as const) {
    const value = Math.max(...wqx.map(({ peakMb }) => peakMb[who]));
    const ratio = { to: `that with ${smallMb} MB`, value: value / smallRun.peakMb[who] };
    rows.push({
      name: `${largeMb} MB in and out: peak of the wqx ${who}`,
      value,
      unit: "MB",
      ratio,
    });
  }
  return rows;
}

/** Bytes that nothing can make smaller. */
async function writeFile(bed: TestBed, name: string, sizeMb: number): Promise<string> {
  const path = bed.folder.join(name);
  using file = await Deno.create(path);
  const piece = new Uint8Array(mb);
  for (let at = 0; at < mb; at += 65_536) crypto.getRandomValues(piece.subarray(at, at + 65_536));
  for (let i = 0; i < sizeMb; i++) {
    piece.set(new TextEncoder().encode(String(i)));
    for (let at = 0; at < mb;) at += await file.write(piece.subarray(at));
  }
  await file.sync(); // or the first transfer would share the disk with it
  return path;
}

async function byWqx(bed: TestBed, path: string, sizeMb: number): Promise<WqxRun> {
  const input = { file: path, remote_name: "f", cache: true };
  const tasks = [
    { name: "in", command: "true", inputs: [input] },
    {
      name: "out",
      after: "in",
      command: "mv f g",
      inputs: [input],
      outputs: [{ file: "back", remote_name: "g" }],
    },
  ];
  await bed.folder.write("tasks.jsonl", tasks.map((task) => `${JSON.stringify(task)}\n`).join(""));
  await using manager = bed.start(
    ["manager", "tasks.jsonl", "--workers", "none", "--port", "0", "--output", "run"],
  );
  const [, port] = await manager.says(/Listening on port (\d+)/);
  await using worker = bed.start(["worker", "127.0.0.1", port!, "--single-shot"]);
  const peaks = { manager: 0, worker: 0 };
  await until(() => {
    for (const [who, { pid }] of Object.entries({ manager, worker })) {
      const peak = peakOf(pid);
      if (peak > 0) peaks[who as keyof typeof peaks] = peak;
    }
    return !manager.running;
  }, { what: "the end of the transfers", timeoutMs: patienceMs });
  if (await manager.ended !== 0) throw new Error(manager.stderr);
  await worker.ended;
  await checkBack(bed, sizeMb);
  const seconds = new Map(
    manager.stdout.trim().split("\n").map((line) => JSON.parse(line)).map((result) =>
      [result.name, (Date.parse(result.ended) - Date.parse(result.started)) / 1000] as const
    ),
  );
  return { in: seconds.get("in")!, out: seconds.get("out")!, peakMb: peaks };
}

/** MB; 0 if the process is gone, or about to be. */
function peakOf(pid: number): number {
  try {
    return peakMb(pid);
  } catch {
    return 0;
  }
}

async function byWorkQueue(bed: TestBed, path: string): Promise<Transfers> {
  const input = ["file", "in", path, "f", 1];
  await using driver = await Driver.start(bed, [
    ["workers", 1],
    ["task", "in", "true"],
    input,
    ["submit"],
    ["wait"],
    ["task", "out", "mv f g"],
    input,
    ["file", "out", "back", "g", 0],
    ["submit"],
    ["wait"],
  ]);
  await using worker: Wqx = startRealWorker(bed, driver.port, { diskMb: 4_000 });
  const results = await driver.finish();
  await worker.ended;
  await checkBack(bed, largeMb);
  return { in: results.get("in")!.seconds, out: results.get("out")!.seconds };
}

/** Removes what came back. */
async function checkBack(bed: TestBed, sizeMb: number): Promise<void> {
  const { size } = await Deno.stat(bed.folder.join("back"));
  if (size !== sizeMb * mb) throw new Error(`${size} bytes came back, not ${sizeMb} MB`);
  await Deno.remove(bed.folder.join("back"));
}

async function bareLoop(bed: TestBed, path: string): Promise<number> {
  const copy = bed.folder.join("copy");
  await using receiver = startModule(bed, "payload_loop.ts", ["receive", copy, largeMb * mb]);
  const [, port] = await receiver.says(/^port (\d+)$/m);
  await using _sender = startModule(bed, "payload_loop.ts", ["send", path, port!]);
  const [, seconds] = await receiver.says(/^received ([\d.]+)$/m, patienceMs);
  await receiver.ended;
  await Deno.remove(copy);
  return Number(seconds);
}
