/** What workers may and may not do on their links. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { ToManager } from "../../core/protocol/messages.ts";
import { SchedulerState } from "../../core/scheduler/state.ts";
import { brief, ManagerProbe, only, output, resources, runningTask } from "../support/builders.ts";
import { anyToManager } from "../support/messages.ts";

Deno.test("what nobody asked for costs a worker its link, and no other", () => {
  const sizes = { status: 0, exitCode: 0, wallUs: 0, length: 0 };
  const cases: [Parameters<ManagerProbe["receive"]>[1], string][] = [
    [{ type: "result", taskId: 1, ...sizes }, "A result nobody asked for"],
    [{ type: "file", path: "out-o", length: 0 }, '"out-o" came without a "get"'],
    [{ type: "missing", path: "out-o", errno: 2 }, '"out-o" came without a "get"'],
    [{ type: "end" }, 'An "end" of nothing'],
  ];
  for (const [message, why] of cases) {
    const probe = new ManagerProbe();
    const [one, two] = [probe.join(resources(1)), probe.join(resources(1))];
    probe.submit();
    probe.submit();
    probe.schedule();
    probe.take();
    assert.deepEqual(brief(probe.receive(one, message)), [
      "w1: close",
      "attempt of 1: lost, again",
    ]);
    assert.equal(only(probe.take(), "close")[0]?.why, why);
    assert.deepEqual([...probe.scheduler.workers.keys()], [two]);
    assert.deepEqual(probe.receive(one, message), [], "what still comes from it is ignored");
  }
});

Deno.test("an answer about another output than the one asked for costs the link", () => {
  const { probe, worker, id } = runningTask({ outputs: [output("a"), output("b")] });
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id);
  probe.receive(worker, { type: "end" });
  probe.take();
  probe.receive(worker, { type: "file", path: "out-b", length: 0 });
  assert.equal(only(probe.take(), "close")[0]?.why, 'Asked for "out-a" and got "out-b"');
});

Deno.test("before its greeting a worker may say nothing else, and of protocols 9 to 11 only", () => {
  const probe = new ManagerProbe();
  const rest = { hostname: "node8", os: "Linux", arch: "x86_64", version: "8.0.0" };
  const cases: [ToManager, string][] = [
    [{ type: "alive" }, 'Got "alive" before the greeting'],
    [{ type: "end" }, 'Got "end" before the greeting'],
    [{ type: "auth" }, "it wants to authenticate, and this manager has no password"],
    ...[0, 8, 12].map((protocol): [ToManager, string] => [
      { type: "workqueue", protocol, ...rest },
      `node8 speaks protocol ${protocol}, not one of 9, 10, 11`,
    ]),
    [
      { type: "workqueue", protocol: 11, ...rest, os: "foreman" },
      "node8 is a foreman; connect its workers directly",
    ],
  ];
  for (const [message, why] of cases) {
    probe.receive(probe.open(), message);
    assert.deepEqual(only(probe.take(), "close").map((action) => action.why), [why]);
  }
  assert.equal(probe.scheduler.workers.size, 0);
  for (const protocol of [9, 10, 11]) {
    const worker = probe.open();
    assert.deepEqual(probe.receive(worker, { type: "workqueue", protocol, ...rest }), []);
    assert.equal(probe.scheduler.workers.get(worker)?.dialect.protocol, protocol);
  }
});

Deno.test("questions of others are answered before the greeting only", () => {
  const probe = new ManagerProbe();
  const questions: ToManager[] = [
    { type: "status", request: "queue_status" },
    { type: "http", path: "/" },
  ];
  for (const question of questions) {
    const worker = probe.open();
    assert.deepEqual(probe.receive(worker, question), [
      { type: "answer_status", worker, question },
    ]);
    const greeted = probe.join();
    assert.deepEqual(brief(probe.receive(greeted, question)), [`${greeted}: close`]);
  }
});

Deno.test("a worker that says when it will end reads end times in seconds", () => {
  const probe = new ManagerProbe();
  const worker = probe.join();
  const state = probe.scheduler.workers.get(worker)!;
  assert.deepEqual([state.dialect.endTimeInSeconds, state.stopsAtMs], [true, null]);
  for (const [value, stopsAtMs] of [["0", null], ["1700000000", 1_700_000_000_000], ["x", null]]) {
    probe.receive(worker, { type: "info", key: "worker-end-time", value: String(value) });
    assert.deepEqual([state.dialect.endTimeInSeconds, state.stopsAtMs], [true, stopsAtMs]);
  }
});

Deno.test("a worker gets no task before it has told all its resources", () => {
  const probe = new ManagerProbe();
  probe.submit();
  const worker = probe.open();
  const rest = { hostname: "node8", os: "Linux", arch: "x86_64", version: "8.0.0" };
  probe.receive(worker, { type: "workqueue", protocol: 11, ...rest });
  for (const name of ["disk", "memory", "gpus", "cores", "workers", "unheard_of"]) {
    probe.receive(worker, { type: "resource", name, total: 4, smallest: 4, largest: 4 });
  }
  probe.receive(worker, { type: "resource tag", tag: -1 });
  assert.deepEqual(probe.dispatched(), []);
  probe.receive(worker, { type: "resource tag", tag: 0 });
  assert.deepEqual(probe.dispatched(), [], "its end time is still to come");
  probe.receive(worker, { type: "info", key: "worker-end-time", value: "0" });
  assert.deepEqual(probe.dispatched(), ["1 on w1"]);
  const { total, promised } = probe.scheduler.workers.get(worker)!;
  assert.deepEqual([total, promised], [resources(4, 4, 4, 4), resources(1, 1, 1)]);
});

Deno.test("a worker that asks for the manager's name is told", () => {
  const { probe, worker } = runningTask();
  assert.deepEqual(brief(probe.receive(worker, { type: "name" })), ["w1: (its name)"]);
});

Deno.test("a silent worker is asked after 120 s and given up 30 s later", () => {
  const { probe, worker } = runningTask();
  assert.deepEqual(probe.after(120), []);
  assert.deepEqual(brief(probe.after(1)), ["w1: check"]);
  assert.deepEqual(probe.after(30), [], "asked once");
  assert.deepEqual(brief(probe.after(1)), ["w1: close", "attempt of 1: lost, again"]);
  assert.ok(!probe.scheduler.workers.has(worker));
});

Deno.test("any sign of life stands for an answer", () => {
  const { probe, worker } = runningTask();
  const signs = [
    () => probe.receive(worker, { type: "alive" }),
    () => probe.handle({ type: "moving", worker }),
    () => probe.receive(worker, { type: "info", key: "tasks_running", value: "1" }),
  ];
  for (const sign of signs) {
    assert.deepEqual(brief(probe.after(121)), ["w1: check"]);
    sign();
    assert.deepEqual(probe.after(31), []);
    assert.deepEqual(probe.after(89), []);
  }
});

Deno.test("who connects and never greets is put out after 30 s", () => {
  const probe = new ManagerProbe();
  probe.open();
  assert.deepEqual(probe.after(30), []);
  assert.deepEqual(brief(probe.after(1)), ["w1: close"]);
  assert.equal(only(probe.take(), "close")[0]?.why, "it connected and never greeted");
});

Deno.test("a lost worker's tasks wait again, whether they ran or were being retrieved", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(2));
  const [one, two] = [probe.submit({ outputs: [output("o")] }), probe.submit()];
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, one, { exitCode: 0, printed: "abc" });
  probe.take();
  assert.deepEqual(brief(probe.close(worker)), [
    "attempt of 2: lost, again",
    "attempt of 1: lost, again",
  ]);
  const next = probe.join(resources(2));
  assert.deepEqual(probe.dispatched(), [`${two} on ${next}`, `${one} on ${next}`]);
  probe.finish(next, [one, two]);
  assert.deepEqual(probe.ends(), [[two, { kind: "success" }], [one, { kind: "success" }]]);
});

Deno.test("an impossible change of phase says how it came about", () => {
  const { probe, worker, id } = runningTask({ retriesMax: 1 });
  const task = probe.scheduler.tasks.get(id)!;
  probe.finish(worker, id, { exitCode: 1 });
  const state = new SchedulerState(probe.scheduler.options);
  const end = { kind: "canceled" } as const;
  for (const phase of [{ name: "waiting" }, { name: "done", end }] as const) {
    task.phase = { name: "done", end };
    assert.throws(() => state.enter(task, phase), {
      message: `Task 1 cannot go done → ${phase.name} (failure)`,
    });
  }
});

Deno.test("whatever a worker says, every task comes back once, and from the others", () => {
  // What a worker has is left as it is: a worker that shrinks has promised too much for a while.
  const anything = anyToManager.filter(({ message }) => message.type !== "resource");
  const likely = fc.constantFrom<ToManager["type"][]>(
    ["available_results", "result", "end"],
    ["available_results", "result", "result", "end", "file", "end", "missing", "end"],
  );
  fc.assert(fc.property(fc.array(anything, { maxLength: 20 }), likely, (sent, script) => {
    const probe = new ManagerProbe({ lossesMax: 5 });
    const [odd, fair] = [probe.join(resources(2)), probe.join(resources(2))];
    const ids = Array.from({ length: 4 }, () => probe.submit({ outputs: [output("o")] }));
    probe.schedule();
    const sizes = { status: 0, exitCode: 0, wallUs: 0, length: 0 };
    for (const type of script) {
      if (type === "result") probe.receive(odd, { type, taskId: 2, ...sizes });
      else if (type === "file") probe.receive(odd, { type, path: "out-o", length: 0 });
      else if (type === "missing") probe.receive(odd, { type, path: "out-o", errno: 2 });
      else if (type === "available_results" || type === "end") probe.receive(odd, { type });
    }
    for (const { message, payload } of sent) {
      probe.receive(odd, message);
      if (payload !== null) probe.stored(odd, { kind: "printed", bytes: payload });
      probe.schedule();
    }
    probe.close(odd);
    for (let turn = 0; turn < 4; turn++) {
      probe.schedule();
      probe.finish(fair, [...probe.scheduler.workers.get(fair)!.running]);
    }
    const returned = probe.ends().map(([id]) => id).sort((a, b) => a - b);
    assert.deepEqual(returned, ids);
  }));
});
