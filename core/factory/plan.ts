/**
 * What a factory does next, and why: work_queue_factory's rule, with three differences. The need
 * is divided with other factories; jobs that wait in the queue do not use up `workersPerCycle`,
 * only workers that run and are not connected do; and waiting jobs that nobody needs any more are
 * removed. Running workers are never removed: without tasks they leave by themselves.
 */
import type { JobId } from "./job.ts";
import type { Need } from "./need.ts";
import { divide, type Peer } from "./peers.ts";
import { plural } from "../units.ts";
import type { FactorySettings } from "./settings.ts";

/** A job that waits in the queue. */
export interface WaitingJob {
  readonly id: JobId;
  readonly submittedMs: number;
}

export interface Observed {
  readonly need: Need;
  readonly managers: number;
  /** Other factories on the same managers. */
  readonly peers: readonly Peer[];
  /** Ours, to be told from the others. */
  readonly id: string;
  /** Jobs of ours in the queue, held ones included. */
  readonly waiting: readonly WaitingJob[];
  /** Jobs of ours that run. */
  readonly running: number;
  /** More than those that run cannot be had now: a stuck queue, a batch system that refuses. */
  readonly stuck: boolean;
  /** Why nothing is handed in now; `null`: nothing forbids it. */
  readonly pause: string | null;
  /** Since when more jobs are there than needed; `null`: they are not, or it is not known. */
  readonly excessSinceMs: number | null;
}

export interface PlanOptions {
  /** Waiting jobs beyond the need are removed after so long; `null`: never. */
  readonly removeAfterMs: number | null;
}

export interface Plan {
  /** Workers that are to be there, as work_queue_factory shows it. */
  readonly needed: number;
  readonly submitted: number;
  /** Submitted and not connected. */
  readonly toConnect: number;
  readonly submit: number;
  readonly remove: readonly JobId[];
  /** Waiting jobs that are not needed, whether or not it is time to remove them. */
  readonly excess: number;
  /** One sentence. */
  readonly why: string;
}

/** Pure: the same observations give the same plan. */
export function plan(
  observed: Observed,
  settings: FactorySettings,
  { removeAfterMs }: PlanOptions,
  nowMs: number,
): Plan {
  const { need, peers, waiting, running } = observed;
  const submitted = waiting.length + running;
  const heldByPeers = sumOf(peers, ({ held }) => held);
  const outsiders = Math.max(0, need.connected - submitted - heldByPeers);
  // Who of all is late cannot be told; what waits in the others' queues is not.
  const runningAtPeers = sumOf(peers, ({ running }) => running);
  const toConnect = clamp(submitted + runningAtPeers - need.connected, 0, submitted);
  const ours = ourPart(observed, settings, outsiders);
  // As in the original, workers from elsewhere count towards the minimum and the maximum.
  const needed = clamp(ours + outsiders, settings.minWorkers, settings.maxWorkers);
  const missing = Math.max(0, needed - outsiders - submitted);
  const unconnected = Math.max(0, toConnect - waiting.length);
  const limit = settings.workersPerCycle;
  const allowed = limit > 0 ? Math.max(0, limit - unconnected) : Infinity;
  const submit = observed.pause === null ? Math.min(missing, allowed) : 0;
  const inTotal = clamp(need.workers, settings.minWorkers, Infinity);
  const excess = clamp(
    Math.min(submitted + outsiders - needed, submitted + heldByPeers + outsiders - inTotal),
    0,
    waiting.length,
  );
  const due = removeAfterMs !== null && observed.excessSinceMs !== null &&
    nowMs - observed.excessSinceMs >= removeAfterMs;
  const remove = due ? youngest(waiting, excess) : [];
  const why = reason(observed, settings, {
    heldByPeers,
    outsiders,
    needed,
    submitted,
    missing,
    submit,
    unconnected,
    excess,
    remove: remove.length,
    removeAfterMs,
  });
  return { needed, submitted, toConnect, submit, remove, excess, why };
}

