import assert from "node:assert/strict";
import fc from "fast-check";
import { coffeaChunkSize, CoffeaSizer } from "../../core/chunks/coffea.ts";
import { SizeEvidence } from "../../core/chunks/evidence.ts";
import { lineThrough, quantile, weightedMedian } from "../../core/chunks/fit.ts";
import { FixedSizer } from "../../core/chunks/fixed.ts";
import { RobustSizer } from "../../core/chunks/robust.ts";
import type { ChunkDone, ChunkExhausted, ChunkTargets } from "../../core/chunks/sizer.ts";
import { seededRng } from "../../core/env.ts";

type Report = readonly [events: number, seconds: number, memoryMb: number | null];

function done([events, seconds, memoryMb]: Report, dataset = "A"): ChunkDone {
  return { dataset, events, memoryMb, wallMs: 1000 * seconds };
}

function outgrown(events: number, limit: number, dataset = "A"): ChunkExhausted {
  return { dataset, events, resource: "memory", limit, measured: limit };
}

const targets = (memoryMb: number | null, seconds: number | null = null): ChunkTargets => ({
  memoryMb,
  wallMs: seconds === null ? null : 1000 * seconds,
});

Deno.test("the model of coffea gives the sizes that coffea gave", () => {
  const reports: Report[] = [
    [10_000, 20, 500],
    [20_000, 38, 800],
    [40_000, 80, 1500],
    [80_000, 150, 2900],
  ];
  const cases: [readonly Report[], ChunkTargets, number][] = [
    [reports, targets(1024), 16_384],
    [reports, targets(1024, 60), 16_384],
    [reports, targets(4000), 65_536],
    [reports.slice(0, 1), targets(1024), 65_536],
    [reports.map(([n, s]) => [n, s, null]), targets(1024), 65_536],
    [[[50_000, 30, 900], [50_000, 30, 900]], targets(1024), 32_768],
    [reports, targets(null, 60), 16_384], // 31073.14 and no power of two between
  ];
  for (const [reports, targets, size] of cases) {
    const all = reports.map((report) => done(report));
    assert.equal(coffeaChunkSize(all, targets, 100_000), size, JSON.stringify(targets));
  }
});

Deno.test("the model of coffea tries halves now and then, and halves what was exhausted", () => {
  const sizer = new CoffeaSizer(1000, targets(1024), seededRng(1));
  const asked = Array.from({ length: 400 }, () => sizer.sizeFor());
  assert.equal(asked[0], 1000);
  const halves = asked.filter((size) => size === 500).length;
  assert.ok(halves > 20 && halves < 60, `${halves} of 400`);
  assert.ok(asked.every((size) => size === 500 || size === 1000));

  const cases: [events: number, size: number, pieces: number][] = [
    [1000, 100_000, 500],
    [5, 100, 3],
    [1000, 300, 300],
    [1000, 700, 700],
  ];
  for (const [events, size, pieces] of cases) {
    const sizer = new CoffeaSizer(size, targets(1024), seededRng(1));
    assert.equal(sizer.exhausted(outgrown(events, 1024)), pieces);
    assert.equal(sizer.current, pieces);
  }
});

Deno.test("a size is too large while more than a fifth of its chunks were exhausted", () => {
  const evidence = new SizeEvidence();
  assert.equal(evidence.within(1000), 1000);
  evidence.exhausted(1000);
  assert.equal(evidence.within(1000), 500);
  assert.equal(evidence.within(900, 1.2), 435, "nothing above half of it was ever done");
  evidence.succeeded(600);
  assert.equal(evidence.within(900, 1.2), 521, "about as large as what was done");
  for (let i = 0; i < 3; i++) evidence.succeeded(1000);
  assert.equal(evidence.within(1000), 500, "one of four");
  evidence.succeeded(1000);
  assert.equal(evidence.within(1000), 1000, "one of five");
  evidence.exhausted(10);
  assert.equal(evidence.within(1000), 500, "two of six: of 1000 and less, but of 10 none is done");
  for (let i = 0; i < 4; i++) evidence.succeeded(20);
  assert.equal(evidence.within(1000), 500);
  assert.equal(evidence.within(10), 10, "one of ten");
});

Deno.test("one small chunk that was exhausted does not keep sizes from growing", () => {
  const evidence = new SizeEvidence();
  for (let i = 0; i < 10; i++) evidence.succeeded(1000);
  evidence.exhausted(100);
  assert.equal(evidence.within(100_000), 100_000);
});

Deno.test("of one size, chunks to come are cut as small as those that were not exhausted", () => {
  const sizer = new FixedSizer(1000);
  assert.equal(sizer.exhausted(outgrown(1000, 400)), 500);
  assert.equal(sizer.exhausted(outgrown(500, 400)), 250);
  assert.equal(sizer.sizeWithin("A", 1000), 250);
  assert.equal(sizer.sizeWithin("B", 1000), 1000, "of that dataset only");
  assert.equal(sizer.sizeFor(), 1000);
});

