/** A manager and a catalog for tests of `wqx status` that answer what a test gives them. */
import type { ManagerListener } from "../../manager/listener.ts";

/** Answers each line by what is given for it, and closes; of any other line, without a byte. */
export class AnsweringManager implements AsyncDisposable {
  /** Lines that were asked, in order. */
  readonly asked: string[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  readonly #open = new Set<Deno.Conn>();

  constructor(private readonly answers: Readonly<Record<string, string>>) {
    this.#serving = this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) close(conn);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const answering: Promise<void>[] = [];
    for await (const conn of this.#listener) {
      this.#open.add(conn);
      answering.push(this.#answer(conn).catch(() => {}).finally(() => close(conn)));
    }
    await Promise.all(answering);
  }

  async #answer(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(4096);
    let text = "";
    while (!text.includes("\n")) {
      const count = await conn.read(buffer);
      if (count === null) return;
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    const line = text.slice(0, text.indexOf("\n"));
    this.asked.push(line);
    const bytes = new TextEncoder().encode(this.answers[line] ?? "");
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
    // `…` at the end: more is to come, and never does.
    if (this.answers[line]?.endsWith("…")) { while (await conn.read(buffer) !== null); }
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed before.
  }
}

/** A catalog with these records, a line of JX each, whatever is asked. */
export function startCatalog(records: readonly string[]): AsyncDisposable & { port: number } {
  const body = `[\n${records.join(",\n")}\n]\n`;
  const head = { "content-type": "text/plain", "connection": "close" };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(body, { headers: head }),
  );
  return {
    port: server.addr.port,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** For a manager of which nobody need hear anything. */
export const nobodyListens: ManagerListener = {
  attemptEnded: () => {},
  returned: () => {},
  workerJoined: () => {},
  workerLeft: () => {},
  refused: () => {},
  hostBlocked: () => {},
  tooLarge: () => {},
};
