/**
 * The journal of an analysis in its run folder: what is written while it runs, and how a manager
 * takes up what another one left.
 */
import { isAbsolute } from "node:path";
import {
  changedFiles,
  differences,
  type Identity,
  identityOf,
  sha256,
  type Stamp,
} from "../core/analysis/identity.ts";
import type { Range } from "../core/analysis/chunks.ts";
import type { Item } from "../core/analysis/items.ts";
import { type Needed, restore, type Restored, RunMemo } from "../core/analysis/memo.ts";
import {
  type AnalysisRecord,
  type Got,
  ItemRecords,
  type KeptResult,
  keyOf,
  type Lesson,
  specRecordOf,
} from "../core/analysis/records.ts";
import type { ReportedTask } from "../core/analysis/report.ts";
import type { AnalysisRun, Stopped } from "../core/analysis/run.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { UsageError } from "../core/errors.ts";
import { describeEnd } from "../core/journal/frames.ts";
import { sha256Of } from "../io/hash.ts";
import { type FsyncMode, JournalFile, type JournalOwner, journalReader } from "./journal.ts";
import { RunFolder } from "./run_folder.ts";

/** Looked at together; the file system is asked by several threads. */
const lookedAtOnce = 64;

/** What to do about an earlier run in the folder. */
export interface Resuming {
  /**
   * `same`: go on with one that was not finished, else begin anew; `resume`: go on, and complain if
   * there is none; `missing`: the same, also with what was left out; `fresh`: begin anew.
   */
  readonly how: "same" | "resume" | "missing" | "fresh";
  readonly fsync: FsyncMode;
  /** What the command line said, for a resume that says nothing. */
  readonly options: Readonly<Record<string, unknown>>;
}

export const beginning: Resuming = { how: "same", fsync: "interval", options: {} };

/** What of an analysis lies in other files. */
export interface Code {
  /** By the words in which people are told of it. */
  readonly texts: Readonly<Record<string, Uint8Array | string>>;
  readonly paths: readonly string[];
}

/** What the result of the analysis depends on, as it is now. */
export async function identify(spec: AnalysisSpec, { texts, paths }: Code): Promise<Identity> {
  const code: Record<string, string> = {};
  for (const [name, text] of Object.entries(texts)) code[name] = sha256(text);
  for (const path of paths) code[`"${path}"`] = await sha256Of(path);
  const stamps: (Stamp | null)[] = [];
  for (let at = 0; at < spec.files.length; at += lookedAtOnce) {
    const some = spec.files.slice(at, at + lookedAtOnce);
    stamps.push(...await Promise.all(some.map(({ source }) => stampOf(source))));
  }
  return identityOf(spec, code, stamps);
}

/** Of a file of this machine; `null` for all others. */
export async function stampOf(source: string): Promise<Stamp | null> {
  if (!isAbsolute(source)) return null;
  const info = await Deno.stat(source).catch(() => null);
  return info === null ? null : { bytes: info.size, modifiedMs: info.mtime?.getTime() ?? 0 };
}

/** A run as it begins, or goes on. */
export interface TakenUp {
  readonly journal: AnalysisJournal;
  readonly restored: Restored | null;
  readonly memo: RunMemo | null;
  /** What earlier managers saw the end of. */
  readonly earlier: Iterable<EndedRecord>;
}

/**
 * Begins the run in its folder, or goes on with the one that is there. Throws a UsageError if that
 * cannot be, or must not because something has changed.
 */
export async function takeUp(
  folder: RunFolder,
  spec: AnalysisSpec,
  identity: Identity,
  postprocess: boolean,
  { resuming, version, owner }: {
    readonly resuming: Resuming;
    readonly version: string;
    readonly owner: JournalOwner;
  },
): Promise<TakenUp> {
  const { how, fsync, options } = resuming;
  const found = how === "fresh" ? null : await RunFolder.journaled(folder.path);
  const memo = found === null ? null : memoOf(found.records, spec, how);
  const goesOn = memo !== null && wantsToGoOn(folder.path, memo, identity, how);
  if (how !== "same" && how !== "fresh" && !goesOn) throw nothingToResume(folder.path);
  if (!goesOn) await folder.clear();
  const end = goesOn ? found!.end : null;
  const file = await JournalFile.open(folder.journalPath, {
    offset: end?.offset ?? 0,
    fsync,
    owner,
  });
  const session = goesOn ? memo.last.session + 1 : 1;
  const run = (goesOn ? memo.first.run : undefined) ?? newRunId();
  const journal = new AnalysisJournal(file, spec, { session, run, identity }, folder);
  journal.open({ version, identity, options });
  if (!goesOn) return { journal, restored: null, memo: null, earlier: [] };
  journal.holdsResults = memo.names.size > 0;
  for (const { place, what } of changedFiles(memo.last.identity, identity)) {
    journal.changed(place);
    if (memo.forgetFile(place)) owner.note(`${what}: all that was made of it is made again`);
  }
  const why = end === null ? null : describeEnd(folder.journalPath, end);
  if (why !== null) owner.note(why);
  const restored = await soundly(folder, spec, postprocess, memo, (name) => {
    owner.note(`The partial result ${name} is missing or damaged: what made it runs again`);
  });
  await removeOthers(folder, memo);
  return { journal, restored, memo, earlier: endedIn(found!.records as AnalysisRecord[]) };
}

