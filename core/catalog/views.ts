/**
 * Records of a catalog as typed rows, for web pages, the JSON API and `wqx status`. Records come
 * from strangers: any field may be missing or of another type, which rows show as `null`.
 */
import { amountOf, isJxArray, isJxObject, isTrue, type JxObject, objectsOf } from "../jx/value.ts";
import { eachResource, type ResourceName, wireNames } from "../resources.ts";
import { hostsBlockedBy, isFactory, isManager, managerOfForeman } from "./selection.ts";

/** Longer texts are cut: no honest name or path is longer, and a row must stay a row. */
export const textLettersMax = 200;
/** Managers speak every 60 s and factories every 35 s; after three silences something is wrong. */
export const staleAfterMs = 180_000;
/** More entries of one record than this are not shown: a record of 1 MiB could name 100,000. */
export const entriesMax = 500;

/** Entry of `categories` that is the sum of all; no category can have this name. */
const wholeQueue = "whole queue";

export const resourceNames: readonly ResourceName[] = ["cores", "memoryMb", "diskMb", "gpus"];

/** One resource of a worker, or over all workers of a manager. */
export interface InUse {
  readonly inUse: number | null;
  readonly total: number | null;
}

export type ResourcesInUse = Readonly<Record<ResourceName, InUse>>;

/** What all records have in common, as the catalog or the sender tells it. */
export interface ServiceRow {
  readonly type: string;
  /** Host name by the catalog's own look-up; else the address; `null` in direct answers. */
  readonly host: string | null;
  readonly address: string | null;
  readonly port: number | null;
  readonly owner: string | null;
  readonly version: string | null;
  readonly project: string | null;
  /** Seconds since 1970: when it started, and when the catalog last heard of it. */
  readonly startedS: number | null;
  readonly heardS: number | null;
}

export interface ManagerRow extends ServiceRow {
  readonly ssl: boolean;
  readonly protocol: number | null;
  /** Tasks, as they are now. */
  readonly waiting: number | null;
  readonly running: number | null;
  /** Running, or ended there with the result not yet here. */
  readonly onWorkers: number | null;
  /** Tasks that the owner says will still be submitted. */
  readonly left: number | null;
  /** Totals since the start. */
  readonly done: number | null;
  readonly failed: number | null;
  readonly submitted: number | null;
  readonly workers: number | null;
  readonly workersBusy: number | null;
  readonly workersIdle: number | null;
  /** Hosts that get no tasks. */
  readonly hostsBlocked: readonly string[];
  readonly resources: ResourcesInUse;
  /** Tasks that it could feed at once, by its own estimate. */
  readonly capacity: number | null;
  /** `host:port` of the manager that this one, a foreman, works for. */
  readonly worksFor: string | null;
}

export interface FactoryRow extends ServiceRow {
  readonly name: string | null;
  /** Regular expression of the managers that it serves. */
  readonly projectPattern: string | null;
  readonly submitted: number | null;
  readonly needed: number | null;
  readonly requested: number | null;
  readonly toConnect: number | null;
  readonly workersMax: number | null;
  /** Those that it found last. */
  readonly managers: readonly ServedManager[];
}

export interface ServedManager {
  readonly project: string | null;
  readonly host: string | null;
  readonly port: number | null;
}

/** One category of tasks of a manager. */
export interface CategoryView {
  readonly name: string;
  readonly waiting: number | null;
  readonly running: number | null;
  readonly done: number | null;
  readonly failed: number | null;
  readonly workersAble: number | null;
  /** What the next task asks for; `null` where it is not decided. */
  readonly allocation: Readonly<Record<ResourceName, number | null>>;
  /** As the record writes it: `700` declared, `~700` largest seen, `>699` exceeded, `na`. */
  readonly largest: Readonly<Record<ResourceName, string | null>>;
  /** Events a task, and events/s of the category; only managers of wqx tell. */
  readonly chunkSize: number | null;
  readonly eventsPerSecond: number | null;
}

/** One worker of a manager; only managers of wqx tell. */
export interface WorkerView {
  readonly host: string | null;
  readonly address: string | null;
  readonly resources: ResourcesInUse;
  readonly running: number | null;
  readonly done: number | null;
  /** Seconds since 1970. */
  readonly joinedS: number | null;
}

export interface ManagerDetail extends ManagerRow {
  readonly workingDir: string | null;
  readonly categories: readonly CategoryView[];
  /** `null`: the manager tells totals only. */
  readonly workerList: readonly WorkerView[] | null;
  /** What waiting tasks ask for and running tasks hold. */
  readonly wanted: Readonly<Record<ResourceName, number | null>>;
}

