import assert from "node:assert/strict";
import fc from "fast-check";
import type { TaskId } from "../../core/ids.ts";
import {
  chanceOfLoss,
  describePoison,
  type Fates,
  lossesInARowMin,
  lossesUnexplained,
  noFates,
} from "../../core/scheduler/poison.ts";
import { suspectWorkers } from "../../core/scheduler/suspects.ts";
import type { TaskEnd } from "../../core/scheduler/tasks.ts";
import { ManagerProbe, resources } from "../support/builders.ts";

const second = 1000;

function fates(ended: number, lost: number, eachMs = second): Fates {
  return { ended, lost, ranMs: ended * eachMs };
}

Deno.test("the more others are lost, the longer chance explains losses in a row", () => {
  const cases: [others: Fates, losses: number][] = [
    [noFates, 10], // nothing is known
    [fates(3, 0, 100 * second), 5],
    [fates(8, 0, 100 * second), 3],
    [fates(100, 10, 100 * second), 5],
    [fates(100, 50, 100 * second), 14],
    [fates(10_000, 1), 4],
    [fates(100_000, 50_000), 24],
  ];
  const needed = cases.map(([others]) =>
    lossesUnexplained(chanceOfLoss(others, second), others.ended)
  );
  assert.deepEqual(needed, cases.map(([, losses]) => losses));
});

Deno.test("a task that runs for longer than others is lost more often by chance", () => {
  const others = fates(100, 4, 60 * second); // once in 25 minutes
  const short = chanceOfLoss(others, 60 * second);
  const long = chanceOfLoss(others, 3 * 3600 * second);
  assert.equal(lossesUnexplained(short, 100), 4);
  assert.ok(lossesUnexplained(long, 100) > 20, `${long}`);
});

Deno.test("chance is a probability, and three losses in a row are the least", () => {
  const anyFates = fc.record({
    ended: fc.nat(1e6),
    lost: fc.nat(1e6),
    ranMs: fc.nat(1e12),
  }).map((one) => ({ ...one, lost: Math.min(one.lost, one.ended) }));
  fc.assert(fc.property(anyFates, fc.nat(1e9), (others, ranMs) => {
    const chance = chanceOfLoss(others, ranMs);
    assert.ok(chance > 0 && chance < 1, `${chance}`);
    const needed = lossesUnexplained(chance, others.ended);
    assert.ok(needed >= lossesInARowMin && needed < Infinity);
    assert.ok(chance ** needed <= 0.001 * 1.001);
  }));
});

Deno.test("why a poisonous task was given up says how often, where, and what would help", () => {
  const losses = { inARow: 3, ranMsMax: 0, cause: "it closed the connection" };
  const text = (hosts: string[], others: Fates, retriesMax = 0) =>
    describePoison({ ...losses, hosts: new Set(hosts) }, others, retriesMax);
  assert.equal(
    text(["a", "b"], fates(40, 1)),
    "its worker went away 3 times in a row, on a, b, at last because it closed the connection, " +
      "while 1 of 40 attempts of other tasks were lost: it seems to take its worker along (a " +
      "signal, or all of its memory). Run its command under `wqx monitor` to see, declare the " +
      "memory that it needs, or set `retries` above 2 to have it tried for longer",
  );
  assert.match(text(["a"], noFates), /and no other task ran meanwhile that would tell/);
  assert.match(text(["a", "b", "c", "d", "e", "f", "g"], noFates), /on a, b, c, d, e and 2 more,/);
  assert.match(text(["a"], noFates, 7), /`retries` above 7 /);
});

/** Workers of four cores, one of whose tasks kills the worker, where it is known who. */
class Pool extends ManagerProbe {
  readonly ended = new Map<TaskId, TaskEnd>();
  killed = 0;

  constructor(private readonly workerCount: number, private readonly poison: () => TaskId) {
    super();
  }

  /** One second: poison strikes, all others end after `taskMs`. */
  step(taskMs: number): void {
    this.nowMs += second;
    for (const { id, running } of [...this.scheduler.workers.values()]) {
      if (!running.has(this.poison())) continue;
      this.killed++;
      this.close(id, "it closed the connection");
    }
    for (const { id, running } of [...this.scheduler.workers.values()]) {
      const over = [...running].filter((task) => {
        const { phase } = this.scheduler.tasks.get(task)!;
        return phase.name === "running" && this.nowMs - phase.copies[0]!.sinceMs >= taskMs;
      });
      if (over.length > 0) this.finish(id, over);
    }
    for (const [id, end] of this.ends()) this.ended.set(id, end);
    while (this.scheduler.workers.size < this.workerCount) this.join(resources(4));
    this.schedule();
  }
}

