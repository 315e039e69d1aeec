import assert from "node:assert/strict";
import type { ManagerAction, ManagerEvent } from "../../core/scheduler/actions.ts";
import { Scheduler } from "../../core/scheduler/machine.ts";
import { runSeed, type WorldOptions } from "./world.ts";

/** How many worlds: a few for daily use, hundreds in the whole test. */
const seeds = Number(Deno.env.get("WQX_SIM_SEEDS") ?? 60);

Deno.test(`${seeds} simulated worlds keep every promise and come to their end`, () => {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      runSeed(seed);
    } catch (cause) {
      throw new Error(`seed ${seed} failed: deno task sim --seed ${seed}`, { cause });
    }
  }
});

/** Worlds that once found a fault, and what it was. */
const regressions = [
  [5285, "tasks waited for cores that were learned on a worker that had left"],
  [199, "a task that had climbed waited for the disk of a worker that had left"],
] as const;

for (const [seed, fault] of regressions) {
  Deno.test(`seed ${seed}: ${fault}`, () => void runSeed(seed));
}

Deno.test("the same seed twice gives the same actions at the same moments", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) assert.deepEqual(runSeed(seed).log, runSeed(seed).log);
});

/** Schedulers with a fault each; if their worlds hold, the simulator sees nothing. */
const canaries: Record<string, () => Scheduler> = {
  "loses a task that is to be tried again": () =>
    new (class extends Scheduler {
      #lost = false;
      override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
        const actions = super.handle(event, nowMs);
        if (this.#lost || !actions.some((a) => a.type === "attempt_ended" && a.again)) {
          return actions;
        }
        this.#lost = true;
        const ended = actions.find((a) => a.type === "attempt_ended")!;
        if (ended.type === "attempt_ended") super.handle({ type: "cancel", id: ended.id }, nowMs);
        return actions;
      }
    })(),
  "returns a task twice": () =>
    new (class extends Scheduler {
      override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
        const actions = super.handle(event, nowMs);
        return actions.flatMap<ManagerAction>((a) => a.type === "returned" ? [a, a] : [a]);
      }
    })(),
  "takes inputs to be cached that it never sent": () =>
    new (class extends Scheduler {
      override schedule(nowMs: number): ManagerAction[] {
        return super.schedule(nowMs).map((a) =>
          a.type === "dispatch" ? { ...a, inputs: a.inputs.filter((input) => !input.cache) } : a
        );
      }
    })(),
  "forgets to free what a lost task held": () =>
    new (class extends Scheduler {
      override handle(event: ManagerEvent, nowMs: number): ManagerAction[] {
        const actions = super.handle(event, nowMs);
        if (event.type === "stored") {
          const worker = this.workers.get(event.worker);
          if (worker !== undefined) worker.promised = { ...worker.promised, cores: 1e6 };
        }
        return actions;
      }
    })(),
};

function assertCaught(options: WorldOptions): void {
  const caught = Array.from({ length: 20 }, (_, i) => i + 1).filter((seed) => {
    try {
      runSeed(seed, options);
      return false;
    } catch {
      return true;
    }
  });
  assert.ok(caught.length > 0, "20 worlds held, and none should have");
}

for (const [fault, scheduler] of Object.entries(canaries)) {
  Deno.test(`the simulator catches a scheduler that ${fault}`, () => assertCaught({ scheduler }));
}

Deno.test("the simulator catches workers that do not check a file which they put together", () => {
  assertCaught({ gullible: true });
});
