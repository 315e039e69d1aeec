/**
 * The links of a manager: who comes in, what they send, and how they end. Each has one reader and
 * one outbox, so a slow worker delays nobody else.
 */
import { isLoopback } from "../core/addresses.ts";
import { messageOf, PeerProtocolError, RunError } from "../core/errors.ts";
import { type WorkerId, workerId } from "../core/ids.ts";
import { Decoder } from "../core/protocol/decoder.ts";
import type { Payload, ToManager } from "../core/protocol/messages.ts";
import { ToManagerGrammar } from "../core/protocol/to_manager.ts";
import { textToWorker } from "../core/protocol/to_worker.ts";
import type { ManagerEvent, Place, Stored } from "../core/scheduler/actions.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import { delay, within } from "../io/clock.ts";
import { FileSink, nowhere, type Patience, type Sink, TailSink, UpdateSink } from "../io/files.ts";
import { wrongPassword } from "../core/protocol/auth.ts";
import { authenticate, managerPatienceMs } from "../io/handshake.ts";
import { Link } from "../io/link.ts";
import { Outbox, type Outgoing } from "../io/outbox.ts";
import type { ManagerListener } from "./listener.ts";
import { type Guest, Lobby } from "./lobby.ts";
import type { Serving } from "./serving.ts";

/** All of IPv4. */
export const anyAddress = "0.0.0.0";

/** For a worker to take the last lines when the manager closes. */
const farewellMs = 2000;

/** After the system let nobody in for a moment. */
const acceptAgainMs = 100;

/**
 * For the first byte, and for TLS, as long as for a greeting: a machine that starts many workers is
 * slow, and so are a thousand handshakes at once.
 */
const firstByteMs = 30_000;

/** With which TLS begins (RFC 8446, section 5.1), and no line of a worker. */
const tlsFirstByte = 0x16;

/** `release`: workers look for another manager. */
export type Farewell = "exit" | "release";

export interface LinksOptions {
  readonly hostname: string;
  /** First free port of the range; 0 to 0: the system's choice. */
  readonly port: { readonly low: number; readonly high: number };
  /** Kept of what a task prints; bytes. */
  readonly printedBytesMax: number;
}

/** Whom the links serve. */
export interface LinksOwner
  extends Pick<ManagerListener, "refused" | "workerJoined" | "workerLeft" | "diskFull"> {
  readonly workers: ReadonlyMap<WorkerId, WorkerState>;
  /** Asked for each link that opens. */
  serving(): Serving;
  /** What happened on a link; `nowMs` by the clock of `performance`. */
  deliver(event: ManagerEvent, nowMs?: number): void;
}

/** One link, once its peer has shown that it may come in. */
export class Connection {
  readonly #outbox: Outbox;
  #sink: Sink = nowhere;
  #closedBecause: string | null = null;
  #answering: Promise<void> | null = null;
  readonly #closing = new AbortController();

  constructor(
    private readonly worker: WorkerId,
    private readonly link: Link,
    private readonly printedBytesMax: number,
    private readonly owner: LinksOwner,
  ) {
    this.#outbox = new Outbox(
      link,
      () => owner.deliver({ type: "moving", worker }),
      (error) => this.close(this.#closedBecause ?? messageOf(error)),
    );
  }

  /** Whether others on the way may read and change what goes over it. */
  get isExposed(): boolean {
    return !this.link.secure && !isLoopback(this.link.host);
  }

  send(outgoing: Outgoing): void {
    this.#outbox.push(outgoing);
  }

  /** Sends the answer to a question about the status, and closes the link afterwards. */
  answer(outgoing: Outgoing): void {
    this.send(outgoing);
    this.#answering = this.#outbox.drained().then(() => this.link.close());
  }

  /** Says where the bytes belong that come next. */
  receive(into: Place): void {
    this.#sink = sinkFor(into, this.printedBytesMax, {
      signal: this.#closing.signal,
      began: (why) => this.owner.diskFull?.(why),
      ended: () => this.owner.diskFull?.(null),
    });
  }

  close(why: string): void {
    this.#closedBecause = why;
    this.#closing.abort();
    this.link.close();
  }

  /** A worker that does not read its farewell is left to find out by itself. */
  async dismiss(farewell: Farewell): Promise<void> {
    this.send(textToWorker({ type: farewell }));
    await within(farewellMs, this.#outbox.drained());
    this.#closing.abort();
    this.link.close();
  }

  /**
   * Delivers what comes until the link ends. `ahead`: bytes that came before the protocol began.
   * `forget` is called as soon as nothing can be sent any more.
   */
  async serve(ahead: Uint8Array | undefined, guest: Guest, forget: () => void): Promise<void> {
    const { worker, link, owner } = this;
    owner.deliver({ type: "link_opened", worker, address: link.peer });
    const state = owner.workers.get(worker)!;
    let why = "it closed the connection";
    try {
      const decoder = new Decoder<ToManager>(new ToManagerGrammar());
      for await (const bytes of link.received(ahead)) {
        decoder.feed(bytes);
        const nowMs = performance.now();
        for (let m = decoder.next(); m !== null; m = decoder.next()) {
          guest.leave();
          const storing = this.#received(state, m, nowMs);
          if (storing !== undefined) await storing;
        }
      }
    } catch (error) {
      if (!(error instanceof PeerProtocolError)) throw error;
      why = error.message;
    } finally {
      // It may have closed its half after the question.
      await this.#answering;
      why = this.#closedBecause ?? why;
      forget();
      link.close();
      await this.#sink.abandon();
      owner.deliver({ type: "link_closed", worker, why });
      if (this.#answering === null && !guest.evicted) owner.workerLeft(state, why);
    }
  }

  /** Returns a promise only for what has to be waited for: all else is done in this turn. */
  #received(
    state: WorkerState,
    message: ToManager | Payload,
    nowMs: number,
  ): Promise<void> | void {
    const { owner, worker } = this;
    if (message.type !== "payload") {
      owner.deliver({ type: "received", worker, message }, nowMs);
      if (message.type === "resource tag") owner.workerJoined(state);
      return;
    }
    const { last } = message;
    const taking = this.#sink.take(message.bytes);
    if (taking === undefined) return this.#taken(last);
    return taking.then(() => this.#taken(last));
  }

  #taken(last: boolean): Promise<void> | void {
    const { owner, worker } = this;
    if (!last) return owner.deliver({ type: "moving", worker });
    const sink = this.#sink;
    this.#sink = nowhere;
    const closing = sink.finish();
    if (closing === null) return owner.deliver({ type: "stored", worker, stored: storedBy(sink) });
    return closing.then((why) => {
      const stored: Stored = why === null ? storedBy(sink) : { kind: "failed", why };
      owner.deliver({ type: "stored", worker, stored });
    });
  }
}

