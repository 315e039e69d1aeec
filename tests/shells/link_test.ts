import assert from "node:assert/strict";
import { Link } from "../../io/link.ts";
import { Outbox } from "../../io/outbox.ts";
import { LinkPair, patience, readBytes, someBytes, testIdentity } from "../support/link_pair.ts";

const kinds = [["TCP", false], ["TLS", true]] as const;

for (const [kind, tls] of kinds) {
  Deno.test(`a link over ${kind} keeps all bytes, both ways at once, and counts them`, async () => {
    using pair = await LinkPair.open({ tls });
    const bytes = someBytes(3_000_000);
    const send = async (link: Link) => {
      for (let at = 0; at < bytes.length; at += 700_001) {
        await link.write(bytes.subarray(at, at + 700_001));
      }
    };
    const [toWorker, toManager] = await Promise.all([
      readBytes(pair.worker, bytes.length),
      readBytes(pair.manager, bytes.length),
      send(pair.manager),
      send(pair.worker),
    ]);
    assert.deepEqual(toWorker, bytes);
    assert.deepEqual(toManager, bytes);
    for (const end of [pair.manager, pair.worker]) {
      assert.equal(end.bytesSent, bytes.length);
      assert.equal(end.bytesReceived, bytes.length);
    }
  });

  Deno.test(`the bytes of a write over ${kind} may be changed once it resolved`, async () => {
    using pair = await LinkPair.open({ tls });
    const reading = readBytes(pair.worker, 20 * 100_000);
    const buffer = new Uint8Array(100_000);
    await pair.manager.write(new Uint8Array(0));
    for (let i = 0; i < 20; i++) await pair.manager.write(buffer.fill(i));
    const bytes = await reading;
    for (let i = 0; i < 20; i++) assert.equal(bytes[i * 100_000 + 99_999], i);
  });

  Deno.test(`what an outbox is given leaves over ${kind} in order, in whatever pieces`, async () => {
    using pair = await LinkPair.open({ tls });
    const bytes = someBytes(200_000);
    const outbox = new Outbox(pair.manager, () => {}, (error) => assert.fail(String(error)));
    outbox.push(bytes.subarray(0, 10));
    outbox.push(new Uint8Array(0));
    outbox.push(async (write) => {
      await write(bytes.subarray(10, 20));
      await write(bytes.subarray(20, 150_000));
    });
    outbox.push(bytes.subarray(150_000));
    assert.deepEqual(await readBytes(pair.worker, bytes.length), bytes);
    await outbox.drained();
    assert.equal(pair.manager.bytesSent, bytes.length);
  });

  Deno.test(`closing a link over ${kind} ends the peer's bytes and fails a write under way`, async () => {
    using pair = await LinkPair.open({ tls });
    const stuck = assert.rejects(async () => {
      for (;;) await pair.manager.write(new Uint8Array(1_000_000));
    });
    for await (const _ of pair.worker.received()) break; // it is under way
    pair.manager.close();
    await stuck;
    for await (const _ of pair.worker.received());
    for await (const _ of pair.manager.received()) assert.fail("its own end is closed as well");
    await assert.rejects(pair.manager.write(new Uint8Array(1)));
  });
}

Deno.test("what an outbox is given in one turn leaves in one write, under TLS bodies by themselves", async () => {
  for (
    const [tls, expected] of [[false, ["a\nb\nbody\0c\n"]], [true, [
      "a\nb\n",
      "body\0",
      "c\n",
    ]]] as const
  ) {
    using pair = await LinkPair.open({ tls });
    const written: string[] = [];
    const { manager } = pair;
    const write = manager.write.bind(manager);
    manager.write = (bytes) => {
      written.push(new TextDecoder().decode(bytes));
      return write(bytes);
    };
    const outbox = new Outbox(manager, () => {}, (error) => assert.fail(String(error)));
    outbox.push("a\n");
    outbox.push("b\n");
    outbox.push(new TextEncoder().encode("body\0"));
    outbox.push("c\n");
    await outbox.drained();
    assert.deepEqual(written, expected);
  }
});

