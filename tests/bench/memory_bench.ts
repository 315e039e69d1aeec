/**
 * Does the memory of a manager stay flat? `wqx manager` runs an analysis of 100,000 chunks on fake
 * workers in another process; its resident memory after so many of them, as the kernel counts it.
 */
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";
import { startModule } from "./contest.ts";
import type { BenchRow } from "./row.ts";

const chunkSize = 100;
const fileCount = 100;
const chunksOfFile = 1000;
const lookedAt = [10_000, 20_000, 50_000, 100_000];
const [workerCount, cores] = [8, 8];
const patienceMs = 1_200_000;

const analysis = `
name: flat
datasets:
  all:
    files: [${
  Array.from({ length: fileCount }, (_, i) => `"http://127.0.0.1:1/${i}.root"`).join(", ")
}]
processor: { command: "true" }
chunksize: ${chunkSize}
workers: none
port: 0
output: out
`;

export async function memoryBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  await bed.folder.write("analysis.yaml", analysis);
  await using manager = bed.start(["manager", "analysis.yaml"]);
  const [, port] = await manager.says(/Listening on port (\d+)/, patienceMs);
  const args = [port!, workerCount, cores, chunkSize * chunksOfFile];
  await using workers = startModule(bed, "fake_analysis_workers.ts", args);
  const rows: BenchRow[] = [];
  for (const chunks of lookedAt) {
    await until(() => {
      if (!manager.running) throw new Error(`The manager ended: ${manager.stderr}`);
      return workers.stdout.includes(`chunks ${chunks}\n`);
    }, { what: `${chunks} chunks`, timeoutMs: patienceMs });
    rows.push({
      name: `manager of an analysis, resident after ${chunks} chunks`,
      value: residentMb(manager.pid),
      unit: "MB",
    }, {
      name: `files in its run folder after ${chunks} chunks`,
      value: [...Deno.readDirSync(bed.folder.join("out/.parts"))].length,
      unit: "",
    });
  }
  const code = await manager.ended;
  if (code !== 0) throw new Error(`The manager ended with ${code}: ${manager.stderr}`);
  return rows;
}

/** `VmRSS` of proc(5). */
function residentMb(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s*(\d+)/m.exec(text)![1]) / 1024;
}
