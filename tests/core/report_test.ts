import assert from "node:assert/strict";
import type { Item } from "../../core/analysis/items.ts";
import { RunReport } from "../../core/analysis/report.ts";
import { workerId } from "../../core/ids.ts";
import type { Attempt } from "../../core/scheduler/tasks.ts";
import { inputFile, resources } from "../support/builders.ts";
import { attemptOf } from "../support/course.ts";

function attempt(options: Partial<Attempt> = {}): Attempt {
  return attemptOf({ box: resources(2), wallMs: 1900, ...options });
}

const chunk = (leaf: number): Item => ({
  kind: "process",
  leaf,
  piece: [],
  file: inputFile("a.root"),
  uuid: "",
  range: { start: 100 * leaf, stop: 100 * leaf + 100 },
});
const preprocess: Item = { kind: "preprocess", file: inputFile("a.root") };

const crash = { kind: "failure", code: 0, why: "it ended with exit code 1" } as const;
const lost = { kind: "lost", why: "the link broke" } as const;
const success = { kind: "success" } as const;

Deno.test("a report lists every task with its attempts, in ms since the start of the run", () => {
  const report = new RunReport(900);
  const measured = { cpuUserMs: 1500, cpuSystemMs: 100, memoryPeakMb: 250.5 };
  const attempts = [
    attempt({ ending: lost, exitCode: null, wallMs: 0, endedMs: 1500.4 }),
    attempt({ worker: workerId("w2"), measured }),
  ];
  assert.deepEqual([report.add("p-0", chunk(0), success, attempts)], [{
    item: "p-0",
    what: 'processing events [0, 100) of "a.root" (dataset A)',
    category: "processing",
    end: "success",
    attempts: [
      {
        host: "node7",
        worker: "w1",
        startedMs: 100,
        endedMs: 600,
        wallMs: 0,
        cpuMs: null,
        memoryMb: null,
        allocated: { cores: 2, memoryMb: 2000, diskMb: 4000 },
        exitCode: null,
        ending: "the link broke",
      },
      {
        host: "node7",
        worker: "w2",
        startedMs: 100,
        endedMs: 2100,
        wallMs: 1900,
        cpuMs: 1600,
        memoryMb: 250.5,
        allocated: { cores: 2, memoryMb: 2000, diskMb: 4000 },
        exitCode: 0,
        ending: "success",
      },
    ],
  }]);
});

Deno.test("the summary has a row for each category that had tasks, in the order of the run", () => {
  const report = new RunReport(0);
  const measured = (cpuUserMs: number, memoryPeakMb: number) => ({
    cpuUserMs,
    cpuSystemMs: 100,
    memoryPeakMb,
  });
  report.add("p-0", chunk(0), success, [attempt({ measured: measured(900, 200) })]);
  report.add("p-1", chunk(1), success, [
    attempt({ ending: crash, exitCode: 1, wallMs: 500, measured: measured(400, 300) }),
    attempt({ wallMs: 100 }),
  ]);
  report.add("p-2", chunk(2), crash, [attempt({ ending: crash, exitCode: 1, wallMs: 0 })]);
  report.add("p-3", chunk(3), { kind: "canceled" }, []);
  report.add("pre-0", preprocess, success, [attempt()]);
  assert.deepEqual(report.summary(), [
    {
      category: "preprocessing",
      tasks: 1,
      retries: 0,
      failed: 0,
      wallSeconds: 1.9,
      cpuSeconds: null,
      memoryMbMax: null,
      eventsPerSecond: null,
    },
    {
      category: "processing",
      tasks: 4,
      retries: 1,
      failed: 1,
      wallSeconds: 2.5,
      cpuSeconds: 1.5,
      memoryMbMax: 300,
      eventsPerSecond: 100, // 200 events in the 2 s of the attempts that succeeded
    },
  ]);
});

Deno.test("nothing ran, nothing to tell", () => {
  assert.deepEqual(new RunReport(0).summary(), []);
});

Deno.test("a rate without time is no rate", () => {
  const report = new RunReport(0);
  report.add("p-0", chunk(0), success, [attempt({ wallMs: 0 })]);
  assert.equal(report.summary()[0]?.eventsPerSecond, null);
});

Deno.test("a summary of very many tasks is no different", () => {
  const report = new RunReport(0);
  const measured = { cpuUserMs: 1, cpuSystemMs: 1, memoryPeakMb: 1 };
  for (let i = 0; i < 200_000; i++) report.add("p", chunk(i), success, [attempt({ measured })]);
  assert.equal(report.summary()[0]?.memoryMbMax, 1);
});
