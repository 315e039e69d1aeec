import assert from "node:assert/strict";
import { toJson } from "../../core/jx/json.ts";
import { askManager, type ManagerQueryOptions } from "../../io/manager_query.ts";
import { freshIdentity } from "../../io/kept_identity.ts";
import { Manager } from "../../manager/server.ts";
import { openToAll, type Serving } from "../../manager/serving.ts";
import { taskSpec } from "../support/builders.ts";
import { deadPort } from "../support/scripted_manager.ts";
import { nobodyListens } from "../support/status_peers.ts";

const never = new AbortController().signal;
const open: ManagerQueryOptions = { tls: false, password: null, timeoutMs: 5000, signal: never };
const bytes = (text: string) => new TextEncoder().encode(text);

function listen(serving: Partial<Serving> = {}): Manager {
  return Manager.listen({
    hostname: "127.0.0.1",
    name: "ana",
    version: "0",
    port: { low: 0, high: 0 },
    serving: { ...openToAll, ...serving },
  }, nobodyListens);
}

Deno.test("a manager answers each of the questions, with TLS and a password too", async () => {
  const content = bytes("open sesame\n");
  const tls = { identity: await freshIdentity(), required: true };
  const cases: [Partial<Serving>, Partial<ManagerQueryOptions>][] = [
    [{}, {}],
    [{ password: { content, path: "p" } }, { password: content }],
    [{ password: { content, path: "p" }, tls }, { password: content, tls: true }],
  ];
  for (const [serving, asking] of cases) {
    await using manager = listen(serving);
    manager.submit(taskSpec({ category: "c" }));
    const address = { host: "127.0.0.1", port: manager.port };
    const ask = (question: Parameters<typeof askManager>[1]) =>
      askManager(address, question, { ...open, ...asking });
    const [queue] = (await ask("queue_status")).map(toJson) as { project: string; port: number }[];
    assert.deepEqual([queue?.project, queue?.port], ["ana", manager.port]);
    assert.equal((await ask("resources_status")).length, 1);
    assert.equal((await ask("task_status"))[0]?.get("category"), "c");
    assert.equal((await ask("worker_status")).length, 0);
    assert.equal((await ask("wable_status"))[1]?.get("category"), "c");
  }
});

Deno.test("what goes wrong is said in the words of work_queue_status", async () => {
  const password = { content: bytes("right\n"), path: "p" };
  await using locked = listen({ password });
  await using plain = listen();
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const dead = deadPort();
  const on = (port: number) => ({ host: "127.0.0.1", port });
  const silentPort = (silent.addr as Deno.NetAddr).port;
  const cases: [Parameters<typeof askManager>[0], Partial<ManagerQueryOptions>, RegExp][] = [
    [{ host: "no.such.host.invalid", port: 1 }, {}, /^couldn't find address of no\.such\.host\.in/],
    [on(dead), {}, new RegExp(`^couldn't connect to 127.0.0.1 port ${dead}: .*refused`)],
    [on(plain.port), { tls: true }, /^could not setup ssl connection\. \(127.0.0.1 port .*TLS/],
    [
      on(locked.port),
      { password: bytes("wrong\n") },
      /^couldn't read from 127.0.0.1 port \d+: .*password/,
    ],
    [
      on(locked.port),
      {},
      /^couldn't read from 127.0.0.1 port \d+: /,
    ],
    [
      on(silentPort),
      { timeoutMs: 100 },
      /^couldn't read from 127.0.0.1 port \d+: no answer within 1 s$/,
    ],
  ];
  for (const [address, options, message] of cases) {
    await assert.rejects(askManager(address, "queue_status", { ...open, ...options }), {
      name: "RunError",
      message,
    });
  }
});

Deno.test("an answer that is no list of records is refused, and a signal breaks the question off", async () => {
  for (
    const [text, message] of [
      ["", /it closed the connection; does it expect a password, or TLS\?$/],
      ["{}", /the answer is not a list of records$/],
      ["[{", /couldn't read from .*: parse error/],
    ] as const
  ) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = listener.accept().then(async (conn) => {
      await conn.read(new Uint8Array(100));
      await conn.write(bytes(text));
      conn.close();
    });
    const { port } = listener.addr as Deno.NetAddr;
    const asking = askManager({ host: "127.0.0.1", port }, "queue_status", open);
    await assert.rejects(asking, { name: "RunError", message });
    await serving;
  }
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const stop = new AbortController();
  const options = { ...open, signal: stop.signal };
  const asking = askManager({ host: "127.0.0.1", port }, "queue_status", options);
  using _conn = await listener.accept();
  stop.abort(new Error("enough"));
  await assert.rejects(asking, /^Error: enough$/);
});
