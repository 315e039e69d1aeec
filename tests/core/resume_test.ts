import assert from "node:assert/strict";
import fc from "fast-check";
import { itemId } from "../../core/analysis/items.ts";
import { restore, RunMemo } from "../../core/analysis/memo.ts";
import { type AnalysisRecord, ItemRecords, keyOf } from "../../core/analysis/records.ts";
import { AnalysisRun } from "../../core/analysis/run.ts";
import type { AnalysisSpec } from "../../core/analysis/spec.ts";
import { JournaledRun, opened, type World, worldOf } from "../support/journaled_run.ts";

const world = fc.record({
  seed: fc.nat(),
  entries: fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 5 }),
  chunkSize: fc.integer({ min: 20, max: 400 }),
  dynamic: fc.boolean(),
  /** Chunks of more events outgrow their task. */
  eventsMax: fc.constantFrom(Infinity, 60, 200),
  postprocess: fc.boolean(),
  /** Their content says nothing of where it comes from. */
  alike: fc.boolean(),
});

const undisturbed = (drawn: World) => {
  const run = new JournaledRun(worldOf(drawn));
  run.drive(Infinity);
  return run;
};

Deno.test("a run that is killed and resumed at any moment ends with the same result", () => {
  fc.assert(
    fc.property(
      world,
      fc.array(fc.tuple(fc.nat(60), fc.nat()), { minLength: 1, maxLength: 4 }),
      (drawn, kills) => {
        const w = worldOf(drawn);
        const run = new JournaledRun(w);
        for (const [steps, torn] of kills) {
          run.drive(steps);
          if (run.isOver) break;
          run.kill(torn);
        }
        run.drive(Infinity);
        const whole = undisturbed(drawn);
        const fixed = !drawn.dynamic && drawn.eventsMax === Infinity;
        if (fixed) assert.equal(run.result, whole.result);
        else if (!drawn.alike) assert.deepEqual(run.eventsOf, whole.eventsOf);
        assert.deepEqual(run.leftovers, whole.leftovers);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("what is finished is not done again, unless its result is gone", () => {
  fc.assert(
    fc.property(world, fc.nat(60), (drawn, steps) => {
      const run = new JournaledRun(worldOf(drawn));
      run.drive(steps);
      if (run.isOver) return;
      const before = run.finished;
      run.kill(0);
      run.drive(Infinity);
      assert.equal(run.executedAgain(before), 0);
    }),
    { numRuns: 100 },
  );
});

Deno.test("merges that outgrow what they have take less at once: no bit of the result changes", () => {
  fc.assert(
    fc.property(
      world,
      fc.constantFrom(1, 2, 3, 7),
      fc.array(fc.tuple(fc.nat(60), fc.nat()), { maxLength: 3 }),
      (drawn, partsMax, kills) => {
        const still = { ...drawn, dynamic: false, eventsMax: Infinity };
        const run = new JournaledRun(worldOf({ ...still, partsMax }));
        for (const [steps, torn] of kills) {
          run.drive(steps);
          if (run.isOver) break;
          run.kill(torn);
        }
        run.drive(Infinity);
        const whole = undisturbed(still);
        assert.equal(run.result, whole.result);
        // A resumed run may cut its steps elsewhere; what is left goes with the folder of parts.
        if (kills.length === 0) assert.deepEqual(run.leftovers, []);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("what was merged and not removed when a manager died is removed by the next one", () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 20, max: 60 }), (drawn, steps) => {
      const run = new JournaledRun(worldOf(drawn));
      run.removes = false;
      run.drive(steps);
      if (run.isOver) return;
      run.removes = true;
      run.kill(0);
      run.drive(Infinity);
      assert.deepEqual(run.leftovers, undisturbed(drawn).leftovers);
    }),
    { numRuns: 100 },
  );
});

Deno.test("a damaged partial result is made again, with what it was made of", () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 1, max: 60 }), fc.nat(), (drawn, steps, which) => {
      const run = new JournaledRun(worldOf(drawn));
      run.drive(steps);
      if (run.isOver) return;
      run.damage(which);
      run.kill(0);
      run.drive(Infinity);
      if (!drawn.dynamic && drawn.eventsMax === Infinity) {
        assert.equal(run.result, undisturbed(drawn).result);
      }
    }),
    { numRuns: 100 },
  );
});

