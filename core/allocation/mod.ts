/** The table of allocation policies: a new one is a file beside this one and a row here. */
import type { Rng } from "../env.ts";
import { UsageError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { AdaptivePolicy } from "./adaptive.ts";
import { BucketingPolicy } from "./bucketing.ts";
import { exhaustiveBuckets, exhaustiveBucketsInOrder } from "./exhaustive_bucketing.ts";
import { FixedPolicy } from "./fixed.ts";
import { greedyBuckets, greedyBucketsInOrder } from "./greedy_bucketing.ts";
import { maxSeen } from "./max_seen.ts";
import { maxThroughput } from "./max_throughput.ts";
import { minWaste } from "./min_waste.ts";
import type { Policy } from "./policy.ts";
import { steadyCountDefault, SteadyPolicy } from "./steady.ts";

export interface PolicySettings {
  /** Completions without a new maximum before Work Queue's formulas are used. */
  readonly steadyCount?: number;
  /** For the policies that draw lots. */
  readonly chance: Rng;
}

interface PolicyRow {
  /** For help texts. */
  readonly says: string;
  make(settings: PolicySettings): Policy;
}

function steady(formula: typeof maxSeen, says: string): PolicyRow {
  const make = ({ steadyCount = steadyCountDefault }: PolicySettings) =>
    new SteadyPolicy(formula, steadyCount);
  return { says, make };
}

export const policies = {
  "adaptive": {
    says: "the ladder of allocations with the least expected waste, from what was seen lately",
    make: () => new AdaptivePolicy(),
  },
  "fixed": { says: "what is declared; nothing is learned", make: () => new FixedPolicy() },
  "max-seen": steady(maxSeen, "the largest seen so far"),
  "min-waste": steady(minWaste, "least expected waste, then the largest seen"),
  "max-throughput": steady(maxThroughput, "most expected tasks per time, then the largest seen"),
  "greedy-bucketing": {
    says: "buckets cut where it costs least, drawn by their weights",
    make: ({ chance }) => new BucketingPolicy(greedyBuckets, chance),
  },
  "exhaustive-bucketing": {
    says: "the cheapest of one to ten even buckets, drawn by their weights",
    make: ({ chance }) => new BucketingPolicy(exhaustiveBuckets, chance),
  },
  "det-greedy-bucketing": {
    says: "greedy buckets, the smallest first",
    make: () => new BucketingPolicy(greedyBucketsInOrder, null),
  },
  "det-exhaustive-bucketing": {
    says: "exhaustive buckets, the smallest first",
    make: () => new BucketingPolicy(exhaustiveBucketsInOrder, null),
  },
} as const satisfies Record<string, PolicyRow>;

export type Mode = keyof typeof policies;

export const modes = Object.keys(policies) as readonly Mode[];

/** What the originals and coffea call them too. */
const aliases: ReadonlyMap<string, Mode> = new Map([["auto", "max-seen"], ["max", "max-seen"]]);

export function newPolicy(mode: Mode, settings: PolicySettings): Policy {
  const row: PolicyRow = policies[mode];
  return row.make(settings);
}

/** A mode or an alias as people write it, `min_waste` included; throws a UsageError otherwise. */
export function parseMode(text: string): Mode {
  const word = text.trim().toLowerCase().replaceAll("_", "-");
  const mode = aliases.get(word) ?? modes.find((name) => name === word);
  if (mode !== undefined) return mode;
  const known = [...modes, ...aliases.keys()];
  const hint = didYouMean(word, known) || `: it can be ${known.join(", ")}`;
  throw new UsageError(`"${text}" is not an allocation mode${hint}`);
}