export function memoOf(
  records: readonly unknown[],
  { skipBadFiles }: Pick<AnalysisSpec, "skipBadFiles">,
  how: Resuming["how"],
): RunMemo | null {
  // They are what this program wrote, or an earlier one of the same format.
  const retryFailures = how === "missing" || !skipBadFiles;
  return RunMemo.of(records as readonly AnalysisRecord[], retryFailures);
}

function wantsToGoOn(
  path: string,
  memo: RunMemo,
  identity: Identity,
  how: Resuming["how"],
): boolean {
  if (memo.first.kind !== "analysis") {
    throw new UsageError(
      `Cannot write to the output folder ${path}: a list of tasks in it is not finished; ` +
        "resume it, choose another folder with --output, or drop it with --fresh",
    );
  }
  // It ended as it was meant to: what it left out was to be left out.
  if (memo.closed !== null && how !== "missing") return false;
  const changed = differences(memo.last.identity, identity);
  if (changed.length === 0) return true;
  // Nothing is lost by beginning anew.
  if (memo.names.size === 0 && how === "same") return false;
  throw new UsageError(
    `Cannot go on with the run in ${path}: it is not the same analysis any more.\n` +
      changed.map((line) => `  ${line}\n`).join("") +
      "Undo that, or begin anew with --fresh, or elsewhere with --output",
  );
}

/** Nobody can guess it. */
export function newRunId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

export function nothingToResume(path: string): UsageError {
  return new UsageError(`There is no unfinished run in ${path}`);
}

/** As far as the run had come, with partial results that are as they were. */
export async function soundly(
  folder: Pick<RunFolder, "partsPath">,
  spec: AnalysisSpec,
  postprocess: boolean,
  memo: RunMemo,
  lost: (name: string) => void,
): Promise<Restored> {
  for (;;) {
    const pathOf = (name: string) => `${folder.partsPath}/${name}`;
    const restored = restore(spec, postprocess, memo, pathOf);
    const unsound: Needed[] = [];
    for (const needed of restored.needed) {
      if (!await isSound(pathOf(needed.part.name), needed.part)) unsound.push(needed);
    }
    if (unsound.length === 0) return restored;
    for (const one of unsound) {
      memo.forget(one);
      lost(one.part.name);
    }
  }
}

async function isSound(path: string, { bytes, digest }: KeptResult): Promise<boolean> {
  const info = await Deno.stat(path).catch(() => null);
  if (info === null || info.size !== bytes) return false;
  return await sha256Of(path).catch(() => "") === digest;
}

/** What tasks of earlier managers brought, and no record speaks of. */
async function removeOthers(folder: RunFolder, memo: RunMemo): Promise<void> {
  const names = memo.names;
  for await (const { name } of Deno.readDir(folder.partsPath)) {
    const ours = /\.(acc|json)$/.test(name) || name.endsWith(".partial");
    // Of coffea there is a .json beside the last one.
    const isKept = names.has(name.replace(/\.json$/, ".acc"));
    if (ours && !isKept) await Deno.remove(`${folder.partsPath}/${name}`);
  }
}

/** A manager of the run, as the report tells of it. */
export function sessionOf({ epochMs, version }: { epochMs: number; version: string }): {
  readonly started: string;
  readonly wqx: string;
} {
  return { started: new Date(epochMs).toISOString(), wqx: version };
}

export type EndedRecord = Extract<AnalysisRecord, { type: "ended" }>;

