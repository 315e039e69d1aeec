import assert from "node:assert/strict";
import { connect as tlsConnect } from "node:tls";
import { type JoinToken, parseJoinToken, pinOf, showJoinToken } from "../../core/pin.ts";
import { PasswordHandshake } from "../../core/protocol/auth.ts";
import { freshIdentity, type PinnedIdentity } from "../../io/kept_identity.ts";
import { connectTo } from "../../io/connect.ts";
import { Link } from "../../io/link.ts";
import type { Serving } from "../../manager/serving.ts";
import { HeardManager, workersGreeting } from "../support/heard_manager.ts";
import { LinkPair, patience, readBytes, testIdentity } from "../support/link_pair.ts";
import { needsParts, startRealWorker } from "../support/cctools.ts";
import { ScriptedManager } from "../support/scripted_manager.ts";
import { until } from "../support/until.ts";
import { TestBed } from "../support/wqx.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const secret = bytesOf("open sesame\n");
const otherPin = pinOf(new Uint8Array(0));

let made: Promise<PinnedIdentity> | null = null;
const identityOfTests = () => made ??= freshIdentity();

/** A manager with TLS, and the token of it. */
class Bed extends HeardManager {
  private constructor(serving: Partial<Serving>, readonly pin: string) {
    super(serving);
  }

  static async open({ required = false, password = false } = {}): Promise<Bed> {
    const identity = await identityOfTests();
    const serving = {
      tls: { identity, required },
      ...(password && { password: { content: secret, path: "pw" } }),
    };
    return new Bed(serving, identity.pin);
  }

  get token(): JoinToken {
    return { hosts: ["127.0.0.1"], port: this.port, pin: this.pin };
  }
}

const waiting = { ipMode: "AUTO", connectMs: 20_000, handshakeMs: 20_000 } as const;
const never = new AbortController().signal;

/** A worker's link, as far as its greeting. */
async function connect(
  port: number,
  how: { tls: boolean; pin?: string; password?: Uint8Array },
): Promise<Link> {
  const { password = null, ...rest } = how;
  const options = { ...waiting, ...rest, password, signal: never };
  const { link } = await connectTo({ host: "127.0.0.1", port }, options);
  await link.write(workersGreeting);
  return link;
}

Deno.test("one port serves TLS and plain text; with --ssl, TLS only", async () => {
  await using both = await Bed.open();
  const { port } = both;
  using plain = await connect(port, { tls: false });
  using secure = await connect(port, { tls: true, pin: both.pin });
  using trusting = await connect(port, { tls: true });
  await until(() => both.joined.length === 3, { what: "three workers" });
  assert.deepEqual([plain.boundTo, secure.boundTo, trusting.boundTo], [null, both.pin, both.pin]);
  assert.deepEqual(both.plain, [], "plain text on loopback is nobody's business");
  await using strict = await Bed.open({ required: true });
  using late = await connect(strict.port, { tls: false });
  await until(() => strict.refused.length === 1, { what: "a refusal" });
  assert.match(strict.refused[0]!, /^it does not speak TLS, as this manager does/);
  late.close();
});

Deno.test("a silent link keeps nobody waiting, and one that closes without a word is told", async () => {
  await using bed = await Bed.open({ password: true });
  const { port } = bed;
  using _silent = await Link.connect("127.0.0.1", port);
  (await Link.connect("127.0.0.1", port)).close();
  using _served = await connect(port, { tls: true, pin: bed.pin, password: secret });
  await until(() => bed.joined.length === 1 && bed.refused.length === 1, { what: "both" });
  assert.deepEqual(bed.refused, ["it closed the connection without a word"]);
});

Deno.test("another key than that of the token is refused, before anything is said", async () => {
  await using bed = await Bed.open();
  await assert.rejects(
    connect(bed.port, { tls: true, pin: otherPin }),
    /^PeerProtocolError: its key is not the one that the token or the catalog names/,
  );
  using pair = await LinkPair.open();
  const identity = await testIdentity();
  const end = { role: "client", host: "localhost", pin: otherPin } as const;
  await Promise.all([
    pair.manager.startTls({ role: "server", identity }, patience).then(async () => {
      assert.equal((await readBytes(pair.manager, 1)).length, 0, "nothing was said");
    }),
    assert.rejects(pair.worker.startTls(end, patience), /its key is not the one/),
  ]);
});

