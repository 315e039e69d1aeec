import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import "reflect-metadata";
import { PemConverter, X509CertificateGenerator } from "@peculiar/x509";
import { Link } from "../../io/link.ts";
import { Outbox } from "../../io/outbox.ts";
import { type Channel, TlsChannel } from "../../io/tls.ts";
import { readIdentity, selfSignedIdentity, type TlsIdentity } from "../../io/tls_identity.ts";
import { LinkPair, patience, readBytes, someBytes, testIdentity } from "../support/link_pair.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

/** One direction of a pipe without limits; counts what was taken out of it. */
class Pipe {
  taken = 0;
  readonly #pieces: (Uint8Array | null)[] = [];
  #wake: () => void = () => {};

  put(piece: Uint8Array | null): void {
    this.#pieces.push(piece);
    this.#wake();
  }

  async take(): Promise<Uint8Array | null> {
    while (this.#pieces.length === 0) await new Promise<void>((wake) => this.#wake = wake);
    const piece = this.#pieces.shift()!;
    this.taken += piece?.length ?? 0;
    return piece;
  }
}

/** One end of two pipes, which keeps all that it wrote. */
class MemoryChannel implements Channel {
  readonly written: Uint8Array[] = [];
  /** The other end takes nothing more. */
  stuck = false;
  readonly #closed = Promise.withResolvers<never>();

  constructor(readonly from: Pipe, private readonly to: Pipe) {}

  read(): Promise<Uint8Array | null> {
    return this.from.take();
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.stuck) return this.#closed.promise;
    this.written.push(bytes.slice());
    this.to.put(bytes.slice());
    return Promise.resolve();
  }

  close(): void {
    this.#closed.promise.catch(() => {}); // nobody may have been writing
    this.#closed.reject(new Error("closed"));
    this.to.put(null);
    this.from.put(null);
  }
}

async function inMemory() {
  const [there, back] = [new Pipe(), new Pipe()];
  const serverBelow = new MemoryChannel(back, there);
  const clientBelow = new MemoryChannel(there, back);
  const [server, client] = await Promise.all([
    TlsChannel.open(serverBelow, { role: "server", identity: await testIdentity() }),
    TlsChannel.open(clientBelow, { role: "client", host: "localhost" }),
  ]);
  const close = () => {
    server.close();
    client.close();
  };
  return { server, client, serverBelow, clientBelow, [Symbol.dispose]: close };
}

/** What TLS 1.3 adds to the content of a record: its kind, and 16 bytes of proof (RFC 8446, 5.2). */
const recordOverhead = 17;

/** Content sizes of the records of application data in some bytes. */
function recordSizes(written: readonly Uint8Array[]): number[] {
  const bytes = written.flatMap((piece) => [...piece]);
  const sizes: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes[at + 3]! * 256 + bytes[at + 4]!;
    assert.equal(bytes[at], 23, "application data");
    sizes.push(length - recordOverhead);
    at += 5 + length;
  }
  return sizes;
}

async function readAll(channel: Channel, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let length = 0; length < count;) {
    const piece = await channel.read();
    assert.ok(piece !== null, "it ended early");
    bytes.set(piece, length);
    length += piece.length;
  }
  return bytes;
}

Deno.test("every write fills records of its own, also when several wait", async () => {
  using pair = await inMemory();
  await Promise.all([pair.client.write(Uint8Array.of(1)), readAll(pair.server, 1)]);
  const before = pair.serverBelow.written.length; // the handshake and its session tickets
  const bytes = someBytes(120_000);
  const ends = [0, 11, 11 + 100_000, 11 + 100_000 + 7, bytes.length];
  await Promise.all(
    ends.slice(1).map((to, i) => pair.server.write(bytes.subarray(ends[i], to))),
  );
  const sizes = recordSizes(pair.serverBelow.written.slice(before));
  const full = 16 * 1024; // the most that a record may hold
  assert.deepEqual(sizes, [
    11,
    ...Array(6).fill(full),
    100_000 - 6 * full,
    7,
    full,
    bytes.length - 100_018 - full,
  ]);
  assert.deepEqual(await readAll(pair.client, bytes.length), bytes);
});

