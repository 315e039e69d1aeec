/**
 * How long do the cells of examples/notebook.ipynb take, with chunks of the two cells about memory
 * that last 5 s at least? Beside real Work Queue (ndcctools 7.4.14) with the cells of the notebook
 * that this one follows, of the same sizes, measured on a quiet machine of two cores.
 */
import { exampleCells, NotebookBed, notebooksMissing } from "../notebook/notebook.ts";
import { type BenchRow, median } from "./row.ts";

const events = 120_000;
const repeats = 3;

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
  const until = cells.findIndex(({ id }) => id === "dynamic");
  const taken = new Map<string, number[]>();
  for (let i = 0; i < repeats; i++) {
    await using notebooks = await NotebookBed.create(events);
    const { ran } = await notebooks.run(cells.slice(0, until + 1), { WQX_NOTEBOOK_PAUSE: "5" });
    for (const { cell, seconds, error, traceback } of ran.values()) {
      if (error !== null) throw new Error(`${cell}: ${traceback}`);
      taken.set(cell, [...taken.get(cell) ?? [], seconds]);
    }
  }
  return Object.entries(ofWorkQueue).map(([cell, real]) => {
    const value = median(taken.get(cell)!);
    return {
      name: `notebook: ${cell}`,
      value,
      unit: "s",
      ratio: { to: "faster than Work Queue", value: real / value },
    };
  });
}
