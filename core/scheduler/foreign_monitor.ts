/**
 * Monitoring on workers that are not of wqx: wqx itself is sent along, once, the command runs under
 * `wqx monitor`, and the summary that this leaves comes back ahead of the outputs.
 */
import { wqxCacheName, wqxInput } from "../cache_names.ts";
import type { TaskId } from "../ids.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import { measuredIn, readSummary } from "../monitor/summary_reader.ts";
import type { Exhaustion, Measured } from "../protocol/measured.ts";
import { resultCode } from "../protocol/messages.ts";
import type { Resources } from "../resources.ts";
import { quoted } from "../shell_words.ts";
import type { Report, Source, TaskInput, TaskSpec } from "./tasks.ts";

/** The wqx that is sent to monitor tasks. */
export interface MonitorProgram {
  readonly source: Source;
  /** It lies in the sandbox, and the task did not put it there. */
  readonly diskMb: number;
}

/** What a task is made into for a worker that is not of wqx. */
export interface Wrapped {
  readonly spec: TaskSpec;
  /** Cached name of the summary. */
  readonly summary: string;
}

export interface Wrapping {
  readonly id: TaskId;
  readonly box: Resources;
  readonly mode: Exclude<MonitorMode, "off">;
  readonly program: MonitorProgram;
  /** Until its wall time or end time is over, whichever is first; `null`: it has neither. */
  readonly timeLeftMs: number | null;
}

/**
 * Linux starts no program with an argument of 128 KiB or more, and the command becomes one; bytes,
 * with room for what the worker itself may put before it.
 */
const commandBytesMax = 120 * 1024;

/**
 * A real worker would kill the monitor, which could not end the command any more: so the monitor
 * keeps the time limits, and the worker comes in so much later.
 */
const graceMs = 30_000;

/** In the sandbox, as Work Queue's own monitor names its files. */
const prefixWanted = "cctools-monitor";

/** `null` if the command is too long to be wrapped: then it runs as it is, unmonitored. */
export function wrap(spec: TaskSpec, wrapping: Wrapping): Wrapped | null {
  const taken = namesIn(spec);
  const own = spec.inputs.find((input) => input.onlyForeign && input.cacheName === wqxCacheName);
  const program: TaskInput = own ?? wqxInput(wrapping.program.source, freeName("wqx", taken, [""]));
  const prefix = freeName(prefixWanted, taken, [".summary", ".summary.tmp"]);
  const command = commandOf(spec, wrapping, `./${program.sandboxName}`, prefix);
  if (new TextEncoder().encode(command).length > commandBytesMax) return null;
  const summary = `summary-${wrapping.id}`;
  const output = {
    sandboxName: `${prefix}.summary`,
    cacheName: summary,
    path: "", // kept in memory
    when: "always",
  } as const;
  return {
    summary,
    spec: {
      ...withGrace(spec),
      command,
      inputs: own === undefined ? [...spec.inputs, program] : spec.inputs,
      outputs: [...spec.outputs, output],
    },
  };
}

function commandOf(
  { command, category }: TaskSpec,
  { id, box, mode, program, timeLeftMs }: Wrapping,
  path: string,
  prefix: string,
): string {
  const limits: string[] = [];
  if (timeLeftMs !== null) limits.push(`wall_time: ${Math.max(1, timeLeftMs) / 1000}`);
  // Cores are not enforced: who uses more takes time from others, and harms nobody.
  if (mode === "watchdog") {
    if (box.memoryMb > 0) limits.push(`memory: ${box.memoryMb}`);
    if (box.diskMb > 0) limits.push(`disk: ${box.diskMb + program.diskMb}`);
  }
  return [
    `exec ${quoted(path)} monitor --no-pprint --with-output-files=${prefix}`,
    ...limits.map((limit) => `-L ${quoted(limit)}`),
    ...[`task_id: ${id}`, `category: ${category}`].map((field) => `-V ${quoted(field)}`),
    // There is no limit then but the time that the user gave it.
    ...(mode === "measure" && timeLeftMs === null ? ["--measure-only"] : []),
    `--sh ${quoted(command)}`,
  ].join(" ");
}

function withGrace({ wallTimeMs, endTimeMs, ...spec }: TaskSpec): TaskSpec {
  return {
    ...spec,
    ...(wallTimeMs !== undefined && { wallTimeMs: wallTimeMs + graceMs }),
    ...(endTimeMs !== undefined && { endTimeMs: endTimeMs + graceMs }),
  };
}

/** First components of all sandbox names: nothing of ours may lie over them. */
function namesIn({ inputs, outputs }: TaskSpec): ReadonlySet<string> {
  return new Set([...inputs, ...outputs].map(({ sandboxName }) => sandboxName.split("/")[0]!));
}

/** `wanted`, or something like it that is free with each of these endings. */
function freeName(wanted: string, taken: ReadonlySet<string>, endings: readonly string[]): string {
  const isFree = endings.every((ending) => !taken.has(wanted + ending));
  return isFree ? wanted : freeName(`${wanted}-`, taken, endings);
}

/**
 * Completes the report of a wrapped task by its summary. One that cannot be read leaves the report
 * as it is: that of a task whose monitor failed.
 */
export function believe(
  report: Report,
  bytes: Uint8Array,
  { wallTimeMs }: TaskSpec,
  { diskMb }: MonitorProgram,
): void {
  const summary = readSummary(bytes);
  if (summary === null) return;
  const measured = withoutProgram(measuredIn(summary), diskMb);
  const wallTime = summary.measured["wall_time"];
  report.exitCode = summary.exitStatus;
  report.status = statusOf(measured.exceeded, wallTimeMs);
  report.measured = measured;
  // Without the start of the monitor.
  if (wallTime !== undefined) report.wallMs = Math.min(report.wallMs, wallTime * 1000);
}

function statusOf(exceeded: Exhaustion | undefined, wallTimeMs: number | undefined): number {
  if (exceeded === undefined) return resultCode.success;
  if (exceeded.resource !== "wall_time") return resultCode.resourceExhaustion;
  const isWallTime = wallTimeMs !== undefined && exceeded.limit * 1000 >= wallTimeMs - 1;
  return isWallTime ? resultCode.maxWallTime : resultCode.endTime;
}

/** Disk without the monitor itself, which the limit allowed for. */
function withoutProgram(measured: Measured, diskMb: number): Measured {
  const { monitored = {}, exceeded } = measured;
  const less = (mb: number) => Math.max(0, mb - diskMb);
  const disk = monitored["disk"];
  return {
    ...measured,
    ...(disk !== undefined && { monitored: { ...monitored, disk: less(disk) } }),
    ...(exceeded?.resource === "disk" && {
      exceeded: {
        ...exceeded,
        limit: less(exceeded.limit),
        measured: exceeded.measured === null ? null : less(exceeded.measured),
      },
    }),
  };
}

/** What is left of the time limits of a task that is dispatched now. */
export function timeLeftMs(
  { wallTimeMs, endTimeMs }: TaskSpec,
  epochMs: number,
): number | null {
  const left = Math.min(wallTimeMs ?? Infinity, (endTimeMs ?? Infinity) - epochMs);
  return left === Infinity ? null : left;
}
