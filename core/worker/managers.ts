/**
 * Where a worker may look for managers: addresses from the command line, and records of a catalog.
 */
import { UsageError } from "../errors.ts";
import { parsePort } from "../units.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a manager that was found in a catalog is connected to. */
export type ConnectionMode = "by_ip" | "by_hostname" | "by_apparent_ip";

export const connectionModes: readonly ConnectionMode[] = [
  "by_ip",
  "by_hostname",
  "by_apparent_ip",
];

/** A manager that may be served. */
export interface FoundManager {
  /** As people know it: `host:port`, or `"project" at host:port`. */
  readonly label: string;
  /** To be tried in turn; all are the same manager. */
  readonly addresses: readonly Address[];
  readonly tls: boolean;
  /** What the catalog says that it speaks. */
  readonly protocol?: number | undefined;
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

/** What JavaScript does not know of POSIX's classes of characters, as used within `[…]`. */
const posixClasses: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  digit: "0-9",
  lower: "a-z",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/**
 * A regular expression that the whole project name must match. Unlike in cctools, `a|b` is "a" or
 * "b" here, not what begins with "a" or ends with "b". Throws a UsageError if it is none.
 */
export function projectPattern(text: string): RegExp {
  const source = text.replace(/\[:(\w+):\]/g, (whole, name) => posixClasses[name] ?? whole);
  try {
    // Without the group, a parenthesis too many would close ours.
    new RegExp(source);
    return new RegExp(`^(?:${source})$`);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(": ").at(-1) : String(error);
    throw new UsageError(`"${text}" is not a regular expression: ${reason}`);
  }
}

/** What a worker reads of a record; everything in it may be missing or of another type. */
interface ManagerRecord {
  readonly type?: unknown;
  readonly project?: unknown;
  readonly name?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly ssl?: unknown;
  readonly protocol?: unknown;
  readonly manager_preferred_connection?: unknown;
  readonly network_interfaces?: unknown;
}

/**
 * The managers among the records of a catalog whose project matches; records that give no place to
 * connect to are left out. `mode` wins over what the record prefers.
 */
export function managersAmong(
  records: readonly unknown[],
  project: RegExp,
  mode: ConnectionMode | undefined,
): FoundManager[] {
  return records.flatMap((record) => {
    if (typeof record !== "object" || record === null) return [];
    const r: ManagerRecord = record;
    if (r.type !== "wq_master" && r.type !== "wq_manager") return [];
    if (typeof r.project !== "string" || !project.test(r.project)) return [];
    const port = Number.isInteger(r.port) ? r.port as number : 0;
    const addresses = hostsOf(r, mode).map((host) => ({ host, port }));
    const first = addresses[0];
    if (first === undefined || port < 1 || port > 65_535) return [];
    return [{
      label: `"${r.project}" at ${showAddress({ ...first, host: text(r.name) ?? first.host })}`,
      addresses,
      tls: r.ssl === true,
      protocol: typeof r.protocol === "number" ? r.protocol : undefined,
    }];
  });
}

function hostsOf(record: ManagerRecord, mode: ConnectionMode | undefined): string[] {
  const apparent = text(record.address);
  const wanted = mode ?? record.manager_preferred_connection;
  if (wanted === "by_hostname") return present(text(record.name) ?? apparent);
  if (wanted === "by_apparent_ip") return present(apparent);
  const interfaces = Array.isArray(record.network_interfaces) ? record.network_interfaces : [];
  const hosts = interfaces.flatMap((entry) => present(text(entry?.address) ?? text(entry?.host)));
  return [...new Set([...hosts, ...present(apparent)])];
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function present<T>(value: T | null): T[] {
  return value === null ? [] : [value];
}
