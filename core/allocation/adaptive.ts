/**
 * The policy of wqx: a forecast (forecast.ts) for each resource, from which every attempt gets the
 * step with the least expected cost. Before anything is known, a task gets one core and what goes
 * with it, so that the first ones run side by side.
 */
import type { Resources } from "../resources.ts";
import { Forecast, needsMin } from "./forecast.ts";
import type { FailureCosts } from "./ladder.ts";
import {
  amountsOf,
  type CategoryLimits,
  type Learning,
  type Observation,
  override,
  type Policy,
  type ResourceName,
  type Situation,
  type Wish,
} from "./policy.ts";

/**
 * Memory is what workers run out of; a failed try for another resource wastes the memory too.
 * A failed try of memory also holds cores, and a later one delays the result further.
 */
const learned: Partial<Record<ResourceName, FailureCosts>> = {
  cores: { first: 2, later: 2 },
  memoryMb: { first: 0.4, later: 1.5 },
  diskMb: { first: 2, later: 2 },
};

/**
 * Less is not given of what was learned: it would make room for nobody, and a task that needs a
 * little more than the last one would be ended for it. MB.
 */
const least: Partial<Record<ResourceName, number>> = { memoryMb: 100, diskMb: 100 };

export class AdaptivePolicy implements Policy {
  readonly #forecasts = new Map<ResourceName, Forecast>();
  #completions = 0;

  constructor() {
    for (const [name, failureCosts] of Object.entries(learned)) {
      this.#forecasts.set(name as ResourceName, new Forecast(failureCosts));
    }
  }

  get learning(): Learning {
    const missing = needsMin - this.#completions;
    return missing > 0
      ? { steady: false, why: `${missing} more ${missing === 1 ? "task" : "tasks"} to go` }
      : { steady: true, why: `after ${this.#completions} tasks` };
  }

  observe(seen: Observation, _limits: CategoryLimits, largest: Resources | null): void {
    const { task, measured, box, wallMs, exceeded } = seen;
    if (exceeded === null) this.#completions++;
    for (const [name, forecast] of this.#forecasts) {
      const value = measured[name] ?? 0;
      if (exceeded === name) forecast.outgrew(task, box[name], wallMs);
      else if (exceeded === null && value > 0) {
        forecast.ended(task, value, wallMs, largest?.[name] ?? Infinity);
      }
    }
  }

  first(task: Situation): Wish {
    const { declared, max, largest } = task;
    const forecast = amountsOf((name) => {
      const amount = this.#forecasts.get(name)?.first(largest?.[name] ?? Infinity);
      return amount === undefined ? undefined : Math.max(amount, least[name] ?? 0);
    });
    const known = override(forecast, declared);
    const base = Object.keys(known).length === 0 ? override({ cores: 1 }, max) : max;
    return { request: override(base, known), floor: {}, exact: true };
  }

  /** The resource that was outgrown climbs; of the others there was enough. */
  next(task: Situation, { box, exceeded }: Observation): Wish {
    const request = amountsOf((name) => {
      const forecast = this.#forecasts.get(name);
      if (name !== exceeded) return box[name];
      return forecast?.next(box[name], task.largest?.[name] ?? Infinity);
    });
    return { request: override(request, task.declared), floor: {}, exact: true };
  }
}
