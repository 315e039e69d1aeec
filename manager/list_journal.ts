/** The journal of a task list in its run folder, and what a manager finds there of another one. */
import { crc32 } from "node:zlib";
import { CategorySums } from "../core/category_sums.ts";
import { UsageError } from "../core/errors.ts";
import { describeEnd } from "../core/journal/frames.ts";
import type { Lesson } from "../core/analysis/records.ts";
import { ListFailures } from "../core/tasklist/failures.ts";
import {
  addLine,
  type Finished,
  lessonIn,
  linesOf,
  type LinesRecord,
  type ListRecord,
} from "../core/tasklist/records.ts";
import type { ResultLine, ResultState } from "../core/tasklist/result.ts";
import { newRunId, nothingToResume, type Resuming } from "./analysis_journal.ts";
import { Pace } from "../io/files.ts";
import { JournalFile, type JournalOwner } from "./journal.ts";
import { resultsName, RunFolder } from "./run_folder.ts";

/** So much of what categories were taught is told again. */
const lessonsMax = 1000;

/** Run again with `--only-missing`. */
const missingStates: readonly ResultState[] = ["failure", "refused", "not run"];

/** A list as it begins, or goes on. */
export interface ListTakenUp {
  readonly journal: JournalFile;
  /** By which workers know it. */
  readonly run: string;
  /** Of results.jsonl, which is kept up to here. */
  readonly offset: number;
  readonly finished: Map<number, Finished>;
  readonly startedAt: Date;
  /** Of earlier managers. */
  readonly sums: CategorySums;
  readonly failures: readonly ResultLine[];
  /** All of them, by cause. */
  readonly failed: ListFailures;
  readonly lessons: readonly { readonly category: string; readonly lesson: Lesson }[];
  /** `null`: it begins. */
  readonly told: string | null;
}

type Opened = Extract<ListRecord, { type: "opened" }>;

/**
 * Begins the list in its folder, or goes on with the one that is there. Throws a UsageError if that
 * cannot be.
 */
export async function takeUpList(
  folder: RunFolder,
  { resuming, file, version, owner, failuresMax }: {
    readonly resuming: Resuming;
    readonly file: string;
    readonly version: string;
    readonly owner: JournalOwner;
    /** Of failures, kept to be told. */
    readonly failuresMax: number;
  },
): Promise<ListTakenUp> {
  const { how, fsync, options } = resuming;
  const found = how === "fresh" ? null : await RunFolder.journaled(folder.path);
  const all = (found?.records ?? []) as readonly ListRecord[];
  // It ended as it was meant to, but for what failed.
  const isClosed = how !== "missing" && all.some((record) => record.type === "closed");
  const records = isClosed ? [] : all;
  const opened = records.filter((record): record is Opened => record.type === "opened");
  const first = opened[0];
  if (first === undefined && (how === "resume" || how === "missing")) {
    throw nothingToResume(folder.path);
  }
  if (first !== undefined && first.kind !== "tasks") {
    throw new UsageError(
      `Cannot write to the output folder ${folder.path}: an analysis in it is not finished; ` +
        "resume it, choose another folder with --output, or drop it with --fresh",
    );
  }
  if (first === undefined) await folder.clear();
  const sums = new CategorySums();
  const taken = {
    finished: new Map<number, Finished>(),
    sums,
    failures: [] as ResultLine[],
    failed: new ListFailures(),
    lessons: [] as { category: string; lesson: Lesson }[],
  };
  const results = new ResultFile(`${folder.path}/${resultsName}`);
  const kept = first === undefined ? [] : await results.keep(
    records,
    (line) => how !== "missing" || !missingStates.includes(line.state),
    how === "missing",
    (line, print) => {
      taken.finished.set(line.id, { state: line.state, print });
      addLine(sums, line);
      taken.failed.add(line);
      const bad = line.state === "failure" || line.state === "refused";
      if (bad && taken.failures.length < failuresMax) taken.failures.push(line);
      const lesson = lessonIn(line);
      if (lesson === null || line.category === null) return;
      taken.lessons.push({ category: line.category, lesson });
      if (taken.lessons.length > 2 * lessonsMax) taken.lessons.splice(0, lessonsMax);
    },
  );
  // Begun anew as a whole, so that it does not grow with every manager.
  const journal = await JournalFile.open(`${folder.journalPath}.partial`, { fsync, owner });
  const epochMs = Date.now();
  const session = (opened.at(-1)?.session ?? 0) + 1;
  if (first !== undefined) journal.append(first);
  const run = first?.run ?? newRunId();
  journal.append({ type: "opened", kind: "tasks", session, version, run, epochMs, file, options });
  for (const record of kept) journal.append(record);
  await journal.moveTo(folder.journalPath);
  await results.settle();
  const why = found === null ? null : describeEnd(folder.journalPath, found.end);
  if (why !== null && first !== undefined) owner.note(why);
  const startedAt = new Date(first?.epochMs ?? epochMs);
  const began = startedAt.toISOString().slice(0, 16).replace("T", " ");
  const told = first === undefined
    ? null
    : `Going on with the run of ${began} UTC in ${folder.path}: ` +
      `${taken.finished.size} tasks are finished`;
  return { ...taken, journal, run, offset: kept.at(-1)?.until ?? 0, startedAt, told };
}

