/**
 * The programs of batch systems (`sbatch`, `qstat`, `kubectl` …) as calls: what they printed comes
 * back, and all that can go wrong is a sentence. They speak English (LC_ALL=C) and end in time.
 */
import { messageOf } from "../../core/errors.ts";
import { findProgram } from "../../io/programs.ts";
import { BatchError } from "./batch_system.ts";

/** A queue of 100,000 jobs prints less; who prints more is no queue. */
const printedBytesMax = 64 * 1024 * 1024;

/** Schedulers that are busy answer within seconds; one that needs longer is down. */
const deadlineMsDefault = 60_000;

export interface ProgramCall {
  /** Program and arguments, handed over as they are. */
  readonly words: readonly string[];
  /** Further arguments, as a user wrote them for a shell. */
  readonly options?: string;
  /** Arguments after those. */
  readonly last?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

export interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface ProgramsOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** After which a program that has not ended is killed; 60 s. */
  readonly deadlineMs?: number;
}

/** Runs the programs of one batch system, with one environment and in one folder. */
export class Programs {
  readonly #cwd: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #deadlineMs: number;

  constructor(options: ProgramsOptions) {
    this.#cwd = options.cwd;
    const given = Object.entries(options.env).filter(([, value]) => value !== undefined);
    this.#env = { ...Object.fromEntries(given) as Record<string, string>, LC_ALL: "C" };
    this.#deadlineMs = options.deadlineMs ?? deadlineMsDefault;
  }

  /** Throws BatchError if one of these programs cannot be started. */
  require(...programs: readonly string[]): void {
    for (const program of programs) this.#find(program);
  }

  /** What it prints; a BatchError quotes what it complains of if it fails. */
  async run(call: ProgramCall, signal: AbortSignal): Promise<string> {
    const answer = await this.ask(call, signal);
    if (answer.exitCode !== 0) throw failure(call.words[0]!, answer);
    return answer.stdout;
  }

  /** As `run`, for programs whose exit code alone does not tell that they failed. */
  async ask(call: ProgramCall, signal: AbortSignal): Promise<Answer> {
    const [program = "", ...args] = call.words;
    const path = this.#find(program);
    const last = call.last ?? [];
    const options = call.options?.trim() ?? "";
    // A shell reads the user's options, so that quotes in them mean what they mean on a terminal.
    const words = options === ""
      ? [path, ...args, ...last]
      : ["/bin/sh", "-c", shellLine(options, last), program, path, ...args];
    if (signal.aborted) throw new BatchError(`"${program}" was not started: stopping`);
    let child: Deno.ChildProcess;
    try {
      child = new Deno.Command(words[0]!, {
        args: words.slice(1),
        cwd: this.#cwd,
        env: { ...this.#env, ...call.env },
        clearEnv: true,
        stdin: call.stdin === undefined ? "null" : "piped",
        stdout: "piped",
        stderr: "piped",
        detached: true, // a group of its own, to be killed as a whole
      }).spawn();
    } catch (error) {
      throw new BatchError(`Cannot start "${program}": ${messageOf(error)}`);
    }
    return await this.#hear(program, child, call.stdin, signal);
  }

  async #hear(
    program: string,
    child: Deno.ChildProcess,
    stdin: string | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    let trouble: string | null = null;
    const end = (why: string) => {
      trouble ??= why;
      killGroup(child.pid, "SIGKILL");
    };
    const seconds = this.#deadlineMs / 1000;
    const timer = setTimeout(
      () => end(`did not answer within ${seconds} s and was killed: is the batch system up?`),
      this.#deadlineMs,
    );
    const stopped = () => end("was stopped before it answered");
    signal.addEventListener("abort", stopped, { once: true });
    try {
      const hear = (from: ReadableStream<Uint8Array<ArrayBuffer>>) =>
        bounded(from, () => end(`printed more than ${printedBytesMax} bytes and was killed`));
      const [stdout, stderr, { code, signal: by }] = await Promise.all([
        hear(child.stdout),
        hear(child.stderr),
        child.status,
        stdin === undefined ? null : feed(child.stdin, stdin),
      ]);
      if (trouble !== null) throw new BatchError(`"${program}" ${trouble}`);
      if (by !== null) throw new BatchError(`"${program}" was ended by ${by}`);
      return { stdout, stderr, exitCode: code };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stopped);
    }
  }

  #find(program: string): string {
    const found = findProgram(program, this.#env.PATH ?? "");
    if ("path" in found) return found.path;
    throw new BatchError(`Cannot find "${program}": ${found.why}`);
  }
}

/** The sentence for a program that ended with an error. */
export function failure(program: string, answer: Answer): BatchError {
  const complaint = firstLine(answer.stderr) ?? firstLine(answer.stdout) ?? "it printed nothing";
  return new BatchError(`"${program}" failed with exit code ${answer.exitCode}: ${complaint}`);
}

/** The first line with something on it, cut to a length that fits into a sentence. */
export function firstLine(text: string): string | null {
  const line = text.split("\n").find((one) => one.trim() !== "")?.trim();
  return line === undefined ? null : line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

function shellLine(options: string, last: readonly string[]): string {
  const ending = last.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  return `exec "$@" ${options} ${ending}`;
}

async function bounded(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  tooMuch: () => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    if (bytes > printedBytesMax) tooMuch();
    else text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

async function feed(stdin: WritableStream<Uint8Array<ArrayBuffer>>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // It ended without reading all: its exit code tells.
  }
}

/** All processes of the group that `pid` leads. */
export function killGroup(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-pid, signal);
  } catch {
    // Gone meanwhile.
  }
}

/** A program that took a job, and did not say under which id. */
export function noIdFrom(program: string, said: string | null): BatchError {
  const what = said === null ? "it printed nothing" : `it printed "${said}"`;
  return new BatchError(`"${program}" did not tell the id of the job: ${what}`);
}
