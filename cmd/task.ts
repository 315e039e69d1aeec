/** `wqx task`, hidden: what a worker runs in a sandbox, and a manager to bundle a processor. */
import { faultOf, TaskFailure } from "../analysis/failure.ts";
import { outcomeLostExitCode, processorFileName, type TaskFault } from "../core/analysis/job.ts";
import { UsageError } from "../core/errors.ts";
import type { BundleReport } from "../manager/bundle.ts";

/**
 * Without arguments, runs the task of the working folder. `bundle PATH REPORT` bundles and checks
 * the processor at PATH for the manager's `bundleProcessor`. Returns the exit code.
 */
export async function runTask(args: string[]): Promise<number> {
  const [what, path, report] = args;
  if (what === undefined) return await runHere();
  if (what === "bundle" && path !== undefined && report !== undefined) {
    return await bundle(path, report);
  }
  throw new UsageError(
    `Cannot run "wqx task ${args.join(" ")}": workers run "wqx task" in a sandbox, ` +
      "and there is nothing to give it",
  );
}

async function runHere(): Promise<number> {
  const { runTaskHere } = await import("../analysis/task.ts");
  try {
    const outcome = await runTaskHere();
    if (outcome.ok) return 0;
    complain(outcome.error);
    return 1;
  } catch (error) {
    complain(faultOf(error));
    return outcomeLostExitCode;
  }
}

/** The manager shows outcome.json; this is for who reads the task's own output. */
function complain(fault: TaskFault): void {
  const stack = fault.stack === undefined ? "" : `\n${fault.stack}`;
  Deno.stderr.writeSync(new TextEncoder().encode(`wqx task: ${fault.message}${stack}\n`));
}

async function bundle(path: string, report: string): Promise<number> {
  const told = await bundleReport(path);
  await Deno.writeTextFile(report, JSON.stringify(told));
  return told.ok ? 0 : 1;
}

async function bundleReport(path: string): Promise<BundleReport> {
  const { bundleModule, defaultExportProblem } = await import("../manager/bundle.ts");
  const { apiKey, loadProcessor } = await import("../analysis/processor.ts");
  try {
    const names = Object.keys(await import("../analysis/mod.ts"));
    const bundled = await bundleModule(path, { key: apiKey, names });
    await Deno.writeTextFile(processorFileName, bundled.code);
    const { postprocess } = await loadProcessor(processorFileName);
    return { ok: true, ...bundled, postprocess: postprocess !== undefined };
  } catch (error) {
    if (error instanceof UsageError) return { ok: false, message: error.message };
    if (!(error instanceof TaskFailure)) throw error;
    const { stack, message } = error.fault;
    return {
      ok: false,
      message: stack === undefined
        ? await defaultExportProblem(path, message)
        : `${path}: ${message}\n${stack}`,
    };
  }
}
