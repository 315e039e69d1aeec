/** Who is silent, too slow, or fails at everything. */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { TaskId, WorkerId } from "../../core/ids.ts";
import type { Limits } from "../../core/scheduler/limits.ts";
import {
  brief,
  epochOffsetMs,
  ManagerProbe,
  only,
  output,
  resources,
  runningTask,
} from "../support/builders.ts";

const resource = (name: string, total: number) => (
  { type: "resource", name, total, smallest: total, largest: total } as const
);

const none = { status: 0, exitCode: 0, wallUs: 0 };

const whys = (probe: ManagerProbe) => only(probe.take(), "close").map(({ why }) => why);

/** A worker that is in the middle of a result of so many bytes. */
function telling(length: number, limits: Partial<Limits> = {}): [ManagerProbe, WorkerId] {
  const probe = new ManagerProbe(limits);
  const worker = probe.join(resources(1));
  const id = probe.submit();
  probe.schedule();
  probe.receive(worker, { type: "available_results" });
  probe.receive(worker, { type: "result", taskId: id, ...none, length });
  return [probe, worker];
}

/** Bytes arrive and time goes by; whether the worker is still there. */
function trickle(probe: ManagerProbe, worker: WorkerId, seconds: number): boolean {
  probe.handle({ type: "moving", worker });
  probe.after(seconds);
  return probe.scheduler.workers.has(worker);
}

Deno.test("a body has 60 s, or ten times what it would take at 1 MB/s", () => {
  for (const [megabytes, seconds] of [[0.001, 60], [6, 60], [12, 120], [1000, 10_000]] as const) {
    const [probe, worker] = telling(megabytes * 1024 ** 2);
    assert.ok(trickle(probe, worker, seconds), `${megabytes} MB after ${seconds} s`);
    assert.ok(!trickle(probe, worker, 0.001), `${megabytes} MB later`);
    assert.deepEqual(whys(probe), ["it sends far too slowly"]);
  }
});

Deno.test("a worker without room costs a task no try, and its host has ten seconds to find some", () => {
  const probe = new ManagerProbe();
  const worker = probe.join(resources(1));
  const id = probe.submit({ retriesMax: 0 });
  for (let tries = 0; tries < 3; tries++) {
    assert.deepEqual(probe.dispatched(), [`${id} on ${worker}`]);
    probe.finish(worker, id, { status: 40, exitCode: 1 });
    assert.deepEqual(probe.dispatched(), []);
    probe.after(9.9);
    assert.deepEqual(probe.dispatched(), []);
    probe.after(0.2);
  }
  probe.schedule();
  probe.finish(worker, id);
  assert.deepEqual(probe.ends().map(([task, end]) => [task, end.kind]), [[id, "success"]]);
});

Deno.test("what a worker did before says how fast it is, once it took more than a second", () => {
  const cases: [number, number, number][] = [
    // bytes, in ms, deadline for 1 MiB in s
    [10 * 1024 ** 2, 1000, 60],
    [64 * 1024, 1000, 60], // no more than a second: not trusted
    [64 * 1024, 2000, 320],
    [1024 ** 3, 2000, 60],
  ];
  for (const [bytes, ms, seconds] of cases) {
    const probe = new ManagerProbe();
    const worker = probe.join();
    probe.handle({ type: "sending", worker, bytes });
    probe.nowMs += ms;
    probe.handle({ type: "sent", worker });
    probe.handle({ type: "sending", worker, bytes: 1024 ** 2 });
    assert.ok(trickle(probe, worker, seconds), `${bytes} bytes in ${ms} ms`);
    assert.ok(!trickle(probe, worker, 0.001));
    assert.deepEqual(whys(probe), ["it receives far too slowly"]);
  }
});

Deno.test("a transfer that has ended has no deadline any more, in either direction", () => {
  const [probe, worker] = telling(1000);
  probe.stored(worker, { kind: "printed", bytes: new Uint8Array(0) });
  probe.receive(worker, { type: "end" });
  probe.handle({ type: "sending", worker, bytes: 1000 });
  probe.handle({ type: "sent", worker });
  probe.handle({ type: "sent", worker }); // of an input that had no body
  for (let i = 0; i < 5; i++) assert.ok(trickle(probe, worker, 100));
});

