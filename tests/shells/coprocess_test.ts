/** Functions of coprocesses: called from the worker, and through a manager. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { RunError } from "../../core/errors.ts";
import { type Answer, Coprocesses, parseHello } from "../../worker/coprocesses.ts";
import { ManagerClient } from "../../io/api_client.ts";
import { needs } from "../support/skip.ts";
import { SpawnerBed } from "../support/spawner_bed.ts";
import { until } from "../support/until.ts";
import { TestBed, wqxFromSource } from "../support/wqx.ts";

const program = fileURLToPath(new URL("../support/coprocess.py", import.meta.url));
const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
const encoder = new TextEncoder();
const never = new AbortController().signal;

interface Parts {
  readonly bed: SpawnerBed;
  readonly coprocesses: Coprocesses;
  call(name: string, args: unknown, signal?: AbortSignal): Promise<Answer>;
}

function test(name: string, count: number, fn: (parts: Parts) => Promise<void>): void {
  Deno.test({
    ...needs(Deno.build.os === "linux", "the coprocess of tests is for Linux", name),
    async fn() {
      await using bed = await SpawnerBed.create(true);
      const { folder, spawner } = bed;
      await Deno.mkdir(folder.join("t.7"));
      const command = `python3 ${program}`;
      const options = { command, count, workspace: folder.path, env, spawner, debug: () => {} };
      await using coprocesses = await Coprocesses.start(options);
      const call = (name: string, args: unknown, signal = never) =>
        coprocesses.call(
          { name, sandbox: 7, input: encoder.encode(JSON.stringify(args)) },
          signal,
        );
      await fn({ bed, coprocesses, call });
    },
  });
}

function textOf(answer: Answer): string {
  assert.ok("output" in answer, JSON.stringify(answer));
  return new TextDecoder().decode(answer.output);
}

test("a function is called in the sandbox of its task, and its result comes back", 1, async ({
  coprocesses,
  call,
}) => {
  assert.equal(coprocesses.feature, "wq_worker_coprocess:tests");
  assert.equal(textOf(await call("add", { a: 2, b: 40 })), '{"Result": 42, "StatusCode": 200}');
  assert.equal(JSON.parse(textOf(await call("where", {}))).Result, "t.7");
  assert.equal(JSON.parse(textOf(await call("add", { a: 1 }))).StatusCode, 500);
  const length = 3_000_000;
  assert.equal(textOf(await call("long", { length })).length, length + 2);
});

test("each of several coprocesses has one call at a time, and others wait", 2, async ({ call }) => {
  const answers = await Promise.all(Array.from({ length: 12 }, () => call("where", {})));
  assert.equal(new Set(answers.map((answer) => JSON.parse(textOf(answer)).pid)).size, 2);
});

test("a call that is called off ends its coprocess, and another one takes its place", 1, async ({
  bed,
  call,
}) => {
  const off = new AbortController();
  const sleeping = call("sleep", {}, off.signal);
  const waiting = call("add", { a: 1, b: 2 });
  const left = new AbortController();
  const leaving = call("add", { a: 1, b: 2 }, left.signal);
  await until(() => Deno.stat(bed.folder.join("t.7/sleeping")).catch(() => null), {
    what: "the call",
  });
  left.abort();
  assert.deepEqual(await leaving, { why: "it was called off" });
  off.abort();
  assert.ok("why" in await sleeping);
  assert.equal(JSON.parse(textOf(await waiting)).Result, 3);
});

test("a function that ends its coprocess fails alone", 1, async ({ call }) => {
  const [left, other] = await Promise.all([call("leave", {}), call("add", { a: 1, b: 1 })]);
  assert.ok("why" in left);
  assert.equal(JSON.parse(textOf(other)).Result, 2);
});

const wrong = [
  ["true", /and ended without saying it$/],
  ["echo oh no >&2; exit 3", /ended without saying it; the last it said is: oh no$/],
  ["printf 'hello\\n'", /was to print its length, name and port as JSON/],
  ["no-such-coprocess", /not found$/],
] as const;

for (const [command, message] of wrong) {
  Deno.test(`"${command}" is no coprocess, and the worker says why`, async () => {
    await using bed = await SpawnerBed.create(true);
    const { folder, spawner } = bed;
    const options = { command, count: 2, workspace: folder.path, env, spawner, debug: () => {} };
    await assert.rejects(Coprocesses.start(options), (error: Error) => {
      assert.ok(error instanceof RunError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("where one of several cannot start, none of the others is left", async () => {
  await using bed = await SpawnerBed.create(true);
  const { folder, spawner } = bed;
  const command = "mkdir first 2>/dev/null && exit 3; exec sleep 1000";
  const options = { command, count: 3, workspace: folder.path, env, spawner, debug: () => {} };
  await assert.rejects(Coprocesses.start(options), /ended without saying it/);
  assert.deepEqual(bed.left(), []);
});

Deno.test("parseHello() waits for all of it, and takes nothing else for a name and a port", () => {
  const hello = '{"name": "n", "port": 4711}';
  assert.deepEqual(parseHello(`${hello.length}\n${hello}\n`), { name: "n", port: 4711 });
  const no = [
    "",
    "27",
    `27\n${hello.slice(0, 26)}`,
    "x\n{}",
    "2\n{}",
    '22\n{"name": 5, "port": 1}',
    '24\n{"name": "", "port": 10}',
    '27\n{"name": "a", "port": 70000}',
    "4\nnull",
  ];
  for (const text of no) assert.equal(parseHello(text), null, text);
});

Deno.test("tasks that call functions run on the workers that have them", async () => {
  await using bed = await TestBed.create();
  await using client = await ManagerClient.start({ wqx: wqxFromSource });
  const address = ["worker", "127.0.0.1", String(client.port), "--cores", "2"];
  await using _plain = bed.start(address);
  await using _worker = bed.start([...address, "--coprocess", `python3 ${program}`]);
  const count = 20;
  for (let i = 0; i < count; i++) {
    client.submit({
      command: "add",
      inputs: [{ bytes: encoder.encode(JSON.stringify({ a: i, b: 100 })), name: "infile" }],
      options: { coprocess: "tests" },
    });
  }
  const found = new Map<number, number>();
  for await (const { id, printed } of client.results()) {
    found.set(id, JSON.parse(new TextDecoder().decode(printed!)).Result);
    if (found.size === count) break;
  }
  const sums = [...found].sort(([a], [b]) => a - b).map(([, sum]) => sum);
  assert.deepEqual(sums, Array.from({ length: count }, (_, i) => 100 + i));
});
