import assert from "node:assert/strict";
import { type TaskId, taskId } from "../../core/ids.ts";
import type { TaskEnd, TaskSpec } from "../../core/scheduler/tasks.ts";
import {
  brief,
  bytesOf,
  cached,
  input,
  ManagerProbe,
  nothingMoved,
  only,
  output,
  resources,
  runningTask,
} from "../support/builders.ts";

Deno.test("a task goes out with its inputs, and comes back once with its outputs", () => {
  const { probe, worker, id } = runningTask({ inputs: [cached("a")], outputs: [output("o")] });
  assert.deepEqual(brief(probe.take()), ["w1: put in-a, task 1"]);
  probe.nowMs = 500;
  const told = { wallUs: 400_000, printed: "hello" };
  assert.deepEqual(brief(probe.finish(worker, id, told)), [
    "w1: send_results",
    "w1: receive printed",
    "w1: get out-o",
    "w1: receive /run/o",
    "w1: kill 1",
    "w1: unlink out-o",
    "attempt of 1: success",
    "returned 1: success",
  ]);
  assert.deepEqual(only(probe.take(), "returned")[0]?.task.attempts, [{
    worker: "w1",
    host: "w1",
    startedMs: 0,
    endedMs: 500,
    box: resources(1),
    ending: { kind: "success" },
    exitCode: 0,
    wallMs: 400,
    measured: null,
    printed: bytesOf("hello"),
    moved: { ...nothingMoved, reportedMs: 500, receivedBytes: 1 },
  }]);
  assert.equal(probe.scheduler.tasks.size, 0);
  assert.deepEqual(probe.schedule(), []);
});

Deno.test("a worker's clock cannot have run for longer than the manager waited", () => {
  const { probe, worker, id } = runningTask();
  probe.nowMs = 100;
  probe.finish(worker, id, { wallUs: 5_000_000 });
  assert.equal(only(probe.take(), "attempt_ended")[0]?.attempt.wallMs, 100);
});

Deno.test("what a worker measured goes with the attempt that it belongs to", () => {
  const { probe, worker, id } = runningTask({ retriesMax: 1 });
  const tell = (value: string) =>
    probe.receive(worker, { type: "info", key: "wqx-measured", value });
  tell("99 1.000 1.000 1.000");
  tell("nonsense");
  tell("1 1.500 0.250 3.500");
  probe.finish(worker, id, { exitCode: 1 });
  probe.schedule();
  probe.finish(worker, id);
  const attempts = only(probe.take(), "attempt_ended").map(({ attempt }) => attempt.measured);
  assert.deepEqual(attempts, [{ cpuUserMs: 1.5, cpuSystemMs: 0.25, memoryPeakMb: 3.5 }, null]);
});

Deno.test("tasks go out by priority, then in the order in which they came", () => {
  const probe = new ManagerProbe();
  for (const priority of [0, 1, 0, 2, 1]) probe.submit({ priority });
  probe.join(resources(5));
  assert.deepEqual(probe.dispatched(), ["4 on w1", "2 on w1", "5 on w1", "1 on w1", "3 on w1"]);
});

Deno.test("a task that fits no worker waits, and smaller ones go past it", () => {
  const probe = new ManagerProbe();
  probe.join(resources(2));
  const large = probe.submit({ request: { cores: 8 }, priority: 1 });
  probe.submit({ request: { cores: 8 }, priority: 1 });
  const small = probe.submit();
  assert.deepEqual(probe.dispatched(), [`${small} on w1`]);
  assert.equal(probe.scheduler.counts.waiting, 2);
  probe.join(resources(8));
  assert.deepEqual(probe.dispatched(), [`${large} on w2`]);
});

Deno.test("a turn dispatches no more than dispatchMax, and the next one goes on", () => {
  const probe = new ManagerProbe({ dispatchMax: 3 });
  const worker = probe.join(resources(10));
  for (let i = 0; i < 7; i++) probe.submit({ priority: i % 2 });
  const turns = () => [0, 1, 2, 3].map(() => probe.dispatched().length);
  assert.deepEqual(turns(), [3, 3, 1, 0]);
  // Those that were tried before count as well.
  probe.close(worker);
  probe.join(resources(10));
  probe.submit();
  assert.deepEqual(turns(), [3, 3, 2, 0]);
});

