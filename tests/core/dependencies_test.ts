import assert from "node:assert/strict";
import fc from "fast-check";
import { Dependencies, findCycle, type Moves } from "../../core/tasklist/dependencies.ts";
import type { ListedTask } from "../../core/tasklist/spec.ts";
import { listed } from "../support/tasklist.ts";

const ids = (tasks: readonly ListedTask[]) => tasks.map(({ id }) => id);
const ready = (moves: Moves) => ids(moves.ready);
const doomed = (moves: Moves) => moves.doomed.map(({ task, why }) => `${task.id}: ${why}`);

Deno.test("a task without dependencies is ready at once, another one when all of its are over", () => {
  const tasks = [listed(1), listed(2), listed(3, [1, 2, 1])];
  const dependencies = new Dependencies();
  assert.deepEqual(tasks.map((task) => ready(dependencies.add(task))), [[1], [2], []]);
  assert.deepEqual(ready(dependencies.ended(tasks[1]!, null)), []);
  assert.deepEqual([dependencies.count, dependencies.waitingCount], [2, 1]);
  assert.deepEqual(ready(dependencies.ended(tasks[0]!, null)), [3]);
  assert.deepEqual(ready(dependencies.ended(tasks[2]!, null)), []);
  assert.equal(dependencies.count, 0);
});

Deno.test("a task may come after one that follows in the list, or that was over long ago", () => {
  const dependencies = new Dependencies();
  const [early, late] = [listed(1, [2]), listed(2)];
  assert.deepEqual(ready(dependencies.add(early)), []);
  assert.deepEqual(ready(dependencies.add(late)), [2]);
  assert.deepEqual(ready(dependencies.ended(late, null)), [1]);
  dependencies.ended(early, null);
  assert.deepEqual(ready(dependencies.add(listed(3, [1, 2]))), [3]);
});

Deno.test("what comes after a task that did not succeed is not run, near or far, and says why", () => {
  const dependencies = new Dependencies();
  const fit = listed(1, [], { name: "fit" });
  dependencies.add(fit);
  const named = [{ id: 1, named: "fit" }];
  for (const task of [listed(2, [], { after: named }), listed(3, [2]), listed(4, [2, 3])]) {
    dependencies.add(task);
  }
  assert.deepEqual(doomed(dependencies.ended(fit, "failed")), [
    '2: it comes after task "fit", which failed',
    "3: it comes after task 2, which was not run",
    "4: it comes after task 2, which was not run",
  ]);
  assert.deepEqual(doomed(dependencies.add(listed(5, [], { after: named }))), [
    '5: it comes after task "fit", which failed',
  ]);
  assert.equal(dependencies.count, 0);
});

Deno.test("an entry that is refused takes along what waits for it, and what is still to come", () => {
  const dependencies = new Dependencies();
  dependencies.add(listed(1, [2]));
  assert.deepEqual(doomed(dependencies.refused(2)), [
    "1: it comes after task 2, which was refused",
  ]);
  // Doomed as soon as it is added, and with it the one before that waits for it.
  dependencies.add(listed(3, [4]));
  assert.deepEqual(doomed(dependencies.add(listed(4, [2]))), [
    "3: it comes after task 4, which was not run",
    "4: it comes after task 2, which was refused",
  ]);
});

Deno.test("tasks that wait for others can be given up; what is out is not", () => {
  const dependencies = new Dependencies();
  const first = listed(1);
  for (const task of [first, listed(2, [1]), listed(3, [2])]) dependencies.add(task);
  assert.deepEqual(ids(dependencies.giveUp()), [2, 3]);
  assert.equal(dependencies.count, 1);
  assert.deepEqual(dependencies.ended(first, null), { ready: [], doomed: [] });
  assert.throws(() => dependencies.ended(first, null), /not out/);
});

Deno.test("a chain of 100,000 tasks falls in one go, without a stack as deep", () => {
  const dependencies = new Dependencies();
  const first = listed(1);
  dependencies.add(first);
  for (let id = 2; id <= 100_000; id++) dependencies.add(listed(id, [id - 1]));
  assert.equal(dependencies.ended(first, "failed").doomed.length, 99_999);
});

