import assert from "node:assert/strict";
import { workerId } from "../../core/ids.ts";
import type { Resources } from "../../core/resources.ts";
import { place } from "../../core/scheduler/place.ts";
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { newWorker, type WorkerState } from "../../core/scheduler/workers.ts";
import { cached, input, resources, taskSpec } from "../support/builders.ts";

interface Settings {
  readonly total?: Resources;
  readonly promised?: Resources;
  readonly cached?: readonly string[];
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
  state.total = settings.total ?? resources(4);
  state.promised = settings.promised ?? state.promised;
  for (const cacheName of settings.cached ?? []) state.cached.add(cacheName);
  return state;
}

function placeOn(
  spec: Partial<TaskSpec>,
  workers: readonly WorkerState[],
  avoid: readonly string[] = [],
): string | null {
  const placement = place(taskSpec(spec), workers, new Set(avoid.map(workerId)));
  return placement === null ? null : placement.worker.id;
}

Deno.test("a task goes where most of its cached inputs are, then where most cores are free", () => {
  const spec = { inputs: [cached("a"), cached("b"), input("own")] };
  const none = worker("none", { total: resources(64) });
  const one = worker("one", { cached: ["in-a"] });
  const both = worker("both", { cached: ["in-a", "in-b", "in-c"], promised: resources(3, 1, 1) });
  assert.equal(placeOn(spec, [none, one, both]), "both");
  assert.equal(placeOn(spec, [both, one, none]), "both");
  assert.equal(placeOn(spec, [none, one]), "one");
  assert.equal(placeOn({}, [one, none, both]), "none");

  const busy = worker("busy", { promised: resources(2, 1, 1) });
  const free = worker("free", { promised: resources(1, 1, 1) });
  assert.equal(placeOn({}, [busy, free]), "free");
  assert.equal(placeOn({}, [free, busy]), "free");
  assert.equal(placeOn({}, [worker("first"), worker("second")]), "first", "of equals the first");
});

Deno.test("what a worker holds does not help where there is no room", () => {
  const full = worker("full", { cached: ["in-a"], promised: resources(4, 2000, 4000) });
  const memory = worker("memory", { cached: ["in-a"], promised: resources(1, 1800, 10) });
  assert.equal(placeOn({ inputs: [cached("a")] }, [full, memory, worker("empty")]), "empty");
  assert.equal(placeOn({ inputs: [cached("a")] }, [full, memory]), null);
});

Deno.test("the box is a share of the worker that is chosen", () => {
  const placement = place(taskSpec(), [worker("a", { total: resources(2) })], new Set());
  assert.deepEqual(placement?.box, resources(1, 1000, 2000));
});

Deno.test("a worker that has not said all about itself gets nothing", () => {
  const silent = worker("silent");
  silent.greeting = null;
  const halfway = worker("halfway");
  halfway.resourcesKnown = false;
  assert.equal(placeOn({}, [silent, halfway]), null);
});

Deno.test("a worker to avoid is taken only if no other is large enough, busy or not", () => {
  const bad = worker("bad");
  const busy = worker("busy", { promised: resources(4) });
  const small = worker("small", { total: resources(1) });
  const avoid = ["bad"];
  assert.equal(placeOn({}, [bad, small], avoid), "small");
  assert.equal(placeOn({}, [small, bad], avoid), "small");
  assert.equal(placeOn({ request: { cores: 2 } }, [bad, small], avoid), "bad");
  assert.equal(placeOn({ request: { cores: 2 } }, [bad, busy], avoid), null, "it waits for busy");
  assert.equal(placeOn({ request: { cores: 2 } }, [busy, bad], avoid), null);
  assert.equal(placeOn({}, [bad], avoid), "bad");
  assert.equal(placeOn({}, [bad, small], ["bad", "small"]), "bad", "all of them failed");
});
