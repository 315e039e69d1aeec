/** Numbers that a client asks for, by the names of `work_queue_stats`. */
import type { QueueStatistics } from "../status/statistics.ts";
import { takeCensus } from "../status/census.ts";
import type { TaskId, WorkerId } from "../ids.ts";
import type { Resources } from "../resources.ts";
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

const resources = [
  ["cores", "cores"],
  ["memory", "memoryMb"],
  ["disk", "diskMb"],
  ["gpus", "gpus"],
] as const;

/** In time that grows with the workers, not with the tasks. */
export function queueStats(source: StatsSource): Stats {
  const { statistics: s, declared } = source;
  let [connected, init, busy, able, running, retrieving] = [0, 0, 0, 0, 0, 0];
  const amounts: Record<string, number> = {};
  for (const [key] of resources) {
    for (const  of of["total", "committed", "max", "min"]) amounts[`${of}_${key}`] = 0;
  }
  for (const worker of source.workers.values()) {
    if (worker.greeting === null) continue;
    connected++;
    running += worker.running.size;
    retrieving += worker.retrieving.size;
    if (worker.running.size + worker.retrieving.size > 0) busy++;
    if (!isReady(worker)) {
      init++;
      continue;
    }
    let fits = true;
    for (const [key, name] of resources) {
      const total = worker.total[name];
      amounts[`total_${key}`]! += total;
      amounts[`committed_${key}`]! += worker.promised[name];
      amounts[`max_${key}`] = Math.max(amounts[`max_${key}`]!, total);
      const min = amounts[`min_${key}`]!;
      amounts[`min_${key}`] = min === 0 ? total : Math.min(min, total);
      fits &&= declared[name] <= total;
    }
    if (fits) able++;
  }
  const { capacity } = s;
  const seconds = (s.sendMs + s.receiveMs) / 1000;
  const megabytes = (s.bytesSent + s.bytesReceived) / 1024 ** 2;
  return {
    workers_connected: connected,
    workers_init: init,
    workers_idle: connected - busy,
    workers_busy: busy,
    workers_able: able,
    workers_joined: s.workersJoined,
    workers_removed: s.workersRemoved,
    workers_released: s.workersReleased,
    workers_idled_out: s.workersIdledOut,
    workers_fast_aborted: 0,
    workers_blocked: source.hostsBlocked,
    workers_lost: s.workersLost,
    tasks_waiting: source.waiting,
    tasks_on_workers: running + retrieving,
    tasks_running: running,
    tasks_with_results: retrieving,
    tasks_submitted: s.tasksSubmitted,
    tasks_dispatched: s.tasksDispatched,
    tasks_done: s.tasksDone,
    tasks_failed: s.tasksFailed,
    tasks_cancelled: s.tasksCanceled,
    tasks_exhausted_attempts: s.attemptsExhausted,
    time_when_started: us(source.startedEpochMs),
    time_send: us(s.sendMs),
    time_receive: us(s.receiveMs),
    time_send_good: us(s.sendMs),
    time_receive_good: us(s.receiveMs),
    time_status_msgs: 0,
    time_internal: 0,
    time_polling: 0,
    time_application: 0,
    time_workers_execute: us(s.executeMs),
    time_workers_execute_good: us(s.executeGoodMs),
    time_workers_execute_exhaustion: us(s.executeExhaustedMs),
    bytes_sent: s.bytesSent,
    bytes_received: s.bytesReceived,
    bandwidth: seconds > 1 ? megabytes / seconds : 1,
    capacity_tasks: capacity.tasks,
    capacity_cores: capacity.box.cores,
    capacity_memory: capacity.box.memoryMb,
    capacity_disk: capacity.box.diskMb,
    capacity_gpus: capacity.box.gpus,
    capacity_instantaneous: capacity.instantaneous,
    capacity_weighted: capacity.weighted,
    manager_load: 0,
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
      resources.map(([key, name]) => [key, Math.floor(worker.total[name])]),
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

function us(ms: number): number {
  return Math.round(ms * 1000);
}
