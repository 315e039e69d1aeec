/**
 * One task list from start to end: entries as they come, the manager that has them done, the log
 * of results. Every entry gets exactly one result.
 */
import type { CategorySummary } from "../core/analysis/progress.ts";
import { CategorySums } from "../core/category_sums.ts";
import { messageOf, RunError } from "../core/errors.ts";
import type { TaskId } from "../core/ids.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import { type Found, keptNameOf, taskSpecOf } from "../core/tasklist/build.ts";
import { Dependencies, type Fault, type Moves } from "../core/tasklist/dependencies.ts";
import type { StateCounts, TaskProgress } from "../core/tasklist/progress.ts";
import {
  interruptedWhy,
  lineOf,
  type ResultLine,
  resultOf,
  type ResultState,
} from "../core/tasklist/result.ts";
import {
  describeTask,
  type ListedTask,
  type ListEntry,
  type ListSpec,
} from "../core/tasklist/spec.ts";
import type { OwnerView } from "../core/status/snapshot.ts";
import { Crew, type RunOptions, upperFirst, type WorkerSeen } from "./crew.ts";
import { type Reader, ResultLog } from "./result_log.ts";
import { reportName, resultsName, RunFolder } from "./run_folder.ts";
import { prepareFiles } from "./task_files.ts";

/** Made ready together, so that the file system is not asked for one after the other. */
const preparedAtOnce = 64;

/** Of failures, told when the run ends; the rest is in the results. */
const failuresToldMax = 10;

export interface TaskListOptions extends RunOptions<TaskProgress> {
  /** Entries in the order of the list, by growing id; ends early when `stop` fires. */
  readonly entries: AsyncIterable<readonly ListEntry[]>;
  /** Tasks that are not over, beyond which no entries are asked for. */
  readonly aheadMax: number;
  /** Gets the results as JSON lines. */
  readonly reader: Reader;
}

/** A finished list, as the command line tells of it. */
export interface TaskListEnd {
  readonly interrupted: boolean;
  readonly counts: StateCounts;
  readonly categories: readonly CategorySummary[];
  /** The first few, in words. */
  readonly failures: readonly string[];
  readonly outputs: readonly string[];
}

interface Driven {
  readonly workers: readonly WorkerSeen[];
  readonly allocations: TaskProgress["allocations"];
  readonly progress: TaskProgress;
}

