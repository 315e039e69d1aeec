import assert from "node:assert/strict";
import fc from "fast-check";
import { concat } from "../../core/bytes.ts";
import { PeerProtocolError } from "../../core/errors.ts";
import {
  blockBytesMax,
  type Dialect,
  newestDialect,
  type TaskBlock,
  type ToWorker,
} from "../../core/protocol/messages.ts";
import { blockPieces, encodeToWorker, ToWorkerGrammar } from "../../core/protocol/to_worker.ts";
import { bytesOf, taskBlock, textOf } from "../support/builders.ts";
import { anyDialect, anyOldFetch, anyTask, anyToWorker, type Sent } from "../support/messages.ts";
import { cutAt, decodeAll } from "../support/transcript.ts";

function decode(text: string): unknown[] {
  return decodeAll<ToWorker>(new ToWorkerGrammar(), [bytesOf(text)]);
}

function only(text: string): unknown {
  const messages = decode(text);
  assert.equal(messages.length, 1, `one message in ${JSON.stringify(text)}`);
  return messages[0];
}

/** The bytes of these messages with their payloads, and what they have to decode to. */
function wire(sent: readonly Sent<ToWorker>[], dialect: Dialect): [Uint8Array, unknown[]] {
  const bytes = concat(
    sent.flatMap(({ message, payload }) => [
      encodeToWorker(message, dialect),
      payload ?? bytesOf(""),
    ]),
  );
  const expected = sent.flatMap(({ message, payload }) =>
    payload === null ? [message] : [message, { type: "payload", bytes: payload }]
  );
  return [bytes, expected];
}

Deno.test("every message to a worker decodes to itself, however its bytes are cut", () => {
  fc.assert(fc.property(fc.array(anyToWorker, { maxLength: 6 }), fc.array(fc.nat()), (sent, at) => {
    const [bytes, expected] = wire(sent.flat(), newestDialect);
    assert.deepEqual(decodeAll(new ToWorkerGrammar(), cutAt(bytes, at)), expected);
  }));
});

Deno.test("it does so in the dialect of any worker", () => {
  const sent = fc.oneof(anyTask, anyOldFetch.map((m) => m as ToWorker));
  fc.assert(
    fc.property(fc.array(sent), anyDialect, fc.array(fc.nat()), (messages, dialect, at) => {
      const spoken = messages.filter((m) => m.type !== "fetch" || dialect.protocol < 11);
      const [bytes] = wire(spoken.map((message) => ({ message, payload: null })), dialect);
      assert.deepEqual(decodeAll(new ToWorkerGrammar(), cutAt(bytes, at)), spoken);
    }),
  );
});

Deno.test("workers are told of sources and end times as their protocol has it", () => {
  const { old, new: newest } = {
    old: { protocol: 9, endTimeInSeconds: false },
    new: newestDialect,
  };
  const between = { protocol: 10, endTimeInSeconds: true };
  const from = (what: "url" | "command" | "path", source: string): ToWorker => (
    { type: "fetch", from: what, source, cacheName: "c", mode: 0o755 }
  );
  const ends = taskBlock(1, { endTimeMs: 1_700_000_000_250, wallTimeMs: 1500.0004 });
  const cases: [ToWorker, Dialect, string][] = [
    [from("url", "http://x/a b"), newest, "puturl http://x/a%20b c 0 755\n"],
    [from("command", "date >%%"), newest, "putcmd date%20%3E%25%25 c 0 755\n"],
    [from("url", "http://x/é"), old, "url c 12 0755 1\nhttp://x/é\0"],
    [from("url", "http://x/é"), between, "url c 12 0755 1\nhttp://x/é\0"],
    [from("command", "date >%%"), old, "thirdget 1 c date >%%\n"],
    [from("path", "/nfs/a b"), between, "thirdget 2 c /nfs/a b\n"],
  ];
  for (const [message, dialect, text] of cases) {
    assert.equal(textOf(encodeToWorker(message, dialect)), text);
  }
  const limits = (dialect: Dialect) =>
    textOf(encodeToWorker(ends, dialect)).split("\n").filter((line) => /_time /.test(line));
  // Rounded up: never killed before its time. The wall time is in microseconds for all of them.
  assert.deepEqual(limits(newest), ["end_time 1700000001", "wall_time 1500001"]);
  assert.deepEqual(limits(between), ["end_time 1700000001", "wall_time 1500001"]);
  assert.deepEqual(limits(old), ["end_time 1700000000250000", "wall_time 1500001"]);
});

