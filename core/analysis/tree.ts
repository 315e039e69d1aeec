/**
 * Which partial results to merge, and when.
 *
 * Leaves are chunks in the order in which they were cut. Leaf i belongs to node ⌊i/fanIn⌋ of the
 * level above, and so on; a leaf that was split has its pieces below it. A node is merged as soon
 * as its children are in, whatever the order in which they arrive, so that merging begins long
 * before processing ends; and since always the same results are merged in the same order, the sum
 * is the same to the last bit in every run with the same chunks, however its tasks were scattered,
 * retried or lost. The number of leaves need not be known before the tree is closed.
 */

/** Partial results merged by one task: coffea's default `treereduction`. */
export const fanInDefault = 20;

/** A leaf has level 0; the index counts from the left within its level. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
}

export interface Merge<Part> {
  /** At level 0 the pieces of a split leaf are merged. */
  readonly node: TreeNode;
  /** In the order in which they are merged; at least two, or one in the root. */
  readonly parts: readonly Part[];
  /** The root: its result is that of the run. */
  readonly final: boolean;
}

/** What follows from a change: merges that can be made now, and the root's part once it is there. */
export interface Grown<Part> {
  readonly merges: readonly Merge<Part>[];
  readonly result?: Part | null;
}

/** `undefined`: not there yet; `null`: it never will be. */
type Slot<Part> = Part | null | undefined;

interface Level<Part> {
  readonly parts: Slot<Part>[];
  /** Children that are in, by node. */
  readonly childrenIn: number[];
  /** Nodes whose merge was asked for, or which needed none. */
  readonly begun: boolean[];
}

/** A split leaf, or a piece of one; it has a part or pieces of its own. */
interface Piece<Part> {
  part: Slot<Part>;
  pieces: readonly Piece<Part>[];
}

export class MergeTree<Part> {
  readonly #levels: Level<Part>[] = [{ parts: [], childrenIn: [], begun: [] }];
  readonly #splits = new Map<number, { root: Piece<Part>; merged: boolean }>();
  #leafCount = 0;
  #closed = false;

  /** @param alwaysMergeRoot merge the root even if it is a single part, e.g. to postprocess it */
  constructor(readonly alwaysMergeRoot: boolean, readonly fanIn: number = fanInDefault) {}

  get leafCount(): number {
    return this.#leafCount;
  }