Deno.test("counts tell what waits, runs and is done", () => {
  const probe = new ManagerProbe();
  const [a, b, c] = [probe.submit(), probe.submit(), probe.submit({ request: { cores: 9 } })];
  const worker = probe.join(resources(2));
  probe.open();
  probe.schedule();
  const counts = () => {
    const { waiting, running, done, failedAttempts, workers } = probe.scheduler.counts;
    return [waiting, running, done, failedAttempts, workers];
  };
  assert.deepEqual(counts(), [1, 2, 0, 0, 1]);
  probe.finish(worker, a);
  probe.finish(worker, b, { exitCode: 1 });
  probe.cancel(c);
  assert.deepEqual(counts(), [0, 0, 3, 1, 1]);
});

Deno.test("a task is tried again elsewhere, and where it failed only if nothing else is large enough", () => {
  const probe = new ManagerProbe();
  const [one, two] = [probe.join(resources(2)), probe.join(resources(1))];
  const id = probe.submit({ retriesMax: 9 });
  const again = () => {
    const [where] = probe.dispatched();
    return where;
  };
  assert.equal(again(), `${id} on ${one}`);
  probe.finish(one, id, { exitCode: 1 });
  assert.equal(again(), `${id} on ${two}`);
  probe.finish(two, id, { exitCode: 1 });
  assert.equal(again(), `${id} on ${one}`, "it failed everywhere: anywhere will do");
  probe.finish(one, id, { exitCode: 1 });

  const third = probe.join(resources(1));
  const filler = probe.submit({ request: { cores: 1 }, priority: 5 });
  // The filler goes after those that were tried before, so it does not take the new worker.
  assert.deepEqual(probe.dispatched(), [`${id} on ${third}`, `${filler} on ${two}`]);
  probe.finish(third, id, { exitCode: 1 });
  probe.close(one);
  probe.close(two);
  assert.equal(again(), `${id} on ${third}`);
});

Deno.test("a task waits for a busy worker rather than go back to where it failed", () => {
  const probe = new ManagerProbe();
  const [one, two] = [probe.join(resources(1)), probe.join(resources(1))];
  const [failing, long] = [probe.submit({ retriesMax: 1 }), probe.submit()];
  probe.schedule();
  probe.finish(one, failing, { exitCode: 1 });
  assert.deepEqual(probe.dispatched(), []);
  probe.finish(two, long);
  assert.deepEqual(probe.dispatched(), [`${failing} on ${two}`]);
});

Deno.test("retries count failures, not lost workers", () => {
  const probe = new ManagerProbe();
  const id = probe.submit({ retriesMax: 2 });
  for (let i = 0; i < 5; i++) {
    const lost = probe.join();
    assert.equal(probe.dispatched().length, 1);
    probe.close(lost);
  }
  const worker = probe.join();
  for (let attempt = 0; attempt < 3; attempt++) {
    assert.equal(probe.dispatched().length, 1);
    assert.deepEqual(probe.ends(), []);
    probe.finish(worker, id, { exitCode: 3 });
  }
  const why = "it ended with exit code 3";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 0, why }]]);
});

Deno.test("a task whose workers always go away is held to be the cause in the end", () => {
  const probe = new ManagerProbe({ lossesMax: 2 });
  const id = probe.submit();
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(probe.ends(), []);
    const worker = probe.join();
    assert.equal(probe.dispatched().length, 1);
    probe.close(worker, "the link broke");
  }
  const why = "its worker went away 3 times, at last because the link broke";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 48, why }]]);
});

Deno.test("why a task failed is told in words", () => {
  const cases: [{ status?: number; exitCode?: number; printed?: string }, number, string][] = [
    [{ exitCode: 1 }, 0, "it ended with exit code 1"],
    [{ exitCode: 9 }, 0, "it ended with exit code 9 (or signal SIGKILL)"],
    [{ exitCode: 11 }, 0, "it ended with exit code 11 (or signal SIGSEGV)"],
    [{ exitCode: 126 }, 0, "it ended with exit code 126: command not executable"],
    [{ exitCode: 127 }, 0, "it ended with exit code 127: command not found"],
    [{ status: 1, exitCode: 1 }, 1, "the worker could not stage its inputs"],
    [
      { status: 1, exitCode: 1, printed: " a: no space\n" },
      1,
      "the worker could not stage its inputs: a: no space",
    ],
    [{ status: 16, exitCode: 9 }, 16, "it outgrew its allocation"],
    [{ status: 24, exitCode: 9 }, 24, "its end time passed"],
    [{ status: 56, exitCode: 9 }, 56, "it ran longer than its wall time"],
    [
      { status: 64 },
      64,
      'it needs more than 4000 MB disk, and allocations of "default" are fixed',
    ],
    [{ status: 8 }, 32, "the worker reported status 8"],
    [{ status: -3 }, 32, "the worker reported status -3"],
  ];
  for (const [told, code, why] of cases) {
    const { probe, worker, id } = runningTask({ outputs: [output("o"), output("log")] });
    probe.finish(worker, id, told);
    const [[back, end]] = probe.ends() as [[TaskId, TaskEnd]];
    assert.ok(end.kind === "failure");
    assert.deepEqual([back, end.code, end.why], [id, code, why]);
  }
});

