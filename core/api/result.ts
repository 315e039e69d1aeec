/** A task that a manager returned → the row that its client gets (docs/api.md, "Results"). */
import type { NowMs } from "../env.ts";
import { resourceNamed } from "../monitor/resources.ts";
import { type ResultCode, resultCode } from "../protocol/messages.ts";
import type { Attempt, Task, TaskEnd } from "../scheduler/tasks.ts";

export interface ResultMoment {
  readonly nowMs: NowMs;
  /** Epoch minus the clock of `nowMs`; ms. */
  readonly epochOffsetMs: number;
  /** Whether tasks are measured at all: else what workers say in passing is not told. */
  readonly monitored: boolean;
}

/** By position, as it is sent. */
export type ResultRow = readonly [
  id: number,
  result: ResultCode,
  returnStatus: number,
  outputBytes: number,
  host: string | null,
  hostname: string | null,
  times: readonly [number, number, number, number, number],
  sums: readonly [number, number, number, number, number, number, number, number],
  allocated: readonly [number, number, number, number] | null,
  measured: Readonly<Record<string, number>> | null,
  exceeded: Readonly<Record<string, number>> | null,
  why: string | null,
];

export interface ClientResult {
  readonly row: ResultRow;
  /** What it printed; `null` where it did not run to its end. */
  readonly printed: Uint8Array | null;
}

const noTimes = [0, 0, 0, 0] as const;

/** `end` is no cancellation: those are answers to requests. */
export function clientResult(task: Task, end: TaskEnd, moment: ResultMoment): ClientResult {
  const { id, attempts } = task;
  const last = attempts.at(-1);
  const us = (ms: number) => Math.round((ms + moment.epochOffsetMs) * 1000);
  const finished = us(moment.nowMs);
  const isOfLast = last !== undefined && endedBy(last, end);
  const printed = isOfLast && last.exitCode !== null ? last.printed : null;
  const row: ResultRow = [
    id,
    codeOf(end),
    isOfLast ? last.exitCode ?? -1 : -1,
    printed?.length ?? -1,
    isOfLast ? last.moved.address : null,
    isOfLast ? last.host : null,
    isOfLast ? [...timesOf(last, us), finished] : [...noTimes, finished],
    sumsOf(attempts, isOfLast ? last : null),
    last === undefined ? null : [last.box.cores, last.box.memoryMb, last.box.diskMb, last.box.gpus],
    last === undefined || !moment.monitored ? null : measuredOf(last),
    last === undefined ? null : exceededOf(last),
    end.kind === "failure" ? end.why : null,
  ];
  return { row, printed };
}

function codeOf(end: TaskEnd): ResultCode {
  switch (end.kind) {
    case "success":
      return resultCode.success;
    case "failure":
      return end.code;
    case "canceled":
      return resultCode.unknown;
  }
}

/** A task may also end while it waits for another attempt. */
function endedBy({ ending }: Attempt, end: TaskEnd): boolean {
  if (end.kind === "success") return true;
  if (end.kind !== "failure") return false;
  return end.code === resultCode.maxRetries ||
    (ending.kind === "failure" && ending.code === end.code);
}

function timesOf(
  { startedMs, endedMs, moved }: Attempt,
  us: (ms: number) => number,
): readonly [number, number, number, number] {
  const { sentMs, reportedMs } = moved;
  return reportedMs === null
    ? [us(startedMs), us(sentMs ?? startedMs), 0, 0]
    : [us(startedMs), us(sentMs ?? startedMs), us(reportedMs), us(endedMs)];
}

function sumsOf(attempts: readonly Attempt[], last: Attempt | null): ResultRow[7] {
  let total = 0;
  let exhausted = 0;
  let exhaustedCount = 0;
  let sent = 0;
  let received = 0;
  let transferMs = 0;
  for (const { wallMs, ending, moved, startedMs, endedMs } of attempts) {
    total += wallMs;
    if (ending.kind === "failure" && ending.code === resultCode.resourceExhaustion) {
      exhausted += wallMs;
      exhaustedCount++;
    }
    sent += moved.sentBytes;
    received += moved.receivedBytes;
    if (moved.sentMs !== null) transferMs += moved.sentMs - startedMs;
    if (moved.reportedMs !== null) transferMs += endedMs - moved.reportedMs;
  }
  return [
    Math.round((last?.wallMs ?? 0) * 1000),
    Math.round(total * 1000),
    Math.round(exhausted * 1000),
    sent,
    received,
    Math.round(transferMs * 1000),
    attempts.length,
    exhaustedCount,
  ];
}

/** By the names of the resource monitor; `null` where the worker does not say. */
export function measuredOf({ measured, wallMs }: Attempt): ResultRow[9] {
  if (measured === null) return null;
  const { cpuUserMs, cpuSystemMs, memoryPeakMb, monitored = {} } = measured;
  return {
    ...monitored,
    wall_time: monitored["wall_time"] ?? wallMs / 1000,
    cpu_time: monitored["cpu_time"] ?? (cpuUserMs + cpuSystemMs) / 1000,
    // Kernel and monitor each may miss what the other saw.
    memory: Math.max(memoryPeakMb, monitored["memory"] ?? 0),
  };
}

/** The limit that was passed, by its resource. */
export function exceededOf({ ending, measured }: Attempt): ResultRow[10] {
  const exceeded = (ending.kind === "failure" ? ending.exhausted : undefined) ?? measured?.exceeded;
  return exceeded === undefined ? null : { [exceeded.resource]: exceeded.limit };
}

/**
 * One object of a monitor's summary file: amounts are `[NUMBER, UNIT]`, as its readers know them.
 */
export function summaryOf(task: Task, attempt: Attempt): Readonly<Record<string, unknown>> | null {
  const measured = measuredOf(attempt);
  if (measured === null) return null;
  const withUnits = (amounts: Readonly<Record<string, number>>) =>
    Object.fromEntries(
      Object.entries(amounts).map((
        [name, value],
      ) => [name, [value, resourceNamed(name)?.unit ?? ""]]),
    );
  const exceeded = exceededOf(attempt);
  return {
    category: task.spec.category,
    command: task.spec.command,
    taskid: String(task.id),
    exit_type: exceeded === null ? "normal" : "limits",
    exit_status: attempt.exitCode ?? -1,
    ...withUnits(measured),
    ...(exceeded !== null && { limits_exceeded: withUnits(exceeded) }),
  };
}
