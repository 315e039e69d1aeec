import assert from "node:assert/strict";
import { type Item, itemId } from "../../core/analysis/items.ts";
import { AnalysisRun, type Ended, type Stopped } from "../../core/analysis/run.ts";
import type { TaskFault } from "../../core/analysis/job.ts";
import type { DataFault } from "../../core/errors.ts";
import { resultCode } from "../../core/protocol/messages.ts";
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
  item.kind === "process"
    ? ["p", item.leaf, ...item.piece].join("-")
    : item.kind === "accumulate"
    ? "merged"
    : "";

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
  assert.deepEqual(items(run), [], "chunks are cut once all files are known");
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
    chunks: { current: 100, smallest: 100, split: 0, eventsExhausted: 0 },
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

/** The item's task needed more than it was given. */
function outgrew(item: Item, measured: number | null = 512): Ended {
  const exhausted = { resource: "memory", limit: 400, measured };
  const why = `it used ${measured} MB of memory, and was given 400 MB`;
  const end = { kind: "failure", code: resultCode.resourceExhaustion, why, exhausted } as const;
  return failed(item, { end, exitCode: 143, attempts: 1 });
}

Deno.test("an exhausted chunk is cut in two, and its pieces are merged in its place", () => {
  const run = processing([200]);
  const [a, b] = items(run);
  assert.deepEqual(run.ended(outgrew(a!)), []);
  assert.deepEqual(run.takeNotes(), [
    'Exhausted memory (limit 400 MB, measured 512 MB) processing events [0, 100) of "0.root" ' +
    "(dataset A) on host node7; cut into pieces of 50 events",
  ]);
  const pieces = items(run);
  assert.deepEqual(brief(pieces), ["0.root 0-50", "0.root 50-100"]);
  run.ended(outgrew(pieces[1]!));
  const smaller = items(run);
  assert.deepEqual(brief(smaller), ["0.root 50-75", "0.root 75-100"]);
  succeed(run, b!);
  for (const item of [smaller[1]!, pieces[0]!, smaller[0]!]) succeed(run, item);
  const { chunks, mergesTotal, eventsSubmitted, eventsProcessed } = run.counts;
  assert.deepEqual(chunks, { current: 100, smallest: 25, split: 2, eventsExhausted: 150 });
  assert.deepEqual([mergesTotal, eventsSubmitted, eventsProcessed], [2, 200, 200]);
  const [merge] = items(run);
  assert.deepEqual(brief([merge!]), ["merge 0/0 of p-0-0 p-0-1-0 p-0-1-1"]);
  run.ended(succeeded(merge!, "merged-0"));
  const [last] = items(run);
  assert.deepEqual(brief([last!]), ["last merge 1/0 of merged-0 p-1"]);
  succeed(run, last!);
  assert.deepEqual(run.end, { result: { path: "merged", events: 200 }, stopped: null });
});

Deno.test("once a size was too large, chunks to come are cut before they are submitted", () => {
  const run = processing([300]);
  assert.equal(run.learns, false);
  run.ended(outgrew(run.next()!));
  assert.equal(run.learns, true);
  const rest = ["0.root 0-50", "0.root 50-100", "0.root 100-150", "0.root 150-200"];
  const pieces = items(run);
  assert.deepEqual(brief(pieces), [...rest, "0.root 200-250", "0.root 250-300"]);
  assert.equal(run.counts.chunks.split, 1);
  for (const piece of pieces) succeed(run, piece);
  finish(run);
  assert.deepEqual(run.end?.result?.events, 300);
});

Deno.test("a worker that says no more than that resources were exhausted is believed", () => {
  for (const code of [resultCode.resourceExhaustion, resultCode.diskFull]) {
    const run = processing([100]);
    const end = { kind: "failure", code, why: "resources were exhausted" } as const;
    run.ended(failed(run.next()!, { end, host: null }));
    assert.deepEqual(run.takeNotes(), [
      'Exhausted its resources processing events [0, 100) of "0.root" (dataset A); ' +
      "cut into pieces of 50 events",
    ]);
  }
});

Deno.test("a chunk is cut no more often than retries allow, and then the run fails", () => {
  const run = processing([100], { retries: 2 });
  let item = run.next()!;
  for (let i = 0; i < 2; i++) {
    run.ended(outgrew(item));
    item = run.next()!;
  }
  run.ended(outgrew(item));
  const message = 'Failed processing events [0, 25) of "0.root" (dataset A) ' +
    "(on host node7, exit code 143): it used 512 MB of memory, and was given 400 MB. " +
    "Chunks are cut 2 times at most (retries): raise resources.memory, or use larger workers.";
  assert.deepEqual(run.stopped, { kind: "failed", message });
  assert.equal(run.counts.chunks.eventsExhausted, 175);
  assert.equal(run.end?.result, null, "its pieces that wait are given up");
});

Deno.test("a single event cannot be cut", () => {
  const run = processing([1]);
  run.ended(outgrew(run.next()!));
  assert.ok(
    run.stopped?.kind === "failed" && run.stopped.message.includes("A single event cannot be cut"),
  );
});

Deno.test("a task that failed for its own error is not cut", () => {
  const run = processing([100]);
  run.ended(failed(run.next()!, fault("processor", "out of memory, it says")));
  assert.equal(run.stopped?.kind, "failed");
  assert.deepEqual([run.counts.chunks.split, items(run)], [0, []]);
});

