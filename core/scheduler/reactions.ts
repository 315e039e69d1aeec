/**
 * What the messages of workers bring about. Workers answer in the order in which they were asked,
 * so each answer belongs to the first thing that its worker owes.
 */
import { PeerProtocolError, unreachable } from "../errors.ts";
import { type TaskId, taskId } from "../ids.ts";
import { summaryBytesMax } from "../monitor/summary_reader.ts";
import { resultCode, type ToManager } from "../protocol/messages.ts";
import { checkSandboxName } from "../protocol/names.ts";
import type { Place, Stored } from "./actions.ts";
import { close, copiesOf, endCopies, endCopy, failed, finish } from "./attempts.ts";
import { greeted, info } from "./claims.ts";
import { believe } from "./foreign_monitor.ts";
import { noteFailure, noteNoRoom, noteSuccess } from "./health.ts";
import { answeredOffer, fill, noteFailed, noteOver } from "./pieces.ts";
import type { SchedulerState } from "./state.ts";
import type { Copy, Report, Task } from "./tasks.ts";
import {
  type OutputIndex,
  type Owed,
  type Receiving,
  settle,
  withResource,
  type WorkerState,
} from "./workers.ts";
import { describeFailure } from "./words.ts";

/** ENOENT, as `missing` carries it. */
const noSuchFile = 2;

type OwedOutput = Extract<Owed, { kind: "output" }>;

/** Of a copy whose summary is not waited for. */
const failedUnseen = { code: resultCode.success, why: "it failed while another copy ran" } as const;

/** Kept of what a worker says about objects that it could not obtain; characters. */
const complaintMax = 500;

/** One message; a peer that breaks the protocol loses its link, nobody else notices. */
export function received(
  state: SchedulerState,
  worker: WorkerState,
  message: ToManager,
  nowMs: number,
): void {
  orClose(state, worker, nowMs, () => {
    if (worker.greeting === null) greeted(state, worker, message);
    else react(state, worker, message, nowMs);
  });
}

function orClose(
  state: SchedulerState,
  worker: WorkerState,
  nowMs: number,
  act: () => void,
): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof PeerProtocolError)) throw error;
    close(state, worker, error.message, nowMs);
  }
}

function react(
  state: SchedulerState,
  worker: WorkerState,
  message: ToManager,
  nowMs: number,
): void {
  switch (message.type) {
    case "resource":
      worker.total = withResource(worker.total, message.name, message.total);
      break;
    case "resource tag":
      worker.resourcesKnown = message.tag >= 0;
      state.noteFleet();
      state.noteRoom(worker);
      break;
    case "info":
      info(state, worker, message, nowMs);
      if (message.key === "worker-end-time") {
        state.noteRoom(worker);
        state.noteFleet();
      }
      break;
    case "feature":
      worker.features.add(message.name);
      break;
    case "alive":
    case "tlq":
    case "thirdput-complete":
      break;
    case "cache-update":
      worker.complaints.delete(message.cacheName);
      worker.taking.delete(message.cacheName);
      noteOver(worker, message.cacheName);
      break;
    case "cache-invalid":
      // It would go on trying the same source: unlinked, the next task sends it anew.
      state.noteUncached(worker, message.cacheName);
      if (worker.taking.delete(message.cacheName)) {
        noteBereft(state, worker, message.cacheName);
        noteFailed(worker, message.cacheName);
      }
      state.send(worker, { type: "unlink", cacheName: message.cacheName });
      receive(state, worker, { kind: "complaint", cacheName: message.cacheName }, message, nowMs);
      break;
    case "lacks": {
      const offer = answeredOffer(worker, message);
      receive(state, worker, { kind: "lacking", offer }, message, nowMs);
      break;
    }
    case "name":
      state.act({ type: "answer_name", worker: worker.id });
      break;
    case "available_results":
      if (worker.owed.some((owed) => owed.kind === "results")) worker.moreResults = true;
      else askForResults(state, worker);
      break;
    case "result":
      result(state, worker, message, nowMs);
      break;
    case "update":
      update(state, worker, message, nowMs);
      break;
    case "file": {
      const { owed, inside } = owedOutput(worker, message.path);
      const retrieving = retrievingOn(state, worker, owed.task);
      if (retrieving !== null) retrieving.copy.moved.receivedBytes += message.length;
      receive(state, worker, receivingOf(owed, inside, message.length), message, nowMs);
      break;
    }
    case "dir": {
      const { owed, inside } = owedOutput(worker, message.path);
      const place = placeFor(state, receivingOf(owed, inside, 0));
      if (place.kind === "file") {
        state.act({ type: "make_directory", worker: worker.id, path: place.path });
      }
      break;
    }
    case "missing":
      missing(state, worker, message);
      break;
    case "end":
      end(state, worker, nowMs);
      break;
    case "workqueue":
    case "status":
    case "http":
    case "auth":
      throw new PeerProtocolError(`Got "${message.type}" after the greeting`);
    default:
      unreachable(message);
  }
}

