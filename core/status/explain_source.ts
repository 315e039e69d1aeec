/** Explanations by a manager of wqx: from what its scheduler and the owner of its tasks know. */
import { taskId } from "../ids.ts";
import { minus, type Resources } from "../resources.ts";
import { copiesOf } from "../scheduler/attempts.ts";
import { isSuspect, suspectWaitMs } from "../scheduler/suspects.ts";
import { failedOn, hasFailed, outgrew, type Task } from "../scheduler/tasks.ts";
import { hostOf, isReady, type WorkerState } from "../scheduler/workers.ts";
import { explainQueue, explainTask, explainWorker } from "./explain.ts";
import type { Placed, QueueFacts, TaskFacts, WorkerFacts } from "./explain_facts.ts";
import { list } from "./explain_words.ts";
import type { Subject } from "./questions.ts";
import type { StatusSource } from "./snapshot.ts";
import { wireText } from "./wire.ts";

/** What is answered: `about` says what the word was taken for, `text` is a paragraph. */
export interface Explanation {
  readonly about: "queue" | "task" | "worker" | "unknown";
  readonly name: string;
  readonly text: string;
}

/** The explanation of one subject, as of now. */
export function explain(subject: Subject, source: StatusSource): Explanation {
  if (subject.kind === "queue") {
    return { about: "queue", name: "", text: explainQueue(queueFacts(source)) };
  }
  const { kind, name } = subject;
  const worker = kind === "task" ? null : findWorker(name, source);
  const asTask = kind === "worker" ? null : explainNamedTask(name, source);
  if (asTask !== null && (worker === null || kind === "task")) {
    return { about: "task", name, text: asTask };
  }
  if (worker !== null) {
    const text = explainWorker(workerFacts(worker, source), queueFacts(source));
    return { about: "worker", name, text };
  }
  return { about: "unknown", name, text: unknownName(kind, name, source) };
}

function unknownName(kind: "task" | "worker" | "any", name: string, source: StatusSource): string {
  const { scheduler, statistics } = source;
  const said = JSON.stringify(name);
  const tasks = statistics.tasksSubmitted === 0
    ? "no task was submitted yet"
    : `tasks have numbers up to ${statistics.tasksSubmitted}`;
  const names = [...scheduler.workers.values()].filter(({ greeting }) => greeting !== null)
    .map(({ id }) => id);
  const shown = names.slice(0, workersNamedMax);
  const more = names.length > shown.length ? [`${names.length - shown.length} more`] : [];
  const workers = names.length === 0
    ? "no worker is connected"
    : `connected ${names.length === 1 ? "is" : "are"} ${list([...shown, ...more])}`;
  switch (kind) {
    case "task":
      return `There is no task ${said}: ${tasks}.`;
    case "worker":
      return `There is no worker ${said}: ${workers}.`;
    case "any":
      return `There is neither a task nor a worker ${said}: ${tasks}, and ${workers}.`;
  }
}

/** An answer about a name that is wrong need not list a thousand right ones. */
const workersNamedMax = 10;

// Tasks

/** `null`: nothing that was ever submitted, or will be, has this number or name. */
function explainNamedTask(name: string, source: StatusSource): string | null {
  const { scheduler, statistics, owner } = source;
  const number = /^\d+$/.test(name) ? Number(name) : null;
  if (number !== null && number >= 1 && number <= statistics.tasksSubmitted) {
    const task = scheduler.tasks.get(taskId(number));
    return task === undefined ? doneText(`Task ${number}`) : explainOpenTask(task, source);
  }
  const named = owner?.named(name) ?? null;
  switch (named?.kind) {
    case undefined:
      return null;
    case "submitted": {
      const task = scheduler.tasks.get(named.id);
      return task === undefined ? doneText(`Task "${name}"`) : explainOpenTask(task, source);
    }
    case "held":
      return `Task "${name}" waits for ${list(named.after)} to succeed first: it is not given to ` +
        "any worker before.";
    case "preparing":
      return `Task "${name}" is about to be submitted: its input files are being looked at.`;
  }
}

function doneText(name: string): string {
  return `${name} is over, and a manager keeps nothing of such tasks: how it ended is in the ` +
    "results of the run.";
}

function explainOpenTask(task: Task, source: StatusSource): string {
  return explainTask(placed(task, source), queueFacts(source));
}

function placed(task: Task, source: StatusSource): Placed {
  let higher = 0;
  let earlier = 0;
  const { priority } = task.spec;
  for (const other of source.scheduler.tasks.values()) {
    if (other.phase.name !== "waiting") continue;
    if (other.spec.priority > priority) higher++;
    else if (other.spec.priority === priority && other.id < task.id) earlier++;
  }
  return { task: taskFacts(task, source), higher, earlier };
}