Deno.test("text that an outbox joins under TLS fills no more than a record", async () => {
  using pair = await LinkPair.open({ tls: true });
  const sizes: number[] = [];
  const { manager } = pair;
  manager.write = (bytes) => Promise.resolve(void sizes.push(bytes.length));
  const outbox = new Outbox(manager, () => {}, (error) => assert.fail(String(error)));
  for (let i = 0; i < 1000; i++) outbox.push(`line ${i} ${"é".repeat(i)}\n`);
  await outbox.drained();
  assert.ok(Math.max(...sizes) <= 16 * 1024, `${Math.max(...sizes)} bytes`);
  assert.ok(sizes.length < 500, `${sizes.length} writes`);
});

Deno.test("reads grow with what comes, and shrink again", async () => {
  using pair = await LinkPair.open();
  const pieces = pair.worker.received();
  const next = async () => (await pieces.next()).value!.length;
  const sending = pair.manager.write(new Uint8Array(20_000_000));
  let largest = 0;
  for (let left = 20_000_000; left > 0;) {
    const size = await next();
    largest = Math.max(largest, size);
    left -= size;
  }
  await sending;
  assert.ok(largest > 64 * 1024, `at most ${largest} bytes at once`);
  for (let i = 0; i < 20; i++) {
    await pair.manager.write(Uint8Array.of(i));
    assert.equal(await next(), 1);
  }
  const { value } = await (pair.manager.write(Uint8Array.of(1)), pieces.next());
  assert.equal(value!.buffer.byteLength, 4 * 1024);
});

Deno.test("bytes that a handshake read ahead come first", async () => {
  using pair = await LinkPair.open();
  await pair.worker.write(Uint8Array.of(2, 3));
  const seen: number[] = [];
  for await (const piece of pair.manager.received(Uint8Array.of(1))) {
    seen.push(...piece);
    if (seen.length === 3) break;
  }
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(pair.manager.bytesReceived, 2);
});

Deno.test("a client that says nothing is dropped at the deadline, and delays nobody", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const identity = await testIdentity();
  using mute = await Link.connect("127.0.0.1", port);
  const first = new Link(await listener.accept());
  const dropped = assert.rejects(
    first.startTls({ role: "server", identity }, { deadlineMs: 300 }),
    {
      name: "PeerProtocolError",
      message: "it did not complete the TLS handshake within 0.3 s",
    },
  );
  using good = await Link.connect("127.0.0.1", port);
  using second = new Link(await listener.accept());
  await Promise.all([
    second.startTls({ role: "server", identity }, patience),
    good.startTls({ role: "client", host: "127.0.0.1" }, patience),
  ]);
  await dropped;
  for await (const _ of mute.received()) assert.fail("nothing is said to it");
});

Deno.test("a TLS handshake can be broken off", async () => {
  using pair = await LinkPair.open();
  const stop = new AbortController();
  const broken = assert.rejects(
    pair.manager.startTls(
      { role: "server", identity: await testIdentity() },
      { ...patience, signal: stop.signal },
    ),
    { name: "PeerProtocolError", message: "the TLS handshake was broken off" },
  );
  stop.abort();
  await broken;
  for await (const _ of pair.worker.received()) assert.fail("nothing is said to it");
});

Deno.test("each end says when the other one speaks no TLS", async () => {
  const identity = await testIdentity();
  {
    using pair = await LinkPair.open();
    await pair.worker.write(new TextEncoder().encode("workqueue 11 host Linux x86_64 8.0.0\n"));
    await assert.rejects(pair.manager.startTls({ role: "server", identity }, patience), {
      name: "PeerProtocolError",
      message: "it does not speak TLS, as this manager does; start it with --ssl",
    });
  }
  {
    using pair = await LinkPair.open();
    await pair.manager.write(new TextEncoder().encode("auth password sha1\n"));
    await assert.rejects(
      pair.worker.startTls({ role: "client", host: "localhost" }, patience),
      { name: "PeerProtocolError", message: "it does not speak TLS; leave out --ssl" },
    );
  }
  {
    using pair = await LinkPair.open();
    const closes = async () => {
      for await (const _ of pair.manager.received()) return pair.manager.close();
    };
    await Promise.all([
      closes(),
      assert.rejects(
        pair.worker.startTls({ role: "client", host: "localhost" }, patience),
        /^PeerProtocolError: the TLS handshake with it failed: .*; does it speak TLS\?$/,
      ),
    ]);
  }
});
