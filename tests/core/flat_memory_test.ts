import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Ledger } from "../../core/analysis/ledger.ts";
import { type Item, itemId } from "../../core/analysis/items.ts";
import { RunReport } from "../../core/analysis/report.ts";
import { AnalysisRun } from "../../core/analysis/run.ts";
import { analysisSpec, inputFile, succeeded } from "../support/builders.ts";

const chunksTotal = 100_000;
/** Tasks at the same time. */
const openMax = 300;
/** Of all that the run keeps of a chunk that is over; bytes. */
const keptOfChunkMax = 64;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

function heapBytes(): number {
  collect();
  return Deno.memoryUsage().heapUsed;
}

Deno.test("a run of 100,000 chunks keeps next to nothing of those that are over", () => {
  const files = Array.from({ length: 100 }, (_, i) => inputFile(`${i}.root`));
  const spec = analysisSpec({ files, chunkSize: 100 });
  const run = new AnalysisRun(spec, true);
  const report = new RunReport(0);
  const ledger = new Ledger(spec, 0);
  const open: Item[] = [];
  const entries = chunksTotal * spec.chunkSize / files.length;
  let [ended, early, late] = [0, 0, 0];
  for (let draw = 1; run.end === null; draw = (draw * 48_271) % 0x7fffffff) {
    for (let item = run.next(); item !== null; item = open.length < openMax ? run.next() : null) {
      open.push(item);
    }
    const [item] = open.splice(draw % open.length, 1);
    const id = itemId(item!, ended);
    const task = report.add(id, item!, { kind: "success" }, []);
    const record = { kind: "accumulate", parts: [], final: false } as const;
    const nothing = { kind: "nothing" } as const;
    const category = task.category;
    ledger.add({ type: "ended", item: record, got: nothing, task, category, lessons: [] });
    run.ended(succeeded(item!, `/a/folder/of/a/run/.parts/${id}.result.acc`, entries));
    ended++;
    if (ended === chunksTotal / 10) early = heapBytes();
    if (ended === chunksTotal) late = heapBytes();
  }
  assert.equal(run.end.result?.events, chunksTotal * spec.chunkSize);
  const each = (late - early) / (chunksTotal * 0.9);
  assert.ok(each < keptOfChunkMax, `${each.toFixed(1)} bytes stay of each chunk`);
});