/** Tasks that need what the worker no longer has are not at fault: they are tried again. */
function noteBereft(state: SchedulerState, worker: WorkerState, cacheName: string): void {
  for (const id of worker.running) {
    const inputs = state.tasks.get(id)?.spec.inputs ?? [];
    if (inputs.some((one) => one.cacheName === cacheName)) worker.bereft.add(id);
  }
}

function askForResults(state: SchedulerState, worker: WorkerState): void {
  worker.moreResults = false;
  worker.owed.push({ kind: "results" });
  state.send(worker, { type: "send_results" });
}

function result(
  state: SchedulerState,
  worker: WorkerState,
  message: Extract<ToManager, { type: "result" }>,
  nowMs: number,
): void {
  if (worker.owed[0]?.kind !== "results") throw new PeerProtocolError("A result nobody asked for");
  const id = taskId(message.taskId);
  const running = runningCopy(state, worker, id);
  if (running === null) {
    receive(state, worker, { kind: "nobody" }, message, nowMs);
    return;
  }
  const { task, copy } = running;
  const measured = worker.measured.get(id) ?? null;
  worker.measured.delete(id);
  const lost = message.status === resultCode.forsaken
    ? copy.kept
      ? "the worker could not keep it any longer"
      : "the worker has less room than it said"
    : message.status === resultCode.inputMissing && worker.bereft.has(id)
    ? "the worker no longer had an input that it said it had"
    : null;
  if (lost !== null) {
    receive(state, worker, { kind: "nobody" }, message, nowMs);
    // 0: it has told by now what it has, and what fits may come at once.
    const isFull = message.status === resultCode.forsaken && !copy.kept && message.exitCode !== 0;
    if (isFull) noteNoRoom(state, worker, nowMs);
    const why = lost;
    const attempt = endCopy(state, task, copy, worker, { kind: "lost", why }, null, nowMs);
    failed(state, task, copy, attempt);
    return;
  }
  const succeeded = message.status === 0 &&
    (message.exitCode === 0 || task.spec.exitCodeIsData === true);
  const wrapped = copy.summary !== null && message.status === resultCode.success;
  const report: Report = {
    // Until the summary says how the command ended.
    status: wrapped ? resultCode.monitorError : message.status,
    exitCode: message.exitCode,
    // A worker's clock may run as it likes: it cannot have run for longer than we waited.
    wallMs: Math.min(message.wallUs / 1000, nowMs - copy.sinceMs),
    measured,
    printed: new Uint8Array(0),
    owed: 1,
    trouble: null,
  };
  if (!succeeded && copiesOf(task).length > 1) {
    // The other copy may still make it; this one is not worth its outputs.
    receive(state, worker, { kind: "nobody" }, message, nowMs);
    const failure = wrapped ? failedUnseen : describeFailure(report, copy.box)!;
    const ending = { kind: "failure", ...failure } as const;
    const attempt = endCopy(state, task, copy, worker, ending, report, nowMs);
    noteFailure(state, attempt, nowMs);
    failed(state, task, copy, attempt);
    return;
  }
  endCopies(state, task, copiesOf(task).filter((other) => other !== copy), nowMs);
  settle(worker, id, copy.box);
  state.noteRoom(worker);
  worker.retrieving.add(id);
  copy.moved.reportedMs = nowMs;
  state.enter(task, { name: "retrieving", copy, report });
  receive(state, worker, { kind: "printed", task: id }, message, nowMs);
  // Only the summary says which of the outputs are wanted.
  if (wrapped) askFor(state, worker, { task, report }, "summary", copy.summary!);
  else askForOutputs(state, worker, { task, report });
}

interface Retrieving {
  readonly task: Task;
  readonly report: Report;
}

function askForOutputs(state: SchedulerState, worker: WorkerState, from: Retrieving): void {
  const { task, report } = from;
  // Half a result may lie there, and there may be another attempt.
  if (task.spec.exitCodeIsData && report.status === resultCode.resourceExhaustion) return;
  const succeeded = report.status === resultCode.success && report.exitCode === 0;
  for (const [index, { when, cacheName }] of task.spec.outputs.entries()) {
    if (when !== "always" && (when === "success") !== succeeded) continue;
    askFor(state, worker, from, index, cacheName);
  }
}

