/**
 * Statistics of a queue by the names of `work_queue_stats`, which are also those of its record.
 * Times are in microseconds.
 */
import type { QueueStatistics } from "./statistics.ts";

type Counters = Readonly<Record<string, number>>;

export function workerCounters(s: QueueStatistics): Counters {
  return {
    workers_joined: s.workersJoined,
    workers_removed: s.workersRemoved,
    workers_released: s.workersReleased,
    workers_idled_out: s.workersIdledOut,
    workers_fast_aborted: 0, // a straggler gets a second copy instead
    workers_lost: s.workersLost,
  };
}

export function taskCounters(s: QueueStatistics): Counters {
  return {
    tasks_submitted: s.tasksSubmitted,
    tasks_dispatched: s.tasksDispatched,
    tasks_done: s.tasksDone,
    tasks_failed: s.tasksFailed,
    tasks_cancelled: s.tasksCanceled,
    tasks_exhausted_attempts: s.attemptsExhausted,
  };
}

/** What moving files and running tasks took, and what the queue could feed. */
export function workCounters(s: QueueStatistics): Counters {
  return {
    time_send: microseconds(s.sendMs),
    time_receive: microseconds(s.receiveMs),
    // The share of each step in the loop of a manager that does one thing at a time.
    time_status_msgs: 0,
    time_internal: 0,
    time_polling: 0,
    time_application: 0,
    time_workers_execute: microseconds(s.executeMs),
    time_workers_execute_good: microseconds(s.executeGoodMs),
    time_workers_execute_exhaustion: microseconds(s.executeExhaustedMs),
    bytes_sent: s.bytesSent,
    bytes_received: s.bytesReceived,
    capacity_tasks: s.capacity.tasks,
    capacity_instantaneous: s.capacity.instantaneous,
    capacity_weighted: s.capacity.weighted,
    manager_load: 0,
  };
}

export function microseconds(ms: number): number {
  return Math.round(ms * 1000);
}
