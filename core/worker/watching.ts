/** Watched files of tasks that run: what has grown is sent, as far as it was seen. */
import type { ToManager } from "../protocol/messages.ts";
import type { Phase, WorkerTask } from "./task.ts";

type Running = Extract<Phase, { name: "running" }>;

/** How large they were found to be. */
export function noteSizes(phase: Running | undefined, sizes: ReadonlyMap<string, number>): void {
  for (const [name, file] of phase?.watched ?? []) {
    const size = sizes.get(name) ?? 0;
    if (size < file.seen) phase!.watched.delete(name); // rewritten: what grows there is not the same
    else file.seen = size;
  }
}

/** Whether there is something to send. */
export function hasGrown(tasks: Iterable<WorkerTask>): boolean {
  for (const { phase, keptMs } of tasks) {
    if (phase.name !== "running" || keptMs !== null) continue;
    for (const { sent, seen } of phase.watched.values()) if (seen > sent) return true;
  }
  return false;
}

/** What is new counts as sent. */
export function updatesOf(tasks: Iterable<WorkerTask>): Extract<ToManager, { type: "update" }>[] {
  const updates: Extract<ToManager, { type: "update" }>[] = [];
  for (const { block: { taskId }, phase, keptMs } of tasks) {
    if (phase.name !== "running" || keptMs !== null) continue;
    for (const [path, file] of phase.watched) {
      if (file.seen === file.sent) continue;
      const { sent: offset, seen } = file;
      file.sent = seen;
      updates.push({ type: "update", taskId, path, offset, length: seen - offset });
    }
  }
  return updates;
}
