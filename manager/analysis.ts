/**
 * One analysis from start to end: the run's course (core) joined to a manager that drives workers,
 * and to the run folder that keeps what comes of it.
 */
import { analysisAllocations } from "../core/allocation/sizing.ts";
import { type Accumulator, decode, fromJson } from "../core/accumulator.ts";
import {
  coffeaResultPath,
  describeItem,
  type Item,
  itemId,
  outcomePath,
  type Part,
  resultPath,
  taskOf,
} from "../core/analysis/items.ts";
import { baseName } from "../core/cache_names.ts";
import type { Identity } from "../core/analysis/identity.ts";
import type { CoffeaResult, Outcome, TaskFault } from "../core/analysis/job.ts";
import { type FailureGroup, Ledger } from "../core/analysis/ledger.ts";
import type { RunMemo } from "../core/analysis/memo.ts";
import type { Missing } from "../core/analysis/missing.ts";
import { type Got, type ItemRecord, keyOf, lessonOf } from "../core/analysis/records.ts";
import type { CategorySummary, Progress } from "../core/analysis/progress.ts";
import { RunReport } from "../core/analysis/report.ts";
import { AnalysisRun, type Ended, type Stopped } from "../core/analysis/run.ts";
import type { AnalysisSpec, InputFile } from "../core/analysis/spec.ts";
import type { OwnerView } from "../core/status/snapshot.ts";
import { Timeline } from "../core/analysis/timeline.ts";
import { type TaskId, taskId } from "../core/ids.ts";
import { resultCode } from "../core/protocol/messages.ts";
import { requestOf } from "../core/resources.ts";
import { observationOf } from "../core/scheduler/allocation.ts";
import type { Attempt, Task, TaskEnd, TaskSpec } from "../core/scheduler/tasks.ts";
import { messageOf } from "../core/errors.ts";
import { removeIfThere } from "../io/files.ts";
import { prepareAnalysis, type Prepared } from "./analysis_context.ts";
import {
  type AnalysisJournal,
  beginning,
  identify,
  type Resuming,
  type TakenUp,
  takeUp,
} from "./analysis_journal.ts";
import { Crew, type RunOptions } from "./crew.ts";
import { inArchive } from "./environments.ts";
import { type JournalOwner, Pause } from "./journal.ts";
import { type RunOutputs, type Session, writeOutputs } from "./outputs.ts";
import { type FoundInFile, PreprocessCache } from "./preprocess_cache.ts";
import { takeSoFar } from "./so_far.ts";
import { pickleName, RunFolder } from "./run_folder.ts";
import type { Manager } from "./server.ts";

/** Tasks are made ready for so many per core, and at least so many, ahead of being dispatched. */
const waitingPerCore = 4;
const waitingMin = 32;

/** While sizes of chunks depend on earlier ones: so many for each free slot, and at least so many. */
const learningPerSlot = 2;
const learningMin = 2;

/** A finished run, as the command line tells of it. */
export interface AnalysisEnd {
  readonly stopped: Stopped | null;
  /** Not all events are in the result. */
  readonly partial: boolean;
  readonly events: { readonly processed: number; readonly total: number | null };
  readonly categories: readonly CategorySummary[];
  readonly outputs: readonly string[];
  readonly leftOut: AnalysisRun["leftOut"];
  readonly missing: readonly Missing[];
  readonly failures: readonly FailureGroup[];
  /** What is there stays, to be gone on with. */
  readonly resumable: boolean;
}

