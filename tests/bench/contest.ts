/** Managers that run the same tasks on the same workers, one after the other, each timed. */
import { Driver, findPart } from "../support/cctools.ts";
import { until } from "../support/until.ts";
import type { TestBed, Wqx } from "../support/wqx.ts";

/** A program that says `port N`, `workers N` when they are there, and `repeated TASKS SECONDS`. */
export interface Contestant {
  readonly program: Wqx;
  readonly port: number;
}

export interface Timing {
  readonly seconds: number;
  /** Of a core, of what the workers' process used meanwhile. */
  readonly workersBusy: number;
  /** All that the contestant said. */
  readonly said: string;
}

/** For the slowest contestant to connect its workers and run its tasks. */
const patienceMs = 600_000;

/** `WQX_BENCH=large`: with the sizes that take many minutes. */
export const isLarge = Deno.env.get("WQX_BENCH") === "large";

/** A module of this folder as a program of its own. */
export function startModule(bed: TestBed, name: string, args: readonly (string | number)[]): Wqx {
  const path = new URL(`./${name}`, import.meta.url).pathname;
  const flags = ["-A", "--no-check", "--v8-flags=--expose-gc,--max-old-space-size=8192"];
  return bed.start(args.map(String), { command: [Deno.execPath(), "run", ...flags, path] });
}

/** One of `bare_loop.ts` and `wqx_manager.ts`. */
export async function startContestant(
  bed: TestBed,
  name: string,
  ...args: readonly number[]
): Promise<Contestant> {
  const program = startModule(bed, name, args);
  const [, port] = await program.says(/^port (\d+)$/m);
  return { program, port: Number(port) };
}

/** Why Debian's Work Queue cannot take part, or `null`. */
export function workQueueMissing(): string | null {
  const parts = ["gcc", "libwork_queue", "work_queue_worker"] as const;
  const missing = parts.filter((part) => findPart(part) === null);
  return missing.length === 0 ? null : `there is no ${missing.join(", no ")} here`;
}

/** A C program on Debian's libwork_queue. */
export async function startWorkQueue(
  bed: TestBed,
  tasks: number,
  workers: number,
): Promise<Driver> {
  return await Driver.start(bed, [["workers", workers], ["repeat", tasks, "true"]]);
}

/** Fake 8-core workers that speak that protocol, all in one process. */
export function startFakeWorkers(bed: TestBed, port: number, count: number, protocol = 11): Wqx {
  return startModule(bed, "fake_workers.ts", [port, count, 8, protocol]);
}

/** Until the contestant is done; ends it and its workers. */
export async function time({ program, port }: Contestant, start: (port: number) => Wqx): Promise<
  Timing
> {
  await using _program = program;
  await using workers = start(port);
  const wait = async (pattern: RegExp) =>
    await until(() => {
      const found = pattern.exec(program.stdout);
      if (found === null && !(program.running && workers.running)) {
        throw new Error(`It ended early: ${program.stderr}\n${workers.stderr}`);
      }
      return found;
    }, { what: `${pattern}`, timeoutMs: patienceMs });
  await wait(/^workers \d+$/m);
  const before = cpuSeconds(workers.pid);
  const [, seconds] = await wait(/^repeated \d+ ([\d.]+)$/m);
  const used = cpuSeconds(workers.pid) - before;
  return { seconds: Number(seconds), workersBusy: used / Number(seconds), said: program.stdout };
}

/** User and system time of a process so far (proc(5): fields 14 and 15, in ticks of 10 ms). */
function cpuSeconds(pid: number): number {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(") ") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return NaN; // it ended with its manager
  }
}
