/** Work Queue's tunables: what each changes here. */
import type { Limits } from "../scheduler/limits.ts";

/** What is tuned of a client's manager besides its limits. */
export interface Tuning {
  readonly steadyCount: number;
  /** Of the category `default`; `null`: off. */
  readonly stragglerFactor: number | null;
  readonly hungryMinimum: number;
  readonly hungryFactor: number;
  /** Nothing is dispatched before so many have been there, once. */
  readonly workersFirst: number;
}

/** Work Queue's own, but for what depends on its way of waiting. */
export const tuningDefault: Tuning = {
  steadyCount: 25,
  stragglerFactor: null,
  hungryMinimum: 10,
  hungryFactor: 2,
  workersFirst: 0,
};

export type Tuned =
  | { readonly kind: "tuning"; readonly change: Partial<Tuning> }
  | { readonly kind: "limits"; readonly change: Partial<Limits> }
  /** Known to Work Queue, of no meaning here. */
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown" };

/** Of no effect: wqx has no such waiting, and no such choice. */
const idle: ReadonlySet<string> = new Set([
  "resource-submit-multiplier",
  "asynchrony-multiplier",
  "foreman-transfer-timeout",
  "short-timeout",
  "long-timeout",
  "attempt-schedule-depth",
  "wait-retrieve-many",
  "proportional-resources",
  "force-proportional-resources",
  "proportional-whole-tasks",
  "force-proportional-resources-whole-tasks",
  "ramp-down-heuristic",
]);

export function tuned(name: string, value: number): Tuned {
  const tuning = (change: Partial<Tuning>): Tuned => ({ kind: "tuning", change });
  const limits = (change: Partial<Limits>): Tuned => ({ kind: "limits", change });
  switch (name) {
    case "category-steady-n-tasks":
      return tuning({ steadyCount: Math.max(1, Math.trunc(value)) });
    case "fast-abort-multiplier":
      return tuning({ stragglerFactor: value >= 1 ? value : null });
    case "hungry-minimum":
      return tuning({ hungryMinimum: Math.max(1, value) });
    case "hungry-minimum-factor":
      return tuning({ hungryFactor: Math.max(1, value) });
    case "wait-for-workers":
      return tuning({ workersFirst: Math.max(0, value) });
    case "keepalive-interval":
      // 0 turns it off.
      return limits({ keepaliveIntervalMs: value <= 0 ? Infinity : value * 1000 });
    case "keepalive-timeout":
      return limits({ keepaliveTimeoutMs: Math.max(0, value) * 1000 });
    case "min-transfer-timeout":
      return limits({ transferMsMin: Math.max(0, value) * 1000 });
    case "transfer-outlier-factor":
      return limits({ transferOutlierFactor: Math.max(1, value) });
    case "default-transfer-rate":
      return limits({ transferRateDefault: Math.max(1, value) });
    default:
      return { kind: idle.has(name) ? "nothing" : "unknown" };
  }
}