Deno.test("with a pin there is no falling back to plain text", async () => {
  using manager = new ScriptedManager();
  const accepted = manager.accept();
  const joining = connect(manager.port, { tls: true, pin: otherPin });
  const link = await accepted;
  await link.send("check\n");
  await assert.rejects(
    joining,
    /it does not speak TLS, and without it cannot prove that it is the manager of the token$/,
  );
  assert.ok(!link.lines.join().includes("workqueue"));
});

/**
 * Who stands between a worker and its manager: ends TLS on both sides, with a key of its own, and
 * passes on all that is said. `seen`: what it could read.
 */
class Relay implements Disposable {
  seen = "";
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #links: Link[] = [];

  constructor(private readonly managerPort: number) {
    void this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      const worker = new Link(conn);
      const manager = await Link.connect("127.0.0.1", this.managerPort);
      this.#links.push(worker, manager);
      const both = Promise.all([
        worker.startTls({ role: "server", identity: await testIdentity() }, patience),
        manager.startTls({ role: "client", host: "localhost" }, patience),
      ]);
      void both.then(() => {
        void this.#pass(worker, manager);
        void this.#pass(manager, worker);
      }, () => {});
    }
  }

  async #pass(from: Link, to: Link): Promise<void> {
    for await (const bytes of from.received()) {
      this.seen += new TextDecoder().decode(bytes);
      await to.write(bytes).catch(() => {});
    }
    to.close();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const link of this.#links) link.close();
  }
}

Deno.test("who stands in between cannot pass on the password handshake of two peers of wqx", async () => {
  await using bed = await Bed.open({ password: true });
  using relay = new Relay(bed.port);
  await assert.rejects(
    connect(relay.port, { tls: true, password: secret }),
    /^PeerProtocolError: it did not accept our password$/,
  );
  await until(() => bed.refused.length === 1, { what: "a refusal" });
  assert.deepEqual(bed.refused, ["it presented the wrong password"]);
  assert.match(relay.seen, /auth password sha1/, "it did stand in between");
  assert.doesNotMatch(relay.seen, /workqueue/);
  using direct = await connect(bed.port, { tls: true, password: secret });
  await until(() => bed.joined.length === 1, { what: "the worker that came directly" });
  assert.equal(direct.boundTo, bed.pin);
  // Without a password it could: that is what the pin of a token is for.
  await using open = await Bed.open();
  using other = new Relay(open.port);
  using _fooled = await connect(other.port, { tls: true });
  await until(() => open.joined.length === 1, { what: "the worker that was relayed" });
  await assert.rejects(connect(other.port, { tls: true, pin: open.pin }), /its key is not the one/);
});

Deno.test("a peer under TLS that is not of wqx proves the bare password, as real workers do", async () => {
  await using bed = await Bed.open({ password: true });
  const { port } = bed;
  const socket = tlsConnect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await new Promise((resolve) => socket.once("secureConnect", () => resolve(null)));
  const handshake = new PasswordHandshake("worker", secret, "abcdef");
  socket.write(handshake.opening);
  const state = await new Promise<string>((resolve) => {
    socket.on("data", (bytes: Uint8Array) => {
      const step = handshake.receive(new Uint8Array(bytes));
      socket.write(step.send);
      if (step.state !== "more") resolve(step.state);
    });
  });
  socket.destroy();
  assert.equal(state, "ok");
});

