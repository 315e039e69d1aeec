/** Sandboxes of tasks, and `wqx task` run in them as a worker would run it. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { processorFileName } from "../../core/analysis/job.ts";
import type { Job, Outcome, ProcessJob, TaskFault } from "../../core/analysis/job.ts";
import { type Accumulator, decode } from "../../core/accumulator.ts";
import { apiKey } from "../../analysis/processor.ts";
import * as api from "../../analysis/mod.ts";
import { bundleModule } from "../../manager/bundle.ts";
import type { TempFolder } from "./temp.ts";

/** The command line that starts wqx from its source. */
export const wqxCommand = [
  Deno.execPath(),
  "run",
  "-A",
  fileURLToPath(new URL("../../main.ts", import.meta.url)),
] as const;

/** 40,000 events of the demo. */
export const rootFile = fileURLToPath(
  new URL("../../examples/dimuon/data/dimuon_b.root", import.meta.url),
);

export interface TaskRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** `null` if the task left none. */
  readonly outcome: Outcome | null;
}

/** Writes job.json into the folder and runs `wqx task` there. */
export async function runTask(folder: string, job: Job | string): Promise<TaskRun> {
  const text = typeof job === "string" ? job : JSON.stringify(job);
  await Deno.writeTextFile(`${folder}/job.json`, text);
  const [program, ...args] = wqxCommand;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args, "task"],
    cwd: folder,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const written = await Deno.readTextFile(`${folder}/outcome.json`).catch(() => null);
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
    outcome: written === null ? null : JSON.parse(written) as Outcome,
  };
}

/** Runs a task that must fail in the way a user is told of, and returns what it tells. */
export async function failTask(folder: string, job: Job | string): Promise<TaskFault> {
  const { code, stderr, outcome } = await runTask(folder, job);
  if (code !== 1 || outcome === null || outcome.ok) {
    throw new Error(
      `Expected a failed task, got ${code} and ${JSON.stringify(outcome)}\n${stderr}`,
    );
  }
  if (!stderr.includes(outcome.error.message)) {
    throw new Error(`The task's output does not say "${outcome.error.message}":\n${stderr}`);
  }
  if (outcome.error.stack !== undefined && !stderr.includes(outcome.error.stack)) {
    throw new Error(`The task's output has not the stack of its outcome:\n${stderr}`);
  }
  return outcome.error;
}

/** Runs a task that must succeed, and returns its accumulator. */
export async function resultOf(folder: string, job: Job): Promise<Accumulator> {
  const { code, stderr } = await runTask(folder, job);
  if (code !== 0) throw new Error(`The task ended with exit code ${code}:\n${stderr}`);
  return decode(await Deno.readFile(`${folder}/result.acc`));
}

/**
 * A processor written into `folder` (analysis/processor.ts) and bundled into it (processor.js).
 * One in plain JavaScript that imports nothing can be written there as it is.
 */
export async function addProcessor(folder: TempFolder, source: string): Promise<string> {
  const path = await folder.write("analysis/processor.ts", source);
  const { code } = await bundleModule(path, { key: apiKey, names: Object.keys(api) });
  await folder.write(processorFileName, code);
  return path;
}

/** The job of a chunk of `rootFile`; events 100 to 300 unless told otherwise. */
export async function chunkJob(changes: Partial<ProcessJob> = {}): Promise<ProcessJob> {
  return {
    kind: "process",
    dataset: "simulation",
    file: basename(rootFile),
    open: rootFile,
    tree: "Events",
    uuid: await (uuid ??= rootFileUuid()),
    start: 100,
    stop: 300,
    metadata: {},
    processor: { module: processorFileName },
    ...changes,
  };
}

let uuid: Promise<string> | null = null;

async function rootFileUuid(): Promise<string> {
  const { openTree } = await import("../../analysis/root/mod.ts");
  await using tree = await openTree(rootFile, "Events");
  return tree.uuid;
}
