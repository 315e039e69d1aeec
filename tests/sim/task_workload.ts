/** Plain tasks of all sorts: sizes, priorities, shared inputs, some that always fail, some canceled. */
import { createHash } from "node:crypto";
import type { Rng } from "../../core/env.ts";
import type { TaskId } from "../../core/ids.ts";
import {
  type Attempt,
  hasFailed,
  type Task,
  type TaskEnd,
  type TaskInput,
  type TaskSpec,
} from "../../core/scheduler/tasks.ts";
import { lossesInARowMin } from "../../core/scheduler/poison.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { ResourceRequest } from "../../core/analysis/spec.ts";
import type { SimDisk } from "./disk.ts";
import { losesWorkers } from "./faults.ts";
import type { SimJournal } from "./journal.ts";
import type { SimManager } from "./manager.ts";
import type { Timeline } from "./timeline.ts";
import {
  bytesOf,
  OnceEach,
  type Session,
  type Surroundings,
  textOf,
  type Workload,
} from "./workload.ts";
import type { Effect, Files } from "./worker.ts";

/** Of every simulated worker. */
export const workerMemoryMb = 1000;

interface Plan {
  readonly index: number;
  readonly spec: TaskSpec;
  readonly expected: string;
  readonly alwaysFails: boolean;
  readonly poisons: boolean;
  readonly memoryMb: number;
  readonly cancelAfterMs: number | null;
}

interface Order {
  readonly index: number;
  readonly ms: number;
  readonly alwaysFails: boolean;
  /** It kills its worker. */
  readonly poisons: boolean;
  readonly memoryMb: number;
  /** It gives something else than it should, or very much of it. */
  readonly lies: "wrong" | "huge" | null;
}

/** A result that was written down, as a task list's journal has it. */
interface Finished {
  readonly index: number;
}

/** Without a wall time it is over long after the last fault. */
const hangMs = 600_000;
const hugeBytes = 300_000;

const requests: readonly ResourceRequest[] = [
  {},
  { cores: 1 },
  { cores: 2, memoryMb: 500 },
  { memoryMb: 900 },
  { cores: 1, diskMb: 100 },
];

export class TaskWorkload implements Workload {
  readonly #once = new OnceEach();
  readonly #rng: Rng;
  readonly #plans: Plan[];
  readonly #planOf = new Map<TaskId, Plan>();
  /** Plans whose command came to its end somewhere. */
  readonly #ran = new Set<number>();
  /** Their results are counted, once each. */
  #finished = new Set<number>();
  #journal: SimJournal | null = null;
  #managers = 0;

  constructor(private readonly timeline: Timeline, private readonly around: Surroundings) {
    const rng = this.#rng = around.chances.of("tasks");
    const count = 1 + Math.floor(rng() * 60);
    const inputsLarge = rng() < 0.3;
    this.#plans = Array.from({ length: count }, (_, i) => this.#plan(i, inputsLarge));
  }

  prepare(disk: SimDisk): void {
    for (let i = 0; i < 4; i++) disk.put(`/in/${i}`, bytesOf(`shared ${i}`));
  }

