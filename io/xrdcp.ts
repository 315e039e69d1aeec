/** Copying whole files from XRootD servers by `xrdcp`, where its library cannot be had. */
import { findProgram } from "./programs.ts";
import { XrootdError, type XrootdFailure } from "./xrootd.ts";

/** The program, or why there is none. */
export function findXrdcp(): { readonly path: string } | { readonly why: string } {
  return findProgram("xrdcp", Deno.env.get("PATH") ?? "");
}

/** What the program says, the number of the protocol's error first. */
const failures: readonly (readonly [RegExp, XrootdFailure])[] = [
  [/\[3011\]|no such file/i, "not-found"],
  [/\[3010\]|permission denied/i, "denied"],
  [/\[3016\]|is a directory/i, "folder"],
  [/\[3030\]|auth failed|login failed/i, "not-authenticated"],
  [/invalid address/i, "no-host"],
  [/redirect limit/i, "redirects"],
  [/connection error|connection refused/i, "offline"],
  [/expired|timeout/i, "silent"],
  [/disconnect|socket|interrupted|\[3005\]/i, "lost"],
];

/**
 * Copies the file to `path`, over what is there. Throws XrootdError, or the signal's reason;
 * what was copied by then is left to the caller.
 */
export async function copyByXrdcp(
  program: string,
  url: string,
  path: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  signal?.throwIfAborted();
  let silent = false;
  const child = new Deno.Command(program, {
    args: ["--nopbar", "--silent", "--force", url, path],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  };
  let seenBytes = -1, seenMs = performance.now();
  const watch = setInterval(() => {
    const bytes = sizeOf(path);
    if (bytes !== seenBytes) [seenBytes, seenMs] = [bytes, performance.now()];
    if (performance.now() - seenMs < timeoutMs) return;
    silent = true;
    kill();
  }, Math.min(1000, timeoutMs));
  signal?.addEventListener("abort", kill);
  try {
    const { success, stderr } = await child.output();
    signal?.throwIfAborted();
    if (silent) throw new XrootdError("silent", null);
    if (success) return;
    const said = new TextDecoder().decode(stderr);
    const [, failure] = failures.find(([pattern]) => pattern.test(said)) ?? [null, "other"];
    throw new XrootdError(failure as XrootdFailure, null, lastLine(said));
  } finally {
    clearInterval(watch);
    signal?.removeEventListener("abort", kill);
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function lastLine(said: string): string {
  return said.trim().split("\n").at(-1)!.replace(/^Run: /, "");
}
