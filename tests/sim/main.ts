/**
 * `deno task sim --seed N [--count M]`: the worlds of M seeds from N on. Ends with the seed that
 * failed, if one did.
 */
import { parseArgs } from "node:util";
import { runSeed } from "./world.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    log: { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const count = values.count === undefined ? 1 : Number(values.count);
const startedMs = performance.now();
const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

for (let seed = first; seed < first + count; seed++) {
  try {
    const outcome = runSeed(seed);
    if (count === 1) {
      print(Deno.inspect(outcome.faults));
      if (values.log) print(outcome.log.join("\n"));
      print(`seed ${seed}: ${outcome.log.length} actions in ${outcome.virtualMs / 1000} s`);
    }
  } catch (error) {
    print(error instanceof Error ? error.stack ?? error.message : String(error));
    print(`seed ${seed} failed: deno task sim --seed ${seed}`);
    Deno.exit(1);
  }
}
const seconds = (performance.now() - startedMs) / 1000;
print(`${count} seeds held (${(count / seconds).toFixed(0)} seeds/s)`);
