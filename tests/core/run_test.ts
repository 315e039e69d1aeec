import assert from "node:assert/strict";
import type { Item } from "../../core/analysis/items.ts";
import { AnalysisRun, type Ended, type Stopped } from "../../core/analysis/run.ts";
import type { TaskFault } from "../../core/analysis/job.ts";
import type { DataFault } from "../../core/errors.ts";
import type { AnalysisSpec } from "../../core/analysis/spec.ts";
import { analysisSpec, failed, inputFile, succeeded } from "../support/builders.ts";

/** All items that can be submitted now. */
function items(run: AnalysisRun): Item[] {
  const all: Item[] = [];
  for (let item = run.next(); item !== null; item = run.next()) all.push(item);
  return all;
}

/** Items as short words: `pre a.root`, `a.root 0-100`, `merge 1/0 of p-0 p-1`. */
function brief(all: readonly Item[]): string[] {
  return all.map((item) => {
    switch (item.kind) {
      case "preprocess":
        return `pre ${item.file.file}`;
      case "process":
        return `${item.file.file} ${item.range.start}-${item.range.stop}`;
      case "accumulate":
        return `${item.final ? "last merge" : "merge"} ${item.node.level}/${item.node.index} of ` +
          item.parts.map(({ path }) => path).join(" ");
    }
  });
}

const pathOf = (item: Item) =>
  item.kind === "process" ? `p-${item.leaf}` : item.kind === "accumulate" ? "merged" : "";

const succeed = (run: AnalysisRun, item: Item, entries = 0) =>
  run.ended(succeeded(item, pathOf(item), entries));

const canceled = (item: Item): Ended => ({ ...succeeded(item), end: { kind: "canceled" } });

function fault(whose: TaskFault["whose"], message: string, stack?: string): Partial<Ended> {
  const error = { whose, message, ...(stack !== undefined && { stack }) };
  return { outcome: { ok: false, error } };
}

function badData(fault: DataFault, message: string): Partial<Ended> {
  return { outcome: { ok: false, error: { whose: "data", fault, message } } };
}

/** A run whose files have so many events, about to process. */
function processing(entries: readonly number[], options: Partial<AnalysisSpec> = {}): AnalysisRun {
  const files = entries.map((_, i) => inputFile(`${i}.root`));
  const run = new AnalysisRun(analysisSpec({ files, ...options }), false);
  for (const [i, item] of items(run).entries()) succeed(run, item, entries[i]);
  return run;
}

/** Ends all that can be submitted, in order, until the run is over. */
function finish(run: AnalysisRun): void {
  for (let all = items(run); all.length > 0; all = items(run)) {
    for (const item of all) succeed(run, item);
  }
}

Deno.test("a run preprocesses every file, processes every chunk, and merges what comes", () => {
  const files = [inputFile("a.root"), inputFile("b.root")];
  const run = new AnalysisRun(analysisSpec({ files }), false);
  const both = items(run);
  assert.deepEqual(brief(both), ["pre a.root", "pre b.root"]);
  assert.equal(run.counts.eventsTotal, null);
  succeed(run, both[1]!, 120);
  assert.deepEqual(items(run), [], "chunks are numbered once all files are known");
  succeed(run, both[0]!, 250);
  assert.deepEqual(run.seen.map((seen) => seen?.entries), [250, 120]);

  const chunks = items(run);
  assert.deepEqual(brief(chunks), ["a.root 0-125", "a.root 125-250", "b.root 0-120"]);
  const [first] = chunks;
  assert.ok(first?.kind === "process" && first.uuid === "uuid of a.root" && first.leaf === 0);
  assert.deepEqual(run.counts, {
    phase: "processing",
    preprocessed: 2,
    eventsTotal: 370,
    eventsSubmitted: 370,
    eventsProcessed: 0,
    merged: 0,
    mergesTotal: 1,
  });
  assert.deepEqual(succeed(run, chunks[2]!), []);
  succeed(run, chunks[0]!);
  assert.equal(run.counts.eventsProcessed, 245);
  assert.deepEqual(items(run), []);
  succeed(run, chunks[1]!);

  const [merge, ...rest] = items(run);
  assert.deepEqual(brief([merge!, ...rest]), ["last merge 1/0 of p-0 p-1 p-2"]);
  assert.equal(run.end, null);
  assert.deepEqual(succeed(run, merge!).map(({ path }) => path), ["p-0", "p-1", "p-2"]);
  assert.deepEqual(run.end, { result: { path: "merged", events: 370 }, stopped: null });
  assert.deepEqual([run.counts.phase, run.counts.merged, run.next()], ["done", 1, null]);
});

