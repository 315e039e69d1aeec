/** A little of `deno task fuzz` in every run of the tests: the corpus, and the same changes to it. */
import assert from "node:assert/strict";
import { bytesShown, readCorpus, shown } from "./corpus.ts";
import { deepPlace, isDeepPlaceReached } from "./canary.ts";
import { Coverage } from "./coverage.ts";
import { campaign, minimized } from "./engine.ts";
import { Mutator } from "./mutate.ts";
import { seededRng } from "../../core/env.ts";
import { bytesOf, type Target } from "./target.ts";
import { targets } from "./targets/mod.ts";

/** Of each target, after its corpus: so that all of them take 15 s at most. */
const changed = { inputsMax: 1500, msMax: 250 } as const;

for (const target of targets) {
  Deno.test(`whatever comes, ${target.name}: its corpus, and some changes of it`, async () => {
    const corpus = readCorpus(target.name);
    const first = corpus.length + target.seeds.length;
    const stopMs = performance.now() + changed.msMax;
    const { findings, inputs } = await campaign(target, {
      seed: 9,
      corpus,
      isFirst: true,
      more: (inputs) => inputs < first + changed.inputsMax && performance.now() < stopMs,
      coverage: null,
    });
    assert.ok(inputs >= first);
    assert.deepEqual(findings.map(({ why, input }) => `${why}: ${shown(input)}`), []);
  });
}

/** Fails where four letters stand in a row: one by one they are found, by the code they reach. */
const canary: Target = {
  name: "canary",
  code: ["tests/fuzz/canary.ts"],
  words: [],
  seeds: ["aaaa"],
  run: (bytes) => deepPlace(bytes),
};

Deno.test("what only code that was reached before leads to is found, and made short", async () => {
  using coverage = await Coverage.start();
  const stopMs = performance.now() + 20_000;
  const { findings, kept } = await campaign(canary, {
    seed: 1,
    corpus: [],
    isFirst: true,
    more: () => performance.now() < stopMs && !isDeepPlaceReached(),
    coverage,
  });
  assert.equal(findings.length, 1);
  assert.equal(shown(findings[0]!.input), '"fuzz"');
  assert.ok(kept.length >= 4, "each step on the way was kept");
  const least = await minimized(canary, kept);
  assert.ok(least.length > 0 && least.length <= kept.length);
});

Deno.test("the same seed makes the same inputs, and inputs come back from how they are shown", () => {
  const target = targets[0]!;
  const [one, other] = [7, 7].map((seed) => {
    const mutator = new Mutator(target, seededRng(seed));
    let input = bytesOf(target.seeds[0]!);
    return Array.from({ length: 200 }, () => shown(input = mutator.next(input, input)));
  });
  assert.deepEqual(one, other);
  for (const text of one!) assert.equal(shown(bytesShown(text)), text);
});