Deno.test("end times and wall times of old and new managers are told apart", () => {
  const cases: [string, Partial<TaskBlock>][] = [
    ["end_time 1700000000.250000", { endTimeMs: 1_700_000_000_250 }],
    ["end_time 1700000000", { endTimeMs: 1_700_000_000_000 }],
    ["end_time 1700000000250000", { endTimeMs: 1_700_000_000_250 }],
    ["end_time 1000000000000", { endTimeMs: 1e15 }],
    ["end_time 1000000000001", { endTimeMs: 1_000_000_000.001 }],
    ["end_time 18446744073709551615", {}],
    ["end_time 18446744073709551615.000000", {}],
    ["end_time 9223372036854775808", {}],
    ["wall_time 60.500000", { wallTimeMs: 60_500 }],
    ["wall_time 60500000", { wallTimeMs: 60_500 }],
    ["wall_time 18446744073709551615", {}],
  ];
  for (const [line, limits] of cases) {
    const block = taskBlock(1, { command: "", cores: 0, memoryMb: 0, diskMb: 0, ...limits });
    assert.deepEqual(only(`task 1\n${line}\nend\n`), block, line);
  }
});

Deno.test("messages to a worker are written as Work Queue's managers write them", () => {
  const cases: [ToWorker, string][] = [
    [{ type: "put", cacheName: "a b", inside: "", length: 6, mode: 0o644 }, "put a%20b 6 0644\n"],
    [
      { type: "put", cacheName: "d", inside: "s/a b", length: 6, mode: 0o644 },
      "put a%20b 6 0644\n",
    ],
    [{ type: "dir", cacheName: "a b", inside: "" }, "dir a%20b\n"],
    [{ type: "dir", cacheName: "d", inside: "s/t u" }, "dir t%20u\n"],
    [{ type: "dir_end", cacheName: "d", inside: "s/t u" }, "end\n"],
    // Real workers take the target as it comes, without an end of its own.
    [{ type: "symlink", cacheName: "d", inside: "s/l", target: "../é" }, "symlink l 6\n../é\0"],
    [
      { type: "thirdput", to: "command", target: "cat >x", cacheName: "o" },
      "thirdput 1 o cat >x\n",
    ],
    [{ type: "thirdput", to: "path", target: "/a b", cacheName: "o" }, "thirdput 2 o /a b\n"],
    [{ type: "invalidate-file", cacheName: "in-1" }, "invalidate-file in-1\n"],
    [{ type: "tlq", url: "http://x/" }, "tlq http://x/\n"],
    // What real managers mean by a name with %XX of its own.
    [{ type: "get", cacheName: "a b", written: "a%20b" }, "get a%20b 1\n"],
    [{ type: "unlink", cacheName: "a b", written: "a%20b" }, "unlink a%20b\n"],
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
        directories: ["tmp", "a/b"],
        outputs: [{ cacheName: "out-1", sandboxName: "o", flags: 0 }],
      }),
      "task 3\ncmd 7\necho écategory default\ncores 1.333\ngpus 0\nmemory 500\ndisk 1000\n" +
      "env 4\nA=ü\ninfile in-1 a%20b 1\ndir tmp\ndir a/b\noutfile out-1 o 0\nend\n",
    ],
  ];
  for (const [message, text] of cases) assert.equal(textOf(encodeToWorker(message)), text);
});

Deno.test("what real managers vary is read", () => {
  const plain = { type: "put", cacheName: "a", inside: "", length: 0, mode: 0o777 };
  const empty = { type: "payload", bytes: new Uint8Array(0) };
  assert.deepEqual(decode("put a 0 777\n"), [plain, empty]);
  assert.deepEqual(decode("put\ta  000 0777 extra fields\r\n"), [plain, empty]);
  const spaced = { cacheName: "a b", written: "a%20b" };
  assert.deepEqual(only("get a%20b 1\n"), { type: "get", ...spaced });
  assert.deepEqual(only("unlink a%20b\n"), { type: "unlink", ...spaced });
  assert.deepEqual(only("invalidate-file a%20b\n"), {
    type: "invalidate-file",
    cacheName: "a%20b",
  });
  const fetch = { type: "fetch", source: "x y", cacheName: "c d", mode: 0o777 } as const;
  assert.deepEqual(only("puturl x%20y c%20d 0 777\n"), { ...fetch, from: "url" });
  assert.deepEqual(only("putcmd x%20y c%20d 0 0777\n"), { ...fetch, from: "command" });
  // In older protocols the name of a URL is as it is written, that of a command is encoded.
  assert.deepEqual(only("url c%20d 3 0777 1\nx y"), { ...fetch, from: "url", cacheName: "c%20d" });
  assert.deepEqual(only("thirdget 1 c%20d x y\n"), { ...fetch, from: "command" });
  assert.deepEqual(only("thirdget 3 c%20d x y\n"), { ...fetch, from: "path" });
  assert.deepEqual(only("get a\n"), { type: "get", cacheName: "a" });
  assert.deepEqual(only("send_results\n"), { type: "send_results" });
  assert.deepEqual(only("kill 007\n"), { type: "kill", taskId: 7 });

  const block = taskBlock(1, {
    command: "a\nb",
    category: "two words",
    cores: 1.5,
    gpus: 2,
    env: ["A=1", "B="],
    directories: ["a b/c"],
    outputs: [{ cacheName: "c%20d", sandboxName: "c d", flags: 33 }],
  });
  // Any order, fractions, blank lines, and the bytes of `env` with their uncounted line end.
  assert.deepEqual(
    only(
      "task 1\noutfile c%20d c%20d 33\n\nenv 3\nA=1\ndisk 1000.9\ncores 1.500\nmemory 500.0\n" +
        "dir  a b/c\ncmd 3\na\nbgpus 2\n  category two words\nenv 2\nB=\nend\n",
    ),
    block,
  );
  const nothing: TaskBlock = taskBlock(2, { command: "", cores: 0, memoryMb: 0, diskMb: 0 });
  assert.deepEqual(only("task 2\nend\n"), nothing, "what a block leaves out is nothing");
});