Deno.test("what nobody asks for stays in the socket", async () => {
  using pair = await inMemory();
  const bytes = someBytes(4_000_000);
  const piece = 64 * 1024;
  for (let at = 0; at < bytes.length; at += piece) {
    await pair.server.write(bytes.subarray(at, at + piece));
  }
  for (let i = 0; i < 50; i++) { // turns in which more could have been taken
    await Promise.all([pair.client.write(Uint8Array.of(i)), readAll(pair.server, 1)]);
  }
  assert.ok(pair.clientBelow.from.taken < 1_000_000, `${pair.clientBelow.from.taken} bytes taken`);
  assert.deepEqual(await readAll(pair.client, bytes.length), bytes);
});

Deno.test("a channel that is cut ends, and refuses what is to be written", async () => {
  using pair = await inMemory();
  pair.serverBelow.close();
  assert.equal(await pair.client.read(), null);
  assert.equal(await pair.server.read(), null);
  pair.server.close();
  await assert.rejects(pair.server.write(Uint8Array.of(1)), /closed/);
});

Deno.test("a garbled record ends the channel, and fails a write under way", async () => {
  using pair = await inMemory();
  pair.clientBelow.stuck = true;
  const failing = assert.rejects(pair.client.write(someBytes(100_000)));
  pair.clientBelow.from.put(Uint8Array.of(23, 3, 3, 0, 20, ...Array(20).fill(7)));
  assert.equal(await pair.client.read(), null);
  await failing;
  await assert.rejects(pair.client.write(Uint8Array.of(1)));
});

/** Reads piece by piece as cctools does: waits for the socket, then asks for what is missing. */
const cPeer = `
import select, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))),
                        server_hostname="127.0.0.1")
for size in map(int, sys.argv[2:]):
    while size > 0:
        if not select.select([s], [], [], 20)[0]:
            sys.exit("stalled with %d bytes to go and %d held back" % (size, s.pending()))
        try:
            piece = s.recv(size)
        except ssl.SSLWantReadError:
            continue
        if not piece:
            sys.exit("closed with %d bytes to go" % size)
        size -= len(piece)
    print("held back:", s.pending(), flush=True)
s.sendall(b"done")
`;

const python = findPython(["ssl"]);

