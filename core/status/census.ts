/** One pass over all tasks: how many are where, what they want, and which workers would do. */
import { boxOf, fits, type Resources } from "../resources.ts";
import type { ResourceRequest } from "../analysis/spec.ts";
import { copiesOf } from "../scheduler/attempts.ts";
import type { Task } from "../scheduler/tasks.ts";
import type { WorkerState } from "../scheduler/workers.ts";
import type { CategoryStatistics } from "./statistics.ts";

export interface CategoryRow {
  readonly name: string;
  readonly waiting: number;
  readonly running: number;
  /** Ended on their worker, outputs under way. */
  readonly retrieving: number;
  /** Of each resource the most that one of these tasks declares; 0 where none does. */
  readonly largest: Resources;
  /** What a task that declares so much gets of the best worker; `null` where it fits on none. */
  readonly box: Resources | null;
  /** Workers on which such a task fits, once they are empty. */
  readonly workersAble: number;
  readonly totals: CategoryStatistics;
}

export interface Census {
  /** Declared by waiting tasks, and held by the others. */
  readonly wanted: Resources;
  /** All tasks as if they were of one category, which has no name. */
  readonly whole: CategoryRow;
  readonly categories: readonly CategoryRow[];
}

const noStatistics: CategoryStatistics = {
  dispatched: 0,
  done: 0,
  failed: 0,
  canceled: 0,
  memoryPeakMb: null,
};

/** Numbers that are added up in place: a million tasks are counted within one turn. */
class Amounts implements Resources {
  cores = 0;
  memoryMb = 0;
  diskMb = 0;
  gpus = 0;

  add({ cores = 0, memoryMb = 0, diskMb = 0, gpus = 0 }: Partial<Resources>): void {
    this.cores += cores;
    this.memoryMb += memoryMb;
    this.diskMb += diskMb;
    this.gpus += gpus;
  }

  raise({ cores = 0, memoryMb = 0, diskMb = 0, gpus = 0 }: Partial<Resources>): void {
    if (cores > this.cores) this.cores = cores;
    if (memoryMb > this.memoryMb) this.memoryMb = memoryMb;
    if (diskMb > this.diskMb) this.diskMb = diskMb;
    if (gpus > this.gpus) this.gpus = gpus;
  }
}

class Tally {
  waiting = 0;
  running = 0;
  retrieving = 0;
  readonly largest = new Amounts();
}

/** `workers`: those whose resources are known; `totals`: of tasks that are done, by category. */
export function takeCensus(
  tasks: Iterable<Task>,
  workers: readonly WorkerState[],
  totals: ReadonlyMap<string, CategoryStatistics>,
): Census {
  const wanted = new Amounts();
  const tallies = new Map<string, Tally>();
  for (const name of totals.keys()) tallies.set(name, new Tally());
  for (const task of tasks) {
    const { category, request } = task.spec;
    let tally = tallies.get(category);
    if (tally === undefined) tallies.set(category, tally = new Tally());
    tally.largest.raise(request);
    switch (task.phase.name) {
      case "waiting":
        tally.waiting++;
        wanted.add(request);
        continue;
      case "running":
        tally.running++;
        break;
      case "retrieving":
        tally.retrieving++;
    }
    for (const { box } of copiesOf(task)) wanted.add(askedOf(request, box));
  }
  const whole = new Tally();
  for (const tally of tallies.values()) {
    whole.waiting += tally.waiting;
    whole.running += tally.running;
    whole.retrieving += tally.retrieving;
    whole.largest.raise(tally.largest);
  }
  const best = new Amounts();
  for (const worker of workers) best.raise(worker.total);
  const rowOf = (name: string, tally: Tally, statistics: CategoryStatistics): CategoryRow => ({
    name,
    ...tally,
    box: workers.length === 0 ? null : boxOf(tally.largest, best),
    workersAble: workers.filter((worker) => fits(tally.largest, worker.total)).length,
    totals: statistics,
  });
  return {
    wanted,
    whole: rowOf("", whole, sum([...totals.values()])),
    categories: [...tallies].sort(([a], [b]) => a < b ? -1 : 1).map(([name, tally]) =>
      rowOf(name, tally, totals.get(name) ?? noStatistics)
    ),
  };
}

function sum(all: readonly CategoryStatistics[]): CategoryStatistics {
  const total = (of: (one: CategoryStatistics) => number) =>
    all.reduce((count, one) => count + of(one), 0);
  const peaks = all.flatMap(({ memoryPeakMb }) => memoryPeakMb ?? []);
  return {
    dispatched: total((one) => one.dispatched),
    done: total((one) => one.done),
    failed: total((one) => one.failed),
    canceled: total((one) => one.canceled),
    memoryPeakMb: peaks.length === 0 ? null : Math.max(...peaks),
  };
}

/**
 * Of a box, what was asked for, and the cores: the rest is a share of its worker, and a factory that
 * took it for a need would start more workers the larger the ones are that it has.
 */
function askedOf(
  request: ResourceRequest,
  { cores, memoryMb, diskMb, gpus }: Resources,
): Resources {
  return {
    cores,
    memoryMb: request.memoryMb === undefined ? 0 : memoryMb,
    diskMb: request.diskMb === undefined ? 0 : diskMb,
    gpus: request.gpus === undefined ? 0 : gpus,
  };
}
