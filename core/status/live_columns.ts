/** The panes of the live screen: of which records they are lists, and what each column shows. */
import {
  amountOf,
  integerOf,
  isJxObject,
  type JxObject,
  numberOf,
  objectsOf,
  stringOf,
} from "../jx/value.ts";
import { formatDuration, formatShort, formatSizeMb } from "../units.ts";
import { printable } from "./table_layout.ts";

export type PaneName = "managers" | "factories" | "categories" | "workers" | "tasks";

/** What cells are made with. */
export interface CellContext {
  /** Now, on the calendar. */
  readonly epochMs: number;
}

export interface LiveColumn {
  readonly title: string;
  readonly align: "left" | "right";
  /** Takes the room that is left, and gives it back first. */
  readonly grows?: boolean;
  /** Where there is no room for all columns, those with the highest number go first. */
  readonly spare: number;
  text(record: JxObject, context: CellContext): string;
  /** What rows are sorted by; without it, the text. */
  value?(record: JxObject): number | string;
}

export interface Pane {
  readonly title: string;
  readonly columns: readonly LiveColumn[];
  /** Tells one row from the others, and stays while it is changed. */
  keyOf(record: JxObject): string;
  /** Said in place of rows. */
  readonly none: string;
}

const unknown = "-";

function text(title: string, key: string, spare: number, grows = false): LiveColumn {
  return {
    title,
    align: "left",
    spare,
    grows,
    text: (record) => printable(stringOf(record, key) ?? unknown),
  };
}

function count(title: string, key: string, spare: number): LiveColumn {
  return number(title, spare, (record) => valueOf(record, key), formatCount);
}

function number(
  title: string,
  spare: number,
  of: (record: JxObject) => number | null,
  format: (value: number) => string,
): LiveColumn {
  return {
    title,
    align: "right",
    spare,
    text: (record) => {
      const value = of(record);
      return value === null ? unknown : format(value);
    },
    value: (record) => of(record) ?? -Infinity,
  };
}

/** "3/8": how much of how much. */
function share(
  title: string,
  key: string,
  spare: number,
  format: (value: number) => string,
): LiveColumn {
  const [used, total] = [`${key}_inuse`, `${key}_total`];
  return {
    title,
    align: "right",
    spare,
    text: (record) => {
      const of = valueOf(record, total);
      return of === null || of === 0 ? unknown : partOf(numberOf(record, used), of, format);
    },
    value: (record) => numberOf(record, used) / (numberOf(record, total) || 1),
  };
}

/** With one unit for both where it is the same: "2/16 GB". */
export function partOf(part: number, of: number, format: (value: number) => string): string {
  const [used, total] = [format(part), format(of)];
  const [unit] = / \w+$/.exec(total) ?? [""];
  if (part === 0) return `0/${total}`;
  const bare = unit !== "" && used.endsWith(unit) ? used.slice(0, -unit.length) : used;
  return `${bare}/${total}`;
}

/** `null` where the record does not say, or says -1. */
function valueOf(record: JxObject, key: string): number | null {
  const amount = amountOf(record, key);
  return amount === null || amount < 0 ? null : amount;
}

function formatCount(value: number): string {
  return value < 100_000 ? String(Math.round(value * 100) / 100) : formatShort(value);
}

/** Time since a moment that a record tells in microseconds; `null`: it does not. */
function since(title: string, key: string, spare: number): LiveColumn {
  return {
    title,
    align: "right",
    spare,
    text: (record, { epochMs }) => {
      const at = integerOf(record, key) / 1000;
      // Its own clock is the one that the moment is of.
      const now = integerOf(record, "current_time") / 1000 || epochMs;
      return at > 0 ? formatDuration(now - at) : unknown;
    },
    value: (record) => -integerOf(record, key),
  };
}

/** "2 cores, 4 GB": an object of amounts, -1 being unknown. */
function amounts(title: string, key: string, spare: number): LiveColumn {
  return {
    title,
    align: "left",
    spare,
    text: (record) => {
      const of = record.get(key);
      if (!isJxObject(of)) return unknown;
      const cores = valueOf(of, "cores");
      const memory = valueOf(of, "memory");
      const gpus = valueOf(of, "gpus");
      const parts = [
        cores !== null && cores > 0 && `${formatCount(cores)} core${cores === 1 ? "" : "s"}`,
        memory !== null && memory > 0 && formatSizeMb(memory),
        gpus !== null && gpus > 0 && `${gpus} gpu${gpus === 1 ? "" : "s"}`,
      ].filter((part) => part !== false);
      return parts.length === 0 ? unknown : parts.join(", ");
    },
    value: (record) => {
      const of = record.get(key);
      return isJxObject(of) ? numberOf(of, "memory") : -1;
    },
  };
}

/** Of cores and disk people know what they are. */
function largestMemory(category: JxObject): number | null {
  const seen = category.get("max_seen");
  return isJxObject(seen) ? valueOf(seen, "memory") : null;
}

