/**
 * Rows as the JSON objects that readers of Work Queue's status know, with their keys, types and
 * units: MB, and microseconds unless it says otherwise. A key that means nothing here has the value
 * that Work Queue's own manager gives when there is nothing to tell.
 */
import { type Amounts, amountsOf } from "../allocation/policy.ts";
import type { AllocationSummary } from "../allocation/report.ts";
import { protocolVersion } from "../protocol/messages.ts";
import { type ResourceName, type Resources, wireResources } from "../resources.ts";
import type { Phase } from "../scheduler/tasks.ts";
import type { CategoryRow } from "./census.ts";
import { microseconds, taskCounters, workCounters, workerCounters } from "./counters.ts";
import type { Explanation } from "./explain_source.ts";
import type {
  CategoryCourse,
  ManagerFacts,
  Moment,
  QueueSnapshot,
  TaskRow,
  Usage,
  WorkerRow,
} from "./snapshot.ts";

export type WireValue =
  | string
  | number
  | boolean
  | readonly WireValue[]
  | { readonly [key: string]: WireValue };

/** One object of an answer. */
export type WireObject = Readonly<Record<string, WireValue>>;

/** Longest string, in bytes of UTF-8: for a longer one cctools gives up the whole answer. */
const textBytesMax = 65_535;

/** Readers know this name as the sum of all; no task can have it, being two words. */
const wholeQueue = "whole queue";

/** The record of a manager: `queue_status`, and what it tells a catalog. */
export function wireQueue(snapshot: QueueSnapshot): WireObject {
  const { facts, workers, whole, statistics: s } = snapshot;
  const onWorkers = whole.running + whole.retrieving;
  return {
    type: "wq_master",
    ...whoItIs(facts),
    time_when_started: microseconds(facts.startedEpochMs),
    workers: workers.connected,
    workers_connected: workers.connected,
    workers_init: workers.joining,
    workers_idle: workers.idle,
    workers_busy: workers.busy,
    workers_able: whole.workersAble,
    ...workerCounters(s),
    ...(facts.hostsBlocked.length === 0
      ? {}
      : { workers_blocked: facts.hostsBlocked.map(peerText) }),
    tasks_waiting: whole.waiting,
    tasks_on_workers: onWorkers,
    tasks_running: whole.running,
    tasks_with_results: whole.retrieving,
    tasks_left: facts.tasksLeft,
    ...taskCounters(s),
    tasks_complete: s.tasksDone,
    ...workCounters(s),
    time_send_good: 0,
    time_receive_good: 0,
    ...perResource("capacity", s.capacity.box),
    ...usage("workers", { inUse: workers.busy, ...ones(workers.connected) }),
    ...Object.assign(
      {},
      ...wireResources.map(([name, key]) => usage(key, snapshot.resources[name])),
    ),
    ...perResource("tasks_total", snapshot.wanted),
    categories: wireCategories(snapshot),
  };
}

function whoItIs(facts: ManagerFacts): WireObject {
  const interfaces = facts.interfaces.filter(({ name }) => !name.startsWith("lo"));
  return {
    ...(facts.project === null ? {} : { project: wireText(facts.project) }),
    owner: wireText(facts.owner),
    version: wireText(facts.version),
    protocol: protocolVersion,
    port: facts.port,
    ssl: facts.ssl,
    priority: facts.priority,
    starttime: Math.floor(facts.startedEpochMs / 1000), // seconds
    working_dir: wireText(facts.workingDir),
    manager_preferred_connection: facts.preferredConnection,
    ...(interfaces.length === 0 ? {} : {
      network_interfaces: interfaces.map(({ name, address, family }) => ({
        interface: name,
        address,
        host: address, // for readers before 7.10
        family: family === "IPv4" ? "AF_INET" : "AF_INET6",
      })),
    }),
  };
}

/** The sum of all first, then those of which a task waits, was dispatched, or is done. */
export function wireCategories(snapshot: QueueSnapshot): readonly WireObject[] {
  const { whole, categories, allocations, courses } = snapshot;
  const shown = categories.filter(({ waiting, totals }) =>
    waiting + totals.dispatched + totals.done > 0
  );
  if (shown.length === 0) return [];
  return [
    wireCategory(wholeQueue, whole),
    ...shown.map((row) => ({
      ...wireCategory(row.name, row),
      ...learned(allocations.get(row.name), row.largest),
      ...course(courses.get(row.name)),
    })),
  ];
}

/** What tasks of a category get first, where that is learned, and the most that one used. */
function learned(summary: AllocationSummary | undefined, declared: Resources): WireObject {
  if (summary === undefined) return {};
  const { current, largestSeen, mode, steady } = summary;
  const amounts = (of: Amounts) =>
    Object.fromEntries(wireResources.map(([name, key]) => {
      const rounded = name === "cores" ? fraction : whole;
      return [key, rounded(of[name] ?? -1)];
    }));
  const isKnown = (of: Amounts) => wireResources.some(([name]) => of[name] !== undefined);
  return {
    ...(isKnown(largestSeen) ? { max_seen: amounts(largestSeen) } : {}),
    ...(mode === "fixed" ? {} : {
      first_allocation: amounts(amountsOf((name) => declared[name] || current[name])),
      wqx_allocation_mode: mode,
      wqx_allocation_steady: steady,
    }),
  };
}

/** Of categories whose tasks are cut from events. */
function course(of: CategoryCourse | undefined): WireObject {
  const { chunkSize = null, eventsPerSecond = null } = of ?? {};
  return {
    ...(chunkSize === null ? {} : { wqx_chunksize: chunkSize }),
    ...(eventsPerSecond === null ? {} : { wqx_events_per_second: fraction(eventsPerSecond) }),
  };
}

