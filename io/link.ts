/** One connection: bytes in as they come, bytes out in order. Lines and meaning live in core. */
import { concat } from "../core/bytes.ts";
import { messageOf, PeerProtocolError } from "../core/errors.ts";
import { within } from "./clock.ts";
import type { Channel, TlsEnd } from "./tls.ts";

/** A fresh slab is taken when less than this is left of the last; bytes read. */
const readBytesMin = 64 * 1024;
const slabBytes = 1024 ** 2;

/** How long a handshake may take, and what breaks it off. */
export interface Patience {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class Link implements Disposable {
  #channel: Channel;
  #secure = false;
  #closed = false;
  #bytesReceived = 0;
  #bytesSent = 0;

  constructor(private readonly conn: Deno.TcpConn) {
    // Small lines must not wait for an acknowledgement of the last ones.
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
    this.#channel = new Socket(conn);
  }

  /** Throws the operating system's error if nobody answers; `signal` breaks the attempt off. */
  static async connect(hostname: string, port: number, signal?: AbortSignal): Promise<Link> {
    const options = signal === undefined ? { hostname, port } : { hostname, port, signal };
    return new Link(await Deno.connect(options));
  }

  /** "host:port" of the other end. */
  get peer(): string {
    const { hostname, port } = this.conn.remoteAddr;
    return `${hostname}:${port}`;
  }

  /** Handed out by {@link received} so far, without what TLS adds. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** Given to {@link write} so far, without what TLS adds. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /**
   * Puts TLS on the link, before anything is read or written. Throws a PeerProtocolError that says
   * of the peer why it failed, and has closed the link then.
   */
  async startTls(end: TlsEnd, patience: Patience): Promise<void> {
    const { TlsChannel } = await import("./tls.ts"); // most links never need it
    const opened = TlsChannel.open(this.#channel, end).catch((error) => {
      throw new PeerProtocolError(tlsTrouble(end, messageOf(error)));
    });
    this.#channel = await this.inTime(opened, "the TLS handshake", patience);
    this.#secure = true;
  }

  /**
   * The result of a handshake on this link. If it fails, is late or is broken off, the link is
   * closed; late or broken off, it throws a PeerProtocolError.
   */
  async inTime<T>(handshake: Promise<T>, what: string, patience: Patience): Promise<T> {
    const { deadlineMs, signal } = patience;
    const close = () => this.close();
    signal?.addEventListener("abort", close, { once: true });
    try {
      if (signal?.aborted) close();
      if (await within(deadlineMs, handshake)) return await handshake;
      throw new PeerProtocolError(`it did not complete ${what} within ${deadlineMs / 1000} s`);
    } catch (error) {
      close();
      throw signal?.aborted ? new PeerProtocolError(`${what} was broken off`) : error;
    } finally {
      signal?.removeEventListener("abort", close);
    }
  }

  /**
   * What the peer sends, until either side closes. The pieces are the receiver's to keep.
   * `ahead`: what a handshake read beyond its end, which comes first.
   */
  async *received(ahead?: Uint8Array): AsyncGenerator<Uint8Array> {
    if (ahead !== undefined && ahead.length > 0) yield ahead;
    for (;;) {
      const bytes = await this.#channel.read();
      if (bytes === null) return;
      this.#bytesReceived += bytes.length;
      yield bytes;
    }
  }

  /** Resolves when the system took all bytes: what follows waits, so nothing piles up. */
  write(bytes: Uint8Array): Promise<void> {
    this.#bytesSent += bytes.length;
    return this.#channel.write(bytes);
  }

  /**
   * Writes what may leave at once: in one go, but under TLS each piece in records of its own. C
   * peers wait for the socket and not for what OpenSSL holds back, so the line after a body, in the
   * same record as its end, is only read when more arrives. A body and what follows it are two
   * pieces, therefore.
   */
  async writeAll(pieces: readonly Uint8Array[]): Promise<void> {
    if (!this.#secure) return await this.write(pieces.length === 1 ? pieces[0]! : concat(pieces));
    for (const piece of pieces) if (piece.length > 0) await this.write(piece);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What the TLS library says of bytes that are no TLS record. */
const noTls = "InvalidContentType";

function tlsTrouble(end: TlsEnd, why: string): string {
  if (!why.includes(noTls)) return `the TLS handshake with it failed: ${why}; does it speak TLS?`;
  return end.role === "server"
    ? "it does not speak TLS, as this manager does; start it with --ssl"
    : "it does not speak TLS; leave out --ssl";
}

/** The bytes of a TCP connection as they are. */
class Socket implements Channel {
  #slab = new Uint8Array(0);
  #used = 0;
  #closed = false;

  constructor(private readonly conn: Deno.TcpConn) {}

  async read(): Promise<Uint8Array | null> {
    if (this.#slab.length - this.#used < readBytesMin) {
      this.#slab = new Uint8Array(slabBytes);
      this.#used = 0;
    }
    const from = this.#used;
    let count: number | null;
    try {
      count = await this.conn.read(this.#slab.subarray(from));
    } catch {
      return null; // reset, timed out, closed by us: in every case there is nothing more to read
    }
    if (count === null) return null;
    this.#used += count;
    return this.#slab.subarray(from, from + count);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.conn.write(bytes.subarray(sent));
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.conn.close();
  }
}