/** What a manager writes down of the run that it drives. */
export class AnalysisJournal implements AsyncDisposable {
  /** There are partial results that a run may go on with. */
  holdsResults = false;
  /** For the report. */
  opened = { started: "", wqx: "" };
  readonly #records: ItemRecords;
  #partsMax = Infinity;
  #stopped = false;

  constructor(
    private readonly file: JournalFile,
    private readonly spec: AnalysisSpec,
    private readonly of: {
      readonly session: number;
      /** By which workers know it. */
      readonly run: string;
      readonly identity: Identity;
    },
    private readonly folder: RunFolder,
  ) {
    this.#records = new ItemRecords(spec);
  }

  /** Names of partial results tell managers apart, so that none is written twice. */
  idOf(item: string): string {
    const { session } = this.of;
    return session === 1 ? item : `${item}.${session}`;
  }

  get run(): string {
    return this.of.run;
  }

  /** The same word for an item under each manager of the run, while what goes into it is the same. */
  keyOf(item: Item): string {
    const record = this.#records.of(item);
    const file = record.kind === "accumulate" ? null : this.of.identity.files[record.file]?.stamp;
    return sha256(JSON.stringify([keyOf(record), file])).slice(0, 32);
  }

  open({ version, identity, options }: {
    readonly version: string;
    readonly identity: Identity;
    readonly options: Resuming["options"];
  }): void {
    const epochMs = Date.now();
    this.opened = sessionOf({ epochMs, version });
    this.#append({
      type: "opened",
      kind: "analysis",
      session: this.of.session,
      run: this.of.run,
      version,
      epochMs,
      spec: specRecordOf(this.spec),
      identity,
      options,
    });
  }

  /** The file is not what it was. */
  changed(place: number): void {
    this.#append({ type: "changed", file: place });
  }

  /** It is about to become a task. */
  submitted(run: AnalysisRun, item: Item): void {
    this.#noteSplits(run);
    if (item.kind !== "process") return;
    this.#append({ type: "cut", file: this.#records.placeOf(item.file), range: item.range });
  }

  /** The partial result of a task: resolves when a record may speak of it. */
  async keep(name: string): Promise<KeptResult> {
    const path = `${this.folder.partsPath}/${name}`;
    await this.file.keep(path);
    const { size } = await Deno.stat(path);
    this.holdsResults = true;
    return { name, bytes: size, digest: await sha256Of(path) };
  }

  /** The run was told of it just now. */
  ended(
    run: AnalysisRun,
    item: Item,
    got: Got,
    task: ReportedTask,
    lessons: readonly Lesson[],
  ): EndedRecord {
    if (run.stopped !== null) this.stopped(run.stopped);
    const cut = this.#noteSplits(run);
    const isCut = (item.kind === "process" && cut.has(item.range)) || run.isTakenUp(item);
    if (run.partsMax < this.#partsMax) {
      this.#partsMax = run.partsMax;
      this.#append({ type: "narrowed", partsMax: run.partsMax });
    }
    const record: EndedRecord = {
      type: "ended",
      item: this.#records.of(item),
      got: isCut ? { kind: "nothing" } : got,
      task,
      category: task.category,
      lessons,
    };
    this.#append(record);
    return record;
  }

  /** What comes after it is of no use to a run that goes on. */
  stopped(why: Stopped): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#append({ type: "stopped", why });
  }

  /** All records so far, and what they speak of, are as safe as was asked for. */
  async settled(): Promise<void> {
    await this.file.settled();
  }

  /** Tasks of all managers, one after the other; all must be written. */
  async tasks(): Promise<Iterable<ReportedTask>> {
    await this.file.written();
    const reader = await journalReader(this.folder.journalPath);
    return tasksIn(reader.rest() as Iterable<AnalysisRecord>);
  }

  /** The run ended as it was meant to. */
  close(state: "complete" | "partial"): void {
    this.#append({ type: "closed", state });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file[Symbol.asyncDispose]();
  }

  #append(record: AnalysisRecord): void {
    this.file.append(record);
  }

  /** Ranges that were cut again. */
  #noteSplits(run: AnalysisRun): Set<Range> {
    const splits = run.takeSplits();
    for (const split of splits) this.#append(this.#records.splitOf(split));
    return new Set(splits.map(({ range }) => range));
  }
}

function* tasksIn(records: Iterable<AnalysisRecord>): Generator<ReportedTask> {
  for (const { task } of endedIn(records)) yield task;
}

function* endedIn(records: Iterable<AnalysisRecord>): Generator<EndedRecord> {
  for (const record of records) if (record.type === "ended") yield record;
}
