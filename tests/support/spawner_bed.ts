/** A spawner with a folder of its own, for tests of processes. */
import assert from "node:assert/strict";
import { listProcesses, readEnvironment, readStat } from "../../io/procfs.ts";
import { type Exit, openSpawner, type Spawner, type TaskProcess } from "../../worker/process.ts";
import { TempFolder } from "./temp.ts";
import { until } from "./until.ts";

/** A spawner and its folder; disposing of it checks that no process of its tasks is left. */
export class SpawnerBed implements AsyncDisposable {
  #count = 0;
  private constructor(readonly folder: TempFolder, readonly spawner: Spawner) {}

  /** `over` may wrap the spawner of tasks whose workspace is that folder. */
  static async create(
    exact: boolean,
    over: (plain: Spawner, folder: string) => Spawner = (plain) => plain,
  ): Promise<SpawnerBed> {
    const folder = await TempFolder.create();
    const spawner = over(openSpawner({ owner: folder.path, exact }), folder.path);
    assert.equal(spawner.unmeasured === null, exact && Deno.build.os === "linux");
    return new SpawnerBed(folder, spawner);
  }

  /** `below`: the folder in which it runs, from that of the bed. */
  async start(
    command: string,
    env: Record<string, string> = { PATH: "/usr/bin:/bin" },
    below = ".",
  ): Promise<Started> {
    const outputPath = this.folder.join(`output.${this.#count++}`);
    const cwd = Deno.realPathSync(this.folder.join(below));
    const process = await this.spawner.spawn({ command, cwd, env, outputPath });
    // A fork makes the file once it has begun.
    const output = () => readIfThere(outputPath);
    return { process, output, outputPath };
  }

  async run(
    command: string,
    env?: Record<string, string>,
    below?: string,
  ): Promise<Exit & { output: string }> {
    const { process, output } = await this.start(command, env, below);
    return { ...await process.exited, output: output() };
  }

  /** What still runs in a task's session or with a mark of this spawner. */
  left(session = -1): number[] {
    return listProcesses().filter((pid) => {
      const stat = readStat(pid);
      if (stat === null || stat.state === "Z") return false;
      const marked = readEnvironment(pid)?.some((e) => e.includes(`<${this.folder.path}#`));
      return marked || stat.session === session;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.spawner[Symbol.asyncDispose]();
    // What was killed may need a moment where there is much to do.
    await until(() => this.left().length === 0, { what: "the end of all", timeoutMs: 2000 });
    await this.folder[Symbol.asyncDispose]();
  }
}

export interface Started {
  readonly process: TaskProcess;
  readonly output: () => string;
  readonly outputPath: string;
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
