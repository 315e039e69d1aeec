/** What failed, grouped by cause: of thousands of failures people want to read one line a cause. */

export interface CauseGroup<Item> {
  /** In the words of the first. */
  readonly cause: string;
  readonly count: number;
  /** On which it failed, up to {@link hostsMax}. */
  readonly hosts: readonly string[];
  /** The first ones, if not all are kept. */
  readonly items: readonly Item[];
}

/** Hosts that are named; more of them are no lead. */
export const hostsMax = 10;

/** Causes that are told apart; what else there is counts as one. */
export const causesMax = 1000;

/** Causes that differ only in names and numbers are one. */
export function causeOf(why: string): string {
  return why.replaceAll(/"[^"]*"|\/\S+/g, "…").replaceAll(/\d+(\.\d+)?/g, "N");
}

interface Group<Item> {
  readonly cause: string;
  count: number;
  readonly hosts: Set<string>;
  readonly items: Item[];
}

/** Failures as they come, by cause. */
export class CauseGroups<Item> {
  readonly #groups = new Map<string, Group<Item>>();

  /** @param itemsMax kept of each cause; all are counted */
  constructor(private readonly itemsMax = Infinity) {}

  /** @param hosts of every attempt */
  add(why: string, hosts: Iterable<string>, item: Item): void {
    const known = causeOf(why);
    const isOther = !this.#groups.has(known) && this.#groups.size >= causesMax;
    const key = isOther ? "" : known;
    const group: Group<Item> = this.#groups.get(key) ??
      { cause: isOther ? "other causes" : why, count: 0, hosts: new Set(), items: [] };
    group.count++;
    for (const host of hosts) if (group.hosts.size < hostsMax) group.hosts.add(host);
    if (group.items.length < this.itemsMax) group.items.push(item);
    this.#groups.set(key, group);
  }

  /** The largest first. */
  get groups(): CauseGroup<Item>[] {
    const groups = [...this.#groups.values()].map((group) => ({
      ...group,
      hosts: [...group.hosts],
    }));
    return groups.sort((a, b) => b.count - a.count);
  }
}
