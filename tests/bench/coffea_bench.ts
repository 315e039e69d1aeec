/**
 * Sixty chunks of 2,000 events on one worker of two cores, start-up included, beside coffea's own
 * executor in one process: coffea of today with one histogram, and coffea 0.7 with its own test
 * processor on its own WorkQueueExecutor. Left out where WQX_TEST_COFFEA(07) is not set.
 */
import { coffeas, makeEvents, runScript } from "../support/coffea.ts";
import { TestBed } from "../support/wqx.ts";
import { type BenchRow, median } from "./row.ts";

const events = 120_000;
const repeats = 3;
const script = new URL("./coffea_runs.py", import.meta.url).pathname;

const kinds = {
  WQX_TEST_COFFEA: [["wqx", "coffea of today, WqxExecutor, 60 chunks"]],
  WQX_TEST_COFFEA07: [
    ["off", "coffea 0.7, WorkQueueExecutor, 60 chunks"],
    ["watchdog", "coffea 0.7, WorkQueueExecutor with the watchdog, 60 chunks"],
  ],
} as const;

export async function coffeaBench(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const coffea of coffeas) {
    if (coffea.python === "") continue;
    await using bed = await TestBed.create();
    const file = await makeEvents(coffea, bed, events);
    const seconds = async (kind: string): Promise<number> => {
      const taken: number[] = [];
      for (let i = 0; i < repeats; i++) {
        const { code, stdout, stderr } = await runScript(coffea, bed, script, file, kind);
        const line = stdout.split("\n").findLast((one) => one.startsWith("{"));
        if (code !== 0 || line === undefined) throw new Error(stdout + stderr);
        taken.push(JSON.parse(line).seconds);
      }
      return median(taken);
    };
    const alone = await seconds("iterative");
    for (const [kind, name] of kinds[coffea.variable]) {
      const value = await seconds(kind);
      const ratio = { to: "IterativeExecutor in one process", value: value / alone };
      rows.push({ name, value, unit: "s", ratio });
    }
  }
  return rows;
}
