import assert from "node:assert/strict";
import fc from "fast-check";
import { pointsMax, Thinned, Timeline } from "../../core/analysis/timeline.ts";
import { resources } from "../support/builders.ts";
import { attemptOf, chunkOf, exhaustedOf, measuredOf, preprocessing } from "../support/course.ts";

const only = (amount: number) => ({ low: amount, high: amount });
const nothing = { waiting: 0, running: 0, done: 0, workers: 0 };

Deno.test("an attempt is kept with its box and what it took, in ms since the start of the run", () => {
  const timeline = new Timeline(900);
  timeline.attempt(preprocessing, attemptOf({ measured: measuredOf(250) }));
  const { categories, endMs } = timeline.course;
  assert.equal(endMs, 2100);
  assert.deepEqual(categories, [{
    name: "preprocessing",
    attempts: [{
      startMs: 100,
      endMs: 2100,
      memoryMb: { box: only(500), measured: only(250) },
      cores: { box: only(2), measured: only(0.5) },
    }],
    exhausted: { memoryMb: [], cores: [] },
    attemptCount: 1,
    exhaustedCount: 0,
  }]);
});

Deno.test("the monitor's memory counts where it saw more, and cores need a time", () => {
  const timeline = new Timeline(0);
  const measured = { ...measuredOf(250), monitored: { memory: 300 } };
  timeline.attempt(preprocessing, attemptOf({ measured, wallMs: 0 }));
  const [attempt] = timeline.course.categories[0]!.attempts;
  assert.deepEqual(attempt!.memoryMb.measured, only(300));
  assert.equal(attempt!.cores.measured, null);
});

Deno.test("an attempt that was lost had a box and took nothing that is known", () => {
  const timeline = new Timeline(0);
  timeline.attempt(preprocessing, attemptOf({ ending: { kind: "lost", why: "" }, wallMs: 0 }));
  const [attempt] = timeline.course.categories[0]!.attempts;
  assert.deepEqual(attempt!.memoryMb, { box: only(500), measured: null });
});

Deno.test("what an attempt outgrew is a mark of its own, at what was measured or at its box", () => {
  const timeline = new Timeline(0);
  const measured = measuredOf(480);
  timeline.attempt(chunkOf(100), attemptOf({ ending: exhaustedOf(520), measured }));
  timeline.attempt(chunkOf(100), attemptOf({ ending: exhaustedOf(null), measured }));
  const { attempts, exhausted, attemptCount, exhaustedCount } = timeline.course.categories[0]!;
  assert.deepEqual(exhausted, {
    memoryMb: [{ atMs: 3000, amount: 520 }, { atMs: 3000, amount: 500 }],
    cores: [],
  });
  assert.deepEqual(attempts.map(({ memoryMb }) => memoryMb.measured), [null, null]);
  assert.deepEqual(attempts.map(({ cores }) => cores.measured), [only(0.5), only(0.5)]);
  assert.deepEqual([attemptCount, exhaustedCount], [2, 2]);
});

Deno.test("chunks are kept when they are processed or exhausted, and not for other failures", () => {
  const timeline = new Timeline(0);
  const why = { kind: "failure", code: 0, why: "it ended with exit code 1" } as const;
  timeline.attempt(chunkOf(4000), attemptOf({ ending: exhaustedOf(520) }));
  timeline.attempt(chunkOf(3000), attemptOf({ ending: why }));
  timeline.attempt(chunkOf(2000), attemptOf({ startedMs: 2000 }));
  timeline.attempt(preprocessing, attemptOf());
  assert.deepEqual(timeline.course.datasets, [{
    name: "A",
    chunks: [{ atMs: 2000, events: only(2000) }],
    exhausted: [{ atMs: 1000, events: only(4000) }],
    chunkCount: 1,
    exhaustedCount: 1,
  }]);
});

