/**
 * Changes to an input, as fuzzers make them: bits, bytes, numbers, lengths, words of the format,
 * parts of other inputs, and for JSON values in place of values. The same chance, the same input.
 */
import type { Rng } from "../../core/env.ts";
import { concat } from "../../core/bytes.ts";
import { bytesOf, lengthMaxUsual, type Target, textOf } from "./target.ts";

/** Makes inputs for one target. */
export class Mutator {
  readonly #words: readonly Uint8Array[];
  readonly #lengthMax: number;

  constructor(private readonly target: Target, private readonly rng: Rng) {
    this.#words = target.words.map(wordBytes);
    this.#lengthMax = target.lengthMax ?? lengthMaxUsual;
  }

  /** An input like `parent`; `other` is another one, to take parts from. */
  next(parent: Uint8Array, other: Uint8Array): Uint8Array {
    let bytes = parent;
    if (this.target.isJson && this.#chance(0.6)) {
      bytes = this.#ofJson(bytes, other) ?? this.#change(bytes, other);
    } else {
      // Mostly one change, now and then many: 1, 1, 2, 1, 4, …
      for (let left = 1 << this.#below(4) >> this.#below(3); left >= 0; left--) {
        bytes = this.#change(bytes, other);
      }
    }
    if (bytes.length > this.#lengthMax) bytes = bytes.subarray(0, this.#lengthMax);
    const { mend } = this.target;
    return mend !== undefined && this.#chance(0.85) ? mend(bytes.slice(), this.rng) : bytes;
  }

  #change(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    const at = this.#below(bytes.length + 1);
    const word = this.#words.length > 0 ? this.#pick(this.#words) : this.#noise();
    switch (this.#below(14)) {
      case 0:
        return this.#with(bytes, (out) => out[at] = out[at]! ^ 1 << this.#below(8));
      case 1:
        return this.#with(bytes, (out) => out[at] = this.#pick(tellingBytes));
      case 2:
        return this.#with(bytes, (out) => out[at] = this.#below(256));
      case 3:
      case 4:
        return splice(bytes, at, at, word);
      case 5:
        return splice(bytes, at, at + word.length, word);
      case 6:
        return splice(bytes, at, at + 1 + this.#below(this.#span(bytes.length)), nothing);
      case 7:
        return splice(bytes, at, at, this.#part(bytes));
      case 8:
        return splice(bytes, at, at, this.#part(other));
      case 9:
        return concat([bytes.subarray(0, at), other.subarray(this.#below(other.length + 1))]);
      case 10:
        return this.#field(bytes, at);
      case 11:
        return this.#digits(bytes);
      case 12:
        return this.#line(bytes, other);
      default:
        return splice(bytes, at, at, this.#noise());
    }
  }

  /** Binary numbers, above all lengths: small, huge, and what is just right or just not. */
  #field(bytes: Uint8Array, at: number): Uint8Array {
    const width = this.#pick([1, 2, 4, 8]);
    if (bytes.length < width) return bytes;
    const start = Math.min(at, bytes.length - width);
    return this.#with(bytes, (out) => {
      const view = new DataView(out.buffer, out.byteOffset + start, width);
      const near = bytes.length + this.#below(9) - 4 - (this.#chance(0.5) ? start : 0);
      const value = BigInt(this.#chance(0.3) ? near : this.#pick(tellingNumbers));
      const little = this.#chance(0.5);
      if (width === 1) view.setUint8(0, Number(BigInt.asUintN(8, value)));
      if (width === 2) view.setUint16(0, Number(BigInt.asUintN(16, value)), little);
      if (width === 4) view.setUint32(0, Number(BigInt.asUintN(32, value)), little);
      if (width === 8) view.setBigUint64(0, BigInt.asUintN(64, value), little);
    });
  }

  /** A run of digits becomes another number. */
  #digits(bytes: Uint8Array): Uint8Array {
    const from = this.#below(bytes.length + 1);
    for (let i = 0; i < bytes.length; i++) {
      const start = (from + i) % bytes.length;
      if (!isDigit(bytes[start])) continue;
      let end = start + 1;
      while (isDigit(bytes[end])) end++;
      const by = this.#chance(0.3)
        ? Number(textOf(bytes.subarray(start, end))) + this.#below(5) - 2
        : this.#pick(tellingNumbers);
      return splice(bytes, start, end, bytesOf(String(by)));
    }
    return bytes;
  }

  /** Lines repeated, dropped, exchanged, or taken from elsewhere. */
  #line(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    const [start, end] = this.#lineOf(bytes);
    const from = this.#chance(0.5) ? other : bytes;
    const [first, last] = this.#lineOf(from);
    return splice(bytes, start, this.#chance(0.5) ? end : start, from.subarray(first, last));
  }

  #lineOf(bytes: Uint8Array): [number, number] {
    const at = this.#below(bytes.length + 1);
    const start = at === 0 ? 0 : bytes.lastIndexOf(0x0a, at - 1) + 1;
    const end = bytes.indexOf(0x0a, at);
    return [start, end < 0 ? bytes.length : end + 1];
  }

  #part(bytes: Uint8Array): Uint8Array {
    const start = this.#below(bytes.length + 1);
    return bytes.subarray(start, start + 1 + this.#below(this.#span(bytes.length)));
  }

  #noise(): Uint8Array {
    const isText = this.#chance(0.5);
    return Uint8Array.from(
      { length: 1 + this.#below(6) },
      () => isText ? 0x20 + this.#below(95) : this.#below(256),
    );
  }

  /** Short parts are more likely than long ones. */
  #span(length: number): number {
    return Math.max(1, Math.min(length, 4 ** (1 + this.#below(5))));
  }

  #with(bytes: Uint8Array, change: (out: Uint8Array) => void): Uint8Array {
    const out = bytes.slice();
    change(out);
    return out;
  }

  // JSON

  #ofJson(bytes: Uint8Array, other: Uint8Array): Uint8Array | null {
    try {
      const value: unknown = JSON.parse(textOf(bytes));
      const donor: unknown = this.#chance(0.4) ? JSON.parse(textOf(other)) : value;
      return bytesOf(JSON.stringify(this.#changed(value, donor)));
    } catch {
      return null;
    }
  }

  /** The value with one of the values in it changed. */
  #changed(value: unknown, donor: unknown): unknown {
    if (typeof value !== "object" || value === null || this.#chance(0.12)) {
      return this.#replacement(value, donor);
    }
    if (Array.isArray(value)) {
      const list: unknown[] = [...value];
      const at = this.#below(list.length + 1);
      if (at === list.length || this.#chance(0.2)) {
        list.splice(at, this.#below(2), this.#any(donor));
      } else list[at] = this.#changed(list[at], donor);
      return list;
    }
    const entries = Object.entries(value);
    const at = this.#below(entries.length + 1);
    const entry = entries[at];
    const what = this.rng();
    if (entry === undefined) entries.push([this.#key(donor), this.#any(donor)]);
    else if (what < 0.1) entries.splice(at, 1);
    else if (what < 0.2) entries[at] = [this.#key(donor), entry[1]];
    else entries[at] = [entry[0], this.#changed(entry[1], donor)];
    return Object.fromEntries(entries);
  }

  #replacement(value: unknown, donor: unknown): unknown {
    if (typeof value === "string" && this.#chance(0.6)) {
      return textOf(this.#change(bytesOf(value), bytesOf(String(this.#any(donor)))));
    }
    if (typeof value === "number" && this.#chance(0.6)) return this.#pick(tellingNumbers);
    return this.#any(donor);
  }

  /** Some value: of the donor, or one that is often forgotten. */
  #any(donor: unknown): unknown {
    if (this.#chance(0.4)) return this.#pick(tellingValues);
    if (this.target.words.length > 0 && this.#chance(0.3)) return this.#pick(this.target.words);
    let value = donor;
    while (typeof value === "object" && value !== null && this.#chance(0.8)) {
      const values: unknown[] = Object.values(value);
      if (values.length === 0) break;
      value = this.#pick(values);
    }
    return value;
  }

  #key(donor: unknown): string {
    if (typeof donor === "object" && donor !== null && this.#chance(0.4)) {
      const keys = Object.keys(donor);
      if (keys.length > 0) return this.#pick(keys);
    }
    return this.target.words.length > 0 && this.#chance(0.8)
      ? this.#pick(this.target.words)
      : this.#pick(["__proto__", "constructor", "toString", "", "a", "0"]);
  }

  // Chance

  #below(limit: number): number {
    return Math.floor(this.rng() * limit);
  }

  #chance(share: number): boolean {
    return this.rng() < share;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }
}

const nothing = new Uint8Array(0);

const tellingBytes = [...new TextEncoder().encode("\n\r \t\"'\\/.,:;=%#-+*()[]{}<>|&$`~_0a"), 0]
  .concat([0x7f, 0x80, 0xff, 0xc3, 0xfe]);

const tellingNumbers: readonly number[] = [
  ...[0, 1, 2, 3, 7, 8, 9, 10, 16, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1000, 1023, 4095],
  ...[4096, 32767, 32768, 65535, 65536, 1e6, 2 ** 24, 1e9, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1],
  ...[2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 62, -1, -2, -128, -(2 ** 31), -(2 ** 53)],
];

const tellingValues: readonly unknown[] = [
  ...[null, true, false, "", [], {}, [[]], [null], 0, 1, -1, 0.5, 1e308, 1e-7, 2 ** 53, "..", "/"],
  ...["\0", "a/../b", "%2e%2e", "\ud800", { "": null }, { __proto__: null, toString: 1 }, "1e9"],
];

/** Letters below 256 are bytes, so that binary words can be written. */
function wordBytes(word: string): Uint8Array {
  const codes = Array.from(word, (letter) => letter.codePointAt(0)!);
  return codes.every((code) => code < 256) ? Uint8Array.from(codes) : bytesOf(word);
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function splice(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  return concat([bytes.subarray(0, from), by, bytes.subarray(Math.min(to, bytes.length))]);
}
