import assert from "node:assert/strict";
import fc from "fast-check";
import { seededRng } from "../../core/env.ts";
import { fanInDefault, type Merge, MergeTree, type TreeNode } from "../../core/analysis/tree.ts";

/** Which leaves a part is the sum of, in the order in which they were added. */
type Part = readonly number[];

interface Course {
  readonly merges: Merge<Part>[];
  readonly result: Part | null;
}

/**
 * Puts all leaves and the results of all merges, in an order drawn from the seed; leaves for which
 * `missing` holds will never be there.
 */
function run(tree: MergeTree<Part>, seed: number, missing: (leaf: number) => boolean): Course {
  const rng = seededRng(seed);
  const ready: { node: TreeNode; part: Part | null }[] = Array.from(
    { length: tree.leafCount },
    (_, index) => ({ node: { level: 0, index }, part: missing(index) ? null : [index] }),
  );
  const merges: Merge<Part>[] = [];
  let result: Part | null | undefined;
  while (ready.length > 0) {
    const at = Math.floor(rng() * ready.length);
    const [{ node, part }] = ready.splice(at, 1) as [typeof ready[number]];
    assert.equal(result, undefined, "nothing is put after the result is there");
    const put = tree.put(node, part);
    merges.push(...put.merges);
    if ("result" in put) result = put.result;
    for (const merge of put.merges) ready.push({ node: merge.node, part: merge.parts.flat() });
  }
  assert.ok(result !== undefined, "the result is there once all is put");
  return { merges, result };
}

function byNode(merges: readonly Merge<Part>[]): Merge<Part>[] {
  return [...merges].sort((a, b) => a.node.level - b.node.level || a.node.index - b.node.index);
}

const leafCount = fc.oneof(
  fc.integer({ min: 1, max: 45 }),
  fc.constantFrom(20, 21, 399, 400, 401, 2000),
  fc.integer({ min: 1, max: 2000 }),
);

Deno.test("the same merges are made in whatever order the parts arrive", () => {
  const seed = fc.nat();
  fc.assert(
    fc.property(leafCount, fc.boolean(), seed, seed, (leafCount, always, one, other) => {
      const all = () => false;
      const a = run(new MergeTree<Part>(leafCount, always), one, all);
      const b = run(new MergeTree<Part>(leafCount, always), other, all);
      assert.deepEqual(byNode(a.merges), byNode(b.merges));
      assert.equal(a.merges.length, new MergeTree<Part>(leafCount, always).mergeCount);
    }),
    { numRuns: 40 },
  );
});

Deno.test("every part is used once and in order, and what is missing leaves a gap", () => {
  const probability = fc.constantFrom(0, 0.02, 0.5, 0.98, 1);
  fc.assert(
    fc.property(
      leafCount,
      fc.boolean(),
      probability,
      fc.nat(),
      (leafCount, always, missing, seed) => {
        const rng = seededRng(seed);
        const gone = Array.from({ length: leafCount }, () => rng() < missing);
        const tree = new MergeTree<Part>(leafCount, always);
        const { merges, result } = run(tree, seed, (leaf) => gone[leaf]!);
        const there = gone.flatMap((isGone, leaf) => isGone ? [] : [leaf]);
        assert.deepEqual(result, there.length === 0 ? null : there);

        for (const { parts, final } of merges) {
          assert.ok(parts.length <= fanInDefault);
          assert.ok(parts.length > 1 || (always && final), "nothing is merged alone but the root");
        }
        const finals = merges.filter(({ final }) => final).length;
        assert.ok(finals <= 1);
        if (always) assert.equal(finals, there.length > 0 ? 1 : 0);
        assert.ok(merges.length <= tree.mergeCount);
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
    assert.equal(new MergeTree(leaves, false).mergeCount, merges, `${leaves} leaves`);
    assert.equal(new MergeTree(leaves, true).mergeCount, always, `${leaves} leaves, always`);
  }
});

Deno.test("a node is merged as soon as its children are in", () => {
  const tree = new MergeTree<string>(4, false, 2);
  const leaf = (index: number) => ({ level: 0, index });
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

Deno.test("a single leaf is the result, unless the root is always merged", () => {
  assert.deepEqual(new MergeTree<string>(1, false).put({ level: 0, index: 0 }, "a"), {
    merges: [],
    result: "a",
  });
  const tree = new MergeTree<string>(1, true);
  const root = { level: 1, index: 0 };
  assert.deepEqual(tree.put({ level: 0, index: 0 }, "a"), {
    merges: [{ node: root, parts: ["a"], final: true }],
  });
  assert.deepEqual(tree.put(root, "A"), { merges: [], result: "A" });
});

Deno.test("if nothing at all is there, the result is nothing", () => {
  for (const always of [false, true]) {
    const { merges, result } = run(new MergeTree<Part>(401, always), 1, () => true);
    assert.deepEqual([merges, result], [[], null]);
  }
});

Deno.test("nothing of the tree can be put twice, or where there is no node", () => {
  const tree = new MergeTree<string>(2, false);
  tree.put({ level: 0, index: 0 }, "a");
  const puts: TreeNode[] = [
    { level: 0, index: 0 },
    { level: 0, index: 2 },
    { level: 7, index: 0 },
  ];
  for (const node of puts) {
    assert.throws(() => tree.put(node, "b"), {
      message: `Node ${node.level}/${node.index} of the merge tree cannot be put (again)`,
    });
  }
});
