/**
 * TLS on top of a link's bytes, either end. Certificates are not verified by who signed them: real
 * workers accept any, and managers ask for none. Peers of wqx check the pin of the key where they
 * know it, and tell each other by ALPN that they are of wqx, so that the password proves the key.
 *
 * By `node:tls`, because Deno's own client cannot accept a self-signed certificate, and its own
 * server cannot switch Nagle's delay off, which costs 44 ms for every file. `node:tls` reads the
 * socket as fast as it can, whoever waits; therefore it does not get the socket, but what we hand on.
 */
import { isIP } from "node:net";
import { X509Certificate } from "node:crypto";
import { Duplex } from "node:stream";
import { connect, TLSSocket } from "node:tls";
import { pinOf } from "../core/pin.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** A way for bytes, both directions. */
export interface Channel {
  /** The next bytes, good until it is called again; `null` at the end, whatever ended it. */
  read(): Promise<Uint8Array | null>;
  /** Resolves when the bytes are taken and their array may be used again; throws if they cannot. */
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Our end. A client names the host it asked for, as its user wrote it; `pin`: of the only key. */
export type TlsEnd =
  | { readonly role: "server"; readonly identity: TlsIdentity }
  | { readonly role: "client"; readonly host: string; readonly pin?: string | undefined };

/** What peers of wqx call their protocol (RFC 7301); those of cctools name none. */
const protocolName = "wqx";

/** Decrypted and not yet asked for: beyond it, nothing more is read from the socket; bytes. */
const waitingBytesMax = 256 * 1024;

export class TlsChannel implements Channel {
  /** What the socket is to `node:tls`: it carries what we hand on, and what is to be sent. */
  readonly #transport: Duplex;
  readonly #socket: TLSSocket;
  readonly #handshake = Promise.withResolvers<void>();
  #turn: Promise<void> = Promise.resolve();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #ended = false;
  #broken: Error | null = null;
  #wake: () => void = () => {};
  #established = false;
  #wanted = false;
  #pulling = false;

  private constructor(private readonly below: Channel, private readonly end: TlsEnd) {
    this.#transport = new Duplex({
      read: () => {
        this.#wanted = true;
        void this.#pull();
      },
      // Its own errors would end up where nobody listens; they break the channel instead.
      write: (bytes: Uint8Array, _encoding, done) => {
        below.write(bytes).catch((error) => this.#break(error)).finally(() => done());
      },
    });
    this.#socket = end.role === "server"
      ? serve(this.#transport, end.identity)
      : ask(this.#transport, end.host);
    this.#socket.once(end.role === "server" ? "secure" : "secureConnect", this.#handshake.resolve);
    this.#socket.on("data", (bytes: Uint8Array) => {
      // Of a plain kind: `slice` of a Buffer does not copy.
      this.#waiting.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      this.#waitingBytes += bytes.byteLength;
      this.#wake();
    });
    this.#socket.on("end", () => this.#end());
    this.#socket.on("close", () => this.#break(new Error("the TLS connection was closed")));
    this.#socket.on("error", (error) => this.#break(error));
  }

  /** Resolves after the handshake; throws why it failed, and has closed `below` then. */
  static async open(below: Channel, end: TlsEnd): Promise<TlsChannel> {
    const channel = new TlsChannel(below, end);
    await channel.#handshake.promise;
    channel.#established = true;
    return channel;
  }

  /** Whether both ends are of wqx. */
  get isOurs(): boolean {
    return this.#socket.alpnProtocol === protocolName;
  }

  /** Of the server's key, which the handshake proved that it has; `null`: it cannot be read. */
  get pin(): string | null {
    if (this.end.role === "server") return ownPin(this.end.identity);
    const certificate = this.#socket.getPeerX509Certificate();
    return certificate === undefined ? null : pinOfKey(certificate);
  }

  async read(): Promise<Uint8Array | null> {
    while (this.#waiting.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const bytes = this.#waiting.shift()!;
    this.#waitingBytes -= bytes.length;
    void this.#pull();
    return bytes;
  }

  /** The bytes of one call fill records of their own, whatever is called at the same time. */
  write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return this.#turn; // no record, so nobody would call back
    const sent = this.#turn.then(() => this.#send(bytes));
    this.#turn = sent.catch(() => {});
    return sent;
  }

  close(): void {
    this.#break(new Error("the link was closed"));
  }

  #send(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) return reject(this.#broken);
      this.#socket.write(bytes, (error) => {
        const trouble = error ?? this.#broken; // the transport keeps its errors to itself
        if (trouble) reject(trouble);
        else resolve();
      });
    });
  }

  /** Hands on what comes from below, while it is wanted and read. */
  async #pull(): Promise<void> {
    if (this.#pulling) return;
    this.#pulling = true;
    while (this.#wanted && this.#waitingBytes < waitingBytesMax) {
      this.#wanted = false;
      const bytes = await this.below.read();
      if (this.#broken !== null) break;
      if (bytes === null && !this.#established) this.#break(new Error("it closed the connection"));
      else this.#transport.push(bytes?.slice() ?? null); // its own: a stream may keep it
      if (bytes === null) break;
    }
    this.#pulling = false;
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  #break(error: Error): void {
    if (this.#broken !== null) return;
    this.#broken = error;
    this.#end();
    this.#handshake.reject(error);
    this.#socket.destroy();
    this.below.close();
  }
}

function serve(transport: Duplex, { key, certificate }: TlsIdentity): TLSSocket {
  return new TLSSocket(transport, {
    isServer: true,
    key,
    cert: certificate,
    ALPNProtocols: [protocolName],
  });
}

function ask(transport: Duplex, host: string): TLSSocket {
  return connect({
    socket: transport,
    rejectUnauthorized: false,
    ALPNProtocols: [protocolName],
    // Managers ignore the name, and no address may stand for one (RFC 6066, section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
}

const ownPins = new WeakMap<TlsIdentity, string>();

/** The pin of the key of an identity, reckoned once. */
export function ownPin(identity: TlsIdentity): string {
  const known = ownPins.get(identity);
  if (known !== undefined) return known;
  const pin = pinOfKey(new X509Certificate(identity.certificate));
  ownPins.set(identity, pin);
  return pin;
}

function pinOfKey({ publicKey }: X509Certificate): string {
  return pinOf(publicKey.export({ type: "spki", format: "der" }));
}
