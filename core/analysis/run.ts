/**
 * The course of an analysis: preprocess every file, cut the events into chunks, process them,
 * merge the partial results as they come. Tasks that ended go in, tasks to submit come out; where
 * and how they run is the scheduler's business.
 */
import type { TaskEnd } from "../scheduler/tasks.ts";
import type { DataFault } from "../errors.ts";
import { chunksOf, type Range } from "./chunks.ts";
import { type Category, describeItem, type Item, type Part } from "./items.ts";
import type { Outcome, TaskFault } from "./job.ts";
import type { AnalysisSpec, InputFile } from "./spec.ts";
import { type Merge, MergeTree } from "./tree.ts";

/** An item whose task is over. */
export interface Ended {
  readonly item: Item;
  readonly end: TaskEnd;
  /** What the task's own process said last; `null` if it said nothing that can be read. */
  readonly outcome: Outcome | null;
  /** Where its partial result lies, if it has one. */
  readonly resultPath: string;
  /** For messages: host and exit code of the last attempt, and how many there were. */
  readonly host: string | null;
  readonly exitCode: number | null;
  readonly attempts: number;
  /** The end of what the last attempt printed, as text. */
  readonly printed: string;
}

/** Something that is not in the result, and why. */
export interface LeftOut {
  readonly dataset: string;
  readonly file: string;
  /** `null`: all of it. */
  readonly range: Range | null;
  readonly why: string;
}

/** Why the run ended before all was done. */
export type Stopped =
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "interrupted" };

export interface RunEnd {
  /** The merged result; `null` if nothing at all was processed. */
  readonly result: Part | null;
  readonly stopped: Stopped | null;
}

type Phase =
  | { readonly name: "preprocessing"; next: number; done: number }
  | { readonly name: "processing"; next: number }
  | { readonly name: "done"; readonly end: RunEnd };

interface Chunk {
  readonly file: InputFile;
  readonly uuid: string;
  readonly range: Range;
}

interface Seen {
  readonly entries: number;
  readonly uuid: string;
}

export class AnalysisRun {
  readonly leftOut: LeftOut[] = [];
  #phase: Phase = { name: "preprocessing", next: 0, done: 0 };
  readonly #seen: (Seen | null)[];
  #chunks: Chunk[] = [];
  #tree: MergeTree<Part> | null = null;
  readonly #merges: Merge<Part>[] = [];
  #stopped: Stopped | null = null;
  #outstanding = 0;
  #eventsTotal: number | null = null;
  #eventsSubmitted = 0;
  #eventsProcessed = 0;
  #merged = 0;

  /** @param postprocess the processor has a last word on the merged result */
  constructor(readonly spec: AnalysisSpec, private readonly postprocess: boolean) {
    this.#seen = new Array(spec.files.length).fill(null);
    this.#goOn(); // without any file it ends as it begins
  }

  /** The next item to submit, or `null` while there is none; merges go first. */
  next(): Item | null {
    const item = this.#nextItem();
    if (item !== null) this.#outstanding++;
    return item;
  }

  /** An item's task is over; returns partial results that are needed no more. */
  ended(ended: Ended): readonly Part[] {
    this.#outstanding--;
    const { item } = ended;
    const merged = ended.end.kind === "success" && ended.outcome?.ok === true;
    const used = item.kind === "accumulate" && merged ? item.parts : [];
    switch (ended.end.kind) {
      case "success":
        this.#succeeded(ended);
        break;
      case "canceled":
        this.#without(item);
        break;
      case "failure":
        this.#failed(ended);
        break;
    }
    this.#goOn();
    return used;
  }

