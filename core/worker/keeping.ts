/**
 * Tasks that outlive their link. When it breaks, those that run go on, and what has ended stays,
 * under names of the worker's own, since the next manager may use the same ones again. At the next
 * greeting the worker says what it has (protocol/offered_tasks.ts); a manager of the same run takes
 * a task by its block or drops it. All others, and a manager that says nothing, find none: their
 * first message ends what is kept. So does time, and results go when they take too much disk.
 */
import { resultCode, type TaskBlock, type ToWorker } from "../protocol/messages.ts";
import type { OfferedTask } from "../protocol/offered_tasks.ts";
import type { WorkerAction, WorkerLimits } from "./actions.ts";
import type { Phase, WorkerTask } from "./task.ts";

/** Begin of the cached names of outputs that are kept. */
export const keptNamePrefix = "wqx-kept-";

/** Whether its command runs, or has ended by itself. */
function isWorthKeeping(phase: Phase): boolean {
  switch (phase.name) {
    case "running":
      return phase.outlived === null;
    case "staging out":
      return phase.status === resultCode.success;
    case "complete":
    case "reported":
      return phase.result.status === resultCode.success;
    case "waiting":
    case "staging in":
      return false;
  }
}

/** The task under a number and cached names that no manager gives. */
function keptBlockOf(block: TaskBlock, taskId: number): TaskBlock {
  const outputs = block.outputs.map((output, i) => ({
    ...output,
    cacheName: `${keptNamePrefix}${-taskId}-${i}`,
  }));
  return { ...block, taskId, outputs };
}

/** What the machine does for them. */
interface Hands {
  act(action: WorkerAction): void;
  /** The task is over, whatever it is at. */
  end(id: number): void;
}

export class KeptTasks {
  /** Of the manager; `null`: it said nothing of any. */
  #run: string | null = null;
  /** Their numbers by their keys, in the order in which they were kept. */
  readonly #ids = new Map<string, number>();
  /** A manager that says -1 means all tasks. */
  #lastId = -1;
  #isUnproven = false;

  /** `tasks`: all of the worker. */
  constructor(
    private readonly tasks: Map<number, WorkerTask>,
    private readonly limits: WorkerLimits,
    private readonly hands: Hands,
  ) {}

  /** Whether tasks are kept at all. */
  get isOn(): boolean {
    return this.#keepMs > 0;
  }

  /** There are some, and the manager has not said yet that it is of their run. */
  get isUnproven(): boolean {
    return this.#isUnproven;
  }

  get staging(): number[] {
    return [...this.#ids.values()].filter((id) => this.tasks.get(id)!.phase.name === "staging out");
  }

  /** What a manager is told of them. */
  offers(nowMs: number): OfferedTask[] {
    return this.#all.map(({ block, phase, box, startedMs }) => ({
      run: this.#run!,
      key: block.key!,
      finished: phase.name !== "running",
      ageMs: nowMs - startedMs!,
      box,
    }));
  }

  /** The link broke: what is not worth keeping is over. */
  keep(nowMs: number): void {
    this.#isUnproven = false;
    for (const [id, task] of [...this.tasks]) {
      if (task.keptMs !== null) continue;
      const { key } = task.block;
      if (
        this.#run === null || !this.isOn || key === undefined || this.#ids.has(key) ||
        !isWorthKeeping(task.phase)
      ) {
        this.hands.end(id);
        continue;
      }
      task.keptMs = nowMs;
      this.#ids.set(key, --this.#lastId);
      this.#rename(task, keptBlockOf(task.block, this.#lastId));
    }
  }

  relink(): void {
    this.#isUnproven = this.#ids.size > 0;
  }

  /** Any message of the manager. */
  heard(message: ToWorker): void {
    if (this.#isUnproven) {
      this.#isUnproven = false;
      const isOfRun = message.type === "run" && message.run === this.#run;
      if (!isOfRun) { for (const id of [...this.#ids.values()]) this.hands.end(id); }
    }
    if (message.type === "run") this.#run = message.run;
    const dropped = message.type === "drop" ? this.#ids.get(message.key) : undefined;
    if (dropped !== undefined) this.hands.end(dropped);
  }

  /** Whether it is one of them, which the manager has now. One that is sent anew takes its place. */
  giveTo(block: TaskBlock): boolean {
    const id = block.key === undefined ? undefined : this.#ids.get(block.key);
    if (id === undefined) return false;
    if (!block.kept) {
      this.hands.end(id);
      return false;
    }
    const task = this.tasks.get(id)!;
    this.#ids.delete(block.key!);
    task.keptMs = null;
    // Another manager has nothing of them yet.
    if (task.phase.name === "running") {
      for (const file of task.phase.watched.values()) file.sent = 0;
    }
    this.#rename(task, block);
    return true;
  }

  /** Outputs go where the task is now. */
  restage(task: WorkerTask): void {
    this.hands.act({ type: "restage", from: task.stagedAs!, task: task.block });
    task.stagedAs = task.block;
  }

  endStale(nowMs: number): void {
    for (const { block: { taskId }, keptMs } of this.#all) {
      if (nowMs - keptMs! >= this.#keepMs) this.hands.end(taskId);
    }
  }

  /** One of them has ended. The first that were kept go first. */
  keepLess(): void {
    for (const { block: { taskId }, phase } of this.#all) {
      if (phase.name === "complete" && !isWorthKeeping(phase)) this.hands.end(taskId);
    }
    let bytes = this.#all.reduce((sum, task) => sum + task.bytes, 0);
    for (const { block: { taskId }, phase, bytes: own } of this.#all) {
      if (bytes <= (this.limits.keptOutputBytesMax ?? Infinity)) return;
      if (phase.name !== "complete") continue;
      bytes -= own;
      this.hands.end(taskId);
    }
  }

  /** Of a task that is kept nobody else removes the outputs. */
  ended({ block, keptMs }: WorkerTask): void {
    if (keptMs === null) return;
    this.#ids.delete(block.key!);
    for (const { cacheName } of block.outputs) {
      this.hands.act({ type: "unlink", names: [cacheName] });
    }
  }

  get #all(): WorkerTask[] {
    return [...this.#ids.values()].map((id) => this.tasks.get(id)!);
  }

  get #keepMs(): number {
    return this.limits.keepTasksMs ?? 0;
  }

  #rename(task: WorkerTask, block: TaskBlock): void {
    const from = task.block.taskId;
    this.tasks.delete(from);
    this.tasks.set(block.taskId, task);
    task.block = block;
    this.hands.act({ type: "adopt", from, task: block });
    if (task.phase.name !== "complete" && task.phase.name !== "reported") return;
    const { status, exit } = task.phase.result;
    task.phase = { name: "staging out", status, exit };
    this.restage(task);
  }
}
