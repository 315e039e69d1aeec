import assert from "node:assert/strict";
import { compare, scenarios } from "../arena/chunks.ts";

/** `deno task arena chunks` has all of them, with more seeds. */
const seeds = [1, 2];

const wellBehaved = ["memory", "time", "memory and time", "a dataset 10 × heavier", "two speeds"];

for (const name of wellBehaved) {
  Deno.test(`chunk sizes of wqx come near the best fixed one at once and stay there: ${name}`, () => {
    const scenario = scenarios.find((scenario) => scenario.name === name)!;
    const { best, coffea, robust, settling } = compare(scenario, seeds);
    const { eventsPerSecond, splitsMax } = robust;
    assert.ok(settling.generations <= 3, `it takes ${settling.generations} generations`);
    assert.ok(settling.turns <= 2, `it turns ${settling.turns} times`);
    assert.ok(splitsMax <= 1, `${splitsMax} chunks were split`);
    const rates = `${eventsPerSecond} events/s, fixed ${best.eventsPerSecond}, ` +
      `coffea ${coffea.eventsPerSecond}`;
    assert.ok(eventsPerSecond >= 0.95 * best.eventsPerSecond, rates);
    assert.ok(eventsPerSecond >= coffea.eventsPerSecond, rates);
  });
}

Deno.test("the contest tells models apart: coffea's splits a heavy dataset again and again", () => {
  const scenario = scenarios.find(({ name }) => name === "a dataset 10 × heavier")!;
  const { best, coffea } = compare(scenario, [1]);
  assert.ok(coffea.splits > 20);
  assert.ok(coffea.eventsPerSecond < 0.95 * best.eventsPerSecond);
});
