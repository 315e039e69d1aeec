/** Work Queue's own formulas, with the numbers that its programs were seen to give. */
import assert from "node:assert/strict";
import { taskId } from "../../core/ids.ts";
import { boxFor } from "../../core/allocation/box.ts";
import { Histogram } from "../../core/allocation/histogram.ts";
import { maxSeen } from "../../core/allocation/max_seen.ts";
import { maxThroughput } from "../../core/allocation/max_throughput.ts";
import { minWaste } from "../../core/allocation/min_waste.ts";
import type { Amounts, Observation } from "../../core/allocation/policy.ts";
import { choices, type SteadyFormula, SteadyPolicy } from "../../core/allocation/steady.ts";
import { resources } from "../support/builders.ts";

const worker = resources(4, 2000, 4000);
const node = resources(16, 64_000, 100_000);

function ended(measured: Amounts, wallMs = 1000): Observation {
  return { task: taskId(1), box: node, measured, wallMs, exceeded: null };
}

function feed(
  policy: SteadyPolicy,
  all: readonly Observation[],
  max: Amounts = {},
  min: Amounts = {},
): void {
  for (const seen of all) policy.observe(seen, { max, min }, node);
}

function firstOf(policy: SteadyPolicy, max: Amounts = {}): Amounts {
  return policy.first({ max, min: {}, declared: {}, largest: node }).request;
}

const memory = (...values: number[]) => values.map((memoryMb) => ended({ memoryMb }));

Deno.test("a box follows the max record and is raised to the min record afterwards", () => {
  const cases: [Amounts, Amounts, [number, number, number]][] = [
    [{}, {}, [4, 2000, 4000]],
    [{ cores: 1 }, {}, [1, 500, 1000]],
    [{ cores: 1, memoryMb: 1000, diskMb: 1000 }, {}, [2, 1000, 2000]],
    [{ memoryMb: 500, diskMb: 250, cores: 1 }, { memoryMb: 300, diskMb: 10, cores: 1 }, [
      1,
      500,
      1000,
    ]],
    [{ cores: 1 }, { memoryMb: 550 }, [1, 550, 1000]],
    [{ memoryMb: 550, diskMb: 250, cores: 1 }, {}, [1, 666, 1333]],
    [{}, { memoryMb: 1300, diskMb: 10, cores: 1 }, [4, 2000, 4000]],
    [{ memoryMb: 900, diskMb: 250, cores: 1 }, {}, [2, 1000, 2000]],
  ];
  for (const [request, floor, box] of cases) {
    assert.deepEqual(boxFor({ request, floor }, worker), resources(...box));
  }
  const gpus = resources(8, 2000, 4000, 4);
  const half = { request: { memoryMb: 1000 }, floor: { cores: 3, gpus: 2 } };
  assert.deepEqual(boxFor(half, gpus), resources(4, 1000, 2000, 2));
  assert.deepEqual(boxFor(half, resources(4, 2000, 4000, 4)), resources(3, 1000, 2000, 2));
  assert.equal(boxFor({ request: { cores: 1 }, floor: { memoryMb: 2001 } }, worker), null);
});

/** Disk and wall time of six tasks; memory is always 10. */
const sixTasks = [[200, 10], [220, 12], [300, 11], [900, 30], [240, 10], [510, 15]] as const;

Deno.test("the expected waste and throughput of each bucket are Work Queue's", () => {
  const histogram = new Histogram(250);
  for (const [diskMb, seconds] of sixTasks) histogram.insert(diskMb, seconds);
  const { all, count, meanMs } = choices(histogram.buckets());
  const top = 900;
  const rounded = (value: number, digits: number) => Number(value.toFixed(digits));
  assert.deepEqual(
    all.map(({ amount, enough, againMs }) => [
      amount,
      rounded(againMs, 3),
      rounded(amount * meanMs + top * againMs, 1),
      rounded((enough * top / amount + (count - enough)) / (meanMs + againMs), 4),
    ]),
    [
      [250, 9.333, 12066.7, 0.575],
      [500, 7.5, 14083.3, 0.415],
      [750, 5, 15500, 0.3559],
      [1000, 0, 14666.7, 0.3682],
    ],
  );
  assert.equal(rounded(meanMs, 3), 14.667);
});

Deno.test("a failed try counts: its second one in waste, its task in throughput", () => {
  const computed = (formula: SteadyFormula, ...values: number[]) => {
    const policy = new SteadyPolicy(formula, values.length);
    feed(policy, memory(...values), { memoryMb: 1000 });
    return policy.firstAllocation.memoryMb;
  };
  // 250 + 0.9 · 1000 is more than 1000.
  assert.equal(computed(minWaste, 250, ...Array<number>(9).fill(1000)), 1000);
  // (6 · 2 + 4) / 1.4 = 11.4 is more than 10; 6 · 2 / 1.4 = 8.6 would be less.
  const sixSmall = [...Array<number>(6).fill(500), ...Array<number>(4).fill(1000)];
  assert.equal(computed(maxThroughput, ...sixSmall), 500);
});

Deno.test("the first allocations of six tasks are Work Queue's, used from the eighth on", () => {
  const cases: [string, SteadyFormula, { diskMb: number; memoryMb: number }][] = [
    ["min-waste", minWaste, { diskMb: 250, memoryMb: 250 }],
    ["max-throughput", maxThroughput, { diskMb: 250, memoryMb: 250 }],
    ["max-seen", maxSeen, { diskMb: 1000, memoryMb: 100 }],
  ];
  for (const [name, formula, first] of cases) {
    const policy = new SteadyPolicy(formula, 3);
    const max = { memoryMb: 100 };
    const all = sixTasks.map(([diskMb, seconds]) =>
      ended({ diskMb, memoryMb: 10 }, seconds * 1000)
    );
    feed(policy, all.slice(0, 5), max);
    assert.deepEqual(policy.firstAllocation, {}, `${name}: too early`);
    feed(policy, all.slice(5), max);
    assert.deepEqual(policy.firstAllocation, first, name);
    assert.deepEqual(firstOf(policy, max), max, `${name}: not used before it is steady`);
    feed(policy, [all[0]!], max);
    assert.deepEqual(firstOf(policy, max), first, `${name}: used`);
  }
});

