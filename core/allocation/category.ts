/**
 * Tasks that are expected to behave alike: what they were seen to need, and what the next attempt
 * of one of them gets. A task that outgrows its box climbs a ladder: first allocation, a larger
 * one, all that its ceiling or the largest worker allows, and then it has failed for good.
 */
import { describeResources, type Resources } from "../resources.ts";
import { type Mode, newPolicy, type PolicySettings } from "./mod.ts";
import {
  type Amounts,
  amountsOf,
  type CategoryLimits,
  larger,
  type Learning,
  type Observation,
  override,
  type Policy,
  type ResourceName,
  type Wish,
} from "./policy.ts";

/** Attempts below the top of the ladder; the one after them gets all there is. */
const climbsMax = 4;

export interface CategorySettings extends PolicySettings, Partial<CategoryLimits> {
  readonly mode: Mode;
  /** What the first attempts get, until one has ended. */
  readonly guess?: Amounts;
}

/** A task that asks for its next attempt. */
export interface Asking {
  /** Of the task itself. */
  readonly declared: Amounts;
  /** Attempts that outgrew their boxes, in order; others do not count. */
  readonly outgrown: readonly Observation[];
  /** The largest of each resource on any connected worker (box.ts); `null` while there is none. */
  readonly largest: Resources | null;
}

export type Allocation =
  | { readonly kind: "wish"; readonly wish: Wish }
  /** Trying again is useless; `why` goes on after "the task failed: ". */
  | { readonly kind: "impossible"; readonly why: string };

export interface CategoryStatistics {
  /** Attempts that ended by themselves. */
  readonly completions: number;
  /** Attempts that outgrew their boxes. */
  readonly exhaustions: number;
  /** Largest measured; of attempts that outgrew their box without the resource that they outgrew. */
  readonly maxSeen: Amounts;
  /** Allocated and not used, over all attempts; what outgrew its box used nothing. */
  readonly wasted: { readonly coreMs: number; readonly memoryMbMs: number };
  readonly learning: Learning;
}

export class Category {
  readonly mode: Mode;
  readonly #policy: Policy;
  #limits: CategoryLimits = { max: {}, min: {} };
  #guess: Amounts = {};
  #completions = 0;
  #exhaustions = 0;
  #maxSeen: Amounts = {};
  #wastedCoreMs = 0;
  #wastedMemoryMbMs = 0;

  constructor(readonly name: string, settings: CategorySettings) {
    this.mode = settings.mode;
    this.#policy = newPolicy(settings.mode, settings);
    this.limit(settings);
  }

  /** Other bounds from now on; what was learned stays. */
  limit(
    { max = {}, min = {}, guess = {} }: Omit<CategorySettings, keyof PolicySettings | "mode">,
  ): void {
    this.#limits = { max, min };
    this.#guess = guess;
  }

  /**
   * Learns from an attempt that ended by itself or outgrew its box. Lost, killed and unstaged ones
   * say nothing of what a task needs.
   */
  observe(seen: Observation, largest: Resources | null): void {
    const cleaned = { ...seen, measured: withoutJitter(seen.measured) };
    const { measured, exceeded, box, wallMs } = cleaned;
    this.#policy.observe(cleaned, this.#limits, largest);
    const known = amountsOf((name) => name === exceeded ? undefined : measured[name]);
    this.#maxSeen = larger(this.#maxSeen, known);
    if (exceeded === null) this.#completions++;
    else this.#exhaustions++;
    const unused = (name: ResourceName) =>
      measured[name] === undefined
        ? 0
        : Math.max(0, box[name] - (exceeded === null ? measured[name] : 0));
    this.#wastedCoreMs += unused("cores") * wallMs;
    this.#wastedMemoryMbMs += unused("memoryMb") * wallMs;
  }

