/** Which of the records of a catalog are managers that a worker, a factory or a user looks for. */
import { type Address, showAddress } from "../addresses.ts";
import { UsageError } from "../errors.ts";
import type { JxExpr } from "../jx/expr.ts";
import { integerOf, isJxArray, isTrue, type JxObject, objectsOf, stringOf } from "../jx/value.ts";
import { isPin } from "../pin.ts";
import { didYouMean } from "../suggest.ts";
import { posixRegex, type TextPattern } from "../posix_regex.ts";

/** How a manager that was found in a catalog is connected to. */
export type ConnectionMode = "by_ip" | "by_hostname" | "by_apparent_ip";

export const connectionModes: readonly ConnectionMode[] = [
  "by_ip",
  "by_hostname",
  "by_apparent_ip",
];

/** Throws a UsageError for any other word. */
export function parseConnectionMode(text: string): ConnectionMode {
  const mode = connectionModes.find((one) => one === text);
  if (mode !== undefined) return mode;
  const hint = didYouMean(text, connectionModes) || `: it can be ${connectionModes.join(", ")}`;
  throw new UsageError(`"${text}" is no way to connect${hint}`);
}

/** A manager that may be served. */
export interface FoundManager {
  /** As people know it: `host:port`, or `"project" at host:port`. */
  readonly label: string;
  /** To be tried in turn; all are the same manager. */
  readonly addresses: readonly Address[];
  readonly tls: boolean;
  /** Of its key, which has to be the one that TLS shows. */
  readonly pin?: string | undefined;
  /** As the catalog has it; absent where nobody told. */
  readonly project?: string;
  /** What the catalog says that it speaks. */
  readonly protocol?: number | undefined;
}

/**
 * A regular expression that the whole project name must match. Unlike in cctools, `a|b` is "a" or
 * "b" here, not what begins with "a" or ends with "b". Throws a UsageError if it is none.
 */
export function projectPattern(text: string): TextPattern {
  return posixRegex(text, "whole");
}

/** Filters for catalogs; every text stays a text, whatever is in it. */
export function fieldIs(name: string, value: string): JxExpr {
  const left = { kind: "symbol", name, line: 0 } as const;
  return { kind: "binary", operator: "==", left, right: value, line: 0 };
}

/** At least one of these. */
export function anyOf(first: JxExpr, ...others: readonly JxExpr[]): JxExpr {
  return others.reduce(
    (left, right) => ({ kind: "binary", operator: "or", left, right, line: 0 }),
    first,
  );
}

/** All of these. */
export function allOf(first: JxExpr, ...others: readonly JxExpr[]): JxExpr {
  return others.reduce(
    (left, right) => ({ kind: "binary", operator: "and", left, right, line: 0 }),
    first,
  );
}

/** All managers of Work Queue, as {@link isManager} knows them. */
export const managersOnly = anyOf(fieldIs("type", "wq_master"), fieldIs("type", "wq_manager"));

/** Whether a record is one of a Work Queue manager, under either of its names. */
export function isManager(record: JxObject): boolean {
  const type = record.get("type");
  return type === "wq_master" || type === "wq_manager";
}

/** All factories, as {@link isFactory} knows them. */
export const factoriesOnly = fieldIs("type", "wq_factory");

export function isFactory(record: JxObject): boolean {
  return record.get("type") === "wq_factory";
}

/** `host:port` of the manager that a foreman works for; `null` for all others. */
export function managerOfForeman(record: JxObject): string | null {
  const place = stringOf(record, "my_manager");
  // What a foreman says that has lost its manager.
  return place === "127.0.0.1:-1" ? null : place;
}

/** Hosts on which a manager lets no tasks run. */
export function hostsBlockedBy(manager: JxObject): string[] {
  const blocked = manager.get("workers_blocked");
  // Old managers write one string with blanks between the names.
  const names = typeof blocked === "string" ? blocked.split(/\s+/) : blocked;
  if (!isJxArray(names)) return [];
  return names.filter((name) => typeof name === "string").filter((name) => name.trim() !== "");
}

/** Records of managers whose project matches. */
export function managersNamed(records: readonly JxObject[], pattern: TextPattern): JxObject[] {
  return records.filter((record) => {
    const project = record.get("project");
    return isManager(record) && typeof project === "string" && pattern.test(project);
  });
}

/**
 * The managers among the records of a catalog whose project matches; records that give no place to
 * connect to are left out. `mode` wins over what the record prefers.
 */
export function managersAmong(
  records: readonly JxObject[],
  pattern: TextPattern,
  mode: ConnectionMode | undefined,
): FoundManager[] {
  return managersNamed(records, pattern).flatMap((record) => {
    const project = String(record.get("project"));
    const port = integerOf(record, "port");
    const addresses = hostsOf(record, mode).map((host) => ({ host, port }));
    const first = addresses[0];
    if (first === undefined || port < 1 || port > 65_535) return [];
    const told = stringOf(record, "wqx_pin");
    const pin = told !== null && isPin(told) ? told : undefined;
    const shown = { ...first, host: stringOf(record, "name") ?? first.host };
    return [{
      label: `"${project}" at ${showAddress(shown)}`,
      addresses,
      tls: isTrue(record, "ssl") || pin !== undefined,
      ...(pin !== undefined && { pin }),
      project,
      protocol: integerOf(record, "protocol") || undefined,
    }];
  });
}

function hostsOf(record: JxObject, mode: ConnectionMode | undefined): string[] {
  const apparent = present(stringOf(record, "address"));
  const wanted = mode ?? record.get("manager_preferred_connection");
  if (wanted === "by_apparent_ip") return apparent;
  if (wanted === "by_hostname") {
    const name = stringOf(record, "name");
    return name === null ? apparent : [name];
  }
  const hosts = objectsOf(record, "network_interfaces").flatMap((entry) =>
    present(stringOf(entry, "address") ?? stringOf(entry, "host"))
  );
  return [...new Set([...hosts, ...apparent])];
}

function present<T>(value: T | null): T[] {
  return value === null ? [] : [value];
}
