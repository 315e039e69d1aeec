import assert from "node:assert/strict";
import type { FoundManager } from "../../core/catalog/selection.ts";
import { KnownManagers } from "../../core/worker/known_managers.ts";

const manager = (label: string, port = 1): FoundManager => ({
  label,
  addresses: [{ host: "127.0.0.1", port }],
  tls: true,
  pin: `key of ${label}`,
  project: "ana",
});

Deno.test("without a catalog a worker tries the manager that it served last, then the others", () => {
  const known = new KnownManagers();
  assert.deepEqual(known.inOrder, []);
  known.told(["a", "b", "c"].map((label) => manager(label)));
  assert.deepEqual(known.inOrder.map(({ label }) => label), ["a", "b", "c"]);
  known.served(manager("b"));
  assert.deepEqual(known.inOrder, ["b", "a", "c"].map((label) => manager(label)));
});

Deno.test("what a catalog says replaces all that was known", () => {
  const known = new KnownManagers();
  known.told([manager("a"), manager("b")]);
  known.served(manager("b"));
  known.told([manager("c"), manager("b", 2)]);
  assert.deepEqual(known.inOrder, [manager("b", 2), manager("c")]);
  known.told([]);
  assert.deepEqual(known.inOrder, []);
});