  /** What the next attempt of a task gets. Modes that draw lots draw at each call. */
  allocate(asking: Asking): Allocation {
    const { declared, outgrown, largest } = asking;
    const situation = { ...this.#limits, declared, largest };
    const last = outgrown.at(-1);
    if (last === undefined || last.exceeded === null) {
      const wish = this.#policy.first(situation);
      const learned = this.#completions + this.#exhaustions > 0;
      const request = learned
        ? this.#within(wish.request, asking)
        : override(override(wish.request, this.#guess), declared);
      const floor = this.#within(wish.floor, asking);
      return { kind: "wish", wish: this.#bounded({ ...wish, request, floor }, declared) };
    }
    const name = last.exceeded;
    const why = this.#whyFinal(last, name, declared, largest);
    if (why !== null) return { kind: "impossible", why };
    const wish = this.#bounded(this.#policy.next(situation, last), declared);
    const has = last.box[name];
    const ceiling = declared[name] ?? this.#limits.max[name] ?? Infinity;
    const top = Math.min(ceiling, largest?.[name] ?? Infinity);
    const proposed = Math.max(wish.request[name] ?? 0, wish.floor[name] ?? 0);
    // Nothing proposed is a share, which may be what was too little.
    const climbs = proposed > has && outgrown.length < climbsMax;
    const amount = climbs ? Math.min(proposed, top) : top < Infinity ? top : 2 * has;
    const request = override(wish.request, { [name]: amount });
    // Of the others, what this task has reached is known to be needed.
    const reached = amountsOf((other) => {
      const measured = last.measured[other];
      return other === name || measured === undefined
        ? undefined
        : Math.min(measured, last.box[other]);
    });
    const floor = larger(wish.floor, reached);
    return { kind: "wish", wish: this.#bounded({ ...wish, request, floor }, declared) };
  }

  /**
   * The wish of a task that has climbed, when other workers may be there than then. It waits for a
   * larger one only for what it has outgrown or reached: all else was a share of a worker that has
   * left, or cores, which are not enforced.
   */
  renewed({ request, floor, exact = false }: Wish, asking: Asking): Wish {
    return {
      request: this.#within(request, asking),
      floor: this.#within(floor, asking),
      exact,
    };
  }

  get statistics(): CategoryStatistics {
    return {
      completions: this.#completions,
      exhaustions: this.#exhaustions,
      maxSeen: this.#maxSeen,
      wasted: { coreMs: this.#wastedCoreMs, memoryMbMs: this.#wastedMemoryMbMs },
      learning: this.#policy.learning,
    };
  }

  /** Why no larger box will come, as a sentence goes on; `null` if one will. */
  #whyFinal(
    { box, measured }: Observation,
    name: ResourceName,
    declared: Amounts,
    largest: Resources | null,
  ): string | null {
    const show = (amount: number) => describeResources({ [name]: Math.ceil(amount) });
    const reached = measured[name] === undefined
      ? ""
      : ` (it had ${show(measured[name])} when it was stopped)`;
    const limit = declared[name] ?? this.#limits.max[name];
    if (limit !== undefined && box[name] >= limit) {
      const whose = declared[name] === undefined ? `the limit of "${this.name}"` : "its limit";
      return `it needs more than ${show(limit)}, ${whose}${reached}`;
    }
    if (this.mode === "fixed") {
      return `it needs more than ${show(box[name])}${reached}, ` +
        `and allocations of "${this.name}" are fixed`;
    }
    if (largest !== null && box[name] >= largest[name]) {
      return `it needs more than ${show(box[name])}, all that the largest worker has${reached}`;
    }
    return null;
  }

  /**
   * What was learned where there was a larger worker must not keep tasks waiting for another one:
   * the largest that there is may do. What was declared must, and so must what the task has
   * outgrown, or reached (except cores, which are not enforced).
   */
  #within(amounts: Amounts, { declared, outgrown, largest }: Asking): Amounts {
    if (largest === null) return amounts;
    return amountsOf((name) => {
      const amount = amounts[name];
      const said = declared[name] !== undefined || amount === this.#limits.max[name];
      if (amount === undefined || said) return amount;
      if (outgrown.some(({ exceeded }) => exceeded === name)) return amount;
      const reached = name === "cores"
        ? []
        : outgrown.map(({ measured, box }) => Math.min(measured[name] ?? 0, box[name]));
      return Math.min(amount, Math.ceil(Math.max(largest[name], ...reached)));
    });
  }

  /** Ceilings and floors of the category hold, except where the task itself says otherwise. */
  #bounded({ request, floor, exact = false }: Wish, declared: Amounts): Wish {
    const { max, min } = this.#limits;
    const bound = (amounts: Amounts) =>
      amountsOf((name) => {
        const amount = amounts[name];
        if (amount === undefined) return undefined;
        if (declared[name] !== undefined) return declared[name];
        const bounded = Math.min(amount, max[name] ?? Infinity);
        return name === "cores" ? bounded : Math.ceil(bounded);
      });
    return { request: bound(request), floor: bound(larger(floor, min)), exact };
  }
}

/** A tenth of a core more than a whole number is the monitor's, as in the originals. */
function withoutJitter(measured: Amounts): Amounts {
  const { cores } = measured;
  if (cores === undefined) return measured;
  return { ...measured, cores: Math.min(cores, Math.ceil(cores - 0.1)) };
}
