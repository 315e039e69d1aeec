/** Processing: one chunk of one file through the user's processor. */
import { type Outcome, type ProcessJob, resultFileName } from "../core/analysis/job.ts";
import { encode } from "../core/accumulator.ts";
import { DataError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { Events, matchColumns } from "./events.ts";
import { TaskFailure } from "./failure.ts";
import { checked, loadProcessor } from "./processor.ts";
import { openTree, type TreeReader } from "./root/mod.ts";
import { writeWhole } from "./sandbox.ts";
import { callUser } from "./user_code.ts";

/**
 * Reads the processor's columns for the chunk, calls `process`, and leaves the accumulator in
 * result.acc. Throws DataError and TaskFailure.
 */
export async function processChunk(job: ProcessJob, module: string): Promise<Outcome> {
  const processor = await loadProcessor(module);
  await using tree = await openTree(job.open, job.tree);
  checkUnchanged(job, tree);
  const columns = await tree.read(columnNames(job, processor.columns, tree), job.start, job.stop);
  const { dataset, file, start, stop } = job;
  const metadata = { ...job.metadata, dataset, file, tree: job.tree, start, stop };
  const events = new Events(stop - start, metadata, columns);
  const returned = await callUser("process()", module, () => processor.process(events));
  await writeWhole(resultFileName, encode(checked(returned, "process()")));
  return { ok: true, kind: "process", events: stop - start, bytesRead: tree.bytesRead };
}

function checkUnchanged(job: ProcessJob, tree: TreeReader): void {
  if (tree.uuid === job.uuid && job.stop <= tree.entries) return;
  throw new TaskFailure({
    whose: "data",
    message: `${job.file} changed while the analysis ran: it was preprocessed with uuid ` +
      `${job.uuid}, now it has ${tree.uuid} and ${tree.entries} events; run the analysis again`,
  });
}

/** The columns to read, in the tree's order. Stars pass over what cannot be read as a column. */
function columnNames(job: ProcessJob, patterns: readonly string[], tree: TreeReader): string[] {
  const available = tree.columns()
    .filter(({ name, readable }) => readable || patterns.includes(name))
    .map(({ name }) => name);
  const { names, unmatched: [missing] } = matchColumns(patterns, available);
  if (missing === undefined) return names;
  throw new DataError(
    "no-branch",
    `Tree "${job.tree}" of ${job.file} has no column "${missing}", which the processor asks for` +
      didYouMean(missing, available),
  );
}
