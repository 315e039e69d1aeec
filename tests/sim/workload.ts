/** What a simulated manager is asked to do, and what must come of it. */
import type { TaskId } from "../../core/ids.ts";
import type { Task, TaskEnd } from "../../core/scheduler/tasks.ts";
import type { SimDisk } from "./disk.ts";
import type { Chances, Faults, Probable } from "./faults.ts";
import type { SimJournal } from "./journal.ts";
import type { SimManager } from "./manager.ts";
import type { Effect, Files } from "./worker.ts";

/** A manager as it begins, and what an earlier one left. */
export interface Session {
  readonly manager: SimManager;
  readonly records: readonly unknown[];
  /** Where those records end in the journal. */
  readonly offset: number;
  /** The journal from there on. */
  openJournal(offset: number): SimJournal;
}

/** What a workload may know of its world. */
export interface Surroundings {
  readonly faults: Faults;
  readonly chances: Chances;
  /** Whether something goes wrong this time. */
  readonly happens: (what: Probable) => boolean;
  /** Something that is to be counted. */
  readonly note: (what: string) => void;
}

export interface Workload {
  /** Files that are there from the beginning. */
  prepare(disk: SimDisk): void;
  /** Submits what can be submitted and is not done. */
  begin(session: Session): void;
  returned(manager: SimManager, task: Task, end: TaskEnd): void;
  /** What a command does on a worker. */
  execute(command: string, sandbox: Files): Effect;
  /**
   * The manager was killed; `records`: what its journal says, if it was up to date. Throws if that
   * is not what the manager had in mind.
   */
  died(records: readonly unknown[] | null): void;
  /** Everything has come to its end. */
  done(): boolean;
  /** Throws if the end is not what it must be. */
  check(manager: SimManager): void;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

export function textOf(bytes: Uint8Array | undefined): string {
  return decoder.decode(bytes);
}

/** Each task returns once, whatever happens. */
export class OnceEach {
  readonly #out = new Set<TaskId>();
  readonly #back = new Set<TaskId>();

  submitted(id: TaskId): void {
    this.#out.add(id);
  }

  returned(id: TaskId): void {
    if (!this.#out.has(id)) throw new Error(`Task ${id} was returned and never submitted`);
    if (this.#back.has(id)) throw new Error(`Task ${id} was returned twice`);
    this.#back.add(id);
  }

  /** Those who have them are gone. */
  forgetOthers(): void {
    for (const id of this.#out) if (!this.#back.has(id)) this.#out.delete(id);
  }

  get allBack(): boolean {
    return this.#back.size === this.#out.size;
  }
}