Deno.test({
  ...needs(
    "path" in python,
    "missing" in python ? python.missing : "",
    "an OpenSSL peer that waits for its socket gets every body and the line after it",
  ),
  fn: async () => {
    const header = new TextEncoder().encode("put a 100000 0644\n");
    const body = someBytes(100_000);
    const line = new TextEncoder().encode("check\n");
    const sizes = [header, body, line, line].map(({ length }) => String(length));
    /** What the peer's library held back after each piece. */
    const heldBack = async (send: (link: Link) => Promise<void>): Promise<string[]> => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const child = new Deno.Command("path" in python ? python.path : "", {
        args: ["-c", cPeer, String(listener.addr.port), ...sizes],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      using link = new Link(await listener.accept());
      await link.startTls({ role: "server", identity: await testIdentity() }, patience);
      await send(link);
      assert.equal(new TextDecoder().decode(await readBytes(link, 4)), "done");
      const { stdout } = await child.output();
      return [...new TextDecoder().decode(stdout).matchAll(/: (\d+)/g)].map(([, held]) => held!);
    };
    const byOutbox = await heldBack(async (link) => {
      const outbox = new Outbox(link, () => {}, (error) => assert.fail(String(error)));
      outbox.push(header);
      outbox.push(async (write) => {
        for (let at = 0; at < body.length; at += 3000) await write(body.subarray(at, at + 3000));
      });
      outbox.push(line);
      outbox.push(line);
      await outbox.drained();
    });
    assert.deepEqual(byOutbox, ["0", "0", "0", "0"]);
    // This is what it is about: in one write, the tail of the body takes the lines with it.
    const joined = await heldBack(async (link) => {
      await link.write(new Uint8Array([...header, ...body, ...line]));
      await link.write(line);
    });
    assert.notDeepEqual(joined, ["0", "0", "0", "0"]);
  },
});

Deno.test("a worker accepts certificates that are expired or another host's, for any host", async () => {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const expired = await X509CertificateGenerator.createSelfSigned({
    name: "CN=elsewhere",
    notBefore: new Date("2001-01-01"),
    notAfter: new Date("2002-01-01"),
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    keys,
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  const old = {
    key: PemConverter.encode(key, "PRIVATE KEY"),
    certificate: expired.toString("pem"),
  };
  const cases: readonly (readonly [TlsIdentity, string])[] = [
    [old, "localhost"],
    [await testIdentity(), "127.0.0.1"],
    [await testIdentity(), "::1"],
    [await testIdentity(), "node_7.cluster"],
    [await testIdentity(), "node7."],
  ];
  for (const [identity, host] of cases) {
    using pair = await LinkPair.open();
    await Promise.all([
      pair.manager.startTls({ role: "server", identity }, patience),
      pair.worker.startTls({ role: "client", host }, patience),
    ]);
    await pair.manager.write(someBytes(3));
    assert.deepEqual(await readBytes(pair.worker, 3), someBytes(3), host);
  }
});

Deno.test("an identity read from files serves; the key may stand in the certificate's file", async () => {
  await using folder = await TempFolder.create();
  const made = await selfSignedIdentity();
  const both = await folder.write("both.pem", made.certificate + "\n" + made.key + "\n");
  using pair = await LinkPair.open();
  await Promise.all([
    pair.manager.startTls({ role: "server", identity: await readIdentity(both, both) }, patience),
    pair.worker.startTls({ role: "client", host: "localhost" }, patience),
  ]);
  await pair.worker.write(someBytes(3));
  assert.deepEqual(await readBytes(pair.manager, 3), someBytes(3));
});

Deno.test("every fresh identity has a key of its own", async () => {
  const [one, other] = await Promise.all([selfSignedIdentity(), selfSignedIdentity()]);
  assert.notEqual(one.key, other.key);
  assert.notEqual(one.certificate, other.certificate);
});

async function weakIdentity(): Promise<TlsIdentity> {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const size = { modulusLength: 1024, publicExponent: Uint8Array.of(1, 0, 1) };
  const keys = await crypto.subtle.generateKey({ ...algorithm, ...size }, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "CN=weak",
    signingAlgorithm: algorithm,
    keys,
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: PemConverter.encode(key, "PRIVATE KEY"), certificate: certificate.toString("pem") };
}

Deno.test("files that cannot serve as key and certificate are refused with the reason", async () => {
  await using folder = await TempFolder.create();
  const { key, certificate } = await selfSignedIdentity();
  const weak = await weakIdentity();
  const encrypted = createPrivateKey(key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "secret",
  });
  const contents: Readonly<Record<string, string>> = {
    "key.pem": key,
    "certificate.pem": certificate,
    "other.pem": (await selfSignedIdentity()).certificate,
    "encrypted.pem": encrypted.toString(),
    "text.pem": "no key at all\n",
    "cut.pem": "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n",
    "cutcert.pem": "-----BEGIN CERTIFICATE-----\nMIGH\n-----END CERTIFICATE-----\n",
    "x25519.pem": generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" })
      .toString(),
    "weak.pem": weak.key,
    "weakcert.pem": weak.certificate,
  };
  for (const [name, text] of Object.entries(contents)) await folder.write(name, text);
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["none.pem", "certificate.pem", /^Cannot read the TLS key \S+none\.pem: No such file/],
    ["key.pem", "none.pem", /^Cannot read the TLS certificate \S+none\.pem: No such file/],
    ["text.pem", "certificate.pem", /TLS key \S+text\.pem: it is no PEM file with a private key$/],
    ["key.pem", "text.pem", /certificate \S+text\.pem: it is no PEM file with a certificate$/],
    ["certificate.pem", "key.pem", /it holds a certificate; the key comes first/],
    ["cut.pem", "certificate.pem", /TLS key \S+cut\.pem: it cannot be decoded \(.+\)$/],
    ["key.pem", "cutcert.pem", /TLS certificate \S+cutcert\.pem: it cannot be decoded \(.+\)$/],
    ["encrypted.pem", "certificate.pem", /it is encrypted; decrypt it first \(openssl pkey -in /],
    ["x25519.pem", "certificate.pem", /it is a key for x25519; RSA and EC keys will do$/],
    ["key.pem", "other.pem", /the certificate was made for another key$/],
    ["weak.pem", "weakcert.pem", /^Cannot use the TLS key .* with the certificate .*too small/],
  ];
  for (const [keyName, certificateName, message] of cases) {
    await assert.rejects(
      readIdentity(folder.join(keyName), folder.join(certificateName)),
      (error: Error) => {
        assert.equal(error.name, "UsageError");
        assert.match(error.message, message);
        return true;
      },
    );
  }
});
