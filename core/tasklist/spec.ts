/** A task list after its file and the command line were read: what is to be run, and how. */
import type { CategorySettings } from "../allocation/category.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import type { EnvironmentFile, LocalWorkers, ResourceRequest } from "../analysis/spec.ts";
import type { TaskOutput } from "../scheduler/tasks.ts";

/** Where an input comes from; paths are absolute. */
export type ListedSource =
  /** `any`: a file or a directory, as it is found. `written`: as the list names it. */
  | {
    readonly kind: "path";
    readonly path: string;
    readonly as: "file" | "directory" | "any";
    readonly written: string;
  }
  | { readonly kind: "buffer"; readonly bytes: Uint8Array }
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "empty directory" };

export interface ListedInput {
  readonly source: ListedSource;
  readonly sandboxName: string;
  readonly cache: boolean;
}

export interface ListedOutput {
  /** Absolute. */
  readonly path: string;
  readonly sandboxName: string;
  readonly when: TaskOutput["when"];
  readonly cache: boolean;
  readonly watch: boolean;
}

export interface Dependency {
  readonly id: number;
  /** As the list names it: a name, or the id. */
  readonly named: string | number;
}

/** One task as it was listed. */
export interface ListedTask {
  /** Its place in the list, from 1; refused entries count too. */
  readonly id: number;
  readonly name: string | null;
  readonly tag: string | null;
  readonly command: string;
  /** A packed environment that the command runs in. */
  readonly environment?: EnvironmentFile;
  /** Tasks that must have succeeded before. */
  readonly after: readonly Dependency[];
  readonly inputs: readonly ListedInput[];
  readonly outputs: readonly ListedOutput[];
  /** `NAME=value` each. */
  readonly env: readonly string[];
  readonly request: ResourceRequest;
  readonly category: string;
  readonly priority: number;
  readonly retriesMax: number;
  readonly features: readonly string[];
  readonly wallTimeMs: number | null;
  /** Epoch. */
  readonly endTimeMs: number | null;
}

/** An entry of a list that is no task, and why. */
export interface RefusedEntry {
  readonly id: number;
  /** Where it can be made out, so that the tasks that depend on it can be told. */
  readonly name: string | null;
  readonly why: string;
}

export type ListEntry =
  | { readonly kind: "task"; readonly task: ListedTask }
  | { readonly kind: "refused"; readonly entry: RefusedEntry };

/** What is said of a list as a whole. */
export interface ListSpec {
  readonly name: string;
  /** `null`: wait for workers from elsewhere. */
  readonly workers: LocalWorkers | null;
  /** Listen on the first free port of the range; 0 to 0 lets the system choose. */
  readonly port: { readonly low: number; readonly high: number };
  /** Absolute path of the run folder. */
  readonly output: string;
  /** By category: a task slower than so many times the average gets a second copy. */
  readonly stragglerFactors: ReadonlyMap<string, number>;
  /** By category, `default` for the others. */
  readonly allocations: ReadonlyMap<string, CategorySettings>;
  readonly monitor: MonitorMode;
  /** On workers that are not of wqx, too. */
  readonly monitorForeign: boolean;
}

/** As people are told of it: `task "fit" (12)`, `task 12`. */
export function describeTask({ id, name }: Pick<ListedTask, "id" | "name">): string {
  return name === null ? `task ${id}` : `task "${name}" (${id})`;
}
