/** A task under the monitor: what it may use, and what its manager is told that it used. */
import { monitorModeIn } from "../core/monitor/mode.ts";
import type { Verdict } from "../core/monitor/limits.ts";
import { resourceOf } from "../core/monitor/resources.ts";
import { type Summary, usageByName } from "../core/monitor/summary.ts";
import type { Exhaustion, Measured } from "../core/protocol/measured.ts";
import type { TaskBlock } from "../core/protocol/messages.ts";
import { descendantsOf } from "../io/procfs.ts";
import type { Cgroups, TaskCgroup } from "../io/cgroup.ts";
import type { Monitor } from "./monitor.ts";
import type { TaskProcess } from "./process.ts";

/** What watches the tasks of a worker. */
export interface Watcher {
  readonly monitor: Monitor;
  /** Where the kernel can count and limit as well; `null` where it may not be asked to. */
  readonly cgroups: Cgroups | null;
}

/** A task that is being watched. */
export interface WatchedTask {
  /** Its main process has ended, and is not waited for yet. */
  ending(): void;
  /** Nothing of it is left. `final`: what `wait4` told, if anything. */
  finish(final: Measured | null): Measured;
}

/**
 * Starts to monitor a task as its manager asked; `null` if it did not. The task is held to the
 * memory and disk of its box. Cores are not enforced: who uses more takes time from others, and
 * harms nobody.
 */
export function watchTask(
  { monitor, cgroups }: Watcher,
  task: TaskBlock,
  process: TaskProcess,
  folder: string,
): WatchedTask | null {
  const mode = monitorModeIn(task.env);
  if (mode === "off") return null;
  const memoryMb = task.memoryMb > 0 ? task.memoryMb : undefined;
  const cgroup = cgroupFor(cgroups, process.pid, mode === "watchdog" ? memoryMb : undefined);
  const watch = monitor.watch({
    mode,
    limits: {
      ...(memoryMb !== undefined && { memoryMb }),
      ...(task.diskMb > 0 && { diskMb: task.diskMb }),
    },
    pid: process.pid,
    session: process.group,
    ...process.marks === undefined ? {} : { marks: process.marks },
    // On a busy machine it may have run for a while when the watch begins.
    ...process.startedMs === undefined ? {} : { startedMs: process.startedMs },
    sharedKb: process.sharedKb,
    folders: [folder],
    cgroup,
    onExceeded: () => process.kill(),
  });
  return {
    ending: () => watch.lookAtEnded(),
    finish: (final) => {
      const measured = measuredOf(final, watch.finish(final));
      cgroup?.remove();
      return measured;
    },
  };
}

/** A group that cannot be made, or joined, is done without. */
function cgroupFor(
  cgroups: Cgroups | null,
  pid: number,
  memoryMb: number | undefined,
): TaskCgroup | null {
  if (cgroups === null) return null;
  try {
    const group = cgroups.make(`wqx-task-${pid}`, memoryMb);
    if (group.add(pid)) {
      // What it started before that; the rest is born in the group.
      for (const child of descendantsOf(pid)) group.add(child);
      return group;
    }
    group.remove();
  } catch {
    // The folder may have been taken away since the worker started.
  }
  return null;
}

/** What `wait4` told, with all that the monitor saw. */
function measuredOf(final: Measured | null, { usage, broken, killed }: Summary): Measured {
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
