/** Attempts and courses of runs, for tests of their pictures. */
import type { Item } from "../../core/analysis/items.ts";
import { type Course, Timeline } from "../../core/analysis/timeline.ts";
import { workerId } from "../../core/ids.ts";
import type { Attempt } from "../../core/scheduler/tasks.ts";
import { inputFile, nothingMoved, resources } from "./builders.ts";

/** From 1 s to 3 s of the clock, in a box of 2 cores and 500 MB, of which it measured nothing. */
export function attemptOf(options: Partial<Attempt> = {}): Attempt {
  return {
    worker: workerId("w1"),
    host: "node7",
    startedMs: 1000,
    endedMs: 3000,
    box: resources(2, 500),
    ending: { kind: "success" },
    exitCode: 0,
    wallMs: 1000,
    measured: null,
    printed: new Uint8Array(0),
    moved: nothingMoved,
    ...options,
  };
}

/** So much memory, and 0.5 cores where it ran for 1 s. */
export function measuredOf(memoryPeakMb: number): NonNullable<Attempt["measured"]> {
  return { memoryPeakMb, cpuUserMs: 400, cpuSystemMs: 100 };
}

/** It was ended for more memory than its box has. */
export function exhaustedOf(measured: number | null): Attempt["ending"] {
  const exhausted = { resource: "memory", limit: 500, measured };
  return { kind: "failure", code: 0, why: "it used too much memory", exhausted };
}

export function chunkOf(events: number, dataset = "A"): Item {
  return {
    kind: "process",
    leaf: 0,
    piece: [],
    file: inputFile("a.root", { dataset }),
    uuid: "",
    range: { start: 10, stop: 10 + events },
  };
}

export const preprocessing: Item = { kind: "preprocess", file: inputFile("a.root") };

/** A run with something for every mark of the pictures. */
export function sampleCourse(): Course {
  const timeline = new Timeline(0);
  const counts = { waiting: 0, running: 0, done: 0, workers: 0 };
  timeline.counts({ ...counts, waiting: 2 }, 0);
  timeline.attempt(preprocessing, attemptOf({ measured: measuredOf(60) }));
  timeline.counts({ waiting: 3, running: 2, done: 1, workers: 1 }, 3000);
  for (const dataset of ["DY", "tt"]) {
    const ending = exhaustedOf(520);
    timeline.attempt(chunkOf(4000, dataset), attemptOf({ endedMs: 5000, ending }));
    const second = { startedMs: 5000, endedMs: 9000, measured: measuredOf(400) };
    timeline.attempt(chunkOf(2000, dataset), attemptOf(second));
  }
  timeline.counts({ ...counts, done: 5 }, 10_000);
  return timeline.course;
}
