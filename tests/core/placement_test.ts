import assert from "node:assert/strict";
import { workerId } from "../../core/ids.ts";
import type { Resources } from "../../core/resources.ts";
import type { Wish } from "../../core/allocation/policy.ts";
import { defaultLimits } from "../../core/scheduler/limits.ts";
import { place, placeElsewhere, type Placement } from "../../core/scheduler/place.ts";
import { SchedulerState } from "../../core/scheduler/state.ts";
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { newWorker, type WorkerState } from "../../core/scheduler/workers.ts";
import { cached, epochOffsetMs, input, resources, taskSpec } from "../support/builders.ts";

interface Settings {
  readonly total?: Resources;
  readonly promised?: Resources;
  readonly cached?: readonly string[];
  readonly features?: readonly string[];
  readonly stopsAtMs?: number;
}

function worker(name: string, settings: Settings = {}): WorkerState {
  const state = newWorker(workerId(name), "10.0.0.1:4000", 0);
  state.greeting = {
    type: "workqueue",
    protocol: 11,
    hostname: name,
    os: "Linux",
    arch: "x86_64",
    version: "0.1.0",
  };
  state.resourcesKnown = true;
  state.dialect = { ...state.dialect, endTimeInSeconds: true };
  state.total = settings.total ?? resources(4);
  state.promised = settings.promised ?? state.promised;
  state.stopsAtMs = settings.stopsAtMs ?? null;
  for (const cacheName of settings.cached ?? []) state.cached.add(cacheName);
  for (const feature of settings.features ?? []) state.features.add(feature);
  return state;
}

function stateOf(workers: readonly WorkerState[]): SchedulerState {
  const state = new SchedulerState({
    limits: defaultLimits,
    epochOffsetMs,
    stragglerFactors: new Map(),
    allocations: new Map(),
    monitor: "off",
    foreignMonitor: null,
    run: null,
  });
  for (const one of workers) {
    state.workers.set(one.id, one);
    state.noteRoom(one);
    for (const name of [...one.cached]) state.noteCached(one, name);
  }
  return state;
}

/** As it is declared. */
const wishOf = ({ request }: TaskSpec): Wish => ({ request, floor: {} });

function placed(state: SchedulerState, spec: TaskSpec, nowMs = 0): Placement | null {
  return place(state, spec, wishOf(spec), state.roomy, nowMs);
}

const nameOf = (placement: Placement | null) => placement?.worker.id ?? null;

/** Where a task goes that has not failed anywhere. */
function placeOn(spec: Partial<TaskSpec>, workers: readonly WorkerState[]): string | null {
  const state = stateOf(workers);
  return nameOf(placed(state, taskSpec(spec)));
}

/** Where one goes that has workers to avoid. */
function placeAgain(
  spec: Partial<TaskSpec>,
  workers: readonly WorkerState[],
  avoid: readonly string[],
  exclude: readonly string[] = [],
): string | null {
  const [a, e] = [avoid, exclude].map((names) => new Set(names.map(workerId)));
  const task = taskSpec(spec);
  return nameOf(placeElsewhere(stateOf(workers), task, wishOf(task), a!, e!, 0));
}

Deno.test("a task goes where most of its cached inputs are, else to the first with room", () => {
  const spec = { inputs: [cached("a"), cached("b"), input("own")] };
  const none = worker("none", { total: resources(64) });
  const one = worker("one", { cached: ["in-a"] });
  const both = worker("both", { cached: ["in-a", "in-b", "in-c"], promised: resources(3, 1, 1) });
  for (const again of [placeOn, (...args: Parameters<typeof placeOn>) => placeAgain(...args, [])]) {
    assert.equal(again(spec, [none, one, both]), "both");
    assert.equal(again(spec, [both, one, none]), "both");
    assert.equal(again(spec, [none, one]), "one");
  }
  assert.equal(placeOn({}, [one, none, both]), "one");
  assert.equal(placeOn({}, [worker("first"), worker("second")]), "first");
});

Deno.test("what a worker holds does not help where there is no room", () => {
  const full = worker("full", { cached: ["in-a"], promised: resources(4, 2000, 4000) });
  const memory = worker("memory", { cached: ["in-a"], promised: resources(1, 1800, 10) });
  const spec = { inputs: [cached("a")] };
  assert.equal(placeOn(spec, [full, memory, worker("empty")]), "empty");
  assert.equal(placeOn(spec, [full, memory]), null);
});