Deno.test("merging begins before processing ends, and merges are submitted first", () => {
  const run = processing([4500]);
  const chunks = Array.from({ length: 21 }, () => run.next()!);
  for (const chunk of chunks.slice(0, 20).reverse()) succeed(run, chunk);
  const [merge, next] = [run.next()!, run.next()!];
  assert.ok(merge.kind === "accumulate" && merge.parts.length === 20 && !merge.final);
  assert.deepEqual(brief([next]), ["0.root 2100-2200"]);
  assert.equal(run.counts.mergesTotal, 4);
});

Deno.test("a processor with a last word gets a merge at the end, of one part if need be", () => {
  const run = new AnalysisRun(analysisSpec(), true);
  succeed(run, run.next()!, 50);
  succeed(run, run.next()!);
  assert.equal(run.end, null);
  const [merge] = items(run);
  assert.deepEqual(brief([merge!]), ["last merge 1/0 of p-0"]);
  succeed(run, merge!);
  assert.deepEqual(run.end, { result: { path: "merged", events: 50 }, stopped: null });
});

Deno.test("a single chunk is the result as it is", () => {
  const run = processing([50]);
  succeed(run, run.next()!);
  assert.deepEqual(run.end, { result: { path: "p-0", events: 50 }, stopped: null });
});

Deno.test("files without events have no chunks; without any event the run has failed", () => {
  const some = processing([0, 10, 0]);
  assert.deepEqual(brief(items(some)), ["1.root 0-10"]);
  const none = processing([0, 0]);
  assert.deepEqual(items(none), []);
  const message = "There is nothing to process: the files hold no events.";
  assert.deepEqual(none.end, { result: null, stopped: { kind: "failed", message } });
  assert.deepEqual(none.stopped, none.end?.stopped);
  assert.equal(none.counts.eventsTotal, 0);
});

Deno.test("chunksMax counts per dataset, in the order of the files", () => {
  const files = ["A", "B", "A", "B"].map((dataset, i) => inputFile(`${i}.root`, { dataset }));
  const run = processing([200, 300, 200, 100], { files, chunksMax: 3 });
  assert.deepEqual(brief(items(run)), [
    "0.root 0-100",
    "0.root 100-200",
    "1.root 0-100",
    "1.root 100-200",
    "1.root 200-300",
    "2.root 0-100",
  ]);
  assert.equal(run.counts.eventsTotal, 600);
});

Deno.test("a failure stops the run, and what is done is merged", () => {
  const run = processing([500]);
  const [a, b, c] = [run.next()!, run.next()!, run.next()!];
  succeed(run, a);
  run.ended(failed(b, fault("processor", "no such column: Muon_px", "    at fill (cut.ts:3:1)")));
  assert.equal(run.stopped?.kind, "failed");
  assert.deepEqual(items(run), [], "nothing new begins");
  succeed(run, c);
  const [merge] = items(run);
  assert.deepEqual(brief([merge!]), ["last merge 1/0 of p-0 p-2"]);
  succeed(run, merge!);
  assert.deepEqual(run.end, { result: { path: "merged", events: 200 }, stopped: run.stopped });
});

Deno.test("a failure names file, range, dataset, host, exit code, attempts, and the user's stack", () => {
  const cases: [Partial<Ended>, string][] = [
    [
      fault("processor", "no such column: Muon_px", "    at fill (cut.ts:3:1)"),
      'Failed processing events [100, 200) of "0.root" (dataset A) ' +
      "(on host node7, exit code 1, after 6 attempts): no such column: Muon_px\n" +
      "    at fill (cut.ts:3:1)",
    ],
    [
      { ...fault("data", "0.root is truncated"), printed: "of no use here" },
      'Failed processing events [100, 200) of "0.root" (dataset A) ' +
      "(on host node7, exit code 1, after 6 attempts): 0.root is truncated",
    ],
    // Nothing is known but what the task printed.
    [
      { printed: "Segmentation fault\n\n", exitCode: 139, attempts: 1 },
      'Failed processing events [100, 200) of "0.root" (dataset A) ' +
      "(on host node7, exit code 139): it ended with exit code 1\nSegmentation fault",
    ],
    [
      { host: null, exitCode: null, attempts: 0 },
      'Failed processing events [100, 200) of "0.root" (dataset A): it ended with exit code 1',
    ],
    [
      { end: { kind: "success" }, exitCode: 0, attempts: 1 },
      'Failed processing events [100, 200) of "0.root" (dataset A) ' +
      "(on host node7, exit code 0): its outcome.json cannot be read",
    ],
  ];
  for (const [options, message] of cases) {
    const run = processing([500]);
    run.next();
    run.ended(failed(run.next()!, options));
    assert.deepEqual(run.stopped, { kind: "failed", message });
  }
});