Deno.test("a manager that does not look at partial results is found out", () => {
  const caught = fc.check(
    fc.property(world, fc.integer({ min: 20, max: 60 }), fc.nat(), (drawn, steps, torn) => {
      const run = new JournaledRun(worldOf(drawn));
      run.drive(steps);
      if (run.isOver) return;
      run.damage(torn);
      run.kill(torn, { looks: false });
      run.drive(Infinity);
      assert.equal(run.result, undisturbed(drawn).result);
    }),
    { numRuns: 200, seed: 1 },
  );
  assert.equal(caught.failed, true);
});

Deno.test("what was left out is taken up again when asked for, as if it had never failed", () => {
  fc.assert(
    fc.property(world, fc.nat(4), fc.constantFrom("preprocess", "process"), (drawn, bad, kind) => {
      const still = { ...drawn, eventsMax: Infinity, dynamic: false };
      const run = new JournaledRun({ ...worldOf(still), bad: { file: bad, kind } });
      run.drive(Infinity);
      run.world.bad = null;
      run.kill(0, { retryFailures: true });
      run.drive(Infinity);
      assert.equal(run.result, undisturbed(still).result);
    }),
    { numRuns: 100 },
  );
});

Deno.test("what was done after a stop is of no use to the run that goes on", () => {
  fc.assert(
    fc.property(world, fc.nat(40), (drawn, steps) => {
      const run = new JournaledRun(worldOf(drawn));
      run.drive(steps);
      if (run.isOver) return;
      run.stop();
      run.drive(Infinity);
      run.kill(0);
      run.drive(Infinity);
      if (!drawn.dynamic && drawn.eventsMax === Infinity) {
        assert.equal(run.result, undisturbed(drawn).result);
      }
    }),
    { numRuns: 100 },
  );
});

Deno.test("cuts of an earlier manager are made again, whatever sizes are asked for now", () => {
  const { spec } = worldOf({
    seed: 1,
    entries: [1000],
    chunkSize: 100,
    dynamic: true,
    eventsMax: Infinity,
    postprocess: false,
    alike: false,
  });
  const records = new ItemRecords(spec);
  const cut = (start: number, stop: number): AnalysisRecord => ({
    type: "cut",
    file: 0,
    range: { start, stop },
  });
  const memo = RunMemo.of([
    opened(spec),
    {
      type: "ended",
      item: { kind: "preprocess", file: 0 },
      got: { kind: "file", entries: 1000, uuid: "u" },
      task: { item: "pre-0", what: "", category: "preprocessing", end: "success", attempts: [] },
      category: "preprocessing",
      lessons: [],
    },
    cut(0, 7),
    { type: "split", file: 0, range: { start: 7, stop: 47 }, size: 20, outgrown: null },
    cut(7, 27),
    cut(27, 47),
    cut(47, 300),
  ])!;
  const { open } = restore(spec, false, memo, (name) => name);
  const ranges = open.map((item) => item.kind === "process" ? item.range : null);
  assert.deepEqual(ranges.slice(0, 4), [
    { start: 0, stop: 7 },
    { start: 7, stop: 27 },
    { start: 27, stop: 47 },
    { start: 47, stop: 300 },
  ]);
  assert.equal(ranges.length, 5); // and one that was never cut before
  assert.equal(keyOf(records.of(open[4]!)).startsWith("p0:300-"), true);
});

Deno.test("items of files that are none of the analysis have no record", () => {
  const { spec } = worldOf({
    seed: 1,
    entries: [10],
    chunkSize: 100,
    dynamic: false,
    eventsMax: Infinity,
    postprocess: false,
    alike: false,
  });
  const run: AnalysisRun = new AnalysisRun(spec, false);
  const item = run.next()!;
  assert.equal(itemId(item, 0), "pre-0");
  const other: AnalysisSpec = { ...spec, files: [] };
  assert.throws(() => new ItemRecords(other).of(item), /is no file of this analysis/);
});
