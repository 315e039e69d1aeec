/**
 * Work Queue's password handshake: each end proves that it knows the password by hashing it
 * together with a random text from the other. It comes before anything else on a link (but TLS).
 *
 * Both ends run the same steps. A manager keeps its own answer back until the worker's was right:
 * real workers do not wait for it, and a stranger gets nothing from which to guess the password, or
 * to use on a second connection. An end that is sent its own challenge refuses to answer it.
 */
import { createHash } from "node:crypto";
import { concat } from "../bytes.ts";
import { sameText } from "../pin.ts";

/** Which end of the link we are. */
export type End = "manager" | "worker";

/** Longest line of a handshake, without its end: cctools peers read into 1024 bytes. */
export const authLineBytesMax = 1023;

/** Longest password: cctools peers hash it together with a challenge in a buffer of limited size. */
export const passwordBytesMax = 1000;

/** What came of some bytes. `send` goes to the peer in every case, before anything else. */
export type AuthStep =
  | { readonly state: "more"; readonly send: Uint8Array }
  /** Both ends know the password; `rest` already belongs to the protocol. */
  | { readonly state: "ok"; readonly send: Uint8Array; readonly rest: Uint8Array }
  /** Close the link. `why` goes on after the peer's name: "it presented the wrong password". */
  | { readonly state: "failed"; readonly send: Uint8Array; readonly why: string };

/** Why a handshake failed in which the password was guessed, and guessed wrong. */
export const wrongPassword = "it presented the wrong password";

const ident = "auth password sha1";
const newline = 0x0a;
const nothing = new Uint8Array(0);
const ascii = new TextEncoder();

/** What of a password file counts: everything up to a NUL byte, a last line end included. */
export function passwordOf(content: Uint8Array): Uint8Array {
  const nul = content.indexOf(0);
  return nul < 0 ? content : content.subarray(0, nul);
}

type Expecting = "ident" | "challenge" | "answer" | "verdict" | "nothing";

/** One handshake, from our end. Bytes in, bytes out; after its end it must not be fed again. */
export class PasswordHandshake {
  /** To be sent at once: neither end waits for the other to begin. */
  readonly opening: Uint8Array;
  readonly #password: Uint8Array;
  #expecting: Expecting = "ident";
  /** Of a line whose end has not come. */
  #partial: Uint8Array = nothing;
  /** Our answer to the peer's challenge, until it is sent. */
  #answer: string | null = null;

  /**
   * @param challenge random text of up to 1023 letters, never used before; chance is the caller's
   */
  constructor(
    private readonly end: End,
    password: Uint8Array,
    private readonly challenge: string,
  ) {
    if (!/^[A-Za-z0-9]{1,1023}$/.test(challenge)) {
      throw new RangeError("A challenge has 1 to 1023 letters and digits");
    }
    this.#password = passwordOf(password);
    this.opening = ascii.encode(`${ident}\n${challenge}\n`);
  }

  receive(bytes: Uint8Array): AuthStep {
    if (this.#over) throw new Error("This handshake is over");
    const send: string[] = [];
    let data = this.#partial.length === 0 ? bytes : concat([this.#partial, bytes]);
    if (this.#expecting === "ident") {
      const why = tlsInstead(this.end, data);
      if (why !== null) return this.#failed(send, why);
    }
    for (;;) {
      const length = data.indexOf(newline);
      if (length > authLineBytesMax || (length < 0 && data.length > authLineBytesMax)) {
        return this.#failed(send, `it sent a line of more than ${authLineBytesMax} bytes`);
      }
      if (length < 0) {
        this.#partial = data;
        return { state: "more", send: ascii.encode(send.join("")) };
      }
      const why = this.#line(textOf(data.subarray(0, length)), send);
      data = data.subarray(length + 1);
      if (why !== null) return this.#failed(send, why);
      if (this.#over) return { state: "ok", send: ascii.encode(send.join("")), rest: data };
    }
  }

  get #over(): boolean {
    return this.#expecting === "nothing";
  }

  /** Why it failed if the peer closes the connection now. */
  closed(): string {
    if (this.#expecting === "ident" && this.#partial.length === 0 && this.end === "worker") {
      return "it closed the connection at the password handshake: " +
        "it may have no password, or expect TLS (--ssl)";
    }
    return this.#expecting === "answer" || this.#expecting === "verdict"
      ? "it closed the connection without accepting the password"
      : "it closed the connection without authenticating";
  }

  /** Takes one line, adds what is to be sent, and returns why it failed, if it did. */
  #line(line: string, send: string[]): string | null {
    switch (this.#expecting) {
      case "ident":
        if (line !== ident) return otherwise(line);
        this.#expecting = "challenge";
        return null;
      case "challenge":
        if (line === this.challenge) return "it sent our own challenge back to us";
        this.#answer = this.#hash(line);
        if (this.end === "worker") this.#sendAnswer(send);
        this.#expecting = "answer";
        return null;
      case "answer":
        if (!sameText(line, this.#hash(this.challenge))) {
          send.push("failure\n");
          if (line === "failure") return "it did not accept our password";
          return this.end === "manager" ? wrongPassword : "its password is another one than ours";
        }
        this.#sendAnswer(send);
        send.push("ok\n");
        this.#expecting = "verdict";
        return null;
      case "verdict":
        if (line !== "ok") return "it did not accept our password";
        this.#expecting = "nothing";
        return null;
      case "nothing":
        throw new Error("This handshake is over");
    }
  }

  #sendAnswer(send: string[]): void {
    if (this.#answer !== null) send.push(`${this.#answer}\n`);
    this.#answer = null;
  }

  #hash(challenge: string): string {
    return createHash("sha1").update(this.#password).update(" ").update(bytesOf(challenge))
      .digest("hex");
  }

  #failed(send: readonly string[], why: string): AuthStep {
    this.#expecting = "nothing";
    return { state: "failed", send: ascii.encode(send.join("")), why };
  }
}

/** What a first line says of a peer that does not authenticate. */
function otherwise(line: string): string {
  if (line.startsWith("workqueue ")) {
    return "it greeted without authenticating; give it the password of this manager (--password)";
  }
  if (/^\w+_status\b/.test(line) || line.startsWith("GET ")) {
    return "it asked for the status without authenticating; give it the password (--password)";
  }
  const shown = JSON.stringify(line.slice(0, 60));
  return line.startsWith("auth ")
    ? `it offers ${shown}, and only "${ident}" is understood`
    : `it sent ${shown} instead of "${ident}"`;
}

/**
 * A TLS record where the first line should be: 0x16 begins a handshake, 0x15 complains of ours
 * (RFC 8446, section 5.1). Its bytes need not hold a line end, so it is told by its head.
 */
function tlsInstead(end: End, data: Uint8Array): string | null {
  if (data[1] !== 0x03 || (data[0] !== 0x16 && data[0] !== 0x15)) return null;
  return end === "manager"
    ? "it speaks TLS and this manager does not; start it without --ssl"
    : "it expects TLS; use --ssl";
}

/** Bytes as they are: CR dropped and ended by NUL, as in all lines of cctools. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte === 0) break;
    if (byte !== 0x0d) text += String.fromCharCode(byte);
  }
  return text;
}

/** The inverse of {@link textOf}. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}
