/** The ladder, the forecast that plans it, and the policy made of both. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { AdaptivePolicy } from "../../core/allocation/adaptive.ts";
import { Forecast } from "../../core/allocation/forecast.ts";
import { Ladder, type Need } from "../../core/allocation/ladder.ts";
import type { Amounts, Observation } from "../../core/allocation/policy.ts";
import { taskId } from "../../core/ids.ts";
import { resources } from "../support/builders.ts";

const free = { first: 0, later: 0 };

/** Steps of the ladder from the first on. */
function climb(ladder: Ladder): number[] {
  const steps: number[] = [];
  for (let step = ladder.first; step < Infinity; step = ladder.next(step)) steps.push(step);
  return steps;
}

/** Expected cost of giving these steps in turn; the last is enough for all. */
function costOf(
  steps: readonly number[],
  needs: readonly Need[],
  failure: { first: number; later: number },
): number {
  let cost = 0;
  for (const { amount, weight } of needs) {
    for (const [i, step] of steps.entries()) {
      cost += step * weight;
      if (step >= amount) break;
      cost += weight * (i === 0 ? failure.first : failure.later);
    }
  }
  return cost;
}

Deno.test("a ladder costs no more than any other choice of steps", () => {
  const needs = fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 })
    .chain((amounts) =>
      fc.tuple(
        ...amounts.sort((a, b) => a - b).map((amount) =>
          fc.integer({ min: 1, max: 20 }).map((weight) => ({ amount, weight }))
        ),
      )
    );
  const failure = fc.record({ first: fc.nat({ max: 50 }), later: fc.nat({ max: 50 }) });
  fc.assert(fc.property(needs, failure, (needs, failure) => {
    const last = needs.at(-1)!.amount;
    const found = costOf(climb(new Ladder(needs, failure)), needs, failure);
    for (let chosen = 0; chosen < 2 ** (needs.length - 1); chosen++) {
      const steps = needs.filter((_, i) => (chosen >> i) % 2 === 1).map(({ amount }) => amount);
      const other = costOf([...steps.filter((step) => step < last), last], needs, failure);
      assert.ok(found <= other + 1e-6, `${found}, but ${[...steps, last]} costs ${other}`);
    }
  }));
});

Deno.test("two modes make two steps, unless they are near or a failed try is dear", () => {
  const modes = (low: number) => [{ amount: low, weight: 1 }, { amount: 100, weight: 1 }];
  assert.deepEqual(climb(new Ladder(modes(20), free)), [20, 100]);
  assert.deepEqual(climb(new Ladder(modes(60), free)), [100]);
  assert.deepEqual(climb(new Ladder(modes(20), { first: 70, later: 0 })), [100]);
});

Deno.test("a ladder of many needs keeps the largest, and climbs from any amount", () => {
  const needs = Array.from({ length: 1000 }, (_, i) => ({ amount: i + 1, weight: 1000 - i }));
  const ladder = new Ladder(needs, free);
  assert.equal(climb(ladder).at(-1), 1000);
  for (const amount of [1, 500.5, 998, 999]) assert.ok(ladder.next(amount) > amount);
  assert.equal(ladder.next(1000), Infinity);
});

const memory = { first: 0.4, later: 1.5 };
const top = 64_000;

/** A forecast fed with these needs, one task each. */
function forecastOf(needs: readonly number[], wallMs = 1000): Forecast {
  const forecast = new Forecast(memory);
  needs.forEach((need, i) => forecast.ended(taskId(i + 1), need, wallMs, top));
  return forecast;
}

function around(mean: number, width: number, count: number, seed: number): number[] {
  const chance = seededRng(seed);
  return Array.from({ length: count }, () => mean + width * (2 * chance() - 1));
}

Deno.test("a forecast begins with the third need, little above what was seen", () => {
  assert.equal(forecastOf([500, 510]).first(top), undefined);
  assert.equal(forecastOf([500, 510]).next(600, top), undefined);
  const first = forecastOf([500, 510, 505]).first(top)!;
  assert.ok(first > 520 && first <= 600, `${first}`);
});

