import assert from "node:assert/strict";
import type { AnalysisRecord } from "../../core/analysis/records.ts";
import type { ManagerAction, ManagerEvent } from "../../core/scheduler/actions.ts";
import type { TaskId } from "../../core/ids.ts";
import { offeredKey, parseOffered } from "../../core/protocol/offered_tasks.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import type { SchedulerOptions } from "../../core/scheduler/state.ts";
import type { TaskSpec } from "../../core/scheduler/tasks.ts";
import { Chances, drawFaults } from "./faults.ts";
import { runSeed, type WorldOptions } from "./world.ts";

/** Worlds that once found a fault, and what it was. */
const regressions = [
  [50, "partial results stayed behind of which a manager died before it could remove them"],
  [302718, "tasks waited for memory that others had reached where nobody stopped them"],
  [
    301593,
    "copies of a task that outgrew their boxes took turns for ever, and it never got more room",
  ],
  [199, "tasks waited for cores that others had used on a worker that had left"],
  [5285, "tasks waited for disk that others had used on a worker that had left"],
  [306132920, "a merge that a lost disk had made anew was taken for one left behind"],
  [306123085, "the same, of three merges"],
  [306132636, "the same, after more than twenty merges"],
  [306141290, "of three copies of a task two failed, and it was taken to be tried too often"],
] as const;

for (const [seed, fault] of regressions) {
  Deno.test(`seed ${seed}: ${fault}`, () => void runSeed(seed));
}

Deno.test("the same seed twice gives the same actions at the same moments", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const logged = () => runSeed(seed, { logs: true }).log;
    assert.ok(logged().length > 0);
    assert.deepEqual(logged(), logged());
  }
});

Deno.test("every fault occurs in some worlds, and in some of them it does not", () => {
  const drawn = Array.from({ length: 200 }, (_, seed) => drawFaults(new Chances(seed)));
  const always = ["lastMs", "freezeMsMax", "fullDiskMsMax", "inPieces", "latencyMsMax", "fsync"];
  for (const name of Object.keys(drawn[0]!) as (keyof typeof drawn[0])[]) {
    if (always.includes(name)) continue;
    const none = drawn.filter((faults) => [0, 1, Infinity, 65_536].includes(Number(faults[name])));
    assert.ok(none.length > 20 && none.length < 190, `${name}: not in ${none.length} of 200`);
  }
});

/** Submitted tasks by key, those that are over among them. */
type Known = Map<string, { readonly id: TaskId; readonly spec: TaskSpec; isOver: boolean }>;

/** Takes what a worker offers of tasks that are over, as if they were wanted. */
class CountsAgain extends Scheduler {
  constructor(options: Partial<SchedulerOptions>, private readonly known: Known) {
    super(options);
  }

  override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
    if (event.type === "submitted" && event.spec.key !== undefined) {
      this.known.set(event.spec.key, { id: event.id, spec: event.spec, isOver: false });
    }
    const actions = super.handle(event, nowMs);
    for (const { task: { spec } } of actions.filter((action) => action.type === "returned")) {
      if (spec.key !== undefined) this.known.get(spec.key)!.isOver = true;
    }
    if (event.type !== "received" || event.message.type !== "info") return actions;
    if (event.message.key !== offeredKey) return actions;
    const one = this.known.get(parseOffered(event.message.value)!.key);
    if (one?.isOver !== true) return actions;
    one.isOver = false;
    const { id, spec } = one;
    return [...actions, ...super.handle({ type: "submitted", id, spec }, nowMs)];
  }
}

/** What the last manager of the run counted is known to the next one, and not that it counted. */
function countsAfterResume(): WorldOptions {
  let known: Known = new Map();
  return {
    scheduler: (options) => {
      if (options.run?.manager === "m1") known = new Map();
      return new CountsAgain(options, known);
    },
  };
}

/** A program with a fault each; if their worlds hold, the simulator sees nothing. */
const canaries: Record<string, WorldOptions> = {
  "a scheduler that loses a task that is to be tried again": {
    scheduler: (options) =>
      new (class extends Scheduler {
        #lost = false;
        override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
          const actions = super.handle(event, nowMs);
          const ended = actions.find((a) => a.type === "attempt_ended" && a.again);
          if (this.#lost || ended?.type !== "attempt_ended") return actions;
          this.#lost = true;
          super.handle({ type: "cancel", id: ended.id }, nowMs);
          return actions;
        }
      })(options),
  },
  "a scheduler that returns a task twice": {
    scheduler: (options) =>
      new (class extends Scheduler {
        override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
          const actions = super.handle(event, nowMs);
          return actions.flatMap<ManagerAction>((a) => a.type === "returned" ? [a, a] : [a]);
        }
      })(options),
  },
  "a scheduler that takes inputs to be cached that it never sent": {
    scheduler: (options) =>
      new (class extends Scheduler {
        override schedule(nowMs: number): ManagerAction[] {
          return super.schedule(nowMs).map((a) =>
            a.type === "dispatch" ? { ...a, inputs: a.inputs.filter((input) => !input.cache) } : a
          );
        }
      })(options),
  },
  "a scheduler that leaks the room of a task on a worker": {
    scheduler: (options) =>
      new (class extends Scheduler {
        override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
          const worker = "worker" in event ? this.workers.get(event.worker) : undefined;
          const before = worker?.promised;
          const actions = super.handle(event, nowMs);
          const ended = actions.some((a) => a.type === "attempt_ended");
          if (worker !== undefined && before !== undefined && ended) worker.promised = before;
          return actions;
        }
      })(options),
  },
  "a scheduler that takes a kept task for another one": {
    scheduler: (options) =>
      new (class extends Scheduler {
        override schedule(nowMs: number): ManagerAction[] {
          const offered = new Map(
            [...this.workers.values()].map(({ id, offered }) => [id, [...offered.keys()]]),
          );
          return super.schedule(nowMs).map((a) => {
            if (a.type !== "dispatch" || !a.block.kept) return a;
            const key = offered.get(a.worker)?.find((one) => one !== a.block.key);
            return key === undefined ? a : { ...a, block: { ...a.block, key } };
          });
        }
      })(options),
  },
  "a scheduler that takes a kept task which is over, and counts it again": {
    scheduler: (options) => new CountsAgain(options, new Map()),
  },
  "a resumed manager that takes a kept task which was counted before it": countsAfterResume(),
  "a worker that loses a task which it kept": { losesKept: "task" },
  "a worker that loses a result which it kept": { losesKept: "result" },
  "a worker that loses the outputs of a task which it kept": { losesKept: "outputs" },
  "a worker that leaks the sandboxes of its tasks": { deafToKill: true },
  "a worker that does not check a file which it put together": { gullible: true },
  "a journal that says what is not on disk": { skipsFsync: true },
  "a resumed manager that forgets a chunk": {
    replay: (records) => {
      const isChunk = (record: unknown) => {
        const { type, got } = record as Partial<Extract<AnalysisRecord, { type: "ended" }>>;
        return type === "ended" && got?.kind === "part";
      };
      const forgotten = records.findIndex(isChunk);
      return records.filter((_, i) => i !== forgotten);
    },
  },
  "a resumed manager that does not see the last record": {
    replay: (records) => records.slice(0, -1),
  },
};

for (const [fault, options] of Object.entries(canaries)) {
  Deno.test(`80 simulated worlds are enough to catch ${fault}`, () => {
    const caught = Array.from({ length: 80 }, (_, i) => i + 1).some((seed) => {
      try {
        runSeed(seed, options);
        return false;
      } catch {
        return true;
      }
    });
    assert.ok(caught, "80 worlds held, and some should not have");
  });
}