Deno.test("the box is a share of the worker that is chosen, and follows its size", () => {
  const changing = worker("a", { total: resources(2) });
  const box = () => {
    const state = stateOf([changing]);
    return placed(state, taskSpec())?.box;
  };
  assert.deepEqual(box(), resources(1, 1000, 2000));
  changing.total = resources(4);
  assert.deepEqual(box(), resources(1, 500, 1000));
});

Deno.test("a worker without free cores has room for what asks for gpus only", () => {
  const total = resources(2, 2000, 4000, 2);
  const busy = worker("busy", { total, promised: { ...resources(2, 1000, 2000), gpus: 1 } });
  assert.equal(placeOn({ request: { gpus: 1 } }, [busy]), "busy");
  assert.equal(placeOn({ request: { cores: 1 } }, [busy]), null);
});

Deno.test("a worker that has not said all about itself gets nothing", () => {
  const silent = worker("silent");
  silent.greeting = null;
  const halfway = worker("halfway");
  halfway.resourcesKnown = false;
  assert.equal(placeOn({}, [silent, halfway]), null);
  assert.equal(placeAgain({}, [silent, halfway], []), null);
});

Deno.test("features, the end of the worker and blocked hosts decide who may have a task", () => {
  const second = (n: number) => epochOffsetMs + n * 1000;
  const cases: [string, Partial<TaskSpec>, Settings, boolean][] = [
    ["no feature asked for", {}, { features: ["gpu"] }, true],
    ["all features", { features: ["gpu", "ssd"] }, { features: ["ssd", "gpu", "x"] }, true],
    ["one is missing", { features: ["gpu", "ssd"] }, { features: ["ssd"] }, false],
    ["it has stopped", {}, { stopsAtMs: second(0) }, false],
    ["it stops soon", {}, { stopsAtMs: second(1) }, true],
    ["long enough", { wallTimeMs: 60_000 }, { stopsAtMs: second(60) }, true],
    ["not long enough", { wallTimeMs: 60_001 }, { stopsAtMs: second(60) }, false],
    ["ends before", { endTimeMs: second(60) }, { stopsAtMs: second(60) }, true],
    ["ends after", { endTimeMs: second(61) }, { stopsAtMs: second(60) }, false],
    ["no end known", { endTimeMs: second(61), wallTimeMs: 1e9 }, {}, true],
  ];
  for (const [what, spec, settings, may] of cases) {
    assert.equal(placeOn(spec, [worker("w", settings)]), may ? "w" : null, what);
    assert.equal(placeAgain(spec, [worker("w", settings)], []), may ? "w" : null, what);
  }

  const state = stateOf([worker("bad")]);
  state.host("bad").blockedUntilMs = 1000;
  const at = (nowMs: number) => nameOf(placed(state, taskSpec(), nowMs));
  assert.deepEqual([at(999), at(1000)], [null, "bad"]);
});

Deno.test("a worker to avoid is taken only if no other is large enough, busy or not", () => {
  const bad = worker("bad");
  const busy = worker("busy", { promised: resources(4) });
  const small = worker("small", { total: resources(1) });
  const avoid = ["bad"];
  const two = { request: { cores: 2 } };
  assert.equal(placeAgain({}, [bad, small], avoid), "small");
  assert.equal(placeAgain({}, [small, bad], avoid), "small");
  assert.equal(placeAgain(two, [bad, small], avoid), "bad");
  assert.equal(placeAgain(two, [bad, busy], avoid), null, "it waits for busy");
  assert.equal(placeAgain(two, [busy, bad], avoid), null);
  assert.equal(placeAgain({}, [bad], avoid), "bad");
  assert.equal(placeAgain({}, [bad, small], ["bad", "small"]), "bad", "all of them failed");
  assert.equal(placeAgain({}, [bad, small], avoid, ["small"]), "bad");
  assert.equal(placeAgain({}, [bad], [], ["bad"]), null, "never those to exclude");
});

Deno.test("of those that may have it, the one with most cores free gets a task that failed", () => {
  const busy = worker("busy", { promised: resources(2, 1, 1) });
  const free = worker("free", { promised: resources(1, 1, 1) });
  assert.equal(placeAgain({}, [busy, free], []), "free");
  assert.equal(placeAgain({}, [free, busy], []), "free");
});
