import assert from "node:assert/strict";
import { createProgress } from "../../cmd/progress.ts";
import type { Progress } from "../../core/analysis/progress.ts";
import { load, refusal, refuses } from "../support/analysis.ts";
import { recordingTerminal } from "../support/terminal.ts";

const good = "datasets: {DY: data/a.root}\nprocessor: dimuon.ts\n";

Deno.test("targets of a dynamic chunk size arrive, converted", async () => {
  const dynamic = async (text: string) =>
    (await load(`${good}dynamic-chunksize: ${text}\n`)).dynamicChunkSize;
  assert.deepEqual(await dynamic("{memory: 500, wall_time: 60}"), {
    memoryMb: 500,
    wallMs: 60_000,
    model: "robust",
  });
  assert.deepEqual(await dynamic("{memory: 2GB, model: coffea}"), {
    memoryMb: 2048,
    wallMs: null,
    model: "coffea",
  });
  assert.deepEqual(await dynamic("{wall_time: 2m}"), {
    memoryMb: null,
    wallMs: 120_000,
    model: "robust",
  });
  assert.equal("dynamicChunkSize" in await load(good), false);
});

Deno.test("a target that is none is refused, with its place", async (t) => {
  const at = "analysis.yaml:3:";
  const key = "dynamic-chunksize";
  await refuses(t, [
    [
      "no target",
      `${good}${key}: {model: coffea}\n`,
      `${at}20: ${key}: there is no target: give memory, wall_time, or both`,
    ],
    [
      "a number",
      `${good}${key}: 500\n`,
      `${at}20: ${key}: "500" is not a mapping with ` +
      "memory or wall_time",
    ],
    [
      "a misspelt target",
      `${good}${key}: {walltime: 60}\n`,
      `${at}21: unknown key "walltime": did you mean "wall_time"?`,
    ],
    [
      "a negative size",
      `${good}${key}: {memory: -5GB}\n`,
      `${at}29: ${key}.memory: "-5GB" is not a size: it cannot be negative`,
    ],
    [
      "a fraction of a MB",
      `${good}${key}: {memory: 0.5}\n`,
      `${at}29: ${key}.memory: "0.5" is not a size: a bare number is whole MB; did you mean ` +
      '"0.5GB"?',
    ],
    [
      "a misspelt unit of size",
      `${good}${key}: {memory: 4GBB}\n`,
      `${at}29: ${key}.memory: "4GBB" is not a size: did you mean "4GB"?`,
    ],
    [
      "a misspelt unit of time",
      `${good}${key}: {wall_time: 60sec}\n`,
      `${at}32: ${key}.wall_time: "60sec" is not a time: its unit can be ms, s, m, h, d`,
    ],
    [
      "no memory at all",
      `${good}${key}: {memory: 0}\n`,
      `${at}29: ${key}.memory: it must be more than 0`,
    ],
    [
      "no time at all",
      `${good}${key}: {wall_time: 0s}\n`,
      `${at}32: ${key}.wall_time: it must be more than 0`,
    ],
    [
      "an unknown model",
      `${good}${key}: {memory: 500, model: cofea}\n`,
      `${at}41: ${key}.model: "cofea" is not one of robust, coffea: did you mean "coffea"?`,
    ],
    [
      "a limit on the number of chunks",
      `${good}${key}: {memory: 500}\nmaxchunks: 3\n`,
      `${at}20: ${key}: maxchunks cannot be had with it, as the number of chunks is not known ` +
      "before",
    ],
    [
      "more than a task is given",
      `${good}${key}: {memory: 500}\nresources: {memory: 400}\n`,
      `${at}29: ${key}.memory: a target of 500 MB is more than the 400 MB that a task is given ` +
      "(resources.memory)",
    ],
    [
      "more than a worker has",
      `${good}${key}: {memory: 5GB}\nworkers: {memory: 4GB}\n`,
      `${at}29: ${key}.memory: a target of 5120 MB is more than the 4096 MB that a worker has ` +
      "(workers.memory)",
    ],
  ]);
});

Deno.test("maxchunks from the command line cannot be had with a dynamic chunk size", async () => {
  const yaml = `${good}dynamic-chunksize: {memory: 500}\n`;
  const [line, ...others] = await refusal(yaml, {}, { chunksMax: 2 });
  assert.ok(line?.includes("maxchunks cannot be had with it"));
  assert.deepEqual(others, []);
});

const progress: Progress = {
  phase: "processing",
  preprocessed: { done: 1, total: 1 },
  submitted: { done: 900, total: 1000 },
  processed: { done: 500, total: 1000 },
  accumulated: { done: 0, total: 3 },
  tasks: { waiting: 4, running: 8, done: 5, failed: 1 },
  workers: 2,
  allocations: [],
  elapsedMs: 30_000,
  eventsPerSecond: 20,
  leftMs: 25_000,
};

Deno.test("status lines show how large chunks are, and what was split, where sizes change", () => {
  const shown = (changed: Partial<Progress>) => {
    const terminal = recordingTerminal({ columns: 200, isTTY: false, env: {} });
    createProgress("lines", terminal.stderr).finish({ ...progress, ...changed });
    return terminal.err().trimEnd();
  };
  const line = shown({});
  assert.ok(line.endsWith("2 workers"), line);
  const chunks = { current: 16_384, smallest: 16_384, split: 0, eventsExhausted: 0 };
  assert.equal(shown({ chunks }), `${line}; chunks of 16.4k events`);
  assert.equal(
    shown({ chunks: { ...chunks, smallest: 1024, split: 2, eventsExhausted: 65_536 } }),
    `${line}; chunks of 16.4k events (smallest 1.02k); 2 split (65.5k events exhausted)`,
  );
});
