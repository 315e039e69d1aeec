/**
 * Runs a task set on a few nodes in virtual time: tasks start in order as soon as there is room,
 * those that outgrew their allocation first, and the policy learns when they end.
 */
import { taskId } from "../../core/ids.ts";
import type { Observation } from "../../core/allocation/policy.ts";
import type { Resources } from "../../core/resources.ts";
import type { ArenaTask } from "./task_sets.ts";

/** What is compared: a policy, or one of the yardsticks. */
export interface Allocator {
  /** MB for the next attempt of a task, whose earlier attempts all outgrew theirs. */
  allocate(task: ArenaTask, tries: readonly Observation[], node: Resources): Allocated;
  observe(task: ArenaTask, seen: Observation, node: Resources): void;
}

export interface Allocated {
  readonly memoryMb: number;
  readonly diskMb: number;
}

export interface ReplayOptions {
  readonly node: Resources;
  readonly nodes: number;
  /** The first tasks of the set get a whole node. */
  readonly wholeNodeTasks: number;
}

export interface Score {
  /** Σ used · time / Σ allocated · time, of memory. */
  readonly memory: number;
  readonly failedTries: number;
  /** Of the real clock: the mean, and what 99.9 % stay below. */
  readonly decisionMs: { readonly mean: number; readonly most: number };
}

interface Running {
  readonly index: number;
  readonly node: Resources;
  readonly box: Resources;
  readonly endsMs: number;
}

/** Of nodes with so much free. */
interface Free {
  readonly node: Resources;
  cores: number;
  memoryMb: number;
  diskMb: number;
}

/** Monitors stop a task a little above its limit. */
const overshootMb = 1;

/** Replays `tasks`; `clock`, in ms, times what is asked and told. Every attempt needs the time of its task. */
export function replay(
  tasks: readonly ArenaTask[],
  allocator: Allocator,
  options: ReplayOptions,
  clock: () => number = () => 0,
): Score {
  const tries = tasks.map((): Observation[] => []);
  const free: Free[] = Array.from({ length: options.nodes }, () => ({
    node: options.node,
    ...options.node,
  }));
  const waiting = tasks.map((_, index) => index).reverse();
  const running: (Running & { readonly free: Free })[] = [];
  const sums = { used: 0, allocated: 0, failed: 0 };
  const tookMs: number[] = [];
  const timed = <T>(act: () => T): T => {
    const before = clock();
    const result = act();
    tookMs.push(clock() - before);
    return result;
  };
  /** The head of the queue asks again only when something was learned. */
  let asked: { index: number; learned: number; box: Resources } | null = null;
  let learned = 0;
  let nowMs = 0;

  const boxFor = (index: number): Resources => {
    if (asked !== null && asked.index === index && asked.learned === learned) return asked.box;
    const task = tasks[index]!;
    const before = tries[index]!;
    const whole = index < options.wholeNodeTasks;
    const { memoryMb, diskMb } = whole
      ? options.node
      : timed(() => allocator.allocate(task, before, options.node));
    const box = { cores: whole ? options.node.cores : task.cores, memoryMb, diskMb, gpus: 0 };
    asked = { index, learned, box };
    return box;
  };

  const start = (): void => {
    for (let index = waiting.at(-1); index !== undefined; index = waiting.at(-1)) {
      const box = boxFor(index);
      const place = free.find((one) =>
        one.cores >= box.cores && one.memoryMb >= box.memoryMb && one.diskMb >= box.diskMb
      );
      if (place === undefined) {
        if (running.length > 0) return;
        throw new Error(`task ${index} was given ${box.memoryMb} MB, more than a node has`);
      }
      waiting.pop();
      place.cores -= box.cores;
      place.memoryMb -= box.memoryMb;
      place.diskMb -= box.diskMb;
      const endsMs = nowMs + tasks[index]!.wallMs;
      running.push({ index, node: options.node, box, endsMs, free: place });
    }
  };

  const end = (): void => {
    let soonest = 0;
    for (let i = 1; i < running.length; i++) {
      if (running[i]!.endsMs < running[soonest]!.endsMs) soonest = i;
    }
    const [{ index, box, endsMs, free: place }] = running.splice(soonest, 1) as [
      Running & { readonly free: Free },
    ];
    nowMs = endsMs;
    place.cores += box.cores;
    place.memoryMb += box.memoryMb;
    place.diskMb += box.diskMb;
    const task = tasks[index]!;
    const exceeded = task.memoryMb > box.memoryMb
      ? "memoryMb"
      : task.diskMb > box.diskMb
      ? "diskMb"
      : null;
    const seen: Observation = {
      task: taskId(index + 1),
      box,
      measured: {
        cores: task.cores,
        memoryMb: Math.min(task.memoryMb, box.memoryMb + overshootMb),
        diskMb: Math.min(task.diskMb, box.diskMb + overshootMb),
      },
      wallMs: task.wallMs,
      exceeded,
    };
    timed(() => allocator.observe(task, seen, options.node));
    learned++;
    sums.allocated += box.memoryMb * task.wallMs;
    if (exceeded === null) {
      sums.used += task.memoryMb * task.wallMs;
      return;
    }
    sums.failed++;
    tries[index]!.push(seen);
    // Those that wait are in order, the next one last; a task tried again keeps its place.
    let at = waiting.length;
    while (at > 0 && waiting[at - 1]! < index) at--;
    waiting.splice(at, 0, index);
  };

  for (start(); running.length > 0; start()) end();
  return {
    memory: sums.used / sums.allocated,
    failedTries: sums.failed,
    decisionMs: {
      mean: tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length,
      most: tookMs.sort((a, b) => a - b)[Math.floor(tookMs.length * 0.999)]!,
    },
  };
}
