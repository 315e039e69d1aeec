/** One connection: bytes in as they come, bytes out in order. Lines and meaning live in core. */
import { concat } from "../core/bytes.ts";
import { messageOf, PeerProtocolError } from "../core/errors.ts";
import { sameText } from "../core/pin.ts";
import { within } from "./clock.ts";
import type { Channel, TlsEnd } from "./tls.ts";

/**
 * Bytes read at once: a few lines of an idle worker, of which there may be thousands, or much of a
 * file. A full buffer makes way for one so many times larger.
 */
const readBytesMin = 4 * 1024;
const readBytesMax = 1024 ** 2;
const readGrowth = 4;

/** So many small reads in a row, and a large buffer is given back. */
const smallReadsMax = 16;

/** How long a handshake may take, and what breaks it off. */
export interface Patience {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Lines as text, or the bytes of a body. */
export type Piece = string | Uint8Array;

const utf8 = new TextEncoder();

export class Link implements Disposable {
  readonly #socket: Socket;
  #channel: Channel;
  #secure = false;
  #boundTo: string | null = null;
  #closed = false;
  #bytesReceived = 0;
  #bytesSent = 0;

  constructor(private readonly conn: Deno.TcpConn) {
    // Small lines must not wait for an acknowledgement of the last ones.
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
    this.#socket = new Socket(conn);
    this.#channel = this.#socket;
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

  /** Address of the other end, without its port. */
  get host(): string {
    return this.conn.remoteAddr.hostname;
  }

  /** Whether TLS is on it. */
  get secure(): boolean {
    return this.#secure;
  }

  /** Under TLS between two peers of wqx, the pin of the manager's key, as this end sees it. */
  get boundTo(): string | null {
    return this.#boundTo;
  }

  /**
   * The first byte that the peer sends, which stays to be read. Throws a PeerProtocolError if none
   * comes, and has closed the link then.
   */
  async firstByte(patience: Patience): Promise<number> {
    const first = await this.inTime(this.#socket.peek(), "its first line", patience);
    if (first !== null) return first;
    this.close();
    throw new PeerProtocolError("it closed the connection without a word");
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
   * of the peer why it failed, or that its key is not the one of `end.pin`, and has closed the link
   * then.
   */
  async startTls(end: TlsEnd, patience: Patience): Promise<void> {
    const { TlsChannel } = await import("./tls.ts"); // most links never need it
    const opened = TlsChannel.open(this.#channel, end).catch((error) => {
      throw new PeerProtocolError(tlsTrouble(end, messageOf(error)));
    });
    const channel = await this.inTime(opened, "the TLS handshake", patience);
    this.#channel = channel;
    this.#secure = true;
    const pin = channel.pin;
    if (end.role === "client" && end.pin !== undefined && !sameText(pin ?? "", end.pin)) {
      this.close();
      throw new PeerProtocolError(otherKey);
    }
    this.#boundTo = channel.isOurs ? pin : null;
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
   * What the peer sends, until either side closes. A piece is good until the next one is asked for.
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
  async writeAll(pieces: readonly Piece[]): Promise<void> {
    const encoded = pieces.map((piece) => typeof piece === "string" ? utf8.encode(piece) : piece);
    if (!this.#secure) {
      return await this.write(encoded.length === 1 ? encoded[0]! : concat(encoded));
    }
    for (const piece of encoded) if (piece.length > 0) await this.write(piece);
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

const otherKey = "its key is not the one that the token or the catalog names: it is another " +
  "manager, or somebody stands in between";

/** What the TLS library says of bytes that are no TLS record. */
const noTls = "InvalidContentType";

function tlsTrouble(end: TlsEnd, why: string): string {
  if (!why.includes(noTls)) return `the TLS handshake with it failed: ${why}; does it speak TLS?`;
  return end.role === "server"
    ? "it does not speak TLS, as this manager does; start it with --ssl"
    : end.pin === undefined
    ? "it does not speak TLS; leave out --ssl"
    : "it does not speak TLS, and without it cannot prove that it is the manager of the token";
}

/** The bytes of a TCP connection as they are. */
class Socket implements Channel {
  #buffer = new Uint8Array(readBytesMin);
  #smallReads = 0;
  #closed = false;
  /** Read already, and not yet handed out. */
  #ahead: Uint8Array | null = null;

  constructor(private readonly conn: Deno.TcpConn) {}

  /** The first byte of what comes next, which stays to be read; `null` at the end. */
  async peek(): Promise<number | null> {
    this.#ahead ??= await this.read();
    return this.#ahead?.[0] ?? null;
  }

  async read(): Promise<Uint8Array | null> {
    const ahead = this.#ahead;
    if (ahead !== null) {
      this.#ahead = null;
      return ahead;
    }
    const buffer = this.#buffer;
    let count: number | null;
    try {
      count = await this.conn.read(buffer);
    } catch {
      return null; // reset, timed out, closed by us: in every case there is nothing more to read
    }
    if (count === null) return null;
    this.#fit(count);
    return buffer.subarray(0, count);
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

  /** Chooses the buffer of the next read by how much this one brought. */
  #fit(count: number): void {
    const size = this.#buffer.length;
    this.#smallReads = count < readBytesMin ? this.#smallReads + 1 : 0;
    if (count === size && size < readBytesMax) {
      this.#buffer = new Uint8Array(size * readGrowth);
    } else if (size > readBytesMin && this.#smallReads >= smallReadsMax) {
      this.#buffer = new Uint8Array(readBytesMin);
    }
  }
}
