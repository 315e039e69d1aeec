/**
 * A run that goes on: its course is gone through again from the start, and every item of which the
 * journal knows the outcome is answered at once instead of becoming a task. Merges are known by the
 * partial results that they merged, so it does not matter how often managers died in between, nor
 * whether files that could not be read then are part of it now: what is merged in the same order is
 * the same to the last bit.
 */
import { baseName } from "../cache_names.ts";
import { seededRng } from "../env.ts";
import type { Range } from "./chunks.ts";
import type { KnownCuts } from "./cutter.ts";
import type { Category, Item, Part } from "./items.ts";
import type { Outcome } from "./job.ts";
import type { KnownMerges } from "./merges.ts";
import {
  type AnalysisRecord,
  type Got,
  ItemRecords,
  type KeptResult,
  keyOf,
  type Lesson,
} from "./records.ts";
import { AnalysisRun, type Ended } from "./run.ts";
import type { AnalysisSpec, InputFile } from "./spec.ts";

/** So much of what a category was taught is told again: policies look at what was seen lately. */
const lessonsMax = 1000;

type Opened = Extract<AnalysisRecord, { type: "opened" }>;

export class RunMemo {
  /** The manager that began the run, and the last one that took it up. */
  readonly first: Opened;
  last: Opened;
  /** All managers, for the report. */
  readonly sessions: { readonly started: string; readonly wqx: string }[] = [];
  /** What the last manager said at its end; `null`: it said nothing, so it died. */
  closed: "complete" | "partial" | null = null;
  stopped = false;
  readonly lessons: { category: Category; lesson: Lesson }[] = [];
  readonly #got = new Map<string, Got>();
  readonly #cuts = new Map<number, Map<number, number>>();
  readonly #whole = new Set<string>();
  #partsMax = Infinity;
  readonly #splits = new Map<string, Extract<AnalysisRecord, { type: "split" }>>();

  /**
   * `null` if there is nothing that a run was begun with.
   * @param retryFailures take up again what was left out
   */
  static of(records: Iterable<AnalysisRecord>, retryFailures = false): RunMemo | null {
    let memo: RunMemo | null = null;
    for (const record of records) {
      if (memo !== null) memo.#take(record, retryFailures);
      else if (record.type === "opened") memo = new RunMemo(record);
    }
    return memo;
  }

  private constructor(opened: Opened) {
    this.first = opened;
    this.last = opened;
    this.#open(opened);
  }

  /** What came of the item; `null`: it has to run. */
  got(key: string): Got | null {
    return this.#got.get(key) ?? null;
  }

  /** Names of all partial results that may be of use. */
  get names(): Set<string> {
    const names = new Set<string>();
    for (const got of this.#got.values()) if (got.kind === "part") names.add(got.part.name);
    return names;
  }

  /** It is not there, or is not what it was: what made it has to run again. */
  forget({ key }: Needed): void {
    this.#got.delete(key);
  }

  /** The file is not what it was: all that was made of it is of no use. Whether that was anything. */
  forgetFile(place: number): boolean {
    const isOfIt = (key: string) => key === `f${place}` || key.startsWith(`p${place}:`);
    const keys = [...this.#got.keys(), ...this.#splits.keys(), ...this.#whole].filter(isOfIt);
    for (const key of keys) {
      this.#got.delete(key);
      this.#splits.delete(key);
      this.#whole.delete(key);
    }
    this.#cuts.delete(place);
    return keys.length > 0;
  }

  cutsOf(records: ItemRecords): KnownCuts & KnownMerges {
    const key = (file: InputFile, range: Range) =>
      keyOf({ kind: "process", file: records.placeOf(file), range });
    return {
      stopOf: (file, start) => this.#cuts.get(records.placeOf(file))?.get(start) ?? null,
      splitOf: (file, range) => this.#splits.get(key(file, range)) ?? null,
      isWhole: (file, range) => this.#whole.has(key(file, range)),
      partsMax: this.#partsMax,
      isMerged: (parts, final) => {
        const names = parts.map(({ path }) => baseName(path));
        return this.#got.has(keyOf({ kind: "accumulate", parts: names, final }));
      },
    };
  }

  isKnown(key: string): boolean {
    return this.#whole.has(key);
  }

  #take(record: AnalysisRecord, retryFailures: boolean): void {
    switch (record.type) {
      case "opened":
        this.#open(record);
        break;
      case "changed":
        this.forgetFile(record.file);
        break;
      case "narrowed":
        this.#partsMax = Math.min(this.#partsMax, record.partsMax);
        break;
      case "closed":
        this.closed = record.state;
        break;
      case "stopped":
        this.stopped = true;
        break;
      case "cut": {
        const { file, range: { start, stop } } = record;
        this.#whole.add(keyOf({ kind: "process", file, range: record.range }));
        // Pieces of a chunk start where it does; the chunk as it was cut first reaches furthest.
        const cuts = this.#cuts.get(file) ?? new Map<number, number>();
        cuts.set(start, Math.max(stop, cuts.get(start) ?? 0));
        this.#cuts.set(file, cuts);
        break;
      }
      case "split": {
        const { file, range: { start, stop } } = record;
        const cuts = this.#cuts.get(file) ?? new Map<number, number>();
        cuts.set(start, Math.max(stop, cuts.get(start) ?? 0));
        this.#cuts.set(file, cuts);
        this.#splits.set(keyOf({ kind: "process", file, range: record.range }), record);
        break;
      }
      case "ended":
        this.#learn(record);
        if (this.stopped || record.got.kind === "nothing") break;
        if (record.got.kind === "failure" && retryFailures) break;
        this.#got.set(keyOf(record.item), record.got);
        break;
    }
  }

  #open(opened: Opened): void {
    this.last = opened;
    this.stopped = false;
    this.closed = null;
    const started = new Date(opened.epochMs).toISOString();
    this.sessions.push({ started, wqx: opened.version });
  }

