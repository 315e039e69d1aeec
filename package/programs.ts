/** Programs of others that environments are made with: run, heard, and ended with us. */
import { RunError } from "../core/errors.ts";
import { messageOf } from "../core/errors.ts";

export interface ProgramOptions {
  readonly cwd?: string;
  /** All of it, in place of ours. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface ProgramEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end; the signal kills it, and is thrown. Throws a RunError if it cannot be
 * started.
 */
export async function runProgram(
  [program = "", ...args]: readonly string[],
  { cwd, env, signal }: ProgramOptions,
): Promise<ProgramEnd> {
  signal.throwIfAborted();
  const ending = new AbortController();
  const end = () => ending.abort();
  signal.addEventListener("abort", end, { once: true });
  try {
    const command = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: ending.signal,
      ...cwd !== undefined && { cwd },
      ...env !== undefined && { env: { ...env }, clearEnv: true },
    });
    const { code, stdout, stderr } = await command.output();
    signal.throwIfAborted();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    signal.throwIfAborted();
    throw new RunError(`Cannot start ${program}: ${messageOf(error)}`);
  } finally {
    signal.removeEventListener("abort", end);
  }
}
