/** Tasks that outlive a link: what workers keep, and what managers take of it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { TaskId, WorkerId } from "../../core/ids.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { ToManager, ToWorker } from "../../core/protocol/messages.ts";
import { offeredInfo, type OfferedTask, parseOffered } from "../../core/protocol/offered_tasks.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import {
  brief,
  briefWork,
  greeting,
  ManagerProbe,
  only,
  output,
  resources,
  taskBlock,
  textOf,
  WorkerProbe,
} from "../support/builders.ts";

const word = fc.stringMatching(/^[!-~]{1,200}$/);
const amount = fc.integer({ min: 0, max: 1e9 });
const plain = { noNullPrototype: true };
const offers: fc.Arbitrary<OfferedTask> = fc.record({
  run: word,
  key: word,
  finished: fc.boolean(),
  ageMs: fc.integer({ min: 0, max: 1e9 }),
  box: fc.record({ cores: amount, memoryMb: amount, diskMb: amount, gpus: amount }, plain),
}, plain);

Deno.test("what a worker says of a task that it kept is read as it was meant", () => {
  fc.assert(fc.property(offers, (offer) => {
    const info = offeredInfo(offer) as Extract<ToManager, { type: "info" }>;
    assert.deepEqual(parseOffered(info.value), offer);
  }));
});

Deno.test("words that are no offer of a task are passed over", () => {
  const bad = [
    "",
    "run",
    "run key running",
    "run key running 1 1 1 1",
    "run key asleep 1 1 1 1 1",
    "run key running -1 1 1 1 1",
    "run key running NaN 1 1 1 1",
    "run key running 1 1 1 1 1 1",
    "run  running 1 1 1 1 1",
    `run ${"k".repeat(201)} running 1 1 1 1 1`,
  ];
  for (const value of bad) assert.equal(parseOffered(value), null, value);
});

Deno.test("the lines of a manager about kept tasks are read as they were written", () => {
  const messages: ToWorker[] = [
    { type: "run", run: "r1" },
    { type: "drop", key: "k1" },
    taskBlock(7, { key: "k2" }),
    taskBlock(8, { key: "k3", kept: true }),
  ];
  for (const message of messages) {
    const decoder = new Decoder<ToWorker>(new ToWorkerGrammar());
    decoder.feed(encodeToWorker(message));
    assert.deepEqual(decoder.next(), message);
  }
  assert.match(textOf(encodeToWorker(messages[3]!)), /wqx-kept k3\n/);
});

// The worker

const keepTasksMs = 60_000;

/** It has a manager of run `r1`. */
function keeper(more: { keptOutputBytesMax?: number } = {}): WorkerProbe {
  const probe = new WorkerProbe({}, 900_000, { keepTasksMs, ...more });
  probe.handle({ type: "connected" });
  probe.receive({ type: "run", run: "r1" });
  return probe;
}

const outputs = [{ cacheName: "out-a", sandboxName: "a", flags: 0 }];
const lose = (probe: WorkerProbe) => briefWork(probe.handle({ type: "lost" }));
const kept = (said: readonly string[]) => said.filter((line) => line.startsWith("info wqx-kept "));

Deno.test("a worker whose link broke keeps what runs and what has ended, and nothing else", () => {
  const probe = keeper();
  for (const id of [1, 2, 3, 4]) probe.task(id, { key: `k${id}`, outputs });
  probe.task(5, { key: "k5" }); // waits for room
  for (const id of [1, 2]) probe.stagedIn(id);
  probe.run(3);
  probe.task(6); // without a key
  probe.stagedIn(6);
  const said = lose(probe);
  assert.deepEqual(said.filter((line) => line.startsWith("forget")).toSorted(), [
    "forget 4",
    "forget 5",
    "forget 6",
  ]);
  assert.deepEqual(said.filter((line) => !line.startsWith("forget")), [
    "adopt 1 as -2",
    "adopt 2 as -3",
    "adopt 3 as -4",
    "restage -4",
  ]);
  assert.deepEqual(probe.machine.staging, [-4]);
  probe.stagedOut(-4);
  probe.nowMs = 5000;
  assert.deepEqual(kept(briefWork(probe.relink())), [
    "info wqx-kept r1 k1 running 5000 1 500 1000 0",
    "info wqx-kept r1 k2 running 5000 1 500 1000 0",
    "info wqx-kept r1 k3 finished 5000 1 500 1000 0",
  ]);
});

