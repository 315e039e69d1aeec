/** What does it cost to start a task, measured, beside a bare child process? */
import { openSpawner } from "../../worker/process.ts";
import { TempFolder } from "../support/temp.ts";
import type { BenchRow } from "./row.ts";

const processCount = 600;
const env = { PATH: "/usr/bin:/bin" };

/** Calls `start` in `lanes` places at once until all have run; gives processes per second. */
async function rate(lanes: number, start: (lane: number) => Promise<unknown>): Promise<number> {
  let left = processCount;
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    while (left-- > 0) await start(lane);
  }));
  return processCount / (performance.now() - startedMs) * 1000;
}

/** A process that does nothing but load `/bin/sh`, one at a time and eight at once. */
export async function spawnBench(): Promise<BenchRow[]> {
  await using folder = await TempFolder.create();
  await using spawner = openSpawner({ owner: folder.path });
  // As large as a worker that has served a while: fork would copy its page tables.
  const ballast = new Uint8Array(200 * 1024 ** 2).fill(1);
  const bare = (detached: boolean) =>
    new Deno.Command("/bin/sh", {
      args: ["-c", "true"],
      clearEnv: true,
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached,
    }).spawn().status;
  const task = async (lane: number) => {
    const outputPath = folder.join(`output.${lane}`);
    const { exited } = await spawner.spawn({ command: "true", cwd: folder.path, env, outputPath });
    return await exited;
  };

  const rows: BenchRow[] = [];
  for (const lanes of [1, 8]) {
    const to = `Deno.Command, ${lanes} at once`;
    const base = await rate(lanes, () => bare(false));
    rows.push({ name: to, value: base, unit: "1/s" });
    const others: readonly [string, (lane: number) => Promise<unknown>][] = [
      ["Deno.Command detached", () => bare(true)],
      [spawner.unmeasured === null ? "measured task" : "plain task", task],
    ];
    for (const [name, start] of others) {
      const value = await rate(lanes, start);
      const ratio = { to, value: value / base };
      rows.push({ name: `${name}, ${lanes} at once`, value, unit: "1/s", ratio });
    }
  }
  if (ballast.at(-1) !== 1) throw new Error("The ballast is gone");
  return rows;
}
