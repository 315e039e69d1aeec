/** A catalog that does what a test says: answers as it is told, and keeps what it is sent. */
import { createSocket, type Socket } from "node:dgram";
import type { Address } from "../../core/addresses.ts";

export type Answer =
  | { readonly status?: number; readonly head?: string; readonly body: string }
  /** Takes the question, and says nothing. */
  | "silence"
  /** Closes the connection at once. */
  | "close";

const portMin = 20_000;
const portTries = 200;

export class FakeCatalog implements AsyncDisposable {
  /** Targets that were asked for, in order, and the heads of the questions. */
  readonly asked: string[] = [];
  readonly heads: string[] = [];
  /** Updates, in order. */
  readonly updates: string[] = [];
  readonly datagrams: Uint8Array[] = [];
  /** Decides about each question; by default, the records. */
  answer: (target: string) => Answer = () => ({ body: listOf(this.records) });
  records: object[] = [];
  readonly #conns = new Set<Deno.Conn>();

  private constructor(
    private readonly questions: Deno.Listener,
    private readonly streams: Deno.Listener,
    private readonly socket: Socket,
    readonly port: number,
  ) {
    void this.#take(questions, (conn) => this.#reply(conn));
    void this.#take(streams, async (conn) => {
      this.updates.push(await new Response(conn.readable).text());
    });
    socket.on("message", (bytes) => this.datagrams.push(new Uint8Array(bytes)));
  }

  /** On a port whose neighbour is free too. */
  static async start(): Promise<FakeCatalog> {
    for (let i = 0; i < portTries; i++) {
      const port = portMin + Math.floor(Math.random() * 10_000);
      const opened: Deno.Listener[] = [];
      try {
        opened.push(Deno.listen({ hostname: "127.0.0.1", port }));
        opened.push(Deno.listen({ hostname: "127.0.0.1", port: port + 1 }));
        const socket = createSocket("udp4");
        await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
        return new FakeCatalog(opened[0]!, opened[1]!, socket, port);
      } catch {
        opened.forEach((listener) => listener.close());
      }
    }
    throw new Error("no two free ports beside each other");
  }

  get address(): Address {
    return { host: "127.0.0.1", port: this.port };
  }

  get text(): string {
    return `127.0.0.1:${this.port}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.questions.close();
    this.streams.close();
    for (const conn of this.#conns) conn.close();
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }

  async #take(listener: Deno.Listener, serve: (conn: Deno.Conn) => Promise<void>): Promise<void> {
    for await (const conn of listener) {
      this.#conns.add(conn);
      serve(conn).catch(() => {}).finally(() => {
        this.#conns.delete(conn);
        try {
          conn.close();
        } catch {
          // Read to its end.
        }
      });
    }
  }

  async #reply(conn: Deno.Conn): Promise<void> {
    let head = "";
    const buffer = new Uint8Array(4096);
    while (!head.includes("\r\n\r\n")) {
      const n = await conn.read(buffer);
      if (n === null) return;
      head += new TextDecoder().decode(buffer.subarray(0, n));
    }
    const target = head.split(" ")[1]!;
    this.heads.push(head);
    this.asked.push(target);
    const answer = this.answer(target);
    if (answer === "close") return;
    if (answer === "silence") {
      await conn.read(buffer); // until the client gives up
      return;
    }
    const { status = 200, head: more = "", body } = answer;
    // Lines end in a bare LF, as those of catalog_server.
    const text = `HTTP/1.1 ${status} Whatever\nConnection: close\n${more}\n${body}`;
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  }
}

/** As catalogs write records: one a line. */
export function listOf(records: readonly object[]): string {
  return `[\n${records.map((record) => JSON.stringify(record)).join(",\n")}\n]\n`;
}
