/** Notebooks run cell by cell in a kernel of Jupyter, with coffea 0.7 and workers of wqx. */
import { type Coffea, coffeas, environmentFor, makeEvents, noCoffea } from "../support/coffea.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const runner = new URL("./run_cells.py", import.meta.url).pathname;
export const examples: string = new URL("../../examples/", import.meta.url).pathname;

const coffea: Coffea = coffeas.find(({ variable }) => variable === "WQX_TEST_COFFEA07")!;

/** What is missing for notebooks, or null. */
export function notebooksMissing(): string | null {
  if (coffea.python === "") return noCoffea(coffea.variable);
  const args = ["-c", "import nbclient, ipykernel"];
  const { success } = new Deno.Command(coffea.python, { args, stderr: "null" }).outputSync();
  return success ? null : `${coffea.python} has no nbclient or no ipykernel`;
}

export interface Cell {
  readonly id: string;
  readonly source: string;
  /** File that appears when it is time for Ctrl-C, or for the kernel to be killed. */
  readonly interrupt?: string;
  readonly kill?: string;
}

/** How a cell ended. */
export interface Ran {
  readonly cell: string;
  readonly seconds: number;
  /** All that it showed. */
  readonly text: string;
  /** Name of the exception that came out of it. */
  readonly error: string | null;
  readonly traceback: string;
  /** The kernel ended. */
  readonly dead?: true;
}

export interface Course {
  readonly ran: ReadonlyMap<string, Ran>;
  readonly stderr: string;
}

/** A bed with `events.root`, and what the examples have; notebooks run in its folder. */
export class NotebookBed implements AsyncDisposable {
  private constructor(readonly bed: TestBed, readonly env: Readonly<Record<string, string>>) {}

  static async create(events: number): Promise<NotebookBed> {
    const bed = await TestBed.create();
    await makeEvents(coffea, bed, events);
    await Deno.mkdir(bed.folder.join("notebook"));
    const { folder } = bed;
    await Deno.copyFile(
      `${examples}notebook/muon_memory.py`,
      folder.join("notebook/muon_memory.py"),
    );
    const env = {
      ...await environmentFor(coffea.python, bed),
      IPYTHONDIR: folder.join("jupyter/ipython"),
      JUPYTER_RUNTIME_DIR: folder.join("jupyter/runtime"),
      MPLCONFIGDIR: folder.join("jupyter/matplotlib"),
      WQX_PORT: String(freePort()),
      WQX_NOTEBOOK_PAUSE: "0.5",
    };
    return new NotebookBed(bed, env);
  }

  /** Runs all code cells, or as far as the kernel lives. */
  async run(
    cells: readonly Cell[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Course> {
    const notebook = {
      cells: cells.map(({ id, source, ...metadata }) => (
        { cell_type: "code", id, source, metadata, execution_count: null, outputs: [] }
      )),
      metadata: { kernelspec: { name: "python3", display_name: "Python 3" } },
      nbformat: 4,
      nbformat_minor: 5,
    };
    const path = await this.bed.folder.write("jupyter/run.ipynb", JSON.stringify(notebook));
    await using program = this.bed.start([runner, path], {
      command: [coffea.python],
      env: { ...this.env, ...env },
    });
    const code = await program.ended;
    if (code !== 0) throw new Error(`${runner} failed: ${program.stderr}${program.stdout}`);
    const ran = program.stdout.trim().split("\n").map((line): Ran => JSON.parse(line));
    return { ran: new Map(ran.map((one) => [one.cell, one])), stderr: program.stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed[Symbol.asyncDispose]();
  }
}

/** Code cells of examples/notebook.ipynb. */
export async function exampleCells(): Promise<Cell[]> {
  const { cells } = JSON.parse(await Deno.readTextFile(`${examples}notebook.ipynb`));
  return cells.filter((cell: { cell_type: string }) => cell.cell_type === "code")
    .map(({ id, source }: { id: string; source: string[] }) => ({ id, source: source.join("") }));
}

/** A test of notebooks in a folder with a file of `events` events, which leaves no process. */
export function notebookTest(
  name: string,
  events: number,
  fn: (notebooks: NotebookBed) => Promise<void>,
): void {
  const missing = notebooksMissing();
  Deno.test({
    ...needs(missing === null, missing ?? "", name),
    fn: async () => {
      await using notebooks = await NotebookBed.create(events);
      await fn(notebooks);
    },
  });
}

/** One that was free just now: of those that a notebook is told before it starts. */
function freePort(): number {
  using listener = Deno.listen({ port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
