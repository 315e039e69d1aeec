import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { fanInDefault, type Grown, type Merge, MergeTree } from "../../core/analysis/tree.ts";

/** Names of the leaves and pieces that a part is the sum of, in the order of adding. */
type Part = readonly string[];

interface Plan {
  readonly leafCount: number;
  readonly alwaysMergeRoot?: boolean;
  /** Whether the leaf or piece of this name will never be there. */
  readonly isMissing?: (name: string) => boolean;
  /** Into how many pieces the leaf or piece of this name is split; 0: it is not. */
  readonly piecesOf?: (name: string) => number;
}

interface Course {
  readonly merges: Merge<Part>[];
  readonly result: Part | null;
  readonly mergeCount: number;
}

const whole = () => 0;

/** Lets the tree grow and puts all there is to put, in an order drawn from the seed. */
function run(plan: Plan, seed: number): Course {
  const { leafCount, isMissing = () => false, piecesOf = whole } = plan;
  const rng = seededRng(seed);
  const tree = new MergeTree<Part>(plan.alwaysMergeRoot ?? false);
  const ready: (() => Grown<Part>)[] = [];
  const merges: Merge<Part>[] = [];
  let result: Part | null | undefined;
  const arrive = (path: readonly number[]) => (): Grown<Part> => {
    const name = path.join("-");
    const [leaf = 0, ...piece] = path;
    const count = piecesOf(name);
    if (count > 0) {
      tree.split(leaf, piece, count);
      for (let i = 0; i < count; i++) ready.push(arrive([...path, i]));
      return { merges: [] };
    }
    const part = isMissing(name) ? null : [name];
    return piece.length === 0
      ? tree.put({ level: 0, index: leaf }, part)
      : tree.putPiece(leaf, piece, part);
  };
  const growOrClose = (): Grown<Part> => {
    if (tree.leafCount === leafCount) return tree.close();
    const { leaf, ...grown } = tree.addLeaf();
    ready.push(growOrClose, arrive([leaf]));
    return grown;
  };
  ready.push(growOrClose);
  while (ready.length > 0) {
    const [step] = ready.splice(Math.floor(rng() * ready.length), 1);
    assert.equal(result, undefined, "nothing is left to do after the result is there");
    const grown = step!();
    merges.push(...grown.merges);
    if (grown.result !== undefined) result = grown.result;
    for (const { node, parts } of grown.merges) ready.push(() => tree.put(node, parts.flat()));
  }
  assert.ok(result !== undefined, "the result is there once all is put");
  return { merges, result, mergeCount: tree.mergeCount(leafCount) };
}

function byNode(merges: readonly Merge<Part>[]): Merge<Part>[] {
  return [...merges].sort((a, b) => a.node.level - b.node.level || a.node.index - b.node.index);
}

/** A closed tree of unsplit leaves. */
function closedTree<P>(leafCount: number, always: boolean, fanIn = fanInDefault): MergeTree<P> {
  const tree = new MergeTree<P>(always, fanIn);
  for (let i = 0; i < leafCount; i++) tree.addLeaf();
  tree.close();
  return tree;
}

/** The same answer for the same name, whatever was asked before. */
function drawn(seed: number, name: string): number {
  let hash = seed;
  for (const letter of name) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193);
  const rng = seededRng(hash);
  rng();
  return rng();
}

/** Splits about a share of all leaves and pieces, no deeper than three times. */
const splitting = (seed: number, share: number) => (name: string) => {
  const depth = name.split("-").length;
  return depth <= 3 && drawn(seed, name) < share ? 2 + Math.floor(drawn(seed + 1, name) * 3) : 0;
};

const leafCount = fc.oneof(
  fc.integer({ min: 1, max: 45 }),
  fc.constantFrom(20, 21, 399, 400, 401, 1000),
  fc.integer({ min: 1, max: 1000 }),
);

