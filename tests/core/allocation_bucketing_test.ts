import assert from "node:assert/strict";
import fc from "fast-check";
import { taskId } from "../../core/ids.ts";
import { BucketingPolicy, type Cut, type Point } from "../../core/allocation/bucketing.ts";
import {
  exhaustiveBuckets,
  exhaustiveBucketsInOrder,
} from "../../core/allocation/exhaustive_bucketing.ts";
import { greedyBuckets, greedyBucketsInOrder } from "../../core/allocation/greedy_bucketing.ts";
import type { Observation } from "../../core/allocation/policy.ts";
import { resources } from "../support/builders.ts";

const cuts: Readonly<Record<string, Cut>> = {
  greedyBuckets,
  greedyBucketsInOrder,
  exhaustiveBuckets,
  exhaustiveBucketsInOrder,
};
const box = resources(16, 64_000, 100_000);
const situation = { max: {}, min: {}, declared: {}, largest: box };

function seen(memoryMb: number, exceeded: Observation["exceeded"] = null): Observation {
  return { task: taskId(1), box, measured: { memoryMb }, wallMs: 1000, exceeded };
}

const points = fc.array(fc.integer({ min: 0, max: 100_000 }), { minLength: 1, maxLength: 60 })
  .map((values) =>
    values.map((value, i): Point => ({ value, significance: i + 1 }))
      .sort((a, b) => a.value - b.value || a.significance - b.significance)
  );

for (const [name, cut] of Object.entries(cuts)) {
  Deno.test(`${name} gives rising ends that are points, up to the largest, of all weight`, () => {
    fc.assert(fc.property(points, (points) => {
      const buckets = cut(points);
      const share = buckets.reduce((sum, bucket) => sum + bucket.share, 0);
      assert.ok(Math.abs(share - 1) < 1e-9, `shares sum to ${share}`);
      assert.equal(buckets.at(-1)!.end, points.at(-1)!.value);
      for (const [i, { end }] of buckets.entries()) {
        assert.ok(points.some(({ value }) => value === end), `${end} is no point`);
        assert.ok(i === 0 || end >= buckets[i - 1]!.end);
      }
    }));
  });
}

/** Two modes, twice as much weight on the upper one. */
const twoModes: readonly Point[] = [
  { value: 10, significance: 1 },
  { value: 10, significance: 1 },
  { value: 100, significance: 2 },
  { value: 100, significance: 2 },
];

Deno.test("two modes become two buckets with their shares of the significance", () => {
  const expected = [{ end: 10, share: 1 / 3 }, { end: 100, share: 2 / 3 }];
  assert.deepEqual(exhaustiveBuckets(twoModes).map(({ end, share }) => ({ end, share })), expected);
  assert.deepEqual(greedyBuckets(twoModes), expected);
});

/** By hand, with the formulas of the reference: p = (1/3, 2/3), e = (10, 100). */
Deno.test("drawn greedily, one bucket is kept where failing costs more than it saves", () => {
  // Whole: 100 − mean. Cut below: p1·[p2(100 − e1)] + p2·[p1(b + 100 − 100)] = p1·p2·(100 − e1 + b).
  const near: Point[] = [{ value: 80, significance: 1 }, { value: 100, significance: 2 }];
  // Whole: 100 − 93.3 = 6.7; cut: 2/9 · (20 + 80) = 22.2.
  assert.deepEqual(greedyBuckets(near), [{ end: 100, share: 1 }]);
  const far: Point[] = [{ value: 10, significance: 1 }, { value: 100, significance: 2 }];
  // Whole: 100 − 70 = 30; cut: 2/9 · (90 + 10) = 22.2.
  assert.deepEqual(greedyBuckets(far).map(({ end }) => end), [10, 100]);
});