Deno.test("of a failed task only outputs that are wanted always are fetched", () => {
  const outputs = [output("o"), output("log", { when: "always" })];
  const { probe, worker, id } = runningTask({ outputs });
  const actions = probe.finish(worker, id, { exitCode: 1, missing: ["log"] });
  assert.deepEqual(brief(actions).filter((text) => text.includes(" get ")), ["w1: get out-log"]);
  const why = "it ended with exit code 1";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 0, why }]]);
});

Deno.test("a missing output fails the task with 2, unless it is wanted always", () => {
  const outputs = [output("a"), output("b"), output("log", { when: "always" })];
  const missing = runningTask({ outputs });
  missing.probe.finish(missing.worker, missing.id, { missing: ["b", "log"] });
  const why = "it did not write its output b";
  assert.deepEqual(missing.probe.ends(), [[missing.id, { kind: "failure", code: 2, why }]]);

  const log = runningTask({ outputs });
  log.probe.finish(log.worker, log.id, { missing: ["log"] });
  assert.deepEqual(log.probe.ends(), [[log.id, { kind: "success" }]]);
});

Deno.test("what the manager cannot store fails the task with 80, and the worker stays", () => {
  const outputs = [output("a"), output("b")];
  const { probe, worker, id } = runningTask({ outputs });
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, id);
  probe.receive(worker, { type: "end" });
  probe.receive(worker, { type: "file", path: "out-a", length: 3 });
  probe.stored(worker, { kind: "failed", why: "No space left on device" });
  probe.receive(worker, { type: "end" });
  assert.deepEqual(probe.ends(), [], "the other output is read first");
  probe.receive(worker, { type: "file", path: "out-b", length: 3 });
  probe.stored(worker, { kind: "file" });
  probe.receive(worker, { type: "end" });
  const why = "the manager could not store its output a: No space left on device";
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 80, why }]]);
  assert.ok(probe.scheduler.workers.has(worker));

  const printed = runningTask();
  printed.probe.receive(printed.worker, { type: "available_results" });
  const sizes = { status: 0, exitCode: 0, wallUs: 0, length: 5 };
  printed.probe.receive(printed.worker, { type: "result", taskId: 1, ...sizes });
  printed.probe.stored(printed.worker, { kind: "failed", why: "too much" });
  const [[, end]] = printed.probe.ends() as [[TaskId, TaskEnd]];
  assert.deepEqual(end, {
    kind: "failure",
    code: 80,
    why: "the manager could not store its captured output: too much",
  });
});

Deno.test("an unreadable input fails the attempt, and what was not sent is not taken for sent", () => {
  const inputs = [cached("a"), cached("b"), input("own"), cached("c")];
  const { probe, worker, id } = runningTask({ inputs, retriesMax: 1 });
  const unsent = ["in-b", "in-own", "in-c"];
  const why = "cannot read its input /data/b";
  probe.take();
  const actions = probe.handle({ type: "input_unreadable", worker, id, unsent, why });
  assert.deepEqual(brief(actions), [
    "w1: kill 1",
    "w1: unlink in-own",
    "attempt of 1: failure, again",
  ]);
  assert.deepEqual(brief(probe.schedule()), ["w1: put in-b, put in-own, put in-c, task 1"]);
  probe.handle({ type: "input_unreadable", worker, id, unsent: ["in-b"], why });
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 1, why }]]);
});

