/**
 * A proxy between workers and their manager that keeps what both say, for people to read in the
 * form of `tests/golden/wire`, and for tests to count. It knows which lines announce payloads and
 * nothing else of the protocol, so it hears what a decoder would refuse.
 */
import { entryBytes } from "../../core/pieces.ts";
import { delay } from "../../io/clock.ts";

type Side = "M" | "W";

/** Of a payload; more is cut off and its length told. */
const shownBytesMax = 120;

interface Heard {
  readonly side: Side;
  readonly kind: "line" | "payload";
  readonly text: string;
}

/** One side of one connection: bytes → lines and payloads. */
class Listener {
  #line: number[] = [];
  #payload: { left: number; total: number; shown: number[] } | null = null;

  /** All that was heard. */
  bytes = 0;

  constructor(readonly side: Side, private readonly heard: (what: Heard) => void) {}

  take(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      at += this.#payload === null ? this.#takeLine(bytes, at) : this.#takePayload(bytes, at);
    }
  }

  #takeLine(bytes: Uint8Array, at: number): number {
    const end = bytes.indexOf(0x0a, at);
    const piece = bytes.subarray(at, end < 0 ? bytes.length : end);
    for (const byte of piece) this.#line.push(byte);
    if (end < 0) return piece.length;
    const text = new TextDecoder().decode(new Uint8Array(this.#line));
    this.#line = [];
    this.heard({ side: this.side, kind: "line", text });
    const total = payloadBytes(text);
    if (total > 0) this.#payload = { left: total, total, shown: [] };
    return piece.length + 1;
  }

  #takePayload(bytes: Uint8Array, at: number): number {
    const payload = this.#payload!;
    const piece = bytes.subarray(at, at + payload.left);
    payload.shown.push(...piece.subarray(0, shownBytesMax - payload.shown.length));
    payload.left -= piece.length;
    if (payload.left > 0) return piece.length;
    const text = new TextDecoder().decode(new Uint8Array(payload.shown));
    const cut = payload.total > payload.shown.length ? ` … (${payload.total} bytes)` : "";
    this.heard({ side: this.side, kind: "payload", text: text + cut });
    this.#payload = null;
    return piece.length;
  }
}

/** Which lines have a payload, and of how many bytes; 0 for all others. */
function payloadBytes(line: string): number {
  const words = line.replace(/\r/g, "").split(" ");
  const of = (index: number) => Number(words.at(index)) || 0;
  switch (words[0]) {
    case "cmd":
    case "coprocess":
      return of(1);
    case "env":
      return of(1) + 1; // and a line end, which is not counted
    case "put":
    case "symlink":
    case "url":
    case "cache-invalid":
    case "wqx-fill":
    case "wqx-lacks":
      return of(2);
    case "wqx-pieces":
      return of(5) * entryBytes;
    case "result":
      return of(3);
    case "file":
    case "update":
      return of(-1);
    default:
      return 0;
  }
}

/** Without line ends and control characters, as in JSON strings. */
function asWritten(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
}

export class Recorder implements AsyncDisposable {
  readonly #connections: Heard[][] = [];
  readonly #listeners: Listener[] = [];
  readonly #open = new Set<Deno.TcpConn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #closed = false;

  private constructor(
    private readonly listener: Deno.TcpListener,
    private readonly managerPort: number,
    private readonly rate: number,
  ) {
    this.#accepting = this.#accept();
  }

  /**
   * Hears all that goes to and from the manager on that port of this machine. Each connection
   * carries up to `rate` bytes a ms in each direction.
   */
  static before(managerPort: number, rate = Infinity): Recorder {
    return new Recorder(Deno.listen({ hostname: "127.0.0.1", port: 0 }), managerPort, rate);
  }

  /** For workers to connect to. */
  get port(): number {
    return this.listener.addr.port;
  }

  get connectionCount(): number {
    return this.#connections.length;
  }

  /** Lines of one side, on all connections or on one, counted from 0. */
  lines(side: Side, connection?: number): string[] {
    const chosen = connection === undefined
      ? this.#connections
      : this.#connections.slice(connection, connection + 1);
    return chosen.flat().filter((heard) => heard.side === side && heard.kind === "line")
      .map(({ text }) => text);
  }

  /** Of one side, on all connections. */
  bytes(side: Side): number {
    return this.#listeners.filter((one) => one.side === side)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** As in `tests/golden/wire`, one connection after the other. */
  transcript(): string {
    return this.#connections.map((heard, i) =>
      [
        `# connection ${i + 1}`,
        "! connect",
        ...heard.map(({ side, kind, text }) =>
          `${side}${kind === "payload" ? "=" : ""} ${asWritten(text)}`
        ),
      ].join("\n") + "\n"
    ).join("\n");
  }

  /** As long as this is not called, neither side hears that the other is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.listener.close();
    for (const conn of this.#open) closeQuietly(conn);
    await Promise.all([this.#accepting, ...this.#serving]);
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      const worker = await this.listener.accept().catch(() => null);
      if (worker === null) return;
      const serving = this.#serve(worker).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    }
  }

  async #serve(worker: Deno.TcpConn): Promise<void> {
    const heard: Heard[] = [];
    this.#connections.push(heard);
    this.#open.add(worker);
    let manager: Deno.TcpConn | null = null;
    try {
      manager = await Deno.connect({ hostname: "127.0.0.1", port: this.managerPort });
      this.#open.add(manager);
      worker.setNoDelay(true);
      manager.setNoDelay(true);
      const keep = (what: Heard) => heard.push(what);
      const [ofWorker, ofManager] = [new Listener("W", keep), new Listener("M", keep)];
      this.#listeners.push(ofWorker, ofManager);
      await Promise.all([
        carry(worker, manager, ofWorker, this.rate),
        carry(manager, worker, ofManager, this.rate),
      ]);
    } catch {
      // Nobody listens, or a side is gone: the other one is told by closing.
    } finally {
      for (const conn of [worker, manager]) {
        if (conn === null) continue;
        this.#open.delete(conn);
        closeQuietly(conn);
      }
    }
  }
}

/** Until `from` ends; then both are closed, as neither side of this protocol says half a farewell. */
async function carry(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  listener: Listener,
  rate: number,
): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  let freeMs = 0;
  try {
    for (;;) {
      const size = await from.read(buffer);
      if (size === null) return;
      const piece = buffer.subarray(0, size);
      listener.take(piece);
      for (let sent = 0; sent < size;) sent += await to.write(piece.subarray(sent));
      freeMs = Math.max(freeMs, performance.now()) + size / rate;
      // Timers of less than some ms are not worth their time.
      if (freeMs - performance.now() > 5) await delay(freeMs - performance.now());
    }
  } finally {
    closeQuietly(from);
    closeQuietly(to);
  }
}

function closeQuietly(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // Closed by the other direction already.
  }
}
