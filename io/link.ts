/** One TCP connection: bytes in as they come, bytes out in order. Lines and meaning live in core. */

/** A fresh slab is taken when less than this is left of the last; bytes read. */
const readBytesMin = 64 * 1024;
const slabBytes = 1024 ** 2;

export class Link implements Disposable {
  #closed = false;

  constructor(private readonly conn: Deno.TcpConn) {
    // Small lines must not wait for an acknowledgement of the last ones.
    conn.setNoDelay(true);
    conn.setKeepAlive(true);
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

  /** What the peer sends, until either side closes. The pieces are the receiver's to keep. */
  async *received(): AsyncGenerator<Uint8Array> {
    let slab = new Uint8Array(slabBytes);
    let used = 0;
    while (!this.#closed) {
      if (slabBytes - used < readBytesMin) {
        slab = new Uint8Array(slabBytes);
        used = 0;
      }
      let count: number | null;
      try {
        count = await this.conn.read(slab.subarray(used));
      } catch {
        return; // reset, timed out, closed by us: in every case there is nothing more to read
      }
      if (count === null) return;
      yield slab.subarray(used, used + count);
      used += count;
    }
  }

  /** Resolves when the system took all bytes: what follows waits, so nothing piles up. */
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

  [Symbol.dispose](): void {
    this.close();
  }
}
