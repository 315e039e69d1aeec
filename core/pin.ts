/**
 * Pins: what a worker knows of its manager's key before it connects. A pin is the SHA-256 of the
 * public key in the form in which certificates hold it (SubjectPublicKeyInfo, as in RFC 7469), so it
 * outlives certificates; it is no secret.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Address } from "./addresses.ts";
import { UsageError } from "./errors.ts";
import { parsePort } from "./units.ts";

/** 32 bytes in the letters of URLs. */
const pinPattern = /^[A-Za-z0-9_-]{43}$/;

const utf8 = new TextEncoder();

/** `publicKey`: SubjectPublicKeyInfo, DER. */
export function pinOf(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("base64url");
}

export function isPin(text: string): boolean {
  return pinPattern.test(text);
}

/** Takes the same time wherever two texts differ, so that time tells nothing of either. */
export function sameText(a: string, b: string): boolean {
  const [one, other] = [utf8.encode(a), utf8.encode(b)];
  return one.length === other.length && timingSafeEqual(one, other);
}

/**
 * What two peers of wqx prove to know in place of the password, under TLS: each takes the pin of
 * the certificate that it sees, so whoever stands in between with another one cannot pass it on.
 */
export function boundPassword(password: Uint8Array, pin: string): Uint8Array {
  return utf8.encode(createHmac("sha256", password).update(`wqx pin ${pin}`).digest("hex"));
}

/** Where a manager is, and the pin of its key: all that `wqx worker --join` needs. */
export interface JoinToken {
  /** Names and addresses of one manager, to be tried in turn; at least one. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly pin: string;
}

/** `HOST,HOST:PORT/PIN`, with brackets around what has colons. */
export function showJoinToken({ hosts, port, pin }: JoinToken): string {
  const shown = hosts.map((host) => host.includes(":") ? `[${host}]` : host);
  return `${shown.join(",")}:${port}/${pin}`;
}

/** The inverse of {@link showJoinToken}. Throws a UsageError that says what is wrong. */
export function parseJoinToken(text: string): JoinToken {
  const [, names, port, pin] = /^([^/]+):(\d+)\/(.*)$/.exec(text.trim()) ?? [];
  const hosts = (names ?? "").split(",").map((name) =>
    /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))$/i.exec(name)?.slice(1).find((host) => host !== undefined)
  );
  if (pin === undefined || !hosts.every((host) => host !== undefined)) {
    throw new UsageError(
      `"${text}" is no token to join by: it is HOST:PORT/PIN, as wqx manager prints it`,
    );
  }
  if (!isPin(pin)) {
    throw new UsageError(
      `"${pin}" in "${text}" is no pin of a key: it has 43 letters, digits, "-" and "_"; was the ` +
        "token cut off?",
    );
  }
  return { hosts, port: parsePort(port!), pin };
}

/** All places of the manager that a token names. */
export function addressesOf({ hosts, port }: JoinToken): Address[] {
  return hosts.map((host) => ({ host, port }));
}
