/** From an address to a link on which the greeting can be said: TCP, TLS, password. */
import { lookup } from "node:dns/promises";
import type { Address } from "../core/worker/managers.ts";
import { Link } from "../io/link.ts";

/** Which kind of addresses a name may stand for; `AUTO`: whatever there is. */
export type IpMode = "AUTO" | "IPV4" | "IPV6";

export interface ConnectOptions {
  readonly tls: boolean;
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

/** Throws what stood in the way; nothing is left open then. */
export async function connectTo(address: Address, options: ConnectOptions): Promise<Connected> {
  const { tls, password, connectMs, signal } = options;
  if (tls || password !== null) throw new Error("TLS and passwords are not there yet");
  const host = await resolveHost(address.host, options.ipMode);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(connectMs)]);
  const link = await Link.connect(host, address.port, limit);
  return { link, ahead: new Uint8Array(0) };
}

/** The system tries all addresses of a name; with a mode, the first of its kind is taken. */
async function resolveHost(host: string, mode: IpMode): Promise<string> {
  if (mode === "AUTO") return host;
  return (await lookup(host, { family: mode === "IPV6" ? 6 : 4 })).address;
}
