/**
 * What does a changed environment archive cost a worker that has the one of before? 300 MB, of
 * which 1 MB in the middle is another, over a link of 1 Gbit/s: sent whole, and in pieces, on this
 * link and by the next manager; time, bytes, and CPU time of both ends.
 */
import { Recorder } from "../support/recorder.ts";
import { until } from "../support/until.ts";
import { TestBed, type Wqx } from "../support/wqx.ts";
import { type BenchRow, median } from "./row.ts";

const mb = 1024 ** 2;
const sizeMb = 300;
const changedMb = 1;
const repeats = 3;
/** Bytes a ms. */
const rate = 120_000;

/** Of one sending; seconds. */
interface Sending {
  readonly seconds: number;
  /** Of manager and worker together. */
  readonly cpuSeconds: number;
}

interface Figures {
  readonly whole: Sending;
  readonly here: Sending;
  readonly next: Sending;
  /** Sent by the next manager. */
  readonly bytes: number;
}

export async function piecesBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const before = randomBytes(sizeMb);
  await Deno.writeFile(bed.folder.join("before"), before);
  before.set(randomBytes(changedMb), sizeMb / 2 * mb);
  await Deno.writeFile(bed.folder.join("after"), before);
  const runs: Figures[] = [];
  for (let i = 0; i < repeats; i++) runs.push(await run(bed));
  const bytes = median(runs.map((one) => one.bytes));
  const whole = median(runs.map((one) => one.whole.seconds));
  const cpuWhole = median(runs.map((one) => one.whole.cpuSeconds));
  const words = { whole: "whole", here: "on this link", next: "by the next manager" };
  const rows = Object.entries(words).flatMap(([key, what]): BenchRow[] => {
    const of = key as keyof typeof words;
    const value = median(runs.map((one) => one[of].seconds));
    const cpu = median(runs.map((one) => one[of].cpuSeconds));
    const name = `${sizeMb} MB, ${changedMb} MB changed: ${what}`;
    return [
      { name, value, unit: "s", ratio: { to: "whole", value: value / whole } },
      {
        name: `${name}, CPU`,
        value: cpu,
        unit: "s",
        ratio: { to: "whole", value: cpu / cpuWhole },
      },
    ];
  });
  return [...rows, { name: "bytes of it that were sent", value: bytes / mb, unit: "MB" }];
}

function randomBytes(sizeMb: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeMb * mb);
  for (let at = 0; at < bytes.length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/** With a link to it that has its speed. */
async function startManager(bed: TestBed): Promise<[Wqx, Recorder]> {
  const output = await Deno.makeTempDir({ dir: bed.folder.path });
  const args = ["manager", "-", "--workers", "none", "--output", `${output}/run`];
  const manager = bed.start(args, { stdin: "piped" });
  const [, port] = await manager.says(/Listening on port (\d+)/);
  return [manager, Recorder.before(Number(port), rate)];
}

async function run(bed: TestBed): Promise<Figures> {
  const [first, toFirst] = await startManager(bed);
  await using _first = first;
  await using _toFirst = toFirst;
  const [second, toSecond] = await startManager(bed);
  await using _second = second;
  await using _toSecond = toSecond;
  const backoff = ["--min-backoff", "20ms", "--max-backoff", "50ms"];
  const managers = `127.0.0.1:${toFirst.port};127.0.0.1:${toSecond.port}`;
  await using worker = bed.start(["worker", managers, "--cores", "1", ...backoff]);
  await send(bed, first, worker, "warm-up", null);
  const whole = await send(bed, first, worker, "one", "before");
  first.signal("SIGKILL"); // or it would send the worker away
  await first.ended;
  await toFirst[Symbol.asyncDispose]();
  await until(() => keptHashes(bed).length === 1, { what: "the hash of the file" });
  await send(bed, second, worker, "warm-up", null);
  const before = toSecond.bytes("M");
  const next = await send(bed, second, worker, "two", "after");
  const bytes = toSecond.bytes("M") - before;
  await second.closeInput();
  await Promise.all([second.ended, worker.ended]);
  return { whole, here: await onOneLink(bed), next, bytes };
}

/** The changed file, by a manager that has sent the one of before. */
async function onOneLink(bed: TestBed): Promise<Sending> {
  const [manager, recorder] = await startManager(bed);
  await using _manager = manager;
  await using _recorder = recorder;
  await using worker = bed.start(["worker", `127.0.0.1:${recorder.port}`, "--cores", "1"]);
  await send(bed, manager, worker, "one", "before");
  const sending = await send(bed, manager, worker, "two", "after");
  await manager.closeInput();
  await Promise.all([manager.ended, worker.ended]);
  return sending;
}

function keptHashes(bed: TestBed): string[] {
  const scratch = bed.folder.join("tmp");
  return [...Deno.readDirSync(scratch)].filter(({ name }) => name.startsWith("worker-"))
    .flatMap(({ name }) => [...Deno.readDirSync(`${scratch}/${name}/kept`)])
    .map(({ name }) => name).filter((name) => /^[0-9a-f]{64}$/.test(name));
}

async function send(
  bed: TestBed,
  manager: Wqx,
  worker: Wqx,
  name: string,
  file: string | null,
): Promise<Sending> {
  const inputs = file === null
    ? []
    : [{ file: bed.folder.join(file), remote_name: "f", cache: true }];
  const used = () => cpuSeconds(manager.pid) + cpuSeconds(worker.pid);
  const usedBefore = used();
  const startedMs = performance.now();
  await manager.write(`${JSON.stringify({ name, command: "true", inputs })}\n`);
  await manager.says(new RegExp(`"name":"${name}"`));
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: used() - usedBefore,
  };
}

/** User and system time so far; of 100 ticks a second. */
function cpuSeconds(pid: number): number {
  const words = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(words[11]) + Number(words[12])) / 100;
}