/** Sums over managers; foremen are left out, as their tasks are those of their managers. */
export interface Totals {
  readonly managers: number;
  readonly waiting: number;
  readonly running: number;
  readonly done: number;
  readonly workers: number;
  readonly resources: Readonly<Record<ResourceName, { inUse: number; total: number }>>;
}

export type RecordKind = "manager" | "factory" | "service";

/** What kind of row a record becomes. TaskVine's are services here: wqx does not speak with them. */
export function kindOf(record: JxObject): RecordKind {
  if (isManager(record)) return "manager";
  return isFactory(record) ? "factory" : "service";
}

export function serviceRow(record: JxObject): ServiceRow {
  const address = textOf(record, "address");
  return {
    type: textOf(record, "type") ?? "unknown",
    host: textOf(record, "name") ?? address,
    address,
    port: amountOf(record, "port"),
    owner: textOf(record, "owner"),
    version: textOf(record, "version"),
    project: textOf(record, "project"),
    startedS: amountOf(record, "starttime"),
    heardS: amountOf(record, "lastheardfrom"),
  };
}

export function managerRow(record: JxObject): ManagerRow {
  const amount = (key: string) => amountOf(record, key);
  const worksFor = managerOfForeman(record);
  return {
    ...serviceRow(record),
    ssl: isTrue(record, "ssl"),
    protocol: amount("protocol"),
    waiting: amount("tasks_waiting"),
    running: amount("tasks_running"),
    onWorkers: amount("tasks_on_workers"),
    left: amount("tasks_left"),
    done: amount("tasks_complete") ?? amount("tasks_done"),
    failed: amount("tasks_failed"),
    submitted: amount("tasks_submitted"),
    workers: amount("workers") ?? amount("workers_connected"),
    workersBusy: amount("workers_busy"),
    workersIdle: amount("workers_idle"),
    hostsBlocked: hostsBlockedBy(record).slice(0, entriesMax).map(presentable),
    resources: inUseOf(record, "_inuse", "_total"),
    capacity: amount("capacity_tasks"),
    worksFor: worksFor === null ? null : presentable(worksFor),
  };
}

export function factoryRow(record: JxObject): FactoryRow {
  const amount = (key: string) => amountOf(record, key);
  return {
    ...serviceRow(record),
    // A pretend port, drawn at random below zero, that keeps factories of one host apart.
    port: null,
    name: textOf(record, "factory_name"),
    projectPattern: textOf(record, "project_regex"),
    submitted: amount("workers_submitted"),
    needed: amount("workers_needed"),
    requested: amount("workers_requested"),
    toConnect: amount("workers_to_connect"),
    workersMax: amount("max_workers"),
    managers: entriesOf(record, "managers").map((entry) => ({
      project: textOf(entry, "project"),
      host: textOf(entry, "name"),
      port: amountOf(entry, "port"),
    })),
  };
}

export function managerDetail(record: JxObject): ManagerDetail {
  return {
    ...managerRow(record),
    workingDir: textOf(record, "working_dir"),
    categories: entriesOf(record, "categories").map(categoryView).filter(({ name }) =>
      name !== wholeQueue
    ),
    workerList: isJxArray(record.get("wqx_workers"))
      ? entriesOf(record, "wqx_workers").map(workerView)
      : null,
    wanted: eachResource((name) => amountOf(record, `tasks_total_${wireNames[name]}`)),
  };
}

/** An entry of `categories` of a record, or of the answer to `wable_status`. */
export function categoryView(entry: JxObject): CategoryView {
  const allocation = entry.get("first_allocation");
  const amount = (key: string) => amountOf(entry, key);
  return {
    name: textOf(entry, "category") ?? "default",
    waiting: amount("tasks_waiting"),
    running: amount("tasks_running"),
    done: amount("tasks_done"),
    failed: amount("tasks_failed"),
    workersAble: amount("workers_able"),
    // -1 stands for "not decided".
    allocation: eachResource((name) =>
      isJxObject(allocation) ? atLeast0(amountOf(allocation, wireNames[name])) : null
    ),
    largest: eachResource((name) => {
      const key = `max_${wireNames[name]}`;
      return textOf(entry, key) ?? amountOf(entry, key)?.toString() ?? null;
    }),
    chunkSize: amount("wqx_chunksize"),
    eventsPerSecond: amount("wqx_events_per_second"),
  };
}