function taskFacts(task: Task, source: StatusSource): TaskFacts {
  const { scheduler, at, owner } = source;
  const { spec, attempts, phase } = task;
  const failures = attempts.filter(hasFailed);
  const last = failures.at(-1)?.ending;
  const waits = phase.name === "waiting";
  return {
    id: task.id,
    name: owner?.nameOf(task.id) ?? null,
    category: spec.category,
    priority: spec.priority,
    wish: scheduler.wishOf(task),
    learning: waits ? scheduler.whyLearning(task) : null,
    features: spec.features ?? [],
    needsMs: spec.endTimeMs === undefined
      ? spec.wallTimeMs ?? 0
      : Math.max(0, spec.endTimeMs - at.epochMs),
    history: {
      failedOn: failures.map(({ host }) => host),
      lastWhy: last?.kind === "failure" ? last.why : null,
      lost: attempts.filter(({ ending }) => ending.kind === "lost").length,
      behindMs: waits && isSuspect(task) ? suspectWaitMs : 0,
      outgrown: attempts.filter((attempt) => outgrew(attempt) !== null).length,
    },
    avoids: failedOn(task),
    phase: phase.name === "running" || phase.name === "retrieving" ? phase.name : "waiting",
    on: copiesOf(task).map((copy) => {
      const worker = scheduler.workers.get(copy.worker);
      return {
        host: worker === undefined ? copy.worker : `${hostOf(worker)} (${worker.id})`,
        box: copy.box,
        sinceMs: at.nowMs - copy.sinceMs,
      };
    }),
  };
}

// Workers

function findWorker(name: string, { scheduler }: StatusSource): WorkerState | null {
  const all = [...scheduler.workers.values()].filter(({ greeting }) => greeting !== null);
  return all.find(({ id }) => id === name) ?? all.find(({ address }) => address === name) ??
    all.find((worker) => hostOf(worker) === name) ?? null;
}

function workerFacts(worker: WorkerState, { scheduler, at }: StatusSource): WorkerFacts {
  const until = scheduler.blockedUntilMs(hostOf(worker));
  const { in: incoming, out } = worker.transfers;
  const under = out ?? incoming;
  return {
    id: worker.id,
    host: hostOf(worker),
    address: worker.address,
    ready: isReady(worker),
    total: worker.total,
    free: positive(minus(worker.total, worker.promised)),
    tasks: worker.running.size + worker.retrieving.size,
    retrieving: worker.retrieving.size,
    features: worker.features,
    blockedMs: until === null || until <= at.nowMs ? null : until - at.nowMs,
    leavesInMs: worker.stopsAtMs === null ? null : worker.stopsAtMs - at.epochMs,
    transfer: under === null ? null : {
      to: out === null ? "manager" : "worker",
      bytes: under.bytes,
      sinceMs: at.nowMs - under.sinceMs,
    },
    factory: worker.factory,
  };
}

/** Sums of fractions drift. */
function positive({ cores, memoryMb, diskMb, gpus }: Resources): Resources {
  return {
    cores: Math.max(0, cores),
    memoryMb: Math.max(0, memoryMb),
    diskMb: Math.max(0, diskMb),
    gpus: Math.max(0, gpus),
  };
}

/** Why nothing moves, for status records; nothing while all is well. */
export function stallOf(source: StatusSource): { readonly wqx_stall?: string } {
  return source.stillMs === null ? {} : { wqx_stall: wireText(explainQueue(queueFacts(source))) };
}

/** Of the tasks on workers, the one that has been there for longest. */
function oldestRunning({ scheduler }: StatusSource): Task | null {
  let oldest: Task | null = null, sinceMs = Infinity;
  for (const task of scheduler.tasks.values()) {
    if (task.phase.name !== "running") continue;
    const [copy] = copiesOf(task);
    if (copy === undefined || copy.sinceMs >= sinceMs) continue;
    oldest = task;
    sinceMs = copy.sinceMs;
  }
  return oldest;
}

function stillFacts(source: StatusSource): QueueFacts["still"] {
  if (source.stillMs === null) return null;
  const oldest = oldestRunning(source);
  return {
    ms: source.stillMs,
    oldest: oldest === null ? null : taskFacts(oldest, source),
    usualMs: source.statistics.usualMs,
  };
}

function queueFacts(source: StatusSource): QueueFacts {
  const { scheduler, statistics, owner } = source;
  const phases = { waiting: 0, running: 0, retrieving: 0, done: 0 };
  for (const { phase } of scheduler.tasks.values()) phases[phase.name]++;
  return {
    ...phases,
    workers: [...scheduler.workers.values()].filter(({ greeting }) => greeting !== null)
      .map((worker) => workerFacts(worker, source)),
    kinds: scheduler.waitingKinds.map(({ first, count }) => ({
      first: taskFacts(first, source),
      count,
    })),
    done: statistics.tasksDone,
    held: owner?.held ?? 0,
    foreign: false,
    still: stillFacts(source),
  };
}
