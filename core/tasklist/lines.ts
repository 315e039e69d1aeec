/** Bytes that come in pieces → lines of text. */
import { concat } from "../bytes.ts";

export type Line =
  | { readonly kind: "text"; readonly number: number; readonly text: string }
  /** Not UTF-8, or longer than the limit. */
  | { readonly kind: "unreadable"; readonly number: number; readonly why: string };

const newline = 0x0a;

export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #begun: Uint8Array[] = [];
  #begunBytes = 0;
  #number = 0;

  /** Longer lines are not kept, but counted and told of. */
  constructor(private readonly lineBytesMax: number) {}

  /** The lines that end in this piece. */
  feed(bytes: Uint8Array): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      this.#keep(bytes.subarray(start, end));
      lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(bytes.subarray(start));
    return lines;
  }

  /** The last line, if it does not end with a newline. */
  end(): Line[] {
    return this.#begunBytes === 0 ? [] : [this.#take()];
  }

  #keep(bytes: Uint8Array): void {
    this.#begunBytes += bytes.length;
    if (this.#begunBytes > this.lineBytesMax) this.#begun = [];
    else if (bytes.length > 0) this.#begun.push(bytes.slice());
  }

  #take(): Line {
    const number = ++this.#number;
    const bytes = this.#begun.length === 1 ? this.#begun[0]! : concat(this.#begun);
    const tooLong = this.#begunBytes > this.lineBytesMax;
    this.#begun = [];
    this.#begunBytes = 0;
    if (tooLong) {
      const why = `this line is longer than ${this.lineBytesMax} bytes; send files instead`;
      return { kind: "unreadable", number, why };
    }
    try {
      return { kind: "text", number, text: this.#decoder.decode(bytes) };
    } catch {
      return { kind: "unreadable", number, why: "this line is not text in UTF-8" };
    }
  }
}
