import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type ApiRecord,
  KeptResults,
  nothingSaid,
  parseSaid,
  taskKey,
} from "../../core/api/kept.ts";
import { Buffers, parseTask } from "../../core/api/task.ts";
import { UsageError } from "../../core/errors.ts";

const kept = (id: string, key: string, bytes = 10) => ({ id, key, bytes, told: `told ${id}` });
const roomy = { results: 100, bytes: 1000 };
const ids = (results: KeptResults, key: string, user: string) =>
  results.for(key, user).map(({ id }) => id);

Deno.test("a client gets each result once, and none of its own tasks", () => {
  const results = new KeptResults(roomy);
  results.add(kept("1-1", "same"), "first");
  results.add(kept("1-2", "same"), "first");
  results.add(kept("1-3", "other"), "first");
  assert.deepEqual(ids(results, "same", "first"), []);
  assert.deepEqual(ids(results, "same", "second"), ["1-1", "1-2"]);
  results.use("1-1", "second");
  assert.deepEqual(ids(results, "same", "second"), ["1-2"]);
  assert.deepEqual(ids(results, "same", "third"), ["1-2", "1-1"]);
  assert.equal(results.drop("1-2")?.told, "told 1-2");
  assert.equal(results.drop("1-2"), undefined);
  assert.deepEqual(ids(results, "same", "third"), ["1-1"]);
});

Deno.test("the oldest that the client has not used go first, and what it used stays", () => {
  const results = new KeptResults({ results: 3, bytes: 100 });
  for (const id of ["1-1", "1-2", "1-3"]) results.add(kept(id, id, 30), "first");
  results.use("1-1", "second");
  assert.deepEqual(results.roomFor(5, "second"), ["1-2"]);
  assert.deepEqual(results.roomFor(50, "second"), ["1-2", "1-3"]);
  assert.equal(results.roomFor(90, "second"), null);
  assert.equal(results.roomFor(101, "third"), null);
});

Deno.test("what a journal replays is what there was", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("add"),
      id: fc.nat(9),
      key: fc.constantFrom("a", "b"),
      user: fc.constantFrom("x", "y"),
    }),
    fc.record({
      kind: fc.constantFrom("use", "drop"),
      id: fc.nat(9),
      key: fc.constant("a"),
      user: fc.constantFrom("x", "y"),
    }),
  );
  fc.assert(fc.property(fc.array(step), (steps) => {
    const [live, replayed] = [new KeptResults(roomy), new KeptResults(roomy)];
    for (const { kind, id: number, key, user } of steps) {
      const id = `1-${number}`;
      const record: ApiRecord = kind === "add"
        ? { type: "ended", user, ...kept(id, key) }
        : kind === "use"
        ? { type: "given", id, user }
        : { type: "dropped", id };
      replayed.replay(record);
      if (kind === "add") live.add(kept(id, key), user);
      else if (kind === "use") live.use(id, user);
      else live.drop(id);
    }
    const again = new KeptResults(roomy);
    for (const record of replayed.records()) again.replay(record);
    assert.deepEqual([...again.records()], [...live.records()]);
    assert.deepEqual([again.size, again.bytes], [live.size, live.bytes]);
  }));
});

Deno.test("tasks are the same if they ask for the same, wherever their files lie", () => {
  const task = (value: unknown[]) =>
    parseTask(value, new Buffers(new TextEncoder().encode("xy"))).spec;
  const key = (value: unknown[], contents = ["c"], said = nothingSaid) =>
    taskKey(task(value), said, contents);
  const base = [7, "run", "c", [[1, "/a/in", "in", 0]], [["/tmp/out", "o"]], { cores: 1 }];
  const same = [9, "run", "other", [[1, "/b/in", "in", 1]], [["/else", "o"]], {
    memory: 5,
    priority: 3,
  }];
  assert.equal(key(base), key(same));
  const others: [unknown[], string[]?][] = [
    [[7, "run2", "c", base[3], base[4]]],
    [[7, "run", "c", [[1, "/a/in", "in2", 0]], base[4]]],
    [[7, "run", "c", base[3], [["/tmp/out", "o2"]]]],
    [[7, "run", "c", base[3], base[4], { env: { A: "1" } }]],
    [base, ["other content"]],
  ];
  for (const [value, contents] of others) assert.notEqual(key(value, contents), key(base));
  const said = { command: "same", inputs: ["pickle"], files: [] };
  const [, , ...rest] = base;
  assert.equal(key([1, "run 1", ...rest], ["x"], said), key([2, "run 2", ...rest], ["y"], said));
});

Deno.test("what is said for the journal is read, or refused with a sentence", () => {
  assert.equal(parseSaid(false), null);
  assert.deepEqual(parseSaid({}), nothingSaid);
  assert.deepEqual(parseSaid({ inputs: [null, "x"], files: ["/a"] }), {
    command: null,
    inputs: [null, "x"],
    files: ["/a"],
  });
  for (const bad of [true, { files: ["a"] }, { inputs: "x" }, { inputs: [1] }, { more: 1 }]) {
    assert.throws(() => parseSaid(bad), UsageError, JSON.stringify(bad));
  }
});
