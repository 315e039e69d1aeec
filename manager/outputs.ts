/** What a run leaves in its folder. */
import type { AllocationSummary } from "../core/allocation/report.ts";
import { type Accumulator, toJson } from "../core/accumulator.ts";
import type { FailureGroup } from "../core/analysis/ledger.ts";
import type { Missing } from "../core/analysis/missing.ts";
import type { CategorySummary, ChunkCounts } from "../core/analysis/progress.ts";
import type { ReportedTask } from "../core/analysis/report.ts";
import type { AnalysisRun, LeftOut, Stopped } from "../core/analysis/run.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import type { Course } from "../core/analysis/timeline.ts";
import { type Hist, isHist } from "../core/histogram/hist.ts";
import { coursePictures } from "../core/plot/course.ts";
import { renderSpec, renderSvg } from "../io/svg.ts";
import { courseName, pickleName, reportName, resultName, type RunFolder } from "./run_folder.ts";

export interface Session {
  /** ISO 8601. */
  readonly started: string;
  readonly wqx: string;
}

export interface RunOutputs {
  readonly spec: AnalysisSpec;
  readonly version: string;
  readonly startedAt: Date;
  readonly elapsedMs: number;
  readonly result: Accumulator | null;
  /** Of coffea: the file that holds the result as Python's pickle. */
  readonly pickle: string | null;
  /** What of the result is in the pickle only. */
  readonly untold: readonly string[];
  readonly events: { readonly processed: number; readonly total: number | null };
  readonly partial: boolean;
  readonly stopped: Stopped | null;
  readonly leftOut: readonly LeftOut[];
  readonly seen: AnalysisRun["seen"];
  readonly categories: readonly CategorySummary[];
  readonly allocations: readonly AllocationSummary[];
  readonly chunks: ChunkCounts;
  /** Read once, one after the other: there may be very many. */
  readonly tasks: Iterable<ReportedTask>;
  /** What is not in the result. */
  readonly missing: readonly Missing[];
  readonly failures: readonly FailureGroup[];
  /** The managers that the run had, the first one first. */
  readonly sessions: readonly Session[];
  readonly course: Course;
  readonly workers: readonly { readonly id: string; readonly host: string }[];
}

/**
 * Writes result, pictures and report; returns their paths, the result first. Pictures of the run
 * itself lie in a folder of their own and are not among them.
 */
export async function writeOutputs(folder: RunFolder, run: RunOutputs): Promise<string[]> {
  const names: string[] = [];
  const write = async (name: string, text: string) => {
    await folder.write(name, text);
    names.push(name);
  };
  if (run.pickle !== null) {
    // A copy: the run may yet be taken up again from where it lies.
    await Deno.copyFile(run.pickle, `${folder.path}/${pickleName}.partial`);
    await Deno.rename(`${folder.path}/${pickleName}.partial`, `${folder.path}/${pickleName}`);
    names.push(pickleName);
  }
  if (run.result !== null) {
    await write(resultName, JSON.stringify(resultJson(run)) + "\n");
    for (const [name, hist] of histsIn(run.result)) {
      await write(`${name}.svg`, await renderSvg(hist, { partial: run.partial, key: name }));
    }
  }
  for (const { name, spec } of coursePictures(run.course, run.spec.name)) {
    await folder.write(`${courseName}/${name}.svg`, await renderSpec(spec));
  }
  await folder.writePieces(reportName, reportPieces(run, names));
  names.push(reportName);
  return names.map((name) => `${folder.path}/${name}`);
}

function resultJson(run: RunOutputs): unknown {
  return {
    name: run.spec.name,
    wqx: run.version,
    partial: run.partial,
    events: run.events,
    ...run.partial ? { missing: run.missing } : {},
    result: toJson(run.result!),
  };
}

/** The tasks last, one by one. */
function* reportPieces(run: RunOutputs, outputs: readonly string[]): Generator<string> {
  const all = JSON.stringify(reportJson(run, outputs), null, 1);
  yield `${all.slice(0, all.lastIndexOf("\n}"))},\n "tasks": [`;
  let before = "\n  ";
  for (const task of run.tasks) {
    yield before + JSON.stringify(task);
    before = ",\n  ";
  }
  yield "\n ]\n}\n";
}

function reportJson(run: RunOutputs, outputs: readonly string[]): unknown {
  const { spec } = run;
  return {
    name: spec.name,
    wqx: run.version,
    state: run.stopped?.kind ?? (run.partial ? "partial" : "complete"),
    why: run.stopped?.kind === "failed" ? run.stopped.message : null,
    started: run.startedAt.toISOString(),
    seconds: run.elapsedMs / 1000,
    events: run.events,
    outputs,
    runPictures: courseName,
    ...run.sessions.length > 1 ? { sessions: run.sessions } : {},
    leftOut: run.leftOut,
    missing: run.missing,
    failures: run.failures,
    ...run.untold.length === 0 ? {} : { onlyInPickle: run.untold },
    categories: run.categories,
    allocations: run.allocations,
    chunks: run.chunks,
    workers: run.workers,
    files: spec.files.map(({ dataset, file, tree }, i) => {
      const seen = run.seen[i] ?? null;
      return { dataset, file, tree, entries: seen?.entries ?? null, uuid: seen?.uuid ?? null };
    }),
  };
}

/** Histograms with a file name each, made of the keys that lead to them. */
function histsIn(result: Accumulator): [string, Hist][] {
  const found: [string, Hist][] = [];
  const taken = new Set<string>();
  const look = (value: unknown, path: readonly string[]) => {
    if (isHist(value)) {
      const plain = path.join("-").replaceAll(/[^A-Za-z0-9._-]+/g, "_") || "histogram";
      let name = plain;
      for (let i = 2; taken.has(name); i++) name = `${plain}-${i}`;
      taken.add(name);
      found.push([name, value]);
    } else if (isPlainObject(value)) {
      for (const [key, inner] of Object.entries(value)) look(inner, [...path, key]);
    }
  };
  look(result, []);
  return found;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
}
