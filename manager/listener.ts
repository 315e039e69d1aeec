/** What a manager tells its owner. */
import type { TaskId } from "../core/ids.ts";
import type { Resources } from "../core/resources.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import type { OwnerView } from "../core/status/snapshot.ts";

/** What the owner of a manager hears of. Called in order, never from within a call of its own. */
export interface ManagerListener {
  attemptEnded(id: TaskId, attempt: Attempt, again: boolean): void;
  returned(task: Task, end: TaskEnd): void;
  workerJoined(worker: WorkerState): void;
  workerLeft(worker: WorkerState, why: string): void;
  /** A connection that did not get so far as to be a worker. */
  refused(address: string, why: string): void;
  /** The first worker from elsewhere that talks plain text, where TLS was to be had. */
  plainText?(worker: WorkerState): void;
  /** A host gets no tasks for a while. */
  hostBlocked(host: string, why: string): void;
  /** A task waits, although workers are connected, for a larger one. */
  tooLarge(why: string): void;
  /** Nothing has moved for a while, and why: said at once, and then ever less often. */
  stalled?(why: string): void;
  /** An output cannot be stored for want of room, and waits; `null`: one of those need not any more. */
  diskFull?(why: string | null): void;
  /** A task was given to a worker. */
  dispatched?(id: TaskId, worker: WorkerState, box: Resources): void;
  /** After each turn in which something may have changed. */
  turned?(): void;
  /** What the owner knows of its tasks besides, for those who ask how they do. */
  view?(): OwnerView | undefined;
}

/** What people are told of outputs that wait for room on a disk. */
export function diskFullNote(why: string | null): string {
  return why === null
    ? "Outputs can be stored again: the run goes on"
    : `Cannot store outputs: ${why}. Workers keep them until it can be done; make room, or end ` +
      "the run and resume it later";
}
