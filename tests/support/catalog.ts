/** A catalog on free ports of this machine, and what strangers and clients do to it. */
import { createSocket } from "node:dgram";
import { CatalogServer, type ServeOptions } from "../../catalog/serve.ts";
import { CatalogStore, type StoreOptions } from "../../catalog/store.ts";
import { tableLimitsDefault } from "../../core/catalog/table.ts";
import type { TempFolder } from "./temp.ts";
import { until } from "./until.ts";

export interface TestCatalogOptions {
  readonly store?: Partial<StoreOptions>;
  readonly serve?: Partial<ServeOptions>;
}

/** Store and server in this process; `await using` ends both. */
export class TestCatalog implements AsyncDisposable {
  private constructor(
    readonly store: CatalogStore,
    readonly server: CatalogServer,
    /** What people were told. */
    readonly notes: readonly string[],
  ) {}

  /** Its history is in the folder `history` of `folder`. */
  static async start(folder: TempFolder, options: TestCatalogOptions = {}): Promise<TestCatalog> {
    const notes: string[] = [];
    const note = (line: string) => void notes.push(line);
    using stack = new DisposableStack();
    const store = stack.use(
      await CatalogStore.open({
        history: folder.join("history"),
        limits: tableLimitsDefault,
        serverBytesMax: null,
        updateLog: null,
        nowMs: Date.now,
        note,
        ...options.store,
      }),
    );
    const server = await CatalogServer.start({
      token: null,
      store,
      facts: {
        name: "catalog.test",
        version: "0",
        startedMs: Date.now(),
        lifetimeMs: 1_800_000,
        nowMs: Date.now,
      },
      hostname: "127.0.0.1",
      port: 0,
      tls: null,
      timeoutMs: 60_000,
      streamTimeoutMs: 60_000,
      historyJobsMax: 2,
      debug: () => {},
      note,
      ...options.serve,
    });
    stack.move();
    return new TestCatalog(store, server, notes);
  }

  get port(): number {
    return this.server.port;
  }

  /** Body of an answer, whatever its status. */
  async ask(path: string): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.port}${path}`)).text();
  }

  /** Waits until there are so many records. */
  async knows(count: number): Promise<void> {
    await until(() => [...this.store.records()].length === count, {
      what: `${count} records; there are ${[...this.store.records()].length}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    this.store[Symbol.dispose]();
  }
}

function bytesOf(payload: string | Uint8Array): Uint8Array {
  return typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
}

/** One update by TCP, as cctools sends it since 7.5. */
export async function sendStream(port: number, payload: string | Uint8Array): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: port + 1 });
  const bytes = bytesOf(payload);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** One update by UDP, as cctools sent it before. */
export async function sendDatagram(port: number, payload: string | Uint8Array): Promise<void> {
  const socket = createSocket("udp4");
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.send(bytesOf(payload), port, "127.0.0.1", () => resolve());
  await promise;
  socket.close();
}

/** Sends that text and reads to the end of the connection, as the client of cctools does. */
export async function rawRequest(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text().catch((error) => String(error));
}