Deno.test("preprocessing and accumulating fail the run in the same way", () => {
  const files = [inputFile("a.root"), inputFile("b.root")];
  const preprocessing = new AnalysisRun(analysisSpec({ files }), false);
  const [a, b] = items(preprocessing);
  preprocessing.ended(failed(a!, fault("data", "no such file")));
  assert.equal(preprocessing.end, null, "the other file is still being looked at");
  preprocessing.ended(succeeded(b!, "", 100));
  const message = 'Failed preprocessing "a.root" (dataset A) ' +
    "(on host node7, exit code 1, after 6 attempts): no such file";
  assert.deepEqual(preprocessing.end, { result: null, stopped: { kind: "failed", message } });

  const merging = processing([200]);
  for (const item of items(merging)) succeed(merging, item);
  const used = merging.ended(failed(merging.next()!, fault("processor", "cannot merge x")));
  assert.deepEqual(used, [], "the parts stay for a look");
  assert.equal(merging.end?.result, null);
  assert.ok(
    merging.stopped?.kind === "failed" &&
      merging.stopped.message.startsWith("Failed accumulating 2 partial results (on host node7"),
  );
});

Deno.test("only the first reason to stop is kept", () => {
  const run = processing([300]);
  const [a, b] = [run.next()!, run.next()!];
  run.ended(failed(a, fault("processor", "first")));
  run.ended(failed(b, fault("processor", "second")));
  run.stop({ kind: "interrupted" });
  assert.ok(run.stopped?.kind === "failed" && run.stopped.message.endsWith("first"));
});

Deno.test("with skipBadFiles, bad files are left out and listed, and the run goes on", () => {
  const files = ["a.root", "b.root", "c.root"].map((name) => inputFile(name));
  const run = new AnalysisRun(analysisSpec({ files, skipBadFiles: true }), false);
  const [a, b, c] = items(run);
  succeed(run, a!, 100);
  run.ended(failed(b!, badData("not-root", "b.root is not a ROOT file")));
  succeed(run, c!, 200);
  const chunks = items(run);
  assert.deepEqual(brief(chunks), ["a.root 0-100", "c.root 0-100", "c.root 100-200"]);
  succeed(run, chunks[0]!);
  run.ended(failed(chunks[1]!, badData("truncated", "c.root is truncated")));
  succeed(run, chunks[2]!);
  finish(run);
  assert.deepEqual(run.end, { result: { path: "merged", events: 200 }, stopped: null });
  assert.deepEqual(run.leftOut, [
    { dataset: "A", file: "b.root", range: null, why: "b.root is not a ROOT file" },
    {
      dataset: "A",
      file: "c.root",
      range: { start: 0, stop: 100 },
      why: "c.root is truncated",
    },
  ]);
  assert.deepEqual(run.seen.map((seen) => seen?.entries ?? null), [100, null, 200]);
});

Deno.test("skipBadFiles forgives what is wrong with a file, and nothing else", () => {
  const bad: DataFault[] = ["unreachable", "not-root", "truncated", "corrupt", "no-tree"];
  const notForgiven: Partial<Ended>[] = [
    badData("no-branch", "there is no Muon_px"), // the processor's fault: it would be everywhere
    badData("unsupported", "cannot read Muon_px"),
    fault("data", "of no known kind"),
    ...(["processor", "sandbox", "internal"] as const).map((whose) => fault(whose, "no")),
    {},
  ];
  for (const options of [...bad.map((fault) => badData(fault, "no")), ...notForgiven]) {
    const run = processing([300], { skipBadFiles: true });
    run.ended(failed(run.next()!, options));
    const forgiven = !notForgiven.includes(options);
    assert.equal(run.stopped === null, forgiven);
    assert.equal(run.leftOut.length, forgiven ? 1 : 0);
  }
  const merging = processing([200], { skipBadFiles: true });
  for (const item of items(merging)) succeed(merging, item);
  merging.ended(failed(merging.next()!, badData("corrupt", "a part is damaged")));
  assert.equal(merging.stopped?.kind, "failed");
});

