/** An analysis after its YAML, the command line and the file system were checked: nothing to doubt. */
import type { Sizing } from "../allocation/sizing.ts";
import type { ChunkTargets } from "../chunks/sizer.ts";

/** One input file of one dataset. */
export interface InputFile {
  readonly dataset: string;
  /** As the analysis names it; what people are shown. */
  readonly file: string;
  /** A URL, or an absolute path. */
  readonly source: string;
  /** True: sent to workers and cached there. False: read in place (URLs, shared file systems). */
  readonly send: boolean;
  readonly tree: string;
}

/** Whether the file is one of XRootD. */
export function isXrootdUrl(source: string): boolean {
  return /^x?roots?:\/\//i.test(source);
}

/** Chunks that grow or shrink until tasks take what they should. */
export interface DynamicChunkSize extends ChunkTargets {
  /** `robust` is wqx's own; `coffea` does as coffea's executor, for comparison. */
  readonly model: "robust" | "coffea";
}

/** What a user asked for a task; undeclared ones are allocated in proportion. */
export interface ResourceRequest {
  readonly cores?: number;
  readonly memoryMb?: number;
  readonly diskMb?: number;
  readonly gpus?: number;
}

/** Workers that the manager starts on its own machine and stops again. */
export interface LocalWorkers {
  readonly count: number;
  readonly cores?: number;
  readonly memoryMb?: number;
  readonly diskMb?: number;
}

/** A processor of coffea, run by the Python that workers have. */
export interface CoffeaSpec {
  readonly kind: "coffea";
  /** Absolute path of its module. */
  readonly path: string;
  /** Of the class, instance or function in the module. */
  readonly name: string;
  /** How workers start their Python: `python3`, or a path. */
  readonly python: string;
  /** A class of coffea.nanoevents or of the module; `null`: what coffea's Runner takes. */
  readonly schema: string | null;
  /** Absolute paths of what else its tasks need. */
  readonly inputs: readonly string[];
}

/** The archive of a packed environment. */
export interface EnvironmentFile {
  /** Absolute. */
  readonly path: string;
  /** As the analysis or the task list names it. */
  readonly written: string;
}

export interface AnalysisSpec {
  readonly name: string;
  /** In the order of the YAML; chunks, results and reports keep it. */
  readonly files: readonly InputFile[];
  /** Metadata by dataset, in the order of the YAML. */
  readonly datasets: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  readonly processor:
    | { readonly kind: "module"; readonly path: string }
    | { readonly kind: "command"; readonly command: string; readonly inputs: readonly string[] }
    | CoffeaSpec;
  /** Events per chunk; files are cut evenly, as coffea cuts them. */
  readonly chunkSize: number;
  /** Absent: all chunks are of `chunkSize`. Present: it is where their sizes start from. */
  readonly dynamicChunkSize?: DynamicChunkSize;
  /** At most this many chunks per dataset. */
  readonly chunksMax: number | null;
  /** Ceilings of a task; in mode `fixed`, what it is given. */
  readonly resources: ResourceRequest;
  readonly sizing: Sizing;
  /** `null`: wait for workers from elsewhere. */
  readonly workers: LocalWorkers | null;
  /** Listen on the first free port of the range; 0 to 0 lets the system choose. */
  readonly port: { readonly low: number; readonly high: number };
  /** Absolute path of the run folder. */
  readonly output: string;
  /** How often a failed task is tried again. */
  readonly retries: number;
  readonly skipBadFiles: boolean;
  /** The archive of a packed environment, in which processors of coffea and commands run. */
  readonly environment?: EnvironmentFile;
  /** Absolute path of the x509 proxy that tasks with files of XRootD are sent. */
  readonly x509Proxy?: string;
}
