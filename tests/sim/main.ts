/**
 * `deno task sim --seed N`: the world of one seed, and what goes wrong in it; `--log`: all that its
 * managers do. `--count M` runs M worlds, `--minutes N` as many as there is time for, every
 * `--step`-th seed. Ends with the seed that failed, if one did.
 */
import { parseArgs } from "node:util";
import type { Faults } from "./faults.ts";
import { runSeed } from "./world.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    minutes: { type: "string" },
    step: { type: "string", default: "1" },
    log: { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const step = Number(values.step);
const isSingle = values.count === undefined && values.minutes === undefined;
const countMax = values.minutes !== undefined ? Infinity : Number(values.count ?? 1);
const startedMs = performance.now();
const untilMs = values.minutes === undefined
  ? Infinity
  : startedMs + Number(values.minutes) * 60_000;

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function describe(faults: Faults): string {
  const drawn = Object.entries(faults).filter(([, value]) => value !== 0 && value !== Infinity);
  return drawn.map(([name, value]) =>
    `  ${name} ${typeof value === "number" ? Number(value.toPrecision(3)) : value}`
  ).join("\n");
}

let count = 0;
for (; count < countMax && performance.now() < untilMs; count++) {
  const seed = first + count * step;
  try {
    const outcome = runSeed(seed, { logs: values.log });
    if (!isSingle) continue;
    print(`What may go wrong:\n${describe(outcome.faults)}\nWhat did:`);
    for (const [what, times] of outcome.happened) print(`  ${what} ${times} times`);
    if (values.log) print(outcome.log.join("\n"));
    print(`seed ${seed}: over after ${(outcome.virtualMs / 1000).toFixed(0)} s`);
  } catch (error) {
    print(error instanceof Error ? error.stack ?? error.message : String(error));
    print(`seed ${seed} failed: deno task sim --seed ${seed}`);
    Deno.exit(1);
  }
}
const seconds = (performance.now() - startedMs) / 1000;
print(`${count} seeds held (${(count / seconds).toFixed(0)} seeds/s)`);