  #learn({ category, lessons }: Extract<AnalysisRecord, { type: "ended" }>): void {
    for (const lesson of lessons) this.lessons.push({ category, lesson });
    if (this.lessons.length > 2 * lessonsMax) this.lessons.splice(0, lessonsMax);
  }
}

/** A partial result that the run has not merged yet, and what made it. */
export interface Needed {
  readonly key: string;
  readonly part: KeptResult;
}

/** A run as far as it had come. */
export interface Restored {
  readonly run: AnalysisRun;
  /** Given out by the run, to be made tasks of. */
  readonly open: readonly Item[];
  readonly needed: readonly Needed[];
  /** Merged; they may still be there if the manager died before it could remove them. */
  readonly used: readonly Part[];
}

/**
 * Goes through the course of the run with what is known. The caller looks at the results that are
 * needed; if one is not sound, it has the memo forget it, and begins anew.
 */
export function restore(
  spec: AnalysisSpec,
  postprocess: boolean,
  memo: RunMemo,
  pathOf: (name: string) => string,
): Restored {
  const records = new ItemRecords(spec);
  const run = new AnalysisRun(spec, postprocess, seededRng(1), memo.cutsOf(records));
  const open: Item[] = [];
  const needed = new Map<string, Needed>();
  const merged: Part[] = [];
  for (let item = run.next(); item !== null; item = run.next()) {
    const record = records.of(item);
    const key = keyOf(record);
    const got = memo.got(key);
    if (got === null) {
      open.push(item);
      // Chunks that were never cut before are cut when there is room for their tasks.
      if (item.kind === "process" && item.piece.length === 0 && !memo.isKnown(key)) break;
      continue;
    }
    const used = run.ended(endedAs(item, got, pathOf));
    for (const { path } of used) needed.delete(path);
    merged.push(...used);
    if (got.kind === "part") needed.set(pathOf(got.part.name), { key, part: got.part });
  }
  run.takeNotes();
  return { run, open, needed: [...needed.values()], used: merged };
}

function endedAs(item: Item, got: Got, pathOf: (name: string) => string): Ended {
  const nothing = { resultPath: "", host: null, exitCode: null, attempts: 0, printed: "" };
  const ended = { ...nothing, item, measured: null, outcome: null };
  const success = { kind: "success" } as const;
  switch (got.kind) {
    case "file": {
      const { entries, uuid } = got;
      const outcome: Outcome = { ok: true, kind: "preprocess", entries, uuid };
      return { ...ended, end: success, outcome };
    }
    case "part": {
      const kind = item.kind === "process" ? "process" : "accumulate";
      return {
        ...ended,
        end: success,
        outcome: { ok: true, kind, events: 0, bytesRead: 0 },
        resultPath: pathOf(got.part.name),
        measured: got.measured,
      };
    }
    case "failure":
      return {
        ...ended,
        end: got.end,
        outcome: got.fault === null ? null : { ok: false, error: got.fault },
      };
    case "nothing":
      return { ...ended, end: { kind: "canceled" } };
  }
}