/** Tasks in an order in which they can run, listed in any other, and what comes of each. */
const worlds = fc.array(
  fc.record({
    after: fc.array(fc.nat(), { maxLength: 3 }),
    fault: fc.constantFrom(null, null, null, "failed" as const),
    refused: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    place: fc.nat(),
  }),
  { maxLength: 30 },
);

Deno.test("whatever the order of the list and of the ends, each task is run or doomed once, rightly", () => {
  fc.assert(fc.property(worlds, fc.array(fc.nat()), (world, choices) => {
    const order = world.map((_, i) => i).sort((a, b) => world[a]!.place - world[b]!.place);
    const idOf = (i: number) => order.indexOf(i) + 1;
    const after = world.map((one, i) => one.after.map((n) => n % (i || 1)).filter(() => i > 0));
    const good: boolean[] = [];
    world.forEach((one, i) => {
      good[i] = !one.refused && one.fault === null && after[i]!.every((j) => good[j]);
    });
    const runs = (i: number) => !world[i]!.refused && after[i]!.every((j) => good[j]);

    const dependencies = new Dependencies();
    const out: ListedTask[] = [];
    const ran = new Set<number>();
    const fallen = new Set<number>();
    const ended = new Set<number>();
    const follow = (moves: Moves) => {
      for (const task of moves.ready) {
        assert.ok(!ran.has(task.id) && !fallen.has(task.id));
        assert.ok(task.after.every(({ id }) => ended.has(id)), `${task.id} is early`);
        ran.add(task.id);
        out.push(task);
      }
      for (const { task } of moves.doomed) {
        assert.ok(!ran.has(task.id) && !fallen.has(task.id));
        fallen.add(task.id);
      }
    };
    let next = 0;
    let choice = 0;
    while (next < order.length || out.length > 0) {
      const chosen = choices[choice++ % Math.max(1, choices.length)] ?? 0;
      if (next < order.length && (out.length === 0 || chosen % 2 === 0)) {
        const i = order[next++]!;
        if (world[i]!.refused) follow(dependencies.refused(idOf(i)));
        else follow(dependencies.add(listed(idOf(i), after[i]!.map(idOf))));
      } else {
        const [task] = out.splice(chosen % out.length, 1);
        ended.add(task!.id);
        follow(dependencies.ended(task!, world[order[task!.id - 1]!]!.fault));
      }
    }
    assert.equal(dependencies.count, 0);
    world.forEach((one, i) => {
      assert.equal(ran.has(idOf(i)), runs(i));
      assert.equal(fallen.has(idOf(i)), !one.refused && !runs(i));
    });
  }));
});

Deno.test("a circle of tasks is found, and only a circle", () => {
  assert.equal(findCycle([]), null);
  assert.equal(findCycle([[1, 2], [2], []]), null);
  assert.deepEqual(findCycle([[0]]), [0]);
  assert.deepEqual(findCycle([[1], [2], [3], [1]]), [1, 2, 3]);
  assert.equal(findCycle(Array.from({ length: 100_000 }, (_, i) => i === 0 ? [] : [i - 1])), null);
});

Deno.test("what is found is a circle, and where none is found tasks can be put in order", () => {
  const graphs = fc.integer({ min: 1, max: 12 }).chain((n) =>
    fc.array(fc.array(fc.nat(n - 1), { maxLength: 3 }), { minLength: n, maxLength: n })
  );
  fc.assert(fc.property(graphs, (after) => {
    const cycle = findCycle(after);
    if (cycle !== null) {
      cycle.forEach((at, i) => assert.ok(after[at]!.includes(cycle[(i + 1) % cycle.length]!)));
      return;
    }
    const placed = new Set<number>();
    for (let round = 0; round < after.length; round++) {
      after.forEach((others, i) => others.every((other) => placed.has(other)) && placed.add(i));
    }
    assert.equal(placed.size, after.length);
  }));
});
