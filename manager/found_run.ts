/** An unfinished run in its folder: what it was a run of. */
import { z } from "zod";
import type { AnalysisRecord } from "../core/analysis/records.ts";
import { specOf } from "../core/analysis/records.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { nothingToResume } from "./analysis_journal.ts";
import { RunFolder } from "./run_folder.ts";
import { definedOnly, type Overrides } from "./run_options.ts";

export type FoundRun =
  | {
    readonly kind: "analysis";
    readonly spec: AnalysisSpec;
    readonly options: Record<string, unknown>;
  }
  | {
    readonly kind: "tasks";
    /** Absolute; `-`: they came on stdin. */
    readonly file: string;
    readonly options: Record<string, unknown>;
  };

/** What both kinds of runs begin their journals with. */
const opened = z.object({
  type: z.literal("opened"),
  kind: z.enum(["analysis", "tasks"]),
  file: z.string().optional(),
  options: z.record(z.string(), z.unknown()),
});

/** Throws a UsageError if there is no unfinished run in the folder. */
export async function findRun(path: string): Promise<FoundRun> {
  const journaled = await RunFolder.journaled(path);
  const record = journaled?.records.findLast((one) => opened.safeParse(one).success);
  if (record === undefined) throw nothingToResume(path);
  const { kind, file = "-", options } = opened.parse(record);
  if (kind === "tasks") return { kind, file, options };
  const { spec } = record as Extract<AnalysisRecord, { type: "opened" }>;
  return { kind, spec: { ...specOf(spec), output: path }, options };
}

/** The analysis with what the command line says now; what its result depends on is seen later. */
export function overrideSpec(spec: AnalysisSpec, overrides: Overrides): AnalysisSpec {
  const { workers, port, retries, cores, memoryMb, diskMb, gpus, chunkSize, chunksMax } = overrides;
  const resources = { ...spec.resources, ...definedOnly({ cores, memoryMb, diskMb, gpus }) };
  return {
    ...spec,
    ...definedOnly({ port, retries, chunkSize, chunksMax }),
    resources,
    skipBadFiles: overrides.skipBadFiles || spec.skipBadFiles,
    workers: workers === undefined
      ? spec.workers
      : workers === "none"
      ? null
      : { ...spec.workers, count: workers },
  };
}
