/**
 * A whole analysis: the real course of a run with its journal, in the order of `manager/analysis.ts`.
 * Partial results list their chunks, and carry a sum whose last bits depend on how it was formed.
 */
import { sizingOf } from "../../core/allocation/sizing.ts";
import {
  type Item,
  itemId,
  outcomePath,
  type Part,
  resultPath,
  type TaskContext,
  taskOf,
} from "../../core/analysis/items.ts";
import type { Job, Outcome } from "../../core/analysis/job.ts";
import { restore, type Restored, RunMemo } from "../../core/analysis/memo.ts";
import {
  type AnalysisRecord,
  type Got,
  ItemRecords,
  specRecordOf,
} from "../../core/analysis/records.ts";
import { AnalysisRun, type Stopped } from "../../core/analysis/run.ts";
import type { AnalysisSpec, DynamicChunkSize, InputFile } from "../../core/analysis/spec.ts";
import { chunksOf, type Range } from "../../core/analysis/chunks.ts";
import { baseName } from "../../core/cache_names.ts";
import type { Rng } from "../../core/env.ts";
import type { TaskId } from "../../core/ids.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { Task, TaskEnd } from "../../core/scheduler/tasks.ts";
import {
  broken,
  checkInputs,
  dataText,
  gotOf,
  jobOf,
  lineOf,
  outcomeIn,
  processorText,
  weightOf,
} from "./analysis_tasks.ts";
import type { SimDisk } from "./disk.ts";
import type { SimJournal } from "./journal.ts";
import type { SimManager } from "./manager.ts";
import type { Timeline } from "./timeline.ts";
import {
  bytesOf,
  OnceEach,
  type Session,
  type Surroundings,
  textOf,
  type Workload,
} from "./workload.ts";
import { type Effect, type Files, sha256Of } from "./worker.ts";

const partsFolder = "/parts";

/** Tasks while sizes of chunks depend on earlier ones. */
const outstandingMax = 20;

/** What a task of so many events needs. */
const memoryMbOf = (events: number) => 100 + events / 10;

export class AnalysisWorkload implements Workload {
  readonly #once = new OnceEach();
  readonly #spec: AnalysisSpec;
  readonly #context: TaskContext;
  readonly #records: ItemRecords;
  readonly #rng: Rng;
  readonly #entries = new Map<string, number>();
  readonly #items = new Map<TaskId, { readonly id: string; readonly item: Item }>();
  readonly #stopAtMs: number | null;
  /** Tasks that need more are exhausted. */
  readonly #memoryMbMax: number;
  #run: AnalysisRun;
  /** Of an earlier manager, to be made tasks of. */
  #open: Item[] = [];
  #manager: SimManager | null = null;
  #journal: SimJournal | null = null;
  #session = 0;
  #serial = 0;
  /**
   * Was there when the manager began, and is nothing that it goes on with: merges of partial results
   * that a disk lost, and that were made anew. They go with the folder.
   */
  #useless: ReadonlySet<string> = new Set();
  /** Things that wait for the disk. */
  #pending = 0;
  /** Some task said what nobody can read. */
  #garbled = false;

