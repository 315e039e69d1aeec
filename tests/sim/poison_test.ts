/** Tasks that kill their workers, in worlds where nothing else goes wrong, and where much does. */
import assert from "node:assert/strict";
import { type Faults, losesWorkers } from "./faults.ts";
import { runSeed } from "./world.ts";

/** Nothing but poison happens. */
function calm(drawn: Faults): Faults {
  const quiet = Object.entries(drawn).map(([name, value]): [string, unknown] => {
    if (name.endsWith("EveryMs")) return [name, Infinity];
    const isChance = typeof value === "number" && value < 1 && name !== "inPieces";
    return [name, isChance ? 0 : value];
  });
  return { ...drawn, ...Object.fromEntries(quiet), taskPoisons: 0.03 };
}

/** Half of all workers are killed while they have tasks. */
function lossy(drawn: Faults): Faults {
  return { ...calm(drawn), taskPoisons: 0, killEveryMs: 1000, lastMs: 120_000 };
}

Deno.test("where tasks kill their workers, nobody else is given up, and few workers are lost", () => {
  let [workers, poisons] = [0, 0];
  for (let seed = 1; seed <= 80; seed++) {
    const { happened, faults } = runSeed(seed, { faults: calm });
    assert.ok(!losesWorkers(faults));
    assert.equal(happened.get("innocentGivenUp"), undefined, `seed ${seed}`);
    const givenUp = happened.get("poisonGivenUp") ?? 0;
    if (givenUp === 0) continue;
    poisons += givenUp;
    workers += happened.get("poisoned")!;
  }
  assert.ok(poisons >= 10, `${poisons} poisonous tasks`);
  assert.ok(workers / poisons < 10, `${workers} workers for ${poisons} tasks`);
});

Deno.test("where workers vanish all the time, hardly any task is given up for it", () => {
  let [givenUp, kills] = [0, 0];
  for (let seed = 1; seed <= 80; seed++) {
    const { happened } = runSeed(seed, { faults: lossy });
    givenUp += happened.get("innocentGivenUp") ?? 0;
    kills += happened.get("kill") ?? 0;
  }
  assert.ok(kills > 1000, `${kills} workers were killed`);
  assert.ok(givenUp <= 2, `${givenUp} tasks were given up`);
});