Deno.test("each new body has a deadline of its own", () => {
  const [probe, worker] = telling(100 * 1024 ** 2);
  assert.ok(trickle(probe, worker, 50));
  probe.stored(worker, { kind: "printed", bytes: new Uint8Array(0) });
  probe.receive(worker, { type: "result", taskId: 99, ...none, length: 1000 });
  assert.ok(trickle(probe, worker, 50));
  assert.ok(!trickle(probe, worker, 20));
});

/** Tasks that run on the only worker, one after the other, and how they end. */
function runOn(
  probe: ManagerProbe,
  worker: WorkerId,
  exitCodes: readonly number[],
): void {
  for (const exitCode of exitCodes) {
    const id = probe.submit();
    probe.schedule();
    probe.finish(worker, id, { exitCode });
  }
}

const blocked = (probe: ManagerProbe) => only(probe.take(), "host_blocked").map(({ host }) => host);

Deno.test("a host that fails ten times in a row while another one is well gets no tasks", () => {
  const probe = new ManagerProbe();
  const bad = probe.join(resources(1), "bad");
  const failing = Array.from({ length: 9 }, () => 1);
  runOn(probe, bad, failing);
  runOn(probe, bad, [0]);
  runOn(probe, bad, failing);
  assert.deepEqual(blocked(probe), [], "the success counts");
  const id = probe.submit();
  probe.schedule();
  probe.join(resources(1), "well");
  probe.finish(bad, id, { exitCode: 2 });
  const [action] = only(probe.take(), "host_blocked");
  assert.deepEqual(action, {
    type: "host_blocked",
    host: "bad",
    why: "10 tasks in a row failed there, the last because it ended with exit code 2",
  });
  probe.submit();
  probe.submit();
  assert.deepEqual(probe.dispatched(), ["21 on w2"]);
  assert.ok(probe.scheduler.workers.has(bad), "its link stays");
  for (let s = 0; s < 900; s += 100) {
    assert.deepEqual(probe.dispatched(), []);
    for (const worker of [...probe.scheduler.workers.keys()]) {
      probe.receive(worker, { type: "alive" });
    }
    probe.after(100);
  }
  assert.deepEqual(probe.dispatched(), ["22 on w1"], "its time is over");
});

Deno.test("a host is known by its name, whatever becomes of its links", () => {
  const probe = new ManagerProbe({ hostFailuresMax: 3 });
  const one = probe.join(resources(1), "bad");
  runOn(probe, one, [1, 1]);
  probe.close(one);
  const well = probe.join(resources(1, 2000, 1000), "well");
  const two = probe.join(resources(1), "bad");
  const id = probe.submit({ request: { cores: 1, diskMb: 4000 } });
  assert.deepEqual(probe.dispatched(), [`${id} on ${two}`]);
  probe.finish(two, id, { exitCode: 1 });
  assert.deepEqual(blocked(probe), ["bad"]);
  probe.join(resources(8), "bad");
  const next = probe.submit();
  probe.submit();
  assert.deepEqual(probe.dispatched(), [`${next} on ${well}`]);
});

Deno.test("a host is not blocked as long as no other one is well", () => {
  const cases: [string, (probe: ManagerProbe) => void, string[]][] = [
    ["alone", () => {}, []],
    ["two links of one host", (probe) => probe.join(resources(1), "bad"), []],
    ["one that did not greet", (probe) => probe.open(), []],
    ["one that fails too", (probe) => {
      const other = probe.join(resources(8), "other");
      const id = probe.submit({ request: { cores: 8 } });
      probe.schedule();
      probe.finish(other, id, { exitCode: 1 });
    }, []],
    ["one that is well", (probe) => probe.join(resources(1), "other"), ["bad"]],
  ];
  for (const [what, others, expected] of cases) {
    const probe = new ManagerProbe({ hostFailuresMax: 2 });
    const bad = probe.join(resources(1), "bad");
    const ids = [0, 1].map(() => {
      const id = probe.submit({ request: { cores: 1, diskMb: 4000 } });
      probe.schedule();
      if (id === 1) probe.finish(bad, id, { exitCode: 1 });
      return id;
    });
    others(probe);
    probe.finish(bad, ids[1]!, { exitCode: 1 });
    assert.deepEqual(blocked(probe), expected, what);
  }
});

