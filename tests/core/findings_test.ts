/** What the fuzzer found (`deno task fuzz`), each with the input that showed it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DamagedResultError, decode, encode } from "../../core/accumulator/codec.ts";
import { decode as decodeColumn } from "../../analysis/root/decode.ts";
import { parseTask } from "../../core/api/task.ts";
import { Buffers } from "../../core/api/task.ts";
import { HistoryReader } from "../../core/catalog/history.ts";
import { RunError, UsageError } from "../../core/errors.ts";
import { parseJxValue } from "../../core/jx/parse.ts";
import { printJx } from "../../core/jx/print.ts";
import { parseLimitsFile } from "../../core/monitor/limits.ts";
import { withoutFiles } from "../../core/package/conda_meta.ts";
import { readSettings } from "../../core/package/condarc.ts";
import { parseLinkJson } from "../../core/package/entry_points.ts";
import { readRecord } from "../../core/package/repodata.ts";
import { parseMatchSpec } from "../../core/package/match_spec.ts";
import { elfLinks } from "../../core/package/elf.ts";
import { notebookCode } from "../../core/package/imports.ts";
import { readLock } from "../../core/package/lock.ts";
import { Decoder } from "../../core/protocol/decoder.ts";
import type { Order } from "../../core/protocol/messages.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { archiveName } from "../../core/worker/environment_command.ts";

Deno.test("a zero in a text of JX ends it, written or escaped, so that it prints as it reads", () => {
  for (const text of ['{"a\0b":2}', '{"a\\u0000b":2}']) {
    const printed = printJx(parseJxValue(text));
    assert.equal(printed, '{"a":2}');
    assert.equal(printJx(parseJxValue(printed)), printed);
  }
});

Deno.test("a line of a history with thousands of removals without line ends is read, all of them", () => {
  const reader = new HistoryReader();
  const events = reader.read("R key a".repeat(9000));
  assert.equal(events.length, 9000);
  assert.deepEqual(events.at(-1), { type: "remove", key: "key", field: "a" });
  assert.equal(reader.damaged, 0);
});

Deno.test("a line of a history with zeros, as a power cut leaves it, is damaged", () => {
  const reader = new HistoryReader();
  assert.deepEqual(reader.read('C key {"a\0":1}'), []);
  assert.equal(reader.damaged, 1);
});

Deno.test("a partial result whose checksum holds and whose tree is no JSON is refused as damaged", () => {
  const bytes = encode({ sum: 3 });
  bytes[56] = 0x21;
  bytes.set(createHash("sha256").update(bytes.subarray(48)).digest(), 16);
  assert.throws(
    () => decode(bytes),
    (error) => error instanceof DamagedResultError && /its tree is not JSON/.test(error.message),
  );
});

Deno.test("values that are no texts, though asked for one, are refused in a sentence", () => {
  const odd = { toString: 1 };
  assert.throws(
    () => readLock({ "wqx-lock": odd }),
    (error) =>
      error instanceof UsageError && /this lock is of version {"toString":1}/.test(error.message),
  );
  for (const value of ['{"toString":1}', "[]", "null"]) {
    assert.throws(
      () => parseLimitsFile(`{"memory":${value}}`, "limits.json"),
      (error) =>
        error instanceof UsageError &&
        /limits.json: memory: ".*" is not a limit/.test(error.message),
    );
  }
  assert.throws(
    () => readSettings([{ path: "condarc", value: { offline: odd } }], {}),
    (error) => error instanceof UsageError && /not {"toString":1}/.test(error.message),
  );
  assert.throws(
    () => readSettings([{ path: "condarc", value: { channel_priority: odd } }], {}),
    UsageError,
  );
  assert.throws(
    () => parseLinkJson('{"noarch":{"type":"python","entry_points":[{"toString":1}]}}'),
    RunError,
  );
  const raw = { name: "a", version: "1", build: "0", track_features: [odd, "x"] };
  const folder = { url: "https://host/c/noarch", subdir: "noarch", channel: "c" };
  assert.equal(readRecord(raw, "a-1-0.conda", folder)?.trackFeatures, "x");
  const cell = { cell_type: "code", source: odd };
  assert.equal(
    notebookCode(JSON.stringify({ cells: [cell, { ...cell, source: ["a\n", odd] }] })),
    "\n\na\n\n",
  );
});

Deno.test("a package's record keeps entries of its paths that are none", () => {
  const text =
    '{"name":"a","version":"1","files":["x"],"paths_data":{"paths":[null,{"_path":"x"}]}}';
  const left: unknown = JSON.parse(withoutFiles(text, new Set(["x"])));
  assert.deepEqual(left, {
    name: "a",
    version: "1",
    files: [],
    paths_data: { paths_version: 1, paths: [null] },
  });
});

Deno.test("the cached name of a transfer from or to elsewhere is written as it is read", () => {
  const cacheName = "a b%";
  const orders: readonly Order[] = [
    { type: "thirdput", to: "path", target: "/data/x y", cacheName },
    { type: "fetch", from: "path", source: "/data/x y", cacheName, mode: 0o777 },
  ];
  const decoder = new Decoder(new ToWorkerGrammar());
  for (const order of orders) {
    decoder.feed(encodeToWorker(order));
    assert.deepEqual(decoder.next(), order);
  }
});

Deno.test("a build that would pass for a comparison of versions is refused", () => {
  assert.throws(
    () => parseMatchSpec("numpy 1=!"),
    (error) => error instanceof UsageError && /"!" is no build/.test(error.message),
  );
});

Deno.test("archiveName() takes names with line ends", () => {
  assert.equal(archiveName("a\nb.tar.gz", "0123456789abcdef"), "a_b-0123456789ab.tar.gz");
});

Deno.test("a task has as many features as a client likes", () => {
  const features = Array.from({ length: 300_000 }, () => "x");
  const { spec } = parseTask(
    [1, "true", "default", [], [], { features }],
    new Buffers(new Uint8Array(0)),
  );
  assert.equal(spec.features?.length, 300_000);
});

Deno.test("a library's names are read within bounds, whatever its tables say", () => {
  const bytes = new Uint8Array(200_000).fill(0x41);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  const view = new DataView(bytes.buffer);
  const segments = [[1, 0, bytes.length], [2, 200, 32_000]] as const;
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  for (const [i, [type, offset, size]] of segments.entries()) {
    view.setUint32(64 + 56 * i, type, true);
    view.setBigUint64(64 + 56 * i + 8, BigInt(offset), true);
    view.setBigUint64(64 + 56 * i + 16, BigInt(offset), true);
    view.setBigUint64(64 + 56 * i + 32, BigInt(size), true);
  }
  for (let at = 200; at < 32_200; at += 16) {
    view.setBigUint64(at, at === 200 ? 5n : 1n, true);
    view.setBigUint64(at + 8, at === 200 ? 32_300n : 0n, true);
  }
  bytes[92_300] = 0; // 2,000 names of 60,000 letters
  assert.equal(elfLinks(bytes), null);
});

Deno.test("a basket that claims more events or values than it holds takes no memory for them", () => {
  const empty = { from: 0, values: new Uint8Array(0), entryOffsets: null, base: 0 };
  const many = 2 ** 31 - 2;
  assert.throws(
    () =>
      decodeColumn({ scalar: "float64", shape: "fixed", perEvent: many, record: null }, [
        { ...empty, to: 4, events: 4 },
      ]),
    /do not fill 0/,
  );
  assert.throws(
    () =>
      decodeColumn({ scalar: "float64", shape: "counted", perEvent: 1, record: null }, [
        { ...empty, to: 1, events: many },
      ]),
    /cannot have 2147483646 events/,
  );
});