function workerView(entry: JxObject): WorkerView {
  const amount = (key: string) => amountOf(entry, key);
  return {
    host: textOf(entry, "host"),
    address: textOf(entry, "address"),
    resources: inUseOf(entry, "_inuse", ""),
    running: amount("tasks_running"),
    done: amount("tasks_done"),
    joinedS: amount("joined"),
  };
}

export function totalsOf(managers: readonly ManagerRow[]): Totals {
  const roots = nested(managers, (row) => row).filter(({ depth }) => depth === 0);
  const sum = (of: (row: ManagerRow) => number | null) =>
    roots.reduce((total, { item }) => total + Math.max(0, of(item) ?? 0), 0);
  return {
    managers: roots.length,
    waiting: sum((row) => row.waiting),
    running: sum((row) => row.running),
    done: sum((row) => row.done),
    workers: sum((row) => row.workers),
    resources: eachResource((name) => ({
      inUse: sum((row) => row.resources[name].inUse),
      total: sum((row) => row.resources[name].total),
    })),
  };
}

/**
 * Foremen below the managers that they work for, otherwise in the order given. Whose manager is
 * not there stands by itself, and of foremen that claim to work for one another none is lost.
 */
export function nested<T>(
  items: readonly T[],
  rowOf: (item: T) => ManagerRow,
): { readonly item: T; readonly depth: number }[] {
  const foremen = new Map<string, T[]>();
  const places = new Set(items.map((item) => placeOf(rowOf(item))));
  const roots: T[] = [];
  for (const item of items) {
    const row = rowOf(item);
    if (row.worksFor === null || !places.has(row.worksFor) || row.worksFor === placeOf(row)) {
      roots.push(item);
    } else {
      const others = foremen.get(row.worksFor);
      if (others === undefined) foremen.set(row.worksFor, [item]);
      else others.push(item);
    }
  }
  const found: { item: T; depth: number }[] = [];
  const seen = new Set<T>();
  const visit = (start: T) => {
    const open = [{ item: start, depth: 0 }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next.item)) continue;
      seen.add(next.item);
      found.push(next);
      const below = foremen.get(placeOf(rowOf(next.item))) ?? [];
      const depth = next.depth + 1;
      open.push(...below.toReversed().map((item) => ({ item, depth })));
    }
  };
  roots.forEach(visit);
  items.forEach(visit);
  return found;
}

/** `address:port`, as foremen name their manager. */
function placeOf(row: ManagerRow): string {
  return `${row.address}:${row.port}`;
}

/** The factories that send workers to a manager, by what they found themselves. */
export function factoriesOf(
  manager: ManagerRow,
  factories: readonly FactoryRow[],
): FactoryRow[] {
  return factories.filter(({ managers }) =>
    managers.some(({ project, host, port }) =>
      port === manager.port && project === manager.project &&
      (host === manager.host || host === manager.address)
    )
  );
}

/** Whether the sender has been silent for longer than is usual. */
export function isStale({ heardS }: ServiceRow, nowMs: number): boolean {
  return heardS !== null && nowMs - heardS * 1000 > staleAfterMs;
}

/** Whether each word occurs somewhere in project, type, owner, host or address. */
export function isAbout(
  row: ServiceRow & { readonly name?: string | null },
  text: string,
): boolean {
  const { project, type, owner, host, address, name = null } = row;
  const all = [project, name, type, owner, host, address].join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

/** A text fit to be shown: of one line, not too long; `null` if it is missing or of another type. */
export function textOf(record: JxObject, key: string): string | null {
  const value = record.get(key);
  return typeof value === "string" && value.trim() !== "" ? presentable(value) : null;
}

/** Without line ends, control characters and marks that turn the direction of what follows. */
export function presentable(text: string): string {
  const plain = text.toWellFormed().replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    "\ufffd",
  )
    .trim();
  // Cut by units first: to split a text of 1 MiB into letters takes 50 ms.
  const letters = [...plain.slice(0, 2 * textLettersMax + 2)];
  return letters.length <= textLettersMax
    ? plain
    : `${letters.slice(0, textLettersMax - 1).join("")}…`;
}

function entriesOf(record: JxObject, key: string): JxObject[] {
  return objectsOf(record, key).slice(0, entriesMax);
}

function inUseOf(object: JxObject, inUse: string, total: string): ResourcesInUse {
  return eachResource((name) => ({
    inUse: amountOf(object, `${wireNames[name]}${inUse}`),
    total: amountOf(object, `${wireNames[name]}${total}`),
  }));
}

function atLeast0(amount: number | null): number | null {
  return amount === null || amount < 0 ? null : amount;
}