Deno.test("preprocessing and accumulating that outgrow a declared limit fail, and the most is kept", () => {
  const advice = (why: string) =>
    `it used 512 MB of memory, and was given 400 MB. ${why}: raise resources.memory, or use ` +
    "larger workers.";
  const options = { resources: { memoryMb: 400 } };
  const reading = new AnalysisRun(analysisSpec(options), false);
  reading.ended(outgrew(reading.next()!));
  const stepless = advice("It cannot be done in smaller steps");
  assert.ok(reading.stopped?.kind === "failed" && reading.stopped.message.endsWith(stepless));

  const run = processing([300, 50], options);
  for (const item of items(run)) succeed(run, item);
  const [merge] = items(run);
  assert.deepEqual(run.ended(outgrew(merge!)), []);
  const [first] = items(run);
  assert.deepEqual(brief([first!]), ["merge 1/0 of p-0 p-1"]);
  assert.equal(run.stopped, null);
  run.ended(outgrew(first!));
  const fewest = advice("No fewer partial results can be merged at once");
  const message = run.stopped as Stopped | null;
  assert.ok(
    message?.kind === "failed" && message.message.endsWith(fewest),
    JSON.stringify(message),
  );
  assert.deepEqual(run.end?.result, { path: "p-0", events: 100 });
});

Deno.test("a merge that outgrows its worker takes fewer parts at once, in the same order", () => {
  const run = processing([500]);
  for (const item of items(run)) succeed(run, item);
  const [merge] = items(run);
  assert.deepEqual(brief([merge!]), ["last merge 1/0 of p-0 p-1 p-2 p-3 p-4"]);
  run.ended(outgrew(merge!));
  assert.equal(run.isTakenUp(merge!), true);
  assert.deepEqual(run.takeNotes(), [
    "Exhausted memory (limit 400 MB, measured 512 MB) accumulating 5 partial results on host " +
    "node7; from now on 3 are merged at once",
  ]);
  const [first] = items(run);
  assert.deepEqual(brief([first!]), ["merge 1/0 of p-0 p-1 p-2"]);
  run.ended(succeeded(first!, "a"));
  const [last] = items(run);
  assert.deepEqual(brief([last!]), ["last merge 1/0 of a p-3 p-4"]);
  assert.deepEqual(
    [first!, last!].map((item) => itemId(item, 0)),
    ["accum-1-0-1", "accum-1-0-2"],
    "each leaves a result of its own",
  );
  run.ended(succeeded(last!, "b"));
  assert.deepEqual(run.end, { result: { path: "b", events: 500 }, stopped: null });
  assert.equal(run.counts.mergesTotal, run.counts.merged);
});

Deno.test("what cannot take less waits for a larger worker, unless there will be none", () => {
  const reading = new AnalysisRun(analysisSpec(), false);
  reading.ended(outgrew(reading.next()!));
  const [again] = items(reading);
  assert.ok(again?.kind === "preprocess");
  assert.deepEqual(again.request, { memoryMb: 800 });
  assert.match(reading.takeNotes().join(), /; it waits for a worker that gives it 800 MB$/);
  succeed(reading, again, 150);
  const [a, b] = items(reading);
  for (const item of [a!, b!]) succeed(reading, item);
  const [merge] = items(reading);
  reading.ended(outgrew(merge!));
  const [larger] = items(reading);
  assert.ok(larger?.kind === "accumulate" && larger.final && larger.parts.length === 2);
  assert.deepEqual(larger.request, { memoryMb: 800 });
  succeed(reading, larger);
  assert.equal(reading.end?.result?.events, 150);

  const own = new AnalysisRun(analysisSpec({ workers: { count: 2 } }), false);
  own.ended(outgrew(own.next()!));
  assert.equal(own.stopped?.kind, "failed", "its workers are of this machine");
});

Deno.test("once stopped, an exhausted chunk and pieces that wait are left out", () => {
  const run = processing([400]);
  const [a, b, c] = [run.next()!, run.next()!, run.next()!];
  succeed(run, a);
  run.ended(outgrew(b));
  run.stop(interrupted);
  assert.deepEqual(items(run), []);
  run.ended(outgrew(c));
  assert.deepEqual(run.end, { result: { path: "p-0", events: 100 }, stopped: interrupted });
});

Deno.test("with a dynamic size chunks follow what tasks take, and every event is processed", () => {
  for (const model of ["robust", "coffea"] as const) {
    const dynamicChunkSize = { memoryMb: 500, wallMs: null, model };
    const run = processing([50_000, 20_000], { chunkSize: 1600, dynamicChunkSize });
    assert.equal(run.learns, true);
    const sizes: number[] = [];
    for (let item = run.next(); item !== null; item = run.next()) {
      const events = item.kind === "process" ? item.range.stop - item.range.start : 0;
      if (item.kind === "process") sizes.push(events);
      const measured = { memoryPeakMb: 100 + events / 10, wallMs: 1000 };
      run.ended({ ...succeeded(item, pathOf(item)), measured });
    }
    assert.equal(run.end?.result?.events, 70_000);
    assert.equal(sizes[0], model === "robust" ? 100 : 1613);
    assert.ok(Math.max(...sizes) > 2000 && Math.max(...sizes) <= 4000, sizes.join());
    assert.equal(run.counts.mergesTotal, run.counts.merged);
  }
});