function askFor(
  state: SchedulerState,
  worker: WorkerState,
  { task, report }: Retrieving,
  index: OutputIndex,
  cacheName: string,
): void {
  report.owed++;
  worker.owed.push({ kind: "output", task: task.id, index, cacheName, answered: false });
  state.send(worker, { type: "get", cacheName });
}

function runningCopy(
  state: SchedulerState,
  worker: WorkerState,
  id: TaskId,
): { task: Task; copy: Copy } | null {
  const task = worker.running.has(id) ? state.tasks.get(id) : undefined;
  const copy = task?.phase.name === "running"
    ? task.phase.copies.find((one) => one.worker === worker.id)
    : undefined;
  return task !== undefined && copy !== undefined ? { task, copy } : null;
}

function update(
  state: SchedulerState,
  worker: WorkerState,
  message: Extract<ToManager, { type: "update" }>,
  nowMs: number,
): void {
  if (worker.owed[0]?.kind !== "results") throw new PeerProtocolError("An update nobody asked for");
  const id = taskId(message.taskId);
  const running = runningCopy(state, worker, id);
  // Of two copies the first one writes the file.
  const task = running !== null && copiesOf(running.task)[0] === running.copy
    ? running.task
    : undefined;
  const output = task?.spec.outputs.find((one) => one.sandboxName === message.path && one.watch);
  const receiving: Receiving = output === undefined
    ? { kind: "nobody" }
    : { kind: "update", task: id, path: output.path, offset: message.offset };
  receive(state, worker, receiving, message, nowMs);
}

function missing(
  state: SchedulerState,
  worker: WorkerState,
  { path, errno }: Extract<ToManager, { type: "missing" }>,
): void {
  const { owed, inside } = owedOutput(worker, path);
  const retrieving = retrievingOn(state, worker, owed.task);
  if (retrieving === null || owed.index === "summary") return;
  if (inside !== "") {
    if (errno === noSuchFile) return; // a dangling link within a directory
    const why = `the worker could not read${inside} of its outputs (errno ${errno})`;
    retrieving.report.trouble ??= { code: resultCode.outputMissing, why };
    return;
  }
  const { sandboxName, when } = retrieving.task.spec.outputs[owed.index]!;
  if (when !== "success" && !retrieving.task.spec.exitCodeIsData) return;
  const why = `it did not write its output ${sandboxName}`;
  retrieving.report.trouble ??= { code: resultCode.outputMissing, why };
}

/** The output that is asked for first; an answer about any other would be taken for it. */
function owedOutput(
  worker: WorkerState,
  path: string,
): { owed: OwedOutput; inside: string } {
  const owed = worker.owed[0];
  if (owed?.kind !== "output") throw new PeerProtocolError(`"${path}" came without a "get"`);
  owed.answered = true;
  const asked = owed.cacheName;
  if (path === asked) return { owed, inside: "" };
  if (!path.startsWith(`${asked}/`)) {
    throw new PeerProtocolError(`Asked for "${asked}" and got "${path}"`);
  }
  const inside = path.slice(asked.length);
  checkSandboxName(inside.slice(1));
  return { owed, inside };
}

function receivingOf({ task, index }: OwedOutput, inside: string, length: number): Receiving {
  if (index !== "summary") return { kind: "output", task, index, inside };
  return inside === "" && length <= summaryBytesMax
    ? { kind: "summary", task }
    : { kind: "nobody" };
}

function end(state: SchedulerState, worker: WorkerState, nowMs: number): void {
  const owed = worker.owed.shift();
  if (owed === undefined) throw new PeerProtocolError('An "end" of nothing');
  if (owed.kind === "output" && !owed.answered) {
    throw new PeerProtocolError('An "end" in place of an output');
  }
  if (owed.kind === "output") {
    const retrieving = retrievingOn(state, worker, owed.task);
    if (owed.index === "summary" && retrieving !== null) askForOutputs(state, worker, retrieving);
    arrived(state, worker, owed.task, nowMs);
  } else if (worker.moreResults) askForResults(state, worker);
}

