/** What jsroot made of a tree's bytes, checked once, so that damage shows here and not later. */
import type { Branch, Leaf, Tree } from "./jsroot.ts";

/** The same object as a tree. Throws Error naming the branch whose fields are not what they must be. */
export function checkedTree(object: object): Tree {
  const tree = object as Partial<Tree>;
  if (!isCount(tree.fEntries)) throw new Error("its number of events is impossible");
  if (!Array.isArray(tree.fBranches?.arr)) throw new Error("it has no branches");
  tree.fBranches.arr.forEach(checkBranch);
  return tree as Tree;
}

function checkBranch(branch: Partial<Branch> | null, index: number): void {
  const children: unknown = branch?.fBranches?.arr;
  const sound = branch !== null && typeof branch.fName === "string" &&
    typeof branch._typename === "string" && typeof branch.fFileName === "string" &&
    isCount(branch.fEntries) && isCount(branch.fWriteBasket) &&
    areCounts(branch.fBasketEntry, branch.fWriteBasket) &&
    areCounts(branch.fBasketSeek, branch.fWriteBasket) &&
    areCounts(branch.fBasketBytes, branch.fWriteBasket) &&
    Array.isArray(branch.fBaskets?.arr) && Array.isArray(children) &&
    Array.isArray(branch.fLeaves?.arr) && branch.fLeaves.arr.every(isLeaf);
  if (!sound) throw new Error(`branch ${index} has impossible fields`);
  children.forEach(checkBranch);
}

function isLeaf(leaf: Partial<Leaf> | null): boolean {
  return leaf !== null && typeof leaf._typename === "string" && typeof leaf.fName === "string" &&
    isCount(leaf.fLen) && leaf.fLeafCount !== undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Of each basket written, and of the one after them, which may be inside the tree. */
function areCounts(values: ArrayLike<unknown> | undefined, baskets: number): boolean {
  if (values === undefined || !(values.length >= baskets)) return false;
  const used = Math.min(values.length, baskets + 1);
  for (let i = 0; i < used; i++) if (!isCount(values[i])) return false;
  return true;
}