Deno.test("wqx worker --join serves the manager of the token, and no other", async () => {
  await using bed = await TestBed.create();
  await using manager = await Bed.open();
  const token = showJoinToken(manager.token);
  await using worker = bed.start(["worker", "--join", token, "--cores", "1"]);
  await until(() => manager.joined.length === 1, { what: "the worker" });
  await manager[Symbol.asyncDispose]();
  assert.equal(await worker.ended, 0, worker.stderr);
  assert.doesNotMatch(worker.stderr, /plain text/);

  await using another = await Bed.open();
  const wrong = showJoinToken({ ...another.token, pin: otherPin });
  const refused = await bed.run(["worker", "--join", wrong, "--single-shot"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Cannot connect to the manager at .*: its key is not the one that/);
  assert.deepEqual(another.joined, []);

  for (const more of [["host", "9123"], ["-M", "ana"]]) {
    const both = await bed.run(["worker", "--join", token, ...more]);
    assert.equal(both.code, 2);
    assert.match(both.stderr, /^Give either --join or (host|-M "ana"), not both/);
  }
  const bad = await bed.run(["worker", "--join", "nonsense"]);
  assert.match(bad.stderr, /"nonsense" is no token to join by: it is HOST:PORT\/PIN/);
  await bed.clean();
});

const empty = JSON.stringify({ command: "true" });

Deno.test("workers, status and others that find a manager by its name speak TLS with it", async () => {
  await using bed = await TestBed.create();
  await using catalog = bed.start(["catalog", "-p", "0", "-H", "history", "-I", "127.0.0.1"]);
  const [, port] = await catalog.says(/listens: \S+:(\d+)/);
  const env = { CATALOG_HOST: `127.0.0.1:${port}` };
  const named = ["-M", "ana", "-C", `127.0.0.1:${port}`];
  await using manager = bed.start(["manager", "-", ...named, "--workers", "none"], {
    stdin: "piped",
    env,
  });
  await manager.says(/Start a worker: wqx worker -M ana .*, or wqx worker --join /);
  await using worker = bed.start(
    ["worker", "-M", "ana", "--cores", "1", "-d", "tcp", "-o", "log"],
    { env },
  );
  await manager.says(/ joined from /);
  assert.match(await Deno.readTextFile(bed.folder.join("log")), /connected to \S+ with TLS/);
  const status = await bed.run(["status", "--once", "-M", "ana", "--json", "--workers"], { env });
  assert.equal(status.code, 0, status.stderr);
  assert.doesNotMatch(worker.stderr, /plain text/);
  await manager.closeInput();
  assert.equal(await manager.ended, 0, manager.stderr);
});

Deno.test("wqx manager prints a token that stays good from run to run; --plain has none", async () => {
  await using bed = await TestBed.create();
  const tokens: JoinToken[] = [];
  for (const _ of [1, 2]) {
    await using manager = bed.start(["manager", "-", "--workers", "none"], { stdin: "piped" });
    const [, shown] = await manager.says(/Start a worker: wqx worker --join (\S+)$/m);
    tokens.push(parseJoinToken(shown!));
    await using worker = bed.start(["worker", "--join", shown!, "--cores", "1"]);
    await manager.write(`${empty}\n`);
    await manager.closeInput();
    assert.equal(await manager.ended, 0, manager.stderr);
    assert.match(manager.stdout, /"status":"done"|"exit_code":0|"code":0/);
    assert.doesNotMatch(manager.stderr, /plain text/);
    assert.equal(await worker.ended, 0, worker.stderr);
  }
  assert.equal(tokens[0]!.pin, tokens[1]!.pin);
  await using plain = bed.start(["manager", "-", "--workers", "none", "--plain"], {
    stdin: "piped",
  });
  await plain.says(/Start a worker: wqx worker HOST \d+$/m);
  const both = await bed.run(["manager", "-", "--plain", "--ssl"]);
  assert.deepEqual([both.code, both.stderr], [
    2,
    "Cannot take --plain and --ssl: is it to be TLS or not?\n",
  ]);
});

Deno.test({
  ...needsParts(
    "a real worker goes on in plain text on the same port, which is said once",
    "work_queue_worker",
  ),
  fn: async () => {
    await using bed = await TestBed.create();
    const host = Deno.networkInterfaces().find(({ family, address }) =>
      family === "IPv4" && !address.startsWith("127.")
    )?.address ?? "127.0.0.1";
    await using manager = bed.start(["manager", "-", "--workers", "none"], { stdin: "piped" });
    const [, port] = await manager.says(/Listening on port (\d+)/);
    await using _one = startRealWorker(bed, Number(port), { host });
    await using _two = bed.start(["worker", host, port!, "--cores", "1"]);
    await until(() =>
      manager.stderr.match(/ joined from /g)?.length === 2, { what: "both" });
    await manager.write(`${empty}\n`);
    await manager.closeInput();
    assert.equal(await manager.ended, 0, manager.stderr);
    const said = manager.stderr.match(/^w\d from \S+ talks plain text.*$/gm) ?? [];
    assert.equal(said.length, host === "127.0.0.1" ? 0 : 1, manager.stderr);
  },
});
