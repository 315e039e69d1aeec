/** Summary files as a manager reads them: written by whatever monitored the task, elsewhere. */
import { isRecord } from "../is_record.ts";
import type { Exhaustion, Measured } from "../protocol/measured.ts";
import { resourceTable } from "./resources.ts";

/** Longest summary that is read; bytes. Those of wqx have less than 2 KiB and the command. */
export const summaryBytesMax = 64 * 1024;

/** How a monitored command ended, and what was measured of it. */
export interface ReadSummary {
  /** Of the command; 128 and the signal if one ended it. */
  readonly exitStatus: number;
  /** Whether it was killed for what it broke. */
  readonly killed: boolean;
  /** Limits that were broken, by name, in the units of summaries. */
  readonly broken: Amounts;
  /** What was measured, by name, in the units of summaries. */
  readonly measured: Amounts;
}

/** A number for each name of the table that has one. */
export type Amounts = Readonly<Record<string, number>>;

/**
 * One summary; `null` for what is none, or none of a command that has ended. A number may stand
 * alone or as the first element of an array; what is unknown is passed over.
 */
export function readSummary(bytes: Uint8Array): ReadSummary | null {
  if (bytes.length > summaryBytesMax) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (!isRecord(value)) return null;
  const exitStatus = numberIn(value["exit_status"]);
  if (exitStatus === null || !Number.isSafeInteger(exitStatus)) return null;
  const broken = value["limits_exceeded"];
  return {
    exitStatus,
    killed: value["exit_type"] === "limits",
    broken: isRecord(broken) ? amountsIn(broken) : {},
    measured: amountsIn(value),
  };
}

/**
 * What a worker of wqx would have told of the task. Summaries do not tell user from system time:
 * all of it counts as the user's.
 */
export function measuredIn({ killed, broken, measured }: ReadSummary): Measured {
  const first = killed ? resourceTable.find(({ name }) => broken[name] !== undefined) : undefined;
  const exceeded: Exhaustion | null = first === undefined
    ? null
    : { resource: first.name, limit: broken[first.name]!, measured: measured[first.name] ?? null };
  return {
    cpuUserMs: (measured["cpu_time"] ?? 0) * 1000,
    cpuSystemMs: 0,
    memoryPeakMb: measured["memory"] ?? 0,
    monitored: measured,
    ...(exceeded !== null && { exceeded }),
  };
}

function amountsIn(record: Readonly<Record<string, unknown>>): Amounts {
  return Object.fromEntries(
    resourceTable.flatMap(({ name }) => {
      const amount = Object.hasOwn(record, name) ? numberIn(record[name]) : null;
      return amount === null || amount < 0 ? [] : [[name, amount]];
    }),
  );
}

function numberIn(value: unknown): number | null {
  const number = Array.isArray(value) ? value[0] : value;
  return typeof number === "number" && Number.isFinite(number) ? number : null;
}