Deno.test("max-seen adds a third of a bucket and rounds up, below ceiling and worker", () => {
  const cases: [Amounts, Amounts][] = [
    [{ memoryMb: 300 }, { memoryMb: 500 }],
    [{ memoryMb: 100 }, { memoryMb: 250 }],
    [{ memoryMb: 170 }, { memoryMb: 500 }],
    [{ cores: 1 }, { cores: 1 }],
    [{ cores: 1.2 }, { cores: 2 }],
    [{ memoryMb: 70_000 }, { memoryMb: 64_000 }],
  ];
  for (const [measured, first] of cases) {
    const policy = new SteadyPolicy(maxSeen, 1);
    feed(policy, [ended(measured), ended(measured)]);
    assert.deepEqual(policy.firstAllocation, first);
  }
});

Deno.test("the first measured task is a new maximum, and counts as a completion after it", () => {
  const policy = new SteadyPolicy(maxSeen, 2);
  feed(policy, memory(100));
  assert.match(policy.learning.why, /^2 more tasks/);
  feed(policy, memory(100, 100));
  assert.ok(policy.learning.steady);
});

Deno.test("what is computed at the N-th completion is used after the next one", () => {
  const policy = new SteadyPolicy(maxSeen, 3);
  feed(policy, memory(300, 300, 300));
  assert.deepEqual(policy.firstAllocation, { memoryMb: 500 });
  assert.deepEqual(firstOf(policy), {});
  feed(policy, memory(300));
  assert.deepEqual(firstOf(policy), { memoryMb: 500 });
});

Deno.test("once steady, a new maximum resets nothing and counts at the next computation", () => {
  const policy = new SteadyPolicy(maxSeen, 3);
  feed(policy, memory(300, 300, 300, 300, 900));
  assert.ok(policy.learning.steady);
  assert.deepEqual(firstOf(policy), { memoryMb: 500 });
  feed(policy, memory(300));
  assert.deepEqual(firstOf(policy), { memoryMb: 1000 });
});

Deno.test("before that, a new maximum drops the first allocation and begins the count anew", () => {
  const policy = new SteadyPolicy(maxSeen, 3);
  feed(policy, memory(300, 300, 300, 900));
  assert.deepEqual(policy.firstAllocation, {});
  feed(policy, memory(300, 300, 300));
  assert.deepEqual(firstOf(policy), { memoryMb: 1000 });
});

Deno.test("a resource with a declared maximum never resets", () => {
  const policy = new SteadyPolicy(maxSeen, 3);
  feed(policy, memory(300, 600, 900, 1200), { memoryMb: 5000 });
  assert.ok(policy.learning.steady);
});

Deno.test("an exhausted attempt resets, but enters neither the histogram nor max seen", () => {
  const policy = new SteadyPolicy(maxSeen, 3);
  const outgrown: Observation = {
    ...ended({ memoryMb: 2100, diskMb: 20 }),
    exceeded: "memoryMb",
  };
  feed(policy, [...memory(300, 300), outgrown]);
  assert.deepEqual(policy.maxSeen, { memoryMb: 300, diskMb: 20 });
  assert.match(policy.learning.why, /^4 more tasks/);
  feed(policy, memory(300, 300, 300, 300));
  assert.deepEqual(firstOf(policy), { memoryMb: 500 });
});

Deno.test("a reset keeps the histogram", () => {
  const policy = new SteadyPolicy(minWaste, 3);
  feed(policy, memory(200, 200, 900, 900, 900));
  // 250 + 900 · 3/5 is less than 1000; the three of 900 alone would give 1000.
  assert.deepEqual(policy.firstAllocation, { memoryMb: 250 });
});

Deno.test("with one task to be steady, the very first completion computes nothing", () => {
  const policy = new SteadyPolicy(maxSeen, 1);
  feed(policy, memory(300));
  assert.deepEqual(policy.firstAllocation, {});
  feed(policy, memory(300));
  assert.deepEqual(policy.firstAllocation, { memoryMb: 500 });
});

Deno.test("a category minimum raises the first allocation", () => {
  const policy = new SteadyPolicy(maxSeen, 1);
  feed(policy, memory(300, 300), {}, { memoryMb: 700 });
  assert.deepEqual(policy.firstAllocation, { memoryMb: 700 });
});

Deno.test("an outlier that fits no worker any more is squeezed into the largest", () => {
  const policy = new SteadyPolicy(maxSeen);
  feed(policy, memory(300, 3000));
  const asking = { max: {}, min: {}, declared: { cores: 1 }, largest: worker };
  const wish = policy.first(asking);
  assert.deepEqual(wish.request, { cores: 1, memoryMb: 2000, diskMb: 4000 });
  assert.notEqual(boxFor(wish, worker), null);
});

Deno.test("a histogram stays bounded: its buckets double where there are too many", () => {
  const histogram = new Histogram(250);
  for (let i = 1; i <= 5000; i++) histogram.insert(i * 250, 1);
  const buckets = histogram.buckets();
  assert.equal(histogram.size, 500);
  assert.ok(buckets.length <= 4096);
  assert.equal(buckets.reduce((sum, { count }) => sum + count, 0), 5000);
  assert.equal(buckets.at(-1)!.end, 1_250_000);
});
