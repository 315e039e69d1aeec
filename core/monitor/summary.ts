/** What is told of a command at its end, and the files in which resource_monitor tells it. */
import type { Verdict } from "./limits.ts";
import {
  resourceOf,
  type ResourceRow,
  resourceTable,
  shownValue,
  type Usage,
  type UsageKey,
} from "./resources.ts";

/** How the processes were found and their memory counted. */
export type MeasuredBy = "nothing" | "/proc" | "cgroup v1" | "cgroup v2";

export interface Summary {
  readonly usage: Usage;
  /** Milliseconds after the start. */
  readonly peakAtMs: Readonly<Partial<Record<UsageKey, number>>>;
  /** Empty if every limit was kept. */
  readonly broken: readonly Verdict[];
  /** Whether the command was killed for what it broke. */
  readonly killed: boolean;
  readonly by: MeasuredBy;
}

/** How a command ended. */
export interface CommandEnd {
  readonly exitCode: number;
  readonly signal: number | null;
}

/** Around the numbers. */
export interface SummaryText {
  /** Fields that the user wants in it, in this order. */
  readonly verbatim: readonly (readonly [string, string])[];
  readonly command: string;
  /** Null while it runs. */
  readonly end: CommandEnd | null;
}

/** What readers of summaries find in `exit_status` of a command killed for its limits: 128 + 15. */
const limitsExitStatus = 143;

/** The object of a summary file; its readers take the first element of an array as the number. */
export function summaryObject(
  { usage, peakAtMs, broken, killed }: Summary,
  { verbatim, command, end }: SummaryText,
): Record<string, unknown> {
  const object: Record<string, unknown> = { ...Object.fromEntries(verbatim), command };
  if (end === null) {
    object["exit_type"] = "running";
  } else if (killed) {
    object["exit_status"] = limitsExitStatus;
    object["exit_type"] = "limits";
  } else if (end.signal !== null) {
    object["exit_status"] = 128 + end.signal;
    object["exit_type"] = "signal";
    object["signal"] = end.signal;
  } else {
    object["exit_status"] = end.exitCode;
    object["exit_type"] = "normal";
  }
  if (broken.length > 0) {
    object["limits_exceeded"] = Object.fromEntries(
      broken.map(({ key, limit }) => pair(resourceOf(key), limit)),
    );
  }
  for (const row of resourceTable) {
    const value = row.key === null ? undefined : usage[row.key];
    if (value !== undefined) Object.assign(object, Object.fromEntries([pair(row, value)]));
  }
  const peaks = resourceTable.flatMap(({ key, name, limited }) => {
    const atMs = key === null || !limited ? undefined : peakAtMs[key];
    return atMs === undefined ? [] : [[name, [Math.round(atMs) / 1000, "s"]] as const];
  });
  if (peaks.length > 0) object["peak_times"] = Object.fromEntries(peaks);
  return object;
}

/** What was measured by resource_monitor's names, in its units, not rounded. */
export function usageByName(usage: Usage): Record<string, number> {
  return Object.fromEntries(
    resourceTable.flatMap(({ key, name, scale }) => {
      const value = key === null ? undefined : usage[key];
      return value === undefined ? [] : [[name, value / scale]];
    }),
  );
}

function pair(row: ResourceRow, value: number): readonly [string, readonly [number, string]] {
  return [row.name, [shownValue(row, value), row.unit]];
}

/** A summary file: one line, or a field a line. Ends with a newline, so that files can be joined. */
export function summaryText(object: Record<string, unknown>, pretty: boolean): string {
  if (!pretty) return JSON.stringify(object) + "\n";
  const fields = Object.entries(object).map(([name, value]) =>
    `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`
  );
  return `{\n${fields.join(",\n")}\n}\n`;
}

/** Columns of a time series, in resource_monitor's order. */
const seriesColumns = [
  "cpu_time",
  "cores",
  "max_concurrent_processes",
  "virtual_memory",
  "memory",
  "swap_memory",
  "bytes_read",
  "bytes_written",
  "bytes_received",
  "bytes_sent",
  "bandwidth",
  "machine_load",
  "total_files",
  "disk",
];

const seriesRows = seriesColumns.map((name) => resourceTable.find((row) => row.name === name)!);

/** The two lines at the top of a series: units, then names. */
export function seriesHead(): string {
  const units = ["s", ...seriesRows.map(({ unit }) => unit)];
  return `# ${units.join("\t")}\n# ${["wall_clock", ...seriesColumns].join("\t")}\n`;
}

/** One line of a series; what is not measured is 0, as readers expect a number in every column. */
export function seriesLine(epochMs: number, usage: Usage): string {
  const values = seriesRows.map((row) => {
    const value = row.key === null ? undefined : usage[row.key];
    return value === undefined ? "0" : shownValue(row, value).toFixed(row.decimals);
  });
  return [(epochMs / 1000).toFixed(6), ...values].join("\t") + "\n";
}

/** Exit codes of resource_monitor. */
export const monitorExitCodes = {
  done: 0,
  commandFailed: 1,
  limitBroken: 2,
  wallTimeBroken: 3,
  monitorFailed: 4,
} as const;

/** Of the monitor; a broken limit counts also where it was only measured. */
export function monitorExitCode(broken: readonly Verdict[], end: CommandEnd): number {
  const { done, commandFailed, limitBroken, wallTimeBroken } = monitorExitCodes;
  if (broken.some(({ key }) => key === "wallMs")) return wallTimeBroken;
  if (broken.length > 0) return limitBroken;
  return end.exitCode === 0 && end.signal === null ? done : commandFailed;
}