/** results.jsonl of an earlier manager. */
class ResultFile {
  readonly #before: string;
  readonly #partial: string;
  #rewritten = false;

  constructor(private readonly path: string) {
    this.#before = `${path}.before.partial`;
    this.#partial = `${path}.partial`;
  }

  /**
   * Goes through the lines of which the journal is sure, and tells of those that are kept. What is
   * behind them is cut off; if others are not kept, the file is written anew (`rewrite`). Returns
   * the records of what is there then.
   */
  async keep(
    records: readonly ListRecord[],
    isKept: (line: ResultLine) => boolean,
    rewrite: boolean,
    take: (line: ResultLine, print: number) => void,
  ): Promise<LinesRecord[]> {
    await this.#undo(records);
    const kept: LinesRecord[] = [];
    const source = await Deno.open(this.path, { read: true, write: true, create: true });
    const target = rewrite
      ? await Deno.open(this.#partial, { write: true, create: true, truncate: true })
      : null;
    try {
      let [offset, until] = [0, 0];
      for (const record of records) {
        if (record.type === "stopped") break;
        if (record.type !== "lines") continue;
        const lines = await readLines(source, offset, record);
        if (lines === null) break;
        offset = record.until;
        const those = lines.flatMap((line, i) =>
          isKept(line) ? [{ line, print: record.prints[i]! }] : []
        );
        for (const { line, print } of those) take(line, print);
        if (target === null) kept.push(record);
        else if (those.length > 0) {
          const text = those.map(({ line }) => JSON.stringify(line) + "\n").join("");
          const bytes = new TextEncoder().encode(text);
          await new Pace().writeAll(target, bytes);
          until += bytes.length;
          const prints = those.map(({ print }) => print);
          kept.push({ type: "lines", until, sum: crc32(bytes), prints });
        }
      }
      if (target === null) await source.truncate(offset);
      else await target.sync();
    } finally {
      source.close();
      target?.close();
    }
    this.#rewritten = target !== null;
    if (this.#rewritten) {
      await Deno.remove(this.#before).catch(() => {});
      await Deno.link(this.path, this.#before);
      await Deno.rename(this.#partial, this.path);
    }
    return kept;
  }

  /** The journal is that of the file now. */
  async settle(): Promise<void> {
    if (this.#rewritten) await Deno.remove(this.#before).catch(() => {});
  }

  /** A rewriting that was not brought to its end: the journal may be that of the file before. */
  async #undo(records: readonly ListRecord[]): Promise<void> {
    if (await Deno.stat(this.#before).catch(() => null) === null) return;
    using file = await Deno.open(this.path, { read: true, write: true, create: true });
    let offset = 0;
    for (const record of records) {
      if (record.type !== "lines") continue;
      if (await readLines(file, offset, record) === null) {
        await Deno.rename(this.#before, this.path);
        return;
      }
      offset = record.until;
    }
  }
}

/** `null` if the file does not hold them as they were written. */
async function readLines(
  file: Deno.FsFile,
  offset: number,
  record: LinesRecord,
): Promise<ResultLine[] | null> {
  const bytes = new Uint8Array(Math.max(0, record.until - offset));
  await file.seek(offset, Deno.SeekMode.Start);
  for (let at = 0; at < bytes.length;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) return null;
    at += count;
  }
  return linesOf(record, bytes);
}
