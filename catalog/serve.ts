/**
 * The catalog on its ports: UDP and HTTP on P, raw updates by TCP on P + 1, HTTPS if there is a
 * certificate. Every connection has its deadlines, and there are never more than so many.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { messageOf, RunError } from "../core/errors.ts";
import type { TlsIdentity } from "../io/tls_identity.ts";
import { type AppOptions, catalogApp } from "./app.ts";
import type { CatalogFacts } from "./facts.ts";
import { withoutToken } from "./token.ts";
import { ConnectionUpdates, DatagramUpdates, UpdateReceiver } from "./updates.ts";

/** For the head of a request; catalog_server gives 15 s to each line. */
const headMs = 15_000;
/** A kept connection without a request. */
const idleMs = 5_000;
/** Open at once; beyond, the one that has said nothing for longest goes. */
const connectionsMax = 2_000;
/** Tries to find a port that is free together with the next one. */
const portTries = 50;

export interface ServeOptions extends AppOptions {
  readonly facts: Omit<CatalogFacts, "port" | "closing">;
  /** Address to listen on, such as `0.0.0.0`. */
  readonly hostname: string;
  /** 0: a free one, of which the next is free too. */
  readonly port: number;
  /** HTTPS beside HTTP; port 0: a free one. */
  readonly tls: { readonly port: number; readonly identity: TlsIdentity } | null;
  readonly debug: (subsystem: "tcp" | "udp" | "http", line: string) => void;
  readonly note: (line: string) => void;
}

export class CatalogServer implements AsyncDisposable {
  private constructor(
    readonly port: number,
    /** Of HTTPS; `null` without a certificate. */
    readonly tlsPort: number | null,
    private readonly closing: AbortController,
    private readonly parts: AsyncDisposableStack,
  ) {}

  /** Listens on all ports, or throws a RunError that says which cannot be had. */
  static async start(options: ServeOptions): Promise<CatalogServer> {
    for (let left = options.port === 0 ? portTries : 1;; left--) {
      try {
        return await CatalogServer.#listen(options);
      } catch (error) {
        if (left === 1 || !(error instanceof RunError)) throw error;
      }
    }
  }

  static async #listen(options: ServeOptions): Promise<CatalogServer> {
    const { hostname, store, tls, facts, debug, note } = options;
    await using parts = new AsyncDisposableStack();
    const closing = new AbortController();
    let port = options.port;
    const app = catalogApp(options, {
      ...facts,
      get port() {
        return port;
      },
      closing: closing.signal,
    });
    const answer = getRequestListener(app.fetch, {
      // What a request without a Host asks is the same.
      hostname: "localhost",
      overrideGlobalObjects: false,
    });
    const http = new HttpPort(options, answer, null);
    await naming(`TCP port ${port}`, () => http.listen(hostname, port));
    parts.use(http);
    port = http.port;
    const receiver = new UpdateReceiver({
      store,
      nowMs: facts.nowMs,
      debug: (line) => debug("udp", line),
      note,
    });
    parts.use(
      await naming(`UDP port ${port}`, () => DatagramUpdates.listen(hostname, port, receiver)),
    );
    if (port === 65_535) throw new RunError("Port 65535 has no next one, which updates come to");
    parts.use(
      await naming(
        `TCP port ${port + 1}, to which updates come`,
        () => Promise.resolve(ConnectionUpdates.listen(hostname, port + 1, receiver)),
      ),
    );
    let tlsPort: number | null = null;
    if (tls !== null) {
      const https = new HttpPort(options, answer, tls.identity);
      await naming(`TCP port ${tls.port} (HTTPS)`, () => https.listen(hostname, tls.port));
      parts.use(https);
      tlsPort = https.port;
    }
    return new CatalogServer(port, tlsPort, closing, parts.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closing.abort();
    await this.parts.disposeAsync();
  }
}

async function naming<T>(what: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    const inUse = /EADDRINUSE|address .*in use/i.test(messageOf(error));
    throw new RunError(
      `Cannot listen on ${what}: ${
        inUse ? "it is in use" : messageOf(error)
      }; choose another port by --port, or any free ` +
        "one by --port-file",
    );
  }
}

type RequestListener = ReturnType<typeof getRequestListener>;

/** HTTP or HTTPS on one port. */
class HttpPort implements AsyncDisposable {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Connections that have not asked anything yet. */
  readonly #silent = new Set<Socket>();

  constructor(
    private readonly options: ServeOptions,
    answer: RequestListener,
    identity: TlsIdentity | null,
  ) {
    const limits = {
      headersTimeout: headMs,
      requestTimeout: headMs,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: idleMs,
      // Heads with bare line ends, from scripts.
      insecureHTTPParser: true,
      requireHostHeader: false,
    };
    this.#server = identity === null ? createServer(limits) : createTlsServer({
      ...limits,
      key: identity.key,
      cert: identity.certificate,
    });
    this.#server.on("connection", (socket: Socket) => this.#welcome(socket));
    this.#server.on("request", (request, response) => {
      this.#silent.delete(request.socket);
      const path = withoutToken(request.url ?? "");
      options.debug("http", `${request.socket.remoteAddress} ${request.method} ${path}`);
      this.#limit(response);
      void answer(request, response);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(hostname: string, port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once("error", reject);
    this.#server.listen(port, hostname, resolve);
    await promise;
    this.#server.off("error", reject);
    this.#server.on("error", (error) => this.options.debug("tcp", messageOf(error)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#open) socket.destroy();
    await promise;
  }

  #welcome(socket: Socket): void {
    this.#open.add(socket);
    this.#silent.add(socket);
    socket.on("error", () => {}); // of one connection
    socket.once("close", () => {
      this.#open.delete(socket);
      this.#silent.delete(socket);
    });
    if (this.#open.size <= connectionsMax) return;
    const [longest] = this.#silent.size > 0 ? this.#silent : this.#open;
    longest!.destroy();
  }

  /** Who does not fetch the answer in its time loses the connection; streams last longer. */
  #limit(response: ServerResponse): void {
    const { timeoutMs, streamTimeoutMs } = this.options;
    const startMs = performance.now();
    const check = () => {
      const type = String(response.getHeader("content-type") ?? "");
      const stream = type.startsWith("text/event-stream") ||
        response.req.url?.includes("/updates/");
      const leftMs = stream ? startMs + streamTimeoutMs - performance.now() : 0;
      if (leftMs > 0) timer = setTimeout(check, leftMs);
      else response.destroy();
    };
    let timer = setTimeout(check, timeoutMs);
    response.once("close", () => clearTimeout(timer));
  }
}
