/** Entries of a list that did not succeed, by cause: for the report, and for people. */
import { causeOf } from "../analysis/ledger.ts";
import type { ResultLine } from "./result.ts";

export interface FailedTasks {
  /** In the words of the first. */
  readonly cause: string;
  readonly count: number;
  /** On which they failed, up to {@link hostsMax}; more of them are no lead. */
  readonly hosts: readonly string[];
  /** Ids, of the first; each attempt at them is in results.jsonl. */
  readonly tasks: readonly number[];
}

const hostsMax = 10;
/** Ids that are listed of one cause. */
const tasksMax = 1000;
/** Causes that are told apart; what else there is counts as one. */
const causesMax = 1000;

interface Group {
  readonly cause: string;
  count: number;
  readonly hosts: Set<string>;
  readonly tasks: number[];
}

export class ListFailures {
  readonly #groups = new Map<string, Group>();

  /** Of lines that are no failures, nothing is noted. */
  add({ id, state, why, host, tries = [] }: ResultLine): void {
    if (state !== "failure" && state !== "refused") return;
    const cause = why ?? state;
    const known = causeOf(cause);
    const isNew = !this.#groups.has(known) && this.#groups.size >= causesMax;
    const key = isNew ? "" : known;
    const group = this.#groups.get(key) ??
      { cause: isNew ? "other causes" : cause, count: 0, hosts: new Set<string>(), tasks: [] };
    group.count++;
    for (const one of [...tries.map((tried) => tried.host), host]) {
      if (one !== null && group.hosts.size < hostsMax) group.hosts.add(one);
    }
    if (group.tasks.length < tasksMax) group.tasks.push(id);
    this.#groups.set(key, group);
  }

  /** The largest first. */
  get groups(): FailedTasks[] {
    const groups = [...this.#groups.values()].map(({ hosts, ...group }) => ({
      ...group,
      hosts: [...hosts],
    }));
    return groups.sort((a, b) => b.count - a.count);
  }
}
