import assert from "node:assert/strict";
import { clientResult } from "../../core/api/result.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { OwnerOrder } from "../../core/scheduler/orders.ts";
import { brief, cached, ManagerProbe, only, output, resources } from "../support/builders.ts";

const asData = { exitCodeIsData: true } as const;
const asked = (name: string, when: "always" | "failure" | "success" = "always") =>
  output(name, { when });

function order(probe: ManagerProbe, given: OwnerOrder) {
  return probe.handle({ type: "order", order: given });
}

/** The row of the task that came back last. */
function returned(probe: ManagerProbe) {
  const { task, end } = only(probe.take(), "returned").at(-1)!;
  return clientResult(task, end, { nowMs: probe.nowMs, epochOffsetMs: 0, monitored: true }).row;
}

Deno.test("where the exit code is data, a task is tried once and its outputs are wanted", () => {
  const cases = [
    { told: { exitCode: 3 }, wanted: [0, 3] },
    { told: { exitCode: 3, missing: ["o"] }, wanted: [2, 3] },
    { told: { missing: ["o"] }, wanted: [2, 0] },
    { told: { status: resultCode.endTime, exitCode: 9, missing: ["o"] }, wanted: [24, 9] },
    { told: { status: resultCode.maxWallTime, exitCode: 9 }, wanted: [56, 9] },
    { told: { status: resultCode.inputMissing, exitCode: 1 }, wanted: [1, 1] },
  ] as const;
  for (const { told, wanted } of cases) {
    const probe = new ManagerProbe();
    const worker = probe.join(resources(1));
    const id = probe.submit({ ...asData, outputs: [asked("o")] });
    probe.schedule();
    probe.finish(worker, id, told);
    assert.deepEqual(returned(probe).slice(1, 3), wanted, JSON.stringify(told));
    assert.equal(probe.scheduler.tasks.size, 0);
  }
});

Deno.test("outputs of failures only and of successes only are asked for by the exit code", () => {
  for (const [exitCode, wanted] of [[0, ["out-a", "out-s"]], [1, ["out-a", "out-f"]]] as const) {
    const probe = new ManagerProbe();
    const worker = probe.join(resources(1));
    const outputs = [asked("a"), asked("f", "failure"), asked("s", "success")];
    const id = probe.submit({ ...asData, outputs });
    probe.schedule();
    const gets = only(probe.finish(worker, id, { exitCode }), "send").flatMap(({ message }) =>
      message.type === "get" ? [message.cacheName] : []
    );
    assert.deepEqual(gets, wanted);
    assert.deepEqual(returned(probe).slice(1, 3), [0, exitCode]);
  }
});

Deno.test("nothing is fetched of an attempt that outgrew its box", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(1));
  const id = probe.submit({ ...asData, outputs: [asked("o")] });
  probe.schedule();
  const value = `${id} 1 1 600 ${
    JSON.stringify({ exceeded: { resource: "memory", limit: 500, measured: 600 } })
  }`;
  probe.receive(worker, { type: "info", key: "wqx-measured", value });
  const acts = probe.finish(worker, id, { status: resultCode.resourceExhaustion, exitCode: 9 });
  assert.equal(only(acts, "send").some(({ message }) => message.type === "get"), false);
  const row = returned(probe);
  assert.equal(row[1], resultCode.resourceExhaustion);
  assert.deepEqual(row[10], { memory: 500 });
});

Deno.test("a task that was dispatched more often than it may fails with MAX_RETRIES", () => {
  const probe = new ManagerProbe();
  const id = probe.submit({ ...asData, dispatchesMax: 1 });
  for (let i = 0; i < 2; i++) {
    const worker = probe.join(resources(1));
    assert.deepEqual(probe.dispatched(), [`${id} on ${worker}`]);
    probe.close(worker);
  }
  const row = returned(probe);
  assert.deepEqual(row.slice(1, 4), [resultCode.maxRetries, -1, -1]);
  assert.match(row[11]!, /dispatched 2 times, and 1 retries are allowed/);
});

