/** One solve: CHANNEL CACHE SPEC…; prints how long it took and the memory of the process. */
import process from "node:process";
import { unknownHost, virtualPackages } from "../../core/package/virtual.ts";
import { solveEnvironment } from "../../package/solver.ts";
import type { SolveOnce } from "./solve_bench.ts";

const [channel = "", cache = "", ...specs] = Deno.args;
const startedMs = performance.now();
const records = await solveEnvironment({
  specs,
  channels: [channel],
  platform: "linux-64",
  virtual: virtualPackages("linux-64", unknownHost),
  priority: "strict",
  pinned: new Map(),
  cache,
});
const ms = performance.now() - startedMs;
const [, kb = "0"] = /VmHWM:\s+(\d+)/.exec(await Deno.readTextFile("/proc/self/status")) ?? [];
const { user, system } = process.cpuUsage();
const told: SolveOnce = {
  ms,
  cpuMs: (user + system) / 1000,
  peakMb: Number(kb) / 1024,
  packageCount: records.length,
};
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(told)));
