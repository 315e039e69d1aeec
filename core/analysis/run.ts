/**
 * The course of an analysis: preprocess every file, cut the events into chunks, process them,
 * merge the partial results as they come. Tasks that ended go in, tasks to submit come out; where
 * and how they run is the scheduler's business. A chunk is cut when its task can be submitted, so
 * that its size can follow what was seen by then; one that is exhausted is cut again.
 */
import { CoffeaSizer } from "../chunks/coffea.ts";
import { FixedSizer } from "../chunks/fixed.ts";
import { RobustSizer } from "../chunks/robust.ts";
import type { ChunkSizer } from "../chunks/sizer.ts";
import { type Rng, seededRng } from "../env.ts";
import { describeAmount } from "../monitor/resources.ts";
import type { TaskEnd } from "../scheduler/tasks.ts";
import { piecesOf, type Range } from "./chunks.ts";
import { Cutter, type KnownCuts, type KnownSplit, noneKnown } from "./cutter.ts";
import { describeLimit, failureMessage, isBadFile, type Outgrown, outgrown } from "./failure.ts";
import { type Category, describeItem, type Item, type Part } from "./items.ts";
import type { Outcome } from "./job.ts";
import { type KnownMerges, Merges, noMergesKnown, partsOf } from "./merges.ts";
import { Coverage, type Missing } from "./missing.ts";
import type { ChunkCounts } from "./progress.ts";
import type { AnalysisSpec, InputFile } from "./spec.ts";
import { type Grown, MergeTree } from "./tree.ts";

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
  /** Of the last attempt; `null` where its worker does not say. */
  readonly measured: { readonly memoryPeakMb: number | null; readonly wallMs: number } | null;
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

/** A chunk, or a piece of one, that was cut again. */
export interface Split extends KnownSplit {
  readonly file: InputFile;
  readonly range: Range;
}

export interface RunEnd {
  /** The merged result; `null` if nothing at all was processed. */
  readonly result: Part | null;
  readonly stopped: Stopped | null;
}

type Phase =
  | { readonly name: "preprocessing"; next: number; done: number }
  | { readonly name: "processing"; readonly cutter: Cutter }
  | { readonly name: "done"; readonly end: RunEnd };

type ProcessItem = Extract<Item, { kind: "process" }>;

interface Seen {
  readonly entries: number;
  readonly uuid: string;
}

export class AnalysisRun {
  readonly leftOut: LeftOut[] = [];
  #phase: Phase = { name: "preprocessing", next: 0, done: 0 };
  readonly #seen: (Seen | null)[];
  readonly #sizer: ChunkSizer;
  readonly #tree: MergeTree<Part>;
  readonly #merges: Merges;
  /** Files that are preprocessed once more, where there is more room. */
  readonly #reopened: Item[] = [];
  readonly #takenUp = new WeakSet<Item>();
  /** Of chunks that were cut again. */
  readonly #pieces: ProcessItem[] = [];
  readonly #notes: string[] = [];
  readonly #splits: Split[] = [];
  readonly #covered = new Coverage();
  #stopped: Stopped | null = null;
  #outstanding = 0;
  /** Events that are to be processed of each file; empty before that is known. */
  #planned: ReadonlyMap<InputFile, number> = new Map();
  #eventsTotal: number | null = null;
  #eventsSubmitted = 0;
  #eventsProcessed = 0;
  #merged = 0;
  #split = 0;
  #eventsExhausted = 0;
  #smallest = Infinity;

