/** What tasks are given as their category learns, and what becomes of those that outgrow it. */
import assert from "node:assert/strict";
import type { CategorySettings } from "../../core/allocation/category.ts";
import type { TaskId, WorkerId } from "../../core/ids.ts";
import { measuredInfo } from "../../core/protocol/measured.ts";
import type { TaskEnd } from "../../core/scheduler/tasks.ts";
import { ManagerProbe, only, resources } from "../support/builders.ts";

const chance = () => 0;

function learning(settings: Partial<CategorySettings> = {}): ManagerProbe {
  return new ManagerProbe({}, {
    allocations: new Map([["default", { mode: "adaptive", chance, ...settings }]]),
  });
}

interface Ending {
  readonly memoryMb: number;
  /** Ended by the worker at this limit. */
  readonly limit?: number;
  readonly wallMs?: number;
}

/** The worker says what it measured of the task, then its result. */
function end(probe: ManagerProbe, worker: WorkerId, id: TaskId, ending: Ending): void {
  const { memoryMb, limit, wallMs = 60_000 } = ending;
  probe.nowMs += wallMs;
  const exceeded = limit === undefined
    ? {}
    : { exceeded: { resource: "memory", limit, measured: memoryMb } };
  const measured = {
    cpuUserMs: wallMs,
    cpuSystemMs: 0,
    memoryPeakMb: memoryMb,
    monitored: { memory: memoryMb, cores: 1, disk: 1 },
    ...exceeded,
  };
  probe.receive(worker, measuredInfo(id, measured));
  probe.finish(worker, id, {
    wallUs: wallMs * 1000,
    ...limit === undefined ? {} : { status: 16, exitCode: 9 },
  });
}

/** Boxes of what is dispatched now. */
const boxes = (probe: ManagerProbe) =>
  only(probe.schedule(), "dispatch").map(({ block: { cores, memoryMb } }) => [cores, memoryMb]);

/** On this worker, one after the other. */
function run(probe: ManagerProbe, worker: WorkerId, endings: readonly Ending[]): void {
  for (const ending of endings) {
    const id = probe.submit({ request: {} });
    probe.schedule();
    end(probe, worker, id, ending);
  }
}

Deno.test("undeclared, the first tasks get a core each, later ones what was seen to be needed", () => {
  const probe = learning();
  const worker = probe.join(resources(8, 16_000, 16_000));
  run(probe, worker, Array.from({ length: 20 }, () => ({ memoryMb: 1000 })));
  for (let i = 0; i < 8; i++) probe.submit({ request: {} });
  const given = boxes(probe);
  assert.equal(given.length, 8, "as many as cores");
  for (const [cores, memoryMb] of given) {
    assert.equal(cores, 1);
    assert.ok(memoryMb! >= 1000 && memoryMb! <= 2000, `${memoryMb} MB`);
  }
});

Deno.test("waiting tasks get more or less as their category learns", () => {
  const probe = learning();
  const worker = probe.join(resources(4, 4000, 16_000));
  for (let i = 0; i < 12; i++) probe.submit({ request: {} });
  assert.equal(boxes(probe).length, 4);
  const ids = [...probe.scheduler.workers.get(worker)!.running];
  for (const id of ids) end(probe, worker, id, { memoryMb: 1600 });
  assert.equal(boxes(probe).length, 2, "they need half of the worker each");
});

Deno.test("a task that outgrows its box is tried with a larger one, which counts as no failure", () => {
  const probe = learning();
  const worker = probe.join(resources(4, 4000, 16_000));
  run(probe, worker, Array.from({ length: 10 }, () => ({ memoryMb: 500 })));
  const id = probe.submit({ request: {}, retriesMax: 0 });
  let had = 0;
  for (let tries = 0; had < 4000; tries++) {
    assert.ok(tries < 6, "the ladder has few steps");
    const [[, memoryMb]] = boxes(probe) as [[number, number]];
    assert.ok(memoryMb > had, `${memoryMb} MB after ${had} MB`);
    had = memoryMb;
    end(probe, worker, id, { memoryMb: had + 10, limit: had });
  }
  const [[, ended]] = probe.ends().filter(([back]) => back === id) as [[TaskId, TaskEnd]];
  assert.deepEqual(ended, {
    kind: "failure",
    code: 16,
    why: "it needs more than 4000 MB memory, all that the largest worker has " +
      "(it had 4010 MB memory when it was stopped)",
    exhausted: { resource: "memory", limit: 4000, measured: 4010 },
  });
});

