/** From an address to a link on which the greeting can be said: TCP, TLS, password. */
import { lookup } from "node:dns/promises";
import type { Address } from "../core/addresses.ts";
import { authenticate } from "./handshake.ts";
import { Link } from "./link.ts";
import { Deadline } from "./deadline.ts";

/** Which kind of addresses a name may stand for; `AUTO`: whatever there is. */
export type IpMode = "AUTO" | "IPV4" | "IPV6";

export interface ConnectOptions {
  readonly tls: boolean;
  /** Under TLS, of the only key that will do. */
  readonly pin?: string | undefined;
  readonly ipMode: IpMode;
  /** The content of the password file. */
  readonly password: Uint8Array | null;
  /** For the host to answer. */
  readonly connectMs: number;
  /** For the manager to complete TLS and password, which it does when it has time. */
  readonly handshakeMs: number;
  readonly signal: AbortSignal;
}

export interface Connected {
  readonly link: Link;
  /** Bytes of the manager that came right after the handshake. */
  readonly ahead: Uint8Array;
}

/** Throws what stood in the way, a PeerProtocolError if it was a handshake; nothing is left open. */
export async function connectTo(address: Address, options: ConnectOptions): Promise<Connected> {
  const { tls, pin, password, signal } = options;
  const link = await connectTcp(address, options);
  const patience = { deadlineMs: options.handshakeMs, signal };
  if (tls) await link.startTls({ role: "client", host: address.host, pin }, patience);
  if (password === null) return { link, ahead: new Uint8Array(0) };
  return { link, ahead: await authenticate(link, password, { role: "worker", ...patience }) };
}

/** Throws what stood in the way, in time. */
export async function connectTcp(
  { host, port }: Address,
  { ipMode, connectMs, signal }: Pick<ConnectOptions, "ipMode" | "connectMs" | "signal">,
): Promise<Link> {
  using deadline = new Deadline(connectMs, signal);
  try {
    return await Link.connect(await resolveHost(host, ipMode), port, deadline.signal);
  } catch (error) {
    deadline.signal.throwIfAborted(); // says it better
    throw error;
  }
}

/** The system tries all addresses of a name; with a mode, the first of its kind is taken. */
async function resolveHost(host: string, mode: IpMode): Promise<string> {
  if (mode === "AUTO") return host;
  return (await lookup(host, { family: mode === "IPV6" ? 6 : 4 })).address;
}
