/** Entries of a list that did not succeed, by cause: for the report, and for people. */
import { CauseGroups } from "../causes.ts";
import type { ResultLine } from "./result.ts";

export interface FailedTasks {
  /** In the words of the first. */
  readonly cause: string;
  readonly count: number;
  /** On which they failed, the first ones. */
  readonly hosts: readonly string[];
  /** Ids, of the first; each attempt at them is in results.jsonl. */
  readonly tasks: readonly number[];
}

/** Ids that are listed of one cause. */
const tasksMax = 1000;

export class ListFailures {
  readonly #causes = new CauseGroups<number>(tasksMax);

  /** Of lines that are no failures, nothing is noted. */
  add({ id, state, why, host, tries = [] }: ResultLine): void {
    if (state !== "failure" && state !== "refused") return;
    const hosts = [...tries.map((tried) => tried.host), host].filter((one) => one !== null);
    this.#causes.add(why ?? state, hosts, id);
  }

  /** The largest first. */
  get groups(): FailedTasks[] {
    return this.#causes.groups.map(({ items, ...group }) => ({ ...group, tasks: items }));
  }
}
