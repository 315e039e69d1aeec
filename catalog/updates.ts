/**
 * Updates as they come in: a datagram each, or a connection each. Whoever is slow, silent or
 * talkative is cut off; nobody else notices.
 */
import { createSocket, type Socket } from "node:dgram";
import { inflateSync } from "node:zlib";
import { updateBytesMax } from "../core/catalog/record.ts";
import { UpdateRates } from "../core/catalog/rates.ts";
import { concat } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import { HostNames, plainAddress } from "./host_names.ts";
import type { CatalogStore } from "./store.ts";

/** A connection has so long from its beginning to its end, as in catalog_server. */
const connectionMs = 5_000;
/** Open at once; beyond, the one that has been open longest goes. */
const connectionsMax = 1_000;
/** Updates waiting for the name of their host; beyond, they are dropped. */
const waitingMax = 10_000;
/** Marks a compressed update, before a zlib stream. */
const compressedMark = 0x1a;
/** Between two sentences about dropped updates. */
const complaintMs = 10_000;

export interface UpdateOptions {
  readonly store: CatalogStore;
  readonly nowMs: () => number;
  readonly debug: (line: string) => void;
  /** For people: a sentence, not too often. */
  readonly note: (line: string) => void;
}

export class UpdateReceiver {
  readonly #names: HostNames;
  readonly #rates = new UpdateRates();
  #waiting = 0;
  #complainedMs = -Infinity;
  #unsaid = 0;

  constructor(private readonly options: UpdateOptions) {
    this.#names = new HostNames(options.nowMs);
  }

  /** Takes the bytes of one update from that address. */
  take(bytes: Uint8Array, peer: string): void {
    const address = plainAddress(peer);
    if (!this.#rates.allow(address, bytes.length, this.options.nowMs())) {
      return this.#drop(address, "it sends more updates than are taken from one address");
    }
    const text = textOf(bytes);
    if (typeof text !== "string") return this.#drop(address, text.wrong);
    const name = this.#names.nameOf(address);
    if (typeof name === "string") return this.#read(text, { address, name });
    if (this.#waiting >= waitingMax) return this.#drop(address, "too many wait for a host's name");
    this.#waiting++;
    void name.then((name) => {
      this.#waiting--;
      this.#read(text, { address, name });
    });
  }

  /** Says that something of an address was not taken. */
  #drop(address: string, why: string): void {
    const { debug, note, nowMs } = this.options;
    const line = `Dropped an update of ${address}: ${why}`;
    debug(line);
    if (nowMs() - this.#complainedMs < complaintMs) {
      this.#unsaid++;
      return;
    }
    note(this.#unsaid === 0 ? line : `${line} (and ${this.#unsaid} before it)`);
    this.#complainedMs = nowMs();
    this.#unsaid = 0;
  }

  #read(text: string, source: { address: string; name: string }): void {
    const why = this.options.store.update(text, source);
    if (why !== null) this.#drop(source.address, why);
  }
}

/** Text as UTF-8, inflated if need be. */
function textOf(bytes: Uint8Array): string | { readonly wrong: string } {
  if (bytes.length === 0) return { wrong: "it is empty" };
  if (bytes.length > updateBytesMax) return { wrong: `it is longer than ${updateBytesMax} bytes` };
  if (bytes[0] !== compressedMark) return new TextDecoder().decode(bytes);
  try {
    const inflated = inflateSync(bytes.subarray(1), { maxOutputLength: updateBytesMax });
    return new TextDecoder().decode(inflated);
  } catch (error) {
    return { wrong: `it cannot be inflated (${messageOf(error)})` };
  }
}

/** Datagrams on a port. */
export class DatagramUpdates implements AsyncDisposable {
  private constructor(private readonly socket: Socket) {}

  /** Throws the system's error if the port is taken. */
  static async listen(
    hostname: string,
    port: number,
    receiver: UpdateReceiver,
  ): Promise<DatagramUpdates> {
    const socket = createSocket(hostname.includes(":") ? "udp6" : "udp4");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once("error", reject);
    socket.bind(port, hostname, resolve);
    await promise;
    socket.off("error", reject);
    socket.on("error", () => {}); // of one datagram; the next ones come all the same
    // Its receive buffer stays as it is: Deno takes that size anew for each datagram.
    socket.on("message", (bytes, { address }) => receiver.take(bytes, address));
    return new DatagramUpdates(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.socket.close(() => resolve());
    await promise;
  }
}

/** Connections on a port, an update each. */
export class ConnectionUpdates implements AsyncDisposable {
  readonly #open = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>;

  /** Throws the system's error if the port is taken. */
  static listen(hostname: string, port: number, receiver: UpdateReceiver): ConnectionUpdates {
    return new ConnectionUpdates(Deno.listen({ hostname, port }), receiver);
  }

  private constructor(
    private readonly listener: Deno.TcpListener,
    private readonly receiver: UpdateReceiver,
  ) {
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    for (const connection of this.#open) close(connection);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    while (true) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
          return;
        }
        // Gone before it was accepted, or no descriptor left: one may be free soon.
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      void this.#receive(connection);
    }
  }

  async #receive(connection: Deno.TcpConn): Promise<void> {
    const { hostname } = connection.remoteAddr;
    this.#open.add(connection);
    if (this.#open.size > connectionsMax) close(this.#open.values().next().value!);
    const timer = setTimeout(() => close(connection), connectionMs);
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      while (length <= updateBytesMax) {
        const buffer = new Uint8Array(16 * 1024);
        const count = await connection.read(buffer);
        if (count === null) break;
        pieces.push(buffer.subarray(0, count));
        length += count;
      }
    } catch {
      // Reset, or out of time: what has come may be the whole.
    }
    clearTimeout(timer);
    this.#open.delete(connection);
    close(connection);
    const bytes = concat(pieces);
    const asked = new TextDecoder().decode(bytes.subarray(0, 4)) === "GET ";
    if (bytes.length > 0 && !asked) {
      this.receiver.take(bytes, hostname);
    }
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
