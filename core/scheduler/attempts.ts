/** The life of a task: dispatched, ended, tried again, returned. */
import type { TaskId, WorkerId } from "../ids.ts";
import { monitorVariable } from "../monitor/mode.ts";
import { resultCode } from "../protocol/messages.ts";
import type { Resources } from "../resources.ts";
import { climb, learn } from "./allocation.ts";
import { blockOf, inputsFor, whyUnsendable } from "./block.ts";
import { timeLeftMs, wrap, type Wrapped } from "./foreign_monitor.ts";
import type { Placement } from "./place.ts";
import { keyOf, loseOffers, type Offered, supersede } from "./reconnect.ts";
import type { SchedulerState } from "./state.ts";
import { noteLost, noteSurvived, whyPoisonous } from "./suspects.ts";
import {
  type Attempt,
  type Copy,
  type Failure,
  type Moved,
  outgrew,
  type Phase,
  type Report,
  type Task,
  type TaskEnd,
  type TaskInput,
  type TaskSpec,
  verdict,
} from "./tasks.ts";
import { hostOf, promise, settle, type WorkerState } from "./workers.ts";

const noVariables: readonly string[] = [];
const noInputs: readonly TaskInput[] = [];

/** One for all: a million tasks may wait. */
const waiting: Phase = { name: "waiting" };

export function submit(state: SchedulerState, id: TaskId, spec: TaskSpec): void {
  const task: Task = { id, spec, phase: waiting, attempts: [], wish: null, suspicion: null };
  state.tasks.set(id, task);
  const why = whyUnsendable(id, spec);
  state.offers.submitted(task);
  if (why === null) state.waiting.push(task);
  else finish(state, task, { kind: "failure", code: resultCode.inputMissing, why });
}

export function cancel(state: SchedulerState, id: TaskId, nowMs: number): void {
  const task = state.tasks.get(id);
  if (task === undefined || task.phase.name === "done") return;
  if (task.phase.name === "waiting") state.waiting.remove(task);
  endCopies(state, task, copiesOf(task), nowMs);
  finish(state, task, { kind: "canceled" });
}

/**
 * Gives the task, or a second copy of it, to the worker. `offer`: the worker has it already, of an
 * earlier link.
 */
export function dispatch(
  state: SchedulerState,
  task: Task,
  { worker, box }: Placement,
  nowMs: number,
  offer: Offered | null = null,
): void {
  if (task.phase.name === "waiting") state.waiting.remove(task);
  const wrapped = worker.speaksWqx ? null : wrappedFor(state, task, box, nowMs);
  const spec = wrapped?.spec ?? task.spec;
  const needed = inputsFor(spec, worker.speaksWqx);
  const inputs = offer !== null
    ? noInputs
    : needed.filter((input) => !worker.cached.has(input.cacheName));
  for (const input of inputs) if (input.cache) state.noteCached(worker, input.cacheName);
  promise(worker, task.id, box);
  state.noteGiven(worker);
  const summary = wrapped?.summary ?? null;
  const kept = offer !== null;
  const sinceMs = nowMs - (offer?.ageMs ?? 0);
  const moved: Moved = {
    address: worker.address,
    sentBytes: 0,
    sentMs: null,
    reportedMs: null,
    receivedBytes: 0,
  };
  const copy: Copy = { worker: worker.id, box, sinceMs, summary, moved, ...(kept && { kept }) };
  state.category(task.spec.category).running++;
  state.enter(task, { name: "running", copies: [...copiesOf(task), copy] });
  const { monitor } = state.options;
  const variables = worker.speaksWqx && monitor !== "off"
    ? [monitorVariable(monitor)]
    : noVariables;
  const key = keyOf(state, worker, task.id, spec);
  if (!kept && key !== undefined) supersede(state, worker, key);
  const block = blockOf(task.id, spec, box, needed, { variables, key, kept });
  state.act({ type: "dispatch", worker: worker.id, id: task.id, inputs, block });
}

/** The task under `wqx monitor`, if it is to be monitored by that. */
function wrappedFor(
  { options }: SchedulerState,
  { id, spec }: Task,
  box: Resources,
  nowMs: number,
): Wrapped | null {
  const { monitor, foreignMonitor: program, epochOffsetMs } = options;
  if (monitor === "off" || program === null) return null;
  const left = timeLeftMs(spec, nowMs + epochOffsetMs);
  return wrap(spec, { id, box, mode: monitor, program, timeLeftMs: left });
}

/** Where the task is: its copies, or the one whose outputs are under way. */
export function copiesOf(task: Task): readonly Copy[] {
  switch (task.phase.name) {
    case "running":
      return task.phase.copies;
    case "retrieving":
      return [task.phase.copy];
    case "waiting":
    case "done":
      return [];
  }
}

/**
 * A copy is over for its worker: the box is free and the worker is told to forget the task.
 * Answers still owed for it will be read and dropped.
 */
