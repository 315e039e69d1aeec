/** What an analysis needs before it starts: its processor, ready to be sent, and what that is. */
import { coffeaRunnerFileName } from "../core/analysis/job.ts";
import type { TaskContext } from "../core/analysis/items.ts";
import type { AnalysisSpec } from "../core/analysis/spec.ts";
import { UsageError } from "../core/errors.ts";
import { quoted } from "../core/shell_words.ts";
import type { Code } from "./analysis_journal.ts";
import { bundleProcessor } from "./bundle.ts";
import coffeaRunner from "./coffea_runner.py" with { type: "text" };
import { type RunOptions, upperFirst } from "./crew.ts";
import { type EnvironmentArchive, openArchive } from "./environments.ts";
import { wqxAsInput } from "./own_program.ts";
import { readProxy } from "./x509_proxy.ts";

/** Workers of wqx name their own in `WQX`; others are sent ours. `exec`: no shell has to wait. */
const taskCommand = 'exec "${WQX:-./wqx}" task';

export interface Prepared {
  /** Without the folder of partial results, which is the run's. */
  readonly context: Omit<TaskContext, "partsFolder">;
  readonly archive: EnvironmentArchive | null;
  readonly code: Code;
  /** The processor has a last word on the merged result. */
  readonly postprocess: boolean;
}

/** Throws a UsageError for what the user can mend, or the signal's reason. */
export async function prepareAnalysis(
  spec: AnalysisSpec,
  { wqx, stop, abort }: Pick<RunOptions<unknown>, "wqx" | "stop" | "abort">,
): Promise<Prepared> {
  const { processor, environment, x509Proxy } = spec;
  const signal = AbortSignal.any([stop, abort]);
  const bundle = processor.kind === "module"
    ? await bundleProcessor(processor.path, wqx, { signal })
    : null;
  const archive = environment === undefined ? null : await openArchive(environment);
  if (typeof archive === "string") throw new UsageError(upperFirst(archive));
  const context = {
    spec,
    processor: bundle,
    wqx: wqxAsInput(wqx),
    ...x509Proxy === undefined ? {} : { x509Proxy: await readProxy(x509Proxy) },
    ...processor.kind === "coffea"
      ? {
        coffeaRunner: new TextEncoder().encode(coffeaRunner),
        taskCommand: `exec ${quoted(processor.python)} ${coffeaRunnerFileName}`,
      }
      : { taskCommand },
  };
  const code: Code = {
    texts: {
      ...processor.kind === "module" && { [`The processor "${processor.path}"`]: bundle!.code },
      ...archive !== null && { [`The environment "${archive.path}"`]: archive.name },
    },
    paths: processor.kind === "module"
      ? []
      : [...processor.inputs, ...processor.kind === "coffea" ? [processor.path] : []],
  };
  // That of coffea is there always, and its last merge also tells the result in JSON.
  const postprocess = processor.kind === "coffea" || (bundle?.postprocess ?? false);
  return { context, archive, code, postprocess };
}
