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

/** Runs the jobs of coffea's processors; written in Python, and sent along. */
export const coffeaRunnerFileName = "wqx_coffea.py";
/** What of coffea's final result can be told in JSON: a {@link CoffeaResult}. */
export const coffeaResultFileName = "result.json";

/** In the sandbox, of a task that opens files of XRootD; `X509_USER_PROXY` names it. */
export const x509ProxyFileName = "x509_proxy";

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

/** A chunk, as all kinds of processors are told of it. */
interface Chunk {
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
}

export interface ProcessJob extends Chunk {
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

/** A processor of coffea in the sandbox; its rules: manager/coffea_runner.py. */
export interface CoffeaProcessor {
  /** Name of its module in the sandbox. */
  readonly file: string;
  readonly name: string;
  readonly schema: string | null;
}

/** The same kinds of jobs, for {@link coffeaRunnerFileName}. */
export type CoffeaJob =
  | PreprocessJob
  | (Chunk & { readonly coffea: CoffeaProcessor })
  | {
    readonly kind: "accumulate";
    readonly parts: readonly string[];
    /** Only in the run's last merge: its `postprocess` ends the run. */
    readonly postprocess?: { readonly coffea: CoffeaProcessor };
  };

/** The final result of coffea, in the JSON of accumulators. */
export interface CoffeaResult {
  readonly accumulator: unknown;
  /** What it cannot hold, and why. */
  readonly leftOut: readonly string[];
}

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