Deno.test("a line goes through most points, whatever up to a quarter of them do", () => {
  const base = fc.integer({ min: 10, max: 1000 });
  const slope = fc.double({ min: 1e-4, max: 1, noNaN: true });
  fc.assert(fc.property(base, slope, fc.nat(), (base, slope, seed) => {
    const rng = seededRng(seed);
    const points = Array.from({ length: 40 }, (_, i) => {
      const events = 1000 * 2 ** (i % 5);
      const far = i % 8 === 7 ? 5 * rng() : 1;
      return { events, took: (base + slope * events) * far };
    });
    const line = lineThrough(points)!;
    assert.ok(Math.abs(line.perEvent / slope - 1) < 0.1, `${line.perEvent} for ${slope}`);
    const middle = base + slope * 4000;
    assert.ok(Math.abs((line.base + line.perEvent * 4000) / middle - 1) < 0.05);
  }));
});

Deno.test("sizes that are much the same make no line", () => {
  assert.equal(lineThrough([]), null);
  assert.equal(lineThrough([{ events: 1000, took: 5 }, { events: 1001, took: 9 }]), null);
  assert.notEqual(lineThrough([{ events: 1000, took: 5 }, { events: 1300, took: 9 }]), null);
});

Deno.test("a line never falls, and begins no lower than nothing", () => {
  const falling = lineThrough([{ events: 100, took: 9 }, { events: 200, took: 5 }])!;
  assert.deepEqual([falling.perEvent, falling.base], [0, 7]);
  const steep = lineThrough([{ events: 100, took: 1 }, { events: 200, took: 5 }])!;
  assert.equal(steep.base, 0);
});

Deno.test("medians and quantiles", () => {
  const weighted = (pairs: [number, number][]) =>
    weightedMedian(pairs.map(([value, weight]) => ({ value, weight })));
  assert.equal(weighted([[3, 1], [1, 1], [2, 1]]), 2);
  assert.equal(weighted([[1, 1], [2, 5], [3, 1]]), 2);
  assert.equal(weighted([[1, 1], [4, 1]]), 2.5);
  assert.equal(weighted([[1, 3], [9, 1]]), 1);
  assert.deepEqual([0, 0.25, 0.5, 1].map((q) => quantile([4, 1, 2, 3], q)), [1, 1.75, 2.5, 4]);
});

const farFromTheEnd = { events: 1e12, chunksOut: 0 };

/** Feeds a sizer with tasks that take exactly what a line says, and returns the sizes asked for. */
function sizesAskedFor(
  sizer: RobustSizer,
  count: number,
  task: { baseMb?: number; perEventMb?: number; limitMb?: number; perEventS?: number },
): number[] {
  const { baseMb = 300, perEventMb = 0.01, limitMb = Infinity, perEventS = 1e-3 } = task;
  return Array.from({ length: count }, () => {
    const events = sizer.sizeFor("A", farFromTheEnd);
    const memoryMb = baseMb + perEventMb * events;
    if (memoryMb > limitMb) sizer.exhausted(outgrown(events, limitMb));
    else sizer.succeeded(done([events, 5 + perEventS * events, memoryMb]));
    return events;
  });
}

Deno.test("sizes begin with small probes, grow in bounded steps, and stay under the memory", () => {
  const sizes = sizesAskedFor(new RobustSizer(100_000, targets(2000)), 60, {});
  assert.deepEqual(sizes.slice(0, 2), [6250, 25_000], "1/16, and 4 times that");
  for (const [i, size] of sizes.entries()) {
    assert.ok(size <= 16 * Math.max(6250, ...sizes.slice(0, i)));
    assert.ok(size <= 170_000, `${size} events take more than 2000 MB`);
  }
  assert.ok(sizes.at(-1)! > 0.8 * 170_000);
  const late = new Set(sizes.slice(30));
  assert.ok(late.size <= 2, `it settles, and did not: ${[...late]}`);
});

Deno.test("of two targets the one that is reached first counts", () => {
  const last = (memoryMb: number | null, seconds: number | null) =>
    sizesAskedFor(new RobustSizer(100_000, targets(memoryMb, seconds)), 60, {}).at(-1)!;
  const [memory, time, both] = [last(2000, null), last(null, 60), last(2000, 60)];
  assert.ok(Math.abs(time / 55_000 - 1) < 0.1, `${time}`);
  assert.ok(time < memory);
  assert.ok(Math.abs(both / time - 1) < 0.15);
  assert.ok(Math.abs(last(700, 600) / last(700, null) - 1) < 0.15);
});

Deno.test("datasets are learnt apart, and later ones begin from what is usual by then", () => {
  const sizer = new RobustSizer(100_000, targets(2000));
  const [a] = sizesAskedFor(sizer, 60, {}).slice(-1);
  const b = sizer.sizeFor("B", farFromTheEnd);
  assert.equal(b, Math.round(a! / 16));
});