Deno.test("a task that ended without a manager is given to the next one under its new number", () => {
  const probe = keeper();
  probe.task(1, { key: "k1", outputs });
  probe.stagedIn(1);
  lose(probe);
  assert.deepEqual(briefWork(probe.exited(-2)), ["stage_out -2"]);
  assert.deepEqual(briefWork(probe.stagedOut(-2)), [], "there is nobody to be told");
  probe.relink();
  probe.receive({ type: "run", run: "r1" });
  assert.deepEqual(briefWork(probe.task(9, { key: "k1", kept: true, outputs })), [
    "adopt -2 as 9",
    "restage 9",
  ]);
  assert.deepEqual(briefWork(probe.stagedOut(9)), ["available_results"]);
  const [, result] = briefWork(probe.receive({ type: "send_results" })).filter((line) =>
    !line.startsWith("info")
  );
  assert.deepEqual(result, "end");
});

Deno.test("a task that is sent anew ends what the worker kept of it", () => {
  const probe = keeper();
  probe.task(1, { key: "k1" });
  probe.stagedIn(1);
  lose(probe);
  probe.relink();
  probe.receive({ type: "run", run: "r1" });
  assert.deepEqual(briefWork(probe.task(9, { key: "k1" })), ["forget -2", "stage_in 9"]);
});

Deno.test("what was kept for one run ends with the first word of a manager of none, or another", () => {
  const others: ToWorker[] = [{ type: "run", run: "r2" }, { type: "check" }];
  for (const message of others) {
    const probe = keeper();
    probe.task(1, { key: "k1", outputs });
    probe.stagedIn(1);
    lose(probe);
    probe.relink();
    assert.equal(probe.machine.isUnproven, true);
    const said = briefWork(probe.receive(message)).slice(0, 2);
    assert.deepEqual(said, ["unlink wqx-kept-2-0", "forget -2"]);
    assert.equal(probe.machine.taskCount, 0);
  }
});

Deno.test("a task is kept for so long, and results while there is room for them", () => {
  const probe = keeper({ keptOutputBytesMax: 100 });
  for (const id of [1, 2, 3]) {
    probe.task(id, { key: `k${id}` });
    probe.stagedIn(id);
  }
  lose(probe);
  for (const id of [-2, -3]) {
    probe.exited(id);
    const bytes = { printedBytes: 10, outputBytes: 50 };
    const said = briefWork(probe.handle({ type: "staged_out", taskId: id, ...bytes }));
    assert.deepEqual(said, id === -3 ? ["forget -2"] : []);
  }
  assert.deepEqual(briefWork(probe.after(keepTasksMs / 1000 - 1)), []);
  assert.deepEqual(briefWork(probe.after(2)), ["forget -3", "forget -4"]);
});

Deno.test("a task that has to go in the meantime is given back, and not run without its inputs", () => {
  const probe = keeper();
  const said = briefWork(probe.task(9, { key: "k1", kept: true }));
  assert.ok(said.includes("available_results"));
  assert.ok(!said.some((line) => line.startsWith("stage_in")));
  const results = briefWork(probe.receive({ type: "send_results" }));
  assert.deepEqual(results, ["result of 9: 40 0", "end"]);
});

// The manager

const run = { id: "r1", manager: "m1" };
const box = resources(1, 500, 1000);

/** A worker that keeps tasks comes, with these. */
function comes(probe: ManagerProbe, ...tasks: readonly Partial<OfferedTask>[]): WorkerId {
  const worker = probe.open();
  const [hello, ...rest] = greeting("node", resources(2));
  const keeps: ToManager[] = [
    { type: "info", key: "wqx", value: "1.0.0" },
    { type: "info", key: "wqx-keeps", value: "1" },
  ];
  const own = tasks.map((task) =>
    offeredInfo({ run: "r1", key: "k", finished: false, ageMs: 1000, box, ...task })
  );
  for (const message of [hello!, ...keeps, ...own, ...rest]) probe.receive(worker, message);
  return worker;
}

const taken = (actions: ReturnType<ManagerProbe["schedule"]>) =>
  only(actions, "dispatch").map(({ worker, id, inputs, block }) =>
    `${id} on ${worker}, ${inputs.length} inputs${block.kept ? ", kept" : ""}`
  );
