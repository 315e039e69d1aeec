/**
 * What must hold of a scheduler at any moment. Run after every event in tests and simulation;
 * throws with the first thing that does not hold.
 */
import { fits, noResources, plus } from "../resources.ts";
import type { Scheduler } from "./machine.ts";

export function checkScheduler(scheduler: Scheduler): void {
  const running = new Map<number, string>();
  for (const worker of scheduler.workers.values()) {
    let promised = noResources;
    for (const id of worker.running) {
      const phase = scheduler.tasks.get(id)?.phase;
      hold(
        phase?.name === "running" && phase.worker === worker.id,
        `task ${id} runs on ${worker.id}`,
      );
      hold(!running.has(id), `task ${id} runs once, not on ${running.get(id)} and ${worker.id}`);
      running.set(id, worker.id);
      promised = plus(promised, phase.box);
    }
    for (const id of worker.retrieving) {
      const phase = scheduler.tasks.get(id)?.phase;
      hold(phase?.name === "retrieving" && phase.worker === worker.id, `task ${id} is retrieved`);
      hold(phase.report.owed > 0, `task ${id} in retrieval is owed something`);
    }
    hold(fits(promised, worker.total), `${worker.id} has promised no more than it has`);
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
    if (task.phase.name === "running" || task.phase.name === "retrieving") {
      hold(scheduler.workers.has(task.phase.worker), `the worker of task ${task.id} is connected`);
    }
  }
  hold(waiting === scheduler.counts.waiting, "every waiting task is in the queue, once");
}

function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`Broken: it should hold that ${what}`);
}
