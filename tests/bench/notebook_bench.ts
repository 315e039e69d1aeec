/**
 * How long do the cells of examples/notebook.ipynb take, with chunks of the two cells about memory
 * that last 5 s at least? One run, since most of its time is sleep. Beside it: real Work Queue with
 * the cells of the same names of the notebook that this one follows, on a quiet machine of two
 * cores; its chunks of the cells about memory sleep 5 s, too.
 */
import { exampleCells, NotebookBed, notebooksMissing } from "../notebook/notebook.ts";
import type { BenchRow } from "./row.ts";

const events = 120_000;

/** Seconds. */
const ofWorkQueue: Readonly<Record<string, number>> = {
  basic: 5.4,
  declared: 5.2,
  automatic: 15.4,
  splits: 110,
  dynamic: 126,
};

export async function notebookBench(): Promise<BenchRow[]> {
  if (notebooksMissing() !== null) return [];
  const cells = await exampleCells();
  const count = cells.findIndex(({ id }) => id === "dynamic") + 1;
  await using notebooks = await NotebookBed.create(events);
  const { ran } = await notebooks.run(cells.slice(0, count), { WQX_NOTEBOOK_PAUSE: "5" });
  for (const { cell, error, traceback } of ran.values()) {
    if (error !== null) throw new Error(`${cell}: ${traceback}`);
  }
  return Object.entries(ofWorkQueue).map(([cell, real]) => {
    const { seconds } = ran.get(cell)!;
    const ratio = { to: "that of Work Queue", value: seconds / real };
    return { name: `notebook, cell "${cell}"`, value: seconds, unit: "s", ratio };
  });
}
