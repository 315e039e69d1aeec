/** Plain tasks of all sorts: sizes, priorities, shared inputs, some that always fail, some canceled. */
import { createHash } from "node:crypto";
import type { Rng } from "../../core/env.ts";
import type { TaskId } from "../../core/ids.ts";
import {
  hasFailed,
  type Task,
  type TaskEnd,
  type TaskInput,
  type TaskSpec,
} from "../../core/scheduler/tasks.ts";
import { resultCode } from "../../core/protocol/messages.ts";
import type { ResourceRequest } from "../../core/analysis/spec.ts";
import type { Faults } from "./faults.ts";
import type { SimManager } from "./manager.ts";
import type { Timeline } from "./timeline.ts";
import { bytesOf, OnceEach, textOf, type Workload } from "./workload.ts";
import type { Effect, Files } from "./worker.ts";

/** Of every simulated worker. */
export const workerMemoryMb = 1000;

interface Plan {
  readonly spec: TaskSpec;
  readonly expected: string;
  readonly alwaysFails: boolean;
  readonly memoryMb: number;
  readonly cancelAfterMs: number | null;
}

interface Order {
  readonly ms: number;
  readonly alwaysFails: boolean;
  readonly memoryMb: number;
}

const requests: readonly ResourceRequest[] = [
  {},
  { cores: 1 },
  { cores: 2, memoryMb: 500 },
  { memoryMb: 900 },
  { cores: 1, diskMb: 100 },
];

export class TaskWorkload implements Workload {
  readonly #once = new OnceEach();
  readonly #plans: Plan[];
  readonly #planOf = new Map<TaskId, Plan>();

  constructor(
    private readonly timeline: Timeline,
    private readonly rng: Rng,
    private readonly faults: Faults,
  ) {
    const count = 1 + Math.floor(rng() * 60);
    const inputsLarge = rng() < 0.3;
    this.#plans = Array.from({ length: count }, (_, i) => this.#plan(i, inputsLarge));
  }

  begin(manager: SimManager): void {
    for (let i = 0; i < 4; i++) manager.files.set(`/in/${i}`, bytesOf(`shared ${i}`));
    for (const plan of this.#plans) {
      this.timeline.in(this.rng() < 0.5 ? 0 : this.rng() * 5000, () => {
        const id = manager.submit(plan.spec);
        this.#once.submitted(id);
        this.#planOf.set(id, plan);
        if (plan.cancelAfterMs !== null) {
          this.timeline.in(plan.cancelAfterMs, () => manager.cancel(id));
        }
      });
    }
  }

  returned(manager: SimManager, task: Task, end: TaskEnd): void {
    this.#once.returned(task.id);
    const plan = this.#planOf.get(task.id)!;
    const failures = task.attempts.filter(hasFailed).length;
    switch (end.kind) {
      case "canceled":
        if (plan.cancelAfterMs === null) throw new Error(`Task ${task.id} was canceled by nobody`);
        return;
      case "success": {
        const got = textOf(manager.files.get(plan.spec.outputs[0]!.path));
        if (got !== plan.expected) {
          throw new Error(`Task ${task.id} gave "${got}" instead of "${plan.expected}"`);
        }
        if (plan.alwaysFails) throw new Error(`Task ${task.id} cannot have succeeded`);
        return;
      }
      case "failure": {
        const losses = task.attempts.filter((a) => a.ending.kind === "lost").length;
        const { taskFails, storeFails, inputUnreadable } = this.faults;
        const limited = plan.spec.wallTimeMs !== undefined || plan.spec.endTimeMs !== undefined;
        const mayFail = plan.alwaysFails || limited || taskFails + storeFails + inputUnreadable > 0;
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
        // Of two copies the first that fails decides nothing.
        const extra = failures - (plan.spec.retriesMax + 1);
        if (losses <= 20 && extra !== 0 && extra !== 1) {
          throw new Error(`Task ${task.id} was given up after ${failures} failures`);
        }
        if (!mayFail && losses <= 20) throw new Error(`Task ${task.id} had no reason to fail`);
      }
    }
  }

  execute(command: string, sandbox: Files): Effect {
    const { ms, alwaysFails, memoryMb } = JSON.parse(command) as Order;
    const failed = alwaysFails ||
      (this.timeline.nowMs < this.faults.lastMs && this.rng() < this.faults.taskFails);
    const outputs: Files = new Map();
    if (!failed) outputs.set("out", bytesOf(digest(sandbox)));
    return { ms, exitCode: failed ? 1 : 0, printed: bytesOf(`ran ${ms}`), outputs, memoryMb };
  }

  done(): boolean {
    return this.#planOf.size === this.#plans.length && this.#once.allBack;
  }

  check(): void {}

  #plan(i: number, inputsLarge: boolean): Plan {
    const { rng } = this;
    const own = `own ${i}${"x".repeat(inputsLarge ? Math.floor(rng() * 20_000) : 0)}`;
    const shared = Array.from({ length: 4 }, (_, k) => k).filter(() => rng() < 0.4);
    const alwaysFails = rng() < 0.05;
    // Some need more than any worker has, or than they declare.
    const memoryMb = 10 + Math.floor(this.faults.memoryMbMax * rng() ** 2);
    const order: Order = { ms: Math.floor(10_000 * rng() ** 4), alwaysFails, memoryMb };
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
      spec: {
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
      expected: digest(sandbox),
      alwaysFails,
      memoryMb,
      cancelAfterMs: rng() < 0.05 ? rng() * 20_000 : null,
    };
  }
}

function digest(files: Files): string {
  const hash = createHash("md5");
  for (const name of [...files.keys()].sort()) hash.update(name).update(files.get(name)!);
  return hash.digest("hex");
}
