import assert from "node:assert/strict";
import fc from "fast-check";
import { type Observed, plan, type WaitingJob } from "../../core/factory/plan.ts";
import type { FactorySettings } from "../../core/factory/settings.ts";
import { jobId, settings } from "../support/factory.ts";

const nowMs = 1_000_000;

interface Figures {
  readonly need?: number;
  readonly connected?: number;
  readonly waiting?: number;
  readonly running?: number;
}

function observed(
  { need = 0, connected = 0, waiting = 0, running = 0 }: Figures,
  changed: Partial<Observed> = {},
): Observed {
  return {
    need: { workers: need, connected, tasksWaiting: need, tasksRunning: 0 },
    managers: 1,
    peers: [],
    id: "m",
    waiting: jobs(waiting),
    running,
    stuck: false,
    pause: null,
    excessSinceMs: null,
    ...changed,
  };
}

function jobs(count: number): WaitingJob[] {
  return Array.from({ length: count }, (_, i) => ({ id: jobId(`${i}`), submittedMs: i }));
}

const removing = { removeAfterMs: 60_000 };

function submitted(figures: Figures, changed: Partial<FactorySettings>): number {
  return plan(observed(figures), settings(changed), removing, nowMs).submit;
}

/** Figures, settings, jobs to hand in. */
const cases: readonly (readonly [string, Figures, Partial<FactorySettings>, number])[] = [
  ["the minimum without any need", {}, { minWorkers: 3 }, 3],
  ["five at a time", { need: 20 }, {}, 5],
  ["all at once", { need: 20 }, { workersPerCycle: 0 }, 20],
  ["no more than the maximum", { need: 20 }, { workersPerCycle: 0, maxWorkers: 12 }, 12],
  ["what is missing", { need: 20, running: 17, connected: 17 }, {}, 3],
  ["nothing is missing", { need: 8, running: 8, connected: 8 }, {}, 0],
  ["too many are left alone", { need: 2, running: 8, connected: 8 }, { minWorkers: 0 }, 0],
  ["unconnected runs use up the cycle", { need: 20, running: 10, connected: 7 }, {}, 2],
  ["and stop it", { need: 20, running: 10, connected: 2 }, {}, 0],
  ["jobs in the queue do not", { need: 20, waiting: 7, running: 3, connected: 3 }, {}, 5],
  ["both", { need: 20, waiting: 7, running: 3, connected: 1 }, {}, 3],
  ["workers from elsewhere count", { need: 20, running: 4, connected: 12 }, {}, 5],
  ["so that fewer are missing", { need: 14, running: 4, connected: 12 }, {}, 2],
  ["even towards the minimum", { need: 0, connected: 1 }, {
    minWorkers: 1,
  }, 0],
  [
    "and towards the maximum",
    { need: 90, connected: 60 },
    { maxWorkers: 70, workersPerCycle: 0 },
    10,
  ],
];

Deno.test("a plan hands in what the formula says", async (t) => {
  for (const [name, figures, changed, expected] of cases) {
    await t.step(name, () => assert.equal(submitted(figures, changed), expected));
  }
});

/** §4.3 of the reference, to the letter, for a factory whose jobs all run. */
function original(
  { need, connected, submitted }: Record<"need" | "connected" | "submitted", number>,
  { minWorkers, maxWorkers, workersPerCycle }: FactorySettings,
): number {
  const needed = Math.max(Math.min(need, maxWorkers), minWorkers);
  let fresh = needed - submitted;
  let waiting = submitted - connected;
  if (waiting < 0) {
    fresh -= -waiting;
    waiting = 0;
  }
  if (workersPerCycle > 0 && fresh + waiting > workersPerCycle) {
    fresh = Math.max(0, workersPerCycle - waiting);
  }
  return Math.max(0, fresh);
}

Deno.test("a factory that is alone and whose jobs all run plans as work_queue_factory", () => {
  const count = fc.nat(60);
  fc.assert(
    fc.property(
      fc.record({ need: count, connected: count, submitted: count }),
      fc.record({ minWorkers: fc.nat(20), more: count, workersPerCycle: fc.nat(10) }),
      (figures, { minWorkers, more, workersPerCycle }) => {
        const changed = { minWorkers, maxWorkers: Math.max(1, minWorkers + more), workersPerCycle };
        const { need, connected, submitted: running } = figures;
        assert.equal(
          submitted({ need, connected, running }, changed),
          original(figures, settings(changed)),
        );
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("waiting jobs that nobody needs go after the time allowed, the youngest first", () => {
  const keep = settings({ minWorkers: 1 });
  const seen = observed({ need: 3, waiting: 4, running: 2, connected: 2 });
  const at = (excessSinceMs: number | null, removeAfterMs: number | null = 60_000) =>
    plan({ ...seen, excessSinceMs }, keep, { removeAfterMs }, nowMs);
  assert.deepEqual(at(null).remove, []);
  assert.equal(at(null).excess, 3);
  assert.deepEqual(at(nowMs - 59_999).remove, []);
  assert.deepEqual(at(nowMs - 60_000).remove, ["3", "2", "1"]);
  assert.deepEqual(at(0, null).remove, [], "unless they are to be kept");
});

Deno.test("running workers are never removed, and the minimum stays", () => {
  const none = plan(
    observed({ need: 0, waiting: 1, running: 9, connected: 9 }, { excessSinceMs: 0 }),
    settings({ minWorkers: 0 }),
    removing,
    nowMs,
  );
  assert.deepEqual(none.remove, ["0"]);
  const least = plan(
    observed({ need: 0, waiting: 9, running: 1, connected: 1 }, { excessSinceMs: 0 }),
    settings({ minWorkers: 4 }),
    removing,
    nowMs,
  );
  assert.equal(least.remove.length, 6);
});

Deno.test("a plan says why in one sentence", () => {
  const why = (
    figures: Figures,
    changed: Partial<Observed> = {},
    of: Partial<FactorySettings> = {},
  ) => plan(observed(figures, changed), settings(of), removing, nowMs).why;
  assert.equal(
    why({ need: 12, waiting: 1, running: 2, connected: 2 }),
    "12 tasks waiting and 0 running at 1 manager want 12 workers; of ours 2 run and 1 wait in the " +
      "queue, 2 workers are connected: submit 5, 4 more later: 5 at a time",
  );
  assert.match(why({}, { managers: 0 }), /^no manager, at least 5 workers; .*: submit 5$/);
  assert.match(
    why({ need: 9, running: 6 }),
    /3 more would be needed, but 6 that run have not conn/,
  );
  assert.match(
    why({ need: 9 }, { pause: "sbatch is missing" }),
    /9 more .* but sbatch is missing$/,
  );
  assert.match(why({ need: 900 }, {}, { maxWorkers: 7 }), /want 900 workers, the maximum is 7;/);
  assert.match(why({ need: 5, running: 5, connected: 5 }), /: nothing to do$/);
  assert.match(
    why({ need: 5, running: 9, connected: 9 }),
    /those without tasks leave by themselves$/,
  );
  assert.match(
    why({ need: 5, waiting: 9 }),
    /: 4 waiting jobs are not needed; they are removed if/,
  );
  assert.match(why({ need: 20, connected: 6 }), /want 20 workers, 6 came from elsewhere;/);
  const peers = [{ id: "x", held: 8, running: 8, cap: null, brought: null }];
  assert.match(why({ need: 20 }, { peers }), /want 20 workers, 1 other factory has 8;/);
});
