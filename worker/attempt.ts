/** One attempt at a task on this worker: its sandbox, its process, and how its command is run. */
import { RunError } from "../core/errors.ts";
import type { TaskBlock } from "../core/protocol/messages.ts";
import type { Exit, WorkerEvent } from "../core/worker/actions.ts";
import type { Coprocesses } from "./coprocesses.ts";
import type { Held } from "./environments.ts";
import type { Guard } from "./guard.ts";
import type { Spawner, TaskProcess } from "./process.ts";
import type { Sandbox } from "./sandboxes.ts";
import { type WatchedTask, type Watcher, watchTask } from "./watched.ts";

/** As of a command that SIGKILL ended. */
const killedExitCode = 9;

/** The files and process of one attempt; its steps run one after the other. */
export interface Attempt {
  /** Its number now. */
  taskId: number;
  readonly sandbox: Sandbox;
  steps: Promise<void>;
  /** What runs of it, or waits. */
  process: Pick<TaskProcess, "kill"> | null;
  /** Where its command names one that this worker has unpacked. */
  environment: Held | null;
  forgotten: boolean;
}

/** What comes of a step of an attempt. */
export type StepEvent = Extract<WorkerEvent, { type: "staged_in" | "exited" | "staged_out" }>;

interface Means {
  readonly spawner: Spawner;
  readonly guard: Guard;
  readonly watcher: Watcher;
  /** What is run for a task's command. */
  readonly wrap: (command: string) => string;
}

/** Runs the command to its end; what it cannot be started for is what it prints. */
export async function runCommand(
  task: TaskBlock,
  attempt: Attempt,
  { spawner, guard, watcher, wrap }: Means,
  ownEnv: Record<string, string>,
): Promise<Exit> {
  const { folder, printedPath } = attempt.sandbox;
  const prepared = attempt.environment?.prepared;
  if (prepared?.kind === "failed") {
    Deno.writeTextFileSync(printedPath, `${prepared.why}\n`, { mode: 0o600 });
    return { exitCode: 1, wallMs: 0, measured: null };
  }
  const { command, env } = prepared ?? { command: wrap(task.command), env: ownEnv };
  let watched: WatchedTask | null = null;
  const ending = () => watched?.ending();
  const request = { command, cwd: folder, env, outputPath: printedPath, ending };
  try {
    const process = await spawner.spawn(request);
    attempt.process = process;
    const { group, exited } = process;
    guard.add(group);
    watched = watchTask(watcher, task, process, folder);
    if (attempt.forgotten) process.kill();
    const exit = await exited.finally(() => guard.remove(group));
    const measured = watched?.finish(exit.measured) ?? exit.measured;
    return { ...exit, measured };
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    watched?.finish(null);
    Deno.writeTextFileSync(printedPath, `${error.message}\n`, { mode: 0o600 });
    return { exitCode: 127, wallMs: 0, measured: null };
  }
}

/** A function of a coprocess; the text of its result is what the task prints. */
export async function callFunction(
  task: TaskBlock,
  attempt: Attempt,
  coprocesses: Coprocesses | null,
): Promise<Exit> {
  const { folder, number, printedPath } = attempt.sandbox;
  const calling = new AbortController();
  attempt.process = { kill: () => calling.abort() };
  const startedMs = performance.now();
  const input = readOr(`${folder}/infile`, new Uint8Array(0));
  const answer = coprocesses === null
    ? { why: "this worker has no coprocess" }
    : await coprocesses.call({ name: task.command, sandbox: number, input }, calling.signal);
  const failed = "why" in answer;
  const said = failed
    ? new TextEncoder().encode(`${task.command}: ${answer.why}\n`)
    : answer.output;
  Deno.writeFileSync(printedPath, said, { mode: 0o600 });
  const wallMs = performance.now() - startedMs;
  const exitCode = calling.signal.aborted ? killedExitCode : failed ? 1 : 0;
  return { exitCode, wallMs, measured: null };
}

function readOr(path: string, otherwise: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  try {
    return Deno.readFileSync(path);
  } catch {
    return otherwise;
  }
}
