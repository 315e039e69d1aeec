import assert from "node:assert/strict";
import type { WorkerAction } from "../../core/worker/actions.ts";
import { silenceLimits } from "../../core/worker/silence.ts";
import { briefWork, epochOffsetMs, ManagerProbe, only, WorkerProbe } from "../support/builders.ts";

const { askAfterMs, answerMsMax } = silenceLimits;
const tickMs = 1000;
const hourMs = 3_600_000;

/** A worker with one long task, looking at the clock every second. */
class QuietWorker {
  readonly probe = new WorkerProbe({}, 900_000, { keepTasksMs: hourMs });

  constructor(isOfWqx: boolean) {
    this.probe.handle({ type: "connected" });
    if (isOfWqx) this.probe.receive({ type: "run", run: "r" });
    this.probe.task(1, { key: "k" });
    this.probe.stagedIn(1);
  }

  /** What it does in so much time, with the second in which it does it. */
  wait(ms: number, { busy = false } = {}): string[] {
    const done: string[] = [];
    for (const endMs = this.probe.nowMs + ms; this.probe.nowMs < endMs;) {
      done.push(...this.tick(tickMs, busy).map((one) => `${this.probe.nowMs / 1000} ${one}`));
    }
    return done;
  }

  tick(ms: number, busy = false): string[] {
    const { probe } = this;
    probe.nowMs += ms;
    return brief(probe.handle({ type: "tick", epochMs: probe.nowMs + epochOffsetMs, busy }));
  }
}

const brief = (actions: readonly WorkerAction[]): string[] =>
  actions.map((action) =>
    action.type === "close" ? `close${action.broken ? " broken" : ""}` : briefWork([action])[0]!
  );

Deno.test("a silent manager of wqx is asked, and given up when it does not answer", () => {
  const worker = new QuietWorker(true);
  const [askS, endS] = [askAfterMs / 1000, (askAfterMs + answerMsMax) / 1000];
  assert.deepEqual(worker.wait(2 * hourMs), [
    `${askS} info wqx-ask ${askS}`,
    `${endS} close broken`,
  ]);
  const { probe } = worker;
  probe.handle({ type: "lost" });
  assert.equal(probe.machine.taskCount, 1, "its task is kept");
  assert.ok(briefWork(probe.relink()).some((one) => one.startsWith("info wqx-kept r k ")));
  assert.deepEqual(worker.wait(askAfterMs - tickMs), [], "the next link has a time of its own");
});

Deno.test("any word of the manager is an answer", () => {
  const worker = new QuietWorker(true);
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(worker.wait(askAfterMs).length, 1);
    worker.wait(answerMsMax - tickMs);
    worker.probe.receive({ type: "check" });
  }
  worker.wait(askAfterMs - tickMs);
  worker.probe.handle({ type: "moving" });
  assert.deepEqual(worker.wait(askAfterMs - tickMs), []);
});

Deno.test("another manager may be silent for as long as it likes, and is asked for the system's sake", () => {
  const worker = new QuietWorker(false);
  const done = worker.wait(10 * hourMs);
  assert.equal(done.length, 10 * hourMs / askAfterMs);
  assert.ok(done.every((one) => /^\d+ info wqx-ask \d+$/.test(one)), `${done}`);
});

Deno.test("while something is on its way the manager need not say anything", () => {
  const worker = new QuietWorker(true);
  assert.deepEqual(worker.wait(hourMs, { busy: true }), []);
});

Deno.test("time in which the worker itself stood still is not the manager's silence", () => {
  const worker = new QuietWorker(true);
  worker.wait(askAfterMs);
  assert.deepEqual(worker.tick(hourMs), []);
});

Deno.test("a manager answers a worker that asks", () => {
  const probe = new ManagerProbe();
  const worker = probe.join();
  probe.take();
  const done = probe.receive(worker, { type: "info", key: "wqx-ask", value: "300" });
  assert.deepEqual(only(done, "send").map(({ message }) => message), [{ type: "check" }]);
});