export function endCopy(
  state: SchedulerState,
  task: Task,
  copy: Copy,
  worker: WorkerState,
  ending: Attempt["ending"],
  report: Report | null,
  nowMs: number,
): Attempt {
  if (settle(worker, task.id, copy.box)) state.noteRoom(worker);
  worker.retrieving.delete(task.id);
  const attempt: Attempt = {
    worker: worker.id,
    host: hostOf(worker),
    startedMs: copy.sinceMs,
    endedMs: nowMs,
    box: copy.box,
    ending,
    // Of a monitor that failed it is not the command's.
    exitCode: report?.status === resultCode.monitorError ? null : report?.exitCode ?? null,
    wallMs: report?.wallMs ?? 0,
    measured: report?.measured ?? null,
    printed: report?.printed ?? new Uint8Array(0),
    moved: copy.moved,
  };
  task.attempts.push(attempt);
  state.category(task.spec.category).running--;
  learn(state, task, attempt);
  if (report !== null) noteSurvived(state, task, worker, nowMs - copy.sinceMs);
  if (state.workers.has(worker.id)) {
    state.send(worker, { type: "kill", taskId: task.id });
    for (const { cache, cacheName, source } of task.spec.inputs) {
      const sent = !cache && source.kind !== "empty directory";
      if (sent) state.send(worker, { type: "unlink", cacheName });
    }
    for (const { cache = false, cacheName } of task.spec.outputs) {
      if (!cache) state.send(worker, { type: "unlink", cacheName });
      else if (ending.kind === "success") state.noteCached(worker, cacheName);
    }
    if (copy.summary !== null) state.send(worker, { type: "unlink", cacheName: copy.summary });
  }
  return attempt;
}

/** A copy that did not succeed: another one may still run, or it is tried once more, or that was it. */
export function failed(
  state: SchedulerState,
  task: Task,
  copy: Copy,
  attempt: Attempt,
): void {
  if (attempt.ending.kind === "failure") state.failedAttempts++;
  const others = copiesOf(task).filter((other) => other !== copy);
  // While another copy runs it may still succeed: then nothing was decided by this one.
  const end = others.length > 0 ? null : verdictOn(state, task, attempt);
  state.act({ type: "attempt_ended", id: task.id, attempt, again: end === null });
  if (end !== null) {
    finish(state, task, end);
  } else if (others.length > 0) {
    state.enter(task, { name: "running", copies: others });
  } else {
    state.enter(task, waiting);
    state.waiting.push(task);
  }
}

/** `null`: once more, with a larger box if this one was too small. */
function verdictOn(state: SchedulerState, task: Task, attempt: Attempt): TaskEnd | null {
  const end = attempt.ending.kind !== "failure" || outgrew(attempt) === null
    ? verdict(task, attempt, state.options.limits) ?? verdictOnLoss(state, task, attempt)
    : verdictOnClimb(state, task, attempt.ending);
  const { dispatchesMax = Infinity } = task.spec;
  const count = task.attempts.length;
  if (end !== null || count <= dispatchesMax) return end;
  const why = `it was dispatched ${count} times, and ${dispatchesMax} retries are allowed`;
  return { kind: "failure", code: resultCode.maxRetries, why };
}

function verdictOnLoss(state: SchedulerState, task: Task, attempt: Attempt): TaskEnd | null {
  if (attempt.ending.kind !== "lost") return null;
  const why = whyPoisonous(state, task, attempt.endedMs);
  return why === null ? null : { kind: "failure", code: resultCode.maxRetries, why };
}

function verdictOnClimb(state: SchedulerState, task: Task, ending: Failure): TaskEnd | null {
  const why = climb(state, task);
  return why === null ? null : { ...ending, why };
}

/** These need not go on: another one has won, or none is wanted any more. */
export function endCopies(
  state: SchedulerState,
  task: Task,
  copies: readonly Copy[],
  nowMs: number,
): void {
  for (const copy of copies) {
    const worker = state.workers.get(copy.worker)!;
    endCopy(state, task, copy, worker, { kind: "canceled" }, null, nowMs);
  }
}

/** The one moment at which a task is returned. */
export function finish(state: SchedulerState, task: Task, end: TaskEnd): void {
  state.enter(task, { name: "done", end });
  state.done++;
  state.tasks.delete(task.id);
  state.offers.finished(task);
  state.act({ type: "returned", task, end });
}

/** Ends the link of a worker that cannot be served any longer. */
export function close(
  state: SchedulerState,
  worker: WorkerState,
  why: string,
  nowMs: number,
): void {
  state.act({ type: "close", worker: worker.id, why });
  loseWorker(state, worker.id, why, nowMs);
}

/** The worker is gone: its tasks are tried elsewhere. */
export function loseWorker(state: SchedulerState, id: WorkerId, why: string, nowMs: number): void {
  const worker = state.workers.get(id);
  if (worker === undefined) return;
  state.workers.delete(id);
  loseOffers(state, worker);
  state.noteFleet();
  state.noteRoom(worker);
  for (const name of [...worker.cached]) state.noteUncached(worker, name);
  noteLost(state, worker, why, nowMs);
  for (const held of [...worker.running, ...worker.retrieving]) {
    const task = state.tasks.get(held)!;
    const copy = copiesOf(task).find((one) => one.worker === id)!;
    const attempt = endCopy(state, task, copy, worker, { kind: "lost", why }, null, nowMs);
    failed(state, task, copy, attempt);
  }
}