  /**
   * Submit nothing new; what is done is merged. The caller cancels what waits or runs in
   * {@link cancelable} categories.
   */
  stop(why: Stopped): void {
    if (this.#stopped !== null || this.#phase.name === "done") return;
    this.#stopped = why;
    const phase = this.#phase;
    if (phase.name === "processing") {
      const unsubmitted = phase.next;
      phase.next = this.#chunks.length;
      for (let leaf = unsubmitted; leaf < this.#chunks.length; leaf++) {
        this.#put({ level: 0, index: leaf }, null);
      }
    }
    this.#goOn();
  }

  /** Once stopped, tasks of these categories are of no use any more. */
  readonly cancelable: readonly Category[] = ["preprocessing", "processing"];

  get stopped(): Stopped | null {
    return this.#stopped;
  }

  /** `null` while the run goes on. */
  get end(): RunEnd | null {
    return this.#phase.name === "done" ? this.#phase.end : null;
  }

  /** Files as they were found, in the order of the spec; `null` for those not (yet) known. */
  get seen(): readonly (Seen | null)[] {
    return this.#seen;
  }

  get counts(): {
    phase: Phase["name"];
    preprocessed: number;
    eventsTotal: number | null;
    eventsSubmitted: number;
    eventsProcessed: number;
    merged: number;
    mergesTotal: number | null;
  } {
    const phase = this.#phase;
    return {
      phase: phase.name,
      preprocessed: phase.name === "preprocessing" ? phase.done : this.spec.files.length,
      eventsTotal: this.#eventsTotal,
      eventsSubmitted: this.#eventsSubmitted,
      eventsProcessed: this.#eventsProcessed,
      merged: this.#merged,
      mergesTotal: this.#tree?.mergeCount ?? null,
    };
  }

  #nextItem(): Item | null {
    const merge = this.#merges.shift();
    if (merge !== undefined) return { kind: "accumulate", ...merge };
    const phase = this.#phase;
    if (this.#stopped !== null || phase.name === "done") return null;
    if (phase.name === "preprocessing") {
      const file = this.spec.files[phase.next];
      if (file === undefined) return null;
      phase.next++;
      return { kind: "preprocess", file };
    }
    const chunk = this.#chunks[phase.next];
    if (chunk === undefined) return null;
    const leaf = phase.next++;
    this.#eventsSubmitted += chunk.range.stop - chunk.range.start;
    return { kind: "process", leaf, ...chunk };
  }

  #succeeded(ended: Ended): void {
    const { item, outcome, resultPath } = ended;
    if (outcome === null || !outcome.ok) {
      this.#failed(ended);
      return;
    }
    switch (item.kind) {
      case "preprocess":
        if (outcome.kind !== "preprocess") throw new Error("Not the outcome of preprocessing");
        this.#seen[this.spec.files.indexOf(item.file)] = {
          entries: outcome.entries,
          uuid: outcome.uuid,
        };
        this.#preprocessed();
        break;
      case "process": {
        const events = item.range.stop - item.range.start;
        this.#eventsProcessed += events;
        this.#put({ level: 0, index: item.leaf }, { path: resultPath, events });
        break;
      }
      case "accumulate": {
        this.#merged++;
        const events = item.parts.reduce((sum, part) => sum + part.events, 0);
        this.#put(item.node, { path: resultPath, events });
        break;
      }
    }
  }

  #failed(ended: Ended): void {
    const { item, outcome } = ended;
    const fault = outcome !== null && !outcome.ok ? outcome.error : null;
    if (this.spec.skipBadFiles && isBadFile(fault) && item.kind !== "accumulate") {
      this.#leaveOut(item, fault.message);
    } else {
      this.stop({ kind: "failed", message: failureMessage(ended, fault) });
    }
    this.#without(item);
  }

  #leaveOut(item: Exclude<Item, { kind: "accumulate" }>, why: string): void {
    const { dataset, file } = item.file;
    this.leftOut.push({ dataset, file, range: item.kind === "process" ? item.range : null, why });
  }

  /** Nothing will come of the item: the others go on without it. */
  #without(item: Item): void {
    switch (item.kind) {
      case "preprocess":
        this.#preprocessed();
        break;
      case "process":
        this.#put({ level: 0, index: item.leaf }, null);
        break;
      case "accumulate":
        this.#put(item.node, null);
        break;
    }
  }

  #preprocessed(): void {
    if (this.#phase.name === "preprocessing") this.#phase.done++;
  }

  #put(node: Merge<Part>["node"], part: Part | null): void {
    const { merges, result } = this.#tree!.put(node, part);
    this.#merges.push(...merges);
    if (result === undefined) return;
    const nothing: Stopped = {
      kind: "failed",
      message: "Nothing was processed: every chunk was left out.",
    };
    this.#finish(result, this.#stopped ?? (result === null ? nothing : null));
  }

  #finish(result: Part | null, stopped: Stopped | null): void {
    this.#stopped = stopped;
    this.#phase = { name: "done", end: { result, stopped } };
  }

  #goOn(): void {
    const phase = this.#phase;
    if (phase.name !== "preprocessing") return;
    if (this.#stopped !== null) {
      if (this.#outstanding === 0) this.#finish(null, this.#stopped);
    } else if (phase.done === this.spec.files.length) {
      this.#plan();
    }
  }

  #plan(): void {
    const perDataset = new Map<string, number>();
    const chunksMax = this.spec.chunksMax ?? Infinity;
    this.spec.files.forEach((file, i) => {
      const seen = this.#seen[i];
      if (seen === null || seen === undefined) return;
      for (const range of chunksOf(seen.entries, this.spec.chunkSize)) {
        const count = perDataset.get(file.dataset) ?? 0;
        if (count >= chunksMax) return;
        perDataset.set(file.dataset, count + 1);
        this.#chunks.push({ file, uuid: seen.uuid, range });
      }
    });
    this.#eventsTotal = this.#chunks.reduce((sum, { range }) => sum + range.stop - range.start, 0);
    if (this.#chunks.length === 0) {
      const why = this.leftOut.length === this.spec.files.length
        ? `none of the ${this.leftOut.length} files can be read`
        : "the files hold no events";
      this.#finish(null, { kind: "failed", message: `There is nothing to process: ${why}.` });
      return;
    }
    this.#tree = new MergeTree(this.#chunks.length, this.postprocess);
    this.#phase = { name: "processing", next: 0 };
  }
}

/** Faults of the file itself; a column that is not there is the processor's, and would be everywhere. */
const badFileFaults: ReadonlySet<DataFault> = new Set([
  "unreachable",
  "not-root",
  "truncated",
  "corrupt",
  "no-tree",
]);

function isBadFile(fault: TaskFault | null): fault is TaskFault {
  return fault?.whose === "data" && fault.fault !== undefined && badFileFaults.has(fault.fault);
}

/** What the user is told when an item has failed for good. */
function failureMessage(ended: Ended, fault: TaskFault | null): string {
  const where = [
    ended.host !== null ? `on host ${ended.host}` : null,
    ended.exitCode !== null ? `exit code ${ended.exitCode}` : null,
    ended.attempts > 1 ? `after ${ended.attempts} attempts` : null,
  ].filter((part) => part !== null).join(", ");
  const why = fault?.message ?? whyOf(ended);
  const lines = [`Failed ${describeItem(ended.item)}${where && ` (${where})`}: ${why}`];
  if (fault?.stack) lines.push(fault.stack);
  else if (fault === null && ended.printed.trim() !== "") lines.push(ended.printed.trimEnd());
  return lines.join("\n");
}

function whyOf({ end, outcome }: Ended): string {
  if (end.kind === "failure") return end.why;
  return outcome === null ? "its outcome.json cannot be read" : end.kind;
}