Deno.test("an input that turns out to be unreadable after its task was canceled is no matter", () => {
  const { probe, worker, id } = runningTask({ inputs: [cached("a")] });
  probe.cancel(id);
  const why = "cannot read its input /data/a";
  const event = { type: "input_unreadable", worker, id, unsent: ["in-a"], why } as const;
  assert.deepEqual(probe.handle(event), []);
  probe.submit({ inputs: [cached("a")] });
  assert.deepEqual(brief(probe.schedule()), ["w1: put in-a, task 2"]);
});

const firstName = ({ inputs = [], outputs = [] }: Partial<TaskSpec>) =>
  [...inputs, ...outputs][0]!.sandboxName;

Deno.test("a task that cannot be written fails alone and at once", () => {
  const long = "x".repeat(5000);
  const cases: [Partial<TaskSpec>, string][] = [
    [{ category: "two words" }, 'its category "two words" is not a single word'],
    [{ category: "" }, 'its category "" is not a single word'],
    [{ category: "a\nend" }, 'its category "a\\nend" is not a single word'],
    [
      { inputs: [input("a"), input("b", { sandboxName: "a" })] },
      "two of its inputs have the sandbox name a",
    ],
    ...[
      { inputs: [input("x", { sandboxName: "../x" })] },
      { inputs: [input("x", { sandboxName: "a/../x" })] },
      { outputs: [output("x", { sandboxName: "/etc/x" })] },
      { inputs: [input("x", { sandboxName: "data/" })] },
      { outputs: [output("x", { sandboxName: "" })] },
    ].map((options): [Partial<TaskSpec>, string] => [
      options,
      `Refused the sandbox name ${JSON.stringify(firstName(options))}: ` +
      'it must be a relative path without ".."',
    ]),
    [
      { inputs: [input("a", { cacheName: ".." })] },
      'Refused the cached name "..": not a plain name',
    ],
    [
      { inputs: [input("a", { cacheName: "a b" })] },
      'the cached name "a b" is not plain',
    ],
    [
      { outputs: [output("a", { cacheName: "a/b" })] },
      'the cached name "a/b" is not plain',
    ],
    [
      { inputs: [input(long, { cacheName: "in-1" })] },
      `Cannot send a line of 5014 bytes ("infile in-1 ${"x".repeat(48)}…"): ` +
      "workers read at most 4095; shorten the name",
    ],
    [
      { category: long },
      `Cannot send a line of 5009 bytes ("category ${"x".repeat(51)}…"): ` +
      "workers read at most 4095; shorten the name",
    ],
  ];
  for (const [options, why] of cases) {
    const probe = new ManagerProbe();
    const worker = probe.join();
    const bad = probe.submit(options);
    assert.deepEqual(probe.ends(), [[bad, { kind: "failure", code: 1, why }]]);
    const good = probe.submit();
    assert.deepEqual(probe.dispatched(), [`${good} on ${worker}`]);
  }
});

Deno.test("a canceled task is returned at once, in whatever phase it is", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(1));
  const options = { inputs: [cached("a"), input("own")], outputs: [output("o")] };
  const [one, two] = [probe.submit(options), probe.submit(options)];
  probe.schedule();
  assert.deepEqual(brief(probe.cancel(two)), ["returned 2: canceled"]);
  const forget = ["w1: kill 1", "w1: unlink in-own", "w1: unlink out-o", "returned 1: canceled"];
  assert.deepEqual(brief(probe.cancel(one)), forget);
  assert.deepEqual(probe.cancel(one), [], "once");
  assert.deepEqual(probe.cancel(taskId(99)), [], "nobody knows it");

  const three = probe.submit(options);
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  probe.result(worker, three);
  assert.deepEqual(brief(probe.cancel(three)).at(-1), "returned 3: canceled");
  // What is owed for it is read all the same.
  probe.receive(worker, { type: "end" });
  const file = { type: "file", path: "out-o", length: 1 } as const;
  assert.deepEqual(brief(probe.receive(worker, file)), ["w1: receive nobody"]);
  probe.stored(worker, { kind: "file" });
  assert.deepEqual(probe.receive(worker, { type: "end" }), []);
  assert.ok(probe.scheduler.workers.has(worker));
});

