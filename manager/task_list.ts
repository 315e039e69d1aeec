/**
 * One task list from start to end: entries as they come, the manager that has them done, the log
 * of results. Every entry gets exactly one result.
 */
import type { CategorySummary } from "../core/analysis/progress.ts";
import type { CategorySums } from "../core/category_sums.ts";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import { type TaskId, taskId } from "../core/ids.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import { type Found, keptNameOf, taskSpecOf } from "../core/tasklist/build.ts";
import { Dependencies, type Fault, type Moves } from "../core/tasklist/dependencies.ts";
import type { FailedTasks, ListFailures } from "../core/tasklist/failures.ts";
import type { StateCounts, TaskProgress } from "../core/tasklist/progress.ts";
import { describeOther, type Finished, keyOf, printOf } from "../core/tasklist/records.ts";
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
import { beginning, type Resuming } from "./analysis_journal.ts";
import { type ListTakenUp, takeUpList } from "./list_journal.ts";
import { Pause } from "./journal.ts";
import { type Reader, ResultLog } from "./result_log.ts";
import { reportName, resultsName, RunFolder } from "./run_folder.ts";
import { type EnvironmentArchive, inArchive, openArchive } from "./environments.ts";
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
  /** Where the entries come from: an absolute path, or `-`. */
  readonly file?: string;
  /** What to do about an earlier run in the folder. */
  readonly resuming?: Resuming;
}

/** A finished list, as the command line tells of it. */
export interface TaskListEnd {
  readonly interrupted: boolean;
  readonly counts: StateCounts;
  readonly categories: readonly CategorySummary[];
  /** The first few, in words. */
  readonly failures: readonly string[];
  /** All of them, by cause. */
  readonly causes: readonly FailedTasks[];
  readonly outputs: readonly string[];
}

interface Driven {
  readonly workers: readonly WorkerSeen[];
  readonly allocations: TaskProgress["allocations"];
  readonly progress: TaskProgress;
}