Deno.test("a result tells bytes and instants of the last attempt, in microseconds", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(1));
  const id = probe.submit({ ...asData, inputs: [cached("in")], outputs: [asked("o")] });
  probe.nowMs = 10;
  probe.schedule();
  probe.handle({ type: "sending", worker, bytes: 70, id });
  probe.nowMs = 20;
  probe.handle({ type: "sent", worker, id });
  probe.nowMs = 500;
  probe.finish(worker, id, { wallUs: 300_000, printed: "hi" });
  const [, code, status, size, host, hostname, times, sums, box] = returned(probe);
  assert.deepEqual([code, status, size, host, hostname], [0, 0, 2, "10.0.0.1:4000", "w1"]);
  assert.deepEqual(times, [10_000, 20_000, 500_000, 500_000, 500_000]);
  assert.deepEqual(sums, [300_000, 300_000, 0, 70, 1, 10_000, 1, 0]);
  assert.deepEqual(box, [1, 2000, 4000, 0]);
});

Deno.test("a task that expires while it waits has no host and no exit code", () => {
  const probe = new ManagerProbe();
  probe.submit({ ...asData, endTimeMs: 500 });
  probe.after(1);
  const row = returned(probe);
  assert.deepEqual(row.slice(1, 6), [resultCode.endTime, -1, -1, null, null]);
});

Deno.test("a task whose end time has passed is not dispatched, and the next one is", () => {
  const probe = new ManagerProbe();
  probe.join(resources(4));
  probe.nowMs = 600;
  const late = probe.submit({ ...asData, endTimeMs: 500 });
  const next = probe.submit({ ...asData });
  assert.deepEqual(probe.dispatched(), [`${next} on w1`]);
  assert.deepEqual(returned(probe).slice(0, 2), [late, resultCode.endTime]);
});

Deno.test("a task is not dispatched before its time, and counts as waiting until then", () => {
  const probe = new ManagerProbe();
  probe.join(resources(4));
  const id = probe.submit({ ...asData, notBeforeMs: 2000 });
  const canceled = probe.submit({ notBeforeMs: 2000 });
  assert.deepEqual(probe.dispatched(), []);
  assert.equal(probe.scheduler.counts.waiting, 2);
  probe.cancel(canceled);
  probe.after(1);
  assert.deepEqual(probe.dispatched(), []);
  probe.after(1);
  assert.deepEqual(probe.dispatched(), [`${id} on w1`]);
  assert.equal(probe.scheduler.counts.waiting, 0);
});

Deno.test("a task that needs an hour does not go to a worker that stops in a minute", () => {
  const probe = new ManagerProbe();
  const brief = probe.join(resources(4));
  probe.receive(brief, { type: "info", key: "worker-end-time", value: "60" });
  const long = probe.submit({ wallTimeMinMs: 3_600_000 });
  const short = probe.submit({ wallTimeMinMs: 1000 });
  assert.deepEqual(probe.dispatched(), [`${short} on ${brief}`]);
  const lasting = probe.join(resources(4));
  assert.deepEqual(probe.dispatched(), [`${long} on ${lasting}`]);
});

Deno.test("no more tasks of a category run than may, and the others go on", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(8));
  order(probe, { type: "category", name: "few", change: { runningMax: 2 } });
  const few = [1, 2, 3, 4].map(() => probe.submit({ category: "few" }));
  const other = probe.submit({ category: "other" });
  assert.deepEqual(probe.dispatched(), [1, 2, other].map((id) => `${id} on ${worker}`));
  probe.finish(worker, few[0]!);
  assert.deepEqual(probe.dispatched(), [`${few[2]} on ${worker}`]);
  order(probe, { type: "category", name: "few", change: { runningMax: Infinity } });
  assert.deepEqual(probe.dispatched(), [`${few[3]} on ${worker}`]);
});