export class Analysis {
  readonly #run: AnalysisRun;
  readonly #report: RunReport;
  readonly #ledger: Ledger;
  readonly #timeline: Timeline;
  /** When the run began, which may have been under another manager. */
  readonly #startedAt: Date;
  readonly #startedMs: number;
  readonly #sinceMs = performance.now();
  readonly #items = new Map<TaskId, { readonly id: string; readonly item: Item }>();
  /** Items that the course of the run has given out, and that are no tasks yet. */
  readonly #open: Item[];
  readonly #cache = new PreprocessCache();
  readonly #finished = Promise.withResolvers<void>();
  /** Processed under earlier managers. */
  readonly #eventsBefore: number;
  readonly #foundBefore = new Map<InputFile, FoundInFile>();
  readonly #lessons: RunMemo["lessons"];
  readonly #sessions: readonly Session[];
  /** It was never meant to have all events. */
  #isSoFar = false;
  #processingSinceMs: number | null = null;
  #merged: readonly Part[];
  #serial = 0;

  private constructor(
    private readonly spec: AnalysisSpec,
    private readonly options: RunOptions<Progress>,
    private readonly folder: RunFolder,
    private readonly prepared: Prepared,
    private readonly journal: AnalysisJournal,
    private readonly identity: Identity,
    { restored, memo, earlier }: TakenUp,
  ) {
    this.#run = restored?.run ?? new AnalysisRun(spec, prepared.postprocess);
    this.#open = [...restored?.open ?? []];
    this.#merged = restored?.used ?? [];
    this.#eventsBefore = this.#run.counts.eventsProcessed;
    const epochMs = memo?.first.epochMs ?? Date.now();
    this.#startedAt = new Date(epochMs);
    this.#startedMs = performance.now() - (Date.now() - epochMs);
    this.#report = new RunReport(this.#startedMs);
    this.#ledger = new Ledger(spec, epochMs);
    this.#timeline = new Timeline(this.#sinceMs);
    this.#lessons = memo?.lessons ?? [];
    this.#sessions = [...memo?.sessions ?? [], journal.opened];
    for (const record of earlier) {
      this.#report.addReported(record.task, eventsIn(record.item));
      if (memo!.got(keyOf(record.item))?.kind === "failure") this.#ledger.add(record);
    }
  }