const host: LiveColumn = {
  title: "address",
  align: "left",
  spare: 2,
  grows: true,
  text: (record) => printable(`${hostText(record)}:${integerOf(record, "port")}`),
};

function hostText(record: JxObject): string {
  return stringOf(record, "name") ?? stringOf(record, "address") ?? unknown;
}

/** How long ago the catalog heard of it. */
const heard: LiveColumn = {
  title: "heard",
  align: "right",
  spare: 6,
  text: (record, { epochMs }) => {
    const at = integerOf(record, "lastheardfrom");
    return at === 0 ? "now" : formatDuration(epochMs - at * 1000);
  },
  value: (record) => -integerOf(record, "lastheardfrom"),
};

/** States of tasks, those that are under way first. */
const states = ["RUNNING", "WAITING_RETRIEVAL", "WAITING"];

const state: LiveColumn = {
  title: "state",
  align: "left",
  spare: 0,
  text: (record) => {
    const of = (stringOf(record, "state") ?? unknown).toLowerCase();
    return of === "waiting_retrieval" ? "fetching" : printable(of);
  },
  value: (record) => {
    const at = states.indexOf((stringOf(record, "state") ?? "").toUpperCase());
    return at < 0 ? states.length : at;
  },
};

const memorySize = (mb: number) => formatSizeMb(mb);

function keyFrom(...keys: readonly string[]): (record: JxObject) => string {
  return (record) =>
    keys.map((key) => {
      const value = record.get(key);
      return typeof value === "string" ? value : String(value ?? "");
    }).join("|");
}

export const panes: Readonly<Record<PaneName, Pane>> = {
  managers: {
    title: "Managers",
    none: "no manager is there",
    keyOf: keyFrom("project", "address", "name", "port"),
    columns: [
      text("project", "project", 0, true),
      host,
      text("owner", "owner", 5),
      count("waiting", "tasks_waiting", 0),
      count("running", "tasks_running", 0),
      count("done", "tasks_done", 1),
      count("failed", "tasks_failed", 3),
      count("workers", "workers", 0),
      share("cores", "cores", 2, formatCount),
      share("memory", "memory", 4, memorySize),
      heard,
    ],
  },
  factories: {
    title: "Factories",
    none: "no factory is there",
    keyOf: keyFrom("factory_name", "address", "name", "port"),
    columns: [
      text("factory", "factory_name", 0, true),
      text("host", "name", 3, true),
      text("serves", "project_regex", 1, true),
      text("owner", "owner", 6),
      count("submitted", "workers_submitted", 0),
      count("needed", "workers_needed", 1),
      count("requested", "workers_requested", 4),
      count("unconnected", "workers_to_connect", 2),
      count("max", "max_workers", 2),
      heard,
    ],
  },
  categories: {
    title: "Categories",
    none: "no task was submitted yet",
    keyOf: keyFrom("category"),
    columns: [
      text("category", "category", 0, true),
      count("waiting", "tasks_waiting", 0),
      count("running", "tasks_running", 0),
      count("done", "tasks_done", 0),
      count("failed", "tasks_failed", 1),
      amounts("gets now", "first_allocation", 2),
      number("largest seen", 3, largestMemory, formatSizeMb),
      number("chunk", 5, (record) => valueOf(record, "wqx_chunksize"), formatShort),
      number("events/s", 4, (record) => valueOf(record, "wqx_events_per_second"), formatShort),
      count("workers able", "workers_able", 6),
    ],
  },
  workers: {
    title: "Workers",
    none: "no worker is connected",
    keyOf: keyFrom("address_port"),
    columns: [
      text("id", "wqx_worker", 3),
      text("host", "hostname", 0, true),
      text("address", "address_port", 7),
      share("cores", "cores", 0, formatCount),
      share("memory", "memory", 1, memorySize),
      share("disk", "disk", 4, memorySize),
      share("gpus", "gpus", 6, formatCount),
      count("tasks", "total_tasks_running", 0),
      count("done", "total_tasks_complete", 1),
      since("age", "start_time", 2),
    ],
  },
  tasks: {
    title: "Tasks",
    none: "no task is open",
    keyOf: keyFrom("taskid"),
    columns: [
      { ...count("id", "taskid", 0), value: (record) => integerOf(record, "taskid") },
      state,
      text("category", "category", 2),
      text("host", "host", 3),
      text("command", "command", 1, true),
      count("cores", "cores", 4),
      number("memory", 4, (record) => valueOf(record, "memory"), memorySize),
      number("disk", 6, (record) => valueOf(record, "disk"), memorySize),
      since("time", "time_when_commit_start", 1),
    ],
  },
};

/** Whether a factory serves a manager, as far as its record says. */
export function servesManager(factory: JxObject, manager: JxObject): boolean {
  return objectsOf(factory, "managers").some((one) =>
    stringOf(one, "project") === stringOf(manager, "project") &&
    integerOf(one, "port") === integerOf(manager, "port")
  );
}