Deno.test("lost workers and canceled tasks are no failures of a host, unreadable inputs are", () => {
  const probe = new ManagerProbe({ hostFailuresMax: 1 });
  probe.join(resources(1), "well");
  const run = () => {
    const worker = probe.join(resources(2), "bad");
    const id = probe.submit({ request: { cores: 2 } });
    probe.schedule();
    return { worker, id };
  };
  const lost = run();
  probe.close(lost.worker);
  probe.cancel(lost.id);
  const canceled = run();
  probe.cancel(canceled.id);
  probe.close(canceled.worker);
  assert.deepEqual(blocked(probe), []);
  const { worker, id } = run();
  const why = "cannot read its input";
  probe.handle({ type: "input_unreadable", worker, id, unsent: [], why });
  assert.deepEqual(blocked(probe), ["bad"]);
});

// Second copies of stragglers

/** Ten successes of 10 s each on `w1`, then a task that runs on it; `w2` is free. */
function straggling(
  options: Parameters<ManagerProbe["submit"]>[0] = {},
): { probe: ManagerProbe; slow: WorkerId; free: WorkerId; id: TaskId } {
  const probe = new ManagerProbe({}, { stragglerFactors: new Map([["default", 3]]) });
  const slow = probe.join(resources(1));
  for (let i = 0; i < 10; i++) {
    const done = probe.submit();
    probe.schedule();
    probe.nowMs += 10_000;
    probe.finish(slow, done, { wallUs: 10_000_000 });
  }
  const id = probe.submit(options);
  probe.schedule();
  const free = probe.join(resources(1));
  probe.take();
  return { probe, slow, free, id };
}

Deno.test("a task that runs for a factor longer than its category's average gets a second copy", () => {
  const { probe, free, id } = straggling();
  assert.deepEqual(probe.after(29.999), []);
  assert.deepEqual(brief(probe.after(0.001)), [`${free}: task ${id}`]);
  probe.join();
  assert.deepEqual(probe.after(60), [], "two are enough");
  assert.equal(probe.scheduler.counts.running, 2);
});

Deno.test("there is no second copy without factor, successes, room, or another worker", () => {
  const other = straggling({ category: "other" });
  assert.deepEqual(other.probe.after(100), []);

  const few = new ManagerProbe({}, { stragglerFactors: new Map([["default", 0.1]]) });
  const worker = few.join(resources(1));
  for (let i = 0; i < 9; i++) {
    const id = few.submit();
    few.schedule();
    few.nowMs += 1000;
    few.finish(worker, id, { wallUs: 1_000_000 });
  }
  few.submit();
  few.schedule();
  few.join();
  assert.deepEqual(few.after(100), []);

  const busy = straggling();
  busy.probe.submit();
  busy.probe.schedule();
  assert.deepEqual(busy.probe.after(100), []);

  const alone = straggling();
  alone.probe.close(alone.free);
  alone.probe.receive(alone.slow, resource("cores", 2));
  alone.probe.receive(alone.slow, { type: "resource tag", tag: 0 });
  assert.deepEqual(alone.probe.after(100), [], "never twice on the same worker");
});

