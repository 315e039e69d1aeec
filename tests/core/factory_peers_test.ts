import assert from "node:assert/strict";
import fc from "fast-check";
import { divide, peersAmong } from "../../core/factory/peers.ts";
import type { JxObject, JxValue } from "../../core/jx/value.ts";
import { jxRecord, managerRecord } from "../support/factory.ts";

const manager = managerRecord();
const ours = { id: "m", managers: [manager], project: "ana.*" };

function factory(fields: Readonly<Record<string, JxValue>> = {}): JxObject {
  return jxRecord({
    type: "wq_factory",
    address: "10.0.0.1",
    port: -77,
    lastheardfrom: 1000,
    project_regex: "ana.*",
    managers: [jxRecord({ project: "ana1", name: "login1", port: 9123 })],
    workers_submitted: 8,
    workers_requested: 2,
    workers_to_connect: 3,
    ...fields,
  });
}

Deno.test("other factories on the same managers are peers, with what they have and can have", () => {
  const records = [
    factory(),
    factory({
      wqx_id: "w",
      workers_submitted: 4,
      workers_requested: 0,
      wqx_room: 20,
      wqx_running: 1,
      wqx_brought: 9,
    }),
    factory({ wqx_id: "m" }),
    factory({ type: "vine_factory" }),
    factory({ managers: [jxRecord({ project: "other", name: "login1", port: 9200 })] }),
  ];
  assert.deepEqual(peersAmong(records, ours), [
    { id: "10.0.0.1:-77", held: 10, running: 5, cap: null, brought: null },
    { id: "w", held: 4, running: 1, cap: 24, brought: 9 },
  ]);
});

Deno.test("a factory that has not been heard of for three minutes is no peer any more", () => {
  const records = [factory({ wqx_id: "a", lastheardfrom: 1000 }), factory({ lastheardfrom: 1181 })];
  assert.deepEqual(peersAmong(records, ours).map(({ id }) => id), ["10.0.0.1:-77"]);
});

Deno.test("of a factory with other managers too, the part counts that its tasks here are", () => {
  const task = (project: string, port: number, tasks_waiting: number) =>
    jxRecord({ project, name: "login1", port, tasks_waiting, tasks_running: 1 });
  const busy = factory({ managers: [task("ana1", 9123, 29), task("other", 9200, 9)] });
  assert.equal(peersAmong([busy], ours)[0]?.held, 8); // ceil(10 * 30 / 40)
  const idle = factory({
    managers: [
      jxRecord({ project: "ana1", name: "login1", port: 9123 }),
      jxRecord({ project: "other", name: "login1", port: 9200 }),
    ],
  });
  assert.equal(peersAmong([idle], ours)[0]?.held, 5);
});

Deno.test("factories that see no manager are peers if they look for the same name", () => {
  const none = (project_regex: string) => factory({ managers: [], project_regex });
  assert.equal(peersAmong([none("ana.*")], ours).length, 1);
  assert.equal(peersAmong([none("b")], ours).length, 0);
  assert.equal(peersAmong([none("b")], { ...ours, project: null }).length, 0);
});

Deno.test("workers are divided evenly, within the caps, the rest to the first by id", () => {
  const parts = (workers: number, caps: Record<string, number>) =>
    Object.fromEntries(divide(workers, Object.entries(caps).map(([id, cap]) => ({ id, cap }))));
  assert.deepEqual(parts(10, { a: 100, b: 100 }), { a: 5, b: 5 });
  assert.deepEqual(parts(11, { b: 100, a: 100 }), { a: 6, b: 5 });
  assert.deepEqual(parts(10, { a: 2, b: 100, c: 100 }), { a: 2, b: 4, c: 4 });
  assert.deepEqual(parts(10, { a: 2, b: 3 }), { a: 2, b: 3 });
  assert.deepEqual(parts(0, { a: 2 }), { a: 0 });
  assert.deepEqual(parts(5, { a: -3, b: 9 }), { a: 0, b: 5 });
  assert.deepEqual(parts(2, { a: 1, b: 1, c: 1 }), { a: 1, b: 1, c: 0 });
});

Deno.test("a division gives all that there is room for, in any order of the factories", () => {
  const caps = fc.uniqueArray(fc.record({ id: fc.string(), cap: fc.nat(30) }), {
    selector: ({ id }) => id,
    maxLength: 6,
  });
  fc.assert(fc.property(fc.nat(100), caps, (workers, claimants) => {
    const parts = divide(workers, claimants);
    const sum = [...parts.values()].reduce((a, b) => a + b, 0);
    const room = claimants.reduce((a, { cap }) => a + cap, 0);
    assert.equal(sum, Math.min(workers, room));
    for (const { id, cap } of claimants) assert.ok((parts.get(id) ?? 0) <= cap);
    assert.deepEqual(divide(workers, claimants.toReversed()), parts);
  }));
});