  begin({ manager, records, offset, openJournal }: Session): void {
    const number = ++this.#managers;
    this.#finished = new Set((records as readonly Finished[]).map(({ index }) => index));
    this.#once.forgetOthers();
    this.#planOf.clear();
    this.#journal = openJournal(offset);
    for (const plan of this.#plans) {
      if (this.#finished.has(plan.index)) continue;
      this.timeline.in(this.#rng() < 0.5 ? 0 : this.#rng() * 5000, () => {
        if (number === this.#managers) this.#submit(manager, plan);
      });
    }
  }

  died(records: readonly unknown[] | null): void {
    this.#managers++;
    if (records === null) return;
    const known = new Set((records as readonly Finished[]).map(({ index }) => index));
    const lost = [...this.#finished].filter((index) => !known.has(index));
    if (lost.length > 0) throw new Error(`The journal does not have results ${lost.join()}`);
  }

  returned(manager: SimManager, task: Task, end: TaskEnd): void {
    this.#once.returned(task.id);
    const plan = this.#planOf.get(task.id)!;
    if (this.#finished.has(plan.index)) throw new Error(`Task ${plan.index} counts twice`);
    this.#finished.add(plan.index);
    this.#journal!.append({ index: plan.index } satisfies Finished);
    const failures = task.attempts.filter(hasFailed).length;
    switch (end.kind) {
      case "canceled":
        if (plan.cancelAfterMs === null) throw new Error(`Task ${task.id} was canceled by nobody`);
        return;
      case "success": {
        if (!this.#ran.has(plan.index)) throw new Error(`Task ${plan.index} never ran`);
        const got = textOf(manager.disk.read(plan.spec.outputs[0]!.path));
        // An output that is wanted in any case may be missing, or of an earlier attempt.
        const { when } = plan.spec.outputs[0]!;
        const isLoose = when === "always" && this.around.faults.outputMissing > 0;
        if (got !== plan.expected && !isLoose) {
          throw new Error(`Task ${task.id} gave "${got}" instead of "${plan.expected}"`);
        }
        if (plan.alwaysFails || plan.poisons) {
          throw new Error(`Task ${task.id} cannot have succeeded`);
        }
        return;
      }
      case "failure": {
        const losses = task.attempts.filter((a) => a.ending.kind === "lost").length;
        const limited = plan.spec.wallTimeMs !== undefined || plan.spec.endTimeMs !== undefined;
        const mayFail = plan.alwaysFails || limited || this.#mayGoWrong;
        if (limited && end.code === resultCode.endTime) return; // late, not tried too often
        if (end.code === resultCode.resourceExhaustion) {
          const ceiling = plan.spec.request.memoryMb ?? workerMemoryMb;
          // In mode `fixed` the first box is the last one.
          const had = task.attempts.at(-1)!.box.memoryMb;
          const isFinal = had >= ceiling || end.why.endsWith("are fixed");
          if (plan.memoryMb <= had || !isFinal) {
            throw new Error(`Task ${task.id} needs ${plan.memoryMb} MB: ${end.why}`);
          }
          return;
        }
        if (losses <= 20 && end.why.startsWith("its worker went away")) {
          this.#checkGivenUp(plan, task);
          return;
        }
        // A copy that fails while others run decides nothing; each lost one may come back as such.
        const extra = failures - (plan.spec.retriesMax + 1);
        const undecided = Math.max(1, task.attempts.filter((one) => hadOthers(task, one)).length);
        if (losses <= 20 && (extra < 0 || extra > undecided + losses)) {
          throw new Error(`Task ${task.id} was given up after ${failures} failures`);
        }
        if (!mayFail && losses <= 20) throw new Error(`Task ${task.id} had no reason to fail`);
      }
    }
  }

  execute(command: string, sandbox: Files): Effect {
    const { index, ms, alwaysFails, poisons, memoryMb, lies } = JSON.parse(command) as Order;
    const { happens } = this.around;
    const failed = alwaysFails || happens("taskFails");
    const outputs: Files = new Map();
    const printed = bytesOf(`ran ${ms}`);
    this.#ran.add(index);
    if (!failed) outputs.set("out", bytesOf(told(digest(sandbox), lies)));
    if (poisons) return { ms, exitCode: 0, printed, outputs, memoryMb, killsWorker: true };
    if (happens("taskCrashes")) {
      outputs.set("out", bytesOf("half of"));
      return { ms: ms / 2, exitCode: 11, printed, outputs, memoryMb };
    }
    if (happens("outputMissing")) outputs.clear();
    const takesMs = happens("taskHangs") ? hangMs : ms;
    return { ms: takesMs, exitCode: failed ? 1 : 0, printed, outputs, memoryMb };
  }

  done(): boolean {
    return this.#finished.size === this.#plans.length && this.#once.allBack;
  }

  check(): void {}

  get #mayGoWrong(): boolean {
    const { faults } = this.around;
    const { taskFails, taskCrashes, outputMissing, storeFails, outputUnstored } = faults;
    const { inputUnreadable, fullDiskEveryMs } = faults;
    const odds = [taskFails, taskCrashes, outputMissing, storeFails, outputUnstored];
    return [...odds, inputUnreadable].some((chance) => chance > 0) || fullDiskEveryMs < Infinity;
  }

  /** Chance explains many losses, and what runs beside one poisonous task all of them. */
  #checkGivenUp({ poisons, spec }: Plan, { id, suspicion }: Task): void {
    const { inARow = 0 } = suspicion ?? {};
    if (inARow < Math.max(lossesInARowMin, spec.retriesMax + 1)) {
      throw new Error(`Task ${id} was given up after it lost ${inARow} workers`);
    }
    if (poisons) this.around.note("poisonGivenUp");
    else if (
      losesWorkers(this.around.faults) || this.#plans.filter((one) => one.poisons).length > 1
    ) this.around.note("innocentGivenUp");
    else throw new Error(`Task ${id} was given up for what another one did`);
  }

  #submit(manager: SimManager, plan: Plan): void {
    const id = manager.submit(plan.spec);
    this.#once.submitted(id);
    this.#planOf.set(id, plan);
    if (plan.cancelAfterMs === null) return;
    const number = this.#managers;
    this.timeline.in(plan.cancelAfterMs, () => {
      if (number === this.#managers) manager.cancel(id);
    });
  }

  #plan(i: number, inputsLarge: boolean): Plan {
    const rng = this.#rng;
    const { faults } = this.around;
    const chances = this.around.chances.of("lies");
    const lies = chances() < faults.outputWrong
      ? "wrong"
      : chances() < faults.outputHuge
      ? "huge"
      : null;
    const own = `own ${i}${"x".repeat(inputsLarge ? Math.floor(rng() * 20_000) : 0)}`;
    const shared = Array.from({ length: 4 }, (_, k) => k).filter(() => rng() < 0.4);
    const keyed = this.around.chances.of("keys")() < 0.8;
    const alwaysFails = rng() < 0.05;
    // Some need more than any worker has, or than they declare.
    const memoryMb = 10 + Math.floor(faults.memoryMbMax * rng() ** 2);
    const ms = Math.floor(10_000 * rng() ** 4);
    const poisons = this.around.chances.of("poisons")() < faults.taskPoisons;
    const order: Order = { index: i, ms, alwaysFails, poisons, memoryMb, lies };
    const inputs: TaskInput[] = [
      {
        source: { kind: "buffer", bytes: bytesOf(own), mode: 0o644 },
        cacheName: `own-${i}`,
        sandboxName: "own",
        cache: false,
      },
      ...shared.map((k): TaskInput => ({
        source: { kind: "file", path: `/in/${k}` },
        cacheName: `shared-${k}`,
        sandboxName: `in/${k}`,
        cache: true,
      })),
    ];
    const sandbox: Files = new Map([["own", bytesOf(own)]]);
    for (const k of shared) sandbox.set(`in/${k}`, bytesOf(`shared ${k}`));
    const output = { sandboxName: "out", cacheName: `out-${i}`, path: `/out/${i}` };
    return {
      index: i,
      spec: {
        ...(keyed && { key: `task-${i}` }),
        command: JSON.stringify(order),
        category: rng() < 0.5 ? "default" : "other",
        priority: Math.floor(rng() * 3),
        request: requests[Math.floor(rng() * requests.length)]!,
        inputs,
        outputs: [{ ...output, when: rng() < 0.8 ? "success" : "always" }],
        env: [],
        retriesMax: Math.floor(rng() * 4),
        ...(rng() < 0.1 && { wallTimeMs: 2000 }),
        ...(rng() < 0.1 && { endTimeMs: 20_000 + rng() * 200_000 }),
      },
      expected: told(digest(sandbox), lies),
      alwaysFails,
      poisons,
      memoryMb,
      cancelAfterMs: rng() < 0.05 ? rng() * 20_000 : null,
    };
  }
}

/** What comes back is what the task gave, true or not. */
function told(truth: string, lies: Order["lies"]): string {
  if (lies === null) return truth;
  return lies === "wrong" ? "something else" : truth.padEnd(hugeBytes, "x");
}

function digest(files: Files): string {
  const hash = createHash("md5");
  for (const name of [...files.keys()].sort()) hash.update(name).update(files.get(name)!);
  return hash.digest("hex");
}

/** Whether another copy of the task went on when this attempt at it ended. */
function hadOthers({ attempts }: Task, { endedMs }: Attempt): boolean {
  return attempts.some((other) => other.startedMs < endedMs && other.endedMs > endedMs);
}
