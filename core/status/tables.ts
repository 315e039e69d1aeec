/** Which tables `work_queue_status` has, of what they are made, and what they are asked with. */
import type { ManagerQuestion } from "./questions.ts";
import { managerOfForeman } from "../catalog/selection.ts";
import { integerOf, type JxObject, objectsOf, stringOf } from "../jx/value.ts";
import type { TextPattern } from "../posix_regex.ts";
import type { TableColumn } from "./table_layout.ts";

export type TableName =
  | "statistics"
  | "tasks"
  | "workers"
  | "ableWorkers"
  | "resources"
  | "capacity";

export interface TableSpec {
  readonly question: ManagerQuestion;
  /** The catalog has no records for it. */
  readonly directOnly: boolean;
  readonly columns: readonly TableColumn[];
}

/** A column of words; with `+` before its width it grows. */
function left(key: string, title: string, width: number | `+${number}`): TableColumn {
  return column(key, title, "left", width);
}

function right(key: string, title: string, width: number | `+${number}`): TableColumn {
  return column(key, title, "right", width);
}

function column(
  key: string,
  title: string,
  align: TableColumn["align"],
  width: number | `+${number}`,
): TableColumn {
  return { key, title, align, width: Number(width), grows: typeof width === "string" };
}

function gigabytes(of: TableColumn): TableColumn {
  return { ...of, gigabytes: true };
}

export const tables: Readonly<Record<TableName, TableSpec>> = {
  statistics: {
    question: "queue_status",
    directOnly: false,
    columns: [
      left("project", "PROJECT", "+18"),
      left("name", "HOST", "+21"),
      right("port", "PORT", 5),
      right("tasks_waiting", "WAITING", 7),
      right("tasks_running", "RUNNING", 7),
      right("tasks_complete", "COMPLETE", 8),
      right("workers", "WORKERS", 7),
    ],
  },
  tasks: {
    question: "task_status",
    directOnly: true,
    columns: [
      left("taskid", "ID", 4),
      left("state", "STATE", 8),
      right("priority", "PRIORITY", 8),
      left("host", "HOST", "+10"),
      left("command", "COMMAND", "+18"),
      left("cores", "CORES", 8),
      left("memory", "MEMORY", 8),
      left("disk", "DISK", 8),
      left("gpus", "GPUS", 8),
    ],
  },
  workers: {
    question: "worker_status",
    directOnly: true,
    columns: [
      left("hostname", "HOST", "+10"),
      left("address_port", "ADDRESS", "+15"),
      right("total_tasks_complete", "COMPLETED", 9),
      left("total_tasks_running", "RUNNING", 7),
      left("cores_inuse", "CORE_USE", "+6"),
      left("cores_total", "CORE_ALL", "+6"),
      left("memory_inuse", "MEM_USE", "+5"),
      left("memory_total", "MEM_ALL", "+5"),
      left("disk_inuse", "DISK_USE", "+6"),
      left("disk_total", "DISK_ALL", "+6"),
      left("gpus_inuse", "GPUS_USE", "+6"),
      left("gpus_total", "GPUS_ALL", "+6"),
    ],
  },
  ableWorkers: {
    question: "wable_status",
    directOnly: true,
    columns: [
      left("category", "CATEGORY", "+12"),
      right("tasks_on_workers", "DISPATCHED", 10),
      right("tasks_waiting", "WAITING", 10),
      right("workers_able", "FIT-WORKERS", 12),
      right("max_cores", "MAX-CORES", 10),
      right("max_memory", "MAX-MEMORY", 10),
      right("max_disk", "MAX-DISK", 10),
    ],
  },
  resources: {
    question: "resources_status",
    directOnly: false,
    columns: [
      left("project", "MANAGER", "+19"),
      right("cores_total", "CORES", 6),
      right("cores_inuse", "INUSE", 6),
      gigabytes(right("memory_total", "MEM(GB)", 8)),
      gigabytes(right("memory_inuse", "INUSE", 8)),
      right("gpus_total", "GPUS", 9),
      right("gpus_inuse", "INUSE", 9),
    ],
  },
  capacity: {
    // Work Queue's own program breaks where a host is given.
    question: "queue_status",
    directOnly: false,
    columns: [
      left("project", "MANAGER", 30),
      left("capacity_tasks", "TASKS", 10),
      left("capacity_cores", "CORES", 10),
      left("capacity_memory", "MEMORY", 15),
      left("capacity_disk", "DISK", 20),
    ],
  },
};

/** Narrower windows are taken for a mistake. */
const widthMin = 10;
const widthDefault = 80;

/** COLUMNS wins over the window; one of them that says too little counts as 80. */
export function tableWidth(variable: string | undefined, window: number | null): number {
  const given = variable === undefined ? window ?? widthDefault : Number.parseInt(variable, 10);
  return given >= widthMin ? given : widthDefault;
}

/**
 * Managers whose project matches, each followed by the foremen that serve it, theirs by those that
 * serve them, and so on, with `>`, `->` … before their names.
 */
export function managerTree(records: readonly JxObject[], pattern: TextPattern | null): JxObject[] {
  const named = (record: JxObject) => pattern?.test(stringOf(record, "project") ?? "") ?? true;
  const seen = new Set<JxObject>();
  const below = (manager: JxObject, depth: number): JxObject[] => {
    const places = placesOf(manager);
    return records.flatMap((record) => {
      const at = managerOfForeman(record);
      // Foremen that serve one another in a circle are shown once.
      if (at === null || !places.has(at) || seen.has(record)) return [];
      seen.add(record);
      const project = `${"-".repeat(depth - 1)}>${stringOf(record, "project") ?? ""}`;
      return [new Map(record).set("project", project), ...below(record, depth + 1)];
    });
  };
  return records.filter((record) => managerOfForeman(record) === null && named(record))
    .flatMap((record) => [record, ...below(record, 1)]);
}

/** Everywhere a manager can be: a foreman tells the one that it found. */
function placesOf(record: JxObject): ReadonlySet<string> {
  const hosts = [
    stringOf(record, "address"),
    stringOf(record, "name"),
    ...objectsOf(record, "network_interfaces").map((one) => stringOf(one, "address")),
  ];
  const port = integerOf(record, "port");
  return new Set(hosts.flatMap((host) => host === null ? [] : [`${host}:${port}`]));
}
