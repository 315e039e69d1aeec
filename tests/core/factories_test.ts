/** Limits of factories, as a manager keeps them. */
import assert from "node:assert/strict";
import type { WorkerId } from "../../core/ids.ts";
import { CountedProbe } from "../support/counted_probe.ts";
import { brief, resources } from "../support/builders.ts";

function joinFrom(probe: CountedProbe, factory: string): WorkerId {
  const worker = probe.join(resources(1));
  probe.receive(worker, { type: "info", key: "from-factory", value: factory });
  return worker;
}

function limit(probe: CountedProbe, limits: Record<string, number>): string[] {
  return brief(
    probe.handle({ type: "factory_limits", limits: new Map(Object.entries(limits)) }),
  );
}

Deno.test("a worker beyond the limit of its factory is told to leave, and gets no task", () => {
  const probe = new CountedProbe();
  joinFrom(probe, "f");
  assert.deepEqual(probe.scheduler.factories, ["f"]);
  assert.deepEqual(limit(probe, { f: 1 }), [], "one is not too many");
  probe.take();
  const second = joinFrom(probe, "f");
  assert.deepEqual(brief(probe.take()).filter((line) => line.startsWith("w2")), ["w2: exit"]);
  joinFrom(probe, "g");
  probe.join(resources(1));
  for (let i = 0; i < 4; i++) probe.submit();
  assert.deepEqual(probe.dispatched(), ["1 on w1", "2 on w3", "3 on w4"]);
  probe.close(second);
  assert.equal(probe.statistics.workersReleased, 1);
});

Deno.test("a limit that shrinks lets the youngest idle workers go, and busy ones work", () => {
  const probe = new CountedProbe();
  const workers = [1, 2, 3, 4].map(() => joinFrom(probe, "f"));
  const tasks = [probe.submit(), probe.submit()];
  assert.deepEqual(probe.dispatched(), ["1 on w1", "2 on w2"]);
  assert.deepEqual(limit(probe, { f: 3 }), ["w4: exit"]);
  assert.deepEqual(limit(probe, { f: 3 }), [], "w4 has been told");
  assert.deepEqual(limit(probe, { f: 0 }), ["w3: exit"], "two are busy");
  probe.finish(workers[0]!, tasks[0]!);
  assert.deepEqual(limit(probe, { f: 0 }), ["w1: exit"], "once it has no work");
});

Deno.test("a factory that the catalog forgets keeps its limit while it has workers here", () => {
  const probe = new CountedProbe();
  joinFrom(probe, "f");
  limit(probe, { f: 1, elsewhere: 7 });
  limit(probe, {});
  assert.deepEqual(probe.scheduler.factories, ["f"]);
  probe.take();
  joinFrom(probe, "f");
  assert.ok(brief(probe.take()).includes("w2: exit"), "the limit still counts");
  for (const worker of [...probe.scheduler.workers.keys()]) probe.close(worker);
  limit(probe, {});
  assert.deepEqual(probe.scheduler.factories, [], "until it has none");
});
