/**
 * Files that a manager appends to while it runs: statistics, as Work Queue's plotting programs read
 * them, and what the monitor said of each task.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Stats } from "../core/api/stats.ts";
import { messageOf, UsageError } from "../core/errors.ts";
import type { TaskId } from "../core/ids.ts";

/** Columns of the statistics log, in Work Queue's order. */
const columns = [
  ...["timestamp", "workers_connected", "workers_init", "workers_idle", "workers_busy"],
  ...["workers_able", "workers_joined", "workers_removed", "workers_released"],
  ...["workers_idled_out", "workers_blocked", "workers_fast_aborted", "workers_lost"],
  ...["tasks_waiting", "tasks_on_workers", "tasks_running", "tasks_with_results"],
  ...["tasks_submitted", "tasks_dispatched", "tasks_done", "tasks_failed", "tasks_cancelled"],
  ...["tasks_exhausted_attempts", "time_send", "time_receive", "time_send_good"],
  ...["time_receive_good", "time_status_msgs", "time_internal", "time_polling"],
  ...["time_application", "time_execute", "time_execute_good", "time_execute_exhaustion"],
  ...["bytes_sent", "bytes_received", "bandwidth", "capacity_tasks", "capacity_cores"],
  ...["capacity_memory", "capacity_disk", "capacity_instantaneous", "capacity_weighted"],
  ...["manager_load", "total_cores", "total_memory", "total_disk", "committed_cores"],
  ...["committed_memory", "committed_disk", "max_cores", "max_memory", "max_disk"],
  ...["min_cores", "min_memory", "min_disk"],
];

/** Columns that are called otherwise among the statistics. */
const named: Readonly<Record<string, string>> = {
  time_execute: "time_workers_execute",
  time_execute_good: "time_workers_execute_good",
  time_execute_exhaustion: "time_workers_execute_exhaustion",
};

const fractions: ReadonlySet<string> = new Set(["bandwidth", "manager_load"]);

export const statisticsHead = `# ${columns.join(" ")}\n`;

/** One line; `epochMs`: of the calendar. */
export function statisticsRow(stats: Stats, epochMs: number): string {
  const values = columns.map((column) => {
    if (column === "timestamp") return String(Math.round(epochMs * 1000));
    const value = stats[named[column] ?? column] ?? 0;
    return fractions.has(column) ? value.toFixed(6) : String(Math.round(value));
  });
  return `${values.join(" ")}\n`;
}

/** A file to which text is appended, in order, while nobody waits for it. */
export class AppendedFile {
  #waiting = "";
  #writing: Promise<void> | null = null;
  #broken = false;

  private constructor(private readonly file: Deno.FsFile) {}

  /** Makes its folder if there is none; throws a UsageError if it cannot be written. */
  static async open(path: string): Promise<AppendedFile> {
    try {
      await mkdir(dirname(path), { recursive: true });
      return new AppendedFile(await Deno.open(path, { append: true, create: true }));
    } catch (error) {
      throw new UsageError(`${path} cannot be written: ${messageOf(error)}`);
    }
  }

  /** A disk that is full ends the log, and nothing else. */
  append(text: string): void {
    if (this.#broken) return;
    this.#waiting += text;
    this.#writing ??= this.#write();
  }

  async close(): Promise<void> {
    await this.#writing;
    this.file.close();
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting !== "") {
        const bytes = new TextEncoder().encode(this.#waiting);
        this.#waiting = "";
        for (let done = 0; done < bytes.length;) {
          done += await this.file.write(bytes.subarray(done));
        }
      }
    } catch {
      this.#broken = true;
      this.#waiting = "";
    } finally {
      this.#writing = null;
    }
  }
}

/** What the monitor said: a file a task, and one with all of them, one after the other. */
export class Summaries {
  private constructor(private readonly folder: string, private readonly all: AppendedFile) {}

  /** Throws a UsageError if the folder cannot be written. */
  static async open(folder: string): Promise<Summaries> {
    return new Summaries(folder, await AppendedFile.open(`${folder}/wq-${Deno.pid}.summaries`));
  }

  keep(id: TaskId, summary: Readonly<Record<string, unknown>>): void {
    this.all.append(JSON.stringify(summary, null, 1) + "\n");
    void Summaries.keepIn(this.folder, id, summary, () => {});
  }

  /** Into a folder of the task's own; that it cannot is told and holds nobody up. */
  static async keepIn(
    folder: string,
    id: TaskId,
    summary: Readonly<Record<string, unknown>>,
    note: (line: string) => void,
  ): Promise<void> {
    try {
      await mkdir(folder, { recursive: true });
      const path = `${folder}/wq-${Deno.pid}-task-${id}.summary`;
      await Deno.writeTextFile(path, JSON.stringify(summary, null, 1) + "\n");
    } catch (error) {
      note(`The summary of task ${id} cannot be kept in ${folder}: ${messageOf(error)}`);
    }
  }

  async close(): Promise<void> {
    await this.all.close();
  }
}