  constructor(private readonly timeline: Timeline, private readonly around: Surroundings) {
    const rng = this.#rng = around.chances.of("analysis");
    const files: InputFile[] = Array.from({ length: 1 + Math.floor(rng() * 8) }, (_, i) => {
      const source = `/data/${i}.root`;
      this.#entries.set(source, rng() < 0.1 ? 0 : Math.floor(10_000 * rng()));
      const dataset = rng() < 0.5 ? "A" : "B";
      return { dataset, file: source, source, send: rng() < 0.5, tree: "Events" };
    });
    this.#spec = {
      name: "sim",
      files,
      datasets: new Map([["A", {}], ["B", { weight: 2 }]]),
      processor: { kind: "module", path: "/processor.ts" },
      sizing: sizingOf("fixed", "off"),
      chunkSize: 100 + Math.floor(rng() * 2000),
      chunksMax: null,
      resources: {},
      workers: null,
      port: { low: 0, high: 0 },
      output: "/out",
      retries: 40,
      skipBadFiles: false,
      ...rng() < 0.3
        ? { dynamicChunkSize: drawDynamic(rng) }
        : { chunksMax: rng() < 0.2 ? 1 + Math.floor(rng() * 10) : null },
    };
    // Only ever so low that five splits are enough.
    this.#memoryMbMax = rng() < 0.3 ? memoryMbOf(300 + 1000 * rng()) : Infinity;
    const postprocess = rng() < 0.5;
    const processor = { code: bytesOf(processorText), postprocess };
    const wqx = { kind: "buffer", bytes: bytesOf("wqx"), mode: 0o755 } as const;
    this.#context = { spec: this.#spec, processor, partsFolder, taskCommand: "task", wqx };
    this.#records = new ItemRecords(this.#spec);
    this.#run = new AnalysisRun(this.#spec, postprocess);
    this.#stopAtMs = rng() < 0.15 ? rng() * 60_000 : null;
  }

  prepare(disk: SimDisk): void {
    for (const { source, send } of this.#spec.files) {
      if (send) disk.put(source, bytesOf(dataText(`data/${baseName(source)}`)));
    }
    if (this.#stopAtMs !== null) this.timeline.in(this.#stopAtMs, () => this.#stop());
  }

  begin({ manager, records, offset, openJournal }: Session): void {
    this.#manager = manager;
    this.#once.forgetOthers();
    this.#items.clear();
    this.#pending = 0;
    const memo = RunMemo.of(records as readonly AnalysisRecord[], true);
    let merged: readonly Part[] = [];
    if (memo === null) {
      removeParts(manager.disk, new Set());
      this.#run = new AnalysisRun(this.#spec, this.#postprocess);
      this.#open = [];
    } else {
      const { run, open, needed, used } = this.#restore(memo, manager.disk);
      removeParts(manager.disk, memo.names);
      const useful = [
        ...needed.map(({ part }) => pathOf(part.name)),
        ...used.map(({ path }) => path),
      ];
      this.#useless = new Set(manager.disk.paths).difference(new Set(useful));
      this.#run = run;
      this.#open = [...open];
      merged = used;
    }
    this.#session++;
    this.#journal = openJournal(memo === null ? 0 : offset);
    this.#append({
      type: "opened",
      kind: "analysis",
      session: this.#session,
      version: "0.0.0",
      epochMs: 0,
      spec: specRecordOf(this.#spec),
      identity: { options: {}, code: {}, files: [] },
      options: {},
    });
    this.#remove(merged.filter(({ path }) => manager.disk.read(path) !== undefined));
    this.#submitMore();
  }

  died(records: readonly unknown[] | null): void {
    const { counts, stopped } = this.#run;
    const { disk } = this.#manager!;
    this.#manager = null;
    const memo = records && RunMemo.of(records as readonly AnalysisRecord[], true);
    // After a stop the journal says nothing more that is of use.
    if (memo === null || stopped !== null) return;
    const again = this.#restore(memo, disk).run.counts;
    for (const name of ["preprocessed", "eventsTotal", "eventsProcessed", "merged"] as const) {
      if (again[name] !== counts[name]) {
        throw new Error(
          `The journal does not say what the manager knew: ${name} is ${again[name]} and was ` +
            `${counts[name]}`,
        );
      }
    }
  }

  returned(manager: SimManager, task: Task, end: TaskEnd): void {
    this.#once.returned(task.id);
    const { id, item } = this.#items.get(task.id)!;
    this.#items.delete(task.id);
    const outcomeAt = outcomePath(id, partsFolder);
    const outcome = end.kind === "canceled" ? null : outcomeIn(manager.disk.read(outcomeAt));
    manager.disk.remove(outcomeAt);
    const exhausted = end.kind === "success" ? this.#exhaustionOf(item) : null;
    if (exhausted !== null) manager.disk.remove(resultPath(id, partsFolder));
    const ended = { task, id, item, end: exhausted ?? end };
    if (exhausted !== null || end.kind !== "success" || outcome?.ok !== true) {
      this.#ended(ended, exhausted === null ? outcome : null, gotOf(ended.end, outcome));
    } else if (outcome.kind === "preprocess") {
      const { entries, uuid } = outcome;
      this.#ended(ended, outcome, { kind: "file", entries, uuid });
    } else {
      this.#keep(ended, outcome);
    }
  }

  #keep(ended: Ending, outcome: Outcome): void {
    const { id, task } = ended;
    const path = resultPath(id, partsFolder);
    const { disk } = this.#manager!;
    this.#pending++;
    this.#journal!.keep(path, () => {
      this.#pending--;
      const bytes = disk.read(path);
      if (bytes === undefined) throw new Error(`${id} succeeded, and its result is not there`);
      const part = { name: baseName(path), bytes: bytes.length, digest: sha256Of(bytes) };
      const measured = this.#measuredOf(ended.item, task);
      this.#ended(ended, outcome, { kind: "part", part, measured });
    });
  }

  #ended({ task, id, item, end }: Ending, outcome: Outcome | null, got: Got): void {
    const last = task.attempts.at(-1);
    const stoppedBefore = this.#run.stopped !== null;
    const used = this.#run.ended({
      item,
      end,
      outcome,
      resultPath: resultPath(id, partsFolder),
      host: last?.host ?? null,
      exitCode: last?.exitCode ?? null,
      attempts: task.attempts.length,
      measured: this.#measuredOf(item, task),
      printed: textOf(last?.printed),
    });
    const { stopped } = this.#run;
    if (stopped !== null && !stoppedBefore) this.#append({ type: "stopped", why: stopped });
    const cut = this.#noteSplits();
    const isCut = item.kind === "process" && cut.has(item.range);
    this.#append({
      type: "ended",
      item: this.#records.of(item),
      got: isCut ? { kind: "nothing" } : got,
      task: { item: id, what: "", category: "processing", end: end.kind, attempts: [] },
      category: "processing",
      lessons: [],
    });
    if (stopped !== null && !stoppedBefore) this.#cancelUseless();
    this.#submitMore();
    this.#remove(used);
  }

  /** As soon as the merged one is safe. */
  #remove(used: readonly Part[]): void {
    if (used.length === 0 || this.#run.stopped !== null) return;
    const { disk } = this.#manager!;
    this.#pending++;
    this.#journal!.settled(() => {
      this.#pending--;
      for (const { path } of used) {
        if (!disk.remove(path)) throw new Error(`${path} was used twice`);
      }
    });
  }

  execute(_command: string, sandbox: Files): Effect {
    const job = JSON.parse(textOf(sandbox.get("job.json"))) as Job;
    checkInputs(sandbox);
    const { happens } = this.around;
    const failed = happens("taskFails");
    const [outcome, result, ms] = failed ? [broken, null, 5] : this.#effectOf(job, sandbox);
    const outputs: Files = new Map([["outcome.json", bytesOf(JSON.stringify(outcome))]]);
    if (result !== null) outputs.set("result.acc", bytesOf(result));
    const printed = new Uint8Array(0);
    if (happens("taskCrashes")) {
      outputs.delete("outcome.json");
      if (result !== null) outputs.set("result.acc", bytesOf(result.slice(0, result.length / 2)));
      return { ms: ms / 2, exitCode: 11, printed, outputs };
    }
    if (happens("outputMissing")) outputs.delete("result.acc");
    if (happens("outputGarbled")) {
      this.#garbled = true;
      outputs.set("outcome.json", bytesOf('{"ok":'));
    }
    return { ms: happens("taskHangs") ? hangMs : ms, exitCode: failed ? 1 : 0, printed, outputs };
  }

  done(): boolean {
    return this.#run.end !== null && this.#once.allBack && this.#pending === 0 &&
      this.#manager !== null;
  }

  check({ disk }: SimManager): void {
    const { result, stopped } = this.#run.end!;
    if (stopped?.kind === "failed" && this.#eventsExpected > 0 && !this.#mayFail(stopped)) {
      throw new Error(`The run had no reason to fail: ${stopped.message}`);
    }
    const text = result === null ? "" : textOf(disk.read(result.path));
    const [, ...got] = text.split("\n");
    const listed = got.filter((line) => line !== "postprocessed");
    const whole = stopped === null || (stopped.kind === "failed" && this.#eventsExpected === 0);
    this.#checkRanges(listed, whole);
    if (whole) {
      const sizesKnown = this.#spec.dynamicChunkSize === undefined &&
        this.#run.counts.chunks.split === 0 && this.#memoryMbMax === Infinity;
      if (sizesKnown && text !== this.#undisturbed()) {
        throw new Error("The result is not that of an undisturbed run to the last bit");
      }
      const last = got.includes("postprocessed");
      const should = this.#postprocess && listed.length > 0;
      if (last !== should) throw new Error(`The result was ${last ? "" : "not "}postprocessed`);
    }
    const left = disk.paths.filter((path) => path.endsWith(".acc") && !this.#useless.has(path));
    if (stopped === null && left.length > (result === null ? 0 : 1)) {
      throw new Error(`Partial results are left behind: ${left.join()}`);
    }
  }

  get #postprocess(): boolean {
    return this.#context.processor!.postprocess;
  }

  /** Retries come to an end, and what a task said may not be readable. */
  #mayFail({ message }: { readonly message: string }): boolean {
    return this.#garbled || message.includes("attempts");
  }

  /** The real order: what is merged anew is merged of sound partial results only. */
  #restore(memo: RunMemo, disk: SimDisk): Restored {
    for (;;) {
      const restored = restore(this.#spec, this.#postprocess, memo, pathOf);
      const unsound = restored.needed.filter(({ part: { name, bytes, digest } }) => {
        const found = disk.read(pathOf(name));
        return found?.length !== bytes || sha256Of(found) !== digest;
      });
      if (unsound.length === 0) return restored;
      for (const one of unsound) memo.forget(one);
    }
  }

  #submitMore(): void {
    const manager = this.#manager!;
    while (!this.#run.learns || this.#items.size < outstandingMax) {
      const item = this.#open.shift() ?? this.#run.next();
      if (item === null) break;
      const name = itemId(item, this.#serial++);
      const id = this.#session === 1 ? name : `${name}.${this.#session}`;
      this.#noteSplits();
      if (item.kind === "process") {
        const { file, range } = item;
        this.#append({ type: "cut", file: this.#records.placeOf(file), range });
      }
      const taskId = manager.submit(taskOf(item, id, this.#context));
      this.#once.submitted(taskId);
      this.#items.set(taskId, { id, item });
    }
  }

  #stop(): void {
    if (this.#manager === null || this.#run.end !== null) return;
    const why: Stopped = { kind: "interrupted" };
    if (this.#run.stopped === null) this.#append({ type: "stopped", why });
    this.#run.stop(why);
    const merges: Item[] = [];
    for (const item of this.#open.splice(0)) {
      if (item.kind === "accumulate") merges.push(item);
      else this.#run.ended({ ...withoutTask, item });
    }
    this.#open.push(...merges);
    this.#cancelUseless();
    this.#submitMore();
  }

  #cancelUseless(): void {
    for (const [taskId, { item }] of [...this.#items]) {
      if (item.kind !== "accumulate") this.#manager!.cancel(taskId);
    }
  }

  #append(record: AnalysisRecord): void {
    this.#journal!.append(record);
  }

  /** Ranges that were cut again. */
  #noteSplits(): Set<Range> {
    const splits = this.#run.takeSplits();
    for (const split of splits) this.#append(this.#records.splitOf(split));
    return new Set(splits.map(({ range }) => range));
  }

  #measuredOf(item: Item, task: Task): { memoryPeakMb: number; wallMs: number } | null {
    if (item.kind !== "process") return null;
    return { memoryPeakMb: memoryMbOf(eventsOf(item)), wallMs: task.attempts.at(-1)?.wallMs ?? 0 };
  }

  /** What comes out where nothing goes wrong. */
  #undisturbed(): string {
    const run = new AnalysisRun(this.#spec, this.#postprocess);
    const parts: Files = new Map();
    for (let item = run.next(), n = 0; item !== null; item = run.next(), n++) {
      const path = String(n);
      const job = jobOf(item, this.#postprocess);
      const sandbox = item.kind !== "accumulate" ? new Map([["processor.js", noBytes]]) : new Map(
        item.parts.map((part, i): [string, Uint8Array] => [`${i}`, parts.get(part.path)!]),
      );
      const [outcome, result] = this.#effectOf(job, sandbox);
      if (result !== null) parts.set(path, bytesOf(result));
      run.ended({ ...withoutTask, item, end: { kind: "success" }, outcome, resultPath: path });
    }
    const { result } = run.end!;
    return result === null ? "" : textOf(parts.get(result.path));
  }

  #exhaustionOf(item: Item): TaskEnd | null {
    if (item.kind !== "process") return null;
    const measured = memoryMbOf(eventsOf(item));
    const limit = this.#memoryMbMax;
    if (measured <= limit) return null;
    const exhausted = { resource: "memory", limit, measured };
    return { kind: "failure", code: resultCode.resourceExhaustion, why: "memory", exhausted };
  }

  /** Each event once at most, a file's in order; each event that there is if `whole`. */
  #checkRanges(lines: readonly string[], whole: boolean): void {
    const stops = new Map<string, number>();
    let events = 0;
    for (const line of lines) {
      const [file = "", start, stop] = line.split(" ");
      const before = stops.get(file) ?? 0;
      if (Number(start) < before || (whole && Number(start) > before)) {
        throw new Error(`Events of ${file} are there twice, or not: ${line} after ${before}`);
      }
      stops.set(file, Number(stop));
      events += Number(stop) - Number(start);
    }
    if (whole && events !== this.#eventsExpected) {
      throw new Error(`The result has ${events} events of ${this.#eventsExpected}`);
    }
  }

  get #eventsExpected(): number {
    return this.#expected().reduce((sum, line) => {
      const [, start, stop] = line.split(" ");
      return sum + Number(stop) - Number(start);
    }, 0);
  }

  /** The chunks of one size in their order, as lines. */
  #expected(): string[] {
    const count = new Map<string, number>();
    return this.#spec.files.flatMap(({ source, dataset }) =>
      chunksOf(this.#entries.get(source)!, this.#spec.chunkSize).filter(() => {
        const before = count.get(dataset) ?? 0;
        count.set(dataset, before + 1);
        return before < (this.#spec.chunksMax ?? Infinity);
      }).map(({ start, stop }) => lineOf(source, start, stop))
    );
  }

  #effectOf(job: Job, sandbox: Files): [Outcome, string | null, number] {
    switch (job.kind) {
      case "preprocess": {
        const entries = this.#entries.get(job.file)!;
        return [{ ok: true, kind: "preprocess", entries, uuid: job.file }, null, 20];
      }
      case "process": {
        if (!sandbox.has("processor.js")) throw new Error("The processor did not come along");
        const events = job.stop - job.start;
        const outcome = { ok: true, kind: "process", events, bytesRead: 0 } as const;
        const line = lineOf(job.file, job.start, job.stop);
        return [outcome, `${weightOf(line)}\n${line}`, events];
      }
      case "accumulate": {
        const parts = job.parts.map((name) => textOf(sandbox.get(name)).split("\n"));
        const sum = parts.map(([first]) => Number(first)).reduce((a, b) => a + b);
        const lines = [String(sum), ...parts.flatMap(([, ...rest]) => rest)];
        if (job.postprocess !== undefined) lines.push("postprocessed");
        const outcome = { ok: true, kind: "accumulate", events: 0, bytesRead: 0 } as const;
        return [outcome, lines.join("\n"), 10];
      }
    }
  }
}

function drawDynamic(rng: Rng): DynamicChunkSize {
  const targets = [[200, null], [null, 500], [300, 1000]] as const;
  const [memoryMb, wallMs] = targets[Math.floor(rng() * targets.length)]!;
  return { memoryMb, wallMs, model: rng() < 0.3 ? "coffea" : "robust" };
}

function eventsOf({ range }: Extract<Item, { kind: "process" }>): number {
  return range.stop - range.start;
}

const noBytes = new Uint8Array(0);
/** Long after the last fault. */
const hangMs = 600_000;

interface Ending {
  readonly task: Task;
  readonly id: string;
  readonly item: Item;
  readonly end: TaskEnd;
}

const withoutTask = {
  end: { kind: "canceled" },
  outcome: null,
  resultPath: "",
  host: null,
  exitCode: null,
  attempts: 0,
  measured: null,
  printed: "",
} as const;

function pathOf(name: string): string {
  return `${partsFolder}/${name}`;
}

/** What tasks of earlier managers brought, and no record speaks of. */
function removeParts(disk: SimDisk, names: ReadonlySet<string>): void {
  for (const path of disk.paths) {
    if (path.startsWith(`${partsFolder}/`) && !names.has(baseName(path))) disk.remove(path);
  }
}
