import assert from "node:assert/strict";
import type { GroupMark, Spec } from "vega";
import { type Course, Timeline } from "../../core/analysis/timeline.ts";
import {
  allocationFigure,
  chunksFigure,
  coursePictures,
  tasksFigure,
} from "../../core/plot/course.ts";
import { resources } from "../support/builders.ts";
import {
  attemptOf,
  chunkOf,
  exhaustedOf,
  measuredOf,
  preprocessing,
  sampleCourse,
} from "../support/course.ts";

const none: Course = new Timeline(0).course;

/** A run of one attempt that ends after so many ms, in a box of so many MB. */
function courseOf(endedMs: number, memoryMb = 500, usedMb = 300): Course {
  const timeline = new Timeline(0);
  const box = resources(1, memoryMb);
  timeline.attempt(
    chunkOf(1000),
    attemptOf({ startedMs: 0, endedMs, box, measured: measuredOf(usedMb) }),
  );
  return timeline.course;
}

Deno.test("boxes are lines from start to end, use is a dot at the end, in the units of the axes", () => {
  const { panels, xTitle } = allocationFigure(courseOf(120_000, 20_480, 5120), "")!;
  assert.equal(xTitle, "Time since the start [s]");
  const [memory, cores] = panels;
  assert.deepEqual([memory!.yTitle, cores!.yTitle], ["Memory [GB]", "Cores"]);
  const { name, lines, dots, crosses } = memory!.series[0]!;
  assert.equal(name, "processing");
  assert.deepEqual(lines, [{ x: 0, x2: 120, y: 20, y2: 20 }]);
  assert.deepEqual(dots, [{ x: 120, x2: 120, y: 5, y2: 5 }]);
  assert.deepEqual(crosses, []);
  assert.deepEqual(cores!.series[0]!.dots, [{ x: 120, x2: 120, y: 0.5, y2: 0.5 }]);
});

Deno.test("attempts drawn together show all boxes and the span of what was used", () => {
  const together: Course = {
    ...none,
    endMs: 4000,
    categories: [{
      name: "processing",
      attempts: [{
        startMs: 1000,
        endMs: 4000,
        memoryMb: { box: { low: 400, high: 500 }, measured: { low: 100, high: 300 } },
        cores: { box: { low: 1, high: 1 }, measured: null },
      }],
      exhausted: { memoryMb: [], cores: [] },
      attemptCount: 2,
      exhaustedCount: 0,
    }],
  };
  const { panels: [memory, cores] } = allocationFigure(together, "")!;
  assert.deepEqual(memory!.series[0]!.lines, [
    { x: 1, x2: 4, y: 400, y2: 400 },
    { x: 1, x2: 4, y: 500, y2: 500 },
  ]);
  assert.deepEqual(memory!.series[0]!.dots, [{ x: 4, x2: 4, y: 100, y2: 300 }]);
  assert.deepEqual([cores!.series[0]!.lines!.length, cores!.series[0]!.dots], [1, []]);
});

Deno.test("the time is in a unit of which the run has a few", () => {
  const cases: [number, string, number][] = [
    [0, "s", 0],
    [179_000, "s", 179],
    [180_000, "min", 3],
    [3 * 3_600_000 - 60_000, "min", 179],
    [3 * 3_600_000, "h", 3],
    [90 * 3_600_000, "h", 90],
  ];
  for (const [endMs, unit, amount] of cases) {
    const { xTitle, xMax, panels } = allocationFigure(courseOf(endMs), "")!;
    assert.equal(xTitle, `Time since the start [${unit}]`);
    assert.equal(panels[0]!.series[0]!.dots![0]!.x, amount);
    assert.ok(xMax > amount && xMax <= Math.max(1.02 * amount, 0.002), `${xMax}`);
  }
});

Deno.test("memory is in MB up to 10 GB, and on a logarithmic scale where it spans much", () => {
  const shown = (boxMb: number, usedMb: number) => {
    const [memory] = allocationFigure(courseOf(1000, boxMb, usedMb), "")!.panels;
    return [memory!.yTitle, memory!.log];
  };
  assert.deepEqual(shown(10_239, 600), ["Memory [MB]", false]);
  assert.deepEqual(shown(10_240, 600), ["Memory [GB]", false]);
  assert.deepEqual(shown(2000, 100), ["Memory [MB]", true]);
  assert.deepEqual(shown(1999, 100), ["Memory [MB]", false]);
  assert.deepEqual(shown(2000, 0), ["Memory [MB]", false]);
});

Deno.test("the pictures say what their marks are, and how many attempts and chunks there were", () => {
  const course = sampleCourse();
  const allocation = allocationFigure(course, "demo")!;
  assert.equal(allocation.title, "demo: resources given and used");
  assert.deepEqual(allocation.remarks, [
    "lines: given, dots: used (memory at its peak, cores on average), crosses: exhausted",
  ]);
  assert.deepEqual(allocation.counts, ["5 attempts", "2 exhausted"]);
  const chunks = chunksFigure(course, "demo")!;
  assert.deepEqual(chunks.remarks, ["dots: processed, crosses: exhausted attempts"]);
  assert.deepEqual(chunks.counts, ["2 chunks", "2 exhausted attempts"]);
  const well = courseOf(1000);
  assert.deepEqual(allocationFigure(well, "")!.counts, ["1 attempt"]);
  assert.deepEqual([chunksFigure(well, "")!.remarks, chunksFigure(well, "")!.counts], [[], [
    "1 chunk",
  ]]);
});

