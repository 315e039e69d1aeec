/**
 * The folder of a run:
 *
 *   result.json     of an analysis: the merged accumulator
 *   result.pkl      of an analysis with coffea: the same, as Python's pickle
 *   NAME.svg        of an analysis: a picture per histogram
 *   results.jsonl   of a task list: a line per task
 *   report.json     what ran where, what failed, what is left out
 *   run/            of an analysis: pictures of how the run went
 *   .parts/         partial results while the run lasts; holds the pid of its manager
 */
import { dirname } from "node:path";
import { kill } from "node:process";
import { messageOf, UsageError } from "../core/errors.ts";
import { removeIfThere } from "../io/files.ts";

export const resultName = "result.json";
export const pickleName = "result.pkl";
export const resultsName = "results.jsonl";
export const reportName = "report.json";
export const courseName = "run";
const partsName = ".parts";
const pidName = "manager.pid";

export class RunFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /**
   * Makes the folder, or takes over that of an earlier run, whose files are removed. Throws a
   * UsageError for a folder that holds other things, or in which a run is under way.
   */
  static async open(path: string): Promise<RunFolder> {
    try {
      await Deno.mkdir(path, { recursive: true });
      const folder = new RunFolder(path);
      await folder.#takeOver();
      await Deno.mkdir(folder.partsPath, { recursive: true, mode: 0o700 });
      await Deno.writeTextFile(`${folder.partsPath}/${pidName}`, String(Deno.pid));
      return folder;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`Cannot write to the output folder ${path}: ${messageOf(error)}`);
    }
  }

  get partsPath(): string {
    return `${this.path}/${partsName}`;
  }

  /** Whole or not at all; a name may lead into a folder. */
  async write(name: string, text: string): Promise<void> {
    const path = `${this.path}/${name}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(`${path}.partial`, text);
    await Deno.rename(`${path}.partial`, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeIfThere(this.partsPath);
  }

  async #takeOver(): Promise<void> {
    const names = await this.#names();
    if (names.length === 0) return;
    const ours = names.filter((name) =>
      [resultName, pickleName, resultsName, reportName, partsName].includes(name) ||
      name.endsWith(".svg") ||
      name.endsWith(".partial")
    );
    if (ours.length < names.length || !names.some((n) => n === reportName || n === partsName)) {
      const other = names.find((name) => !ours.includes(name)) ?? names[0];
      throw new UsageError(
        `Cannot write to the output folder ${this.path}: it holds "${other}", which is not of an ` +
          "earlier run; choose another folder with --output",
      );
    }
    const pid = await Deno.readTextFile(`${this.partsPath}/${pidName}`).catch(() => "");
    if (pid !== "" && isAlive(Number(pid))) {
      throw new UsageError(
        `Cannot write to the output folder ${this.path}: the run of process ${pid} is using it; ` +
          "choose another folder with --output",
      );
    }
    for (const name of [...ours, courseName]) await removeIfThere(`${this.path}/${name}`);
  }

  /** What is in the folder; for the folder of pictures, what is in that. */
  async #names(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(this.path)) {
      if (name !== courseName || !isDirectory) names.push(name);
      else {
        for await (const inner of Deno.readDir(`${this.path}/${name}`)) {
          names.push(`${name}/${inner.name}`);
        }
      }
    }
    return names;
  }
}

function isAlive(pid: number): boolean {
  try {
    kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM"; // there, but not ours
  }
}
