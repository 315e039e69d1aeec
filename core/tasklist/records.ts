/**
 * What the journal of a task list holds. The results themselves are in results.jsonl; the journal
 * says how far that file can be trusted, and which tasks its lines are of.
 */
import { crc32 } from "node:zlib";
import type { Lesson } from "../analysis/records.ts";
import type { CategorySums } from "../category_sums.ts";
import type { ResultLine, ResultState } from "./result.ts";
import type { ListedInput, ListedTask, ListEntry } from "./spec.ts";

export type ListRecord =
  /** A manager takes the list up; the first begins it. */
  | {
    readonly type: "opened";
    readonly kind: "tasks";
    /** From 1. */
    readonly session: number;
    readonly version: string;
    /** By which workers that lost a manager of the run know the next one; absent: they do not. */
    readonly run?: string;
    readonly epochMs: number;
    /** Absolute; `-`: they come on stdin. */
    readonly file: string;
    readonly options: Readonly<Record<string, unknown>>;
  }
  | LinesRecord
  /** All entries have a result, though not all succeeded. */
  | { readonly type: "closed" }
  /** Lines from here on are of tasks that were given up. */
  | { readonly type: "stopped" };

/** Lines that were written together. */
export interface LinesRecord {
  readonly type: "lines";
  /** Length of results.jsonl with them. */
  readonly until: number;
  /** CRC-32 of their bytes. */
  readonly sum: number;
  /** Of the entry of each line, in order: see {@link printOf}. */
  readonly prints: readonly number[];
}

/** The same for entries that ask for the same. */
export function printOf(entry: ListEntry): number {
  if (entry.kind === "refused") return 0;
  const { command, env, inputs, outputs, environment } = entry.task;
  let sum = crc32(command);
  for (const one of env) sum = crc32(`\0${one}`, sum);
  // Most tasks of long lists have nothing else, and it is felt.
  if (environment === undefined && inputs.length === 0 && outputs.length === 0) return sum;
  return crc32(JSON.stringify([environment?.path, inputs.map(inputPrint), outputs]), sum);
}

function inputPrint({ source, ...rest }: ListedInput): unknown {
  return source.kind === "buffer" ? [rest, crc32(source.bytes)] : [rest, source];
}

/**
 * The same word for an entry under every manager of the list, while it asks for the same and its
 * files are as they were; `versions`: of what it needs of this machine.
 */
export function keyOf(task: ListedTask, versions: Iterable<string>): string {
  let sum = printOf({ kind: "task", task });
  for (const version of versions) sum = crc32(`\0${version}`, sum);
  return `${task.id}.${sum}`;
}

/** A result of an earlier manager. */
export interface Finished {
  readonly state: ResultState;
  readonly print: number;
}

/** The lines of one record; `null` if the bytes are not those that were written. */
export function linesOf({ sum, prints }: LinesRecord, bytes: Uint8Array): ResultLine[] | null {
  if (crc32(bytes) !== sum) return null;
  const lines = new TextDecoder().decode(bytes).split("\n").slice(0, -1);
  return lines.length === prints.length ? lines.map((line): ResultLine => JSON.parse(line)) : null;
}

/** Counts a result of an earlier manager; of its attempts only the last is known. */
export function addLine(sums: CategorySums, line: ResultLine): void {
  const { category, state, wall_time, measured, attempts } = line;
  if (category === null || (state !== "success" && state !== "failure") || attempts === 0) return;
  const last = {
    wallMs: (wall_time ?? 0) * 1000,
    measured: measured === null ? null : {
      cpuUserMs: (measured["cpu_time"] ?? 0) * 1000,
      cpuSystemMs: 0,
      memoryPeakMb: measured["memory"] ?? 0,
    },
  };
  const earlier = Array.from({ length: attempts - 1 }, () => ({ wallMs: 0, measured: null }));
  sums.add(category, state, [...earlier, last]);
}

/** What the task of a line taught its category; `null` if that is nothing. */
export function lessonIn({ state, allocated, measured, wall_time }: ResultLine): Lesson | null {
  if (state !== "success" || allocated === null || measured === null) return null;
  const { cores, memory, disk, gpus } = allocated;
  const wallMs = Math.max(1, (wall_time ?? 0) * 1000);
  const used = measured["cores"] ?? (measured["cpu_time"] ?? 0) * 1000 / wallMs;
  return {
    box: { cores, memoryMb: memory, diskMb: disk, gpus },
    measured: {
      cores: used,
      memoryMb: measured["memory"] ?? 0,
      ...measured["disk"] !== undefined && { diskMb: measured["disk"] },
    },
    wallMs,
    exceeded: null,
  };
}

/** As people are told of a task that is not the one that was finished. */
export function describeOther({ id, name, command }: ListedTask): string {
  const which = name === null ? `task ${id}` : `task "${name}" (${id})`;
  return `${which}, ${JSON.stringify(command.slice(0, 80))}, is not the one that was finished`;
}
