/**
 * Several factories on one project: what the others have and can have, from their records in the
 * catalog, and which part of the need is ours.
 *
 * Every factory of wqx computes the same division from the same records: the need, less what
 * workers of nobody and other programs' factories cover, is filled into the factories evenly, none
 * beyond its room, what is left over going to the first by their ids. A factory hands in no more
 * than its part, and no more than is missing in total. So two that see each other late together
 * overshoot by no more than the other's part, and a part that its owner cannot bring (its queue is
 * stuck, it is at its maximum) is divided among the rest as soon as its record says so.
 */
import { isFactory } from "../catalog/selection.ts";
import { integerOf, type JxObject, objectsOf, stringOf } from "../jx/value.ts";

/** A record that is this much older than the newest is of a factory that is gone. */
const peerAgeSMax = 180;

export interface Peer {
  readonly id: string;
  /** Handed in, and about to be. */
  readonly held: number;
  /** Of those, the ones that may be connected: they do not wait in a queue. */
  readonly running: number;
  /** The most that it would have; `null`: a factory that does not divide with others. */
  readonly cap: number | null;
  /** All that it has handed in since it started, and is about to; `null`: it does not say. */
  readonly brought: number | null;
}

/**
 * The fields of records by which factories of wqx know each other. `room` is how many more workers
 * one could bring; negative, how many of those it has handed in are not to be counted on.
 */
export const peerFields = {
  id: "wqx_id",
  room: "wqx_room",
  running: "wqx_running",
  brought: "wqx_brought",
} as const;

/**
 * The other factories that serve some of these managers. Of one that serves other managers too,
 * only the part counts that its tasks here are of all its tasks.
 */
export function peersAmong(
  records: readonly JxObject[],
  ours: {
    readonly id: string;
    readonly managers: readonly JxObject[];
    readonly project: string | null;
  },
): Peer[] {
  const factories = records.filter(isFactory);
  const newest = Math.max(0, ...factories.map((record) => integerOf(record, "lastheardfrom")));
  const here = new Set(ours.managers.map(managerKey));
  return factories.flatMap((record) => {
    const wqxId = stringOf(record, peerFields.id);
    if (wqxId === ours.id) return [];
    if (newest - integerOf(record, "lastheardfrom") > peerAgeSMax) return [];
    const part = partOf(record, here, ours.project);
    if (part === 0) return [];
    const submitted = integerOf(record, "workers_submitted");
    const requested = integerOf(record, "workers_requested");
    // Others do not tell waiting jobs from workers that are late.
    const running = wqxId === null
      ? submitted - integerOf(record, "workers_to_connect")
      : integerOf(record, peerFields.running);
    const count = (workers: number) => Math.ceil(Math.max(0, workers) * part);
    const room = wqxId === null ? 0 : integerOf(record, peerFields.room);
    const id = wqxId ?? `${stringOf(record, "address")}:${integerOf(record, "port")}`;
    return [{
      id,
      held: count(submitted + requested + Math.min(0, room)),
      running: count(running),
      cap: wqxId === null ? null : count(submitted + room),
      brought: record.has(peerFields.brought) ? integerOf(record, peerFields.brought) : null,
    }];
  });
}

/** Of its work, how much is at these managers, 0 to 1. */
function partOf(record: JxObject, here: ReadonlySet<string>, project: string | null): number {
  const managers = objectsOf(record, "managers");
  if (managers.length === 0) {
    // It has seen none yet, or they are gone for both of us.
    return project !== null && stringOf(record, "project_regex") === project ? 1 : 0;
  }
  const common = managers.filter((manager) => here.has(managerKey(manager)));
  const tasks = (of: readonly JxObject[]) =>
    of.reduce(
      (sum, one) => sum + integerOf(one, "tasks_waiting") + integerOf(one, "tasks_running"),
      0,
    );
  const all = tasks(managers);
  return all > 0 ? Math.max(0, tasks(common)) / all : common.length / managers.length;
}

/** The same for all records of one manager. */
export function managerKey(record: JxObject): string {
  return ["project", "name", "port"].map((key) => String(record.get(key) ?? "")).join("\n");
}

/** A factory among which workers are divided. */
export interface Claimant {
  readonly id: string;
  readonly cap: number;
}

/**
 * Divides whole workers evenly, none getting more than its cap; what an even division leaves over
 * goes, one each, to the first by id. Returns the part of each by id; together they are
 * `workers`, or all caps if those are less.
 */
export function divide(workers: number, claimants: readonly Claimant[]): Map<string, number> {
  const parts = new Map<string, number>();
  let left = Math.max(0, workers);
  let open = [...claimants];
  // Those with little room first: what they leave raises the share of the others.
  for (let full = open; full.length > 0;) {
    const share = Math.floor(left / open.length);
    full = open.filter(({ cap }) => cap <= share);
    for (const { id, cap } of full) {
      parts.set(id, Math.max(0, cap));
      left -= Math.max(0, cap);
    }
    open = open.filter(({ cap }) => cap > share);
  }
  open.sort((a, b) => a.id < b.id ? -1 : 1);
  const share = Math.floor(left / open.length);
  const extra = left - share * open.length;
  open.forEach(({ id }, i) => parts.set(id, share + (i < extra ? 1 : 0)));
  return parts;
}
