/**
 * The command line of wqx: argv in, exit code out. 0 done, 1 failed, 2 wrong usage.
 * Nothing is imported before it is known what is asked for: `wqx task` runs once for every task
 * of an analysis, and its start counts in each.
 */
import { RunError, UsageError } from "./core/errors.ts";
import { restoreEnvironment } from "./io/self.ts";

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  restoreEnvironment();
  try {
    if (name === "task") return await (await import("./cmd/task.ts")).runTask(rest);
    const [{ runCommandLine }, { openTerminal }] = await Promise.all([
      import("./cmd/commands.ts"),
      import("./cmd/render.ts"),
    ]);
    return await runCommandLine(argv, openTerminal());
  } catch (error) {
    return report(error);
  }
}

/** Says what went wrong on stderr; a stack only where the mistake is ours. */
function report(error: unknown): number {
  const expected = error instanceof UsageError || error instanceof RunError;
  const text = expected ? error.message : `wqx broke; please report this:\n${Deno.inspect(error)}`;
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(text + "\n"));
  } catch {
    // Nobody reads stderr; the exit code still says it.
  }
  return error instanceof UsageError ? 2 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
