/** What a simulated manager is asked to do, and what must come of it. */
import type { TaskId } from "../../core/ids.ts";
import type { Task, TaskEnd } from "../../core/scheduler/tasks.ts";
import type { SimManager } from "./manager.ts";
import type { Effect, Files } from "./worker.ts";

export interface Workload {
  /** Submits what can be submitted. */
  begin(manager: SimManager): void;
  returned(manager: SimManager, task: Task, end: TaskEnd): void;
  /** What a command does on a worker. */
  execute(command: string, sandbox: Files): Effect;
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

  get allBack(): boolean {
    return this.#back.size === this.#out.size;
  }
}
