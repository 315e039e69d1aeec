/** Which inputs go to which worker, and which outputs come back. */
import assert from "node:assert/strict";
import type { TaskInput } from "../../core/scheduler/tasks.ts";
import {
  brief,
  cached,
  input,
  ManagerProbe,
  only,
  output,
  resources,
  runningTask,
} from "../support/builders.ts";

Deno.test("cached inputs are sent to a worker once, others each time", () => {
  const probe = new ManagerProbe();
  probe.join(resources(3));
  for (let i = 0; i < 2; i++) probe.submit({ inputs: [cached("a"), input("own")] });
  assert.deepEqual(brief(probe.schedule()), [
    "w1: put in-a, put in-own, task 1",
    "w1: put in-own, task 2",
  ]);
});

Deno.test("what stands for wqx itself is not sent to workers of wqx", () => {
  const probe = new ManagerProbe();
  const [foreign, own] = [probe.join(resources(1)), probe.join(resources(1))];
  probe.receive(own, { type: "info", key: "wqx", value: "0.1.0" });
  for (let i = 0; i < 2; i++) {
    probe.submit({
      inputs: [input("a"), cached("wqx")].map((one, n) => n ? onlyForeign(one) : one),
    });
  }
  const sent = only(probe.schedule(), "dispatch").map(({ worker, inputs, block }) => [
    worker,
    inputs.map((one) => one.sandboxName),
    block.inputs.map((one) => one.sandboxName),
  ]);
  assert.deepEqual(sent, [[foreign, ["a", "wqx"], ["a", "wqx"]], [own, ["a"], ["a"]]]);
});

const onlyForeign = (one: TaskInput): TaskInput => ({ ...one, onlyForeign: true });

Deno.test("outputs say when they are wanted, and failures are fetched of failed tasks only", () => {
  const outputs = [
    output("ok"),
    output("core", { when: "failure" }),
    output("log", { when: "always", watch: true }),
    output("kept", { cache: true }),
  ];
  const flags = only(runningTask({ outputs }).probe.take(), "dispatch")
    .flatMap(({ block }) => block.outputs.map((file) => file.flags));
  assert.deepEqual(flags, [64, 32, 16, 65]);
  for (const [exitCode, wanted] of [[0, ["ok", "log", "kept"]], [1, ["core", "log"]]] as const) {
    const { probe, worker, id } = runningTask({ outputs });
    const actions = brief(probe.finish(worker, id, { exitCode }));
    assert.deepEqual(
      actions.filter((text) => text.includes(" get ")),
      wanted.map((name) => `w1: get out-${name}`),
    );
  }
});

Deno.test("an output that is kept is there for tasks that need it", () => {
  const { probe, worker, id } = runningTask({ outputs: [output("kept", { cache: true })] });
  const actions = brief(probe.finish(worker, id));
  assert.ok(!actions.includes("w1: unlink out-kept"));
  const next = { inputs: [cached("kept")].map((one) => ({ ...one, cacheName: "out-kept" })) };
  probe.submit(next);
  assert.deepEqual(brief(probe.schedule()), ["w1: task 2"]);

  // After a failure it may not be what it should be.
  const failing = runningTask({ outputs: [output("kept", { cache: true })] });
  failing.probe.finish(failing.worker, failing.id, { exitCode: 1 });
  failing.probe.submit(next);
  assert.deepEqual(brief(failing.probe.schedule()), ["w1: put out-kept, task 2"]);
});
