/** What must hold in a simulated world, besides what a scheduler must at any moment. */
import type { Scheduler } from "../../core/scheduler/machine.ts";
import { fits } from "../../core/resources.ts";

/** Sums of fractions drift. */
const slack = 1e-6;

/** No worker was promised more than it has. */
export function checkPromises(scheduler: Scheduler): void {
  for (const { id, total, promised, resourcesKnown } of scheduler.workers.values()) {
    const { cores, memoryMb, diskMb, gpus } = total;
    const room = {
      cores: cores + slack,
      memoryMb: memoryMb + slack,
      diskMb: diskMb + slack,
      gpus: gpus + slack,
    };
    if (resourcesKnown && !fits(promised, room)) {
      const [has, holds] = [JSON.stringify(total), JSON.stringify(promised)];
      throw new Error(`Worker ${id} has ${has} and was promised ${holds}`);
    }
  }
}

/** Once everything is over nothing is held any more. */
export function checkQuiet(scheduler: Scheduler): void {
  if (scheduler.tasks.size > 0) throw new Error(`${scheduler.tasks.size} tasks are left over`);
  for (const { id, promised, running, retrieving } of scheduler.workers.values()) {
    const held = running.size + retrieving.size + Math.abs(promised.cores) +
      Math.abs(promised.memoryMb);
    if (held > slack) throw new Error(`Worker ${id} holds room for tasks that there are not`);
  }
}
