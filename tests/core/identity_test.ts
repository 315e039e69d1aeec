import assert from "node:assert/strict";
import { changedFiles, differences, identityOf } from "../../core/analysis/identity.ts";
import { describeOther, linesOf, printOf } from "../../core/tasklist/records.ts";
import { crc32 } from "node:zlib";
import { analysisSpec, inputFile } from "../support/builders.ts";
import { listed, localInput, textInput } from "../support/tasklist.ts";

const files = [inputFile("a.root"), inputFile("b.root")];
const stamps = [{ bytes: 10, modifiedMs: 1 }, null];
const code = { "The processor p.ts": "aa" };
const spec = analysisSpec({ files });
const before = identityOf(spec, code, stamps);

Deno.test("the same analysis is the same, however many workers it has", () => {
  const now = identityOf(
    { ...spec, workers: null, retries: 9, resources: { cores: 2 } },
    code,
    stamps,
  );
  assert.deepEqual(differences(before, now), []);
  assert.deepEqual(changedFiles(before, now), []);
});

Deno.test("what another result would come of is named", () => {
  const other = { ...spec, chunkSize: 77, chunksMax: 3, files: [files[1]!, inputFile("c.root")] };
  const said = differences(before, identityOf(other, { "The processor p.ts": "bb" }, stamps));
  assert.deepEqual(said, [
    "chunksize is 77, it was 100",
    "maxchunks is 3, it was none",
    "The processor p.ts has changed",
    `"${inputFile("c.root").source}" (dataset A) is new`,
    `"${files[0]!.source}" (dataset A) is not there any more`,
  ]);
  const turned = identityOf({ ...spec, files: files.toReversed() }, code, stamps);
  assert.deepEqual(differences(before, turned), ["the files stand in another order"]);
});

Deno.test("of very many differences the first are named", () => {
  const many = Array.from({ length: 30 }, (_, i) => inputFile(`n${i}.root`));
  const said = differences(before, identityOf({ ...spec, files: many }, code, []));
  assert.equal(said.length, 11);
  assert.equal(said.at(-1), "and 22 more");
});

Deno.test("files that were written to are named by their place", () => {
  const now = identityOf(spec, code, [{ bytes: 12, modifiedMs: 1 }, null]);
  assert.deepEqual(changedFiles(before, now), [
    { place: 0, what: `"${files[0]!.source}" (dataset A) has 12 bytes, it had 10 bytes` },
  ]);
  const later = identityOf(spec, code, [{ bytes: 10, modifiedMs: 2 }, null]);
  assert.deepEqual(changedFiles(before, later), [
    { place: 0, what: `"${files[0]!.source}" (dataset A) was written to in the meantime` },
  ]);
});

Deno.test("tasks of a list are told apart by what they ask for", () => {
  const print = (task: Parameters<typeof listed>[2]) =>
    printOf({ kind: "task", task: listed(1, [], task) });
  const tasks = [
    {},
    { command: "false" },
    { env: ["A=1"] },
    { inputs: [localInput("/a")] },
    { inputs: [textInput("a")] },
    { inputs: [textInput("b")] },
  ];
  assert.equal(new Set(tasks.map(print)).size, tasks.length);
  assert.equal(print({ priority: 3, retriesMax: 2, name: "fit" }), print({}));
  assert.equal(
    describeOther(listed(3, [], { name: "fit", command: "run" })),
    'task "fit" (3), "run", is not the one that was finished',
  );
});

Deno.test("lines are only believed as they were written", () => {
  const bytes = new TextEncoder().encode('{"id":1}\n{"id":2}\n');
  const record = { type: "lines", until: bytes.length, sum: crc32(bytes), prints: [7, 8] } as const;
  assert.deepEqual(linesOf(record, bytes)?.map(({ id }) => id), [1, 2]);
  assert.equal(linesOf({ ...record, prints: [7] }, bytes), null);
  bytes[3]! ^= 1;
  assert.equal(linesOf(record, bytes), null);
});
