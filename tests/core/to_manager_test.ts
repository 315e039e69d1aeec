import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import { measuredInfo, parseMeasured } from "../../core/protocol/measured.ts";
import type { ToManager } from "../../core/protocol/messages.ts";
import { encodeToManager, ToManagerGrammar } from "../../core/protocol/to_manager.ts";
import { bytesOf, textOf } from "../support/builders.ts";
import { anyToManager } from "../support/messages.ts";
import { cutAt, decodeAll } from "../support/transcript.ts";

function only(text: string): unknown {
  const messages = decodeAll<ToManager>(new ToManagerGrammar(), [bytesOf(text)]);
  return messages.filter((m) => m.type !== "payload" || m.bytes.length > 0)[0];
}

Deno.test("every message to a manager decodes to itself, however its bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(anyToManager, { maxLength: 6 }), fc.array(fc.nat()), (sent, at) => {
      const bytes = concat(
        sent.flatMap(({ message, payload }) => [encodeToManager(message), payload ?? bytesOf("")]),
      );
      const expected = sent.flatMap(({ message, payload }) =>
        payload === null ? [message] : [message, { type: "payload", bytes: payload }]
      );
      assert.deepEqual(decodeAll(new ToManagerGrammar(), cutAt(bytes, at)), expected);
    }),
  );
});

Deno.test("messages to a manager are written so that released managers read them", () => {
  const cases: [ToManager, string][] = [
    [
      {
        type: "workqueue",
        protocol: 11,
        hostname: "node7",
        os: "Linux",
        arch: "x86_64",
        version: "0.1.0",
      },
      "workqueue 11 node7 Linux x86_64 0.1.0\n",
    ],
    [{ type: "info", key: "worker-end-time", value: "0" }, "info worker-end-time 0\n"],
    [{ type: "feature", name: "NVIDIA A100" }, "feature NVIDIA%20A100\n"],
    // Whole numbers: they drop a worker that sends a fraction.
    [
      { type: "resource", name: "cores", total: 1.9, smallest: 1.9, largest: 1.9 },
      "resource cores 1 1 1\n",
    ],
    [{ type: "resource tag", tag: 0 }, "resource tag 0\n"],
    [{ type: "alive" }, "alive\n"],
    [{ type: "available_results" }, "available_results\n"],
    [
      { type: "result", status: 0, exitCode: 3, length: 5, wallUs: 8026, taskId: 1 },
      "result 0 3 5 8026 1\n",
    ],
    [{ type: "file", path: "out-1", length: 6 }, "file out-1 6\n"],
    [{ type: "missing", path: "out-1", errno: 2 }, "missing out-1 2\n"],
    [{ type: "end" }, "end\n"],
    [{ type: "dir", path: "out-1/a b" }, "dir out-1/a b 0\n"],
    [{ type: "update", taskId: 1, path: "log", offset: 8, length: 3 }, "update 1 log 8 3\n"],
    [
      { type: "cache-update", cacheName: "url-1", bytes: 6, wallUs: 120_500 },
      "cache-update url-1 6 120500\n",
    ],
    [{ type: "cache-invalid", cacheName: "url-1", length: 5 }, "cache-invalid url-1 5\n"],
    [{ type: "thirdput-complete", value: 0 }, "thirdput-complete 0\n"],
    [{ type: "tlq", url: "http://x/" }, "tlq http://x/\n"],
    [{ type: "status", request: "queue_status" }, "queue_status\n"],
    [{ type: "auth" }, "auth password sha1\n"],
  ];
  for (const [message, text] of cases) assert.equal(textOf(encodeToManager(message)), text);
});