Deno.test("the first result wins, whichever copy it is of, and the other one is killed", () => {
  for (const winner of ["slow", "free"] as const) {
    const straggler = straggling({ outputs: [output("o")] });
    const { probe, id } = straggler;
    probe.after(30);
    probe.take();
    const [wins, loses] = winner === "slow"
      ? [straggler.slow, straggler.free]
      : [straggler.free, straggler.slow];
    const actions = brief(probe.finish(wins, id));
    assert.deepEqual(actions.slice(0, 6), [
      `${wins}: send_results`,
      `${loses}: kill ${id}`,
      `${loses}: unlink out-o`,
      `${wins}: receive printed`,
      `${wins}: get out-o`,
      `${wins}: receive /run/o`,
    ]);
    assert.deepEqual(probe.ends(), [[id, { kind: "success" }]]);
    // The loser may have been about to tell: that is read and dropped.
    probe.receive(loses, { type: "available_results" });
    const late = probe.receive(loses, { type: "result", taskId: id, ...none, length: 0 });
    assert.deepEqual(brief(late), [`${loses}: receive nobody`]);
    assert.equal(probe.scheduler.counts.running, 0);
  }
});

Deno.test("a copy that fails or is lost leaves the other one running", () => {
  const failing = straggling({ retriesMax: 1, outputs: [output("o", { when: "always" })] });
  failing.probe.after(30);
  failing.probe.take();
  const told = brief(failing.probe.finish(failing.free, failing.id, { exitCode: 1 }));
  const { free, id } = failing;
  assert.deepEqual(told, [
    `${free}: send_results`,
    `${free}: receive nobody`,
    `${free}: kill ${id}`,
    `${free}: unlink out-o`,
    `attempt of ${id}: failure, again`,
  ]);
  failing.probe.finish(failing.slow, id);
  assert.deepEqual(failing.probe.ends(), [[id, { kind: "success" }]]);

  const lost = straggling();
  lost.probe.after(30);
  lost.probe.close(lost.slow);
  assert.deepEqual(lost.probe.dispatched(), [], "it runs on");
  lost.probe.finish(lost.free, lost.id);
  assert.deepEqual(lost.probe.ends(), [[lost.id, { kind: "success" }]]);
});

Deno.test("a copy that fails leaves it to the other one, which may still make it", () => {
  for (const exitCode of [0, 1]) {
    const { probe, slow, free, id } = straggling();
    probe.after(30);
    probe.take();
    const actions = brief(probe.finish(free, id, { exitCode: 1 }));
    assert.equal(actions.at(-1), `attempt of ${id}: failure, again`);
    assert.equal(probe.scheduler.counts.running, 1);
    assert.deepEqual(probe.ends(), []);
    probe.finish(slow, id, { exitCode });
    assert.equal(probe.ends()[0]?.[1].kind, exitCode === 0 ? "success" : "failure");
  }
});

Deno.test("both copies are ended when a task is canceled, and both may be lost", () => {
  const canceled = straggling();
  canceled.probe.after(30);
  assert.deepEqual(brief(canceled.probe.cancel(canceled.id)), [
    `${canceled.slow}: kill ${canceled.id}`,
    `${canceled.free}: kill ${canceled.id}`,
    `returned ${canceled.id}: canceled`,
  ]);

  const lost = straggling();
  lost.probe.after(30);
  lost.probe.close(lost.slow);
  lost.probe.close(lost.free);
  assert.equal(lost.probe.scheduler.counts.waiting, 1);
  const worker = lost.probe.join();
  assert.deepEqual(lost.probe.dispatched(), [`${lost.id} on ${worker}`]);
});

Deno.test("copies of a task without a try left do not take turns for ever", () => {
  const { probe, free, slow, id } = straggling({ retriesMax: 0 });
  probe.join(resources(1));
  probe.after(30);
  probe.finish(free, id, { exitCode: 1 });
  probe.take();
  assert.deepEqual(only(probe.after(100), "dispatch"), [], "no third one");
  probe.finish(slow, id, { exitCode: 1 });
  assert.equal(probe.ends()[0]?.[1].kind, "failure");
});

Deno.test("a copy whose outputs are under way is a straggler no more", () => {
  const { probe, slow, id } = straggling({ outputs: [output("o")] });
  probe.receive(slow, { type: "available_results" });
  probe.result(slow, id);
  probe.take();
  assert.deepEqual(brief(probe.after(59)), []);
});

// End times

