/** Reading the fields of a line, leniently where cctools' scanf is, strictly where it matters. */
import { PeerProtocolError } from "../errors.ts";

export class Fields {
  readonly words: readonly string[];

  constructor(readonly line: string) {
    const usual = !line.includes("\t") && !line.includes("  ") && line.trim() === line;
    // The usual is one space between fields, and quick to split.
    this.words = usual ? line.split(" ") : line.split(/[ \t]+/).filter((word) => word !== "");
  }

  get keyword(): string {
    return this.words[0] ?? "";
  }

  /** Field `i` after the keyword. */
  word(i: number): string {
    const word = this.words[i + 1];
    if (word === undefined) {
      throw this.bad(`expected at least ${i + 1} fields, got ${this.words.length - 1}`);
    }
    return word;
  }

  /** What follows the first `count` fields, spaces kept; throws if there is nothing. */
  rest(count: number): string {
    const match = new RegExp(`^[ \\t]*(?:[^ \\t]+[ \\t]+){${count + 1}}(.*)$`, "s").exec(this.line);
    if (match === null || match[1] === "") throw this.bad(`expected a value after ${count} fields`);
    return match[1]!;
  }

  /** A decimal number; a fraction is accepted, since newer cctools print `4.000000`. */
  number(i: number): number {
    const word = this.word(i);
    if (!/^[+-]?\d+(\.\d*)?$/.test(word)) throw this.bad(`field ${i + 1} is no number`);
    return Number(word);
  }

  integer(i: number): number {
    const value = Math.trunc(this.number(i));
    if (!Number.isSafeInteger(value)) throw this.bad(`field ${i + 1} is out of range`);
    return value;
  }

  /** A byte count from 0 to `max`. */
  bytes(i: number, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.integer(i);
    if (value < 0 || value > max) throw this.bad(`field ${i + 1} is out of range 0 to ${max}`);
    return value;
  }

  /** A time of the wire in ms: `unit` of a number without fraction; above 2^63 it means none. */
  timeMs(i: number, unit: (value: number, whole: boolean) => number): number | null {
    const word = this.word(i);
    const value = this.number(i);
    return value >= 2 ** 63 ? null : unit(value, !word.includes("."));
  }

  octal(i: number): number {
    const word = this.word(i);
    if (!/^[0-7]{1,7}$/.test(word)) throw this.bad(`field ${i + 1} is no octal mode`);
    return parseInt(word, 8);
  }

  bad(why: string): PeerProtocolError {
    return new PeerProtocolError(
      `Cannot read "${this.line.slice(0, 80)}": ${why}`,
      { line: this.line },
    );
  }
}
