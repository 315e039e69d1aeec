/**
 * Which partial results to merge, and when.
 *
 * The tree is fixed by the number of chunks alone: leaf i belongs to node ⌊i/fanIn⌋ of the level
 * above, and so on. A node is merged as soon as its children are in, whatever the order in which
 * they arrive, so that merging begins long before processing ends; and since always the same
 * results are merged in the same order, the sum is the same to the last bit in every run, however
 * its tasks were scattered, retried or lost.
 */

/** Partial results merged by one task: coffea's default `treereduction`. */
export const fanInDefault = 20;

/** A leaf has level 0; the index counts from the left within its level. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
}

export interface Merge<Part> {
  readonly node: TreeNode;
  /** In the order in which they are merged; at least two, or one in the root. */
  readonly parts: readonly Part[];
  /** The root: its result is that of the run. */
  readonly final: boolean;
}

export class MergeTree<Part> {
  /** `parts[level][index]`: not there yet, absent for good (`null`), or a part. */
  readonly #parts: (Part | null | undefined)[][];
  readonly #missing: number[][];

  /** @param alwaysMergeRoot merge the root even if it is a single part, e.g. to postprocess it */
  constructor(
    readonly leafCount: number,
    readonly alwaysMergeRoot: boolean,
    readonly fanIn: number = fanInDefault,
  ) {
    this.#parts = [new Array(leafCount).fill(undefined)];
    this.#missing = [[]];
    let width = leafCount;
    do {
      const children = width;
      width = Math.max(1, Math.ceil(width / fanIn));
      this.#parts.push(new Array(width).fill(undefined));
      this.#missing.push(
        Array.from({ length: width }, (_, i) => Math.min(fanIn, children - i * fanIn)),
      );
    } while (width > 1);
  }

  /** Merges there will be if nothing is left out. */
  get mergeCount(): number {
    let count = 0;
    for (let level = 1; level < this.#parts.length; level++) {
      const root = level === this.#parts.length - 1;
      for (const children of this.#missing[level]!.map((_, i) => this.#childCount(level, i))) {
        if (children > 1 || (root && this.alwaysMergeRoot)) count++;
      }
    }
    return count;
  }

  /**
   * A leaf or the result of a merge is in, or will never be (`null`). Returns what can be merged
   * now, and the root's part once it is there; nothing of the tree may be put twice.
   */
  put(
    node: TreeNode,
    part: Part | null,
  ): { readonly merges: Merge<Part>[]; readonly result?: Part | null } {
    const row = this.#parts[node.level];
    if (row === undefined || node.index >= row.length || row[node.index] !== undefined) {
      throw new Error(`Node ${node.level}/${node.index} of the merge tree cannot be put (again)`);
    }
    row[node.index] = part;
    const level = node.level + 1;
    if (level === this.#parts.length) return { merges: [], result: part };
    const index = Math.floor(node.index / this.fanIn);
    if (--this.#missing[level]![index]! > 0) return { merges: [] };
    const parent = { level, index };
    const first = index * this.fanIn;
    const parts = row.slice(first, first + this.fanIn).filter((p) => p !== null) as Part[];
    const final = level === this.#parts.length - 1;
    if (parts.length > 1 || (parts.length === 1 && final && this.alwaysMergeRoot)) {
      return { merges: [{ node: parent, parts, final }] };
    }
    return this.put(parent, parts[0] ?? null);
  }

  #childCount(level: number, index: number): number {
    return Math.min(this.fanIn, this.#parts[level - 1]!.length - index * this.fanIn);
  }
}