Deno.test("the same merges are made in whatever order leaves are added and parts arrive", () => {
  const seed = fc.nat();
  const share = fc.constantFrom(0, 0, 0.05, 0.6);
  fc.assert(
    fc.property(
      leafCount,
      fc.boolean(),
      share,
      seed,
      seed,
      (leafCount, alwaysMergeRoot, share, one, other) => {
        const plan = { leafCount, alwaysMergeRoot, piecesOf: splitting(7, share) };
        const [a, b] = [run(plan, one), run(plan, other)];
        assert.deepEqual(byNode(a.merges), byNode(b.merges));
        assert.equal(a.merges.length, a.mergeCount);
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("leaf i belongs to node ⌊i/20⌋ of the level above, and so on", () => {
  for (const leafCount of [2, 20, 21, 45, 400, 401, 950]) {
    const { merges } = run({ leafCount }, leafCount);
    for (const { node, parts, final } of merges) {
      const width = fanInDefault ** node.level;
      const first = node.index * width;
      const leaves = Array.from(
        { length: Math.min(width, leafCount - first) },
        (_, i) => String(first + i),
      );
      assert.deepEqual(parts.flat(), leaves);
      assert.equal(final, leaves.length === leafCount);
    }
  }
});

Deno.test("every part is used once and in order, and what is missing leaves a gap", () => {
  const probability = fc.constantFrom(0, 0.02, 0.5, 0.98, 1);
  fc.assert(
    fc.property(
      leafCount,
      fc.boolean(),
      probability,
      fc.nat(),
      (leafCount, alwaysMergeRoot, missing, seed) => {
        const piecesOf = splitting(seed, 0.1);
        const isMissing = (name: string) => drawn(seed + 2, name) < missing;
        const plan = { leafCount, alwaysMergeRoot, isMissing, piecesOf };
        const { merges, result, mergeCount } = run(plan, seed);
        const names = (name: string): string[] => {
          const count = piecesOf(name);
          return count === 0
            ? isMissing(name) ? [] : [name]
            : Array.from({ length: count }, (_, i) => names(`${name}-${i}`)).flat();
        };
        const there = Array.from({ length: leafCount }, (_, leaf) => names(String(leaf))).flat();
        assert.deepEqual(result, there.length === 0 ? null : there);
        for (const { parts, final, node } of merges) {
          assert.ok(parts.length <= fanInDefault || node.level === 0);
          assert.ok(parts.length > 1 || (alwaysMergeRoot && final), "only the root is one part");
        }
        const finals = merges.filter(({ final }) => final).length;
        assert.ok(finals <= 1);
        if (alwaysMergeRoot) assert.equal(finals, there.length > 0 ? 1 : 0);
        assert.ok(merges.length <= mergeCount);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("the number of merges is as the tree has it", () => {
  const cases: [number, number, number][] = [
    // leaves, merges, merges with a root that is always merged
    [1, 0, 1],
    [2, 1, 1],
    [20, 1, 1],
    [21, 2, 2], // the 21st goes up alone
    [22, 3, 3],
    [40, 3, 3],
    [400, 21, 21],
    [401, 22, 22],
    [2000, 100 + 5 + 1, 100 + 5 + 1],
  ];
  for (const [leaves, merges, always] of cases) {
    assert.equal(new MergeTree(false).mergeCount(leaves), merges, `${leaves} leaves`);
    assert.equal(new MergeTree(true).mergeCount(leaves), always, `${leaves} leaves, always`);
  }
});

const leaf = (index: number) => ({ level: 0, index });

Deno.test("a node is merged as soon as its children are in", () => {
  const tree = closedTree<string>(4, false, 2);
  assert.deepEqual(tree.put(leaf(3), "d"), { merges: [] });
  assert.deepEqual(tree.put(leaf(0), "a"), { merges: [] });
  assert.deepEqual(tree.put(leaf(2), "c"), {
    merges: [{ node: { level: 1, index: 1 }, parts: ["c", "d"], final: false }],
  });
  assert.deepEqual(tree.put({ level: 1, index: 1 }, "cd"), { merges: [] });
  assert.deepEqual(tree.put(leaf(1), null), {
    merges: [{ node: { level: 2, index: 0 }, parts: ["a", "cd"], final: true }],
  });
  assert.deepEqual(tree.put({ level: 2, index: 0 }, "acd"), { merges: [], result: "acd" });
});

Deno.test("a tree that still grows merges what cannot be the root, and the rest once closed", () => {
  const tree = new MergeTree<string>(false, 2);
  for (const part of ["a", "b"]) {
    assert.deepEqual(tree.put(leaf(tree.addLeaf().leaf), part), { merges: [] });
  }
  assert.deepEqual(tree.addLeaf(), {
    leaf: 2,
    merges: [{ node: { level: 1, index: 0 }, parts: ["a", "b"], final: false }],
  });
  assert.deepEqual(tree.put({ level: 1, index: 0 }, "ab"), { merges: [] });
  assert.deepEqual(tree.put(leaf(2), "c"), { merges: [] }, "a fourth may come");
  assert.deepEqual(tree.close(), {
    merges: [{ node: { level: 2, index: 0 }, parts: ["ab", "c"], final: true }],
  });
});

Deno.test("pieces of a split leaf are merged in its place, in order, by one merge", () => {
  const tree = new MergeTree<string>(false, 2);
  tree.addLeaf();
  tree.split(0, [], 2);
  tree.split(0, [1], 2);
  assert.deepEqual(tree.putPiece(0, [1, 1], "c"), { merges: [] });
  tree.addLeaf();
  tree.close();
  assert.deepEqual(tree.putPiece(0, [0], "a"), { merges: [] });
  assert.deepEqual(tree.putPiece(0, [1, 0], "b"), {
    merges: [{ node: leaf(0), parts: ["a", "b", "c"], final: false }],
  });
  assert.deepEqual(tree.put(leaf(1), "d"), { merges: [] });
  assert.deepEqual(tree.put(leaf(0), "abc"), {
    merges: [{ node: { level: 1, index: 0 }, parts: ["abc", "d"], final: true }],
  });
});

Deno.test("a single leaf is the result, unless the root is always merged", () => {
  assert.deepEqual(closedTree<string>(1, false).put(leaf(0), "a"), { merges: [], result: "a" });
  const tree = closedTree<string>(1, true);
  const root = { level: 1, index: 0 };
  assert.deepEqual(tree.put(leaf(0), "a"), {
    merges: [{ node: root, parts: ["a"], final: true }],
  });
  assert.deepEqual(tree.put(root, "A"), { merges: [], result: "A" });
});

Deno.test("if nothing at all is there, the result is nothing", () => {
  for (const alwaysMergeRoot of [false, true]) {
    const plan = { leafCount: 401, alwaysMergeRoot, isMissing: () => true };
    const { merges, result } = run(plan, 1);
    assert.deepEqual([merges, result], [[], null]);
    assert.deepEqual(new MergeTree(alwaysMergeRoot).close(), { merges: [], result: null });
  }
});

Deno.test("nothing of the tree can be put twice, or where there is no node", () => {
  const tree = closedTree<string>(3, false);
  tree.put(leaf(0), "a");
  tree.split(2, [], 2);
  for (const node of [leaf(0), leaf(2), leaf(3), { level: 7, index: 0 }, { level: 1, index: 0 }]) {
    assert.throws(() => tree.put(node, "b"), {
      message: `Node ${node.level}/${node.index} of the merge tree cannot be put (again)`,
    });
  }
  tree.putPiece(2, [1], "c");
  const pieces: [number, number[]][] = [[2, [1]], [2, [2]], [2, []], [1, [0]], [2, [0, 0]]];
  for (const [leaf, piece] of pieces) {
    assert.throws(() => tree.putPiece(leaf, piece, "b"), {
      message: `Piece ${[leaf, ...piece].join("-")} of the merge tree is not there, ` +
        "or is in already",
    });
  }
  for (const [leaf, piece] of [[0, []], [3, []], [2, []], [2, [1]]] as [number, number[]][]) {
    assert.throws(() => tree.split(leaf, piece, 2), /is not there, or is in already/);
  }
  assert.throws(() => tree.addLeaf(), { message: "A closed merge tree cannot grow" });
  assert.throws(() => tree.close(), { message: "The merge tree is closed already" });
});