/** All links of a manager. */
export class Links {
  readonly #open = new Map<WorkerId, Connection>();
  readonly #served = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #accepting: Promise<void>;
  readonly #lobby: Lobby;
  #nextWorker = 1;

  private constructor(
    private readonly listener: Deno.TcpListener,
    private readonly printedBytesMax: number,
    private readonly owner: LinksOwner,
  ) {
    this.#lobby = new Lobby((address, why) => owner.refused(address, why));
    this.#accepting = this.#accept();
  }

  /** Throws a RunError if no port of the range is free. */
  static listen(options: LinksOptions, owner: LinksOwner): Links {
    return new Links(listenInRange(options), options.printedBytesMax, owner);
  }

  get port(): number {
    return this.listener.addr.port;
  }

  /** The link of a worker; none once it broke. */
  get(worker: WorkerId): Connection | undefined {
    return this.#open.get(worker);
  }

  /** Says farewell to all, and returns when all links are closed. The port is free at the end. */
  async close(farewell: Farewell): Promise<void> {
    this.#stopping.abort();
    this.listener.close();
    await this.#accepting;
    const farewells = [...this.#open.values()].map((connection) => connection.dismiss(farewell));
    await Promise.all([...farewells, ...this.#served]);
  }

  async #accept(): Promise<void> {
    for (;;) {
      let conn: Deno.TcpConn;
      try {
        conn = await this.listener.accept();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        // The peer may be gone before it is accepted, or files may have run out for a moment.
        if (error instanceof Deno.errors.BadResource) return;
        await delay(acceptAgainMs);
        continue;
      }
      const served = this.#admit(new Link(conn)).finally(() => this.#served.delete(served));
      this.#served.add(served);
    }
  }

  /** TLS and password come before the protocol; they cost nobody else any time. */
  async #admit(link: Link): Promise<void> {
    const guest = this.#lobby.enter(link.host, () => link.close());
    try {
      const ahead = await this.#secured(link);
      const worker = workerId(`w${this.#nextWorker++}`);
      const connection = new Connection(worker, link, this.printedBytesMax, this.owner);
      this.#open.set(worker, connection);
      await connection.serve(ahead, guest, () => this.#open.delete(worker));
    } catch (error) {
      link.close();
      if (!(error instanceof PeerProtocolError)) throw error;
      const { message } = error;
      const isNews = message !== wrongPassword || this.#lobby.wrongPassword(link.host);
      if (isNews && !guest.evicted) this.owner.refused(link.peer, message);
    } finally {
      guest.leave();
    }
  }

  /** Returns what of the protocol came along. Throws a PeerProtocolError. */
  async #secured(link: Link): Promise<Uint8Array | undefined> {
    const { password, tls } = this.owner.serving();
    const { signal } = this.#stopping;
    if (tls !== null) {
      const patience = { deadlineMs: firstByteMs, signal };
      // A worker speaks first, whichever way: its first byte tells.
      const asksForTls = tls.required || await link.firstByte(patience) === tlsFirstByte;
      if (asksForTls) await link.startTls({ role: "server", identity: tls.identity }, patience);
    }
    if (password === null) return undefined;
    await this.#lobby.turn(link.host, signal);
    const deadlineMs = link.secure ? firstByteMs : managerPatienceMs;
    return await authenticate(link, password.content, { role: "manager", deadlineMs, signal });
  }
}

function sinkFor(place: Place, printedBytesMax: number, patience: Patience): Sink {
  switch (place.kind) {
    case "printed":
      return new TailSink(place.whole ? Infinity : printedBytesMax);
    case "file":
      return new FileSink(place.path, 0o666, patience);
    case "update":
      return new UpdateSink(place.path, place.offset);
    case "nobody":
      return nowhere;
  }
}

function storedBy(sink: Sink): Stored {
  return sink instanceof TailSink
    ? { kind: "printed", bytes: sink.bytes, isCut: sink.isCut }
    : { kind: "file" };
}

function listenInRange({ port, hostname }: LinksOptions): Deno.TcpListener {
  let trouble: unknown;
  for (let candidate = port.low; candidate <= port.high; candidate++) {
    try {
      return Deno.listen({ hostname, port: candidate });
    } catch (error) {
      trouble = error;
    }
  }
  const which = port.low === port.high
    ? `port ${port.low}`
    : `any port from ${port.low} to ${port.high}`;
  const why = trouble instanceof Deno.errors.AddrInUse
    ? "in use by another program; choose another one with --port, or 0 for any free one"
    : messageOf(trouble);
  throw new RunError(`Cannot listen on ${which}: ${why}`);
}