Deno.test("that no worker measured anything is told", () => {
  const timeline = new Timeline(0);
  timeline.attempt(preprocessing, attemptOf());
  const { remarks } = allocationFigure(timeline.course, "")!;
  assert.deepEqual(remarks, ["lines: given; no worker measured what was used"]);
});

Deno.test("chunks have the colour of their dataset, which is named where there are several", () => {
  const names = (datasets: number) => {
    const timeline = new Timeline(0);
    for (let i = 0; i < datasets; i++) timeline.attempt(chunkOf(100, `d${i}`), attemptOf());
    const { series } = chunksFigure(timeline.course, "")!.panels[0]!;
    assert.equal(new Set(series.map(({ color }) => color)).size, series.length);
    return series.map(({ name }) => name);
  };
  assert.deepEqual(names(1), [""]);
  assert.deepEqual(names(2), ["d0", "d1"]);
  assert.deepEqual(names(11).slice(-2), ["d8", "other datasets"]);
});

Deno.test("chunks that were exhausted are crosses beside those that were processed", () => {
  const timeline = new Timeline(0);
  timeline.attempt(chunkOf(40_000), attemptOf({ ending: exhaustedOf(520) }));
  timeline.attempt(chunkOf(1000), attemptOf({ startedMs: 2000 }));
  const { yTitle, log, series } = chunksFigure(timeline.course, "")!.panels[0]!;
  assert.deepEqual([yTitle, log], ["Events / chunk", true]);
  assert.deepEqual(series[0]!.dots, [{ x: 2, x2: 2, y: 1000, y2: 1000 }]);
  assert.deepEqual(series[0]!.crosses, [{ x: 1, y: 40_000 }]);
});

Deno.test("counts hold until the next ones, the last to the end of the run", () => {
  const { panels, counts } = tasksFigure(sampleCourse(), "")!;
  const steps = Object.fromEntries(
    panels.flatMap(({ series }) => series.map(({ name, steps }) => [name, steps])),
  );
  assert.deepEqual(Object.keys(steps), ["done", "tasks waiting", "tasks running", "workers"]);
  assert.deepEqual(steps["tasks waiting"], [
    { x: 0, y: 2 },
    { x: 3, y: 3 },
    { x: 10, y: 0 },
    { x: 10, y: 0 },
  ]);
  assert.deepEqual(steps["done"]!.map(({ y }) => y), [0, 1, 5, 5]);
  assert.deepEqual(steps["workers"]!.map(({ y }) => y), [0, 1, 0, 0]);
  assert.deepEqual(counts, ["5 tasks done", "at most 1 worker"]);
});

Deno.test("there are pictures only of what there was", () => {
  const names = (course: Course) => coursePictures(course, "").map(({ name }) => name);
  assert.deepEqual(names(none), []);
  assert.deepEqual(names(courseOf(1000)), ["allocation", "chunks"]);
  const timeline = new Timeline(0);
  timeline.attempt(preprocessing, attemptOf());
  timeline.counts({ waiting: 0, running: 0, done: 0, workers: 0 }, 0);
  assert.deepEqual(names(timeline.course), ["allocation", "tasks"]);
});

/** The numbers that a group mark is drawn with. */
function boxOf({ encode }: GroupMark): { y: number; height: number } {
  const { y, height } = encode!.enter as Record<"y" | "height", { value: number }>;
  return { y: y.value, height: height.value };
}

function panelsOf(spec: Spec): GroupMark[] {
  return (spec.marks ?? []).filter((mark): mark is GroupMark => mark.type === "group");
}

Deno.test("panels fill the frame of a slide one below the other, the lowest has the times", () => {
  for (const { name, spec } of coursePictures(sampleCourse(), "demo")) {
    const { left, right, top, bottom } = spec.padding as Record<string, number>;
    assert.equal(Number(spec.width) + left! + right!, 1280);
    assert.equal(Number(spec.height) + top! + bottom!, 720);
    const panels = panelsOf(spec);
    assert.equal(panels.length, name === "chunks" ? 1 : 2);
    let end = 0;
    for (const panel of panels) {
      const { y, height } = boxOf(panel);
      assert.ok(y >= end && height > 150, `${name}: ${y}, ${height}`);
      end = y + height;
      const times = panel.axes!.filter(({ scale, labels }) => scale === "x" && labels !== false);
      assert.equal(times.length, panel === panels.at(-1) ? 1 : 0, name);
    }
    assert.ok(Math.abs(end - Number(spec.height)) < 1e-6, `${name}: ${end}`);
  }
});

Deno.test("counts have no ticks between whole numbers", () => {
  for (const { name, spec } of coursePictures(sampleCourse(), "")) {
    for (const panel of panelsOf(spec)) {
      const amounts = panel.axes!.filter(({ scale }) => scale === "y");
      const whole = amounts.every(({ tickMinStep }) => tickMinStep === 1);
      assert.equal(whole, name !== "allocation", name);
    }
  }
});

Deno.test("a course has the same pictures each time", () => {
  const course = sampleCourse();
  assert.deepEqual(coursePictures(course, "demo"), coursePictures(course, "demo"));
});
