import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import { blockBytesMax, type TaskBlock, type ToWorker } from "../../core/protocol/messages.ts";
import { encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { bytesOf, taskBlock, textOf } from "../support/builders.ts";
import { anyTask, anyToWorker } from "../support/messages.ts";
import { cutAt, decodeAll } from "../support/transcript.ts";

function decode(text: string): unknown[] {
  return decodeAll<ToWorker>(new ToWorkerGrammar(), [bytesOf(text)]);
}

function only(text: string): unknown {
  const messages = decode(text);
  assert.equal(messages.length, 1, `one message in ${JSON.stringify(text)}`);
  return messages[0];
}

Deno.test("every message to a worker decodes to itself, however its bytes are cut", () => {
  fc.assert(fc.property(fc.array(anyToWorker, { maxLength: 6 }), fc.array(fc.nat()), (sent, at) => {
    const bytes = concat(
      sent.flatMap(({ message, payload }) => [encodeToWorker(message), payload ?? bytesOf("")]),
    );
    const expected = sent.flatMap(({ message, payload }) =>
      payload === null ? [message] : [message, { type: "payload", bytes: payload }]
    );
    assert.deepEqual(decodeAll(new ToWorkerGrammar(), cutAt(bytes, at)), expected);
  }));
});

Deno.test("messages to a worker are written as Work Queue's managers write them", () => {
  const cases: [ToWorker, string][] = [
    [{ type: "put", cacheName: "a b", length: 6, mode: 0o644 }, "put a%20b 6 0644\n"],
    [{ type: "send_results" }, "send_results -1\n"],
    [{ type: "get", cacheName: "out-1" }, "get out-1 1\n"],
    [{ type: "kill", taskId: 7 }, "kill 7\n"],
    [{ type: "kill", taskId: -1 }, "kill -1\n"],
    [{ type: "unlink", cacheName: "out-1" }, "unlink out-1\n"],
    [{ type: "check" }, "check\n"],
    [{ type: "release" }, "release\n"],
    [{ type: "exit" }, "exit\n"],
    [{ type: "auth" }, "auth password sha1\n"],
    [
      taskBlock(3, {
        command: "echo é",
        cores: 4 / 3,
        env: ["A=ü"],
        inputs: [{ cacheName: "in-1", sandboxName: "a b", flags: 1 }],
        outputs: [{ cacheName: "out-1", sandboxName: "o", flags: 0 }],
      }),
      "task 3\ncmd 7\necho écategory default\ncores 1.333\ngpus 0\nmemory 500\ndisk 1000\n" +
      "env 4\nA=ü\ninfile in-1 a%20b 1\noutfile out-1 o 0\nend\n",
    ],
  ];
  for (const [message, text] of cases) assert.equal(textOf(encodeToWorker(message)), text);
});

Deno.test("what real managers vary is read", () => {
  const plain = { type: "put", cacheName: "a", length: 0, mode: 0o777 };
  const empty = { type: "payload", bytes: new Uint8Array(0) };
  assert.deepEqual(decode("put a 0 777\n"), [plain, empty]);
  assert.deepEqual(decode("put\ta  000 0777 extra fields\r\n"), [plain, empty]);
  assert.deepEqual(only("get a%20b 1\n"), { type: "get", cacheName: "a b" });
  assert.deepEqual(only("get a\n"), { type: "get", cacheName: "a" });
  assert.deepEqual(only("send_results\n"), { type: "send_results" });
  assert.deepEqual(only("kill 007\n"), { type: "kill", taskId: 7 });

  const block = taskBlock(1, {
    command: "a\nb",
    category: "two words",
    cores: 1.5,
    gpus: 2,
    env: ["A=1", "B="],
    outputs: [{ cacheName: "c%20d", sandboxName: "c d", flags: 33 }],
  });
  // Any order, fractions, blank lines, and the bytes of `env` with their uncounted line end.
  assert.deepEqual(
    only(
      "task 1\noutfile c%20d c%20d 33\n\nenv 3\nA=1\ndisk 1000.9\ncores 1.500\nmemory 500.0\n" +
        "cmd 3\na\nbgpus 2\n  category two words\nenv 2\nB=\nend\n",
    ),
    block,
  );
  const nothing: TaskBlock = taskBlock(2, { command: "", cores: 0, memoryMb: 0, diskMb: 0 });
  assert.deepEqual(only("task 2\nend\n"), nothing, "what a block leaves out is nothing");
});

Deno.test("a task block that is not complete is no task", () => {
  fc.assert(fc.property(anyTask, fc.nat(), (task, at) => {
    const bytes = encodeToWorker(task);
    assert.deepEqual(
      decodeAll(new ToWorkerGrammar(), [bytes.subarray(0, at % bytes.length)]),
      [],
    );
  }));
});

Deno.test("names that climb out of the cache or the sandbox are refused", () => {
  const cached = ["..", ".", "a%2Fb", "%2Fetc%2Fpasswd", "%2e%2E", "/etc/passwd", "../x", "a%00b"];
  const sandbox = ["..", "../x", "a/../b", "/etc/passwd", "%2Fetc", "%2e%2e/x", "a//b", "a%00b"];
  const lines = [
    ...cached.flatMap((name) => [`put ${name} 3 0644`, `get ${name} 1`, `unlink ${name}`]),
    // A task block's cached names are not encoded: what looks encoded is plain there.
    ...cached.filter((name) => !name.includes("%")).flatMap((name) => [
      `task 1\ninfile ${name} in 0`,
      `task 1\noutfile ${name} out 0`,
    ]),
    ...sandbox.flatMap((name) => [
      `task 1\ninfile in-1 ${name} 0`,
      `task 1\noutfile out-1 ${name} 0`,
    ]),
  ];
  for (const line of lines) {
    const { type, why } = only(`${line}\n`) as { type: string; why: string };
    assert.equal(type, "refused", line);
    assert.match(why, /^Refused the (cached|sandbox) name "/);
  }
});

Deno.test("a line that cannot be read is told with what was expected", () => {
  const cases: [string, string][] = [
    ["hello world", "not a message of a manager"],
    ["", "not a message of a manager"],
    ["put a", "expected at least 2 fields, got 1"],
    ["put a x 0644", "field 2 is no number"],
    ["put a 1e3 0644", "field 2 is no number"],
    ["put a -1 0644", "field 2 is out of range 0 to 9007199254740991"],
    ["put a 99999999999999999 0644", "field 2 is out of range"],
    ["put a 1 0888", "field 3 is no octal mode"],
    ["kill", "expected at least 1 fields, got 0"],
    ["task 1\nhello", "not a line of a task block"],
    ["task 1\ncategory", "expected a value after 0 fields"],
    ["task 1\ninfile a", "expected at least 2 fields, got 1"],
    [`task 1\ncmd ${blockBytesMax + 1}`, `field 1 is out of range 0 to ${blockBytesMax}`],
    [`task 1\nenv ${blockBytesMax + 1}`, `field 1 is out of range 0 to ${blockBytesMax}`],
  ];
  for (const [lines, why] of cases) {
    const line = lines.split("\n").at(-1);
    assert.deepEqual(
      only(`${lines}\n`),
      { type: "refused", why: `Cannot read "${line}": ${why}` },
    );
  }
});

Deno.test("a task block over its limit is refused before its bytes are awaited", () => {
  const half = blockBytesMax / 2;
  const grammar = new ToWorkerGrammar();
  grammar.line("task 1");
  assert.deepEqual(grammar.line(`cmd ${half}`), { kind: "part", blobBytes: half });
  grammar.blob(new Uint8Array(half));
  assert.throws(() => grammar.line(`env ${half}`), {
    constructor: PeerProtocolError,
    message: `Cannot accept a task block of more than ${blockBytesMax} bytes`,
  });

  // Many small lines count as well.
  const many = new ToWorkerGrammar();
  many.line("task 1");
  const line = `infile ${"a".repeat(4000)} in 1`;
  let accepted = 0;
  assert.throws(() => {
    for (; accepted <= blockBytesMax; accepted += line.length) many.line(line);
  }, PeerProtocolError);
  assert.ok(accepted > blockBytesMax - 2 * line.length);
});

Deno.test("a line too long for workers is not sent", () => {
  const name = "a".repeat(4085);
  assert.equal(encodeToWorker({ type: "unlink", cacheName: name.slice(0, 4088) }).length, 4093);
  assert.equal(encodeToWorker({ type: "get", cacheName: "a".repeat(4089) }).length, 4096);
  assert.throws(() => encodeToWorker({ type: "get", cacheName: "a".repeat(4090) }), {
    name: "RangeError",
    message: `Cannot send a line of 4096 bytes ("get ${"a".repeat(56)}…"): ` +
      "workers read at most 4095; shorten the name",
  });
  const file = { cacheName: "in-1", sandboxName: "é".repeat(700), flags: 0 };
  assert.throws(() => encodeToWorker(taskBlock(1, { inputs: [file] })), RangeError);
  assert.doesNotThrow(() => encodeToWorker(taskBlock(1, { command: "x".repeat(10_000) })));
});
