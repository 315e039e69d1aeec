/** Tasks of known use, run as a worker runs them, under its monitor. */
import { fileURLToPath } from "node:url";
import type { Limits, Verdict } from "../../core/monitor/limits.ts";
import type { Summary } from "../../core/monitor/summary.ts";
import { findProgram } from "../../io/programs.ts";
import type { MonitorMode } from "../../core/monitor/mode.ts";
import { Monitor } from "../../worker/monitor.ts";
import { type Exit, openSpawner, type Spawner } from "../../worker/process.ts";
import { TempFolder } from "./temp.ts";

export const hasCompiler = ("path" in findProgram("gcc", Deno.env.get("PATH") ?? "")) &&
  Deno.build.os === "linux";
export const compilerReason = "the workloads are in C, and there is no gcc";

/** What came of one task. */
export interface Ran {
  readonly summary: Summary;
  readonly exit: Exit;
  /** CPU time as the processes tell it themselves. */
  readonly cpuMsTold: number;
  /** Verdicts of which the monitor told while it ran. */
  readonly told: readonly Verdict[];
}

/** Compiles `monitor_load.c`; its path. */
export async function compileLoad(folder: TempFolder): Promise<string> {
  const source = fileURLToPath(new URL("../shells/monitor_load.c", import.meta.url));
  const program = folder.join("load");
  const { success, stderr } = await new Deno.Command("gcc", {
    args: ["-O1", "-o", program, source, "-lpthread"],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return program;
}

/** A spawner, a monitor and the program of the workloads. */
export class LoadBed implements AsyncDisposable {
  #count = 0;

  private constructor(
    readonly folder: TempFolder,
    readonly spawner: Spawner,
    readonly monitor: Monitor,
    readonly program: string,
  ) {}

  static async create(): Promise<LoadBed> {
    const folder = await TempFolder.create();
    const program = await compileLoad(folder);
    return new LoadBed(folder, openSpawner({ owner: folder.path }), new Monitor(), program);
  }

  /** Runs words of the workload, or with `shell` any command. `FLAG` becomes a path of its own. */
  async run(
    words: string,
    options: { limits?: Limits; mode?: MonitorMode; shell?: boolean } = {},
  ): Promise<Ran> {
    const { limits = {}, mode = "watchdog", shell = false } = options;
    const name = `${this.#count++}`;
    const sandbox = this.folder.join(`t.${name}`), outputPath = this.folder.join(`out.${name}`);
    await Deno.mkdir(sandbox);
    const command = shell ? words : `exec ${this.program} ${words.replace("FLAG", "flag")}`;
    const env = { PATH: "/usr/bin:/bin" };
    const process = await this.spawner.spawn({ command, cwd: sandbox, env, outputPath });
    const told: Verdict[] = [];
    const task = this.monitor.watch({
      mode,
      limits,
      pid: process.pid,
      session: process.group,
      folders: [sandbox],
      onExceeded: (broken) => {
        told.push(...broken);
        process.kill();
      },
    });
    const exit = await process.exited;
    const summary = task.finish(exit.measured);
    const lines = (await Deno.readTextFile(outputPath)).trim().split("\n");
    return { summary, exit, told, cpuMsTold: lines.reduce((sum, line) => sum + Number(line), 0) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.spawner[Symbol.asyncDispose]();
    this.monitor[Symbol.dispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}