  /**
   * @param postprocess the processor has a last word on the merged result
   * @param chance for the model of coffea, which tries other sizes at random
   * @param known how an earlier manager cut the events, and merged
   */
  constructor(
    readonly spec: AnalysisSpec,
    postprocess: boolean,
    chance: Rng = seededRng(1),
    private readonly known: KnownCuts & KnownMerges = { ...noneKnown, ...noMergesKnown },
  ) {
    this.#seen = new Array(spec.files.length).fill(null);
    this.#sizer = sizerOf(spec, chance);
    this.#tree = new MergeTree(postprocess);
    this.#merges = new Merges(known);
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
      for (const piece of this.#pieces.splice(0)) this.#put(piece, null);
      if (!phase.cutter.isDone) this.#grow(this.#tree.close());
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

  /** Sizes of later chunks depend on how earlier ones go: few should be submitted ahead. */
  get learns(): boolean {
    return this.spec.dynamicChunkSize !== undefined || this.#split > 0;
  }

  /** What there is to say to people since the last call. */
  takeNotes(): string[] {
    return [...this.#notes.splice(0), ...this.#sizer.takeNotes()];
  }

  /** What was cut again since the last call, if that was not known before. */
  takeSplits(): Split[] {
    return this.#splits.splice(0);
  }

  /** It outgrew what it had, and another item does what it was to do. */
  isTakenUp(item: Item): boolean {
    return this.#takenUp.has(item);
  }

  /** Parts that one task may merge. */
  get partsMax(): number {
    return this.#merges.partsMax;
  }

  /** What is not in the result, or not yet. */
  get missing(): Missing[] {
    return this.#covered.missing(this.spec.files, (file) => this.#planned.get(file) ?? null);
  }

  get counts(): {
    phase: Phase["name"];
    preprocessed: number;
    eventsTotal: number | null;
    eventsSubmitted: number;
    eventsProcessed: number;
    merged: number;
    /** An estimate, while it depends on sizes of chunks that are not cut yet. */
    mergesTotal: number | null;
    chunks: ChunkCounts;
  } {
    const phase = this.#phase;
    const current = this.#sizer.current;
    return {
      phase: phase.name,
      preprocessed: phase.name === "preprocessing" ? phase.done : this.spec.files.length,
      eventsTotal: this.#eventsTotal,
      eventsSubmitted: this.#eventsSubmitted,
      eventsProcessed: this.#eventsProcessed,
      merged: this.#merged,
      mergesTotal: this.#eventsTotal === null
        ? null
        : this.#tree.mergeCount(this.#leavesExpected) + this.#merges.more,
      chunks: {
        current,
        smallest: Math.min(this.#smallest, current),
        split: this.#split,
        eventsExhausted: this.#eventsExhausted,
      },
    };
  }

  get #leavesExpected(): number {
    const phase = this.#phase;
    const left = phase.name === "processing" && this.#stopped === null
      ? phase.cutter.chunksLeft
      : 0;
    return this.#tree.leafCount + left;
  }

  #nextItem(): Item | null {
    const merge = this.#merges.next();
    if (merge !== null) return merge;
    const phase = this.#phase;
    if (this.#stopped !== null || phase.name === "done") return null;
    if (phase.name === "preprocessing") {
      const again = this.#reopened.shift();
      if (again !== undefined) return again;
      const file = this.spec.files[phase.next];
      if (file === undefined) return null;
      phase.next++;
      return { kind: "preprocess", file };
    }
    for (let item = this.#nextChunk(phase.cutter); item !== null;) {
      if (!this.#cutBefore(item)) return item;
      item = this.#nextChunk(phase.cutter);
    }
    return null;
  }

  #nextChunk(cutter: Cutter): ProcessItem | null {
    return this.#pieces.shift() ?? this.#cut(cutter);
  }

  #cut(cutter: Cutter): ProcessItem | null {
    const chunk = cutter.next(this.#outstanding);
    if (chunk === null) return null;
    this.#smallest = Math.min(this.#smallest, this.#sizer.current);
    const { leaf, ...grown } = this.#tree.addLeaf();
    this.#grow(grown);
    if (cutter.isDone) this.#grow(this.#tree.close());
    this.#eventsSubmitted += eventsOf(chunk.range);
    return { kind: "process", leaf, piece: [], ...chunk };
  }

  #mayBeCut({ piece, range }: ProcessItem): boolean {
    return eventsOf(range) > 1 && piece.length < this.spec.retries;
  }

  /** Cuts it again before it runs, where that is known to be needed; false if it is not. */
  #cutBefore(item: ProcessItem): boolean {
    const { file, range } = item;
    const { dataset } = file;
    const events = eventsOf(range);
    const split = this.known.splitOf(file, range);
    if (split !== null) {
      const { size, outgrown } = split;
      if (outgrown !== null) {
        this.#sizer.exhausted({ dataset, events, ...outgrown });
        this.#split++;
      }
      this.#cutInto(item, size);
      return true;
    }
    if (this.known.isWhole(file, range)) return false;
    const size = this.#sizer.sizeWithin(dataset, events);
    if (size >= events || !this.#mayBeCut(item)) return false;
    this.#cutAgain(item, size, null);
    return true;
  }

  #cutAgain(item: ProcessItem, size: number, outgrown: Outgrown | null): void {
    this.#splits.push({ file: item.file, range: item.range, size, outgrown });
    this.#cutInto(item, size);
  }

  #cutInto(item: ProcessItem, size: number): void {
    const ranges = piecesOf(item.range, size);
    this.#smallest = Math.min(this.#smallest, size);
    this.#tree.split(item.leaf, item.piece, ranges.length);
    this.#pieces.unshift(
      ...ranges.map((range, i) => ({ ...item, piece: [...item.piece, i], range })),
    );
  }

  #succeeded(ended: Ended): void {
    const { item, outcome, measured } = ended;
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
        const events = eventsOf(item.range);
        this.#eventsProcessed += events;
        this.#covered.add(item.file, item.range);
        this.#sizer.succeeded({
          dataset: item.file.dataset,
          events,
          memoryMb: measured?.memoryPeakMb ?? null,
          wallMs: measured?.wallMs ?? null,
        });
        this.#put(item, { path: ended.resultPath, events });
        break;
      }
      case "accumulate": {
        this.#merged++;
        const events = item.parts.reduce((sum, part) => sum + part.events, 0);
        const part = { path: ended.resultPath, events };
        if (!this.#merges.goOn(item, part)) this.#put(item, part);
        break;
      }
    }
  }

  #failed(ended: Ended): void {
    const { item, outcome, end } = ended;
    const fault = outcome !== null && !outcome.ok ? outcome.error : null;
    const limit = outgrown(end);
    if (limit !== null && item.kind === "process" && this.#stopped === null) {
      if (this.#exhausted(item, limit, ended)) return;
    }
    if (limit !== null && item.kind !== "process" && this.#takeUp(item, limit, ended)) {
      this.#takenUp.add(item);
      return;
    }
    if (this.spec.skipBadFiles && isBadFile(fault) && item.kind !== "accumulate") {
      this.#leaveOut(item, fault.message);
    } else {
      const message = failureMessage(ended, fault, this.spec);
      this.stop({ kind: "failed", message });
    }
    if (limit !== null && item.kind === "accumulate") this.#put(item, largestOf(partsOf(item)));
    else this.#without(item);
  }

  /** Cuts the chunk again; false if that cannot be done any more. */
  #exhausted(item: ProcessItem, limit: Outgrown, { host }: Ended): boolean {
    const events = eventsOf(item.range);
    this.#eventsExhausted += events;
    if (!this.#mayBeCut(item)) return false;
    const { resource, limit: given, measured } = limit;
    const size = this.#sizer.exhausted({
      dataset: item.file.dataset,
      events,
      resource,
      limit: given,
      measured,
    });
    this.#split++;
    this.#cutAgain(item, size, limit);
    this.#notes.push(
      `Exhausted ${describeLimit(limit)} ${describeItem(item)}` +
        `${host === null ? "" : ` on host ${host}`}; cut into pieces of ${size} events`,
    );
    return true;
  }

  /**
   * Does it in smaller steps, or asks for more than there is; false where neither can be. Parts are
   * merged one after the other in any case, so that the same sums are made in the same order.
   */
  #takeUp(
    item: Exclude<Item, ProcessItem>,
    limit: Outgrown,
    { host }: Ended,
  ): boolean {
    const what = `Exhausted ${describeLimit(limit)} ${describeItem(item)}` +
      `${host === null ? "" : ` on host ${host}`}`;
    if (item.kind === "accumulate" && this.#merges.narrow(item)) {
      this.#notes.push(`${what}; from now on ${this.#merges.partsMax} are merged at once`);
      return true;
    }
    const name = moreOf(limit.resource);
    // What the user declared is the limit, as is this machine where the run has its own workers.
    const isFinal = name === null || this.spec.resources[name] !== undefined ||
      this.spec.workers !== null || this.#stopped !== null;
    if (isFinal || limit.limit === null) return false;
    const request = { ...item.request, [name]: 2 * limit.limit };
    this.#notes.push(
      `${what}; it waits for a worker that gives it ${
        describeAmount(limit.resource!, request[name]!)
      }`,
    );
    if (item.kind === "preprocess") this.#reopened.push({ ...item, request });
    else this.#merges.enlarge(item, request);
    return true;
  }

  #leaveOut(item: Exclude<Item, { kind: "accumulate" }>, why: string): void {
    const { dataset, file } = item.file;
    this.leftOut.push({ dataset, file, range: item.kind === "process" ? item.range : null, why });
  }

  /** Nothing will come of the item: the others go on without it. */
  #without(item: Item): void {
    if (item.kind === "preprocess") this.#preprocessed();
    else this.#put(item, null);
  }

  #preprocessed(): void {
    if (this.#phase.name === "preprocessing") this.#phase.done++;
  }

  #put(item: Exclude<Item, { kind: "preprocess" }>, part: Part | null): void {
    if (item.kind === "accumulate") {
      this.#grow(this.#tree.put(item.node, part));
    } else if (item.piece.length > 0) {
      this.#grow(this.#tree.putPiece(item.leaf, item.piece, part));
    } else {
      this.#grow(this.#tree.put({ level: 0, index: item.leaf }, part));
    }
  }

  #grow({ merges, result }: Grown<Part>): void {
    for (const merge of merges) this.#merges.add(merge);
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
    const found = this.spec.files.flatMap((file, i) => {
      const seen = this.#seen[i] ?? null;
      return seen === null ? [] : [{ file, ...seen }];
    });
    const cutter = new Cutter(found, this.#sizer, this.spec.chunksMax, this.known);
    this.#planned = cutter.eventsOf;
    this.#eventsTotal = cutter.eventsTotal;
    if (cutter.isDone) {
      const why = this.leftOut.length === this.spec.files.length
        ? `none of the ${this.leftOut.length} files can be read`
        : "the files hold no events";
      this.#finish(null, { kind: "failed", message: `There is nothing to process: ${why}.` });
      return;
    }
    this.#phase = { name: "processing", cutter };
  }
}

function sizerOf({ chunkSize, dynamicChunkSize }: AnalysisSpec, chance: Rng): ChunkSizer {
  switch (dynamicChunkSize?.model) {
    case undefined:
      return new FixedSizer(chunkSize);
    case "coffea":
      return new CoffeaSizer(chunkSize, dynamicChunkSize, chance);
    case "robust":
      return new RobustSizer(chunkSize, dynamicChunkSize);
  }
}

/** Of which a larger worker has more to give. */
function moreOf(resource: Outgrown["resource"]): "memoryMb" | "diskMb" | null {
  return resource === "memory" ? "memoryMb" : resource === "disk" ? "diskMb" : null;
}

function eventsOf({ start, stop }: Range): number {
  return stop - start;
}

function largestOf(parts: readonly Part[]): Part | null {
  return parts.reduce<Part | null>(
    (largest, part) => part.events > (largest?.events ?? -1) ? part : largest,
    null,
  );
}
