/** A whole analysis: the real course of a run, with partial results that list their chunks. */
import { sizingOf } from "../../core/allocation/sizing.ts";
import {
  type Item,
  itemId,
  outcomePath,
  resultPath,
  type TaskContext,
  taskOf,
} from "../../core/analysis/items.ts";
import type { Job, Outcome } from "../../core/analysis/job.ts";
import { AnalysisRun } from "../../core/analysis/run.ts";
import type { AnalysisSpec, DynamicChunkSize, InputFile } from "../../core/analysis/spec.ts";
import { chunksOf } from "../../core/analysis/chunks.ts";
import type { Rng } from "../../core/env.ts";
import type { TaskId } from "../../core/ids.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { Task, TaskEnd } from "../../core/scheduler/tasks.ts";
import type { Faults } from "./faults.ts";
import type { SimManager } from "./manager.ts";
import type { Timeline } from "./timeline.ts";
import { bytesOf, OnceEach, textOf, type Workload } from "./workload.ts";
import type { Effect, Files } from "./worker.ts";

const partsFolder = "/parts";

/** Tasks while sizes of chunks depend on earlier ones. */
const outstandingMax = 20;

/** What a task of so many events needs. */
const memoryMbOf = (events: number) => 100 + events / 10;

export class AnalysisWorkload implements Workload {
  readonly #once = new OnceEach();
  readonly #run: AnalysisRun;
  readonly #spec: AnalysisSpec;
  readonly #context: TaskContext;
  readonly #entries = new Map<string, number>();
  readonly #items = new Map<TaskId, { readonly id: string; readonly item: Item }>();
  readonly #stopAtMs: number | null;
  /** Tasks that need more are exhausted. */
  readonly #memoryMbMax: number;
  #serial = 0;

  constructor(
    private readonly timeline: Timeline,
    private readonly rng: Rng,
    private readonly faults: Faults,
  ) {
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
    const processor = { code: bytesOf("the processor"), postprocess };
    const wqx = { kind: "buffer", bytes: bytesOf("wqx"), mode: 0o755 } as const;
    this.#context = { spec: this.#spec, processor, partsFolder, taskCommand: "task", wqx };
    this.#run = new AnalysisRun(this.#spec, postprocess);
    this.#stopAtMs = rng() < 0.15 ? rng() * 60_000 : null;
  }

  begin(manager: SimManager): void {
    for (const { source, send } of this.#spec.files) {
      if (send) manager.files.set(source, bytesOf(`events of ${source}`));
    }
    if (this.#stopAtMs !== null) {
      this.timeline.in(this.#stopAtMs, () => {
        this.#run.stop({ kind: "interrupted" });
        this.#cancelUseless(manager);
        this.#submitMore(manager);
      });
    }
    this.#submitMore(manager);
  }

  returned(manager: SimManager, task: Task, end: TaskEnd): void {
    this.#once.returned(task.id);
    const { id, item } = this.#items.get(task.id)!;
    this.#items.delete(task.id);
    const last = task.attempts.at(-1);
    const text = textOf(manager.files.get(outcomePath(id, partsFolder)));
    const outcome = end.kind === "canceled" || text === "" ? null : JSON.parse(text) as Outcome;
    const exhausted = end.kind === "success" ? this.#exhaustionOf(item) : null;
    if (exhausted !== null) manager.files.delete(resultPath(id, partsFolder));
    const used = this.#run.ended({
      item,
      end: exhausted ?? end,
      outcome: exhausted === null ? outcome : null,
      resultPath: resultPath(id, partsFolder),
      host: last?.host ?? null,
      exitCode: last?.exitCode ?? null,
      attempts: task.attempts.length,
      measured: item.kind === "process"
        ? { memoryPeakMb: memoryMbOf(eventsOf(item)), wallMs: last?.wallMs ?? 0 }
        : null,
      printed: textOf(last?.printed),
    });
    for (const part of used) {
      if (!manager.files.delete(part.path)) throw new Error(`${part.path} was used twice`);
    }
    if (this.#run.stopped !== null) this.#cancelUseless(manager);
    this.#submitMore(manager);
  }

  execute(_command: string, sandbox: Files): Effect {
    const job = JSON.parse(textOf(sandbox.get("job.json"))) as Job;
    const failed = this.timeline.nowMs < this.faults.lastMs && this.rng() < this.faults.taskFails;
    const [outcome, result, ms] = failed ? [broken, null, 5] : this.#effectOf(job, sandbox);
    const outputs: Files = new Map([["outcome.json", bytesOf(JSON.stringify(outcome))]]);
    if (result !== null) outputs.set("result.acc", bytesOf(result));
    return { ms, exitCode: failed ? 1 : 0, printed: new Uint8Array(0), outputs };
  }

  done(): boolean {
    return this.#run.end !== null && this.#once.allBack;
  }

  check(manager: SimManager): void {
    const { result, stopped } = this.#run.end!;
    const got = result === null ? [] : textOf(manager.files.get(result.path)).split("\n");
    const listed = got.filter((line) => line !== "" && line !== "postprocessed");
    const whole = stopped === null || (stopped.kind === "failed" && this.#eventsExpected === 0);
    this.#checkRanges(listed, whole);
    if (whole) {
      const sizesKnown = this.#spec.dynamicChunkSize === undefined &&
        this.#run.counts.chunks.split === 0;
      const expected = this.#expected();
      if (sizesKnown && listed.join() !== expected.join()) {
        throw new Error(
          `The result lists ${listed.length} chunks of ${expected.length}, or others`,
        );
      }
      const last = got.includes("postprocessed");
      const should = this.#context.processor!.postprocess && listed.length > 0;
      if (last !== should) throw new Error(`The result was ${last ? "" : "not "}postprocessed`);
    }
    const left = [...manager.files.keys()].filter((path) => path.endsWith(".acc"));
    if (stopped === null && left.length > (result === null ? 0 : 1)) {
      throw new Error(`Partial results are left behind: ${left.join()}`);
    }
  }

  #submitMore(manager: SimManager): void {
    while (!this.#run.learns || this.#items.size < outstandingMax) {
      const item = this.#run.next();
      if (item === null) break;
      const id = itemId(item, this.#serial++);
      const taskId = manager.submit(taskOf(item, id, this.#context));
      this.#once.submitted(taskId);
      this.#items.set(taskId, { id, item });
    }
  }

  #cancelUseless(manager: SimManager): void {
    for (const [taskId, { item }] of [...this.#items]) {
      if (item.kind !== "accumulate") manager.cancel(taskId);
    }
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
        return [outcome, lineOf(job.file, job.start, job.stop), events];
      }
      case "accumulate": {
        const lines = job.parts.map((name) => textOf(sandbox.get(name)));
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

const broken: Outcome = { ok: false, error: { whose: "internal", message: "a fault of the test" } };

function lineOf(file: string, start: number, stop: number): string {
  return `${file} ${start} ${stop}`;
}