function wireCategory(name: string, row: CategoryRow): WireObject {
  const { waiting, running, retrieving, largest, totals } = row;
  // A task gets what it declares, else its share of the best worker.
  const allocation = Object.fromEntries(
    wireResources.map(([resource, key]) => [key, row.box?.[resource] ?? (largest[resource] || -1)]),
  );
  return {
    category: wireText(name),
    tasks_waiting: waiting,
    tasks_running: running,
    tasks_on_workers: running + retrieving,
    tasks_dispatched: totals.dispatched,
    tasks_done: totals.done,
    tasks_failed: totals.failed,
    tasks_cancelled: totals.canceled,
    workers_able: row.workersAble,
    max_cores: largest.cores > 0 ? largest.cores.toFixed(3) : "na",
    max_memory: atMost(largest.memoryMb, totals.memoryPeakMb),
    max_disk: atMost(largest.diskMb, null),
    max_gpus: atMost(largest.gpus, null),
    first_allocation: allocation,
    max_allocation: allocation,
    first_allocation_count: 0,
    max_allocation_count: waiting + running + retrieving,
  };
}

/** What is declared, else what was seen. */
function atMost(declared: number, seen: number | null): string {
  if (declared > 0) return String(whole(declared));
  return seen === null ? "na" : `~${whole(seen)}`;
}

const states: Readonly<Record<Phase["name"], string>> = {
  waiting: "WAITING",
  running: "RUNNING",
  retrieving: "WAITING_RETRIEVAL",
  done: "DONE",
};

export function wireTask(row: TaskRow, at: Moment): WireObject {
  const { on } = row;
  const box: Partial<Resources> = on?.box ?? row.request;
  const common = {
    taskid: row.id,
    state: states[row.phase],
    category: wireText(row.category),
    command: wireText(row.command),
    cores: fraction(box.cores ?? -1),
    memory: whole(box.memoryMb ?? -1),
    disk: whole(box.diskMb ?? -1),
    gpus: box.gpus ?? -1,
    priority: String(row.priority),
  };
  if (on === null) return common;
  const since = microseconds(on.sinceEpochMs);
  return {
    ...common,
    host: peerText(on.host),
    address_port: on.address,
    time_when_submitted: 0, // not kept: a million waiting tasks are to stay small
    // To the scheduler, giving a task to a worker is one moment.
    time_when_commit_start: since,
    time_when_commit_end: since,
    // A slow reader gets rows that are younger than its question.
    current_time: Math.max(microseconds(at.epochMs), since),
  };
}

export function wireWorker(row: WorkerRow, at: Moment): WireObject {
  const current = row.tasks.flatMap(({ id, command }, i) => {
    const key = `current_task_${String(i).padStart(3, "0")}`;
    return [[`${key}_id`, id], [`${key}_command`, wireText(command)]] as const;
  });
  const ofResource = (name: ResourceName): Usage => {
    const total = row.total[name];
    return { inUse: row.inUse[name], total, smallest: total, largest: total };
  };
  return {
    wqx_worker: row.id,
    hostname: peerText(row.host),
    os: peerText(row.os),
    arch: peerText(row.arch),
    address_port: row.address,
    ncpus: whole(row.total.cores),
    total_tasks_complete: row.tasksDone,
    total_tasks_running: row.tasks.length,
    total_bytes_transferred: row.bytesMoved,
    total_transfer_time: microseconds(row.transferMs),
    start_time: microseconds(row.joinedEpochMs),
    current_time: microseconds(at.epochMs),
    ...usage("workers", { inUse: row.tasks.length > 0 ? 1 : 0, ...ones(1) }),
    ...Object.assign({}, ...wireResources.map(([name, key]) => usage(key, ofResource(name)))),
    ...Object.fromEntries(current),
  };
}

/** `about` says what the name was taken for: `queue`, `task`, `worker` or `unknown`. */
export function wireExplanation({ about, name, text: said }: Explanation): WireObject {
  return { about, name: peerText(name), text: peerText(said) };
}

function ones(total: number): Omit<Usage, "inUse"> {
  const one = Math.min(1, total);
  return { total, smallest: one, largest: one };
}

function usage(key: string, { inUse, total, smallest, largest }: Usage): WireObject {
  return {
    [`${key}_inuse`]: whole(inUse),
    [`${key}_total`]: whole(total),
    [`${key}_smallest`]: whole(smallest),
    [`${key}_largest`]: whole(largest),
  };
}

function perResource(prefix: string, amounts: Resources): WireObject {
  return Object.fromEntries(
    wireResources.map(([name, key]) => [`${prefix}_${key}`, whole(amounts[name])]),
  );
}

/** Readers take a number with a fraction for 0 where they expect a whole one; -1 stays. */
function whole(amount: number): number {
  return Math.ceil(fraction(amount));
}

/** Sums of boxes drift in the last digits. */
function fraction(amount: number): number {
  return Math.round(amount * 1000) / 1000;
}

const utf8 = new TextEncoder();
const cutMark = "…";

/**
 * cctools refuses strings that are too long, and `\u` escapes above 007f, which JSON.stringify
 * writes for half a surrogate pair.
 */
export function wireText(value: string): string {
  const formed = value.toWellFormed();
  if (formed.length * 3 <= textBytesMax) return formed;
  const room = new Uint8Array(textBytesMax);
  if (utf8.encodeInto(formed, room).read === formed.length) return formed;
  const cutBytes = textBytesMax - utf8.encode(cutMark).length;
  return formed.slice(0, utf8.encodeInto(formed, room.subarray(0, cutBytes)).read) + cutMark;
}

/** Names that strangers chose end up on somebody's terminal: no control characters. */
function peerText(value: string): string {
  return wireText(value.replace(/\p{Cc}/gu, "\ufffd"));
}