Deno.test("what was exhausted is not asked for again, though no line told so", () => {
  // Memory leaps at 50,000 events: the line through smaller chunks knows nothing of it.
  const sizer = new RobustSizer(100_000, targets(2000));
  let exhausted = 0;
  const sizes = Array.from({ length: 100 }, () => {
    const events = sizer.sizeFor("A", farFromTheEnd);
    if (events > 50_000) {
      exhausted++;
      const piece = sizer.exhausted(outgrown(events, 2000));
      assert.ok(piece >= 1 && piece <= Math.ceil(events / 2));
    } else {
      sizer.succeeded(done([events, 1, 300 + 0.001 * events]));
    }
    return events;
  });
  assert.ok(exhausted <= 6, `${exhausted} times`);
  assert.ok(sizes.slice(-30).every((size) => size <= 50_000));
  assert.ok(sizes.at(-1)! >= 20_000);
});

Deno.test("towards the end of the run chunks get smaller, down to a third", () => {
  const sizer = new RobustSizer(100_000, targets(2000));
  const usual = sizesAskedFor(sizer, 60, {}).at(-1)!;
  const at = (events: number, chunksOut: number) => sizer.sizeFor("A", { events, chunksOut });
  assert.equal(at(1e9, 15), usual);
  assert.equal(at(16 * usual, 15), Math.ceil(usual / 2));
  assert.equal(at(usual, 15), Math.ceil(usual / 3));
  assert.equal(sizer.current, usual, "what was learnt stays");
});

Deno.test("a target that no chunk can meet is said once, and the smallest chunks are made", () => {
  const cases: [ChunkTargets, string][] = [
    [targets(250), "memory of 250 MB that dynamic-chunksize asks for: tasks take about 300 MB"],
    [targets(null, 4), "wall_time of 4 s that dynamic-chunksize asks for: tasks take about 5.0 s"],
  ];
  for (const [targets, words] of cases) {
    const sizer = new RobustSizer(1600, targets);
    const sizes = sizesAskedFor(sizer, 30, {});
    assert.deepEqual(sizer.takeNotes(), [
      `No chunk of dataset A stays under the ${words} whatever their size. It goes on with the ` +
      "smallest chunks, of 100 events.",
    ]);
    assert.ok(sizes.slice(10).every((size) => size === 100), sizes.join());
    sizesAskedFor(sizer, 5, {});
    assert.deepEqual(sizer.takeNotes(), []);
  }
});

Deno.test("where memory is not measured, it is said, and the size is what it would be without", () => {
  const run = (targets: ChunkTargets) => {
    const sizer = new RobustSizer(1000, targets);
    for (let i = 0; i < 30; i++) {
      const events = sizer.sizeFor("A", farFromTheEnd);
      sizer.succeeded(done([events, 1 + events / 100, null]));
    }
    return { size: sizer.current, notes: sizer.takeNotes() };
  };
  const note = "No worker measures the memory of tasks, so the chunk size of dataset A cannot " +
    "follow it.";
  assert.deepEqual(run(targets(500)), { size: 1000, notes: [note] });
  const { size, notes } = run(targets(500, 61));
  assert.deepEqual(notes, [note]);
  assert.ok(Math.abs(size / 6000 - 1) < 0.1, String(size));
});

Deno.test("whatever tasks take, sizes are whole numbers from 1 on, and pieces are smaller", () => {
  const took = fc.record({
    seconds: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1e6, noNaN: true })),
    memoryMb: fc.oneof(
      fc.constant(null),
      fc.constant(0),
      fc.double({ min: 0, max: 1e7, noNaN: true }),
    ),
    isExhausted: fc.boolean(),
    chunksOut: fc.nat(100),
  });
  const some = fc.option(fc.integer({ min: 1, max: 5000 }));
  fc.assert(fc.property(
    fc.array(took, { maxLength: 40 }),
    fc.integer({ min: 1, max: 200_000 }),
    some,
    fc.integer({ min: 1, max: 5000 }),
    (tasks, chunkSize, memoryMb, seconds) => {
      const sizer = new RobustSizer(chunkSize, targets(memoryMb, seconds));
      for (const { seconds, memoryMb, isExhausted, chunksOut } of tasks) {
        const events = sizer.sizeFor("A", { events: 1e6, chunksOut });
        assert.ok(Number.isInteger(events) && events >= 1, String(events));
        if (isExhausted) {
          const piece = sizer.exhausted(outgrown(events, memoryMb ?? 0));
          assert.ok(Number.isInteger(piece) && piece >= 1 && (events === 1 || piece < events));
        } else {
          sizer.succeeded(done([events, seconds, memoryMb]));
        }
      }
    },
  ));
});