Deno.test("a category gets new bounds, a first guess and another mode while it runs", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(8, 8000, 8000));
  const boxOf = () => {
    probe.submit({ category: "c", request: {} });
    return only(probe.schedule(), "dispatch").at(-1)!.block;
  };
  const change = (allocation: object) =>
    order(probe, { type: "category", name: "c", change: { allocation } });
  change({ mode: "fixed", max: { cores: 2 } });
  assert.equal(boxOf().cores, 2);
  change({ max: { cores: 1 } });
  assert.equal(boxOf().cores, 1);
  change({ mode: "max-seen", max: {}, guess: { cores: 4 }, steadyCount: 1 });
  const block = boxOf();
  assert.equal(block.cores, 4);
  const told = `${block.taskId} 1000 0 100 {"monitored":{"cores":1,"memory":100,"disk":10}}`;
  probe.receive(worker, { type: "info", key: "wqx-measured", value: told });
  for (const id of [1, 2, 3] as const) probe.finish(worker, id as never, { wallUs: 1000 });
  assert.equal(boxOf().cores, 8, "the guess is for the first ones only");
});

Deno.test("a drained host gets no tasks, and its workers leave when they have none", () => {
  const probe = new ManagerProbe();
  const busy = probe.join(resources(2), "old");
  const id = probe.submit();
  probe.schedule();
  const idle = probe.join(resources(2), "old");
  const acts = order(probe, { type: "drain", host: "old", on: true });
  assert.deepEqual(brief(acts), [`${idle}: exit`]);
  probe.submit();
  assert.deepEqual(probe.dispatched(), []);
  probe.finish(busy, id);
  assert.deepEqual(brief(probe.after(1)).filter((act) => act.includes("exit")), [`${busy}: exit`]);
});

Deno.test("a host that is no longer drained gets tasks again", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(2), "old");
  const id = probe.submit();
  probe.schedule();
  order(probe, { type: "drain", host: "old", on: true });
  order(probe, { type: "drain", host: "old", on: false });
  probe.finish(worker, id);
  const next = probe.submit();
  assert.deepEqual(probe.dispatched(), [`${next} on ${worker}`]);
});

Deno.test("a blocked host gets tasks when its time is over, or when it is unblocked", () => {
  const probe = new ManagerProbe();
  probe.join(resources(4), "bad");
  order(probe, { type: "block", host: "bad", untilMs: 2000 });
  const first = probe.submit();
  assert.deepEqual(probe.dispatched(), []);
  probe.after(1);
  assert.deepEqual(probe.dispatched(), []);
  probe.after(1);
  assert.deepEqual(probe.dispatched(), [`${first} on w1`]);
  order(probe, { type: "block", host: "bad", untilMs: Infinity });
  const second = probe.submit();
  assert.deepEqual(probe.dispatched(), []);
  order(probe, { type: "unblock", host: null });
  assert.deepEqual(probe.dispatched(), [`${second} on w1`]);
});

Deno.test("what uses a forgotten input starts anew, and the input is sent again", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(4));
  const id = probe.submit({ inputs: [cached("lib")] });
  const other = probe.submit();
  probe.schedule();
  const acts = brief(order(probe, { type: "invalidate", cacheName: "in-lib" }));
  assert.deepEqual(acts, [
    `${worker}: kill ${id}`,
    `attempt of ${id}: lost, again`,
    `${worker}: unlink in-lib`,
  ]);
  assert.deepEqual(brief(probe.schedule()), [`${worker}: put in-lib, task ${id}`]);
  assert.ok(probe.scheduler.tasks.get(other)?.phase.name === "running");
});

Deno.test("so many workers without work are told to leave", () => {
  const probe = new ManagerProbe();
  const workers = [1, 2, 3].map(() => probe.join(resources(1)));
  probe.submit();
  probe.schedule();
  const acts = brief(order(probe, { type: "dismiss_idle", count: 1 }));
  assert.deepEqual(acts, [`${workers[1]}: exit`]);
  assert.deepEqual(brief(order(probe, { type: "dismiss_idle", count: Infinity })), [
    `${workers[2]}: exit`,
  ]);
});
