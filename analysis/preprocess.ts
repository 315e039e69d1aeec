/** Preprocessing: how many events a file has, and how to know it again. */
import type { Outcome, PreprocessJob } from "../core/analysis/job.ts";
import { openTree } from "./root/mod.ts";

/** Opens the file and reads nothing but its headers. Throws DataError. */
export async function preprocess(job: PreprocessJob): Promise<Outcome> {
  await using tree = await openTree(job.open, job.tree);
  return { ok: true, kind: "preprocess", entries: tree.entries, uuid: tree.uuid };
}