Deno.test("what real workers vary is read", () => {
  const cases: [string, ToManager][] = [
    [
      "resource cores 4.000000 2.500000 4.000000\r\n",
      { type: "resource", name: "cores", total: 4, smallest: 2.5, largest: 4 },
    ],
    ["resource  tag  -1\n", { type: "resource tag", tag: -1 }],
    ["info disk_error  12 MB left \n", { type: "info", key: "disk_error", value: "12 MB left " }],
    ["result 0 11 0 8026 1 extra\n", {
      type: "result",
      status: 0,
      exitCode: 11,
      length: 0,
      wallUs: 8026,
      taskId: 1,
    }],
    // Paths are not encoded; the number is the last word.
    ["file out 1/a b 6\n", { type: "file", path: "out 1/a b", length: 6 }],
    ["missing out 1 2\n", { type: "missing", path: "out 1", errno: 2 }],
    ["dir out 1/a b 0\n", { type: "dir", path: "out 1/a b" }],
    ["feature 100%\n", { type: "feature", name: "100%" }],
    ["info k a\u2028b\n", { type: "info", key: "k", value: "a\u2028b" }],
    ["missing a\u2028b 2\n", { type: "missing", path: "a\u2028b", errno: 2 }],
    ["cache-update c 6 120500 0\n", {
      type: "cache-update",
      cacheName: "c",
      bytes: 6,
      wallUs: 120_500,
    }],
    ["GET / HTTP/1.0\r\nHost: x\r\nA: b\r\n\r\n", { type: "http", path: "/" }],
    ["auth password sha1\n", { type: "auth" }],
  ];
  for (const [text, message] of cases) assert.deepEqual(only(text), message);
});

Deno.test("a line that cannot be read is told with what was expected", () => {
  const cases: [string, string][] = [
    ["workqueue 11 node7 Linux x86_64", "expected at least 5 fields, got 4"],
    ["workqueue eleven a b c d", "field 1 is no number"],
    ["info tasks_running", "expected a value after 1 fields"],
    ["info tasks_running ", "expected a value after 1 fields"],
    ["info", "expected at least 1 fields, got 0"],
    ["feature", "expected at least 1 fields, got 0"],
    ["resource cores 4", "expected at least 3 fields, got 2"],
    ["resource cores a b c", "field 2 is no number"],
    ["result 0 0 -1 0 1", "field 3 is out of range 0 to 9007199254740991"],
    ["result 0 0 0 0", "expected at least 5 fields, got 4"],
    ["file out-1", "expected a path and a number"],
    ["file out-1 -6", "a length cannot be negative"],
    ["missing out-1 two", "expected a path and a number"],
    ["dir out-1", "expected a path and a number"],
    ["update 1 log 0", "expected a task, a path, an offset and a length"],
    ["update 1 log -1 5", "expected a task, a path, an offset and a length"],
    ["cache-update c -1 0", "field 2 is out of range 0 to 9007199254740991"],
    ["cache-invalid c", "expected at least 2 fields, got 1"],
    ["thirdput-complete", "expected at least 1 fields, got 0"],
    ["queue_status please", "not a message of a worker"],
    [" queue_status", "not a message of a worker"],
    ["QUEUE_STATUS", "not a message of a worker"],
    ["GET", "expected at least 1 fields, got 0"],
  ];
  for (const [line, why] of cases) {
    const refused = { type: "refused", why: `Cannot read "${line}": ${why}` };
    assert.deepEqual(only(`${line}\n`), refused);
  }
});

Deno.test("a long line is told by its beginning", () => {
  const { why } = only(`${"x".repeat(200)}\n`) as { why: string };
  assert.equal(why, `Cannot read "${"x".repeat(80)}": not a message of a worker`);
});

Deno.test("what a worker measured goes through an info line, to a microsecond and a kilobyte", () => {
  const thousandths = fc.nat({ max: 10 ** 9 }).map((n) => n / 1000);
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    fc.record({
      cpuUserMs: thousandths,
      cpuSystemMs: thousandths,
      memoryPeakMb: thousandths,
    }, { noNullPrototype: true }),
    (taskId, measured) => {
      const message = measuredInfo(taskId, measured);
      assert.ok(message.type === "info" && message.key === "wqx-measured");
      assert.deepEqual(parseMeasured(message.value), { taskId, measured });
    },
  ));
  for (const value of ["", "1", "1 2 3", "1 2 3 x", "1 -2 3 4", "1 2 3 Infinity"]) {
    assert.equal(parseMeasured(value), null, `nothing from "${value}"`);
  }
});

Deno.test("a browser's question is one once its head is complete, which is not long", () => {
  const head = (lines: number) => `GET /tasks HTTP/1.1\r\n${"X: y\r\n".repeat(lines)}`;
  assert.equal(only(head(0)), undefined);
  assert.equal(only(head(100)), undefined);
  assert.deepEqual(only(`${head(100)}\r\n`), { type: "http", path: "/tasks" });
  assert.deepEqual(only(head(101)), {
    type: "refused",
    why: "A head of more than 100 lines",
  });
});