export class TaskListRun {
  readonly #dependencies = new Dependencies();
  readonly #sums = new CategorySums();
  readonly #counts: Record<ResultState, number> = {
    success: 0,
    failure: 0,
    "not run": 0,
    refused: 0,
    canceled: 0,
  };
  readonly #failures: string[] = [];
  readonly #finished = Promise.withResolvers<void>();
  readonly #startedAt = new Date();
  readonly #startedMs = performance.now();
  readonly #submitted = new Map<TaskId, ListedTask>();
  /** Known to the manager, which has not told its id yet. */
  #submitting: ListedTask | null = null;
  /** Local paths of outputs, and the tasks that are to write them. */
  readonly #writers = new Map<string, number>();
  readonly #kept = new Map<string, string>();
  #ready: ListedTask[] = [];
  #preparing = false;
  #room = Promise.withResolvers<void>();
  /** Of entries, so far. */
  #total = 0;
  #exhausted = false;
  #stopping = false;

  private constructor(
    private readonly spec: ListSpec,
    private readonly options: TaskListOptions,
    private readonly log: ResultLog,
  ) {}

  /** Throws UsageError before anything has started, RunError when it cannot go on. */
  static async run(spec: ListSpec, options: TaskListOptions): Promise<TaskListEnd> {
    await using folder = await RunFolder.open(spec.output);
    const log = await ResultLog.open(`${folder.path}/${resultsName}`, options.reader);
    const run = new TaskListRun(spec, options, log);
    let driven: Driven;
    try {
      driven = await run.#drive();
    } finally {
      await log.end(options.abort);
    }
    options.view.finish(driven.progress); // after the last result
    await folder.write(reportName, JSON.stringify(run.#report(driven), null, 1) + "\n");
    return {
      interrupted: run.#stopping,
      counts: run.#counts,
      categories: run.#sums.rows,
      failures: run.#failures,
      outputs: [resultsName, reportName].map((name) => `${folder.path}/${name}`),
    };
  }

  async #drive(): Promise<Driven> {
    await using crew: Crew<TaskProgress> = Crew.start(this.spec, this.options, {
      attemptEnded: (id, attempt, again) => this.#attemptEnded(crew, id, attempt, again),
      returned: (task, end) => this.#returned(crew, task, end),
      stop: () => this.#stop(crew),
      abort: () => this.#abort(crew),
      progress: () => this.#progress(crew),
      view: () => this.#view(),
      over: () => this.#isOver,
    });
    const feeding = this.#feed(crew).catch((error) => this.#finished.reject(error));
    await crew.until(Promise.race([this.#finished.promise, this.log.failed]));
    await feeding;
    const { allocations } = crew.manager;
    return { workers: crew.workersSeen, allocations, progress: this.#progress(crew) };
  }

  // Entries

  async #feed(crew: Crew<TaskProgress>): Promise<void> {
    const { entries, aheadMax } = this.options;
    try {
      for await (const some of entries) {
        for (const entry of some) this.#take(crew, entry);
        while (this.#dependencies.count >= aheadMax && !this.#stopping) await this.#room.promise;
        if (this.#stopping) break;
      }
    } catch (error) {
      throw new RunError(`Cannot read on in the list of tasks: ${messageOf(error)}`);
    }
    this.#exhausted = true;
    this.#finishIfOver();
  }

  #take(crew: Crew<TaskProgress>, entry: ListEntry): void {
    this.#total++;
    if (entry.kind === "refused") {
      this.#tell(lineOf(entry.entry, "refused", entry.entry.why));
      this.#follow(crew, this.#dependencies.refused(entry.entry.id));
      return;
    }
    const { task } = entry;
    const taken = task.outputs.find(({ path }) => this.#writers.has(path));
    if (taken !== undefined) {
      const other = this.#writers.get(taken.path);
      const why = `task ${other}, which is not over, writes to "${taken.path}", too`;
      this.#tell(lineOf(task, "refused", why));
      this.#follow(crew, this.#dependencies.refused(task.id));
      return;
    }
    for (const { path } of task.outputs) this.#writers.set(path, task.id);
    this.#follow(crew, this.#dependencies.add(task));
  }

  #follow(crew: Crew<TaskProgress>, { ready, doomed }: Moves): void {
    for (const { task, why } of doomed) {
      this.#release(task);
      this.#tell(lineOf(task, "not run", why));
    }
    if (ready.length > 0) {
      for (const task of ready) this.#ready.push(task);
      if (!this.#preparing) this.#prepare(crew).catch((error) => this.#finished.reject(error));
    }
    if (this.#dependencies.count < this.options.aheadMax) this.#makeRoom();
    this.#finishIfOver();
  }

  /** Hands what is ready to the manager, in order. */
  async #prepare(crew: Crew<TaskProgress>): Promise<void> {
    this.#preparing = true;
    while (this.#ready.length > 0) {
      const tasks = this.#ready;
      this.#ready = [];
      for (let start = 0; start < tasks.length; start += preparedAtOnce) {
        const some = tasks.slice(start, start + preparedAtOnce);
        const prepared = await Promise.all(some.map(prepareFiles));
        some.forEach((task, i) => this.#submit(crew, task, prepared[i]!));
      }
    }
    this.#preparing = false;
  }

  #submit(
    crew: Crew<TaskProgress>,
    task: ListedTask,
    found: ReadonlyMap<string, Found> | string,
  ): void {
    if (this.#stopping) {
      this.#ended(crew, task, lineOf(task, "canceled", interruptedWhy), "was canceled");
    } else if (typeof found === "string") {
      this.#ended(crew, task, lineOf(task, "refused", found), "was refused");
    } else {
      this.#submitting = task;
      const id = crew.manager.submit(taskSpecOf(task, found, this.#kept));
      // A task that no worker could be told of is returned at once.
      if (this.#submitting !== null) this.#submitted.set(id, task);
      this.#submitting = null;
    }
  }

  // Ends

  #attemptEnded(crew: Crew<TaskProgress>, id: TaskId, attempt: Attempt, again: boolean): void {
    const task = this.#submitted.get(id);
    if (task === undefined || !again) return;
    if (this.#stopping) {
      if (crew.manager.isWaiting(id)) crew.manager.cancel(id);
    } else if (attempt.ending.kind === "failure") {
      const { why } = attempt.ending;
      const what = describeTask(task);
      this.options.view.note(`Failed ${what} on host ${attempt.host}; trying again: ${why}`);
    }
  }

  #returned(crew: Crew<TaskProgress>, task: Task, end: TaskEnd): void {
    const listed = this.#submitted.get(task.id) ?? this.#submitting!;
    this.#submitted.delete(task.id);
    this.#submitting = null;
    this.#sums.add(listed.category, end.kind, task.attempts);
    if (end.kind === "success") {
      for (const output of listed.outputs) {
        if (output.cache) this.#kept.set(output.path, keptNameOf(listed, output));
      }
    }
    const fault = { success: null, failure: "failed", canceled: "was canceled" } as const;
    const line = resultOf(listed, task, end, performance.timeOrigin);
    this.#ended(crew, listed, line, fault[end.kind]);
  }

  #ended(
    crew: Crew<TaskProgress>,
    task: ListedTask,
    line: ResultLine,
    fault: Fault | null,
  ): void {
    this.#release(task);
    this.#tell(line);
    this.#follow(crew, this.#dependencies.ended(task, fault));
  }

  #tell(line: ResultLine): void {
    this.log.add(line);
    this.#counts[line.state]++;
    const bad = line.state === "failure" || line.state === "refused";
    if (bad && this.#failures.length < failuresToldMax) {
      const host = line.host === null ? "" : ` on host ${line.host}`;
      const how = line.state === "refused" ? "was refused" : "failed";
      this.#failures.push(`${upperFirst(describeTask(line))} ${how}${host}: ${line.why}`);
    }
  }

  #release(task: ListedTask): void {
    for (const { path } of task.outputs) this.#writers.delete(path);
  }

  #makeRoom(): void {
    const made = this.#room;
    this.#room = Promise.withResolvers();
    made.resolve();
  }

  // Stopping

  /** Starts nothing new: what waits is canceled, what runs may end. */
  #stop(crew: Crew<TaskProgress>): void {
    this.#stopping = true;
    for (const task of this.#dependencies.giveUp()) {
      this.#release(task);
      this.#tell(lineOf(task, "canceled", interruptedWhy));
    }
    for (const id of [...this.#submitted.keys()]) {
      if (crew.manager.isWaiting(id)) crew.manager.cancel(id);
    }
    this.#makeRoom();
    this.#finishIfOver();
  }

  #abort(crew: Crew<TaskProgress>): void {
    this.#stopping = true;
    for (const id of [...this.#submitted.keys()]) crew.manager.cancel(id);
  }

  get #isOver(): boolean {
    return this.#dependencies.count === 0 && (this.#exhausted || this.#stopping);
  }

  #finishIfOver(): void {
    if (this.#isOver) this.#finished.resolve();
  }

  // What is shown

  #progress({ manager }: Crew<TaskProgress>): TaskProgress {
    const { running, workers } = manager.counts;
    const { success, failure, refused } = this.#counts;
    const failed = failure + refused + this.#counts["not run"];
    const open = this.#dependencies.count;
    const elapsedMs = performance.now() - this.#startedMs;
    const tasksPerSecond = elapsedMs === 0 ? 0 : (success + failure) / elapsedMs * 1000;
    return {
      phase: this.#phase,
      total: this.#exhausted || this.#stopping ? this.#total : null,
      waiting: Math.max(0, open - running),
      running,
      succeeded: success,
      failed,
      workers,
      // Asked for only where it is shown: a list may have very many categories.
      get allocations() {
        return manager.allocations;
      },
      elapsedMs,
      tasksPerSecond,
      leftMs: this.#exhausted && tasksPerSecond > 0 ? open / tasksPerSecond * 1000 : null,
    };
  }

  /** For those who ask the manager: what the list has names for, and what waits for others. */
  #view(): OwnerView {
    const dependencies = this.#dependencies;
    return {
      named: (name) => {
        for (const [id, task] of this.#submitted) {
          if (task.name === name) return { kind: "submitted", id };
        }
        if (this.#ready.some((task) => task.name === name)) return { kind: "preparing" };
        const after = dependencies.openBefore(name);
        return after === null ? null : { kind: "held", after };
      },
      nameOf: (id) => this.#submitted.get(id)?.name ?? null,
      held: dependencies.waitingCount,
      courses: new Map(),
    };
  }

  get #phase(): TaskProgress["phase"] {
    if (this.#stopping) return this.#isOver ? "stopped" : "stopping";
    return this.#isOver ? "done" : "running";
  }

  #report({ workers, allocations }: Driven): unknown {
    const { success, canceled } = this.#counts;
    const failed = this.#total > success + canceled;
    return {
      name: this.spec.name,
      wqx: this.options.version,
      state: this.#stopping ? "interrupted" : failed ? "failed" : "complete",
      started: this.#startedAt.toISOString(),
      seconds: (performance.now() - this.#startedMs) / 1000,
      tasks: { total: this.#total, ...this.#counts },
      categories: this.#sums.rows,
      allocations,
      workers,
    };
  }
}