export class TaskListRun {
  readonly #dependencies = new Dependencies();
  readonly #sums: CategorySums;
  readonly #counts: Record<ResultState, number> = {
    success: 0,
    failure: 0,
    "not run": 0,
    refused: 0,
    canceled: 0,
  };
  readonly #failures: string[] = [];
  readonly #failed: ListFailures;
  readonly #finished = Promise.withResolvers<void>();
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
  /** Under earlier managers. */
  readonly #doneBefore: number;
  /** Of entries, so far. */
  #total = 0;
  #exhausted = false;
  #stopping = false;

  private constructor(
    private readonly spec: ListSpec,
    private readonly options: TaskListOptions,
    private readonly log: ResultLog,
    private readonly before: ListTakenUp,
    private readonly pause: Pause,
  ) {
    this.#sums = before.sums;
    for (const { state } of before.finished.values()) this.#counts[state]++;
    this.#doneBefore = this.#counts.success + this.#counts.failure;
    for (const line of before.failures) this.#noteFailure(line);
    this.#failed = before.failed;
  }

  /**
   * Throws UsageError before anything has started, RunError when it cannot go on. An unfinished
   * list in the folder is gone on with, as `resuming` says.
   */
  static async run(spec: ListSpec, options: TaskListOptions): Promise<TaskListEnd> {
    const { reader, view, version, file = "-", resuming = beginning } = options;
    await using folder = await RunFolder.take(spec.output);
    folder.unfinished = true;
    const pause = new Pause();
    const note = (line: string) => view.note(line);
    const owner = { note, paused: pause.set };
    const before = await takeUpList(folder, {
      resuming,
      file,
      version,
      owner,
      failuresMax: failuresToldMax,
    });
    await using journal = before.journal;
    if (before.told !== null) note(before.told);
    const log = await ResultLog.open(`${folder.path}/${resultsName}`, reader, {
      journal,
      offset: before.offset,
      paused: (why) => {
        note(
          why === null
            ? "Results can be written again: the run goes on"
            : `Cannot write results to ${folder.path}: ${why}. Nothing new is started until it ` +
              "can; make room, or end the run and resume it later",
        );
        pause.set(why !== null);
      },
    });
    const run = new TaskListRun(spec, options, log, before, pause);
    let driven: Driven;
    try {
      driven = await run.#drive();
    } finally {
      await log.end(options.abort);
    }
    view.finish(driven.progress); // after the last result
    await folder.write(reportName, JSON.stringify(run.#report(driven), null, 1) + "\n");
    const { failure, refused, "not run": notRun } = run.#counts;
    folder.unfinished = run.#stopping || failure + refused + notRun > 0;
    if (folder.unfinished && !run.#stopping) journal.append({ type: "closed" });
    return {
      interrupted: run.#stopping,
      counts: run.#counts,
      categories: run.#sums.rows,
      failures: run.#failures,
      causes: run.#failed.groups,
      outputs: [resultsName, reportName].map((name) => `${folder.path}/${name}`),
    };
  }

  async #drive(): Promise<Driven> {
    await using crew: Crew<TaskProgress> = Crew.start(
      { ...this.spec, run: this.before.run },
      this.options,
      {
        attemptEnded: (id, attempt, again) => this.#attemptEnded(crew, id, attempt, again),
        returned: (task, end) => this.#returned(crew, task, end),
        stop: () => this.#stop(crew),
        abort: () => this.#abort(crew),
        progress: () => this.#progress(crew),
        view: () => this.#view(),
        over: () => this.#isOver,
      },
    );
    for (const [i, { category, lesson }] of this.before.lessons.entries()) {
      crew.manager.remember(category, { ...lesson, task: taskId(-1 - i) });
    }
    this.pause.tell((paused) => crew.manager.paused = paused);
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
      if (error instanceof UsageError) throw error;
      throw new RunError(`Cannot read on in the list of tasks: ${messageOf(error)}`);
    }
    this.#exhausted = true;
    const gone = this.before.finished.size;
    if (gone > 0 && !this.#stopping) {
      this.options.view.note(`${gone} of the results are of tasks that are no longer in the list`);
    }
    this.#finishIfOver();
  }

  #take(crew: Crew<TaskProgress>, entry: ListEntry): void {
    this.#total++;
    const { id } = entry.kind === "task" ? entry.task : entry.entry;
    const over = this.before.finished.get(id);
    if (over !== undefined) return this.#skip(crew, entry, over);
    if (entry.kind === "refused") {
      this.#tell(lineOf(entry.entry, "refused", entry.entry.why), null);
      this.#follow(crew, this.#dependencies.refused(entry.entry.id));
      return;
    }
    const { task } = entry;
    const taken = task.outputs.find(({ path }) => this.#writers.has(path));
    if (taken !== undefined) {
      const other = this.#writers.get(taken.path);
      const why = `task ${other}, which is not over, writes to "${taken.path}", too`;
      this.#tell(lineOf(task, "refused", why), task);
      this.#follow(crew, this.#dependencies.refused(task.id));
      return;
    }
    for (const { path } of task.outputs) this.#writers.set(path, task.id);
    this.#follow(crew, this.#dependencies.add(task));
  }

  /** It was over before the run went on. */
  #skip(crew: Crew<TaskProgress>, entry: ListEntry, { state, print }: Finished): void {
    const { id } = entry.kind === "task" ? entry.task : entry.entry;
    this.before.finished.delete(id);
    const isSame = state === "refused" || print === 0 || print === printOf(entry);
    if (!isSame && entry.kind === "task") {
      throw new UsageError(
        `Cannot go on with the run in ${this.spec.output}: ${describeOther(entry.task)}. ` +
          "Undo that, or begin anew with --fresh, or elsewhere with --output",
      );
    }
    const fault = faultOf[state];
    this.#follow(crew, this.#dependencies.wasOver(id, fault));
  }

  #follow(crew: Crew<TaskProgress>, { ready, doomed }: Moves): void {
    for (const { task, why } of doomed) {
      this.#release(task);
      this.#tell(lineOf(task, "not run", why), task);
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
        const prepared = await Promise.all(some.map(prepare));
        some.forEach((task, i) => this.#submit(crew, task, prepared[i]!));
      }
    }
    this.#preparing = false;
  }

  #submit(
    crew: Crew<TaskProgress>,
    task: ListedTask,
    prepared: Prepared | string,
  ): void {
    if (this.#stopping) {
      this.#ended(crew, task, lineOf(task, "canceled", interruptedWhy), "was canceled");
    } else if (typeof prepared === "string") {
      this.#ended(crew, task, lineOf(task, "refused", prepared), "was refused");
    } else {
      this.#submitting = task;
      const { found, archive } = prepared;
      const plain = taskSpecOf(task, found, this.#kept);
      const spec = {
        ...(archive === null ? plain : inArchive(plain, archive)),
        key: keyOf(task, versionsOf(prepared)),
      };
      const id = crew.manager.submit(spec);
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
    const line = resultOf(listed, task, end, performance.timeOrigin);
    this.#ended(crew, listed, line, faultOf[end.kind]);
  }

  #ended(
    crew: Crew<TaskProgress>,
    task: ListedTask,
    line: ResultLine,
    fault: Fault | null,
  ): void {
    this.#release(task);
    this.#tell(line, task);
    this.#follow(crew, this.#dependencies.ended(task, fault));
  }

  #tell(line: ResultLine, task: ListedTask | null): void {
    this.#counts[line.state]++;
    if (line.state === "canceled") this.log.addLast(line);
    else if (task === null) this.log.add(line);
    else {
      const files = line.state === "success" ? pathsOf(task.outputs) : [];
      this.log.add(line, printOf({ kind: "task", task }), files);
    }
    this.#failed.add(line);
    this.#noteFailure(line);
  }

  #noteFailure(line: ResultLine): void {
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
      this.#tell(lineOf(task, "canceled", interruptedWhy), task);
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
    if (!this.#isOver) return;
    this.log.tellLast();
    this.#finished.resolve();
  }

  // What is shown

  #progress({ manager }: Crew<TaskProgress>): TaskProgress {
    const { running, workers } = manager.counts;
    const { success, failure, refused } = this.#counts;
    const failed = failure + refused + this.#counts["not run"];
    const open = this.#dependencies.count;
    const elapsedMs = performance.now() - this.#startedMs;
    const done = success + failure - this.#doneBefore;
    const tasksPerSecond = elapsedMs === 0 ? 0 : done / elapsedMs * 1000;
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
      started: this.before.startedAt.toISOString(),
      seconds: (performance.now() - this.#startedMs) / 1000,
      tasks: { total: this.#total, ...this.#counts },
      categories: this.#sums.rows,
      failures: this.#failed.groups,
      allocations,
      workers,
    };
  }
}

const faultOf: Readonly<Record<ResultState, Fault | null>> = {
  "success": null,
  "failure": "failed",
  "canceled": "was canceled",
  "refused": "was refused",
  "not run": "was not run",
};

const none: readonly string[] = [];

function pathsOf(outputs: ListedTask["outputs"]): readonly string[] {
  return outputs.length === 0 ? none : outputs.map(({ path }) => path);
}

/** What a task needs to be sent. */
interface Prepared {
  readonly found: ReadonlyMap<string, Found>;
  readonly archive: EnvironmentArchive | null;
}

/** Of its files and its environment. */
function versionsOf({ found, archive }: Prepared): readonly string[] {
  if (found.size === 0 && archive === null) return none;
  return [...[...found.values()].map(({ version }) => version), archive?.name ?? ""];
}

/** Or why it cannot be sent. */
async function prepare(task: ListedTask): Promise<Prepared | string> {
  const found = await prepareFiles(task);
  if (typeof found === "string") return found;
  if (task.environment === undefined) return { found, archive: null };
  const archive = await openArchive(task.environment);
  return typeof archive === "string" ? archive : { found, archive };
}