Deno.test("a declared limit is a ceiling: who outgrows it has failed for good", () => {
  const probe = learning({ max: { memoryMb: 800 } });
  const worker = probe.join(resources(4, 4000, 16_000));
  const id = probe.submit({ request: {}, retriesMax: 5 });
  let had = 0;
  for (let tries = 0; probe.scheduler.tasks.size > 0; tries++) {
    assert.ok(tries < 6, "the ladder has few steps");
    const [[, memoryMb]] = boxes(probe) as [[number, number]];
    had = memoryMb;
    end(probe, worker, id, { memoryMb: had + 10, limit: had });
  }
  const [[, ended]] = probe.ends() as [[TaskId, TaskEnd]];
  assert.ok(ended.kind === "failure");
  assert.match(ended.why, /^it needs more than \d+ MB memory, the limit of "default"/);
});

Deno.test("a task that climbs goes before others, and a host is not blamed for it", () => {
  const probe = new ManagerProbe({ hostFailuresMax: 1 }, {
    allocations: new Map([["default", { mode: "adaptive", chance }]]),
  });
  const worker = probe.join(resources(1, 4000, 16_000), "here");
  probe.join(resources(1, 4000, 16_000), "there");
  for (let i = 0; i < 4; i++) probe.submit({ request: { memoryMb: 1000 + i } });
  const climber = probe.submit({ request: {}, priority: 1 });
  probe.schedule();
  const [id] = [...probe.scheduler.workers.get(worker)!.running] as [TaskId];
  assert.equal(id, climber);
  end(probe, worker, id, { memoryMb: 5000, limit: 2000 });
  assert.deepEqual(only(probe.take(), "host_blocked"), []);
});

Deno.test("that a task is too large for every worker is said once, and again when that changes", () => {
  const probe = new ManagerProbe();
  const id = probe.submit({ request: { memoryMb: 8000 } });
  const said = () => only(probe.take(), "too_large").map(({ why }) => why);
  probe.schedule();
  probe.after(1);
  assert.deepEqual(said(), [], "no worker is there yet");
  probe.join(resources(4, 4000, 16_000));
  for (let seconds = 0; seconds < 3; seconds++) {
    probe.schedule();
    probe.after(1);
  }
  assert.deepEqual(said(), [
    `task ${id} (default) needs 8000 MB memory, but the largest worker has ` +
    "4 cores, 4000 MB memory, 16000 MB disk: it waits for a larger one",
  ]);
  probe.join(resources(4, 6000, 16_000));
  probe.schedule();
  probe.after(1);
  assert.match(said()[0]!, /has 4 cores, 6000 MB memory/);
  probe.join(resources(4, 9000, 16_000));
  assert.deepEqual(probe.dispatched(), [`${id} on w3`]);
});

Deno.test("what a real worker says of exhaustion, without numbers, ends a task with fixed boxes", () => {
  const probe = new ManagerProbe();
  const worker = probe.join();
  const id = probe.submit({ retriesMax: 0 });
  probe.schedule();
  probe.finish(worker, id, { status: 16, exitCode: 9 });
  const [[, ended]] = probe.ends() as [[TaskId, TaskEnd]];
  assert.deepEqual(ended, { kind: "failure", code: 16, why: "it outgrew its allocation" });
});

/** What tasks were seen to use on a worker that left must not keep others from the smaller ones. */
const outliving = [
  [199, "cores", { cores: 12, disk: 10 }],
  [5285, "disk", { cores: 1, disk: 20_000 }],
] as const;

for (const [seed, name, peak] of outliving) {
  Deno.test(`${name} that tasks used on a worker that has left are not waited for (seed ${seed})`, () => {
    const probe = learning({ mode: "max-seen" });
    const large = probe.join(resources(16, 16_000, 40_000));
    for (let i = 0; i < 20; i++) {
      const id = probe.submit({ request: {} });
      probe.schedule();
      probe.nowMs += 60_000;
      const monitored = { memory: 50, ...peak };
      const usage = { cpuUserMs: 1000, cpuSystemMs: 0, memoryPeakMb: 50, monitored };
      probe.receive(large, measuredInfo(id, usage));
      probe.finish(large, id, { wallUs: 60_000_000 });
    }
    probe.submit({ request: {} });
    probe.close(large);
    probe.join(resources(2, 1000, 5000));
    assert.equal(boxes(probe).length, 1);
  });
}
