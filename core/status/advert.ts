/** What a manager tells catalogs of itself, and when there is something new to tell. */
import { fromJson } from "../jx/json.ts";
import { isJxObject, type JxObject } from "../jx/value.ts";
import { stallOf } from "./explain_source.ts";
import { snapshotOf, type StatusSource, type WorkerRow, workerRows } from "./snapshot.ts";
import { type WireObject, wireQueue } from "./wire.ts";

/** Both as for cctools' catalogs, with a few fields of ours. */
export interface Advert {
  readonly full: JxObject;
  /** For where the full one is too long. */
  readonly lean: JxObject;
}

export interface AdvertOptions {
  /** Tells this manager from others of its name. */
  readonly id: string;
  /** The catalog forgets it when nothing was heard of it for so long. */
  readonly lifetimeS: number;
  /** Of the manager's key, by which workers of wqx know it; absent: it has none. */
  readonly pin?: string | undefined;
}

/** A page has room for no more, and a record with 1,000 would be 200 kB every minute. */
export const workersToldMax = 200;

/** What Work Queue keeps of a record for a datagram. */
const leanKeys = [
  ...["type", "project", "owner", "version", "port", "ssl", "starttime", "protocol"],
  ...["manager_preferred_connection", "network_interfaces", "manager_load"],
  ...["workers", "workers_connected", "workers_blocked", "tasks_waiting", "tasks_running"],
  ...["tasks_complete", "tasks_on_workers", "tasks_left", "tasks_total_cores"],
  ...["tasks_total_memory", "tasks_total_disk", "tasks_total_gpus", "capacity_tasks"],
  ...["capacity_cores", "capacity_memory", "capacity_disk", "capacity_gpus", "capacity_weighted"],
];

/**
 * The record of `queue_status` with the newest workers, one by one. It has no `uuid`: a manager that
 * begins anew on the port of one that was killed takes the place of its record.
 */
export function advertOf(source: StatusSource, { id, lifetimeS, pin }: AdvertOptions): Advert {
  const queue = wireQueue(snapshotOf(source));
  const own = {
    lifetime: lifetimeS,
    wqx_id: id,
    ...(pin !== undefined && { wqx_pin: pin }),
    ...stallOf(source),
  };
  const lean = Object.fromEntries(
    leanKeys.flatMap((key) => queue[key] === undefined ? [] : [[key, queue[key]]]),
  );
  const workers = [...workerRows(source)].slice(-workersToldMax).map(workerEntry);
  return {
    full: recordOf({ ...queue, ...own, wqx_workers: workers }),
    lean: recordOf({ ...lean, ...own }),
  };
}

/**
 * In place of the record of a manager that has ended: readers look for its type, so nobody finds it
 * from this moment on, although catalogs take a minute to forget it.
 */
export function endedAdvert({ lean }: Advert): JxObject {
  const ended = [["type", "wqx_ended"], ["lifetime", 1n], ["workers", 0n], [
    "workers_connected",
    0n,
  ]] as const;
  return new Map([...lean, ...ended]);
}

function workerEntry(row: WorkerRow): WireObject {
  const { total, inUse } = row;
  return {
    host: row.host,
    address: row.address,
    cores: Math.ceil(total.cores),
    cores_inuse: Math.ceil(inUse.cores),
    memory: Math.ceil(total.memoryMb),
    memory_inuse: Math.ceil(inUse.memoryMb),
    disk: Math.ceil(total.diskMb),
    disk_inuse: Math.ceil(inUse.diskMb),
    gpus: total.gpus,
    tasks_running: row.tasks.length,
    tasks_done: row.tasksDone,
    joined: Math.floor(row.joinedEpochMs / 1000), // seconds
  };
}

function recordOf(object: WireObject): JxObject {
  const record = fromJson(object);
  if (!isJxObject(record)) throw new TypeError("a record is an object");
  return record;
}

/** What is watched between two updates. */
export interface AdvertCounts {
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly workers: number;
  /** Workers that ever joined. */
  readonly joined: number;
}

/** Fewer tasks more or less are no news, however few there are. */
const newsTasksMin = 5;
const newsShareMin = 0.1;

/**
 * Whether whoever watches should know before the minute is over: other workers, or a tenth more or
 * fewer tasks. So a run that starts, ends or stalls is seen at once, and the steady
 * middle of a long one costs no more than a manager of cctools.
 */
export function isNews(told: AdvertCounts, now: AdvertCounts): boolean {
  if (told.workers !== now.workers) return true;
  // Factories are to hear of workers that came and went in between: what they start does connect.
  if (told.joined !== now.joined) return true;
  // To a factory, one task that waits is all the difference.
  if ((told.waiting === 0) !== (now.waiting === 0)) return true;
  return (["waiting", "running", "done"] as const).some((key) =>
    Math.abs(now[key] - told[key]) >= Math.max(newsTasksMin, told[key] * newsShareMin)
  );
}
