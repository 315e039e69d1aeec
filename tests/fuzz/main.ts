/**
 * `deno task fuzz [--seconds N] [--seed S]`: what must hold of input from outside, tried for N
 * seconds (60) in turns, each with a seed of its own. Ends with the input that broke it, if one did.
 */
import { parseArgs } from "node:util";
import { parseCount } from "../../core/units.ts";
import { hostileInput } from "../support/hostile.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
const seconds = parseCount(values.seconds, { min: 1 });
const firstSeed = parseCount(values.seed);
const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

/** Long enough for the start of a turn not to count; short enough for a turn of each. */
const turnMs = 2000;

const folder = new URL("../golden/wire/", import.meta.url);
const transcripts = [...Deno.readDirSync(folder)].map(({ name }) => name).sort()
  .map((name) => Deno.readTextFileSync(new URL(name, folder)));
const properties = hostileInput(transcripts);
const endMs = performance.now() + seconds * 1000;
let turns = 0;
for (let seed = firstSeed; performance.now() < endMs; seed++) {
  for (const { name, check } of properties) {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) break;
    try {
      check({ seed, numRuns: 1e9, interruptAfterTimeLimit: Math.min(turnMs, leftMs) });
      turns++;
    } catch (error) {
      print(error instanceof Error ? error.stack ?? error.message : String(error));
      print(`Does not hold: ${name} (--seed ${seed})`);
      Deno.exit(1);
    }
  }
}
print(`${properties.length} properties held in ${turns} turns, seeds from ${firstSeed} on`);
