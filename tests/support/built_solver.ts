/** A program for the tests of scripts/build.ts: solves in the channel that its argument names. */
import { solveEnvironment } from "../../package/solver.ts";

const [channel = "", cache = "", ...specs] = Deno.args;
const records = await solveEnvironment({
  specs,
  channels: [channel],
  platform: "linux-64",
  virtual: [],
  priority: "strict",
  pinned: new Map(),
  cache,
});
const names = records.map(({ fileName }) => fileName);
Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(names)}\n`));
