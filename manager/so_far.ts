/**
 * The partial results of a run, taken to be merged beside it. Its journal says which there are, and
 * links to them keep them while a manager that is still there goes on and removes them.
 */
import { restore, type RunMemo } from "../core/analysis/memo.ts";
import { specOf } from "../core/analysis/records.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { RunError } from "../core/errors.ts";
import { removeIfThere } from "../io/files.ts";
import { prepareAnalysis, type Prepared } from "./analysis_context.ts";
import {
  AnalysisJournal,
  memoOf,
  newRunId,
  nothingToResume,
  soundly,
  type TakenUp,
} from "./analysis_journal.ts";
import type { RunOptions } from "./crew.ts";
import { JournalFile } from "./journal.ts";
import { RunFolder, soFarName } from "./run_folder.ts";

/** How often a manager may merge results while they are taken. */
const triesMax = 10;

export interface SoFar {
  readonly spec: AnalysisSpec;
  readonly prepared: Prepared;
  readonly folder: RunFolder;
  readonly taken: TakenUp;
}

/** Throws a UsageError if there is no unfinished analysis in the folder. */
export async function takeSoFar(path: string, options: RunOptions<unknown>): Promise<SoFar> {
  const first = await memoIn(path);
  const spec: AnalysisSpec = {
    ...specOf(first.last.spec),
    output: `${path}/${soFarName}`,
    workers: { count: 1 },
    port: { low: 0, high: 0 },
  };
  const prepared = await prepareAnalysis(spec, options);
  const folder = await RunFolder.open(spec.output);
  try {
    const note = (line: string) => options.view.note(line);
    const memo = await linked(path, folder, spec, prepared.postprocess);
    const lost = (name: string) => note(`The partial result ${name} is missing or damaged`);
    const restored = await soundly(folder, spec, prepared.postprocess, memo, lost);
    const file = await JournalFile.open(folder.journalPath, {
      fsync: "never",
      owner: { note, paused: () => {} },
    });
    const { last: { session, identity } } = memo;
    // Workers of the run do not give their tasks to it.
    const of = { session: session + 1, run: newRunId(), identity };
    const journal = new AnalysisJournal(file, spec, of, folder);
    const { version } = options;
    journal.open({ version, identity, options: {} });
    return { spec, prepared, folder, taken: { journal, restored, memo, earlier: [] } };
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function memoIn(path: string): Promise<RunMemo> {
  const found = await RunFolder.journaled(path);
  // Failures stay what they are: they are part of what is missing.
  const memo = found === null ? null : memoOf(found.records, { skipBadFiles: true }, "resume");
  if (memo === null || memo.first.kind !== "analysis") throw nothingToResume(path);
  return memo;
}

/** What the run had at one moment, with links to all that is needed of it. */
async function linked(
  path: string,
  folder: RunFolder,
  spec: AnalysisSpec,
  postprocess: boolean,
): Promise<RunMemo> {
  const pathOf = (name: string) => `${folder.partsPath}/${name}`;
  for (let tries = 1;; tries++) {
    const memo = await memoIn(path);
    const { needed } = restore(spec, postprocess, memo, pathOf);
    let gone = false;
    for (const { part: { name } } of needed) {
      try {
        await removeIfThere(pathOf(name));
        await Deno.link(RunFolder.partOf(path, name), pathOf(name));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        gone = true; // merged in the meantime, or lost
      }
    }
    if (!gone || tries === triesMax) return memo;
    const isThere = await Deno.stat(RunFolder.partOf(path, "")).catch(() => null);
    if (isThere === null) throw new RunError(`The run in ${path} has just come to its end`);
  }
}
