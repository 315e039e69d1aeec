/** Both ends of a link on this machine. */
import { Link } from "../../io/link.ts";
import { selfSignedIdentity, type TlsIdentity } from "../../io/tls_identity.ts";

/** More than any handshake here takes. */
export const patience = { deadlineMs: 20_000 };

let made: Promise<TlsIdentity> | null = null;

/** One for all tests of a file. */
export function testIdentity(): Promise<TlsIdentity> {
  return made ??= selfSignedIdentity();
}

/** A manager's end and a worker's end, closed together. */
export class LinkPair implements Disposable {
  private constructor(readonly manager: Link, readonly worker: Link) {}

  static async open({ tls = false } = {}): Promise<LinkPair> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    const worker = await Link.connect("127.0.0.1", listener.addr.port);
    const manager = new Link(await accepted);
    if (tls) {
      await Promise.all([
        manager.startTls({ role: "server", identity: await testIdentity() }, patience),
        worker.startTls({ role: "client", host: "localhost" }, patience),
      ]);
    }
    return new LinkPair(manager, worker);
  }

  [Symbol.dispose](): void {
    this.manager.close();
    this.worker.close();
  }
}

/** Reads until so many bytes are there, or the link has ended; the rest is lost. */
export async function readBytes(link: Link, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  let length = 0;
  for await (const piece of link.received()) {
    const taken = piece.subarray(0, count - length);
    bytes.set(taken, length);
    length += taken.length;
    if (length === count) break;
  }
  return bytes.subarray(0, length);
}

/** Bytes that differ from place to place. */
export function someBytes(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}
