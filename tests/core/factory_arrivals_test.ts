import assert from "node:assert/strict";
import { Arrivals } from "../../core/factory/arrivals.ts";
import type { Peer } from "../../core/factory/peers.ts";
import { managerRecord } from "../support/factory.ts";

const joined = (count: number) => [managerRecord({ workers_joined: count })];
const peer = (fields: Partial<Peer> = {}): Peer => ({
  ...{ id: "p", held: 0, running: 0, cap: 10, brought: 0 },
  ...fields,
});

Deno.test("workers that join are ours while there is no other factory", () => {
  const arrivals = new Arrivals();
  arrivals.heard(joined(7), []);
  const { mark } = arrivals;
  assert.equal(arrivals.anySince(mark), false);
  arrivals.heard(joined(8), []);
  assert.equal(arrivals.anySince(mark), true);
  assert.equal(arrivals.anySince(arrivals.mark), false);
});

Deno.test("those that others have brought, or had in their queues, are not ours", () => {
  const arrivals = new Arrivals();
  arrivals.heard(joined(3), [peer({ held: 5, running: 3, brought: 5 })]);
  const { mark } = arrivals;
  const cases: [count: number, peers: Peer[], expected: boolean][] = [
    [5, [peer({ held: 5, running: 5, brought: 5 })], false], // what waited
    [7, [peer({ held: 5, running: 5, brought: 7 })], false], // in place of two that were killed
    [8, [peer({ held: 2, running: 2, brought: 7 })], true],
    [8, [peer({ held: 2, running: 2, brought: 7 }), peer({ id: "new", held: 1 })], false],
    [9, [peer({ held: 1, running: 0, brought: 1 }), peer({ id: "new", held: 1 })], false], // anew
    [10, [peer({ held: 1, running: 1, brought: 1 }), peer({ id: "new", held: 1 })], true],
    [20, [peer({ held: 1, running: 1, brought: null })], false], // one of cctools
  ];
  for (const [count, peers, expected] of cases) {
    arrivals.heard(joined(count), peers);
    assert.equal(arrivals.anySince(mark), expected, `${count} joined`);
  }
});

Deno.test("what a manager counted before we knew it, or before it started anew, counts not", () => {
  const arrivals = new Arrivals();
  arrivals.heard(joined(3), []);
  const { mark } = arrivals;
  arrivals.heard([], []);
  arrivals.heard(joined(9), []);
  arrivals.heard(joined(2), []);
  assert.equal(arrivals.anySince(mark), false);
  arrivals.heard(joined(3), []);
  assert.equal(arrivals.anySince(mark), true);
});
