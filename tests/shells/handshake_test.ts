import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { authenticate, managerPatienceMs, readPasswordFile } from "../../io/handshake.ts";
import { Link } from "../../io/link.ts";
import { needsParts, startRealWorker } from "../support/cctools.ts";
import { LinkPair, patience, readBytes, testIdentity } from "../support/link_pair.ts";
import { TempFolder } from "../support/temp.ts";
import { TestBed } from "../support/wqx.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const secret = bytesOf("open sesame\n");

const asManager = { role: "manager", ...patience } as const;
const asWorker = { role: "worker", ...patience } as const;

for (const [kind, tls] of [["TCP", false], ["TLS", true]] as const) {
  Deno.test(`two ends with one password agree over ${kind}, and lose nothing`, async () => {
    using pair = await LinkPair.open({ tls });
    const working = async () => {
      const ahead = await authenticate(pair.worker, secret, asWorker);
      assert.equal(ahead.length, 0);
      await pair.worker.write(bytesOf("workqueue 11\n"));
    };
    const [ahead] = await Promise.all([authenticate(pair.manager, secret, asManager), working()]);
    let text = "";
    for await (const piece of pair.manager.received(ahead)) {
      text += textOf(piece);
      if (text.endsWith("\n")) break;
    }
    assert.equal(text, "workqueue 11\n");
  });
}

Deno.test("what came along with the handshake is returned", async () => {
  using pair = await LinkPair.open();
  const manager = authenticate(pair.manager, secret, asManager);
  const [, challenge] = await readLines(pair.worker, 2);
  const answer = createHash("sha1").update(secret).update(` ${challenge}`).digest("hex");
  await pair.worker.write(bytesOf(`auth password sha1\nabc\n${answer}\nok\nworkqueue 11\ninfo`));
  assert.equal(textOf(await manager), "workqueue 11\ninfo");
});

async function readLines(link: Link, count: number): Promise<string[]> {
  let text = "";
  for await (const piece of link.received()) {
    text += textOf(piece);
    if (text.split("\n").length > count) break;
  }
  return text.split("\n").slice(0, count);
}

Deno.test("challenges are 63 letters, and no two are alike", async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 5; i++) {
    using pair = await LinkPair.open();
    const failing = assert.rejects(authenticate(pair.manager, secret, asManager));
    const [ident, challenge] = await readLines(pair.worker, 2);
    assert.equal(ident, "auth password sha1");
    assert.match(challenge!, /^[a-p]{63}$/);
    seen.add(challenge!);
    pair.worker.close();
    await failing;
  }
  assert.equal(seen.size, 5);
});

Deno.test("two ends with different passwords both say so and close", async () => {
  using pair = await LinkPair.open();
  await Promise.all([
    assert.rejects(authenticate(pair.manager, secret, asManager), {
      name: "PeerProtocolError",
      message: "it presented the wrong password",
    }),
    assert.rejects(authenticate(pair.worker, bytesOf("open sesame"), asWorker), {
      name: "PeerProtocolError",
      message: "it did not accept our password",
    }),
  ]);
  for (const end of [pair.manager, pair.worker]) {
    for await (const _ of end.received()) assert.fail("the link is closed");
  }
});

const impolite: readonly (readonly [string, string, string])[] = [
  ["greets", "workqueue 11 host Linux x86_64 8.0.0\n", "it greeted without authenticating"],
  ["sends garbage", "\0\xff\n", 'it sent "" instead of "auth password sha1"'],
  ["sends a line without end", "x".repeat(5000), "it sent a line of more than 1023 bytes"],
];