Deno.test("canceled tasks leave the queue in order", () => {
  const probe = new ManagerProbe();
  const ids = Array.from({ length: 3000 }, () => probe.submit());
  for (const id of ids) if (id % 3 !== 0) probe.cancel(id);
  assert.equal(probe.scheduler.counts.waiting, 1000);
  const worker = probe.join(resources(2000, 20_000, 20_000));
  const order = () => only(probe.schedule(), "dispatch").map(({ id }) => Number(id));
  const went = Array.from({ length: 4 }, order).flat();
  assert.deepEqual(went, ids.filter((id) => id % 3 === 0));
  assert.equal(probe.scheduler.counts.waiting, 0);

  // One that was tried before can be canceled in the queue as well.
  probe.close(worker);
  for (const id of went) if (id > 9) probe.cancel(taskId(id));
  assert.equal(probe.scheduler.counts.waiting, 3);
  probe.join(resources(9));
  assert.deepEqual(probe.dispatched(), ["3 on w2", "6 on w2", "9 on w2"]);
});

Deno.test("results of tasks that are unknown, canceled or told before are read and dropped", () => {
  const { probe, worker, id } = runningTask();
  probe.cancel(id);
  const other = probe.submit();
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  const sizes = { status: 0, exitCode: 0, wallUs: 0, length: 3 };
  const into = (n: number) =>
    brief(probe.receive(worker, { type: "result", taskId: n, ...sizes })).at(-1);
  for (const n of [id, 99, -1]) {
    assert.equal(into(n), "w1: receive nobody");
    probe.stored(worker, { kind: "file" });
  }
  assert.equal(into(other), "w1: receive printed");
  probe.stored(worker, { kind: "printed", bytes: bytesOf("abc") });
  assert.equal(into(other), "w1: receive nobody", "a second result of the same task");
  probe.stored(worker, { kind: "file" });
  probe.receive(worker, { type: "end" });
  assert.deepEqual(probe.ends(), [[id, { kind: "canceled" }], [other, { kind: "success" }]]);
});

Deno.test("a forsaken task goes to another worker and spends no retry", () => {
  const probe = new ManagerProbe({ lossesMax: 1 });
  const worker = probe.join(resources(4));
  const id = probe.submit({ request: { cores: 4 } });
  probe.schedule();
  probe.finish(worker, id, { status: 40 });
  assert.deepEqual(probe.ends(), []);
  const smaller = { type: "resource", name: "cores", total: 2, smallest: 2, largest: 2 } as const;
  probe.receive(worker, smaller);
  assert.deepEqual(probe.dispatched(), []);
  const other = probe.join(resources(4));
  assert.deepEqual(probe.dispatched(), [`${id} on ${other}`]);
});

Deno.test("results that are announced while others are read are asked for afterwards", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(2));
  const [one, two] = [probe.submit({ outputs: [output("o")] }), probe.submit()];
  probe.schedule();
  const announce = () => brief(probe.receive(worker, { type: "available_results" }));
  assert.deepEqual(announce(), ["w1: send_results"]);
  assert.deepEqual(announce(), []);
  probe.result(worker, one);
  assert.deepEqual(announce(), []);
  assert.deepEqual(brief(probe.receive(worker, { type: "end" })), ["w1: send_results"]);
  probe.answer(worker);
  probe.result(worker, two);
  assert.deepEqual(brief(probe.receive(worker, { type: "end" })), []);
  // While only outputs are owed, it can be asked at once.
  assert.deepEqual(announce(), ["w1: send_results"]);
});

Deno.test("a task without attempts waits apart from those of other features and limits", () => {
  const probe = new ManagerProbe();
  const specs = [{ features: ["gpu"] }, { wallTimeMs: 2e9 }, { endTimeMs: 1e15 }, {}];
  const worker = probe.join(resources(4));
  probe.receive(worker, { type: "info", key: "worker-end-time", value: "1000000" });
  const ids = specs.map((options) => probe.submit(options));
  assert.deepEqual(probe.dispatched(), [`${ids[3]} on ${worker}`]);
});

Deno.test("a task that was lost does not hold up others, and is not held up by them", () => {
  const probe = new ManagerProbe();
  const gpu = probe.join(resources(2));
  probe.receive(gpu, { type: "feature", name: "gpu" });
  const [one, two] = [probe.submit({ features: ["gpu"] }), probe.submit()];
  probe.schedule();
  probe.close(gpu);
  const plain = probe.join(resources(1));
  assert.deepEqual(probe.dispatched(), [`${two} on ${plain}`]);
  const other = probe.join(resources(1));
  probe.receive(other, { type: "feature", name: "gpu" });
  assert.deepEqual(probe.dispatched(), [`${one} on ${other}`]);
});
