/** How the tasks of a run are sized: the mode of each category, and what watches the tasks. */
import type { ResourceRequest } from "../analysis/spec.ts";
import type { Rng } from "../env.ts";
import type { MonitorMode } from "../monitor/mode.ts";
import { requestOf } from "../resources.ts";
import type { CategorySettings } from "./category.ts";
import type { Mode } from "./mod.ts";

export interface Sizing {
  readonly mode: Mode;
  readonly monitor: MonitorMode;
}

/**
 * What is not said follows from the rest: modes that learn need measurements, and have to hold tasks
 * to what they were given.
 */
export function sizingOf(mode: Mode = "adaptive", monitor?: MonitorMode): Sizing {
  return { mode, monitor: monitor ?? (mode === "fixed" ? "measure" : "watchdog") };
}

/** Tasks of an analysis are much alike; coffea's number for Work Queue's `category-steady-n-tasks`. */
const steadyCount = 3;

/**
 * Of an analysis: what is declared is the ceiling of all categories. Work Queue's search for
 * throughput pays only where there are many tasks alike, which is processing, as coffea has it.
 */
export function analysisAllocations(
  declared: ResourceRequest,
  { mode }: Sizing,
  chance: Rng,
): ReadonlyMap<string, CategorySettings> {
  const max = mode === "fixed" ? requestOf(declared) : declared;
  const others = mode === "max-throughput" ? "max-seen" : mode;
  return new Map([
    ["default", { mode: others, max, chance, steadyCount }],
    ["processing", { mode, max, chance, steadyCount }],
  ]);
}
