/** Hosts and ports of managers and catalogs, as people and options write them. */
import { UsageError } from "./errors.ts";
import { parsePort } from "./units.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Work Queue's, where neither option nor environment names one. */
export const catalogsDefault = "catalog.cse.nd.edu,backup-catalog.cse.nd.edu";
export const catalogPortDefault = 9097;

/** `host:port;host:port`, or one `host:port`. Throws a UsageError that names the wrong one. */
export function parseManagers(text: string): Address[] {
  const words = text.split(";").map((word) => word.trim()).filter((word) => word !== "");
  if (words.length === 0) throw new UsageError("the list of managers is empty");
  return words.map((word) => {
    const address = parseAddress(word, null);
    if (address === null) {
      throw new UsageError(`"${word}" is no manager: write HOST:PORT, and ";" between several`);
    }
    return address;
  });
}

/** `host`, `host:port`, `[IPv6]:port` or an IPv6 address, with commas between several. */
export function parseCatalogs(text: string, portDefault = catalogPortDefault): Address[] {
  const words = text.split(",").map((word) => word.trim()).filter((word) => word !== "");
  if (words.length === 0) throw new UsageError("the list of catalogs is empty");
  return words.map((word) => {
    const address = parseAddress(word, portDefault);
    if (address === null) {
      throw new UsageError(`"${word}" is no catalog: write HOST or HOST:PORT`);
    }
    return address;
  });
}

function parseAddress(word: string, portDefault: number | null): Address | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::([^:]*))?$/.exec(word) ??
    /^([0-9a-f.]*:[0-9a-f:.]*:[0-9a-f:.]*)$/i.exec(word);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3];
  if (host === undefined) return null;
  if (port !== undefined) return { host, port: parsePort(port) };
  return portDefault === null ? null : { host, port: portDefault };
}

/** `host:port` as people read it, with brackets where the host has colons. */
export function showAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether what goes there stays on this machine; of names, only `localhost` is known to. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1|::ffff:127(\.\d+){3})$/i.test(host);
}
