/** What becomes of each task and worker, line by line, as Work Queue's graphing programs read it. */
import type { Amounts } from "../core/allocation/policy.ts";
import { exceededOf, measuredOf } from "../core/api/result.ts";
import type { TaskId } from "../core/ids.ts";
import { resourceNamed } from "../core/monitor/resources.ts";
import { resultCode } from "../core/protocol/messages.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import { AppendedFile } from "./stats_log.ts";

const head = [
  "# time manager_pid MANAGER START|END",
  "# time manager_pid WORKER worker_id host:port CONNECTION",
  "# time manager_pid WORKER worker_id host:port DISCONNECTION reason",
  "# time manager_pid WORKER worker_id RESOURCES {resources}",
  "# time manager_pid TASK task_id WAITING category label {resources}",
  "# time manager_pid TASK task_id RUNNING worker_address label {resources}",
  "# time manager_pid TASK task_id RETRIEVED|DONE result exit_code {limits} {measured}",
  "# time manager_pid TASK task_id CANCELED",
  "",
].join("\n");

/** As Work Queue's logs call results. */
const names: Readonly<Record<number, string>> = {
  [resultCode.success]: "SUCCESS",
  [resultCode.inputMissing]: "INPUT_MISS",
  [resultCode.outputMissing]: "OUTPUT_MISS",
  [resultCode.stdoutMissing]: "STDOUT_MISS",
  [resultCode.resourceExhaustion]: "RESOURCE_EXHAUSTION",
  [resultCode.endTime]: "END_TIME",
  [resultCode.maxRetries]: "MAX_RETRIES",
  [resultCode.maxWallTime]: "MAX_WALL_TIME",
  [resultCode.diskFull]: "DISK_FULL",
  [resultCode.monitorError]: "MONITOR_ERROR",
  [resultCode.outputTransferError]: "OUTPUT_TRANSFER_ERROR",
};

export class TransactionsLog {
  /** Those that have more than a first allocation now. */
  readonly #climbing = new Set<TaskId>();

  private constructor(private readonly file: AppendedFile) {}

  /** Throws a UsageError if it cannot be written. */
  static async open(path: string): Promise<TransactionsLog> {
    const file = await AppendedFile.open(path);
    file.append(`${head}\n`);
    const log = new TransactionsLog(file);
    log.#line("MANAGER START");
    return log;
  }

  joined({ id, address, total }: WorkerState): void {
    this.#line(`WORKER ${id} ${address}  CONNECTION`);
    this.#line(`WORKER ${id} RESOURCES ${resources(total)}`);
  }

  left({ id, address, greeting, leaving }: WorkerState): void {
    if (greeting === null) return;
    this.#line(`WORKER ${id} ${address}  DISCONNECTION ${leaving ? "EXPLICIT" : "UNKNOWN"}`);
  }

  waiting(id: TaskId, category: string, request: Amounts): void {
    this.#line(`TASK ${id} WAITING ${category} ${this.#label(id)} ${resources(request)}`);
  }

  running(id: TaskId, { address }: WorkerState, box: Amounts): void {
    this.#line(`TASK ${id} RUNNING ${address}  ${this.#label(id)} ${resources(box)}`);
  }

  retrieved(id: TaskId, attempt: Attempt): void {
    if (attempt.exitCode === null) return;
    const { ending } = attempt;
    if (ending.kind === "failure" && ending.code === resultCode.resourceExhaustion) {
      this.#climbing.add(id);
    }
    this.#line(`TASK ${id} RETRIEVED ${ended(attempt, codeOf(ending))}`);
  }

  done({ id, attempts }: Task, end: TaskEnd): void {
    this.#climbing.delete(id);
    if (end.kind === "canceled") return this.#line(`TASK ${id} CANCELED`);
    this.#line(`TASK ${id} DONE ${ended(attempts.at(-1), codeOf(end))}`);
  }

  async close(): Promise<void> {
    this.#line("MANAGER END");
    await this.file.close();
  }

  #label(id: TaskId): string {
    return this.#climbing.has(id) ? "MAX_RESOURCES" : "FIRST_RESOURCES";
  }

  #line(text: string): void {
    this.file.append(`${Math.round(Date.now() * 1000)} ${Deno.pid} ${text}\n`);
  }
}

function codeOf(ending: Attempt["ending"] | TaskEnd): number {
  return ending.kind === "failure" ? ending.code : resultCode.success;
}

function ended(attempt: Attempt | undefined, code: number): string {
  const exceeded = attempt === undefined ? null : exceededOf(attempt);
  const measured = attempt === undefined ? null : measuredOf(attempt);
  const limits = exceeded === null ? " {}" : withUnits(exceeded);
  const exitCode = attempt?.exitCode ?? -1;
  return `${names[code] ?? "UNKNOWN"}  ${exitCode} ${limits} ${withUnits(measured ?? {})}`;
}

function resources({ cores, memoryMb, diskMb, gpus }: Amounts): string {
  return withUnits({
    ...(memoryMb !== undefined && { memory: memoryMb }),
    ...(diskMb !== undefined && { disk: diskMb }),
    ...(gpus !== undefined && { gpus }),
    ...(cores !== undefined && { cores }),
  });
}

function withUnits(amounts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(amounts).map(([name, value]) =>
    [name, [value, resourceNamed(name)?.unit ?? ""]] as const
  );
  return JSON.stringify(Object.fromEntries(entries));
}
