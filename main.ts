/**
 * The command line of wqx: argv in, exit code out. 0 done, 1 failed, 2 wrong usage; under a name of
 * cctools' the exit codes are those of that program.
 * Nothing is imported before it is known what is asked for: `wqx task` runs once for every task
 * of an analysis, and its start counts in each.
 */
import { RunError, UsageError } from "./core/errors.ts";
import { restoreEnvironment, startedAs } from "./io/self.ts";

async function main(argv: readonly string[]): Promise<number> {
  restoreEnvironment();
  const program = await cctoolsProgram();
  try {
    return await (program === null ? runOwn(argv) : program.run(argv));
  } catch (error) {
    return report(error, program?.exitCodes ?? { wrongUsage: 2, failed: 1 });
  }
}

/** The program of cctools that wqx was called as, if it was called as one. */
async function cctoolsProgram() {
  const path = startedAs();
  if (path === null || /(^|\/)wqx$/.test(path)) return null;
  return (await import("./cmd/names.ts")).programNamed(path);
}

async function runOwn(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "task") return await (await import("./cmd/task.ts")).runTask(rest);
  const [{ runCommandLine }, { openTerminal }] = await Promise.all([
    import("./cmd/commands.ts"),
    import("./cmd/render.ts"),
  ]);
  return await runCommandLine(argv, openTerminal());
}

/** Says what went wrong on stderr; a stack only where the mistake is ours. */
function report(error: unknown, exitCodes: { wrongUsage: number; failed: number }): number {
  const usage = error instanceof UsageError, failed = error instanceof RunError;
  const text = usage || failed
    ? error.message
    : `wqx broke; please report this:\n${Deno.inspect(error)}`;
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(text + "\n"));
  } catch {
    // Nobody reads stderr; the exit code still says it.
  }
  return usage ? exitCodes.wrongUsage : failed ? exitCodes.failed : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
