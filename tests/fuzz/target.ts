/** One parser (or a few that belong together) and what must hold of it, whatever it is given. */
import assert from "node:assert/strict";
import type { Rng } from "../../core/env.ts";

export interface Target {
  readonly name: string;
  /** Beginnings of the paths of the modules that it is about: what of them runs is its coverage. */
  readonly code: readonly string[];
  /** Words of the format, to be put in anywhere. */
  readonly words: readonly string[];
  /** Sound inputs to begin with, the corpus aside. */
  readonly seeds: readonly (Uint8Array | string)[];
  /** Whether inputs are JSON, of which values can be exchanged. */
  readonly isJson?: boolean;
  /** Longest input that is tried, if not {@link lengthMaxUsual}; bytes. */
  readonly lengthMax?: number;
  /** Makes checksums and lengths right again after a change, so that what lies behind is reached. */
  readonly mend?: (bytes: Uint8Array, rng: Rng) => Uint8Array;
  /** Throws if something does not hold. Must do the same for the same bytes. */
  readonly run: (bytes: Uint8Array) => void | Promise<void>;
}

export const lengthMaxUsual = 1024;

type ErrorClass = abstract new (...args: never[]) => Error;

/** What `body` gives, or null if it throws one of the parser's own errors; others go on. */
export function orRefused<T>(body: () => T, ...own: readonly ErrorClass[]): T | null {
  try {
    return body();
  } catch (error) {
    if (own.some((one) => error instanceof one)) return null;
    throw error;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function bytesOf(input: Uint8Array | string): Uint8Array {
  return typeof input === "string" ? new TextEncoder().encode(input) : input;
}

/** As JSON, or null: parsers of values that somebody else has parsed refuse nothing of it. */
export function jsonOf(bytes: Uint8Array): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(textOf(bytes)) };
  } catch {
    return null;
  }
}

/** Pieces of 1 to 97 bytes, by what the bytes are, so that the same input is always cut the same. */
export function* inPieces(bytes: Uint8Array): Generator<Uint8Array> {
  let state = bytes.length + 1;
  for (let at = 0; at < bytes.length;) {
    state = (Math.imul(state, 1103515245) + 12345 + bytes[at]!) >>> 0;
    const size = (state >>> 16) % 4 === 0 ? 1 + (state >>> 18) % 97 : 1 + (state >>> 18) % 3;
    yield bytes.slice(at, at + size);
    at += size;
  }
}

/** Equal as far as JSON tells, for what is compared a million times. */
export function assertSame(one: unknown, other: unknown, what: string): void {
  const [a, b] = [JSON.stringify(one, plain), JSON.stringify(other, plain)];
  if (a !== b) assert.fail(`${what}: ${a} and ${b}`);
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Map) return [...value];
  return value;
}
