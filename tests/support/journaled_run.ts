/**
 * The course of an analysis with a journal, without workers: items are executed in an order drawn
 * from a seed, partial results are texts, and managers die at any moment.
 */
import { sizingOf } from "../../core/allocation/sizing.ts";
import { sha256 } from "../../core/analysis/identity.ts";
import { type Item, itemId } from "../../core/analysis/items.ts";
import { restore, RunMemo } from "../../core/analysis/memo.ts";
import {
  type AnalysisRecord,
  type Got,
  ItemRecords,
  keyOf,
  specRecordOf,
} from "../../core/analysis/records.ts";
import { AnalysisRun, type Ended } from "../../core/analysis/run.ts";
import type { AnalysisSpec } from "../../core/analysis/spec.ts";
import { concat } from "../../core/bytes.ts";
import { type Rng, seededRng } from "../../core/env.ts";
import { frameOf, journalHead, JournalReader } from "../../core/journal/frames.ts";

export interface World {
  readonly seed: number;
  readonly entries: readonly number[];
  readonly chunkSize: number;
  readonly dynamic: boolean;
  readonly eventsMax: number;
  readonly postprocess: boolean;
  readonly alike: boolean;
  /** Merges of more parts outgrow their task; 1: all do, unless they ask for enough. */
  readonly partsMax?: number;
}

export interface JournaledWorld extends World {
  readonly spec: AnalysisSpec;
  /** A file that cannot be read, and when that shows. */
  bad: { readonly file: number; readonly kind: "preprocess" | "process" } | null;
}

export function worldOf(world: World): JournaledWorld {
  const files = world.entries.map((_, i) => ({
    dataset: i % 2 === 0 ? "A" : "B",
    file: `${i}.root`,
    source: `/data/${i}.root`,
    send: false,
    tree: "Events",
  }));
  const spec: AnalysisSpec = {
    name: "journaled",
    files,
    datasets: new Map([["A", {}], ["B", { weight: 2 }]]),
    processor: { kind: "module", path: "/processor.ts" },
    sizing: sizingOf("fixed", "off"),
    chunkSize: world.chunkSize,
    ...world.dynamic && { dynamicChunkSize: { memoryMb: 200, wallMs: null, model: "robust" } },
    chunksMax: null,
    resources: {},
    workers: null,
    port: { low: 0, high: 0 },
    output: "/out",
    retries: 40,
    skipBadFiles: true,
  };
  return { ...world, spec, bad: null };
}

export function opened(spec: AnalysisSpec, session = 1): AnalysisRecord {
  return {
    type: "opened",
    kind: "analysis",
    session,
    version: "test",
    epochMs: 0,
    spec: specRecordOf(spec),
    identity: { options: {}, code: {}, files: [] },
    options: {},
  };
}

interface Held {
  readonly content: string;
}

export class JournaledRun {
  /** False: it dies before it can remove what was merged. */
  removes = true;
  #run: AnalysisRun;
  #open: Item[] = [];
  #frames: Uint8Array[];
  #session = 1;
  #serial = 0;
  readonly #files = new Map<string, Held>();
  readonly #records: ItemRecords;
  readonly #rng: Rng;
  readonly #executed: string[] = [];

  constructor(readonly world: JournaledWorld) {
    this.#run = new AnalysisRun(world.spec, world.postprocess);
    this.#records = new ItemRecords(world.spec);
    this.#rng = seededRng(world.seed);
    this.#frames = [journalHead(), frameOf(opened(world.spec))];
  }

  get isOver(): boolean {
    return this.#run.end !== null;
  }

  /** Of the whole run, or of what there was. */
  get result(): string | null {
    const part = this.#run.end?.result ?? null;
    return part === null ? null : this.#files.get(part.path)!.content;
  }

  /** How many times each event is in the result, by file: none twice. */
  get eventsOf(): Record<string, number> {
    const events: Record<string, number> = {};
    for (const line of (this.result ?? "").split("\n")) {
      const [file = "", start, stop] = line.split(" ");
      if (start === undefined) continue;
      events[file] = (events[file] ?? 0) + Number(stop) - Number(start);
    }
    return events;
  }

