/**
 * `deno task soak --minutes N [--jobs J] [--seed N]`: worlds from a random seed on, on all cores, for
 * as long as one likes. A seed that fails is printed with the command that repeats it, and the
 * others go on.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "10" },
    jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const minutes = Number(values.minutes);
const jobs = Number(values.jobs);
const first = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(jobs) || jobs < 1 || !Number.isInteger(first)) {
  print("Say how long and how many at once: --minutes N [--jobs J] [--seed N]");
  Deno.exit(2);
}
const untilMs = performance.now() + minutes * 60_000;
print(`${jobs} at once for ${minutes} minutes, from seed ${first} on`);

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Every `jobs`-th seed from one on; returns how many held and how many did not. */
async function run(from: number): Promise<{ held: number; failed: number }> {
  const total = { held: 0, failed: 0 };
  for (let seed = from; performance.now() < untilMs;) {
    const left = (untilMs - performance.now()) / 60_000;
    const main = fileURLToPath(new URL("../sim/main.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", main, "--seed", String(seed), "--step", String(jobs)],
        ...["--minutes", String(left)],
      ],
      stdin: "null",
      stderr: "inherit",
    });
    const { success, stdout } = await child.output();
    const text = new TextDecoder().decode(stdout);
    if (success) {
      total.held += Number(/^(\d+) seeds held/m.exec(text)?.[1] ?? 0);
      break;
    }
    print(text.trimEnd());
    const failed = Number(/^seed (\d+) failed/m.exec(text)?.[1] ?? NaN);
    if (Number.isNaN(failed)) Deno.exit(1); // not a world's fault
    total.failed++;
    total.held += (failed - seed) / jobs;
    seed = failed + jobs;
  }
  return total;
}

const totals = await Promise.all(Array.from({ length: jobs }, (_, i) => run(first + i)));
const sum = (of: "held" | "failed") => totals.reduce((total, one) => total + one[of], 0);
print(`${sum("held")} seeds held, ${sum("failed")} failed`);
Deno.exit(sum("failed") === 0 ? 0 : 1);