Deno.test("no body of a task block ends in the middle of a TLS record in which more follows", () => {
  const recordBytesMax = 16 * 1024;
  const long = fc.integer({ min: 0, max: 40_000 }).map((length) => "é".repeat(length));
  const env = fc.array(fc.oneof(long, fc.string()).map((value) => `NAME=${value}`));
  const names = fc.array(fc.integer({ min: 1, max: 300 }).map((length) => "n".repeat(length)), {
    size: "large",
  });
  fc.assert(fc.property(long, env, names, (command, env, names) => {
    const inputs = names.map((name) => ({ cacheName: name, sandboxName: name, flags: 1 }));
    const task = taskBlock(1, { command, env, inputs, outputs: inputs });
    const pieces = blockPieces(task, newestDialect);
    const bytes = pieces.map((piece) => typeof piece === "string" ? bytesOf(piece) : piece);
    assert.deepEqual(concat(bytes), encodeToWorker(task));
    for (const [i, piece] of pieces.entries()) {
      if (typeof piece === "string") assert.ok(bytes[i]!.length <= recordBytesMax);
      else assert.ok(piece.length > 2048 && [command, ...env].includes(textOf(piece)));
    }
  }));
  assert.equal(blockPieces(taskBlock(1), newestDialect).length, 1, "most leave as one piece");
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
    ...cached.flatMap((name) => [
      `put ${name} 3 0644`,
      `dir ${name}`,
      `get ${name} 1`,
      `unlink ${name}`,
      `puturl http://x/ ${name} 0 755`,
      `putcmd true ${name} 0 755`,
      `thirdget 1 ${name} true`,
      `thirdput 2 ${name} /nfs/out`,
    ]),
    ...cached.filter((name) => !name.includes("%")).map((name) => `url ${name} 8 0644 1`),
    // Within a directory.
    ...["", "dir sub\n"].flatMap((deeper) =>
      cached.flatMap((name) =>
        [`put ${name} 3 0644`, `dir ${name}`, `symlink ${name} 3`].map((line) =>
          `dir d\n${deeper}${line}`
        )
      )
    ),
    // A task block's cached names are not encoded: what looks encoded is plain there.
    ...cached.filter((name) => !name.includes("%")).flatMap((name) => [
      `task 1\ninfile ${name} in 0`,
      `task 1\noutfile ${name} out 0`,
    ]),
    ...sandbox.flatMap((name) => [
      `task 1\ninfile in-1 ${name} 0`,
      `task 1\noutfile out-1 ${name} 0`,
    ]),
    ...sandbox.filter((name) => !name.includes("%")).map((name) => `task 1\ndir ${name}`),
  ];
  for (const line of lines) {
    const { type, why } = decode(`${line}\n`).at(-1) as { type: string; why: string };
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
    ["task 1\ndir", "expected a value after 0 fields"],
    ["task 1\nend_time soon", "field 1 is no number"],
    ["url a 4097 0644 1", "field 2 is out of range 0 to 4096"],
    ["puturl a b 0", "expected at least 4 fields, got 3"],
    ["thirdget 0 a b", "field 1 is no way of transfer: 1, 2 or 3"],
    ["thirdput 1 a", "expected a value after 2 fields"],
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

Deno.test("what is not a line of a directory is refused there, also deep in it", () => {
  for (const line of ["task 1", "get a 1", "check", "", "puturl a b 0 755"]) {
    assert.deepEqual(decode(`dir d\ndir s\n${line}\n`).at(-1), {
      type: "refused",
      why: `Cannot read "${line}": not a line within a directory`,
    });
  }
  const refused = decode("dir d\nsymlink l 4097\n").at(-1);
  assert.deepEqual(refused, {
    type: "refused",
    why: 'Cannot read "symlink l 4097": field 2 is out of range 0 to 4096',
  });
  // After its end, lines are what they were before.
  assert.deepEqual(decode("dir d\nend\nend\n").at(-1), {
    type: "refused",
    why: 'Cannot read "end": not a message of a manager',
  });
});

Deno.test("a line's length is counted in bytes", () => {
  assert.throws(() => encodeToWorker(taskBlock(1, { category: "é".repeat(3000) })), RangeError);
  const category = "é".repeat((4095 - "category ".length) / 2);
  assert.doesNotThrow(() => encodeToWorker(taskBlock(1, { category })));
});
