/**
 * When a task is held to take its workers along. Workers come and go, and their tasks with them: of
 * a task that is lost time and again, the attempts of other tasks say whether chance explains it.
 * Where half of them are lost too, ten times in a row is nothing; where hardly any is, three times
 * is enough. So a pool of borrowed machines keeps its tasks, and a poisonous one costs a few
 * workers, not as many as there are.
 */
import { plural } from "../units.ts";

/** Chance explains a row of losses that is no rarer than this, for one task. */
export const chanceOfOneMax = 0.001;
/** The same for all attempts of a run together: of 100,000 tasks none is to be given up for luck. */
export const chanceOfAnyMax = 0.01;
/** One after the other, losses are not independent: workers go in bursts, and some hosts are bad. */
export const chanceOfLossMin = 0.03;
/** Two may be anything. */
export const lossesInARowMin = 3;

/** How attempts ended: their workers brought them to an end, or were lost with them. */
export interface Fates {
  readonly ended: number;
  /** Among those that ended. */
  readonly lost: number;
  /** On their workers, all together. */
  readonly ranMs: number;
}

export const noFates: Fates = { ended: 0, lost: 0, ranMs: 0 };

export function plusFates(a: Fates, b: Fates): Fates {
  return { ended: a.ended + b.ended, lost: a.lost + b.lost, ranMs: a.ranMs + b.ranMs };
}

export function minusFates(a: Fates, b: Fates): Fates {
  return { ended: a.ended - b.ended, lost: a.lost - b.lost, ranMs: a.ranMs - b.ranMs };
}

/**
 * Probability that an attempt like those of others is lost before it has run for `ranMs`: their
 * share, or, where this one runs longer than they do, what their losses per time make of that, but
 * no more than if nobody but the lost had run for as long.
 */
export function chanceOfLoss({ ended, lost, ranMs: othersMs }: Fates, ranMs: number): number {
  // One more than were seen, as none seen does not mean that there are none (Laplace).
  const share = (lost + 1) / (ended + 2);
  const inTime = othersMs > 0 ? 1 - Math.exp(-(lost + 1) * ranMs / othersMs) : 0;
  return Math.max(share, Math.min(inTime, (lost + 1) / (lost + 2)), chanceOfLossMin);
}

/** Losses in a row that such a chance does not explain. `attempts`: of all tasks of the run. */
export function lossesUnexplained(chance: number, attempts: number): number {
  const limit = Math.min(chanceOfOneMax, chanceOfAnyMax / Math.max(attempts, 1));
  // Not one more for the last bit of a logarithm.
  const count = Math.ceil(Math.log(limit) / Math.log(chance) - 1e-9);
  return Math.max(lossesInARowMin, count);
}

/** What is known of a task whose workers went away. */
export interface Losses {
  readonly inARow: number;
  readonly hosts: ReadonlySet<string>;
  /** Longest that an attempt had run then. */
  readonly ranMsMax: number;
  /** Why the last one went away. */
  readonly cause: string;
}

/** As the end of "the task failed: ". `retriesMax`: its own. */
export function describePoison(losses: Losses, others: Fates, retriesMax: number): string {
  const { inARow, hosts, cause } = losses;
  const named = [...hosts].slice(0, hostsNamedMax).join(", ");
  const more = hosts.size > hostsNamedMax ? ` and ${hosts.size - hostsNamedMax} more` : "";
  const compared = others.ended === 0
    ? "and no other task ran meanwhile that would tell whether others are lost too"
    : `while ${others.lost} of ${plural(others.ended, "attempt")} of other tasks were lost`;
  return `its worker went away ${inARow} times in a row, on ${named}${more}, at last because ` +
    `${cause}, ${compared}: it seems to take its worker along (a signal, or all of its memory). ` +
    "Run its command under `wqx monitor` to see, declare the memory that it needs, or set " +
    `\`retries\` above ${Math.max(retriesMax, inARow - 1)} to have it tried for longer`;
}

const hostsNamedMax = 5;