Deno.test("a run that leaves out everything has failed", () => {
  const files = [inputFile("a.root"), inputFile("b.root")];
  const unread = new AnalysisRun(analysisSpec({ files, skipBadFiles: true }), false);
  for (const item of items(unread)) unread.ended(failed(item, badData("no-tree", "no tree")));
  const none = "There is nothing to process: none of the 2 files can be read.";
  assert.deepEqual(unread.end, { result: null, stopped: { kind: "failed", message: none } });

  const run = processing([200], { skipBadFiles: true });
  for (const item of items(run)) run.ended(failed(item, badData("corrupt", "damaged")));
  const message = "Nothing was processed: every chunk was left out.";
  assert.deepEqual(run.end, { result: null, stopped: { kind: "failed", message } });
  assert.equal(run.leftOut.length, 2);
});

Deno.test("without skipBadFiles bad data fails the run", () => {
  const run = processing([300]);
  run.ended(failed(run.next()!, badData("truncated", "too short")));
  assert.equal(run.stopped?.kind, "failed");
});

const interrupted: Stopped = { kind: "interrupted" };

Deno.test("stopped while preprocessing, a run ends with nothing once its tasks are over", () => {
  const files = [inputFile("a.root"), inputFile("b.root")];
  const run = new AnalysisRun(analysisSpec({ files }), false);
  const first = run.next()!;
  run.stop(interrupted);
  assert.equal(run.next(), null);
  assert.equal(run.end, null);
  run.ended(canceled(first));
  assert.deepEqual(run.end, { result: null, stopped: interrupted });

  const idle = new AnalysisRun(analysisSpec(), false);
  idle.stop(interrupted);
  assert.deepEqual(idle.end, { result: null, stopped: interrupted });
});

Deno.test("stopped while processing, a run merges what is there or still comes", () => {
  const run = processing([500]);
  const [a, b, c] = [run.next()!, run.next()!, run.next()!];
  succeed(run, a);
  run.stop(interrupted);
  run.stop({ kind: "failed", message: "too late" });
  assert.equal(run.next(), null);
  run.ended(canceled(b));
  succeed(run, c);
  const [merge] = items(run);
  assert.deepEqual(brief([merge!]), ["last merge 1/0 of p-0 p-2"]);
  succeed(run, merge!);
  assert.deepEqual(run.end, { result: { path: "merged", events: 200 }, stopped: interrupted });
  assert.deepEqual(run.cancelable, ["preprocessing", "processing"], "merges go on");
});

Deno.test("stopped before any chunk was submitted or done, a run ends at once or with nothing", () => {
  const before = processing([500]);
  before.stop(interrupted);
  assert.deepEqual(before.end, { result: null, stopped: interrupted });

  const none = processing([500]);
  const [a, b] = [none.next()!, none.next()!];
  none.stop(interrupted);
  none.ended(canceled(a));
  assert.equal(none.end, null);
  none.ended(canceled(b));
  assert.deepEqual(none.end, { result: null, stopped: interrupted });
});

Deno.test("stopped while merging, a run ends as it would have", () => {
  const run = processing([200]);
  for (const item of items(run)) succeed(run, item);
  const [merge] = items(run);
  run.stop(interrupted);
  assert.equal(run.end, null);
  succeed(run, merge!);
  assert.deepEqual(run.end, { result: { path: "merged", events: 200 }, stopped: interrupted });
});

Deno.test("stopped at its end, a run is not stopped", () => {
  const run = processing([50]);
  succeed(run, run.next()!);
  run.stop(interrupted);
  assert.equal(run.stopped, null);
  assert.equal(run.end?.stopped, null);
});

Deno.test("parts of a merge whose outcome cannot be read are not given up", () => {
  const run = new AnalysisRun(analysisSpec(), false);
  succeed(run, run.next()!, 200);
  for (const chunk of items(run)) succeed(run, chunk);
  const merge = run.next()!;
  assert.deepEqual(run.ended({ ...succeeded(merge, "merged"), outcome: null }), []);
  assert.equal(run.stopped?.kind, "failed");
});

Deno.test("a run without files ends as it begins", () => {
  const run = new AnalysisRun(analysisSpec({ files: [] }), false);
  assert.equal(run.next(), null);
  assert.notEqual(run.end, null);
});
