/** Passwords on links: the handshake of core, with a deadline, and the file they come from. */
import { messageOf, PeerProtocolError, UsageError } from "../core/errors.ts";
import { boundPassword } from "../core/pin.ts";
import {
  type End,
  passwordBytesMax,
  PasswordHandshake,
  passwordOf,
} from "../core/protocol/auth.ts";
import type { Link, Patience } from "./link.ts";

/** For a worker to complete the handshake, as in cctools. */
export const managerPatienceMs = 5000;

/** As long as those of cctools. */
const challengeLength = 63;

/** Sixteen, so that every random byte gives one of them fairly. */
const challengeLetters = "abcdefghijklmnop";

export interface AuthenticateOptions extends Patience {
  /** Which end of the link we are. */
  readonly role: End;
}

/**
 * Proves to the peer that we know the password, and has it prove the same; under TLS between peers
 * of wqx also that both see the same key. Returns what was read beyond the handshake: the first
 * bytes of the protocol. Throws a PeerProtocolError that says of the peer why it failed ("it
 * presented the wrong password"), and has closed the link then.
 */
export async function authenticate(
  link: Link,
  password: Uint8Array,
  { role, ...patience }: AuthenticateOptions,
): Promise<Uint8Array> {
  const { boundTo } = link;
  const proved = boundTo === null ? password : boundPassword(password, boundTo);
  const handshake = new PasswordHandshake(role, proved, randomChallenge());
  return await link.inTime(converse(link, handshake), "the password handshake", patience);
}

async function converse(link: Link, handshake: PasswordHandshake): Promise<Uint8Array> {
  await say(link, handshake.opening);
  for await (const bytes of link.received()) {
    const step = handshake.receive(bytes);
    await say(link, step.send);
    if (step.state === "ok") return step.rest;
    if (step.state === "failed") throw new PeerProtocolError(step.why);
  }
  throw new PeerProtocolError(handshake.closed());
}

/** A peer that has gone is noticed where its bytes end, which may still say why. */
async function say(link: Link, bytes: Uint8Array): Promise<void> {
  if (bytes.length > 0) await link.write(bytes).catch(() => {});
}

function randomChallenge(): string {
  const random = crypto.getRandomValues(new Uint8Array(challengeLength));
  return Array.from(random, (byte) => challengeLetters[byte % challengeLetters.length]).join("");
}

/**
 * The password in a file: all of it, a last line end included, as in cctools. Throws a UsageError
 * if there is none. `warn` hears of a file that everybody on this machine may read.
 */
export async function readPasswordFile(
  path: string,
  warn: (line: string) => void,
): Promise<Uint8Array> {
  const content = await readSecret(path, "password", warn);
  const password = passwordOf(content);
  const bad = (why: string) => new UsageError(`Cannot read the password from ${path}: ${why}`);
  if (password.length === 0) {
    throw bad(content.length === 0 ? "the file is empty" : "the file begins with a NUL byte");
  }
  if (password.length > passwordBytesMax) {
    throw bad(`it has ${password.length} bytes, and Work Queue takes at most ${passwordBytesMax}`);
  }
  return password;
}

/** The token of web pages in a file, one word. Throws and warns as {@link readPasswordFile}. */
export async function readToken(path: string, warn: (line: string) => void): Promise<string> {
  const text = new TextDecoder().decode(await readSecret(path, "token", warn)).trim();
  if (/^[\w.~-]{16,200}$/.test(text)) return text;
  throw new UsageError(
    `Cannot read the token from ${path}: it is one word of 16 to 200 letters and digits, such as ` +
      "openssl rand -hex 16 prints",
  );
}

async function readSecret(
  path: string,
  what: string,
  warn: (line: string) => void,
): Promise<Uint8Array> {
  let content: Uint8Array;
  let mode: number | null;
  try {
    content = await Deno.readFile(path);
    ({ mode } = await Deno.stat(path));
  } catch (error) {
    throw new UsageError(`Cannot read the ${what} from ${path}: ${messageOf(error)}`);
  }
  if (((mode ?? 0) & 0o004) !== 0 && content.length > 0) {
    warn(`Everybody on this machine may read the ${what} in ${path}: chmod 600 it`);
  }
  return content;
}