Deno.test("in order, a cut costs the lower bucket for each task of the upper one", () => {
  // Whole: 100 − 70 = 30; cut: p2 · 10 = 6.7.
  const far: Point[] = [{ value: 10, significance: 1 }, { value: 100, significance: 2 }];
  assert.deepEqual(greedyBucketsInOrder(far).map(({ end }) => end), [10, 100]);
  // Whole: 100 − 93.3 = 6.7; cut: 2/3 · 80 = 53.
  const near: Point[] = [{ value: 80, significance: 1 }, { value: 100, significance: 2 }];
  assert.deepEqual(greedyBucketsInOrder(near).map(({ end }) => end), [100]);
});

Deno.test("of even ends, those are taken that cost least when drawn", () => {
  const ends = (low: number, significance: number) =>
    exhaustiveBuckets([{ value: low, significance }, {
      value: 100,
      significance: 3 - significance,
    }])
      .map(({ end }) => end);
  // Whole: 100 − 86.7 = 13.3; cut: 2/9 · (40 + 60) = 22.2.
  assert.deepEqual(ends(60, 1), [100]);
  // Whole: 100 − 56.7 = 43.3; cut: 2/9 · (65 + 35) = 22.2.
  assert.deepEqual(ends(35, 2), [35, 100]);
});

Deno.test("among three values, what is paid again after a failure decides", () => {
  const ends = (...points: [value: number, significance: number][]) =>
    exhaustiveBuckets(points.map(([value, significance]) => ({ value, significance })))
      .map(({ end }) => end);
  // Found by evaluating the recursion of the reference as it is written.
  assert.deepEqual(ends([35, 3], [60, 2], [85, 2]), [35, 85]);
  assert.deepEqual(ends([35, 1], [65, 1], [95, 1]), [95]);
  assert.deepEqual(ends([30, 2], [35, 2], [50, 3], [65, 2]), [35, 65]);
});

Deno.test("without ten points, the first value is doubled until it is enough", () => {
  const policy = new BucketingPolicy(greedyBucketsInOrder, null);
  const next = (memoryMb: number) =>
    policy.next(situation, seen(memoryMb, "memoryMb")).request.memoryMb;
  assert.deepEqual(policy.first(situation).request, {
    cores: 1,
    gpus: 0,
    memoryMb: 1000,
    diskMb: 1000,
  });
  assert.deepEqual([500, 1000, 1500, 2000, 5000].map(next), [1000, 2000, 2000, 4000, 8000]);
});

Deno.test("with ten, the first bucket above what was reached is given, then doubling again", () => {
  const policy = new BucketingPolicy(greedyBucketsInOrder, null);
  for (const value of [100, 110, 100, 110, 100, 110, 100, 900, 110, 900]) {
    policy.observe(seen(value));
  }
  const next = (memoryMb: number) =>
    policy.next(situation, seen(memoryMb, "memoryMb")).request.memoryMb;
  assert.deepEqual(policy.first(situation).request.memoryMb, 110);
  assert.deepEqual([111, 900, 1100].map(next), [900, 1000, 2000]);
});

Deno.test("buckets are drawn by their weights among those above what was reached", () => {
  for (const [chance, memoryMb] of [[0, 10], [0.05, 10], [0.2, 100], [0.999, 100]] as const) {
    const policy = new BucketingPolicy(exhaustiveBuckets, () => chance);
    // Significance 1 + 2 + 3 of 55: 0.109.
    for (const value of [10, 10, 10, ...Array<number>(7).fill(100)]) policy.observe(seen(value));
    assert.equal(policy.first(situation).request.memoryMb, memoryMb, `chance ${chance}`);
    assert.equal(policy.next(situation, seen(11, "memoryMb")).request.memoryMb, 100);
  }
});

Deno.test("exhausted attempts are no points, and the oldest are forgotten", () => {
  const policy = new BucketingPolicy(greedyBucketsInOrder, null);
  for (let i = 0; i < 10; i++) policy.observe(seen(100));
  policy.observe(seen(5000, "memoryMb"));
  assert.equal(policy.next(situation, seen(100, "memoryMb")).request.memoryMb, 1000);
  for (let i = 0; i < 2048; i++) policy.observe(seen(50));
  assert.equal(policy.next(situation, seen(50, "memoryMb")).request.memoryMb, 1000);
});
