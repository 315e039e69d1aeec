/** How the tasks of a run are sized: the mode of each category, and what watches the tasks. */
import type { AnalysisSpec } from "../analysis/spec.ts";
import type { Rng } from "../env.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import { requestOf } from "../resources.ts";
import type { CategorySettings } from "./category.ts";
import type { Mode } from "./mod.ts";

export interface Sizing {
  readonly mode: Mode;
  readonly monitor: MonitorMode;
  /** On workers of others, too, to which the monitor has to be sent. */
  readonly monitorForeign: boolean;
}

/**
 * What is not said follows from the rest: modes that learn need measurements, and have to hold tasks
 * to what they were given. Workers of others are asked only where the user asked: there it takes 0.1
 * s and 60 MB a task, and a wqx that can be started.
 */
export function sizingOf(mode: Mode = "adaptive", asked?: MonitorMode): Sizing {
  const monitor = asked ?? (mode === "fixed" ? "measure" : "watchdog");
  return { mode, monitor, monitorForeign: asked !== undefined && asked !== "off" };
}

/** Tasks of an analysis are much alike; coffea's number for Work Queue's `category-steady-n-tasks`. */
const steadyCount = 3;

/**
 * Of an analysis: what is declared is the ceiling of all categories. Work Queue's search for
 * throughput pays only where there are many tasks alike, which is processing, as coffea has it.
 * Chunks that grow towards a memory target get that much from the start: what small ones needed
 * says nothing of large ones.
 */
export function analysisAllocations(
  { resources: declared, sizing: { mode }, dynamicChunkSize }: Pick<
    AnalysisSpec,
    "resources" | "sizing" | "dynamicChunkSize"
  >,
  chance: Rng,
): ReadonlyMap<string, CategorySettings> {
  const targetMb = dynamicChunkSize?.memoryMb ?? null;
  const min = targetMb === null ? {} : { memoryMb: targetMb };
  const max = mode === "fixed" ? requestOf(declared) : declared;
  const others = mode === "max-throughput" ? "max-seen" : mode;
  return new Map([
    ["default", { mode: others, max, chance, steadyCount }],
    ["processing", { mode, max, min, chance, steadyCount }],
  ]);
}
