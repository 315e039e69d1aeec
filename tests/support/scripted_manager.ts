/** A manager for tests of workers: a test says what it says, and sees every line. */
import { within } from "../../io/clock.ts";
import { until } from "./until.ts";

const acceptMsMax = 20_000;

/** One connection of a worker. */
export class ScriptedLink implements Disposable {
  /** All lines so far. */
  readonly lines: string[] = [];
  #text = "";
  #ended = false;
  readonly #reading: Promise<void>;

  constructor(private readonly conn: Deno.Conn) {
    this.#reading = this.#read();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The number in `workqueue NUMBER …`, which is not read as more than that. */
  async protocol(): Promise<number> {
    const [, protocol] = await this.says(/^workqueue (\d+) /);
    return Number(protocol);
  }

  /** All lines of the greeting. */
  async greeting(): Promise<readonly string[]> {
    await this.says(/^info worker-end-time /);
    return this.lines;
  }

  /** Waits for a line, earlier ones included. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(() => {
      for (const line of this.lines) {
        const found = pattern.exec(line);
        if (found !== null) return found;
      }
      if (this.#ended) throw new Error(`It closed without saying ${pattern}: ${this.lines}`);
      return null;
    }, { what: `${pattern}`, timeoutMs: 20_000 });
  }

  async send(what: string | Uint8Array): Promise<void> {
    const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
    for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
  }

  /** Until the worker has closed. */
  async closed(): Promise<void> {
    await this.#reading;
  }

  close(): void {
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    try {
      this.conn.close();
    } catch {
      // Closed before.
    }
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    const decoder = new TextDecoder();
    try {
      for (let n = await this.conn.read(buffer); n !== null; n = await this.conn.read(buffer)) {
        this.#text += decoder.decode(buffer.subarray(0, n), { stream: true });
        const lines = this.#text.split("\n");
        this.#text = lines.pop()!;
        this.lines.push(...lines);
      }
    } catch {
      // Reset, or closed by the test.
    }
    this.#ended = true;
  }
}

/** Listens on a free port of this machine. */
export class ScriptedManager implements Disposable {
  readonly #links: ScriptedLink[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #open = true;

  get port(): number {
    return this.#listener.addr.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The next worker that connects; throws if none does. */
  async accept(): Promise<ScriptedLink> {
    const accepted = this.#listener.accept();
    if (!await within(acceptMsMax, accepted)) throw new Error("Waited in vain for a worker");
    const link = new ScriptedLink(await accepted);
    this.#links.push(link);
    return link;
  }

  /**
   * Closes on every protocol but this, as real managers do, without a byte. Returns the link of the
   * worker that spoke it, and what was offered before.
   */
  async acceptOnly(protocol: number): Promise<{ link: ScriptedLink; refused: number[] }> {
    const refused: number[] = [];
    for (;;) {
      const link = await this.accept();
      const offered = await link.protocol();
      if (offered === protocol) return { link, refused };
      refused.push(offered);
      link.close();
    }
  }

  /** Deals with every worker that connects, until `close`. */
  async acceptAll(deal: (link: ScriptedLink) => Promise<void>): Promise<void> {
    while (this.#open) {
      const link = await this.accept().catch(() => null);
      if (link !== null) await deal(link);
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#listener.close();
    for (const link of this.#links) link.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A port on which nobody listens. */
export function deadPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
