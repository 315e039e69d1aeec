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
  type TaskContext,
  taskOf,
} from "../core/analysis/items.ts";
import { type CoffeaResult, coffeaRunnerFileName, type Outcome } from "../core/analysis/job.ts";
import type { CategorySummary, Progress } from "../core/analysis/progress.ts";
import { RunReport } from "../core/analysis/report.ts";
import { AnalysisRun, type Stopped } from "../core/analysis/run.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import type { OwnerView } from "../core/status/snapshot.ts";
import { Timeline } from "../core/analysis/timeline.ts";
import type { TaskId } from "../core/ids.ts";
import { requestOf } from "../core/resources.ts";
import type { Attempt, Task, TaskEnd } from "../core/scheduler/tasks.ts";
import { messageOf } from "../core/errors.ts";
import { quoted } from "../core/shell_words.ts";
import { removeIfThere } from "../io/files.ts";
import { bundleProcessor } from "./bundle.ts";
import coffeaRunner from "./coffea_runner.py" with { type: "text" };
import { Crew, type RunOptions } from "./crew.ts";
import { type RunOutputs, writeOutputs } from "./outputs.ts";
import { wqxAsInput } from "./own_program.ts";
import { pickleName, RunFolder } from "./run_folder.ts";
import type { Manager } from "./server.ts";
import { readProxy } from "./x509_proxy.ts";

/** Tasks are made ready for so many per core, and at least so many, ahead of being dispatched. */
const waitingPerCore = 4;
const waitingMin = 32;

/** While sizes of chunks depend on earlier ones: so many for each free slot, and at least so many. */
const learningPerSlot = 2;
const learningMin = 2;

/** Workers of wqx name their own in `WQX`; others are sent ours. `exec`: no shell has to wait. */
const taskCommand = 'exec "${WQX:-./wqx}" task';

/** A finished run, as the command line tells of it. */
export interface AnalysisEnd {
  readonly stopped: Stopped | null;
  /** Not all events are in the result. */
  readonly partial: boolean;
  readonly events: { readonly processed: number; readonly total: number | null };
  readonly categories: readonly CategorySummary[];
  readonly outputs: readonly string[];
  readonly leftOut: AnalysisRun["leftOut"];
}

export class Analysis {
  readonly #run: AnalysisRun;
  readonly #report: RunReport;
  readonly #timeline: Timeline;
  readonly #startedAt = new Date();
  readonly #startedMs = performance.now();
  readonly #items = new Map<TaskId, { readonly id: string; readonly item: Item }>();
  readonly #finished = Promise.withResolvers<void>();
  #processingSinceMs: number | null = null;
  #serial = 0;

  private constructor(
    private readonly spec: AnalysisSpec,
    private readonly options: RunOptions<Progress>,
    private readonly folder: RunFolder,
    private readonly context: TaskContext,
  ) {
    // That of coffea is there always, and its last merge also tells the result in JSON.
    const postprocess = spec.processor.kind === "coffea" ||
      (context.processor?.postprocess ?? false);
    this.#run = new AnalysisRun(spec, postprocess);
    this.#report = new RunReport(this.#startedMs);
    this.#timeline = new Timeline(this.#startedMs);
  }

  /** Throws UsageError before anything has started, RunError when it cannot go on. */
  static async run(spec: AnalysisSpec, options: RunOptions<Progress>): Promise<AnalysisEnd> {
    const { processor } = spec;
    const bundle = processor.kind === "module"
      ? await bundleProcessor(processor.path, options.wqx, {
        signal: AbortSignal.any([options.stop, options.abort]),
      })
      : null;
    await using folder = await RunFolder.open(spec.output);
    const partsFolder = folder.partsPath;
    const wqx = wqxAsInput(options.wqx);
    const context: TaskContext = {
      spec,
      processor: bundle,
      partsFolder,
      wqx,
      ...spec.x509Proxy === undefined ? {} : { x509Proxy: await readProxy(spec.x509Proxy) },
      ...processor.kind === "coffea"
        ? {
          coffeaRunner: new TextEncoder().encode(coffeaRunner),
          taskCommand: `exec ${quoted(processor.python)} ${coffeaRunnerFileName}`,
        }
        : { taskCommand },
    };
    const analysis = new Analysis(spec, options, folder, context);
    return await analysis.#drive();
  }

  async #drive(): Promise<AnalysisEnd> {
    const { name, port, workers, sizing } = this.spec;
    const sized = {
      monitor: sizing.monitor,
      monitorForeign: sizing.monitorForeign,
      allocations: analysisAllocations(this.spec, Math.random),
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
    this.#submitMore(crew);
    this.#count(crew.manager);
    await crew.until(this.#finished.promise);
    const end = await this.#conclude(crew);
    this.options.view.finish(this.#progress(crew.manager));
    return end;
  }

  #submitMore({ manager, cores }: Crew<Progress>): void {
    const ahead = this.#run.learns
      ? Math.max(learningMin, learningPerSlot * freeSlots(manager, this.spec))
      : Math.max(waitingMin, waitingPerCore * cores);
    while (manager.counts.waiting < ahead) {
      const item = this.#run.next();
      if (item === null) break;
      const id = itemId(item, this.#serial++);
      const taskId = manager.submit(taskOf(item, id, this.context));
      this.#items.set(taskId, { id, item });
    }
    if (this.#run.end !== null) this.#finished.resolve();
  }

  #stop(crew: Crew<Progress>, why: Stopped): void {
    this.#run.stop(why);
    this.#cancelUseless(crew.manager);
    this.#submitMore(crew);
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
    this.#report.add(id, item, end, task.attempts);
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
      measured: last === undefined
        ? null
        : { memoryPeakMb: last.measured?.memoryPeakMb ?? null, wallMs: last.wallMs },
      printed: new TextDecoder().decode(last?.printed),
    });
    for (const note of this.#run.takeNotes()) this.options.view.note(note);
    if (this.#run.stopped !== null && !stoppedBefore) this.#cancelUseless(crew.manager);
    this.#submitMore(crew);
    for (const part of used) await removeIfThere(part.path);
  }

  async #outcomeOf(id: string): Promise<Outcome | null> {
    try {
      return JSON.parse(await Deno.readTextFile(outcomePath(id, this.folder.partsPath)));
    } catch {
      return null; // the attempt died before it could say anything
    }
  }

  async #conclude({ manager, workersSeen }: Crew<Progress>): Promise<AnalysisEnd> {
    const { result, stopped } = this.#run.end!;
    const { leftOut } = this.#run;
    this.#count(manager);
    const events = { processed: result?.events ?? 0, total: this.#run.counts.eventsTotal };
    const partial = stopped !== null || leftOut.length > 0;
    const categories = this.#report.summary();
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
      seen: this.#run.seen,
      categories,
      chunks: this.#run.counts.chunks,
      tasks: this.#report.tasks,
      course: this.#timeline.course,
      allocations: manager.allocations,
      workers: workersSeen,
    });
    return { stopped, partial, events, categories, outputs, leftOut };
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
      : counts.eventsProcessed / (nowMs - sinceMs) * 1000;
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
      elapsedMs: nowMs - this.#startedMs,
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

/** Tasks of the analysis that there is room for now. */
function freeSlots({ workers }: Manager, { resources }: AnalysisSpec): number {
  const cores = requestOf(resources).cores ?? 1;
  let slots = 0;
  for (const { total, promised } of workers) {
    slots += Math.max(0, Math.floor((total.cores - promised.cores) / cores));
  }
  return slots;
}
