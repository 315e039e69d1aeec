/**
 * What a job leaves in the scratch folder: the script that it runs, how it goes (`start`, `alive`,
 * `stop` lines, as the wrappers of cctools write them) and the end of what its worker printed.
 */
import type { WorkerJob } from "./batch_system.ts";
import { quoted } from "../../core/shell_words.ts";
import { Leftovers } from "./leftovers.ts";

/** Seconds between two signs of life. */
export const aliveSeconds = 30;

/** Output kept of a worker that prints on and on: what is looked at is its end. */
const outputBytesMax = 1024 * 1024;
const outputBytesKept = 64 * 1024;

/** Of the output, in a sentence. */
const tailCharsMax = 400;
const tailLinesMax = 3;

/** Variables by which a worker takes its size (work_queue_worker, and ours). */
export const sizeVariables = ["CORES", "MEMORY", "DISK", "GPUS"];

/** Files of one batch system in one scratch folder. */
export class JobFiles {
  readonly #scratch: string;
  readonly #system: string;
  readonly leftovers: Leftovers;

  constructor(scratch: string, system: string) {
    this.#scratch = scratch;
    this.#system = system;
    this.leftovers = new Leftovers(scratch, [`${system}.status.`, `${system}.output.`]);
  }

  /** Name in the scratch folder of the script that jobs run. */
  get wrapper(): string {
    return `${this.#system}.wrapper`;
  }

  statusPath(id: string): string {
    return `${this.#scratch}/${this.#system}.status.${id}`;
  }

  outputPath(id: string): string {
    return `${this.#scratch}/${this.#system}.output.${id}`;
  }

  /** Writes the script, whole at once: another factory's job may be reading it. */
  async writeWrapper(idVariable: string): Promise<string> {
    const path = `${this.#scratch}/${this.wrapper}`;
    const text = wrapperScript(this.#scratch, this.#system, idVariable);
    if (await readOrNull(path) === text) return path;
    const draft = `${path}.${crypto.randomUUID()}`;
    await Deno.writeTextFile(draft, text, { mode: 0o755 });
    await Deno.chmod(draft, 0o755); // whatever the umask is
    await Deno.rename(draft, path);
    return path;
  }

  async progress(id: string): Promise<Progress | null> {
    const text = await readOrNull(this.statusPath(id));
    return text === null ? null : parseProgress(text);
  }

  /** The last lines that the worker printed, as the end of a sentence; empty if it was silent. */
  async lastWords(id: string): Promise<string> {
    return lastWords(await readOrNull(this.outputPath(id)) ?? "");
  }
}

/** How far a job has come, by its own account. */
export interface Progress {
  readonly startEpochS: number | null;
  readonly host: string | null;
  readonly aliveEpochS: number | null;
  /** `null`: it has not ended. */
  readonly exitCode: number | null;
}

export function parseProgress(text: string): Progress {
  let startEpochS = null, host = null, aliveEpochS = null, exitCode = null;
  for (const line of text.split("\n").slice(0, -1)) { // the last one may be half written
    const [word, first = "", second] = line.split(" ");
    const number = Number(first);
    if (!Number.isSafeInteger(number)) continue;
    if (word === "start") {
      startEpochS = aliveEpochS = number;
      host = second ?? null;
    } else if (word === "alive") aliveEpochS = number;
    else if (word === "stop") exitCode = number;
  }
  return { startEpochS, host, aliveEpochS, exitCode };
}

export function lastWords(output: string): string {
  const lines = output.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const text = lines.slice(-tailLinesMax).join(" / ");
  if (text === "") return "";
  const shown = text.length > tailCharsMax ? `…${text.slice(-tailCharsMax)}` : text;
  return `; it last printed: ${shown}`;
}

/** How a job that has an exit code ended, as a sentence's end. */
export function endedWords(exitCode: number): string {
  // A shell adds 128 to the number of the signal that ended its command.
  if (exitCode > 128 && exitCode < 165) return `its worker was ended by signal ${exitCode - 128}`;
  return `its worker ended with exit code ${exitCode}`;
}

/** The environment of a submission: what the wrapper needs, for systems that export all of it. */
export function jobEnvironment(job: WorkerJob): Record<string, string> {
  return { BATCH_JOB_COMMAND: commandWithEnvironment(job) };
}

/** The command as the wrapper evaluates it; it sets what the user set, even if it is a size. */
export function commandWithEnvironment(job: WorkerJob): string {
  const exports = Object.entries(job.env).map(([name, value]) =>
    `export ${name}=${quoted(value)}; `
  );
  return exports.join("") + job.command;
}

/**
 * In sh: runs a command in the background as `$worker`, hands on signals to it, and waits until it
 * has really ended; leaves its `$code`. A signal that comes before there is a worker waits for it.
 */
export function runWorker(command: string): string {
  return `worker=
early=
hand_on() {
  if [ -n "$worker" ]; then kill -s "$1" "$worker"; else early=$1; fi
}
for signal in TERM INT QUIT USR1 USR2 XCPU; do
  trap "hand_on $signal" "$signal" 2> /dev/null
done
${command} &
worker=$!
[ -z "$early" ] || kill -s "$early" "$worker"
wait "$worker"
code=$?
while kill -0 "$worker" 2> /dev/null; do
  wait "$worker"
  code=$?
done
`;
}

/**
 * The script of a job. It stays beside the worker: notes how that ends, passes signals on, so that a
 * removed job's worker can take its leave, and keeps the output from growing.
 */
export function wrapperScript(scratch: string, system: string, idVariable: string): string {
  return `#!/bin/sh
#$ -S /bin/sh
${idVariable === "JOB_ID" ? "" : `JOB_ID="\${${idVariable}}"\nJOB_ID="\${JOB_ID%%.*}"\n`}cd ${
    quoted(scratch)
  } || exit 1
unset ${sizeVariables.join(" ")}
status=${quoted(`${system}.status.`)}"$JOB_ID"
output=${quoted(`${system}.output.`)}"$JOB_ID"
: > "$output"
echo "start $(date +%s) $(uname -n)" > "$status"
(
  # $! is its last nap, which may have just begun: then it forgets TERM.
  trap '[ -z "$!" ] || kill -KILL "$!"; exit' TERM
  while kill -0 "$$"; do
    sleep ${aliveSeconds} &
    wait "$!"
    echo "alive $(date +%s)" >> "$status"
    if [ "$(wc -c < "$output")" -gt ${outputBytesMax} ]; then
      tail -c ${outputBytesKept} "$output" > "$output.end"
      cat "$output.end" > "$output"
      rm -f "$output.end"
    fi
  done
) > /dev/null 2>&1 &
alive=$!
${runWorker('/bin/sh -c "$BATCH_JOB_COMMAND" >> "$output" 2>&1')}kill "$alive" 2> /dev/null
echo "stop $code $(date +%s)" >> "$status"
exit "$code"
`;
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