/** The payload of the last message is complete, or could not be kept. */
export function stored(
  state: SchedulerState,
  worker: WorkerState,
  what: Stored,
  nowMs: number,
): void {
  const { receiving } = worker;
  worker.receiving = null;
  const transfer = worker.transfers.in;
  worker.transfers.in = null;
  if (transfer !== null) {
    worker.moved.bytes += transfer.bytes;
    worker.moved.ms += nowMs - transfer.sinceMs;
  }
  if (receiving === null) return;
  switch (receiving.kind) {
    case "nobody":
    case "update":
      return;
    case "lacking": {
      const { offer } = receiving;
      if (what.kind !== "printed") return;
      return orClose(state, worker, nowMs, () => fill(state, worker, offer, what.bytes));
    }
    case "complaint":
      if (what.kind === "printed") {
        const words = new TextDecoder().decode(what.bytes).trim().slice(0, complaintMax);
        worker.complaints.set(receiving.cacheName, words);
      }
      return;
  }
  const retrieving = retrievingOn(state, worker, receiving.task);
  if (retrieving === null) return;
  const { report, task } = retrieving;
  if (receiving.kind === "summary") {
    const program = state.options.foreignMonitor!;
    if (what.kind === "printed") believe(report, what.bytes, task.spec, program);
    return;
  }
  if (what.kind === "printed") {
    report.printed = what.bytes;
    const why = "it printed more than the manager keeps";
    if (what.isCut && task.spec.exitCodeIsData) {
      report.trouble ??= { code: resultCode.stdoutMissing, why };
    }
  }
  if (what.kind === "failed") {
    const which = receiving.kind === "printed"
      ? "its captured output"
      : `its output ${task.spec.outputs[receiving.index]!.sandboxName}${receiving.inside}`;
    const why = `the manager could not store ${which}: ${what.why}`;
    report.trouble ??= { code: resultCode.outputTransferError, why };
  }
  if (receiving.kind === "printed") arrived(state, worker, task.id, nowMs);
}

/** A directory of the output that is arriving could not be made. */
export function directoryFailed(state: SchedulerState, worker: WorkerState, why: string): void {
  const owed = worker.owed[0];
  const retrieving = owed?.kind === "output" ? retrievingOn(state, worker, owed.task) : null;
  if (retrieving === null) return;
  retrieving.report.trouble ??= {
    code: resultCode.outputTransferError,
    why: `the manager could not make a directory for its outputs: ${why}`,
  };
}

/** One of the answers for a task in retrieval is complete; the last one ends the attempt. */
function arrived(state: SchedulerState, worker: WorkerState, id: TaskId, nowMs: number): void {
  const retrieving = retrievingOn(state, worker, id);
  if (retrieving === null || --retrieving.report.owed > 0) return;
  const { task, copy, report } = retrieving;
  const asItEnded = describeFailure(report, copy.box, complaintsAbout(task, worker));
  const isData = task.spec.exitCodeIsData && report.status === resultCode.success;
  const failure = (isData ? null : asItEnded) ?? report.trouble;
  if (failure === null) {
    const attempt = endCopy(state, task, copy, worker, { kind: "success" }, report, nowMs);
    noteSuccess(state, task, attempt);
    state.act({ type: "attempt_ended", id, attempt, again: false });
    finish(state, task, { kind: "success" });
  } else {
    const ending = { kind: "failure", ...failure } as const;
    const attempt = endCopy(state, task, copy, worker, ending, report, nowMs);
    noteFailure(state, attempt, nowMs);
    failed(state, task, copy, attempt);
  }
}

function complaintsAbout(task: Task, worker: WorkerState): string {
  return task.spec.inputs.flatMap(({ cacheName, sandboxName }) => {
    const words = worker.complaints.get(cacheName);
    return words === undefined ? [] : [`${sandboxName}: ${words}`];
  }).join("; ");
}

/** The task, if this worker still owes us something for this very attempt of it. */
function retrievingOn(
  state: SchedulerState,
  worker: WorkerState,
  id: TaskId,
): { task: Task; copy: Copy; report: Report } | null {
  const task = worker.retrieving.has(id) ? state.tasks.get(id) : undefined;
  return task?.phase.name === "retrieving" ? { task, ...task.phase } : null;
}

function receive(
  state: SchedulerState,
  worker: WorkerState,
  receiving: Receiving,
  { length }: { readonly length: number },
  nowMs: number,
): void {
  worker.receiving = receiving;
  worker.transfers.in = { bytes: length, sinceMs: nowMs };
  state.act({ type: "receive", worker: worker.id, into: placeFor(state, receiving) });
}

function placeFor(state: SchedulerState, receiving: Receiving): Place {
  switch (receiving.kind) {
    case "nobody":
    case "printed":
      return { kind: receiving.kind };
    case "complaint":
    case "summary":
      return { kind: "printed" };
    case "lacking":
      return { kind: "printed", whole: true };
    case "update":
      return { kind: "update", path: receiving.path, offset: receiving.offset };
    case "output": {
      const task = state.tasks.get(receiving.task); // gone if it was canceled meanwhile
      if (task === undefined) return { kind: "nobody" };
      return { kind: "file", path: task.spec.outputs[receiving.index]!.path + receiving.inside };
    }
  }
}
