/** Why an item failed: what follows from it, and what the user is told. */
import type { DataFault } from "../errors.ts";
import { resultCode } from "../protocol/messages.ts";
import { describeAmount } from "../monitor/resources.ts";
import type { Exhaustion } from "../protocol/measured.ts";
import type { TaskEnd } from "../scheduler/tasks.ts";
import { describeItem, type Item } from "./items.ts";
import type { TaskFault } from "./job.ts";
import type { AnalysisSpec } from "./spec.ts";
import type { Ended } from "./run.ts";

/** Faults of the file itself; a column that is not there is the processor's, and would be everywhere. */
const badFileFaults: ReadonlySet<DataFault> = new Set([
  "unreachable",
  "not-root",
  "truncated",
  "corrupt",
  "no-tree",
]);

/** Whether `skip-bad-files` forgives it. */
export function isBadFile(fault: TaskFault | null): fault is TaskFault {
  return fault?.whose === "data" && fault.fault !== undefined && badFileFaults.has(fault.fault);
}

/** Which limit the task outgrew; unknown if its worker only said that it did. */
export type Outgrown = Exhaustion | { resource: null; limit: null; measured: null };

/** `null` for a task that did not outgrow a limit. */
export function outgrown(end: TaskEnd): Outgrown | null {
  if (end.kind !== "failure") return null;
  if (end.exhausted !== undefined) return end.exhausted;
  const codes: number[] = [resultCode.resourceExhaustion, resultCode.diskFull];
  return codes.includes(end.code) ? { resource: null, limit: null, measured: null } : null;
}

/** `memory (limit 400 MB, measured 512 MB)`, as much of it as is known. */
export function describeLimit({ resource, limit, measured }: Outgrown): string {
  if (resource === null) return "its resources";
  const known = [
    `limit ${describeAmount(resource, limit)}`,
    measured === null ? null : `measured ${describeAmount(resource, measured)}`,
  ].filter((part) => part !== null);
  return `${resource} (${known.join(", ")})`;
}

/** What the user is told when an item has failed for good. */
export function failureMessage(
  ended: Ended,
  fault: TaskFault | null,
  { retries: splitsMax, processor }: Pick<AnalysisSpec, "retries" | "processor">,
): string {
  const where = [
    ended.host !== null ? `on host ${ended.host}` : null,
    ended.exitCode !== null ? `exit code ${ended.exitCode}` : null,
    ended.attempts > 1 ? `after ${ended.attempts} attempts` : null,
  ].filter((part) => part !== null).join(", ");
  const python = processor.kind === "coffea" ? withoutPython(ended, processor.python) : null;
  const why = python ?? fault?.message ?? whyOf(ended);
  const lines = [`Failed ${describeItem(ended.item)}${where && ` (${where})`}: ${why}`];
  const limit = outgrown(ended.end);
  if (limit !== null) lines[0] += `. ${adviceOn(ended.item, limit, splitsMax)}`;
  if (fault?.stack) lines.push(fault.stack);
  else if (fault === null && python === null && ended.printed.trim() !== "") {
    lines.push(ended.printed.trimEnd());
  }
  return lines.join("\n");
}

function adviceOn(item: Item, { resource }: Outgrown, splitsMax: number): string {
  const key = resource === "memory" || resource === "disk" || resource === "cores"
    ? `resources.${resource}`
    : "what tasks are given";
  if (item.kind !== "process") {
    const why = item.kind === "preprocess"
      ? "It cannot be done in smaller steps"
      : "No fewer partial results can be merged at once";
    return `${why}: raise ${key}, or use larger workers.`;
  }
  const events = item.range.stop - item.range.start;
  const why = events < 2
    ? "A single event cannot be cut"
    : `Chunks are cut ${splitsMax} times at most (retries)`;
  return `${why}: raise ${key}, or use larger workers.`;
}

/** As a shell says it, and as the worker does that needs none. */
const notFoundExitCode = 127;

/** What to do where a worker has no such program; `null` for all other failures. */
function withoutPython(ended: Ended, python: string): string | null {
  if (ended.outcome !== null || ended.exitCode !== notFoundExitCode) return null;
  return `there is no "${python}" on the worker: name a Python that has coffea with ` +
    "processor: {module: …, python: /path/to/python}, or start workers where it is on PATH";
}

function whyOf({ end, outcome }: Ended): string {
  if (end.kind === "failure") return end.why;
  return outcome === null ? "its outcome.json cannot be read" : end.kind;
}