Deno.test("one poisonous task among many costs a few workers, and nobody else", () => {
  const taken: number[] = [];
  for (const workerCount of [1, 2, 5]) {
    for (const taskMs of [second, 5 * second, 60 * second]) {
      for (const place of [1, 20, 40]) {
        let poison: TaskId | null = null;
        const pool = new Pool(workerCount, () => poison!);
        const ids = Array.from({ length: 40 }, () => pool.submit());
        poison = ids[place - 1]!;
        for (let i = 0; pool.scheduler.tasks.size > 0; i++) {
          assert.ok(i < 3600, "it comes to an end");
          pool.step(taskMs);
        }
        const failed = ids.filter((id) => pool.ended.get(id)!.kind !== "success");
        assert.deepEqual(failed, [poison]);
        taken.push(pool.killed);
      }
    }
  }
  // Most where a single worker has nothing left to compare it with.
  assert.ok(Math.max(...taken) <= 12, `${taken}`);
  assert.ok(taken.reduce((a, b) => a + b) / taken.length <= 5, `${taken}`);
});

Deno.test("where half of all workers vanish, ten losses in a row are not the task's fault", () => {
  const probe = new ManagerProbe();
  const unlucky = probe.submit({ priority: 1 });
  for (let losses = 1; losses <= 10; losses++) {
    const workers = [1, 2, 3, 4].map(() => probe.join(resources(2)));
    const runningOn = (
      id: (typeof workers)[number],
    ) => [...probe.scheduler.workers.get(id)!.running];
    for (let i = 0; i < 8; i++) probe.submit({ priority: 2 });
    // All fresh ones have a place; the unlucky one waits for its own.
    probe.schedule();
    const extra = probe.join(resources(1));
    for (let i = 0; runningOn(extra).length === 0; i++) {
      assert.ok(i < 200);
      probe.nowMs += second;
      probe.schedule();
    }
    probe.nowMs += 60 * second;
    for (const id of workers.slice(2)) probe.finish(id, runningOn(id));
    for (const id of [extra, ...workers]) probe.close(id, "it closed the connection");
    probe.ends();
    assert.ok(probe.scheduler.tasks.has(unlucky), `after ${losses} losses`);
  }
});

Deno.test("a task is tried as often as its retries say, whoever it takes along", () => {
  const losses = (retriesMax: number) => {
    const probe = new ManagerProbe();
    const stay = probe.join(resources(8), "stays");
    probe.receive(stay, { type: "feature", name: "plain" });
    const id = probe.submit({ retriesMax, features: ["odd"] });
    let count = 0;
    while (probe.scheduler.tasks.has(id)) {
      const others = Array.from({ length: 8 }, () => probe.submit({ features: ["plain"] }));
      const odd = probe.join(resources(1), "odd");
      probe.receive(odd, { type: "feature", name: "odd" });
      for (let i = 0; i < 200 && !probe.scheduler.workers.get(odd)!.running.has(id); i++) {
        probe.nowMs += second;
        probe.schedule();
        probe.finish(stay, others.filter((o) => probe.scheduler.workers.get(stay)!.running.has(o)));
      }
      probe.close(odd, "it closed the connection");
      count++;
    }
    return count;
  };
  assert.equal(losses(0), 3);
  assert.equal(losses(1), 3);
  assert.equal(losses(8), 9);
});

Deno.test("tasks that were lost together twice are kept apart until one has outlived the last", () => {
  const probe = new ManagerProbe();
  const ids = [probe.submit(), probe.submit(), probe.submit()];
  const runningOn = (id: ReturnType<typeof probe.join>) =>
    probe.scheduler.workers.get(id)!.running.size;
  for (const _ of [1, 2]) {
    const worker = probe.join(resources(4));
    probe.schedule();
    assert.equal(runningOn(worker), 3);
    probe.nowMs += 10 * second;
    probe.close(worker, "it closed the connection");
  }
  const [one, two] = [probe.join(resources(4)), probe.join(resources(4))];
  probe.schedule();
  assert.deepEqual([runningOn(one), runningOn(two)], [1, 1], "the third waits");
  const waiting = probe.scheduler.tasks.get(ids[2]!)!;
  assert.equal(suspectWorkers(waiting, probe.nowMs).size, 2);
  probe.nowMs += 11 * second;
  probe.schedule();
  assert.equal(runningOn(one) + runningOn(two), 3, "both have outlived it");
});
