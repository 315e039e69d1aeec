/**
 * Explanations of a manager that gives none: from the records that every manager of Work Queue
 * answers with. Features, blocked hosts and earlier failures are not in them.
 */
import { integerOf, type JxObject, numberOf, stringOf } from "../jx/value.ts";
import { eachResource, type Resources, wireNames } from "../resources.ts";
import { explainQueue, explainTask, explainWorker } from "./explain.ts";
import type { QueueFacts, TaskFacts, WaitingKind, WorkerFacts } from "./explain_facts.ts";
import type { Explanation } from "./explain_source.ts";
import type { Subject } from "./questions.ts";

/** What `queue_status`, `task_status` and `worker_status` were answered with. */
export interface StatusRecords {
  readonly queue: JxObject;
  readonly tasks: readonly JxObject[];
  readonly workers: readonly JxObject[];
}

/** The explanation of one subject, as far as records go. */
export function explainFromRecords(subject: Subject, records: StatusRecords): Explanation {
  const queue = queueFacts(records);
  if (subject.kind === "queue") return { about: "queue", name: "", text: explainQueue(queue) };
  const { kind, name } = subject;
  const worker = kind === "task"
    ? undefined
    : records.workers.find((record) => isWorker(record, name));
  if (worker !== undefined) {
    return { about: "worker", name, text: explainWorker(workerFacts(worker), queue) };
  }
  const task = kind === "worker" || !/^\d+$/.test(name)
    ? undefined
    : records.tasks.find((record) => integerOf(record, "taskid") === Number(name));
  if (task === undefined) return { about: "unknown", name, text: unknownName(subject, records) };
  return { about: "task", name, text: explainTask(placed(task, records), queue) };
}

function isWorker(record: JxObject, name: string): boolean {
  return stringOf(record, "address_port") === name || stringOf(record, "hostname") === name;
}

function unknownName(
  { kind, name }: Exclude<Subject, { kind: "queue" }>,
  { queue }: StatusRecords,
): string {
  const said = JSON.stringify(name);
  const submitted = integerOf(queue, "tasks_submitted");
  if (kind !== "worker" && /^\d+$/.test(name) && Number(name) >= 1 && Number(name) <= submitted) {
    return `Task ${name} is not with this manager now: it is over, and was returned to its owner.`;
  }
  const what = kind === "any" ? "neither a task nor a worker" : `no ${kind}`;
  return `There is ${what} ${said}: ${submitted} tasks were submitted so far, and ` +
    `${integerOf(queue, "workers")} workers are connected (name them by host, or HOST:PORT).`;
}

function placed(record: JxObject, { tasks }: StatusRecords) {
  const task = taskFacts(record);
  const waiting = tasks.filter((one) => phaseOf(one) === "waiting").map(taskFacts);
  return {
    task,
    higher: waiting.filter(({ priority }) => priority > task.priority).length,
    earlier:
      waiting.filter(({ priority, id }) => priority === task.priority && id < task.id).length,
  };
}

function phaseOf(record: JxObject): TaskFacts["phase"] {
  switch (stringOf(record, "state")?.toUpperCase()) {
    case "RUNNING":
      return "running";
    case "WAITING_RETRIEVAL":
    case "RETRIEVED":
      return "retrieving";
    default:
      return "waiting";
  }
}

function taskFacts(record: JxObject): TaskFacts {
  const phase = phaseOf(record);
  const asked = resourcesOf(record, (key) => key);
  const request = Object.fromEntries(Object.entries(asked).filter(([, value]) => value > 0));
  const host = stringOf(record, "host");
  const sinceUs = integerOf(record, "time_when_commit_start");
  const sinceMs = sinceUs > 0 ? (integerOf(record, "current_time") - sinceUs) / 1000 : null;
  return {
    id: integerOf(record, "taskid"),
    name: null,
    category: stringOf(record, "category") ?? "default",
    priority: Number(stringOf(record, "priority") ?? "0") || 0,
    wish: { request, floor: {} },
    learning: null,
    features: [],
    needsMs: 0,
    history: { failedOn: [], lastWhy: null, lost: 0, behindMs: 0, outgrown: 0 },
    avoids: new Set(),
    phase,
    on: phase === "waiting" || host === null ? [] : [{ host, box: asked, sinceMs }],
  };
}

function workerFacts(record: JxObject): WorkerFacts {
  const total = resourcesOf(record, (key) => `${key}_total`);
  const used = resourcesOf(record, (key) => `${key}_inuse`);
  return {
    id: stringOf(record, "wqx_worker"),
    host: stringOf(record, "hostname") ?? "?",
    address: stringOf(record, "address_port") ?? "?",
    ready: true, // those that are not are left out of the answer
    total,
    free: {
      cores: Math.max(0, total.cores - used.cores),
      memoryMb: Math.max(0, total.memoryMb - used.memoryMb),
      diskMb: Math.max(0, total.diskMb - used.diskMb),
      gpus: Math.max(0, total.gpus - used.gpus),
    },
    tasks: integerOf(record, "total_tasks_running"),
    retrieving: 0,
    features: null,
    blockedMs: null,
    leavesInMs: null,
    transfer: null,
    factory: null,
  };
}

/** -1 is what is not said. */
function resourcesOf(record: JxObject, keyOf: (key: string) => string): Resources {
  return eachResource((name) => Math.max(0, numberOf(record, keyOf(wireNames[name]))));
}

function queueFacts({ queue, tasks, workers }: StatusRecords): QueueFacts {
  const kinds = new Map<string, { first: TaskFacts; count: number }>();
  for (const record of tasks) {
    if (phaseOf(record) !== "waiting") continue;
    const first = taskFacts(record);
    const shape = JSON.stringify([first.category, first.priority, first.wish]);
    const kind = kinds.get(shape);
    if (kind === undefined) kinds.set(shape, { first, count: 1 });
    else kind.count++;
  }
  const sorted: WaitingKind[] = [...kinds.values()].sort((a, b) =>
    b.first.priority - a.first.priority
  );
  return {
    workers: workers.map(workerFacts),
    kinds: sorted,
    waiting: integerOf(queue, "tasks_waiting"),
    running: integerOf(queue, "tasks_running"),
    retrieving: integerOf(queue, "tasks_with_results"),
    done: integerOf(queue, "tasks_done") || integerOf(queue, "tasks_complete"),
    held: 0,
    foreign: true,
    still: null,
  };
}
