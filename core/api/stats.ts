/** Numbers that a client asks for, by the names of `work_queue_stats`. */
import { takeCensus } from "../status/census.ts";
import { microseconds, taskCounters, workCounters, workerCounters } from "../status/counters.ts";
import type { QueueStatistics } from "../status/statistics.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import { fits, type Resources, wireResources } from "../resources.ts";
import type { Task } from "../scheduler/tasks.ts";
import { isReady, type WorkerState } from "../scheduler/workers.ts";

/** What the numbers are taken from. */
export interface StatsSource {
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly workers: ReadonlyMap<WorkerId, WorkerState>;
  readonly statistics: QueueStatistics;
  readonly waiting: number;
  readonly startedEpochMs: number;
  /** Calls that blocked a host, and hosts that were blocked for their failures. */
  readonly hostsBlocked: number;
  /** The most that a task or a category declared so far. */
  readonly declared: Resources;
}

export type Stats = Readonly<Record<string, number>>;

/** In time that grows with the workers, not with the tasks. */
export function queueStats(source: StatsSource): Stats {
  const { statistics: s, hostsBlocked, waiting, startedEpochMs } = source;
  const { capacity } = s;
  const seconds = (s.sendMs + s.receiveMs) / 1000;
  const megabytes = (s.bytesSent + s.bytesReceived) / 1024 ** 2;
  return {
    ...workerCounters(s),
    ...taskCounters(s),
    ...workCounters(s),
    ...presentWorkers(source),
    workers_blocked: hostsBlocked,
    tasks_waiting: waiting,
    time_when_started: microseconds(startedEpochMs),
    time_send_good: microseconds(s.sendMs),
    time_receive_good: microseconds(s.receiveMs),
    bandwidth: seconds > 1 ? megabytes / seconds : 1,
    capacity_cores: capacity.box.cores,
    capacity_memory: capacity.box.memoryMb,
    capacity_disk: capacity.box.diskMb,
    capacity_gpus: capacity.box.gpus,
  };
}

/** Workers that are connected, what they have, and their tasks. */
function presentWorkers({ workers, declared }: StatsSource): Stats {
  let [connected, init, busy, able, running, retrieving] = [0, 0, 0, 0, 0, 0];
  const amounts: Record<string, number> = {};
  for (const [, key] of wireResources) {
    for (const what of ["total", "committed", "max", "min"]) amounts[`${what}_${key}`] = 0;
  }
  for (const worker of workers.values()) {
    if (worker.greeting === null) continue;
    connected++;
    running += worker.running.size;
    retrieving += worker.retrieving.size;
    if (worker.running.size + worker.retrieving.size > 0) busy++;
    if (!isReady(worker)) {
      init++;
      continue;
    }
    for (const [name, key] of wireResources) {
      const total = worker.total[name];
      amounts[`total_${key}`]! += total;
      amounts[`committed_${key}`]! += worker.promised[name];
      amounts[`max_${key}`] = Math.max(amounts[`max_${key}`]!, total);
      const min = amounts[`min_${key}`]!;
      amounts[`min_${key}`] = min === 0 ? total : Math.min(min, total);
    }
    if (fits(declared, worker.total)) able++;
  }
  return {
    workers_connected: connected,
    workers_init: init,
    workers_idle: connected - busy,
    workers_busy: busy,
    workers_able: able,
    tasks_on_workers: running + retrieving,
    tasks_running: running,
    tasks_with_results: retrieving,
    ...amounts,
  };
}

/** Of one category; in time that grows with the tasks. */
export function categoryStats(source: StatsSource, name: string): Stats {
  const { statistics, tasks } = source;
  const workers = [...source.workers.values()].filter(isReady);
  const { categories } = takeCensus(tasks.values(), workers, statistics.categories);
  const row = categories.find((one) => one.name === name);
  const { waiting = 0, running = 0, retrieving = 0, workersAble = 0, totals } = row ?? {};
  const { done = 0, failed = 0, canceled = 0, dispatched = 0 } = totals ?? {};
  return {
    tasks_waiting: waiting,
    tasks_running: running,
    tasks_with_results: retrieving,
    tasks_on_workers: running + retrieving,
    tasks_dispatched: dispatched,
    tasks_done: done,
    tasks_failed: failed,
    tasks_cancelled: canceled,
    tasks_submitted: done + failed + waiting + running + retrieving,
    workers_able: workersAble,
  };
}

/** Workers by size: so many of each. */
export function workersSummary(workers: Iterable<WorkerState>): Record<string, number>[] {
  const rows = new Map<string, Record<string, number>>();
  for (const worker of workers) {
    if (!isReady(worker)) continue;
    const size = Object.fromEntries(
      wireResources.map(([name, key]) => [key, Math.floor(worker.total[name])]),
    );
    const shape = JSON.stringify(size);
    const row = rows.get(shape);
    if (row === undefined) rows.set(shape, { workers: 1, ...size });
    else row["workers"]!++;
  }
  return [...rows.values()];
}

/** How many may wait before no more are wanted (docs/api.md, "Counts"). */
export function hungryBelow(
  workers: Iterable<WorkerState>,
  { minimum, factor }: { readonly minimum: number; readonly factor: number },
): number {
  let [count, cores] = [0, 0];
  for (const worker of workers) {
    if (!isReady(worker)) continue;
    count++;
    cores += worker.total.cores;
  }
  return Math.max(minimum, factor * count, Math.floor(cores));
}