Deno.test("a task that waits at its end time fails, however it came to wait", () => {
  const probe = new ManagerProbe({}, { epochOffsetMs });
  const endTimeMs = epochOffsetMs + 5000;
  const [fresh, lost, failed] = [
    probe.submit({ endTimeMs, request: { cores: 9 } }),
    probe.submit({ endTimeMs, request: { cores: 2 } }),
    probe.submit({ endTimeMs, retriesMax: 5 }),
  ];
  const two = probe.join(resources(2));
  const one = probe.join(resources(1));
  probe.schedule();
  probe.close(two);
  probe.finish(one, failed, { exitCode: 1 });
  const later = probe.submit({ endTimeMs: endTimeMs + 1, request: { cores: 9 } });
  const ever = probe.submit({ request: { cores: 9 } });
  assert.deepEqual(probe.ends(), []);
  probe.after(4.999);
  assert.deepEqual(probe.ends(), []);
  probe.after(0.001);
  const why = "its end time passed before it was started";
  const end = { kind: "failure", code: 24, why };
  assert.deepEqual(probe.ends(), [[fresh, end], [lost, end], [failed, end]]);
  probe.after(1);
  assert.deepEqual(probe.ends(), [[later, end]]);
  assert.deepEqual([...probe.scheduler.tasks.keys()], [ever]);
  assert.equal(probe.scheduler.counts.waiting, 1);
});

Deno.test("a task that runs at its end time is left to its worker", () => {
  const { probe, worker, id } = runningTask({ endTimeMs: 5000 });
  probe.take();
  assert.deepEqual(probe.after(60), []);
  probe.finish(worker, id, { status: 24, exitCode: 9 });
  assert.deepEqual(probe.ends(), [[id, { kind: "failure", code: 24, why: "its end time passed" }]]);
});

Deno.test("with copies, failures and losses in any order, every task comes back once", () => {
  type Deed = "join" | "lose" | "finish" | "fail" | "tick" | "submit" | "cancel";
  const deeds = fc.array(
    fc.tuple(
      fc.constantFrom<Deed>("join", "lose", "finish", "fail", "tick", "tick", "submit", "cancel"),
      fc.nat(),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(deeds, (script) => {
      const probe = new ManagerProbe(
        { stragglerSuccessesMin: 1, hostFailuresMax: 2, lossesMax: 3 },
        { stragglerFactors: new Map([["default", 1.5]]) },
      );
      const ids: TaskId[] = [];
      const pick = <T>(all: Iterable<T>, n: number): T | undefined => [...all].at(n % 7);
      const running = () => [...probe.scheduler.workers.values()].filter((w) => w.running.size > 0);
      for (const [deed, n] of script) {
        const busy = pick(running(), n);
        const task = busy && pick(busy.running, n);
        switch (deed) {
          case "join":
            probe.join(resources(1 + n % 3), `h${n % 4}`);
            break;
          case "lose": {
            const worker = pick(probe.scheduler.workers.keys(), n);
            if (worker !== undefined) probe.close(worker);
            break;
          }
          case "finish":
          case "fail":
            if (task !== undefined) {
              probe.finish(busy!.id, task, {
                exitCode: deed === "fail" ? 1 : 0,
                wallUs: 1_000_000,
              });
            }
            break;
          case "tick":
            probe.after(1 + n % 3);
            break;
          case "submit":
            ids.push(probe.submit({ retriesMax: n % 3, outputs: n % 2 ? [output("o")] : [] }));
            break;
          case "cancel": {
            const id = pick(ids, n);
            if (id !== undefined) probe.cancel(id);
          }
        }
        probe.schedule();
      }
      probe.join(resources(8), "last");
      for (let turn = 0; turn < 300 && probe.scheduler.tasks.size > 0; turn++) {
        probe.after(1);
        probe.schedule();
        for (const { id, running } of [...probe.scheduler.workers.values()]) {
          for (const task of [...running]) {
            if (probe.scheduler.workers.get(id)?.running.has(task)) probe.finish(id, task);
          }
        }
      }
      const returned = probe.ends().map(([id]) => id).sort((a, b) => a - b);
      assert.deepEqual(returned, ids);
    }),
    { numRuns: 200 },
  );
});
