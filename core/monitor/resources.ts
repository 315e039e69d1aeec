/**
 * What is measured of a command, under the names, units and decimals of resource_monitor's
 * summaries, which managers and people's scripts read.
 */
import { formatSizeMb } from "../units.ts";

/** Milliseconds, bytes or 1024² bytes as the names say; what could not be measured is absent. */
export interface Usage {
  readonly startMs?: number;
  readonly endMs?: number;
  readonly wallMs?: number;
  /** User and system, of the whole tree. */
  readonly cpuMs?: number;
  /** Peak of the tree, what several processes share counted once. */
  readonly memoryMb?: number;
  readonly virtualMb?: number;
  readonly swapMb?: number;
  /** Peak size of the files in the folders watched. */
  readonly diskMb?: number;
  /** Moved by read calls of any kind, from the cache and through pipes too. */
  readonly readBytes?: number;
  readonly writtenBytes?: number;
  readonly gpus?: number;
  /** Peak over {@link coresWindowMs}, or the average of what lived shorter. */
  readonly cores?: number;
  readonly coresAverage?: number;
  readonly machineCores?: number;
  readonly machineLoad?: number;
  readonly contextSwitches?: number;
  /** Most at the same time. */
  readonly processesPeak?: number;
  readonly processesTotal?: number;
  /** Most entries in the folders watched. */
  readonly filesPeak?: number;
}

export type UsageKey = keyof Usage;

/** Over less, the ticks of 10 ms in which /proc counts and a start on many threads look like cores. */
export const coresWindowMs = 5_000;

export interface ResourceRow {
  readonly name: string;
  /** Null: resource_monitor measures it and wqx does not. */
  readonly key: UsageKey | null;
  readonly unit: string;
  readonly decimals: number;
  /** Of our unit in one of the summary's. */
  readonly scale: number;
  /** Whether a limit on it can be broken. */
  readonly limited: boolean;
  /** Rather than cut to a whole number: what is held at all is not shown as nothing. */
  readonly roundedUp: boolean;
}

function row(
  name: string,
  key: UsageKey | null,
  unit: string,
  options: { decimals?: number; scale?: number; limited?: boolean; roundedUp?: boolean } = {},
): ResourceRow {
  const { decimals = 0, scale = 1, limited = key !== null, roundedUp = false } = options;
  return { name, key, unit, decimals, scale, limited, roundedUp };
}

const time = { decimals: 6, scale: 1000 };
const upToMb = { roundedUp: true };
const bytesInMb = { scale: 1024 ** 2 };
const fact = { limited: false };

/** In the order in which resource_monitor checks limits and writes summaries. */
export const resourceTable: readonly ResourceRow[] = [
  row("start", "startMs", "s", { ...time, ...fact }),
  row("end", "endMs", "s", { ...time, ...fact }),
  row("wall_time", "wallMs", "s", time),
  row("cpu_time", "cpuMs", "s", time),
  row("memory", "memoryMb", "MB", upToMb),
  row("virtual_memory", "virtualMb", "MB", upToMb),
  row("swap_memory", "swapMb", "MB", upToMb),
  row("disk", "diskMb", "MB", upToMb),
  row("bytes_read", "readBytes", "MB", bytesInMb),
  row("bytes_written", "writtenBytes", "MB", bytesInMb),
  row("bytes_received", null, "MB"),
  row("bytes_sent", null, "MB"),
  row("bandwidth", null, "Mbps"),
  row("gpus", "gpus", "gpus", fact),
  row("cores", "cores", "cores", { decimals: 3 }),
  row("cores_avg", "coresAverage", "cores", { decimals: 3 }),
  row("machine_cpus", "machineCores", "cores", { decimals: 3, ...fact }),
  row("machine_load", "machineLoad", "procs", fact),
  row("context_switches", "contextSwitches", "switches"),
  row("max_concurrent_processes", "processesPeak", "procs"),
  row("total_processes", "processesTotal", "procs"),
  row("total_files", "filesPeak", "files"),
  row("fs_nodes", null, "nodes"),
  row("workers", null, "workers"),
];

/** The row of a name as summaries and limits write it. */
export function resourceNamed(name: string): ResourceRow | undefined {
  return resourceTable.find((row) => row.name === name);
}

/** The row of something measured. */
export function resourceOf(key: UsageKey): ResourceRow {
  return resourceTable.find((row) => row.key === key)!;
}

/** "1.5 GB", "0.3 s", "2 cores": an amount in the unit that summaries have of it. */
export function describeAmount(name: string, amount: number): string {
  const unit = resourceNamed(name)?.unit ?? "";
  if (unit === "MB" && amount < 10) return `${Number(amount.toFixed(1))} MB`;
  return unit === "MB" ? formatSizeMb(amount) : `${Number(amount.toFixed(2))} ${unit}`.trimEnd();
}

/** A value in the unit of its row: rounded to its decimals, without any cut or rounded up. */
export function shownValue({ scale, decimals, roundedUp }: ResourceRow, value: number): number {
  const scaled = value / scale;
  // What came out of a division by 1024 may lie a hair above a whole number.
  if (decimals === 0) return roundedUp ? Math.ceil(scaled - 1e-9) : Math.trunc(scaled);
  return Math.round(scaled * 10 ** decimals) / 10 ** decimals;
}
