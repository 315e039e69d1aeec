/**
 * What a worker of wqx measured of a task, as the value of an info line that goes ahead of the
 * result: `TASKID USER_MS SYSTEM_MS PEAK_MB`, then, if the monitor watched the task, its numbers as
 * JSON. Managers that do not know the line pass it over.
 */
import { isRecord } from "../is_record.ts";
import type { ToManager } from "./messages.ts";

/** The limit that was enforced, and what was seen when it was passed. */
export interface Exhaustion {
  /** As the resource monitor names it: `memory` and `disk` in MB, `wall_time` in s, `cores` … */
  readonly resource: string;
  readonly limit: number;
  /** A lower bound of what the task needs; `null` where nobody measured it. */
  readonly measured: number | null;
}

export interface Measured {
  readonly cpuUserMs: number;
  readonly cpuSystemMs: number;
  readonly memoryPeakMb: number;
  /** What the monitor says, by its names and in its units; absent if it was off. */
  readonly monitored?: Readonly<Record<string, number>>;
  /** Why the task was ended, if that was for a limit. */
  readonly exceeded?: Exhaustion;
}

/** What follows the four numbers. */
interface More {
  readonly monitored?: Readonly<Record<string, number>>;
  readonly exceeded?: Exhaustion;
}

const key = "wqx-measured";

export function measuredInfo(taskId: number, m: Measured): ToManager {
  const { monitored, exceeded } = m;
  const more: More = {
    ...(monitored === undefined ? {} : { monitored }),
    ...(exceeded === undefined ? {} : { exceeded }),
  };
  const value = `${taskId} ${m.cpuUserMs.toFixed(3)} ${m.cpuSystemMs.toFixed(3)} ` +
    m.memoryPeakMb.toFixed(3) + (Object.keys(more).length === 0 ? "" : ` ${JSON.stringify(more)}`);
  return { type: "info", key, value };
}

/** The inverse of {@link measuredInfo}; `null` for what does not parse, as for any unknown info. */
export function parseMeasured(value: string): { taskId: number; measured: Measured } | null {
  const words = value.split(" ");
  const fields = words.slice(0, 4).map(Number);
  if (fields.length < 4 || !fields.every(isAmount)) return null;
  const [taskId, cpuUserMs, cpuSystemMs, memoryPeakMb] = fields as [number, number, number, number];
  const more = words.length === 4 ? {} : parseMore(words.slice(4).join(" "));
  return more === null
    ? null
    : { taskId, measured: { cpuUserMs, cpuSystemMs, memoryPeakMb, ...more } };
}

function parseMore(text: string): More | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { monitored, exceeded } = (value ?? {}) as { [K in keyof More]?: unknown };
  const more: { -readonly [K in keyof More]: More[K] } = {};
  if (monitored !== undefined) {
    if (!isRecord(monitored) || !Object.values(monitored).every(isAmount)) return null;
    more.monitored = monitored as Record<string, number>;
  }
  if (exceeded !== undefined) {
    if (!isRecord(exceeded)) return null;
    const { resource, limit, measured } = exceeded;
    const known = measured === null || isAmount(measured);
    if (typeof resource !== "string" || !isAmount(limit) || !known) return null;
    more.exceeded = { resource, limit, measured: measured as number | null };
  }
  return more;
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
