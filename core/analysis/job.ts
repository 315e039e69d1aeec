/**
 * What a task of an analysis is told (job.json, an input of the task) and what it tells in return
 * (outcome.json, an output, next to the partial result). Both are plain JSON, so that a processor
 * written as `{command: …}` reads and writes the same.
 */
import type { DataFault } from "../errors.ts";

/** Names in the sandbox; the manager stages to and from them. */
export const jobFileName = "job.json";
export const outcomeFileName = "outcome.json";
export const resultFileName = "result.acc";
export const processorFileName = "processor.js";
/** Where a command processor puts its accumulator, as JSON; its path is `$WQX_RESULT`. */
export const commandResultFileName = "result.json";

/** Exit code of a task that could not even write outcome.json (EX_IOERR of sysexits.h). */
export const outcomeLostExitCode = 74;

export interface PreprocessJob {
  readonly kind: "preprocess";
  readonly dataset: string;
  /** As the analysis names it; what people are shown. */
  readonly file: string;
  /** What to open: a URL, an absolute path, or a name in the sandbox. */
  readonly open: string;
  readonly tree: string;
}

export interface ProcessJob {
  readonly kind: "process";
  readonly dataset: string;
  readonly file: string;
  readonly open: string;
  readonly tree: string;
  /** Seen while preprocessing; a different one means that the file changed in between. */
  readonly uuid: string;
  readonly start: number;
  readonly stop: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** A bundled module in the sandbox, or a command for /bin/sh; its rules: analysis/command.ts. */
  readonly processor: { readonly module: string } | { readonly command: string };
}

export interface AccumulateJob {
  readonly kind: "accumulate";
  /** Partial results in the sandbox, in the order in which they are merged. */
  readonly parts: readonly string[];
  /** Only in the run's last merge: the module whose `postprocess`, if it has one, ends the run. */
  readonly postprocess?: { readonly module: string };
}

export type Job = PreprocessJob | ProcessJob | AccumulateJob;

/** Why a task of an analysis failed, as its own process saw it. */
export interface TaskFault {
  /**
   * `data`: the input file; `processor`: the user's code threw or returned what cannot be merged;
   * `sandbox`: no space left in it; `internal`: ours.
   */
  readonly whose: "data" | "processor" | "sandbox" | "internal";
  readonly fault?: DataFault;
  readonly message: string;
  /** The user's own stack trace, without frames of wqx. Absent for data faults. */
  readonly stack?: string;
}

export type Outcome =
  | {
    readonly ok: true;
    readonly kind: "preprocess";
    readonly entries: number;
    readonly uuid: string;
  }
  | {
    readonly ok: true;
    readonly kind: "process" | "accumulate";
    /** Of the chunk; 0 from accumulating, where they were counted before. */
    readonly events: number;
    /** Bytes read from the data file; 0 when not known. */
    readonly bytesRead: number;
  }
  | { readonly ok: false; readonly error: TaskFault };