  /**
   * Throws UsageError before anything has started, RunError when it cannot go on. An unfinished run
   * in the folder is gone on with, as `resuming` says.
   */
  static async run(
    spec: AnalysisSpec,
    options: RunOptions<Progress>,
    resuming: Resuming = beginning,
  ): Promise<AnalysisEnd> {
    const prepared = await prepareAnalysis(spec, options);
    const identity = await identify(spec, prepared.code);
    await using folder = await RunFolder.take(spec.output);
    folder.unfinished = true; // whatever is thrown before that is known
    const pause = new Pause();
    const owner = { note: (line: string) => options.view.note(line), paused: pause.set };
    const analysis = await Analysis.#begin(
      spec,
      options,
      folder,
      prepared,
      identity,
      resuming,
      owner,
    );
    await using journal = analysis.journal;
    try {
      const end = await analysis.#drive(pause);
      folder.unfinished = end.resumable;
      return end;
    } catch (error) {
      folder.unfinished = journal.holdsResults;
      throw error;
    }
  }

  /**
   * Merges what the run in the folder has so far, into a folder within it. The run may go on
   * meanwhile. Throws a UsageError if there is no unfinished run.
   */
  static async soFar(path: string, options: RunOptions<Progress>): Promise<AnalysisEnd> {
    const { spec, prepared, taken, folder } = await takeSoFar(path, options);
    await using _folder = folder;
    await using journal = taken.journal;
    const identity = taken.memo!.last.identity;
    const analysis = new Analysis(spec, options, folder, prepared, journal, identity, taken);
    analysis.#leave();
    analysis.#isSoFar = true;
    return { ...await analysis.#drive(new Pause()), resumable: false };
  }

  static async #begin(
    spec: AnalysisSpec,
    options: RunOptions<Progress>,
    folder: RunFolder,
    prepared: Prepared,
    identity: Identity,
    resuming: Resuming,
    owner: JournalOwner,
  ): Promise<Analysis> {
    const { version } = options;
    const { postprocess } = prepared;
    const opening = { resuming, version, owner };
    const taken = await takeUp(folder, spec, identity, postprocess, opening);
    const { journal } = taken;
    const analysis = new Analysis(spec, options, folder, prepared, journal, identity, taken);
    if (taken.memo !== null) owner.note(analysis.#resumed());
    for (const [i, file] of spec.files.entries()) {
      const stamp = identity.files[i]?.stamp ?? null;
      const found = stamp === null ? null : await analysis.#cache.find(file, stamp);
      if (found !== null) analysis.#foundBefore.set(file, found);
    }
    return analysis;
  }

  async #drive(pause: Pause): Promise<AnalysisEnd> {
    const { name, port, workers, sizing } = this.spec;
    const sized = {
      monitor: sizing.monitor,
      monitorForeign: sizing.monitorForeign,
      allocations: analysisAllocations(this.spec, Math.random),
      run: this.journal.run,
    };
    await using crew: Crew<Progress> = Crew.start({ name, port, workers, ...sized }, this.options, {
      attemptEnded: (id, attempt, again) => this.#attemptEnded(id, attempt, again),
      returned: (task, end) => this.#returned(crew, task, end),
      stop: () => this.#stop(crew, { kind: "interrupted" }),
      abort: () => this.#finished.reject(this.options.abort.reason),
      workerJoined: () => this.#submitMore(crew),
      progress: () => {
        this.#count(crew.manager);
        return this.#progress(crew.manager);
      },
      view: () => this.#view(crew.manager),
      over: () => this.#run.end !== null,
    });
    for (const [i, { category, lesson }] of this.#lessons.splice(0).entries()) {
      crew.manager.remember(category, { ...lesson, task: taskId(-1 - i) });
    }
    pause.tell((paused) => crew.manager.paused = paused);
    this.#submitMore(crew);
    this.#count(crew.manager);
    // What the manager before had merged, and died before it could remove.
    const tidied = this.#remove(this.#merged);
    tidied.catch((error) => this.#finished.reject(error));
    await crew.until(this.#finished.promise);
    await tidied;
    const end = await this.#conclude(crew);
    this.options.view.finish(this.#progress(crew.manager));
    return end;
  }

  #submitMore({ manager, cores }: Crew<Progress>): void {
    const ahead = this.#run.learns
      ? Math.max(learningMin, learningPerSlot * freeSlots(manager, this.spec))
      : Math.max(waitingMin, waitingPerCore * cores);
    while (manager.counts.waiting < ahead) {
      const item = this.#open.shift() ?? this.#run.next();
      if (item === null) break;
      const id = this.journal.idOf(itemId(item, this.#serial++));
      const found = item.kind === "preprocess" ? this.#foundBefore.get(item.file) : undefined;
      if (found !== undefined) {
        this.#isKnown(id, item, found);
        continue;
      }
      this.journal.submitted(this.#run, item);
      const key = this.journal.keyOf(item);
      const task = manager.submit({ ...this.#taskOf(item, id), key });
      this.#items.set(task, { id, item });
    }
    if (this.#run.end !== null) this.#finished.resolve();
  }

  /** In the environment, where somebody else's program does the work. */
  #taskOf(item: Item, id: string): TaskSpec {
    const { context, archive } = this.prepared;
    const task = taskOf(item, id, { ...context, partsFolder: this.folder.partsPath });
    const { kind } = this.spec.processor;
    const outside = kind === "module" || (kind === "command" && item.kind !== "process");
    return archive === null || outside ? task : inArchive(task, archive);
  }

  /** What is in the file was found out by an earlier run: it takes no task. */
  #isKnown(id: string, item: Item, found: FoundInFile): void {
    const end = { kind: "success" } as const;
    const task = this.#report.add(id, item, end, []);
    this.#run.ended({
      ...withoutTask(item, end),
      outcome: { ok: true, kind: "preprocess", ...found },
    });
    this.journal.ended(this.#run, item, { kind: "file", ...found }, task, []);
  }

  #stop(crew: Crew<Progress>, why: Stopped): void {
    this.#leave(why);
    this.#cancelUseless(crew.manager);
    this.#submitMore(crew);
  }

  /** Of what is there the best is made: what is no task yet will not become one. */
  #leave(why: Stopped = { kind: "interrupted" }): void {
    this.journal.stopped(why);
    this.#run.stop(why);
    const merges: Item[] = [];
    for (const item of this.#open.splice(0)) {
      if (item.kind === "accumulate") merges.push(item);
      else this.#run.ended(withoutTask(item, { kind: "canceled" }));
    }
    this.#open.push(...merges);
  }

  #cancelUseless(manager: Manager): void {
    for (const [taskId, { item }] of [...this.#items]) {
      if (item.kind !== "accumulate") manager.cancel(taskId);
    }
  }

  #attemptEnded(taskId: TaskId, attempt: Attempt, again: boolean): void {
    const entry = this.#items.get(taskId);
    if (entry !== undefined) this.#timeline.attempt(entry.item, attempt);
    if (entry === undefined || !again || attempt.ending.kind !== "failure") return;
    const { why } = attempt.ending;
    void this.#outcomeOf(entry.id).then((outcome) => {
      const said = outcome !== null && !outcome.ok ? outcome.error.message.split("\n")[0] : why;
      this.options.view.note(
        `Failed ${describeItem(entry.item)} on host ${attempt.host}; trying again: ${said}`,
      );
    });
  }

  #returned(crew: Crew<Progress>, task: Task, end: TaskEnd): void {
    this.#ended(crew, task, end).catch((error) => this.#finished.reject(error));
  }

  async #ended(crew: Crew<Progress>, task: Task, end: TaskEnd): Promise<void> {
    const { id, item } = this.#items.get(task.id)!;
    this.#items.delete(task.id);
    const outcome = end.kind === "canceled" ? null : await this.#outcomeOf(id);
    await removeIfThere(outcomePath(id, this.folder.partsPath));
    const got = await this.#gotOf(id, item, task, end, outcome);
    const last = task.attempts.at(-1);
    const stoppedBefore = this.#run.stopped !== null;
    const used = this.#run.ended({
      item,
      end,
      outcome,
      resultPath: resultPath(id, this.folder.partsPath),
      host: last?.host ?? null,
      exitCode: last?.exitCode ?? null,
      attempts: task.attempts.length,
      measured: measuredOf(last),
      printed: new TextDecoder().decode(last?.printed),
    });
    this.#note(id, item, task, end, got);
    for (const note of this.#run.takeNotes()) this.options.view.note(note);
    if (this.#run.stopped !== null && !stoppedBefore) this.#cancelUseless(crew.manager);
    this.#submitMore(crew);
    await this.#remove(used);
  }

  /** What the journal says of it; what it speaks of is in place by then. */
  async #gotOf(
    id: string,
    item: Item,
    task: Task,
    end: TaskEnd,
    outcome: Outcome | null,
  ): Promise<Got> {
    if (end.kind === "canceled") return { kind: "nothing" };
    if (end.kind === "success" && outcome?.ok === true) {
      if (item.kind === "preprocess" && outcome.kind === "preprocess") {
        const { entries, uuid } = outcome;
        await this.#keepFound(item.file, { entries, uuid });
        return { kind: "file", entries, uuid };
      }
      const part = await this.journal.keep(baseName(resultPath(id, this.folder.partsPath)));
      return { kind: "part", part, measured: measuredOf(task.attempts.at(-1)) };
    }
    const fault = outcome !== null && !outcome.ok ? outcome.error : null;
    const failure = end.kind === "failure"
      ? end
      : { kind: "failure", code: resultCode.success, why: "its outcome cannot be read" } as const;
    const why = (fault?.message ?? failure.why).split("\n")[0]!;
    return { kind: "failure", end: failure, fault: withoutStack(fault), why };
  }

  #note(id: string, item: Item, task: Task, end: TaskEnd, got: Got): void {
    const reported = this.#report.add(id, item, end, task.attempts);
    const lessons = task.attempts.flatMap((attempt) => observationOf(task, attempt) ?? [])
      .map(lessonOf);
    this.#ledger.add(this.journal.ended(this.#run, item, got, reported, lessons));
  }

  async #keepFound(file: InputFile, found: FoundInFile): Promise<void> {
    const stamp = this.identity.files[this.spec.files.indexOf(file)]?.stamp ?? null;
    if (stamp !== null) await this.#cache.keep(file, found, stamp);
  }

  /**
   * Partial results that were merged, as soon as the merged one is safe. Once something is missing
   * all of them stay: when it is there, its place may be anywhere between them.
   */
  async #remove(used: readonly Part[]): Promise<void> {
    if (used.length === 0 || this.#run.stopped !== null || this.#run.leftOut.length > 0) return;
    await this.journal.settled();
    for (const { path } of used) await removeIfThere(path);
  }

  async #outcomeOf(id: string): Promise<Outcome | null> {
    try {
      return JSON.parse(await Deno.readTextFile(outcomePath(id, this.folder.partsPath)));
    } catch {
      return null; // the attempt died before it could say anything
    }
  }

  async #conclude({ manager, workersSeen }: Crew<Progress>): Promise<AnalysisEnd> {
    const { result } = this.#run.end!;
    const { leftOut, missing } = this.#run;
    const stopped = this.#isSoFar ? null : this.#run.end!.stopped;
    this.#count(manager);
    const events = { processed: result?.events ?? 0, total: this.#run.counts.eventsTotal };
    const partial = stopped !== null || leftOut.length > 0 || missing.length > 0;
    const categories = this.#report.summary();
    const failures = this.#ledger.groups;
    const outputs = await writeOutputs(this.folder, {
      spec: this.spec,
      version: this.options.version,
      startedAt: this.#startedAt,
      elapsedMs: performance.now() - this.#startedMs,
      ...await this.#read(result),
      events,
      partial,
      stopped,
      leftOut,
      missing,
      failures,
      seen: this.#run.seen,
      categories,
      chunks: this.#run.counts.chunks,
      tasks: await this.journal.tasks(),
      sessions: this.#sessions,
      course: this.#timeline.course,
      allocations: manager.allocations,
      workers: workersSeen,
    });
    if (stopped === null) this.journal.close(partial ? "partial" : "complete");
    const resumable = partial && this.journal.holdsResults;
    return { stopped, partial, events, categories, outputs, leftOut, missing, failures, resumable };
  }

  #resumed(): string {
    const { eventsProcessed, eventsTotal, preprocessed } = this.#run.counts;
    const done = eventsTotal === null
      ? `${preprocessed} of ${this.spec.files.length} files are preprocessed`
      : `${eventsProcessed} of ${eventsTotal} events are processed`;
    const began = this.#startedAt.toISOString().slice(0, 16).replace("T", " ");
    const again = this.#open.length;
    return `Going on with the run of ${began} UTC in ${this.folder.path}: ${done}, and ` +
      `${again} ${again === 1 ? "task runs" : "tasks run"} again`;
  }

  async #read(part: Part | null): Promise<Pick<RunOutputs, "result" | "pickle" | "untold">> {
    const none = { result: null, pickle: null, untold: [] };
    if (part === null) return none;
    if (this.spec.processor.kind !== "coffea") {
      return { ...none, result: decode(await Deno.readFile(part.path)) };
    }
    const text = await Deno.readTextFile(coffeaResultPath(part.path));
    const { accumulator, leftOut } = JSON.parse(text) as CoffeaResult;
    let [result, untold]: [Accumulator, readonly string[]] = [null, leftOut];
    try {
      result = fromJson(accumulator);
    } catch (error) {
      untold = [...leftOut, messageOf(error)];
    }
    if (untold.length > 0) {
      this.options.view.note(`Only in ${pickleName}, not in result.json: ${untold.join("; ")}`);
    }
    return { result, pickle: part.path, untold };
  }

  /** For the pictures of the run. */
  #count(manager: Manager): void {
    this.#timeline.counts(manager.counts, performance.now());
  }

  #progress(manager: Manager): Progress {
    const counts = this.#run.counts;
    const tasks = manager.counts;
    const nowMs = performance.now();
    if (counts.phase === "processing") this.#processingSinceMs ??= nowMs;
    const sinceMs = this.#processingSinceMs;
    const eventsPerSecond = sinceMs === null || nowMs === sinceMs
      ? 0
      : (counts.eventsProcessed - this.#eventsBefore) / (nowMs - sinceMs) * 1000;
    const eventsLeft = (counts.eventsTotal ?? 0) - counts.eventsProcessed;
    return {
      phase: this.#phase(),
      preprocessed: { done: counts.preprocessed, total: this.spec.files.length },
      submitted: { done: counts.eventsSubmitted, total: counts.eventsTotal },
      processed: { done: counts.eventsProcessed, total: counts.eventsTotal },
      accumulated: { done: counts.merged, total: counts.mergesTotal },
      ...this.#run.learns ? { chunks: counts.chunks } : {},
      tasks: {
        waiting: tasks.waiting,
        running: tasks.running,
        done: tasks.done,
        failed: tasks.failedAttempts,
      },
      workers: tasks.workers,
      allocations: manager.allocations,
      elapsedMs: nowMs - this.#sinceMs,
      eventsPerSecond,
      leftMs: this.#run.end === null && eventsPerSecond > 0
        ? eventsLeft / eventsPerSecond * 1000
        : null,
    };
  }

  /** For those who ask the manager: tasks of an analysis have no names, and wait for none. */
  #view(manager: Manager): OwnerView {
    const { chunks, eventsPerSecond } = this.#progress(manager);
    const chunkSize = chunks?.current ?? this.#run.counts.chunks.current;
    return {
      named: () => null,
      nameOf: () => null,
      held: 0,
      courses: new Map([["processing", { chunkSize, eventsPerSecond }]]),
    };
  }

  #phase(): Progress["phase"] {
    const { phase, eventsProcessed, eventsTotal } = this.#run.counts;
    if (phase === "done") return "done";
    if (this.#run.stopped !== null) return "stopping";
    return phase === "processing" && eventsProcessed === eventsTotal ? "accumulating" : phase;
  }
}

/** An item that became no task. */
function withoutTask(item: Item, end: TaskEnd): Ended {
  return {
    item,
    end,
    outcome: null,
    resultPath: "",
    host: null,
    exitCode: null,
    attempts: 0,
    measured: null,
    printed: "",
  };
}

function measuredOf(attempt: Attempt | undefined): Ended["measured"] {
  if (attempt === undefined) return null;
  return { memoryPeakMb: attempt.measured?.memoryPeakMb ?? null, wallMs: attempt.wallMs };
}

/** The stack is for the one who reads it now. */
function withoutStack(fault: TaskFault | null): TaskFault | null {
  if (fault === null) return null;
  const { stack: _, ...rest } = fault;
  return rest;
}

function eventsIn(item: ItemRecord): number | null {
  return item.kind === "process" ? item.range.stop - item.range.start : null;
}

/** Tasks of the analysis that there is room for now. */
function freeSlots({ workers }: Manager, { resources }: AnalysisSpec): number {
  const cores = requestOf(resources).cores ?? 1;
  let slots = 0;
  for (const { total, promised } of workers) {
    slots += Math.max(0, Math.floor((total.cores - promised.cores) / cores));
  }
  return slots;
}
