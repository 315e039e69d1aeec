/** A manager as the client of its API may handle it: what each request means, in Work Queue's terms. */
import type { Mode } from "../core/allocation/mod.ts";
import type { Amounts } from "../core/allocation/policy.ts";
import type { Address } from "../core/addresses.ts";
import { type ClientResult, clientResult, summaryOf } from "../core/api/result.ts";
import { categoryStats, hungryBelow, queueStats, type StatsSource } from "../core/api/stats.ts";
import { type Stats, workersSummary } from "../core/api/stats.ts";
import type { Submitted } from "../core/api/task.ts";
import { tuned, type Tuning, tuningDefault } from "../core/api/tuning.ts";
import { fileInput, shared } from "../core/cache_names.ts";
import { UsageError } from "../core/errors.ts";
import { type TaskId, taskId } from "../core/ids.ts";
import type { MonitorMode } from "../core/monitor/mode.ts";
import { noResources, type Resources } from "../core/resources.ts";
import { defaultLimits } from "../core/scheduler/limits.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import { hostOf, isReady, type WorkerState } from "../core/scheduler/workers.ts";
import { statusAnswer } from "../core/status/answer.ts";
import { catalogsOf } from "../io/catalog_client.ts";
import { Advertiser } from "./advertise.ts";
import { plainTextNote } from "./joining.ts";
import { diskFullNote } from "./listener.ts";
import { Manager, type ManagerOptions, type Presence } from "./server.ts";
import { AppendedFile, statisticsHead, statisticsRow, Summaries } from "./stats_log.ts";
import { TransactionsLog } from "./transactions_log.ts";

/** Results that a client has not taken, beyond which nothing is dispatched; half of it, and on. */
const backlogMax = { results: 100_000, bytes: 256 * 1024 ** 2 };

/** Work Queue's rows of statistics come no closer. */
const statisticsEveryMs = 5000;

/** As Work Queue keeps it; bytes. */
const printedBytesMax = 1024 ** 3;

/** Work Queue's numbers of modes. The quantized one, with its one bucket, is the maximum. */
const modes: readonly Mode[] = [
  ...["fixed", "max-seen", "min-waste", "max-throughput", "greedy-bucketing"] as const,
  ...["exhaustive-bucketing", "det-greedy-bucketing", "det-exhaustive-bucketing"] as const,
  "max-seen",
];

/** What is absent stays as it is. */
export interface CategoryChange {
  /** Work Queue's number. */
  readonly mode?: number;
  readonly max?: Amounts;
  readonly min?: Amounts;
  readonly guess?: Amounts;
  readonly runningMax?: number;
  /** Work Queue's multiplier: at least 1 is on, 0 off, below that of `default`. */
  readonly fastAbort?: number;
}

/** Who hears of results. */
export interface ClientEars {
  result(result: ClientResult): void;
  /** Something may have changed. */
  turned(): void;
  note(line: string): void;
}

export interface ClientManagerOptions
  extends Required<Pick<ManagerOptions, "version" | "port" | "foreignMonitor" | "serving">> {
  /** Address to listen on; all interfaces by default. */
  readonly hostname?: string;
}

export class ClientManager {
  readonly #manager: Manager;
  readonly #startedEpochMs = Date.now();
  readonly #categories = new Set<string>();
  readonly #summaryFolders = new Map<TaskId, string>();
  #tuning: Tuning = tuningDefault;
  #modeLater: Mode = "fixed";
  #monitor: MonitorMode = "off";
  #summaries: Summaries | null = null;
  #statistics: AppendedFile | null = null;
  #statisticsMs = -Infinity;
  #transactions: TransactionsLog | null = null;
  #advertiser: Advertiser | null = null;
  #name = "";
  #catalogs: readonly Address[] | null = null;
  #declared: Resources = noResources;
  #hostsBlocked = 0;
  #taken = 0;
  #waitsForWorkers = false;
  #backlogIsFull = false;
  #held = false;
  #backlog = { results: 0, bytes: 0 };

