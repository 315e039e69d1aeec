/** The worlds of the test command: a few for daily use, thousands in the whole test. */
import { runSeed } from "./world.ts";

const seeds = Number(Deno.env.get("WQX_SIM_SEEDS") ?? 60);

/** Every second seed from `first` on, so that two processes share them. */
export function testWorlds(first: 1 | 2): void {
  const count = Math.ceil((seeds + 1 - first) / 2);
  const which = first === 1 ? "odd" : "even";
  Deno.test(`${count} simulated worlds keep every promise and come to their end: ${which} seeds`, () => {
    for (let seed = first; seed <= seeds; seed += 2) {
      try {
        runSeed(seed);
      } catch (cause) {
        throw new Error(`seed ${seed} failed: deno task sim --seed ${seed}`, { cause });
      }
    }
  });
}