Deno.test("with many needs the headroom is small, and the worker is never exceeded", () => {
  const forecast = forecastOf(around(8000, 500, 300, 1));
  const first = forecast.first(top)!;
  assert.ok(first >= 8400 && first <= 8800, `${first}`);
  assert.equal(forecastOf(around(63_900, 90, 30, 1)).first(top), top);
});

Deno.test("after needs fall, the forecast follows within a few tasks", () => {
  const heavy = around(32_000, 500, 1000, 1);
  const before = forecastOf(heavy).first(top)!;
  assert.ok(before > 32_000);
  const after = forecastOf([...heavy, ...around(8000, 200, 30, 2)]).first(top)!;
  assert.ok(after < 9000, `${after} after 30 light tasks`);
});

Deno.test("mixed needs get a step for the light and a later one for the heavy", () => {
  const light = around(8000, 200, 400, 1);
  const heavy = around(32_000, 500, 400, 2);
  const forecast = forecastOf(light.flatMap((need, i) => [need, heavy[i]!]));
  const first = forecast.first(top)!;
  assert.ok(first > 7900 && first < 8800, `first ${first}`);
  const second = forecast.next(first, top)!;
  assert.ok(second > 32_000 && second < 34_500, `second ${second}`);
});

Deno.test("tasks that outgrew their boxes raise the forecast before they have ended", () => {
  const forecast = forecastOf(around(8000, 200, 100, 1));
  const first = forecast.first(top)!;
  for (let i = 0; i < 40; i++) forecast.outgrew(taskId(1000 + i), first, 1000);
  forecast.ended(taskId(2000), 8000, 1000, top);
  assert.ok(forecast.next(first, top)! > 1.25 * first);
  // An expert that looks back on 25 tasks sees little else, once it is the one that is asked.
  for (let i = 0; i < 10; i++) forecast.ended(taskId(1000 + i), 16_000, 1000, top);
  const raised = forecast.first(top)!;
  assert.ok(raised >= 15_900 && raised < 20_000, `${raised}`);
});

Deno.test("long tasks weigh more than short ones", () => {
  const forecast = new Forecast(memory);
  for (let i = 0; i < 200; i++) {
    forecast.ended(taskId(2 * i + 1), 8000, 1000, top);
    // Long and heavy: two tries of it would cost more than room for all.
    forecast.ended(taskId(2 * i + 2), 32_000, 100_000, top);
  }
  assert.ok(forecast.first(top)! >= 32_000);
});

Deno.test("a forecast of cores is whole", () => {
  const forecast = new Forecast({ first: 2, later: 2 });
  for (let i = 0; i < 50; i++) forecast.ended(taskId(i + 1), 0.93, 1000, 16);
  assert.equal(forecast.first(16), 1);
  assert.ok(Number.isInteger(forecast.next(1, 16)));
});

const node = resources(16, top, 100_000);
const situation = { max: {}, min: {}, declared: {}, largest: node };

function ended(id: number, measured: Amounts): Observation {
  return { task: taskId(id), box: node, measured, wallMs: 1000, exceeded: null };
}

Deno.test("adaptive learns cores, memory and disk apart; what was not measured stays in proportion", () => {
  const policy = new AdaptivePolicy();
  for (let i = 0; i < 20; i++) {
    policy.observe(ended(i + 1, { cores: 2, memoryMb: 500 }), { max: {}, min: {} }, node);
  }
  const { request, floor } = policy.first(situation);
  assert.equal(request.cores, 2);
  assert.ok(request.memoryMb! >= 500 && request.memoryMb! < 520);
  assert.deepEqual([request.diskMb, request.gpus, floor], [undefined, undefined, {}]);
  assert.ok(policy.learning.steady);
});

Deno.test("after an exhaustion the other resources keep what they had", () => {
  const policy = new AdaptivePolicy();
  for (let i = 0; i < 20; i++) {
    policy.observe(ended(i + 1, { cores: 1, memoryMb: 500, diskMb: 10 }), situation, node);
  }
  const box = resources(3, 600, 77);
  const last: Observation = {
    ...ended(30, { memoryMb: 601 }),
    box,
    exceeded: "memoryMb",
  };
  const { request } = policy.next(situation, last);
  assert.ok(request.memoryMb! > 600);
  assert.deepEqual({ ...request, memoryMb: 600 }, box);
});
