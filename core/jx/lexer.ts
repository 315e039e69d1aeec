/**
 * Tokens of JX text. A scanner holds one token at a time, in fields, because records of a catalog
 * are read by the ten thousand.
 */

/** Text that is no JX. `reason` is the sentence without its place. */
export class JxSyntaxError extends Error {
  override readonly name = "JxSyntaxError";
  constructor(readonly line: number, readonly reason: string) {
    super(`parse error: line ${line}: ${reason}`);
  }
}

/** `word` is a reserved word; an operator's kind is its own text, as `!` for `not` has two. */
export type TokenKind = "end" | "string" | "number" | "symbol" | "word" | "operator";

/** Integers of JX are those of a C int64. */
export const integerMax = 2n ** 63n - 1n;

const words: ReadonlySet<string> = new Set([
  ...["null", "true", "false", "and", "or", "not", "for", "in", "if", "error"],
]);
const aliases: ReadonlyMap<string, string> = new Map([["&&", "and"], ["||", "or"], ["!", "not"]]);

const numberText = /[0-9.]+(?:[eE][+-]?[0-9.]*)?/y;
const numberShape = /^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const symbolText = /[A-Za-z_][A-Za-z0-9_]*/y;
const foreignByte = /\\u[fF]{6}([89a-fA-F][0-9a-fA-F])/y;

export class Scanner {
  kind: TokenKind = "end";
  /** Of symbols, words and operators their text, of strings the value, of numbers as written. */
  text = "";
  /** Of a number. */
  value: bigint | number = 0;
  /** Of the end of the token. */
  line = 1;
  /** Of the end of the token before. */
  lineBefore = 1;
  private place = 0;

  /** @param allEscapes whether those are read that JX has not, but printers of records write */
  constructor(private readonly source: string, private readonly allEscapes: boolean) {}

  /** Reads the next token into the fields. Throws a JxSyntaxError. */
  next(): void {
    const { source } = this;
    this.lineBefore = this.line;
    let code = source.charCodeAt(this.place);
    while (code <= 32 || code === 35) {
      if (code === 35) {
        const end = source.indexOf("\n", this.place);
        this.place = end < 0 ? source.length : end;
      } else if (code === 10) {
        this.line++;
        this.place++;
      } else if (code === 32 || (code >= 9 && code <= 13)) {
        this.place++;
      } else {
        break;
      }
      code = source.charCodeAt(this.place);
    }
    if (Number.isNaN(code)) {
      this.kind = "end";
      this.text = "";
    } else if (code === 34) {
      this.string();
    } else if (isDigit(code) || (code === 46 && isDigit(source.charCodeAt(this.place + 1)))) {
      this.number();
    } else if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95) {
      symbolText.lastIndex = this.place;
      this.text = symbolText.exec(source)![0];
      this.place += this.text.length;
      this.kind = words.has(this.text) ? "word" : "symbol";
    } else {
      this.operator();
    }
  }

  fail(reason: string): never {
    throw new JxSyntaxError(this.line, reason);
  }

  private number(): void {
    const { source } = this;
    const start = this.place;
    let end = start;
    while (isDigit(source.charCodeAt(end))) end++;
    const code = source.charCodeAt(end);
    this.kind = "number";
    if (code !== 46 && code !== 101 && code !== 69) {
      this.text = source.slice(start, end);
      this.place = end;
      this.value = end - start <= 15 ? BigInt(Number(this.text)) : atMostMax(BigInt(this.text));
      return;
    }
    numberText.lastIndex = start;
    this.text = numberText.exec(source)![0];
    this.place = start + this.text.length;
    if (!numberShape.test(this.text)) this.fail(`invalid number format: ${this.text}`);
    this.value = Number(this.text);
  }

  private string(): void {
    const { source } = this;
    const start = this.place + 1;
    let end = start;
    for (let code = source.charCodeAt(end); code !== 34; code = source.charCodeAt(++end)) {
      if (code === 92) return this.escapedString(start, end);
      if (code === 10) this.line++;
      if (Number.isNaN(code)) this.failUnclosed(start);
    }
    this.takeString(source.slice(start, end), end);
  }

  /** From the first backslash on, at `escape`. */
  private escapedString(start: number, escape: number): void {
    const { source } = this;
    let text = source.slice(start, escape);
    let place = escape;
    for (let code = source.charCodeAt(place); code !== 34; code = source.charCodeAt(place)) {
      if (Number.isNaN(code)) this.failUnclosed(start);
      if (code !== 92) {
        const from = place;
        do {
          if (code === 10) this.line++;
          code = source.charCodeAt(++place);
        } while (code !== 34 && code !== 92 && !Number.isNaN(code));
        text += source.slice(from, place);
        continue;
      }
      const letter = source[place + 1];
      if (letter === undefined) this.failUnclosed(start);
      if (letter === "u") {
        const { decoded, end } = this.unicode(place);
        text += decoded;
        place = end;
      } else {
        if (letter === "\n") this.line++;
        text += escapes.get(letter) ?? letter;
        place += 2;
      }
    }
    this.takeString(text, place);
  }

  /** As in C, a zero ends the text of a string, but its quote at `end` the string. */
  private takeString(text: string, end: number): void {
    const zero = text.indexOf("\0");
    this.kind = "string";
    this.text = zero < 0 ? text : text.slice(0, zero);
    this.place = end + 1;
  }

  private unicode(place: number): { decoded: string; end: number } {
    const { source } = this;
    if (this.allEscapes) {
      const bytes: number[] = [];
      let end = place;
      foreignByte.lastIndex = place;
      for (let found = foreignByte.exec(source); found !== null; found = foreignByte.exec(source)) {
        bytes.push(Number.parseInt(found[1]!, 16));
        end = foreignByte.lastIndex;
      }
      if (bytes.length > 0) return { decoded: utf8.decode(new Uint8Array(bytes)), end };
    }
    const digits = source.slice(place + 2, place + 6);
    const code = /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : Infinity;
    if (code > (this.allEscapes ? 0xffff : 0x7f)) {
      this.fail(`unsupported unicode escape string: ${digits}`);
    }
    return { decoded: String.fromCharCode(code), end: place + 6 };
  }

  private failUnclosed(start: number): never {
    this.fail(`missing end quote: "${this.source.slice(start, start + 10)}...`);
  }

  private operator(): void {
    const { source } = this;
    const one = source[this.place]!;
    const two = source.slice(this.place, this.place + 2);
    this.kind = "operator";
    if (twoLetters.has(two)) {
      this.place += 2;
      this.text = aliases.get(two) ?? two;
      return;
    }
    if (one === "=" || one === "&" || one === "|") {
      this.fail(`single ${one} must be ${one}${one} instead`);
    }
    if (!oneLetter.has(one)) {
      this.fail(`invalid character: ${String.fromCodePoint(source.codePointAt(this.place)!)}`);
    }
    this.place++;
    this.text = aliases.get(one) ?? one;
  }
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);
const twoLetters: ReadonlySet<string> = new Set(["==", "!=", "<=", ">=", "&&", "||"]);
const oneLetter: ReadonlySet<string> = new Set("+-*/%<>![]().:,;{}");
const utf8 = new TextDecoder();

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function atMostMax(value: bigint): bigint {
  return value > integerMax ? integerMax : value;
}
