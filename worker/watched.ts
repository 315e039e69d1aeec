/** A task under the monitor: what it may use, and what its manager is told that it used. */
import { monitorModeIn } from "../core/monitor/mode.ts";
import type { Verdict } from "../core/monitor/limits.ts";
import { resourceOf } from "../core/monitor/resources.ts";
import { type Summary, usageByName } from "../core/monitor/summary.ts";
import type { Exhaustion, Measured } from "../core/protocol/measured.ts";
import type { TaskBlock } from "../core/protocol/messages.ts";
import type { Monitor, TaskMonitor } from "./monitor.ts";
import type { TaskProcess } from "./process.ts";

/**
 * Starts to monitor a task as its manager asked; `null` if it did not. The task is held to the
 * memory and disk of its box. Cores are not enforced: who uses more takes time from others, and
 * harms nobody.
 */
export function watchTask(
  monitor: Monitor,
  task: TaskBlock,
  process: TaskProcess,
  folder: string,
): TaskMonitor | null {
  const mode = monitorModeIn(task.env);
  if (mode === "off") return null;
  return monitor.watch({
    mode,
    limits: {
      ...(task.memoryMb > 0 && { memoryMb: task.memoryMb }),
      ...(task.diskMb > 0 && { diskMb: task.diskMb }),
    },
    pid: process.pid,
    session: process.group,
    folders: [folder],
    onExceeded: () => process.kill(),
  });
}

/** What `wait4` told, with all that the monitor saw; `null` if neither knows anything. */
export function measuredOf(final: Measured | null, { usage, broken, killed }: Summary): Measured {
  const monitored = Object.fromEntries(
    Object.entries(usageByName(usage)).map(([name, value]) => [name, rounded(value)]),
  );
  const first = killed ? broken[0] : undefined;
  return {
    // Where the system does not tell, the looks do.
    cpuUserMs: final?.cpuUserMs ?? usage.cpuMs ?? 0,
    cpuSystemMs: final?.cpuSystemMs ?? 0,
    memoryPeakMb: Math.max(final?.memoryPeakMb ?? 0, usage.memoryMb ?? 0),
    monitored,
    ...(first !== undefined && { exceeded: exhaustionOf(first) }),
  };
}

function exhaustionOf({ key, limit, measured }: Verdict): Exhaustion {
  const { name, scale } = resourceOf(key);
  return { resource: name, limit: limit / scale, measured: rounded(measured / scale) };
}

/** To a thousandth: a line of the protocol is short. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