  /** Partial results besides the last one. */
  get leftovers(): string[] {
    const last = this.#run.end?.result?.path;
    return [...this.#files.keys()].filter((path) => path !== last);
  }

  /** Items whose outcome is in the journal. */
  get finished(): ReadonlySet<string> {
    return new Set(this.#executed);
  }

  executedAgain(before: ReadonlySet<string>): number {
    return this.#executed.slice(before.size).filter((key) => before.has(key) && !this.world.alike)
      .length;
  }

  /** Ends so many items, in an order of its own. */
  drive(steps: number): void {
    for (let step = 0; step < steps && !this.isOver; step++) {
      this.#submit();
      const [item] = this.#open.splice(Math.floor(this.#rng() * this.#open.length), 1);
      if (item === undefined) throw new Error("The run waits for nothing");
      this.#end(item);
    }
  }

  stop(): void {
    this.#append({ type: "stopped", why: { kind: "interrupted" } });
    this.#run.stop({ kind: "interrupted" });
    for (const item of this.#open.splice(0)) {
      if (item.kind === "accumulate") this.#open.push(item);
      else this.#run.ended(this.#ended(item, { kind: "nothing" }));
    }
  }

  /**
   * Another manager goes on, after so many bytes of the journal's end were lost.
   * @param looks at the partial results that it is to go on with
   */
  kill(tornBytes: number, { retryFailures = false, looks = true } = {}): void {
    const bytes = concat(this.#frames);
    const whole = this.#frames[0]!.length + this.#frames[1]!.length;
    const left = bytes.slice(0, Math.max(whole, bytes.length - tornBytes % 2000));
    const reader = new JournalReader(left);
    const records = [...reader.rest()] as AnalysisRecord[];
    this.#frames = [left.subarray(0, reader.end!.offset)];
    this.#session++;
    this.#append(opened(this.world.spec, this.#session));
    const memo = RunMemo.of(records, retryFailures)!;
    for (;;) {
      const { run, open, needed, used } = restore(
        this.world.spec,
        this.world.postprocess,
        memo,
        (name) => name,
      );
      const lost = needed.filter(({ part }) => {
        const held = this.#files.get(part.name);
        return looks && (held === undefined || sha256(held.content) !== part.digest);
      });
      if (lost.length === 0) {
        this.#run = run;
        this.#open = [...open];
        if (run.leftOut.length === 0) { for (const { path } of used) this.#files.delete(path); }
        for (const item of open) this.#noteCut(item);
        break;
      }
      for (const one of lost) memo.forget(one);
    }
    const names = memo.names;
    for (const path of [...this.#files.keys()]) if (!names.has(path)) this.#files.delete(path);
  }

  damage(which: number): void {
    const names = [...this.#files.keys()];
    const name = names[which % Math.max(1, names.length)];
    if (name !== undefined) this.#files.set(name, { content: "damaged" });
  }

  #submit(): void {
    while (this.#open.length < 12) {
      const item = this.#run.next();
      if (item === null) return;
      this.#noteCut(item);
      this.#open.push(item);
    }
  }

  #noteCut(item: Item): void {
    for (const split of this.#run.takeSplits()) this.#append(this.#records.splitOf(split));
    if (item.kind !== "process") return;
    this.#append({ type: "cut", file: this.#records.placeOf(item.file), range: item.range });
  }

  #end(item: Item): void {
    const record = this.#records.of(item);
    this.#executed.push(keyOf(record));
    const got = this.#got(item);
    const stoppedBefore = this.#run.stopped !== null;
    const used = this.#run.ended(this.#ended(item, got));
    if (!stoppedBefore && this.#run.stopped?.kind === "failed") {
      this.#append({ type: "stopped", why: this.#run.stopped });
    }
    for (const split of this.#run.takeSplits()) this.#append(this.#records.splitOf(split));
    const { partsMax } = this.#run;
    if (partsMax < Infinity) this.#append({ type: "narrowed", partsMax });
    this.#append({
      type: "ended",
      item: record,
      got: this.#run.isTakenUp(item) ? { kind: "nothing" } : got,
      task: { item: "", what: "", category: "processing", end: got.kind, attempts: [] } as never,
      category: "processing",
      lessons: [],
    });
    const keeps = this.#run.stopped !== null || this.#run.leftOut.length > 0;
    if (!keeps && this.removes) { for (const { path } of used) this.#files.delete(path); }
  }

  #got(item: Item): Got {
    const { bad, entries, eventsMax, alike, partsMax = Infinity } = this.world;
    if (item.kind !== "accumulate" && bad?.kind === item.kind) {
      if (this.#records.placeOf(item.file) === bad.file) return unreadable;
    }
    const name = `${itemId(item, this.#serial++)}.s${this.#session}`;
    const kept = (content: string): Got => {
      this.#files.set(name, { content });
      const part = { name, bytes: content.length, digest: sha256(content) };
      return { kind: "part", part, measured: { memoryPeakMb: 100, wallMs: 10 } };
    };
    switch (item.kind) {
      case "preprocess": {
        const place = this.#records.placeOf(item.file);
        return { kind: "file", entries: entries[place]!, uuid: String(place) };
      }
      case "process": {
        const { file: { file }, range: { start, stop } } = item;
        if (stop - start > eventsMax) return exhausted;
        return kept(alike ? "a chunk" : `${file} ${start} ${stop}`);
      }
      case "accumulate": {
        if (item.parts.length > partsMax && (item.request?.memoryMb ?? 0) < enoughMb) {
          return exhausted;
        }
        const lines = item.parts.map(({ path }) => {
          const held = this.#files.get(path);
          if (held === undefined) throw new Error(`${path} is not there to be merged`);
          return held.content;
        });
        return kept(lines.join("\n") + (item.final && this.world.postprocess ? "\nlast" : ""));
      }
    }
  }

  #ended(item: Item, got: Got): Ended {
    const nothing = { host: null, exitCode: null, attempts: 1, printed: "", measured: null };
    const base = { ...nothing, item, outcome: null, resultPath: "" };
    switch (got.kind) {
      case "file": {
        const { entries, uuid } = got;
        const outcome = { ok: true, kind: "preprocess", entries, uuid } as const;
        return { ...base, end: { kind: "success" }, outcome };
      }
      case "part": {
        const kind = item.kind === "process" ? "process" : "accumulate";
        return {
          ...base,
          end: { kind: "success" },
          outcome: { ok: true, kind, events: 0, bytesRead: 0 },
          resultPath: got.part.name,
          measured: got.measured,
        };
      }
      case "failure": {
        const outcome = got.fault === null ? null : { ok: false, error: got.fault } as const;
        return { ...base, end: got.end, outcome };
      }
      case "nothing":
        return { ...base, end: { kind: "canceled" } };
    }
  }

  #append(record: AnalysisRecord): void {
    this.#frames.push(frameOf(record));
  }
}

const unreadable: Got = {
  kind: "failure",
  end: { kind: "failure", code: 0, why: "exit code 1" },
  fault: { whose: "data", fault: "unreachable", message: "there is no such file" },
  why: "there is no such file",
};

/** For any merge. */
const enoughMb = 400;

const exhausted: Got = {
  kind: "failure",
  end: {
    kind: "failure",
    code: 0,
    why: "memory",
    exhausted: { resource: "memory", limit: 200, measured: 250 },
  },
  fault: null,
  why: "memory",
};