/** Workers that are for us to bring, before the limits of our own settings. */
function ourPart(
  { need, peers, id, stuck, running }: Observed,
  { maxWorkers }: FactorySettings,
  outsiders: number,
): number {
  const dividing = peers.filter(({ cap }) => cap !== null);
  const others = sumOf(peers, ({ cap, held }) => cap === null ? held : 0);
  const left = Math.max(0, need.workers - outsiders - others);
  if (dividing.length === 0) return left;
  const claimants = [
    { id, cap: stuck ? running : Math.max(0, maxWorkers - outsiders) },
    ...dividing.map(({ id, cap }) => ({ id, cap: cap! })),
  ];
  const part = divide(left, claimants).get(id) ?? 0;
  return Math.min(part, Math.max(0, left - sumOf(dividing, ({ held }) => held)));
}

/** The ones that have waited longest are the next to start. */
function youngest(jobs: readonly WaitingJob[], count: number): JobId[] {
  const byAge = [...jobs].sort((a, b) => b.submittedMs - a.submittedMs || (a.id < b.id ? 1 : -1));
  return byAge.slice(0, count).map(({ id }) => id);
}

interface Figures {
  readonly heldByPeers: number;
  readonly outsiders: number;
  readonly needed: number;
  readonly submitted: number;
  readonly missing: number;
  readonly submit: number;
  readonly unconnected: number;
  readonly excess: number;
  readonly remove: number;
  readonly removeAfterMs: number | null;
}

function reason(observed: Observed, settings: FactorySettings, figures: Figures): string {
  const { need, waiting, running, pause } = observed;
  const { submitted, missing, submit, excess, remove } = figures;
  const there = submitted === 0
    ? "none of ours is there"
    : `of ours ${running} run and ${waiting.length} wait in the queue`;
  const begin = `${demand(observed, settings, figures)}; ${there}, ` +
    `${plural(need.connected, "worker")} ${need.connected === 1 ? "is" : "are"} connected`;
  if (remove > 0) return `${begin}: remove ${plural(remove, "waiting job")} that nobody needs`;
  if (submit > 0) {
    const rest = missing > submit
      ? `, ${missing - submit} more later: ${settings.workersPerCycle} at a time`
      : "";
    return `${begin}: submit ${submit}${rest}`;
  }
  if (missing > 0) {
    return `${begin}: ${missing} more would be needed, but ` +
      (pause ?? `${figures.unconnected} that run have not connected yet`);
  }
  if (excess > 0) {
    const later = figures.removeAfterMs === null
      ? "they are kept"
      : "they are removed if it stays so";
    return `${begin}: ${plural(excess, "waiting job")} ${
      excess === 1 ? "is" : "are"
    } not needed; ${later}`;
  }
  if (submitted + figures.outsiders > figures.needed) {
    return `${begin}: more than needed; those without tasks leave by themselves`;
  }
  return `${begin}: nothing to do`;
}

/** Where the number of workers comes from. */
function demand(
  { need, managers, peers }: Observed,
  { minWorkers, maxWorkers }: FactorySettings,
  { outsiders, heldByPeers, needed }: Figures,
): string {
  if (managers === 0) {
    return needed > 0 ? `no manager, at least ${plural(needed, "worker")}` : "no manager, no need";
  }
  const parts = [
    `${plural(need.tasksWaiting, "task")} waiting and ${need.tasksRunning} running at ` +
    `${plural(managers, "manager")} want ${plural(need.workers, "worker")}`,
  ];
  if (peers.length > 0) {
    const factories = `${peers.length} other factor${peers.length === 1 ? "y" : "ies"}`;
    parts.push(`${factories} ${peers.length === 1 ? "has" : "have"} ${heldByPeers}`);
  }
  if (outsiders > 0) parts.push(`${outsiders} came from elsewhere`);
  if (needed === minWorkers && need.workers < minWorkers) {
    parts.push(`the minimum is ${minWorkers}`);
  }
  if (needed === maxWorkers && need.workers > maxWorkers) {
    parts.push(`the maximum is ${maxWorkers}`);
  }
  return parts.join(", ");
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

/** `high` wins where it is below `low`. */
function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
