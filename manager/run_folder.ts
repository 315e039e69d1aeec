/**
 * The folder of a run:
 *
 *   result.json     of an analysis: the merged accumulator
 *   result.pkl      of an analysis with coffea: the same, as Python's pickle
 *   NAME.svg        of an analysis: a picture per histogram
 *   results.jsonl   of a task list: a line per task
 *   report.json     what ran where, what failed, what is left out
 *   run/            of an analysis: pictures of how the run went
 *   so-far/         of an analysis: what `--accumulate-now` made, a folder of the same form
 *   .parts/         while the run lasts, or is not finished: its journal, partial results, and the
 *                   pid of the manager, which holds a lock on that file
 */
import { dirname } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { describeEnd } from "../core/journal/frames.ts";
import { removeIfThere } from "../io/files.ts";
import { type Journaled, readJournal } from "./journal.ts";

export const resultName = "result.json";
export const pickleName = "result.pkl";
export const resultsName = "results.jsonl";
export const reportName = "report.json";
export const courseName = "run";
export const soFarName = "so-far";
const partsName = ".parts";
const pidName = "manager.pid";
const journalName = "journal";

export class RunFolder implements AsyncDisposable {
  /** The run is not finished: what is needed to go on with it stays. */
  unfinished = false;

  private constructor(readonly path: string, private readonly lock: Deno.FsFile) {}

  /**
   * Makes the folder, or takes over that of an earlier run, whose files are removed. Throws a
   * UsageError for a folder that holds other things, or in which a run is under way.
   */
  static async open(path: string): Promise<RunFolder> {
    const folder = await RunFolder.take(path);
    try {
      await folder.clear();
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw cannotWrite(path, error);
    }
    return folder;
  }

  /** The same, but what an earlier run left is still there. */
  static async take(path: string): Promise<RunFolder> {
    try {
      await Deno.mkdir(path, { recursive: true });
      await checkNames(path);
      const parts = `${path}/${partsName}`;
      await Deno.mkdir(parts, { recursive: true, mode: 0o700 });
      return new RunFolder(path, await lockOf(path, `${parts}/${pidName}`));
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  /**
   * What the journal of an unfinished run says; `null` if there is none. Throws a UsageError for
   * one that this wqx cannot read.
   */
  static async journaled(path: string): Promise<Journaled | null> {
    const file = journalPathOf(path);
    try {
      const journaled = await readJournal(file);
      if (journaled.end.kind !== "foreign") return journaled;
      throw new UsageError(`${describeEnd(file, journaled.end)}; --fresh starts the run anew`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      if (error instanceof UsageError) throw error;
      throw new UsageError(`Cannot read the journal of the run ${path}: ${messageOf(error)}`);
    }
  }

  /** Where a partial result of the run in a folder lies. */
  static partOf(path: string, name: string): string {
    return `${path}/${partsName}/${name}`;
  }

  /** Removes all that an earlier run left. */
  async clear(): Promise<void> {
    for (const name of [...await namesIn(this.path), courseName, soFarName]) {
      if (name !== partsName) await removeIfThere(`${this.path}/${name}`);
    }
    for await (const { name } of Deno.readDir(this.partsPath)) {
      if (name !== pidName) await removeIfThere(`${this.partsPath}/${name}`);
    }
  }

  get journalPath(): string {
    return journalPathOf(this.path);
  }

  get partsPath(): string {
    return `${this.path}/${partsName}`;
  }

  /** Whole or not at all; a name may lead into a folder. */
  async write(name: string, text: string): Promise<void> {
    await this.writePieces(name, [text]);
  }

  /** The same, of a text that is nowhere as a whole. */
  async writePieces(name: string, pieces: Iterable<string>): Promise<void> {
    const path = `${this.path}/${name}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(`${path}.partial`, ReadableStream.from(pieces));
    await Deno.rename(`${path}.partial`, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.unfinished) await removeIfThere(this.partsPath);
    this.lock.close();
  }
}

function journalPathOf(path: string): string {
  return `${path}/${partsName}/${journalName}`;
}

function cannotWrite(path: string, error: unknown): Error {
  if (error instanceof UsageError) return error;
  return new UsageError(`Cannot write to the output folder ${path}: ${messageOf(error)}`);
}

/** The kernel gives it back when the process is gone, however it went. */
async function lockOf(path: string, pidPath: string): Promise<Deno.FsFile> {
  const file = await Deno.open(pidPath, { read: true, write: true, create: true });
  try {
    if (await file.tryLock(true)) {
      // Whoever had it may have ended, and removed it, since it was opened.
      const there = await Deno.stat(pidPath).catch(() => null);
      if (there?.ino !== (await file.stat()).ino) {
        file.close();
        await Deno.mkdir(dirname(pidPath), { recursive: true, mode: 0o700 });
        return await lockOf(path, pidPath);
      }
      await file.truncate();
      await file.write(new TextEncoder().encode(String(Deno.pid)));
      return file;
    }
    const pid = await Deno.readTextFile(pidPath);
    throw new UsageError(
      `Cannot write to the output folder ${path}: the run of process ${pid} is using it; ` +
        "choose another folder with --output",
    );
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Throws a UsageError if something in the folder is not of a run. */
async function checkNames(path: string): Promise<void> {
  const names = await namesIn(path);
  if (names.length === 0) return;
  const ours = names.filter((name) =>
    [resultName, pickleName, resultsName, reportName, partsName].includes(name) ||
    name.endsWith(".svg") ||
    name.endsWith(".partial")
  );
  const ofRun = names.some((name) => name === reportName || name === partsName);
  if (ours.length === names.length && ofRun) return;
  const other = names.find((name) => !ours.includes(name)) ?? names[0];
  throw new UsageError(
    `Cannot write to the output folder ${path}: it holds "${other}", which is not of an ` +
      "earlier run; choose another folder with --output",
  );
}

/** What is in the folder; for the folder of pictures, what is in that. */
async function namesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (name === soFarName && isDirectory) continue;
    if (name !== courseName || !isDirectory) names.push(name);
    else {
      for await (const inner of Deno.readDir(`${path}/${name}`)) {
        names.push(`${name}/${inner.name}`);
      }
    }
  }
  return names;
}
