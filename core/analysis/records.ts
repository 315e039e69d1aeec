/** What the journal of an analysis holds: how its events were cut, and what became of each item. */
import { baseName } from "../cache_names.ts";
import type { Observation } from "../allocation/policy.ts";
import type { TaskEnd } from "../scheduler/tasks.ts";
import type { Range } from "./chunks.ts";
import type { Outgrown } from "./failure.ts";
import type { Identity } from "./identity.ts";
import type { Category, Item } from "./items.ts";
import type { TaskFault } from "./job.ts";
import type { ReportedTask } from "./report.ts";
import type { Split, Stopped } from "./run.ts";
import type { AnalysisSpec, InputFile } from "./spec.ts";

/** A partial result in the run folder, of a name of its own; it is believed only if its content has this digest. */
export interface KeptResult {
  readonly name: string;
  readonly bytes: number;
  readonly digest: string;
}

/** Files by their place in the analysis, partial results by their names. */
export type ItemRecord =
  | { readonly kind: "preprocess"; readonly file: number }
  | { readonly kind: "process"; readonly file: number; readonly range: Range }
  | { readonly kind: "accumulate"; readonly parts: readonly string[]; readonly final: boolean };

/** What came of an item. */
export type Got =
  | { readonly kind: "file"; readonly entries: number; readonly uuid: string }
  | {
    readonly kind: "part";
    readonly part: KeptResult;
    /** Of the task, for the sizes of chunks to come. */
    readonly measured: { readonly memoryPeakMb: number | null; readonly wallMs: number } | null;
  }
  /** For good; `why` is the first line of what people are told. */
  | {
    readonly kind: "failure";
    readonly end: Extract<TaskEnd, { kind: "failure" }>;
    readonly fault: TaskFault | null;
    readonly why: string;
  }
  /** Canceled, or cut again. */
  | { readonly kind: "nothing" };

/** What an attempt taught its category. */
export type Lesson = Omit<Observation, "task">;

/** An analysis as JSON holds it. */
export type SpecRecord = Omit<AnalysisSpec, "datasets"> & {
  readonly datasets: readonly (readonly [string, Readonly<Record<string, unknown>>])[];
};

export type AnalysisRecord =
  /** A manager takes the run up; the first begins it. */
  | {
    readonly type: "opened";
    readonly kind: "analysis";
    /** From 1. */
    readonly session: number;
    readonly version: string;
    /** By which workers that lost a manager of the run know the next one; absent: they do not. */
    readonly run?: string;
    readonly epochMs: number;
    readonly spec: SpecRecord;
    readonly identity: Identity;
    /** What the command line said, for a resume that says nothing. */
    readonly options: Readonly<Record<string, unknown>>;
  }
  | { readonly type: "cut"; readonly file: number; readonly range: Range }
  | {
    readonly type: "split";
    readonly file: number;
    readonly range: Range;
    readonly size: number;
    readonly outgrown: Outgrown | null;
  }
  | {
    readonly type: "ended";
    readonly item: ItemRecord;
    readonly got: Got;
    readonly task: ReportedTask;
    readonly category: Category;
    readonly lessons: readonly Lesson[];
  }
  /** A merge outgrew what it had: so many parts are merged by one task from here on. */
  | { readonly type: "narrowed"; readonly partsMax: number }
  /** The file is not what it was: nothing before this is true of it. */
  | { readonly type: "changed"; readonly file: number }
  /** From here on only what is there is merged: nothing of it is of use to a resumed run. */
  | { readonly type: "stopped"; readonly why: Stopped }
  /** The manager came to the end, and what is there now is what the user got. */
  | { readonly type: "closed"; readonly state: "complete" | "partial" };

export function specRecordOf({ datasets, ...spec }: AnalysisSpec): SpecRecord {
  return { ...spec, datasets: [...datasets] };
}

export function specOf({ datasets, ...spec }: SpecRecord): AnalysisSpec {
  return { ...spec, datasets: new Map(datasets) };
}

/** Items of one analysis and their records. */
export class ItemRecords {
  readonly #places: ReadonlyMap<InputFile, number>;

  constructor({ files }: Pick<AnalysisSpec, "files">) {
    this.#places = new Map(files.map((file, place) => [file, place]));
  }

  placeOf(file: InputFile): number {
    const place = this.#places.get(file);
    if (place === undefined) throw new Error(`"${file.file}" is no file of this analysis`);
    return place;
  }

  of(item: Item): ItemRecord {
    switch (item.kind) {
      case "preprocess":
        return { kind: "preprocess", file: this.placeOf(item.file) };
      case "process":
        return { kind: "process", file: this.placeOf(item.file), range: item.range };
      case "accumulate":
        return {
          kind: "accumulate",
          parts: item.parts.map(({ path }) => baseName(path)),
          final: item.final,
        };
    }
  }

  splitOf({ file, range, size, outgrown }: Split): AnalysisRecord {
    return { type: "split", file: this.placeOf(file), range, size, outgrown };
  }
}

/** The same word for items of which the same comes. */
export function keyOf(item: ItemRecord): string {
  switch (item.kind) {
    case "preprocess":
      return `f${item.file}`;
    case "process":
      return `p${item.file}:${item.range.start}-${item.range.stop}`;
    case "accumulate":
      return `${item.final ? "r" : "a"}${item.parts.join("+")}`;
  }
}

/** What is kept of an attempt's lesson, whatever else an observation has. */
export function lessonOf({ box, measured, wallMs, exceeded }: Lesson): Lesson {
  return { box, measured, wallMs, exceeded };
}
