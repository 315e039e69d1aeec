/**
 * What the Python module takes of the manager's own rate: submits, tasks done by fake workers that
 * finish at once, and Python functions on a real worker of two cores.
 */
import { environmentFor } from "../support/coffea.ts";
import { moduleWants } from "../support/python_module.ts";
import { findPython } from "../support/python.ts";
import { TestBed } from "../support/wqx.ts";
import { startContestant, startFakeWorkers, time } from "./contest.ts";
import { type BenchRow, median } from "./row.ts";

const submits = 200_000;
const functions = 600;
const runs = [[5_000, 100], [5_000, 1_000]] as const;
const repeats = 3;

export async function pythonBench(): Promise<BenchRow[]> {
  const python = findPython(moduleWants);
  if ("missing" in python) return [];
  await using bed = await TestBed.create();
  const env = await environmentFor(python.path, bed);
  const start = (name: string, ...args: readonly number[]) => {
    const script = new URL(`./${name}`, import.meta.url).pathname;
    return bed.start([script, ...args.map(String)], { command: [python.path], env });
  };
  const rows: BenchRow[] = [];
  {
    await using program = start("python_submits.py", submits);
    const [, rate] = await program.says(/^submits\/s ([\d.]+)$/m);
    const [, taken] = await program.says(/^taken\/s ([\d.]+)$/m);
    const row = (name: string, value: string | undefined) =>
      rows.push({
        name: `${submits} submits in Python, ${name}`,
        value: Number(value),
        unit: "1/s",
      });
    row("taken by the module", rate);
    row("until the manager has them", taken);
  }
  for (const [tasks, workers] of runs) {
    const what = `${tasks} × true, ${workers} fake workers`;
    const seconds = async (begin: () => ReturnType<typeof startContestant>) => {
      const all: number[] = [];
      for (let i = 0; i < repeats; i++) {
        const timing = await time(await begin(), (port) => startFakeWorkers(bed, port, workers));
        all.push(timing.seconds);
      }
      return median(all);
    };
    const own = tasks / await seconds(() => startContestant(bed, "wqx_manager.ts", tasks, workers));
    const module = tasks / await seconds(async () => {
      const program = start("python_manager.py", tasks, workers);
      const [, port] = await program.says(/^port (\d+)$/m);
      return { program, port: Number(port) };
    });
    rows.push({ name: `${what}: manager alone`, value: own, unit: "tasks/s" });
    const ratio = { to: "manager alone", value: module / own };
    rows.push({ name: `${what}: through Python`, value: module, unit: "tasks/s", ratio });
  }
  {
    await using program = start("python_functions.py", functions);
    const [, port] = await program.says(/^port (\d+)$/m);
    const size = ["--cores", "2", "--memory", "2000", "--disk", "2000"];
    await using _worker = bed.start(["worker", "127.0.0.1", port!, ...size], { env });
    const [, rate] = await program.says(/^functions\/s ([\d.]+)$/m, 120_000);
    rows.push({ name: `${functions} × PythonTask, 2 cores`, value: Number(rate), unit: "tasks/s" });
  }
  return rows;
}
