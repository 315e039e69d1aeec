/**
 * How many workers managers could use now: work_queue_factory's rule, from the records that
 * managers send to the catalog or answer with. Missing fields are 0, as there.
 */
import { integerOf, type JxObject, numberOf } from "../jx/value.ts";
import { type FactorySettings, tasksPerWorkerOf } from "./settings.ts";

/** Those whose records `needOf` is asked about. */
export interface Served {
  readonly managers: readonly JxObject[];
  /** With `--foremen-name` the foremen that get the workers; otherwise `null`. */
  readonly foremen: readonly JxObject[] | null;
}

export interface Need {
  /** Workers that the tasks there are would use, before any limit of the factory. */
  readonly workers: number;
  /** Workers connected now, whoever started them. */
  readonly connected: number;
  readonly tasksWaiting: number;
  readonly tasksRunning: number;
}

/** The rule for all managers (and foremen) together. */
export function needOf({ managers, foremen }: Served, settings: FactorySettings): Need {
  const sum = (records: readonly JxObject[], of: (record: JxObject) => number) =>
    records.reduce((total, record) => total + of(record), 0);
  // Tasks that managers have on workers run at foremen, which report them themselves.
  const workers = sum(managers, (m) => managerNeed(m, settings, foremen === null)) +
    sum(foremen ?? [], (f) => managerNeed(f, settings, true));
  const connected = sum(managers, (m) => count(m, "workers"));
  // A foreman is a worker of its manager, and counts itself too.
  const atForemen = sum(foremen ?? [], (f) => count(f, "workers")) - (foremen?.length ?? 0);
  return {
    workers,
    connected: connected + Math.max(atForemen, 0),
    tasksWaiting: sum(managers, (m) => count(m, "tasks_waiting") + count(m, "tasks_left")),
    tasksRunning: sum(managers, (m) => count(m, "tasks_on_workers")),
  };
}

/** Workers that one manager could use; `withRunning`: tasks on workers count too. */
export function managerNeed(
  record: JxObject,
  settings: FactorySettings,
  withRunning: boolean,
): number {
  const tasksPerWorker = tasksPerWorkerOf(settings);
  const perWorker = (tasks: number) =>
    tasksPerWorker !== null && tasksPerWorker > 0 ? Math.ceil(tasks / tasksPerWorker) : tasks;
  const tasks = count(record, "tasks_waiting") + count(record, "tasks_left") +
    (withRunning ? count(record, "tasks_on_workers") : 0);
  let need = perWorker(tasks);
  for (const [name, size] of sizesOf(settings)) {
    const total = amount(record, `tasks_total_${name}`);
    if (size > 0 && total > 0) need = Math.max(need, Math.ceil(total / size));
  }
  if (!settings.capacity) return need;
  const capacity = capacityOf(record, settings, perWorker);
  return capacity > 0 ? Math.min(need, capacity) : need;
}

/** Workers that the manager says it can feed; 0: it does not say. */
function capacityOf(
  record: JxObject,
  settings: FactorySettings,
  perWorker: (tasks: number) => number,
): number {
  // Divided once: the original divides by the tasks of a worker a second time.
  let capacity = perWorker(count(record, "capacity_weighted"));
  for (const [name, size] of sizesOf(settings)) {
    const total = amount(record, `capacity_${name}`);
    if (size > 0 && total > 0) capacity = Math.min(capacity, Math.ceil(total / size));
  }
  return capacity;
}

function sizesOf(settings: FactorySettings): readonly (readonly [string, number])[] {
  return [
    ["cores", settings.cores ?? 0],
    ["memory", settings.memoryMb ?? 0],
    ["disk", settings.diskMb ?? 0],
    ["gpus", settings.gpus ?? 0],
  ];
}

/** Records come from strangers: a negative count is none. */
function count(record: JxObject, key: string): number {
  return Math.max(0, integerOf(record, key));
}

/** Some managers write sums of cores as doubles. */
function amount(record: JxObject, key: string): number {
  return Math.max(0, numberOf(record, key));
}
