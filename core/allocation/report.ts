/** What people are told of how the tasks of a category are sized. */
import type { Category } from "./category.ts";
import { describeResources } from "../resources.ts";
import { formatSizeMb } from "../units.ts";
import { type Amounts, amountsOf } from "./policy.ts";

export interface AllocationSummary {
  readonly category: string;
  readonly mode: string;
  /** What the next new task asks for; what is absent follows in proportion. */
  readonly current: Amounts;
  readonly largestSeen: Amounts;
  readonly steady: boolean;
  /** Why it is steady, or is not yet. */
  readonly why: string;
  /** Attempts that outgrew what they were given. */
  readonly exhausted: number;
  /** Allocated and not used. */
  readonly wasted: { readonly coreHours: number; readonly memoryGbHours: number };
}

const msPerHour = 3_600_000;

/** "processing: 1 core, 512 MB memory each; largest seen 480 MB; steady after 25 tasks". */
export function describeAllocation(
  { category, current, largestSeen, steady, why, exhausted }: AllocationSummary,
): string {
  const { cores, memoryMb, gpus } = current;
  // Disk is rarely what matters, and the line is long enough.
  const shown = amountsOf((name) => ({ cores, memoryMb, gpus, diskMb: undefined })[name]);
  const parts = [
    `${category}: ${describeResources(shown)} each`,
    ...largestSeen.memoryMb === undefined
      ? []
      : [`largest seen ${formatSizeMb(Math.ceil(largestSeen.memoryMb))}`],
    steady ? `steady ${why}` : `learning, ${why}`,
    ...exhausted > 0 ? [`${exhausted} exhausted`] : [],
  ];
  return parts.join("; ");
}

export function summaryOf(category: Category, current: Amounts): AllocationSummary {
  const { learning, exhaustions, maxSeen, wasted } = category.statistics;
  return {
    category: category.name,
    mode: category.mode,
    current,
    largestSeen: maxSeen,
    steady: learning.steady,
    why: learning.why,
    exhausted: exhaustions,
    wasted: {
      coreHours: wasted.coreMs / msPerHour,
      memoryGbHours: wasted.memoryMbMs / 1024 / msPerHour,
    },
  };
}