  /** Adds a leaf at the end. */
  addLeaf(): Grown<Part> & { readonly leaf: number } {
    if (this.#closed) throw new Error("A closed merge tree cannot grow");
    const leaf = this.#leafCount++;
    // Nodes that might have been the root, and are not now.
    const grown: Grown<Part>[] = [];
    for (let level = 1, leaves = this.fanIn; leaves <= leaf; level++, leaves *= this.fanIn) {
      if (leaves === leaf) grown.push(this.#look({ level, index: 0 }));
    }
    return { leaf, ...joined(grown) };
  }

  /** No more leaves come. */
  close(): Grown<Part> {
    if (this.#closed) throw new Error("The merge tree is closed already");
    this.#closed = true;
    if (this.#leafCount === 0) return { merges: [], result: null };
    // Nodes that waited for more children, or to know whether they are the root.
    const grown: Grown<Part>[] = [];
    for (let level = 1, width = this.#leafCount; level <= this.#height; level++) {
      width = Math.ceil(width / this.fanIn);
      for (const index of new Set([0, width - 1])) grown.push(this.#look({ level, index }));
    }
    return joined(grown);
  }

  /** Puts `count` pieces in the place of a leaf, or of a piece of it, that is not in yet. */
  split(leaf: number, piece: readonly number[], count: number): void {
    if (piece.length === 0 && !this.#splits.has(leaf) && this.#awaitsLeaf(leaf)) {
      this.#splits.set(leaf, { root: unsplit(), merged: false });
    }
    const there = this.#pieceAt(leaf, piece);
    there.pieces = Array.from({ length: count }, () => unsplit<Part>());
  }

  /** Merges there will be with so many leaves, those of leaves split so far included. */
  mergeCount(leafCount: number): number {
    let count = this.#splits.size;
    let width = leafCount;
    const height = heightOf(leafCount, this.fanIn);
    for (let level = 1; level <= height; level++) {
      const last = width % this.fanIn;
      count += Math.floor(width / this.fanIn) + (last > 1 ? 1 : 0);
      if (level === height && width === 1 && this.alwaysMergeRoot) count++;
      width = Math.ceil(width / this.fanIn);
    }
    return count;
  }

  /** A piece of a split leaf is in, or never will be (`null`). No piece may be put twice. */
  putPiece(leaf: number, piece: readonly number[], part: Part | null): Grown<Part> {
    this.#pieceAt(leaf, piece).part = part;
    const split = this.#splits.get(leaf)!;
    const slots = [...slotsOf(split.root)];
    if (slots.includes(undefined)) return { merges: [] };
    const parts = slots.filter((slot) => slot !== null) as Part[];
    const node = { level: 0, index: leaf };
    split.merged = true;
    if (parts.length > 1) return { merges: [{ node, parts, final: false }] };
    return this.put(node, parts[0] ?? null);
  }

  /**
   * A leaf or the result of a merge is in, or will never be (`null`). Nothing of the tree may be
   * put twice.
   */
  put(node: TreeNode, part: Part | null): Grown<Part> {
    const { level, index } = node;
    const row = this.#levels[level];
    const split = level === 0 && this.#splits.get(index)?.merged === false;
    const known = level === 0 ? this.#awaitsLeaf(index) && !split : row?.begun[index] === true;
    if (row === undefined || !known || row.parts[index] !== undefined) {
      throw new Error(`Node ${level}/${index} of the merge tree cannot be put (again)`);
    }
    row.parts[index] = part;
    if (this.#isRoot(level)) return { merges: [], result: part };
    const parent = { level: level + 1, index: Math.floor(index / this.fanIn) };
    const above = this.#level(parent.level);
    above.childrenIn[parent.index] = (above.childrenIn[parent.index] ?? 0) + 1;
    return this.#look(parent);
  }

  #awaitsLeaf(leaf: number): boolean {
    return leaf < this.#leafCount && this.#levels[0]!.parts[leaf] === undefined;
  }

  /** A piece that is neither in nor split further. */
  #pieceAt(leaf: number, path: readonly number[]): Piece<Part> {
    let at = this.#splits.get(leaf)?.root;
    for (const index of path) at = at?.pieces[index];
    if (at === undefined || at.pieces.length > 0 || at.part !== undefined) {
      const name = [leaf, ...path].join("-");
      throw new Error(`Piece ${name} of the merge tree is not there, or is in already`);
    }
    return at;
  }

  /** Begins the node if all its children are in, and it is known whether it is the root. */
  #look({ level, index }: TreeNode): Grown<Part> {
    const row = this.#level(level);
    if (row.begun[index] || (row.childrenIn[index] ?? 0) < this.#childCount(level, index)) {
      return { merges: [] };
    }
    if (!this.#closed && this.#leafCount <= this.fanIn ** level) return { merges: [] };
    row.begun[index] = true;
    const first = index * this.fanIn;
    const below = this.#level(level - 1).parts;
    const children = below.slice(first, first + this.fanIn);
    // Not needed any more: of a hundred thousand it is felt.
    below.fill(null, first, first + children.length);
    const parts = children.filter((part) => part !== null) as Part[];
    const final = this.#isRoot(level);
    if (parts.length > 1 || (parts.length === 1 && final && this.alwaysMergeRoot)) {
      return { merges: [{ node: { level, index }, parts, final }] };
    }
    return this.put({ level, index }, parts[0] ?? null);
  }

  /** How many children the node has to wait for. */
  #childCount(level: number, index: number): number {
    if (!this.#closed) return this.fanIn;
    const width = Math.ceil(this.#leafCount / this.fanIn ** (level - 1));
    return Math.min(this.fanIn, width - index * this.fanIn);
  }

  #isRoot(level: number): boolean {
    return this.#closed && level === this.#height;
  }

  get #height(): number {
    return heightOf(this.#leafCount, this.fanIn);
  }

  #level(level: number): Level<Part> {
    return this.#levels[level] ??= { parts: [], childrenIn: [], begun: [] };
  }
}

/** Levels above the leaves: there is at least a root. */
function heightOf(leafCount: number, fanIn: number): number {
  let height = 1;
  for (let width = Math.ceil(leafCount / fanIn); width > 1; height++) {
    width = Math.ceil(width / fanIn);
  }
  return height;
}

function unsplit<Part>(): Piece<Part> {
  return { part: undefined, pieces: [] };
}

function* slotsOf<Part>({ part, pieces }: Piece<Part>): Generator<Slot<Part>> {
  if (pieces.length === 0) yield part;
  else for (const inner of pieces) yield* slotsOf(inner);
}

function joined<Part>(all: readonly Grown<Part>[]): Grown<Part> {
  const merges = all.flatMap(({ merges }) => merges);
  const ended = all.find((grown) => grown.result !== undefined);
  return ended === undefined ? { merges } : { merges, result: ended.result ?? null };
}
