/**
 * What the manager's API takes of the manager's own rate: submits through the socket by a client
 * that only writes, TypeScript and Python, and tasks done by fake workers that finish at once.
 */
import { ManagerClient } from "../../io/api_client.ts";
import { findPython } from "../support/python.ts";
import { TestBed, wqxFromSource } from "../support/wqx.ts";
import { startContestant, startFakeWorkers, time } from "./contest.ts";
import { type BenchRow, median } from "./row.ts";

const submits = 200_000;
/** The few are over before either side is warm. */
const runs = [[5_000, 100], [5_000, 1_000], [40_000, 100]] as const;
const repeats = 3;

export async function apiBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const rows: BenchRow[] = [{
    name: `${submits} submits through the API, TypeScript`,
    value: await submitRate(),
    unit: "tasks/s",
  }];
  const python = await pythonSubmitRate(bed);
  if (python !== null) {
    rows.push({
      name: `${submits} submits through the API, Python that only writes`,
      value: python,
      unit: "tasks/s",
    });
  }
  for (const [doneTasks, count] of runs) {
    const what = `${doneTasks} × true, ${count} fake workers`;
    const rate = async (name: string) => {
      const seconds: number[] = [];
      for (let i = 0; i < repeats; i++) {
        const contestant = await startContestant(bed, name, doneTasks, count);
        const timing = await time(contestant, (port) => startFakeWorkers(bed, port, count));
        seconds.push(timing.seconds);
      }
      return doneTasks / median(seconds);
    };
    const own = await rate("wqx_manager.ts");
    const api = await rate("api_manager.ts");
    rows.push({ name: `${what}: manager alone`, value: own, unit: "tasks/s" });
    const ratio = { to: "manager alone", value: api / own };
    rows.push({ name: `${what}: through the API`, value: api, unit: "tasks/s", ratio });
  }
  return rows;
}

/** Until the manager has them all. */
async function submitRate(): Promise<number> {
  await using client = await ManagerClient.start({ wqx: wqxFromSource, args: ["--quiet"] });
  const startedMs = performance.now();
  for (let i = 0; i < submits; i++) client.submit({ command: "true", options: { cores: 1 } });
  await client.stats();
  return submits / (performance.now() - startedMs) * 1000;
}

async function pythonSubmitRate(bed: TestBed): Promise<number | null> {
  const python = findPython(["json"]);
  if ("missing" in python) return null;
  const script = new URL("./api_submits.py", import.meta.url).pathname;
  const args = [script, String(submits), ...wqxFromSource];
  const run = await bed.run(args, { command: [python.path] });
  const [, rate] = /^submits\/s ([\d.]+)$/m.exec(run.stdout) ?? [];
  if (rate === undefined) throw new Error(`The Python client failed: ${run.stderr}${run.stdout}`);
  return Number(rate);
}
