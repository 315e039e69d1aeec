/**
 * What does the journal cost? The same tasks by fake workers with results only, and with a journal
 * of them, in turns, at each way of bringing it to disk. And how long does a manager need that goes
 * on after 100,000 tasks or chunks?
 */
import { changedFiles, differences } from "../../core/analysis/identity.ts";
import { restore, RunMemo } from "../../core/analysis/memo.ts";
import { type AnalysisRecord, ItemRecords } from "../../core/analysis/records.ts";
import { AnalysisRun } from "../../core/analysis/run.ts";
import { FileCutter } from "../../core/analysis/chunks.ts";
import { crc32 } from "node:zlib";
import { fsyncModes, JournalFile, readJournal } from "../../manager/journal.ts";
import { takeUpList } from "../../manager/list_journal.ts";
import { RunFolder } from "../../manager/run_folder.ts";
import { opened, worldOf } from "../support/journaled_run.ts";
import { TempFolder } from "../support/temp.ts";
import { TestBed } from "../support/wqx.ts";
import { startContestant, startFakeWorkers, time } from "./contest.ts";
import type { BenchRow } from "./row.ts";

const taskCount = 20_000;
const workerCount = 100;
const repeats = 7;
const many = 100_000;

const silent = { note: () => {}, paused: () => {} };

export async function journalBench(): Promise<BenchRow[]> {
  await using bed = await TestBed.create();
  const seconds = new Map<number, number[]>();
  const modes = [-1, ...fsyncModes.keys()];
  for (let i = 0; i < repeats; i++) {
    for (const mode of modes) {
      const contestant = await startContestant(
        bed,
        "journal_manager.ts",
        taskCount,
        workerCount,
        mode,
      );
      const timing = await time(contestant, (port) => startFakeWorkers(bed, port, workerCount));
      const cpu = Number(/^cpu ([\d.]+)$/m.exec(timing.said)?.[1]);
      seconds.set(mode, [...seconds.get(mode) ?? [], cpu]);
    }
  }
  // The least disturbed: whatever else runs on the machine only ever adds.
  const rate = (mode: number) => taskCount / Math.min(...seconds.get(mode)!);
  const what = `${taskCount} × true, ${workerCount} fake workers`;
  return [
    { name: `${what}: results only`, value: rate(-1), unit: "tasks/CPU s" },
    ...[...fsyncModes.entries()].map(([mode, name]): BenchRow => ({
      name: `${what}: with a journal, --fsync ${name}`,
      value: rate(mode),
      unit: "tasks/CPU s",
      ratio: { to: "results only", value: rate(mode) / rate(-1) },
    })),
    { name: `taking up a list with ${many} results`, value: await listRecovery(), unit: "ms" },
    { name: `taking up an analysis with ${many} chunks`, value: await runRecovery(), unit: "ms" },
  ];
}

/** Reading and checking what is there, as a manager does that goes on. */
async function listRecovery(): Promise<number> {
  await using temp = await TempFolder.create("wqx-recovery-");
  const path = temp.join("out");
  {
    await using folder = await RunFolder.open(path);
    folder.unfinished = true;
    await using journal = await JournalFile.open(folder.journalPath, {
      fsync: "never",
      owner: silent,
    });
    const base = { kind: "tasks", session: 1, version: "", file: "-", options: {} };
    journal.append({ type: "opened", epochMs: 0, ...base });
    using file = await Deno.open(`${path}/results.jsonl`, { write: true, create: true });
    let until = 0;
    for (let id = 1; id <= many; id += 100) {
      const lines = Array.from({ length: 100 }, (_, i) => JSON.stringify(lineOf(id + i)) + "\n");
      const bytes = new TextEncoder().encode(lines.join(""));
      file.writeSync(bytes);
      until += bytes.length;
      const prints = lines.map(() => 1);
      journal.append({ type: "lines", until, sum: crc32(bytes), prints });
    }
  }
  const startedMs = performance.now();
  await using folder = await RunFolder.take(path);
  await using taken = (await takeUpList(folder, {
    resuming: { how: "resume", fsync: "never", options: {} },
    file: "-",
    version: "",
    owner: silent,
    failuresMax: 10,
  })).journal;
  void taken;
  return performance.now() - startedMs;
}

/** As a result of a task is written. */
function lineOf(id: number): unknown {
  return {
    id,
    name: null,
    tag: null,
    category: "default",
    state: "success",
    why: null,
    exit_code: 0,
    output: "",
    host: "node7",
    worker: "worker-7",
    started: "2026-11-23T00:00:00.000Z",
    ended: "2026-11-23T00:00:00.000Z",
    wall_time: 0.1,
    allocated: { cores: 1, memory: 100, disk: 100, gpus: 0 },
    measured: { cpu_time: 0.1, memory: 30 },
    attempts: 1,
  };
}

async function runRecovery(): Promise<number> {
  await using temp = await TempFolder.create("wqx-recovery-");
  const path = temp.join("journal");
  const size = 100;
  const { spec } = worldOf({
    seed: 1,
    entries: [many * size],
    chunkSize: size,
    dynamic: false,
    eventsMax: Infinity,
    postprocess: false,
    alike: false,
  });
  await writeRun(path, new AnalysisRun(spec, false));
  const startedMs = performance.now();
  const { records } = await readJournal(path);
  const memo = RunMemo.of(records as readonly AnalysisRecord[])!;
  const { identity } = memo.first;
  if (differences(identity, identity).length + changedFiles(identity, identity).length > 0) {
    throw new Error("The analysis differs from itself");
  }
  const { run } = restore(spec, false, memo, (name) => name);
  if (run.counts.eventsProcessed !== many * size) throw new Error("Events were lost");
  return performance.now() - startedMs;
}

/** All of a run but for its last merge. */
async function writeRun(path: string, run: AnalysisRun): Promise<void> {
  await using journal = await JournalFile.open(path, { fsync: "never", owner: silent });
  const records = new ItemRecords(run.spec);
  journal.append(opened(run.spec));
  const cutter = new FileCutter(many * 100, "nearest");
  const attempt = {
    host: "node7",
    worker: "worker-7",
    startedMs: 1,
    endedMs: 2,
    wallMs: 1,
    cpuMs: 1,
    memoryMb: 50,
    allocated: { cores: 1, memoryMb: 100, diskMb: 100 },
    exitCode: 0,
    ending: "success",
  };
  let serial = 0;
  for (let item = run.next(); item !== null; item = run.next()) {
    const record = records.of(item);
    if (item.kind === "process") journal.append({ type: "cut", file: 0, range: item.range });
    if (item.kind === "accumulate" && item.final) return;
    const name = `${serial++}.acc`;
    const part = { name, bytes: 1000, digest: "d".repeat(64) };
    const got = item.kind === "preprocess"
      ? { kind: "file", entries: cutter.entries, uuid: "u" }
      : { kind: "part", part, measured: { memoryPeakMb: 50, wallMs: 1 } };
    const task = { item: name, what: "processing", end: "success", attempts: [attempt] };
    const category = "processing";
    journal.append({ type: "ended", item: record, got, task, category, lessons: [] });
    const kind = item.kind;
    run.ended({
      item,
      end: { kind: "success" },
      outcome: kind === "preprocess"
        ? { ok: true, kind, entries: cutter.entries, uuid: "u" }
        : { ok: true, kind, events: 0, bytesRead: 0 },
      resultPath: name,
      host: null,
      exitCode: 0,
      attempts: 1,
      measured: null,
      printed: "",
    });
  }
}
