/**
 * Whose fault it is decides what happens: a user's mistake gets a sentence and exit code 2,
 * a peer's costs it the connection, an input file's fails the task that read it,
 * and anything else is our bug and shows its stack.
 */

/** The user's mistake: wrong option, wrong file, wrong YAML. Shown without a stack; exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The run failed for a reason the user must hear about. Shown without a stack; exit code 1. */
export class RunError extends Error {
  override readonly name = "RunError";
}

/** The other end of a link broke the protocol; the link is closed, everyone else goes on. */
export class PeerProtocolError extends Error {
  override readonly name = "PeerProtocolError";
  constructor(message: string, readonly detail: { line?: string } = {}) {
    super(message);
  }
}

/** What is wrong with an input of a task; decides whether `--skip-bad-files` may leave it out. */
export type DataFault =
  | "unreachable" // no such file, host down, HTTP status
  | "not-root" // readable, but no ROOT file
  | "truncated" // shorter than its own header says, or a basket cut off
  | "corrupt" // does not decode
  | "no-tree" // the tree is not in the file
  | "no-branch" // a column asked for is not in the tree
  | "unsupported"; // a branch type that cannot be read as a column

/** An input file (or URL) cannot be read as asked. The message names the file and what would do. */
export class DataError extends Error {
  override readonly name = "DataError";
  constructor(readonly fault: DataFault, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Calls `parse`; a UsageError of it is thrown with the place of the wrong text before its words. */
export function naming<T>(place: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${place}: ${error.message}`);
    throw error;
  }
}

/** For the `default` of a switch over a union: a new variant fails to compile until it is handled. */
export function unreachable(value: never): never {
  throw new Error(`Not a known variant: ${JSON.stringify(value)}`);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