for (const [does, text, why] of impolite) {
  Deno.test(`a peer that ${does} instead of authenticating is dropped with the reason`, async () => {
    using pair = await LinkPair.open();
    await pair.worker.write(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    await assert.rejects(
      authenticate(pair.manager, secret, asManager),
      (error: Error) => error.name === "PeerProtocolError" && error.message.startsWith(why),
    );
    assert.equal(textOf(await readBytes(pair.worker, 19)), "auth password sha1\n");
  });
}

Deno.test("a peer that trickles or says nothing is dropped at the deadline", async () => {
  assert.equal(managerPatienceMs, 5000);
  for (const text of ["", "auth pass", "auth password sha1\nabc\n"]) {
    using pair = await LinkPair.open();
    await pair.worker.write(bytesOf(text));
    await assert.rejects(
      authenticate(pair.manager, secret, { role: "manager", deadlineMs: 50 }),
      {
        name: "PeerProtocolError",
        message: "it did not complete the password handshake within 0.05 s",
      },
    );
    for await (const _ of pair.worker.received());
  }
});

Deno.test("a handshake ends when it is broken off, and when the peer closes", async () => {
  using pair = await LinkPair.open();
  const stop = new AbortController();
  const broken = assert.rejects(
    authenticate(pair.manager, secret, { ...asManager, signal: stop.signal }),
    { name: "PeerProtocolError", message: "the password handshake was broken off" },
  );
  stop.abort();
  await broken;
  using late = await LinkPair.open();
  const options = { role: "worker", deadlineMs: 3_600_000, signal: stop.signal } as const;
  await assert.rejects(authenticate(late.worker, secret, options), {
    message: "the password handshake was broken off",
  });
  using other = await LinkPair.open();
  const closed = assert.rejects(authenticate(other.worker, secret, asWorker), {
    message: "it closed the connection at the password handshake: " +
      "it may have no password, or expect TLS (--ssl)",
  });
  await readLines(other.manager, 2);
  other.manager.close();
  await closed;
});

Deno.test("a worker with TLS is told apart by a manager that has only a password", async () => {
  using pair = await LinkPair.open();
  await Promise.all([
    assert.rejects(
      authenticate(pair.manager, secret, asManager),
      /^PeerProtocolError: it speaks TLS and this manager does not; start it without --ssl$/,
    ),
    assert.rejects(
      pair.worker.startTls({ role: "client", host: "localhost" }, patience),
      /^PeerProtocolError: it does not speak TLS; leave out --ssl$/,
    ),
  ]);
});

Deno.test("a worker without TLS is told by a manager that expects it", async () => {
  using pair = await LinkPair.open();
  const identity = await testIdentity();
  await Promise.all([
    assert.rejects(pair.manager.startTls({ role: "server", identity }, patience), /start it with/),
    assert.rejects(
      authenticate(pair.worker, secret, asWorker),
      /^PeerProtocolError: it (expects TLS; use --ssl|closed the connection .*\(--ssl\))$/,
    ),
  ]);
});

const cases = [
  ["the right", "open sesame\n", null],
  ["a wrong", "open sesame", /^it presented the wrong password$/],
  ["no", null, /^it greeted without authenticating/],
] as const;

for (const [which, password, why] of cases) {
  Deno.test({
    ...needsParts(`a real worker with ${which} password is recognised`, "work_queue_worker"),
    fn: async () => {
      await using bed = await TestBed.create();
      const passwordFile = password === null ? null : await bed.folder.write("pw", password);
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const options = passwordFile === null ? {} : { passwordFile };
      await using worker = startRealWorker(bed, listener.addr.port, options);
      using link = new Link(await listener.accept());
      const authenticated = authenticate(link, secret, asManager);
      if (why !== null) {
        await assert.rejects(authenticated, (error: Error) => why.test(error.message));
        await worker.says(/password/);
        return;
      }
      let greeting = "";
      for await (const piece of link.received(await authenticated)) {
        greeting += textOf(piece);
        if (greeting.includes("\ninfo worker-end-time")) break;
      }
      assert.match(greeting, /^workqueue \d+ \S+ Linux /);
      await link.write(bytesOf("exit\n"));
      assert.equal(await worker.ended, 0, worker.stderr);
    },
  });
}

Deno.test("the password is the whole file; one that all may read is warned of", async () => {
  await using folder = await TempFolder.create();
  const path = await folder.write("pw", "open sesame\n\0ignored");
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  await Deno.chmod(path, 0o640);
  assert.deepEqual(await readPasswordFile(path, warn), secret);
  assert.deepEqual(warnings, []);
  await Deno.chmod(path, 0o644);
  await readPasswordFile(path, warn);
  assert.deepEqual(warnings, [
    `Everybody on this machine may read the password in ${path}: chmod 600 it`,
  ]);
});

Deno.test("a file that holds no password is refused with the reason", async () => {
  await using folder = await TempFolder.create();
  const refused: readonly (readonly [string, string | null, RegExp])[] = [
    ["none", null, /^Cannot read the password from \S+none: No such file/],
    ["empty", "", /: the file is empty$/],
    ["nul", "\0secret", /: the file begins with a NUL byte$/],
    ["long", "x".repeat(1001), /: it has 1001 bytes, and Work Queue takes at most 1000$/],
  ];
  for (const [name, content, message] of refused) {
    if (content !== null) await folder.write(name, content);
    await assert.rejects(
      readPasswordFile(folder.join(name), () => {}),
      (error: Error) => error.name === "UsageError" && message.test(error.message),
    );
  }
  await assert.rejects(readPasswordFile(folder.path, () => {}), { name: "UsageError" });
});
