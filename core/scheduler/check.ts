/**
 * What must hold of a scheduler at any moment. Run after every event in tests and simulation;
 * throws with the first thing that does not hold.
 */
import { plus } from "../resources.ts";
import { copiesOf } from "./attempts.ts";
import { reservedOf } from "./reconnect.ts";
import type { Scheduler } from "./machine.ts";

export function checkScheduler(scheduler: Scheduler): void {
  for (const worker of scheduler.workers.values()) {
    let promised = reservedOf(worker.offered);
    for (const id of worker.running) {
      const task = scheduler.tasks.get(id);
      const copies = task === undefined ? [] : copiesOf(task);
      const copy = copies.find((one) => one.worker === worker.id);
      hold(task?.phase.name === "running" && copy !== undefined, `task ${id} runs on ${worker.id}`);
      promised = plus(promised, copy.box);
    }
    for (const id of worker.retrieving) {
      const phase = scheduler.tasks.get(id)?.phase;
      const here = phase?.name === "retrieving" && phase.copy.worker === worker.id;
      hold(here, `task ${id} is retrieved from ${worker.id}`);
      hold(phase.report.owed > 0, `task ${id} in retrieval is owed something`);
    }
    hold(
      Math.abs(promised.cores - worker.promised.cores) < 1e-6 &&
        Math.abs(promised.memoryMb - worker.promised.memoryMb) < 1e-6,
      `${worker.id} keeps a true account of its promises`,
    );
  }
  let waiting = 0;
  for (const task of scheduler.tasks.values()) {
    hold(task.phase.name !== "done", `task ${task.id} is forgotten once it is done`);
    if (task.phase.name === "waiting") waiting++;
    const copies = copiesOf(task);
    hold(copies.length <= 2, `task ${task.id} has one copy, or two`);
    hold(
      new Set(copies.map((copy) => copy.worker)).size === copies.length,
      `the copies of task ${task.id} are on workers of their own`,
    );
    for (const { worker: id } of copies) {
      const worker = scheduler.workers.get(id);
      const known = worker?.running.has(task.id) || worker?.retrieving.has(task.id);
      hold(known === true, `the worker of task ${task.id} is connected and knows of it`);
    }
  }
  hold(waiting === scheduler.counts.waiting, "every waiting task is in the queue, once");
}

function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`Broken: it should hold that ${what}`);
}
