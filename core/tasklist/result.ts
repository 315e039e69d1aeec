/** The one line that is written for each entry of a list, whatever became of it. */
import type { Resources } from "../resources.ts";
import type { Attempt, Task, TaskEnd } from "../scheduler/tasks.ts";
import type { ListedTask, RefusedEntry } from "./spec.ts";

/**
 * success   the command ended with exit code 0 and its outputs are here
 * failure   it ran, or was to be sent, and did not succeed
 * not run   a task that it comes after did not succeed
 * refused   the entry is no task, or its inputs cannot be read
 * canceled  the run was interrupted before its end
 */
export type ResultState = "success" | "failure" | "not run" | "refused" | "canceled";

/** As it is written; the names are those of the list. Sizes in MB, times in seconds. */
export interface ResultLine {
  readonly id: number;
  readonly name: string | null;
  readonly tag: string | null;
  readonly category: string | null;
  readonly state: ResultState;
  /** What went wrong, in words; `null` if nothing did. */
  readonly why: string | null;
  /** Exit code or signal; `null` if the command did not run to its end. */
  readonly exit_code: number | null;
  /** What the last attempt printed, stdout and stderr; the end of it, with a note, if it is long. */
  readonly output: string;
  readonly host: string | null;
  readonly worker: string | null;
  /** ISO 8601: of the last attempt, with the transfers of its files. */
  readonly started: string | null;
  readonly ended: string | null;
  /** Of the command. */
  readonly wall_time: number | null;
  readonly allocated: Readonly<Record<"cores" | "memory" | "disk" | "gpus", number>> | null;
  /** By resource_monitor's names and in its units; `null` where the worker does not say. */
  readonly measured: Readonly<Record<string, number>> | null;
  /** How often it was sent to a worker. */
  readonly attempts: number;
  /** Of a failure: every attempt at it, in order; else none. */
  readonly tries: readonly Tried[];
}

export interface Tried {
  readonly host: string;
  readonly worker: string;
  /** ISO 8601: when it ended. */
  readonly at: string;
  readonly exit_code: number | null;
  readonly cause: string;
}

/** Of a task that a manager returned. `epochMs`: of the clock that its times are of. */
export function resultOf(
  listed: ListedTask,
  task: Task,
  end: TaskEnd,
  epochMs: number,
): ResultLine {
  const last = task.attempts.at(-1);
  const at = (ms: number) => new Date(epochMs + ms).toISOString();
  return {
    ...lineOf(listed, end.kind, whyOf(end, task.attempts)),
    attempts: task.attempts.length,
    ...(end.kind === "failure" && task.attempts.length > 0 && {
      tries: task.attempts.map((attempt) => triedOf(attempt, at(attempt.endedMs))),
    }),
    ...(last !== undefined && {
      exit_code: last.exitCode,
      output: new TextDecoder().decode(last.printed),
      host: last.host,
      worker: last.worker,
      started: at(last.startedMs),
      ended: at(last.endedMs),
      wall_time: last.exitCode === null ? null : seconds(last.wallMs),
      allocated: allocatedOf(last.box),
      measured: measuredOf(last),
    }),
  };
}

function triedOf({ host, worker, exitCode, ending }: Attempt, at: string): Tried {
  const cause = "why" in ending ? ending.why : ending.kind;
  return { host, worker, at, exit_code: exitCode, cause };
}

/** Of an entry that never reached a worker. */
export function lineOf(
  entry: ListedTask | RefusedEntry,
  state: ResultState,
  why: string | null,
): ResultLine {
  const listed = "command" in entry ? entry : null;
  return {
    id: entry.id,
    name: entry.name,
    tag: listed?.tag ?? null,
    category: listed?.category ?? null,
    state,
    why,
    exit_code: null,
    output: "",
    host: null,
    worker: null,
    started: null,
    ended: null,
    wall_time: null,
    allocated: null,
    measured: null,
    attempts: 0,
    tries: [],
  };
}

/** What a run that is interrupted says of a task that it cancels. */
export const interruptedWhy = "the run was interrupted";

function whyOf(end: TaskEnd, attempts: readonly Attempt[]): string | null {
  switch (end.kind) {
    case "success":
      return null;
    case "failure":
      return end.why;
    case "canceled": {
      const failed = attempts.findLast(({ ending }) => ending.kind === "failure")?.ending;
      return failed !== undefined && "why" in failed
        ? `${failed.why}, and ${interruptedWhy} before another attempt`
        : interruptedWhy;
    }
  }
}

function allocatedOf({ cores, memoryMb, diskMb, gpus }: Resources): ResultLine["allocated"] {
  return { cores, memory: memoryMb, disk: diskMb, gpus };
}

function measuredOf({ measured }: Attempt): ResultLine["measured"] {
  if (measured === null) return null;
  const { cpuUserMs, cpuSystemMs, memoryPeakMb, monitored = {} } = measured;
  const others = Object.entries(monitored).filter(([name]) => !saidElsewhere.has(name));
  return {
    cpu_time: seconds(cpuUserMs + cpuSystemMs),
    memory: memoryPeakMb,
    ...Object.fromEntries(others),
  };
}

/** Of the monitor: in other columns, exactly, or of the machine rather than the task. */
const saidElsewhere: ReadonlySet<string> = new Set([
  ..."start end wall_time cpu_time memory gpus machine_cpus machine_load".split(" "),
]);

/** To the microsecond, in which workers count. */
function seconds(ms: number): number {
  return Math.round(ms * 1000) / 1e6;
}
