/** What an attempt gets, the ladder after an exhaustion, and what people are told. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { UsageError } from "../../core/errors.ts";
import { boxFor, largestOf, whyTooLarge } from "../../core/allocation/box.ts";
import {
  type Allocation,
  Category,
  type CategorySettings,
} from "../../core/allocation/category.ts";
import { type Mode, modes, parseMode } from "../../core/allocation/mod.ts";
import type { Amounts, Observation, ResourceName } from "../../core/allocation/policy.ts";
import { taskId } from "../../core/ids.ts";
import { noResources, type Resources } from "../../core/resources.ts";
import { resources } from "../support/builders.ts";

const node = resources(16, 64_000, 100_000);

function category(mode: Mode, settings: Partial<CategorySettings> = {}): Category {
  return new Category("processing", { mode, chance: seededRng(1), ...settings });
}

function ended(measured: Amounts, box = node): Observation {
  return { task: taskId(1), box, measured, wallMs: 1000, exceeded: null };
}

function outgrew(box: Partial<Resources>, exceeded: ResourceName, measured: Amounts): Observation {
  return { task: taskId(1), box: { ...noResources, ...box }, measured, wallMs: 1000, exceeded };
}

function requestOf(allocation: Allocation): Amounts {
  assert.equal(allocation.kind, "wish", JSON.stringify(allocation));
  return allocation.wish.request;
}

function whyOf(allocation: Allocation): string {
  assert.equal(allocation.kind, "impossible", JSON.stringify(allocation));
  return allocation.why;
}

const learnedMemory = (from: Category, ...values: number[]) => {
  for (const memoryMb of values) from.observe(ended({ memoryMb }), node);
  return from;
};

Deno.test("before anything is known, originals ask for a whole worker and adaptive for a core", () => {
  const asking = { declared: {}, outgrown: [], largest: node };
  for (const mode of ["fixed", "max-seen", "min-waste", "max-throughput"] as const) {
    assert.deepEqual(requestOf(category(mode).allocate(asking)), {});
  }
  assert.deepEqual(requestOf(category("adaptive").allocate(asking)), { cores: 1 });
  const declared = { memoryMb: 500 };
  assert.deepEqual(requestOf(category("adaptive").allocate({ ...asking, declared })), declared);
  const limited = category("adaptive", { max: { memoryMb: 400 } });
  assert.deepEqual(requestOf(limited.allocate(asking)), { cores: 1, memoryMb: 400 });
});

Deno.test("an explicit limit is a ceiling, also where a formula rounds above it", () => {
  for (const mode of ["max-seen", "min-waste", "max-throughput", "adaptive"] as const) {
    const limited = category(mode, { max: { memoryMb: 120 }, steadyCount: 2 });
    learnedMemory(limited, 100, 110, 115, 100);
    const { memoryMb } = requestOf(limited.allocate({ declared: {}, outgrown: [], largest: node }));
    assert.ok(memoryMb! <= 120 && memoryMb! >= 115, `${mode}: ${memoryMb}`);
  }
});

Deno.test("what the task declares overrides what was learned and the limit of its category", () => {
  for (const mode of modes) {
    const limited = category(mode, { max: { memoryMb: 120 }, steadyCount: 2 });
    learnedMemory(limited, 100, 110, 115, 100);
    const declared = { memoryMb: 2000, cores: 2 };
    const allocation = limited.allocate({ declared, outgrown: [], largest: node });
    const { memoryMb, cores } = requestOf(allocation);
    assert.deepEqual({ memoryMb, cores }, declared, mode);
  }
});

Deno.test("a category's minimum is a floor", () => {
  for (const mode of modes) {
    const floored = category(mode, { min: { memoryMb: 700 }, steadyCount: 2 });
    learnedMemory(floored, ...Array<number>(12).fill(100));
    const allocation = floored.allocate({ declared: { cores: 1 }, outgrown: [], largest: node });
    assert.equal(allocation.kind, "wish");
    const box = boxFor(allocation.wish, resources(1, 700, 1000));
    assert.equal(box?.memoryMb, 700, mode);
  }
});

Deno.test("after the limit there is no further try, and the sentence says which", () => {
  const last = outgrew({ cores: 1, memoryMb: 400 }, "memoryMb", { memoryMb: 411.5 });
  const asking = { declared: {}, outgrown: [last], largest: node };
  for (const mode of modes) {
    assert.equal(
      whyOf(category(mode, { max: { memoryMb: 400 } }).allocate(asking)),
      "it needs more than 400 MB memory, the limit of " +
        '"processing" (it had 412 MB memory when it was stopped)',
    );
    assert.equal(
      whyOf(category(mode).allocate({ ...asking, declared: { memoryMb: 300 } })),
      "it needs more than 300 MB memory, its limit (it had 412 MB memory when it was stopped)",
    );
  }
});

Deno.test("fixed allocations are not raised", () => {
  const last = outgrew({ cores: 1, memoryMb: 500 }, "memoryMb", {});
  assert.equal(
    whyOf(category("fixed").allocate({ declared: { cores: 1 }, outgrown: [last], largest: node })),
    'it needs more than 500 MB memory, and allocations of "processing" are fixed',
  );
});

Deno.test("after all of the largest worker there is no further try", () => {
  const last = outgrew(node, "diskMb", { diskMb: 100_001 });
  for (const mode of modes.filter((mode) => mode !== "fixed")) {
    assert.equal(
      whyOf(category(mode).allocate({ declared: {}, outgrown: [last], largest: node })),
      "it needs more than 100000 MB disk, all that the largest worker has " +
        "(it had 100001 MB disk when it was stopped)",
    );
    const larger = { ...node, diskMb: 200_000 };
    const allocation = category(mode).allocate({ declared: {}, outgrown: [last], largest: larger });
    assert.ok(requestOf(allocation).diskMb! > 100_000, `${mode}: a larger one is there now`);
  }
});

Deno.test("only the resource that was outgrown decides: others may be above their share", () => {
  // 1500 MB by proportion where 1000 were declared; 1200 used, but disk ran out.
  const last = outgrew({ cores: 2, memoryMb: 1500, diskMb: 2000 }, "diskMb", {
    memoryMb: 1200,
    diskMb: 2010,
  });
  const asking = { declared: { memoryMb: 1000 }, outgrown: [last], largest: node };
  for (const mode of ["max-seen", "min-waste", "adaptive"] as const) {
    const { memoryMb, diskMb } = requestOf(category(mode).allocate(asking));
    assert.equal(memoryMb, 1000, mode);
    assert.ok(diskMb! > 2010, mode);
  }
});

Deno.test("what outgrew its share of a worker gets all of it, not the same share again", () => {
  const last = outgrew({ cores: 4, memoryMb: 16_000, diskMb: 25_000 }, "memoryMb", {});
  const asking = { declared: { cores: 4 }, outgrown: [last], largest: node };
  for (const mode of ["max-seen", "min-waste", "max-throughput", "adaptive"] as const) {
    assert.equal(requestOf(category(mode).allocate(asking)).memoryMb, 64_000, mode);
    const none = { ...asking, largest: null };
    assert.equal(requestOf(category(mode).allocate(none)).memoryMb, 32_000, `${mode}: no worker`);
  }
});

Deno.test("the next try has room for what the others had reached", () => {
  const last = outgrew({ cores: 1, memoryMb: 2000, diskMb: 100 }, "diskMb", { memoryMb: 1500 });
  const asking = { declared: { cores: 1 }, outgrown: [last], largest: node };
  const boxOf = (settings: Partial<CategorySettings>) => {
    const learned = category("min-waste", { steadyCount: 2, ...settings });
    const allocation = learnedMemory(learned, 300, 300, 300).allocate(asking);
    assert.equal(allocation.kind, "wish");
    return boxFor({ ...allocation.wish, request: { cores: 1 } }, resources(100, 5000, 100_000));
  };
  assert.equal(boxOf({})?.memoryMb, 1500);
  assert.equal(boxOf({ max: { memoryMb: 900 } })?.memoryMb, 900);
});

Deno.test("after four tries the next gets all there is", () => {
  const doubling = category("det-exhaustive-bucketing");
  learnedMemory(doubling, ...Array.from({ length: 16 }, (_, i) => 2 ** i));
  const outgrown = [1, 2, 4].map((memoryMb) =>
    outgrew({ cores: 1, memoryMb }, "memoryMb", { memoryMb: memoryMb + 0.1 })
  );
  const asking = { declared: {}, outgrown, largest: node };
  assert.equal(requestOf(doubling.allocate(asking)).memoryMb, 8);
  const fourth = outgrew({ cores: 1, memoryMb: 8 }, "memoryMb", { memoryMb: 8.1 });
  const all = doubling.allocate({ ...asking, outgrown: [...outgrown, fourth] });
  assert.equal(requestOf(all).memoryMb, 64_000);
});

Deno.test("measured cores of 1.05 are one core, and 1.5 outgrow it for good if one was declared", () => {
  const learned = category("max-seen");
  learned.observe(ended({ cores: 1.05 }), node);
  assert.deepEqual(learned.statistics.maxSeen, { cores: 1 });
  const last = outgrew({ cores: 1 }, "cores", { cores: 1.5 });
  const why = whyOf(
    learned.allocate({ declared: { cores: 1 }, outgrown: [last], largest: node }),
  );
  assert.match(why, /^it needs more than 1 core, its limit/);
});

Deno.test("statistics count attempts, the largest seen, and what was allocated but not used", () => {
  const counted = category("adaptive");
  const box = resources(2, 1000, 2000);
  counted.observe(ended({ cores: 1, memoryMb: 400 }, box), node);
  counted.observe({ ...ended({ memoryMb: 1001, diskMb: 7 }, box), exceeded: "memoryMb" }, node);
  const { learning, ...rest } = counted.statistics;
  assert.deepEqual(rest, {
    completions: 1,
    exhaustions: 1,
    maxSeen: { cores: 1, memoryMb: 400, diskMb: 7 },
    // One core of two and 600 MB for a second; then, in vain, 1000 MB.
    wasted: { coreMs: 1000, memoryMbMs: 1_600_000 },
  });
  assert.deepEqual(learning, { steady: false, why: "2 more tasks to go" });
});

const mb = fc.integer({ min: 1, max: 60_000 });

Deno.test("each try of a task gets more than the last, in bounds, and the ladder ends", () => {
  const one = fc.record({
    mode: fc.constantFrom(...modes),
    history: fc.array(mb, { maxLength: 40 }),
    need: fc.integer({ min: 1, max: 80_000 }),
    max: fc.option(mb, { nil: undefined }),
    min: fc.option(fc.integer({ min: 1, max: 1000 }), { nil: undefined }),
    cores: fc.constantFrom(1, 4, undefined),
    seed: fc.integer(),
  });
  fc.assert(fc.property(one, ({ mode, history, need, max, min, cores, seed }) => {
    const limits = {
      ...max === undefined ? {} : { max: { memoryMb: max } },
      ...min === undefined ? {} : { min: { memoryMb: Math.min(min, max ?? min) } },
    };
    const from = category(mode, { ...limits, steadyCount: 5, chance: seededRng(seed) });
    learnedMemory(from, ...history);
    const declared: Amounts = cores === undefined ? {} : { cores };
    const outgrown: Observation[] = [];
    const ceiling = Math.min(max ?? Infinity, node.memoryMb);
    for (let had = 0;;) {
      const allocation = from.allocate({ declared, outgrown, largest: node });
      if (allocation.kind === "impossible") {
        assert.ok(had >= ceiling || mode === "fixed", `gave up at ${had} of ${ceiling}`);
        return;
      }
      const box = boxFor(allocation.wish, node);
      assert.ok(box !== null, `no box for ${JSON.stringify(allocation.wish)}`);
      assert.ok((allocation.wish.request.memoryMb ?? 0) <= ceiling);
      assert.ok(box.memoryMb > had, `${box.memoryMb} after ${had}`);
      assert.ok(box.memoryMb >= (limits.min?.memoryMb ?? 0));
      if (need <= box.memoryMb) return;
      had = box.memoryMb;
      const measured = { memoryMb: had + 1 };
      const seen: Observation = {
        task: taskId(99),
        box,
        measured,
        wallMs: 5,
        exceeded: "memoryMb",
      };
      outgrown.push(seen);
      from.observe(seen, node);
      assert.ok(outgrown.length <= 6, `${outgrown.length} tries`);
    }
  }));
});

Deno.test("a task that no worker can hold is described, with what the largest worker has", () => {
  const workers = [resources(4, 2000, 4000), resources(2, 3000, 4000)];
  const needs = (request: Amounts) =>
    whyTooLarge("Task 41 (processing)", { request, floor: {} }, workers);
  assert.equal(
    needs({ cores: 1, memoryMb: 3500 }),
    "Task 41 (processing) needs 1 core, 3500 MB memory, but the largest worker has " +
      "2 cores, 3000 MB memory, 4000 MB disk: it waits for a larger one",
  );
  assert.equal(
    needs({ gpus: 1 }),
    "Task 41 (processing) needs 1 gpu, but the largest worker has " +
      "4 cores, 2000 MB memory, 4000 MB disk: it waits for a larger one",
  );
  // Neither has both, though the largest of each resource would do.
  assert.match(needs({ cores: 4, memoryMb: 3000 })!, /needs 4 cores, 3000 MB memory/);
  assert.equal(needs({ cores: 4, memoryMb: 2000 }), null);
  assert.equal(whyTooLarge("Task 41", { request: { cores: 9 }, floor: {} }, []), null);
  assert.deepEqual(largestOf(workers), resources(4, 3000, 4000));
  assert.equal(largestOf([]), null);
});

Deno.test("modes are read as the originals and coffea write them", () => {
  const cases: [string, Mode][] = [
    ["auto", "max-seen"],
    ["MAX", "max-seen"],
    ["max_throughput", "max-throughput"],
    ["adaptive", "adaptive"],
    [" Greedy-Bucketing ", "greedy-bucketing"],
  ];
  for (const [text, mode] of cases) assert.equal(parseMode(text), mode);
  const refused: [string, string][] = [
    ["min-wast", '"min-wast" is not an allocation mode: did you mean "min-waste"?'],
    [
      "xyzzy-1234",
      '"xyzzy-1234" is not an allocation mode: it can be adaptive, fixed, max-seen, min-waste, ' +
      "max-throughput, greedy-bucketing, exhaustive-bucketing, det-greedy-bucketing, " +
      "det-exhaustive-bucketing, auto, max",
    ],
  ];
  for (const [text, message] of refused) {
    assert.throws(() => parseMode(text), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.message, message);
      return true;
    });
  }
});

Deno.test("what was learned on a larger worker is asked of the largest that is left", () => {
  const learned = category("max-seen");
  for (let i = 0; i < 20; i++) learned.observe(ended({ cores: 12, memoryMb: 50_000 }), node);
  const small = resources(4, 8000, 10_000);
  const asking = { declared: {}, outgrown: [], largest: small };
  const { cores = 0, memoryMb = 0 } = requestOf(learned.allocate(asking));
  assert.deepEqual([cores, memoryMb], [4, 8000]);
  // What was declared is not, nor what the category was limited to.
  const declared = { memoryMb: 30_000 };
  assert.equal(requestOf(learned.allocate({ ...asking, declared })).memoryMb, 30_000);
  const limited = category("fixed", { max: { memoryMb: 20_000 } });
  assert.equal(requestOf(limited.allocate(asking)).memoryMb, 20_000);
});

Deno.test("a task that climbed waits for what it outgrew or reached, and for nothing else", () => {
  const box = resources(8, 4000, 8000);
  const wish = {
    request: { cores: 8, memoryMb: 6000, diskMb: 8000 },
    floor: { cores: 8, memoryMb: 6000, diskMb: 8000 },
  };
  const outgrown = [outgrew(box, "memoryMb", { cores: 8, memoryMb: 4100, diskMb: 3000 })];
  const largest = resources(2, 3000, 1000);
  const bounded = { cores: 2, memoryMb: 6000, diskMb: 3000 };
  const asking = { declared: {}, outgrown, largest };
  const renewed = category("max-seen").renewed(wish, asking);
  assert.deepEqual(renewed, { request: bounded, floor: bounded, exact: false });
  const declared = category("max-seen").renewed(wish, { ...asking, declared: { cores: 8 } });
  assert.equal(declared.request.cores, 8);
});
