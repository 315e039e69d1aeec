import assert from "node:assert/strict";
import { seededRng } from "../../core/env.ts";
import { FactoryWorld, type SimFactoryOptions } from "./factories.ts";

const seeds = Array.from({ length: 25 }, (_, i) => i + 1);

function factory(id: string, more: Partial<SimFactoryOptions> = {}): SimFactoryOptions {
  return { id, slots: 1000, waitMsMax: 30_000, intervalMs: 30_000, ...more };
}

Deno.test("two and three factories bring what is needed together, once, and share it evenly", () => {
  for (const seed of seeds) {
    for (const ids of [["a", "b"], ["a", "b", "c"]]) {
      const rng = seededRng(seed);
      const world = new FactoryWorld(40, rng, ids.map((id) => factory(id)));
      world.run(30);
      assert.equal(world.jobs, 40, `seed ${seed}`);
      assert.equal(world.peak, 40, `seed ${seed}: never more`);
      for (const { jobs, submitted } of world.factories) {
        assert.ok(Math.abs(jobs.size - 40 / ids.length) <= 1, `seed ${seed}: ${jobs.size}`);
        assert.equal(submitted, jobs.size, `seed ${seed}: nothing is handed in and taken back`);
      }
    }
  }
});

Deno.test("what a full or a broken queue cannot bring, the others do", () => {
  for (const seed of seeds) {
    for (const trouble of [{ slots: 3 }, { broken: true }, { settings: { maxWorkers: 4 } }]) {
      const world = new FactoryWorld(40, seededRng(seed), [
        factory("a", trouble),
        factory("b"),
        factory("c"),
      ]);
      world.run(90);
      const [, b, c] = world.factories;
      const running = world.factories.reduce((sum, one) => sum + one.connected(world.nowMs), 0);
      const message = `seed ${seed}, ${JSON.stringify(trouble)}: ${running} run`;
      assert.ok(running >= 40 && running <= 45, message);
      assert.ok(b!.jobs.size >= 10 && c!.jobs.size >= 10, message);
      assert.equal(b!.removed + c!.removed, 0, message);
    }
  }
});

Deno.test("a factory that comes later does not start what is there already", () => {
  for (const seed of seeds) {
    const late = { intervalMs: 20 * 60_000 };
    const world = new FactoryWorld(40, seededRng(seed), [factory("a"), factory("b", late)]);
    world.run(60);
    assert.ok(world.peak <= 60, `seed ${seed}: ${world.peak}`);
    assert.equal(world.factories[0]!.removed, 0, `seed ${seed}`);
  }
});

Deno.test("when the need falls, waiting jobs go once, and nobody starts them again", () => {
  for (const seed of seeds) {
    const slow = { slots: 5, settings: { workersPerCycle: 0 } };
    const world = new FactoryWorld(60, seededRng(seed), [factory("a", slow), factory("b", slow)]);
    world.run(15);
    world.tasks = 10;
    const before = world.factories.map(({ submitted }) => submitted);
    world.run(20);
    assert.equal(world.jobs, 10, `seed ${seed}`);
    assert.deepEqual(world.factories.map(({ submitted }) => submitted), before, `seed ${seed}`);
  }
});

Deno.test("workers that are killed in their first minute are replaced, once they had connected", () => {
  for (const seed of seeds) {
    const quick = { waitMsMax: 1000, intervalMs: 10_000 };
    const killing = (minMs: number, maxMs: number) => {
      const killed = { minMs, maxMs };
      const world = new FactoryWorld(20, seededRng(seed), [factory("a", { ...quick, killed })]);
      world.run(60);
      return world.factories[0]!.gapMsMax;
    };
    const connected = killing(5_000, 50_000);
    assert.ok(connected <= 70_000, `seed ${seed}: nothing for ${connected} ms`);
    const never = killing(500, 2_500);
    assert.ok(never >= 600_000, `seed ${seed}: no more than ${never} ms between two tries`);
  }
});

Deno.test("a broken queue is tried seldom, however many workers others bring and lose", () => {
  for (const seed of seeds) {
    const killed = { minMs: 20_000, maxMs: 600_000 };
    const world = new FactoryWorld(40, seededRng(seed), [
      factory("a", { broken: true }),
      factory("b", { killed }),
      factory("c", { killed }),
    ]);
    world.run(120);
    const [broken] = world.factories;
    assert.ok(broken!.submitted <= 90, `seed ${seed}: ${broken!.submitted}`);
  }
});