Deno.test("a chunk that ran for too long was exhausted too", () => {
  const timeline = new Timeline(0);
  const exhausted = { resource: "wall_time", limit: 1, measured: 1.5 };
  const ending = { kind: "failure", code: 0, why: "", exhausted } as const;
  timeline.attempt(chunkOf(4000), attemptOf({ ending, measured: measuredOf(300) }));
  const { categories: [category], datasets: [dataset] } = timeline.course;
  assert.equal(dataset!.exhaustedCount, 1);
  assert.deepEqual([category!.exhaustedCount, category!.attempts[0]!.memoryMb.measured], [
    0,
    only(300),
  ]);
});

Deno.test("datasets for which there is no colour left are kept as one", () => {
  const timeline = new Timeline(0);
  for (let i = 0; i < 12; i++) timeline.attempt(chunkOf(100, `d${i}`), attemptOf());
  timeline.attempt(chunkOf(100, "d3"), attemptOf());
  const { datasets } = timeline.course;
  assert.deepEqual(datasets.map(({ name }) => name), [
    ...Array.from({ length: 9 }, (_, i) => `d${i}`),
    null,
  ]);
  assert.deepEqual([datasets[3]!.chunkCount, datasets[9]!.chunkCount], [2, 3]);
});

Deno.test("of what is counted, four numbers are kept", () => {
  const timeline = new Timeline(100);
  const counts = { ...nothing, waiting: 3, workers: 1 };
  timeline.counts(Object.assign({ failedAttempts: 7 }, counts), 350);
  assert.deepEqual(timeline.course.counts, [{ atMs: 250, ...counts }]);
});

Deno.test("a long run takes no more room than a short one, and its extremes are kept", () => {
  const timeline = new Timeline(0);
  const n = 20_000;
  for (let i = 0; i < n; i++) {
    const measured = measuredOf(i === 7777 ? 490 : 200 + i % 100);
    const box = resources(1, i === 5000 ? 900 : 500);
    timeline.attempt(
      chunkOf(i === 1234 ? 9 : 1000),
      attemptOf({ startedMs: i, endedMs: i + 1, box, measured }),
    );
    timeline.counts({ ...nothing, done: i }, i + 1);
  }
  const { categories: [category], datasets: [dataset], counts, endMs } = timeline.course;
  const { attempts, attemptCount } = category!;
  for (const series of [attempts, dataset!.chunks, counts]) {
    assert.ok(series.length <= pointsMax && series.length > pointsMax / 2, `${series.length}`);
  }
  assert.equal(attemptCount, n);
  const memory = attempts.map(({ memoryMb }) => memoryMb);
  assert.equal(Math.max(...memory.map(({ measured }) => measured!.high)), 490);
  assert.equal(Math.min(...memory.map(({ measured }) => measured!.low)), 200);
  assert.equal(Math.max(...memory.map(({ box }) => box.high)), 900);
  assert.equal(Math.min(...dataset!.chunks.map(({ events }) => events.low)), 9);
  assert.deepEqual([attempts[0]!.startMs, attempts.at(-1)!.endMs, endMs], [0, n, n]);
  assert.equal(counts.at(-1)!.done, n - 1);
});

Deno.test("a thinned series has each value once, in order, in points of one size but the last", () => {
  const cases = fc.record({ half: fc.integer({ min: 1, max: 8 }), count: fc.nat(200) });
  fc.assert(fc.property(cases, ({ half, count }) => {
    const series = new Thinned<readonly number[]>(2 * half, (a, b) => [...a, ...b]);
    for (let i = 0; i < count; i++) {
      series.add([i]);
      assert.ok(series.points.length <= 2 * half);
    }
    assert.deepEqual(series.points.flat(), Array.from({ length: count }, (_, i) => i));
    assert.equal(series.count, count);
    const [first, ...others] = series.points.map((point) => point.length);
    for (const size of others.slice(0, -1)) assert.equal(size, first);
    assert.ok((others.at(-1) ?? 0) <= (first ?? 0));
  }));
});
