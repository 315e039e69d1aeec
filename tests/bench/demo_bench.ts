/** Events a second of the bundled analysis, as a user runs it: start to pictures. */
import { demo, readJson, TestBed } from "../support/wqx.ts";
import { type BenchRow, median } from "./row.ts";

const repeats = 3;

export async function demoBench(): Promise<BenchRow[]> {
  const whole: number[] = [];
  const inTasks: number[] = [];
  for (let i = 0; i < repeats; i++) {
    await using bed = await TestBed.create();
    const startedMs = performance.now();
    const run = await bed.run(["manager", `${demo}/analysis.yaml`, "--output", "out", "--quiet"]);
    if (run.code !== 0) throw new Error(run.stderr);
    const seconds = (performance.now() - startedMs) / 1000;
    const report = await readJson(bed.folder.join("out/report.json"));
    whole.push(report.events.processed / seconds);
    const processing = report.categories.find(
      (row: { category: string }) => row.category === "processing",
    );
    inTasks.push(processing.eventsPerSecond);
  }
  return [
    { name: "demo, from command to pictures", value: median(whole), unit: "events/s" },
    { name: "demo, a processing task", value: median(inTasks), unit: "events/s" },
  ];
}