const dropped = (actions: ReturnType<ManagerProbe["schedule"]>) =>
  brief(actions).filter((line) => line.endsWith(": drop"));

Deno.test("a kept task is taken whether the worker comes first or the task", () => {
  for (const first of ["worker", "task"]) {
    const probe = new ManagerProbe({}, { run });
    let id: TaskId | null = first === "task" ? probe.submit({ key: "k" }) : null;
    const worker = comes(probe, {});
    if (id === null) {
      assert.deepEqual(taken(probe.schedule()), []);
      assert.equal(probe.scheduler.workers.get(worker)!.promised.cores, 1, "it has its room");
      id = probe.submit({ key: "k" });
    }
    assert.deepEqual(taken(probe.schedule()), [`${id} on ${worker}, 0 inputs, kept`]);
    const ended = brief(probe.finish(worker, id));
    assert.ok(ended.includes(`returned ${id}: success`));
    assert.equal(probe.scheduler.workers.get(worker)!.promised.cores, 0);
  }
});

Deno.test("a task that was given to another worker meanwhile counts once: the first result wins", () => {
  const probe = new ManagerProbe({}, { run });
  const other = comes(probe);
  const id = probe.submit({ key: "k", outputs: [output("a")] });
  assert.deepEqual(taken(probe.schedule()), [`${id} on ${other}, 0 inputs`]);
  const back = comes(probe, { finished: true });
  assert.deepEqual(taken(probe.schedule()), [`${id} on ${back}, 0 inputs, kept`]);
  const said = brief(probe.finish(back, id));
  assert.ok(said.includes(`${other}: kill ${id}`));
  assert.equal(said.filter((line) => line === `returned ${id}: success`).length, 1);
});

Deno.test("the same manager takes a task without a key back from a worker whose link broke", () => {
  const probe = new ManagerProbe({}, { run });
  const worker = comes(probe);
  const id = probe.submit({});
  const [dispatch] = only(probe.schedule(), "dispatch");
  assert.equal(dispatch!.block.key, `m1#${id}`);
  probe.close(worker);
  const back = comes(probe, { key: `m1#${id}` });
  assert.deepEqual(taken(probe.schedule()), [`${id} on ${back}, 0 inputs, kept`]);
});

Deno.test("what is canceled, done or unknown is dropped; what may still be submitted, later", () => {
  const probe = new ManagerProbe({ offeredMsMax: 10_000 }, { run });
  const worker = comes(probe);
  const id = probe.submit({ key: "canceled" });
  probe.schedule();
  probe.close(worker);
  probe.cancel(id);
  const back = comes(probe, { key: "canceled" }, { key: "m1#99" }, { key: "later" });
  assert.deepEqual(dropped(probe.schedule()), [`${back}: drop`, `${back}: drop`]);
  probe.after(9);
  assert.deepEqual(dropped(probe.schedule()), []);
  probe.after(2);
  assert.deepEqual(dropped(probe.schedule()), [`${back}: drop`]);
  assert.equal(probe.scheduler.workers.get(back)!.promised.cores, 0);
});

Deno.test("nothing is taken of another run, and no run is told where there is none", () => {
  const probe = new ManagerProbe({}, { run });
  const id = probe.submit({ key: "k" });
  const worker = comes(probe, { run: "r2" });
  assert.deepEqual(taken(probe.schedule()), [`${id} on ${worker}, 0 inputs`]);
  const without = new ManagerProbe();
  const other = without.open();
  const [hello] = greeting("node", resources(2));
  without.receive(other, hello!);
  without.receive(other, { type: "info", key: "wqx", value: "1.0.0" });
  assert.deepEqual(
    brief(without.receive(other, { type: "info", key: "wqx-keeps", value: "1" })),
    [],
  );
});

Deno.test("a worker that could not keep it any longer loses an attempt, not the task", () => {
  const probe = new ManagerProbe({}, { run });
  const id = probe.submit({ key: "k" });
  const worker = comes(probe, { finished: true });
  probe.schedule();
  const said = brief(probe.finish(worker, id, { status: 40 }));
  assert.ok(said.includes(`attempt of ${id}: lost, again`));
  assert.deepEqual(taken(probe.schedule()), [`${id} on ${worker}, 0 inputs`]);
});
