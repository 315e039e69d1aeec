/** A terminal that keeps what is written to it. */
import { streamOf, type Terminal } from "../../cmd/render.ts";

export interface Recorded extends Terminal {
  /** All that was written to stdout. */
  out(): string;
  /** All that was written to stderr. */
  err(): string;
}

/** Not a terminal, in UTF-8, unless something else is said. */
export function recordingTerminal(
  options: { columns?: number; isTTY?: boolean; env?: Record<string, string> } = {},
): Recorded {
  const { columns = 80, isTTY = false, env = { LANG: "C.UTF-8" } } = options;
  const decoder = new TextDecoder();
  const written = { stdout: "", stderr: "" };
  const stream = (name: keyof typeof written) => {
    const writeSync = (bytes: Uint8Array) => {
      written[name] += decoder.decode(bytes);
      return bytes.length;
    };
    const write = (bytes: Uint8Array) => Promise.resolve(writeSync(bytes));
    const made = streamOf({ isTerminal: () => isTTY, writeSync, write }, env);
    return Object.defineProperty(made, "columns", { value: columns });
  };
  return {
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    out: () => written.stdout,
    err: () => written.stderr,
  };
}