  constructor(options: ClientManagerOptions, private readonly ears: ClientEars) {
    // Whether a host is to blame for what a command returned, its owner knows.
    const limits = { ...defaultLimits, hostFailuresMax: Infinity };
    const { advertising, ...serving } = options.serving;
    this.#manager = Manager.listen({
      ...options,
      serving: { ...serving, advertising: null },
      name: advertising?.project ?? "",
      limits,
      printedBytesMax,
    }, {
      attemptEnded: (id, attempt, again) => this.#attemptEnded(id, attempt, again),
      returned: (task, end) => this.#returned(task, end),
      workerJoined: (worker) => this.#joined(worker),
      workerLeft: (worker, why) => this.#left(worker, why),
      refused: (address, why) => ears.note(`The connection from ${address} was refused: ${why}`),
      tooLarge: (why) => ears.note(`Too large: ${why}`),
      plainText: (worker) => ears.note(plainTextNote(worker)),
      stalled: (why) => ears.note(why),
      diskFull: (why) => ears.note(diskFullNote(why)),
      hostBlocked: (host, why) => ears.note(`Host ${host} gets no tasks for a while: ${why}`),
      dispatched: (id, worker, box) => this.#transactions?.running(id, worker, box),
      turned: () => this.#turned(),
    });
    if (advertising !== null) {
      this.#name = advertising.project;
      this.#catalogs = advertising.catalogs;
      this.#advertise();
    }
  }

  get port(): number {
    return this.#manager.port;
  }

  /** `[taken, waiting, running, retrieving, workers, hungry_below]`. */
  get counts(): readonly number[] {
    const { scheduler } = this.#manager;
    let [running, retrieving, workers] = [0, 0, 0];
    for (const worker of scheduler.workers.values()) {
      running += worker.running.size;
      retrieving += worker.retrieving.size;
      if (isReady(worker)) workers++;
    }
    const { hungryMinimum: minimum, hungryFactor: factor } = this.#tuning;
    const below = hungryBelow(scheduler.workers.values(), { minimum, factor });
    return [this.#taken, this.#manager.waitingCount, running, retrieving, workers, below];
  }

  /** Throws a UsageError for the id of a task that is here. */
  submit({ id, spec, monitorOutput }: Submitted): void {
    if (this.#manager.scheduler.tasks.has(id)) {
      throw new UsageError(`there is a task ${id} already`);
    }
    this.#taken++;
    this.#know(spec.category);
    if (spec.request.cores !== undefined || spec.request.memoryMb !== undefined) {
      this.#raise(spec.request);
    }
    if (monitorOutput !== null) this.#summaryFolders.set(id, monitorOutput);
    this.#transactions?.waiting(id, spec.category, spec.request);
    this.#manager.submit(spec, id);
  }

  /** Which of these were canceled: the others had ended. */
  cancel(ids: readonly number[]): number[] {
    const { tasks } = this.#manager.scheduler;
    return ids.filter((given) => {
      const id = taskId(given);
      if (!tasks.has(id)) return false;
      this.#manager.cancel(id);
      return true;
    });
  }

  cancelCategory(name: string): number[] {
    const { tasks } = this.#manager.scheduler;
    const ids = [...tasks.values()].filter(({ spec }) => spec.category === name).map(({ id }) =>
      id
    );
    return this.cancel(ids);
  }

  /** As Work Queue numbers them; 0: not here. */
  stateOf(id: number): number {
    switch (this.#manager.scheduler.tasks.get(taskId(id))?.phase.name) {
      case "waiting":
        return 1;
      case "running":
        return 2;
      case "retrieving":
        return 3;
      default:
        return 0;
    }
  }

  stats(): Stats {
    return queueStats(this.#statsSource());
  }

  statsOf(category: string): Stats {
    this.#know(category);
    return categoryStats(this.#statsSource(), category);
  }

  statusOf(what: "queue" | "tasks" | "workers" | "categories"): unknown {
    const request = { queue: "queue", tasks: "task", workers: "worker", categories: "wable" }[what];
    const question = { type: "status", request: `${request}_status` } as const;
    return JSON.parse([...statusAnswer(question, this.#manager.status) ?? ["[]"]].join(""));
  }

  workersSummary(): unknown {
    return workersSummary(this.#manager.workers);
  }

  // Settings

  setCategory(name: string | null, change: CategoryChange): void {
    const { mode: number, max, min, guess, runningMax, fastAbort } = change;
    const mode = number === undefined ? undefined : modes[number];
    if (number !== undefined && mode === undefined) {
      throw new UsageError(`there is no mode ${number}: modes are 0 to ${modes.length - 1}`);
    }
    if (name === null) {
      if (mode !== undefined) this.#modeLater = mode;
      return;
    }
    this.#know(name);
    this.#raise(max ?? {});
    const allocation = {
      ...(mode !== undefined && { mode }),
      ...(max !== undefined && { max }),
      ...(min !== undefined && { min }),
      ...(guess !== undefined && { guess }),
    };
    this.#order(name, {
      ...(Object.keys(allocation).length > 0 && { allocation }),
      ...(runningMax !== undefined && { runningMax }),
      ...(fastAbort !== undefined && { stragglerFactor: stragglerFactor(fastAbort) }),
    });
  }

  /** `false`: there is no such name. */
  tune(name: string, value: number): boolean {
    const result = tuned(name, value);
    switch (result.kind) {
      case "tuning":
        this.#tuning = { ...this.#tuning, ...result.change };
        if (result.change.stragglerFactor !== undefined) {
          this.#order("default", { stragglerFactor: result.change.stragglerFactor });
        }
        if (result.change.workersFirst !== undefined) this.#waitsForWorkers = true;
        this.#pauseOrGo();
        break;
      case "limits":
        this.#manager.order({ type: "limits", limits: result.change });
        break;
      case "nothing":
      case "unknown":
    }
    return result.kind !== "unknown";
  }

  async monitor(mode: MonitorMode, folder: string | null): Promise<void> {
    this.#summaries = folder === null ? null : await Summaries.open(folder);
    this.#monitor = mode;
    this.#manager.order({ type: "monitor", mode });
  }

  present(presence: Partial<Presence>): void {
    this.#manager.present(presence);
  }

  async rename(name: string | null): Promise<void> {
    this.#name = name ?? "";
    this.#manager.present({ name: this.#name });
    await this.#stopAdvertising();
    this.#advertise();
  }

  async setCatalogs(catalogs: readonly Address[] | null): Promise<void> {
    this.#catalogs = catalogs;
    await this.#stopAdvertising();
    this.#advertise();
  }

  // Workers and hosts

  drain(host: string, on: boolean): number {
    const count = [...this.#manager.workers].filter((worker) => hostOf(worker) === host).length;
    this.#manager.order({ type: "drain", host, on });
    return count;
  }

  block(host: string, seconds: number): void {
    const untilMs = seconds < 1 ? Infinity : performance.now() + seconds * 1000;
    this.#hostsBlocked++;
    this.#manager.order({ type: "block", host, untilMs });
  }

  unblock(host: string | null): void {
    this.#manager.order({ type: "unblock", host });
  }

  invalidate(path: string): number {
    const { cacheName } = fileInput(path, { sandboxName: "", owner: shared });
    const count = [...this.#manager.workers].filter(({ cached }) => cached.has(cacheName)).length;
    this.#manager.order({ type: "invalidate", cacheName });
    return count;
  }

  /** `count` 0: all without work. */
  dismiss(count: number): number {
    const leaving = () => [...this.#manager.workers].filter((worker) => worker.leaving).length;
    const before = leaving();
    this.#manager.order({ type: "dismiss_idle", count: count === 0 ? Infinity : count });
    return leaving() - before;
  }

  // Logs

  async logStatistics(path: string): Promise<void> {
    const file = await AppendedFile.open(path);
    await this.#statistics?.close();
    file.append(statisticsHead);
    this.#statistics = file;
    this.#logRow();
  }

  async logTransactions(path: string): Promise<void> {
    const log = await TransactionsLog.open(path);
    await this.#transactions?.close();
    this.#transactions = log;
  }

  // Flow

  /** What the client has not taken: beyond a limit nothing is dispatched. */
  noteBacklog(backlog: { readonly results: number; readonly bytes: number }): void {
    this.#backlog = backlog;
    const isAbove = (share: number) =>
      backlog.results > backlogMax.results * share || backlog.bytes > backlogMax.bytes * share;
    const isFull = isAbove(this.#backlogIsFull ? 0.5 : 1);
    if (isFull === this.#backlogIsFull) return;
    this.#backlogIsFull = isFull;
    this.#pauseOrGo();
  }

  /** While true, nothing is dispatched. */
  hold(held: boolean): void {
    this.#held = held;
    this.#pauseOrGo();
  }

  /** `dismiss`: workers leave for good. The port is free at the end; safe to call again. */
  async close(dismiss: boolean): Promise<void> {
    await Promise.all([
      this.#stopAdvertising(),
      this.#manager.close(dismiss ? "exit" : "release"),
    ]);
    if (this.#statistics !== null) this.#logRow();
    await Promise.all([
      this.#statistics?.close(),
      this.#transactions?.close(),
      this.#summaries?.close(),
    ]);
    this.#statistics = this.#transactions = this.#summaries = null;
  }

  // What happens

  #attemptEnded(id: TaskId, attempt: Attempt, again: boolean): void {
    this.#transactions?.retrieved(id, attempt);
    if (!again) return;
    const spec = this.#manager.scheduler.tasks.get(id)?.spec;
    if (spec !== undefined) this.#transactions?.waiting(id, spec.category, spec.request);
  }

  #returned(task: Task, end: TaskEnd): void {
    const folder = this.#summaryFolders.get(task.id);
    this.#summaryFolders.delete(task.id);
    this.#transactions?.done(task, end);
    if (end.kind === "canceled") return; // answered by the request
    const moment = {
      nowMs: performance.now(),
      epochOffsetMs: this.#manager.epochOffsetMs,
      monitored: this.#monitor !== "off",
    };
    const last = task.attempts.at(-1);
    if (last !== undefined && (this.#summaries !== null || folder !== undefined)) {
      const summary = summaryOf(task, last);
      if (summary !== null) {
        this.#summaries?.keep(task.id, summary);
        if (folder !== undefined) void Summaries.keepIn(folder, task.id, summary, this.ears.note);
      }
    }
    this.ears.result(clientResult(task, end, moment));
  }

  #joined(worker: WorkerState): void {
    this.ears.note(`Worker ${worker.id} joined from ${worker.address}`);
    this.#transactions?.joined(worker);
    this.#pauseOrGo();
  }

  #left(worker: WorkerState, why: string): void {
    const who = worker.greeting === null ? `The connection from ${worker.address}` : worker.id;
    this.ears.note(`${who} was lost: ${why}`);
    this.#transactions?.left(worker);
  }

  #turned(): void {
    if (this.#statistics !== null && performance.now() - this.#statisticsMs > statisticsEveryMs) {
      this.#logRow();
    }
    this.ears.turned();
  }

  #logRow(): void {
    this.#statisticsMs = performance.now();
    this.#statistics?.append(statisticsRow(this.stats(), Date.now()));
  }

  // Helpers

  /** A category is its own from the first mention on: nothing is inherited from `default`. */
  #know(name: string): void {
    if (this.#categories.has(name)) return;
    this.#categories.add(name);
    const { steadyCount } = this.#tuning;
    const allocation = { mode: this.#modeLater, steadyCount, chance: Math.random };
    this.#order(name, { allocation });
  }

  #order(name: string, change: Parameters<typeof orderOf>[1]): void {
    this.#manager.order(orderOf(name, change));
  }

  #raise({ cores = 0, memoryMb = 0, diskMb = 0, gpus = 0 }: Amounts): void {
    const declared = this.#declared;
    this.#declared = {
      cores: Math.max(cores, declared.cores),
      memoryMb: Math.max(memoryMb, declared.memoryMb),
      diskMb: Math.max(diskMb, declared.diskMb),
      gpus: Math.max(gpus, declared.gpus),
    };
  }

  #pauseOrGo(): void {
    if (this.#waitsForWorkers) {
      const ready = [...this.#manager.workers].filter(isReady).length;
      this.#waitsForWorkers = ready < this.#tuning.workersFirst;
    }
    this.#manager.paused = this.#waitsForWorkers || this.#backlogIsFull || this.#held;
  }

  #statsSource(): StatsSource {
    const { scheduler, statistics } = this.#manager;
    return {
      tasks: scheduler.tasks,
      workers: scheduler.workers,
      statistics,
      waiting: this.#manager.waitingCount,
      startedEpochMs: this.#startedEpochMs,
      hostsBlocked: this.#hostsBlocked,
      declared: this.#declared,
    };
  }

  #advertise(): void {
    if (this.#name === "") return;
    this.#advertiser = Advertiser.start({
      project: this.#name,
      catalogs: this.#catalogs ?? catalogsOf(undefined),
      manager: this.#manager,
      note: (line) => this.ears.note(line),
    });
  }

  async #stopAdvertising(): Promise<void> {
    const advertiser = this.#advertiser;
    this.#advertiser = null;
    await advertiser?.[Symbol.asyncDispose]();
  }
}

function orderOf(
  name: string,
  change: Extract<Parameters<Manager["order"]>[0], { type: "category" }>["change"],
): Parameters<Manager["order"]>[0] {
  return { type: "category", name, change };
}

/** In the scheduler's terms; `null`: that of `default`. */
function stragglerFactor(multiplier: number): number | null {
  if (multiplier >= 1) return multiplier;
  return multiplier === 0 ? Infinity : null;
}
