/** Who is silent, too slow, or fails at everything. */
import { resultCode } from "../protocol/messages.ts";
import { fits } from "../resources.ts";
import { tellTooLarge, wishOf } from "./allocation.ts";
import { close, copiesOf, dispatch, finish } from "./attempts.ts";
import { dismissDrained } from "./orders.ts";
import { placeElsewhere } from "./place.ts";
import type { SchedulerState } from "./state.ts";
import { isSuspect } from "./suspects.ts";
import { type Attempt, type Copy, failedOn, hasFailed, outgrew, type Task } from "./tasks.ts";
import { hostOf, isReady, type Transfer, type WorkerState } from "./workers.ts";

/** Looked at now and then, not at every event. */
export function checkUp(state: SchedulerState, nowMs: number): void {
  for (const worker of [...state.workers.values()]) {
    keepalive(state, worker, nowMs);
    if (state.workers.has(worker.id)) checkTransfers(state, worker, nowMs);
  }
  dismissDrained(state);
  endOverdue(state, nowMs);
  // Time alone makes some eligible: hosts are unblocked, lanes look at everyone again.
  for (const worker of state.roomy) state.freed.add(worker);
  overtakeStragglers(state, nowMs);
  tellTooLarge(state);
}

function keepalive(state: SchedulerState, worker: WorkerState, nowMs: number): void {
  const { keepaliveIntervalMs, keepaliveTimeoutMs } = state.options.limits;
  if (worker.greeting === null) {
    if (nowMs - worker.joinedMs > keepaliveTimeoutMs) {
      close(state, worker, "it connected and never greeted", nowMs);
    }
  } else if (worker.checkedMs !== null) {
    if (nowMs - worker.checkedMs > keepaliveTimeoutMs) {
      const silent = Math.round((nowMs - worker.heardMs) / 1000);
      close(state, worker, `it was silent for ${silent} s and did not answer "check"`, nowMs);
    }
  } else if (nowMs - worker.heardMs > keepaliveIntervalMs) {
    state.send(worker, { type: "check" });
    worker.checkedMs = nowMs;
  }
}

/** Work Queue's rule: the usual rate of this worker, else a default, divided by a factor. */
function checkTransfers(state: SchedulerState, worker: WorkerState, nowMs: number): void {
  const { transferMsMin, transferOutlierFactor, transferRateDefault } = state.options.limits;
  const { bytes, ms } = worker.moved;
  const rate = ms > 1000 && bytes > 0 ? bytes / ms * 1000 : transferRateDefault;
  const isLate = (transfer: Transfer | null) =>
    transfer !== null && nowMs - transfer.sinceMs >
      Math.max(transferMsMin, transfer.bytes / rate * transferOutlierFactor * 1000);
  if (isLate(worker.transfers.in)) close(state, worker, "it sends far too slowly", nowMs);
  else if (isLate(worker.transfers.out)) close(state, worker, "it receives far too slowly", nowMs);
}

/** Waiting tasks whose end time has passed need not start any more. */
function endOverdue(state: SchedulerState, nowMs: number): void {
  for (const task of state.waiting.timed) endIfOverdue(state, task, nowMs);
}

/** Whether this waiting task was too late, and has failed for it. */
export function endIfOverdue(state: SchedulerState, task: Task, nowMs: number): boolean {
  const { endTimeMs } = task.spec;
  if (endTimeMs === undefined || endTimeMs > nowMs + state.options.epochOffsetMs) return false;
  state.waiting.remove(task);
  const why = "its end time passed before it was started";
  finish(state, task, { kind: "failure", code: resultCode.endTime, why });
  return true;
}

/**
 * Tasks that run for much longer than others of their category get a second copy elsewhere, and
 * the first result wins. (Work Queue's fast abort kills the only copy instead.)
 */
function overtakeStragglers(state: SchedulerState, nowMs: number): void {
  const { stragglerFactors, limits } = state.options;
  if (stragglerFactors.size === 0) return;
  for (const task of state.tasks.values()) {
    if (task.phase.name !== "running" || task.phase.copies.length > 1) continue;
    // With no try left its copies would take turns for ever, each failing while the other runs.
    if (task.attempts.filter(hasFailed).length > task.spec.retriesMax) continue;
    // Likewise, each losing its worker while the other runs.
    if (isSuspect(task)) continue;
    const { category } = task.spec;
    const factor = stragglerFactors.get(category) ?? stragglerFactors.get("default");
    const { successes, wallMs } = state.category(category);
    if (factor === undefined || successes < limits.stragglerSuccessesMin) continue;
    const copy = copiesOf(task)[0]!;
    if (nowMs - copy.sinceMs < factor * wallMs / successes) continue;
    if (isOutgrown(task, copy)) continue;
    const here = new Set([copy.worker]);
    const placement = placeElsewhere(
      state,
      task.spec,
      wishOf(state, task),
      failedOn(task),
      here,
      nowMs,
    );
    if (placement !== null) dispatch(state, task, placement, nowMs);
  }
}

/** A copy with no less room has outgrown it: this one will, and then the task gets more. */
function isOutgrown(task: Task, { box }: Copy): boolean {
  return task.attempts.some((attempt) => outgrew(attempt) !== null && fits(box, attempt.box));
}

export function noteSuccess(state: SchedulerState, task: Task, attempt: Attempt): void {
  const category = state.category(task.spec.category);
  category.successes++;
  category.wallMs += attempt.wallMs;
  state.host(attempt.host).failuresInARow = 0;
}

/** A host on which everything fails, while others succeed, gets no tasks for a while. */
export function noteFailure(state: SchedulerState, attempt: Attempt, nowMs: number): void {
  const { hostFailuresMax, hostBlockedMs } = state.options.limits;
  if (!hasFailed(attempt)) return;
  const host = state.host(attempt.host);
  host.failuresInARow++;
  if (host.failuresInARow < hostFailuresMax) return;
  const others = [...state.workers.values()].filter((worker) =>
    isReady(worker) && hostOf(worker) !== attempt.host && isWell(state, worker, nowMs)
  );
  if (others.length === 0) return; // it may be the tasks: somebody has to try them
  host.blockedUntilMs = nowMs + hostBlockedMs;
  const last = attempt.ending.kind === "failure" ? attempt.ending.why : attempt.ending.kind;
  const why = `${host.failuresInARow} tasks in a row failed there, the last because ${last}`;
  host.failuresInARow = 0;
  state.act({ type: "host_blocked", host: attempt.host, why });
}

/** Its disk is full, or smaller than it said: the same would happen again at once. */
export function noteNoRoom(state: SchedulerState, worker: WorkerState, nowMs: number): void {
  const host = state.host(hostOf(worker));
  host.blockedUntilMs = Math.max(host.blockedUntilMs, nowMs + state.options.limits.noRoomMs);
}

function isWell(state: SchedulerState, worker: WorkerState, nowMs: number): boolean {
  const host = state.host(hostOf(worker));
  return host.blockedUntilMs <= nowMs && host.failuresInARow === 0;
}
