/**
 * Tar archives as they come: bytes in, members and their data out, without waiting for anything.
 * Reads what GNU tar, Python and conda's tools write: ustar, PAX headers, GNU long names, numbers in
 * base 256. What a member may be is not decided here (tar_safety.ts).
 */
import { concat } from "../bytes.ts";
import { RunError } from "../errors.ts";

export type TarKind = "file" | "hard-link" | "link" | "folder" | "other";

export interface TarMember {
  /** As the archive has it: not checked, and not safe. */
  readonly path: string;
  readonly kind: TarKind;
  /** Of links, as the archive has it; else empty. */
  readonly target: string;
  /** Bytes that follow; 0 for all but files. */
  readonly size: number;
  /** Permission bits, with those for set-user-id and the like. */
  readonly mode: number;
  /** Seconds since 1970, with a fraction where the archive has one. */
  readonly mtime: number;
  /** The letter of the kind in the header. */
  readonly typeFlag: string;
}

export type TarEvent =
  | { readonly type: "member"; readonly member: TarMember }
  /** Bytes of the file that was told last. */
  | { readonly type: "data"; readonly bytes: Uint8Array; readonly isLast: boolean };

const blockBytes = 512;
/** Longest PAX header or GNU name: names have 4096 bytes at most, the rest is for comments. */
const extensionBytesMax = 1024 ** 2;

/** What extension headers say of the member behind them. */
interface Extension {
  path?: string;
  target?: string;
  size?: number;
  mtime?: number;
}

type State =
  | { readonly name: "header" }
  | { readonly name: "data"; left: number; readonly padding: number }
  | { readonly name: "extension"; readonly flag: string; readonly size: number }
  | { readonly name: "skip"; left: number }
  | { readonly name: "ended" };

/** Reads one archive. Throws RunError (the end of a sentence) for what is no tar archive. */
export class TarReader {
  #rest: Uint8Array = new Uint8Array(0);
  #state: State = { name: "header" };
  #extension: Extension = {};
  /** Where in the archive the next byte is. */
  #offset = 0;

  /** The next bytes of the archive, which are the reader's from now on. */
  feed(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? bytes : concat([this.#rest, bytes]);
  }

  /** What comes next, or null until more is fed. */
  next(): TarEvent | null {
    for (;;) {
      const state = this.#state;
      switch (state.name) {
        case "ended":
          this.#rest = this.#rest.subarray(0, 0);
          return null;
        case "header": {
          const block = this.#take(blockBytes);
          if (block === null) return null;
          const member = this.#header(block);
          if (member !== null) return { type: "member", member };
          continue;
        }
        case "extension": {
          const body = this.#take(padded(state.size));
          if (body === null) return null;
          this.#extend(state.flag, body.subarray(0, state.size));
          this.#state = { name: "header" };
          continue;
        }
        case "skip": {
          state.left -= this.#drop(state.left);
          if (state.left > 0) return null;
          this.#state = { name: "header" };
          continue;
        }
        case "data": {
          if (this.#rest.length === 0) return null;
          const bytes = this.#rest.subarray(0, state.left);
          this.#drop(bytes.length);
          state.left -= bytes.length;
          const isLast = state.left === 0;
          if (isLast) this.#state = { name: "skip", left: state.padding };
          return { type: "data", bytes, isLast };
        }
      }
    }
  }

  /** Whether the end of the archive has come; what follows is padding. */
  get isEnded(): boolean {
    return this.#state.name === "ended";
  }

  /** To be called when nothing more comes. Throws if the archive is cut off. */
  finish(): void {
    if (this.#state.name !== "ended") {
      throw new RunError(`it is cut off after ${this.#offset} bytes (uncompressed)`);
    }
  }

  #take(size: number): Uint8Array | null {
    if (this.#rest.length < size) return null;
    const bytes = this.#rest.subarray(0, size);
    this.#drop(size);
    return bytes;
  }

  #drop(size: number): number {
    const dropped = Math.min(size, this.#rest.length);
    this.#rest = this.#rest.subarray(dropped);
    this.#offset += dropped;
    return dropped;
  }

  #header(block: Uint8Array): TarMember | null {
    if (block.every((byte) => byte === 0)) {
      this.#state = { name: "ended" };
      return null;
    }
    if (!isHeader(block)) {
      throw new RunError(`it is damaged: no tar header at byte ${this.#offset - blockBytes}`);
    }
    const typeFlag = String.fromCharCode(block[156]!);
    const declared = numberAt(block, 124, 12);
    if (typeFlag === "x" || typeFlag === "L" || typeFlag === "K" || typeFlag === "g") {
      if (declared > extensionBytesMax) {
        throw new RunError(`it has a header of ${declared} bytes, and 1 MB would be much`);
      }
      this.#state = { name: "extension", flag: typeFlag, size: declared };
      return null;
    }
    const extension = this.#extension;
    this.#extension = {};
    const path = extension.path ?? ustarPath(block);
    const kind = kindOf(typeFlag, path);
    const size = kind === "file" || kind === "other" ? extension.size ?? declared : 0;
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RunError(`it is damaged: the size of ${JSON.stringify(path)} is no number`);
    }
    this.#state = size === 0
      ? { name: "header" }
      : { name: "data", left: size, padding: padded(size) - size };
    return {
      path,
      kind,
      target: kind === "link" || kind === "hard-link"
        ? extension.target ?? textAt(block, 157, 100)
        : "",
      size,
      mode: numberAt(block, 100, 8) & 0o7777,
      mtime: extension.mtime ?? numberAt(block, 136, 12),
      typeFlag,
    };
  }

  #extend(flag: string, body: Uint8Array): void {
    switch (flag) {
      case "L":
        this.#extension.path = textAt(body, 0, body.length);
        break;
      case "K":
        this.#extension.target = textAt(body, 0, body.length);
        break;
      case "x":
        for (const [key, value] of paxRecords(body)) this.#extendBy(key, value);
        break;
    }
  }

  #extendBy(key: string, value: string): void {
    switch (key) {
      case "path":
        this.#extension.path = value;
        break;
      case "linkpath":
        this.#extension.target = value;
        break;
      case "size":
        this.#extension.size = Number(value);
        break;
      case "mtime":
        if (Number.isFinite(Number(value))) this.#extension.mtime = Number(value);
        break;
      default:
        // A file with holes in GNU's manner: its data are a map and pieces, not the file.
        if (key.startsWith("GNU.sparse.")) {
          throw new RunError(
            "it has a file with holes (sparse), which no packer of environments makes",
          );
        }
    }
  }
}

/** Whether 512 bytes are the header of a member: its checksum tells. */
export function isHeader(block: Uint8Array): boolean {
  if (block.length < blockBytes) return false;
  let sum = 0;
  for (let i = 0; i < blockBytes; i++) sum += i >= 148 && i < 156 ? 0x20 : block[i]!;
  return sum === numberAt(block, 148, 8);
}

function kindOf(typeFlag: string, path: string): TarKind {
  switch (typeFlag) {
    case "0":
    case "\0":
    case "7":
      // Archives older than ustar have no letter for folders.
      return path.endsWith("/") ? "folder" : "file";
    case "1":
      return "hard-link";
    case "2":
      return "link";
    case "5":
      return "folder";
    default:
      return "other";
  }
}

function ustarPath(block: Uint8Array): string {
  const name = textAt(block, 0, 100);
  // GNU's own form has times there; only "ustar" with a NUL has a prefix.
  const isUstar = textAt(block, 257, 6) === "ustar" && block[263] === 0x30;
  const prefix = isUstar ? textAt(block, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

const decoder = new TextDecoder();

function textAt(block: Uint8Array, offset: number, length: number): string {
  const field = block.subarray(offset, offset + length);
  const nul = field.indexOf(0);
  return decoder.decode(nul < 0 ? field : field.subarray(0, nul));
}

/** Octal digits, or with the highest bit set a number in base 256. */
function numberAt(block: Uint8Array, offset: number, length: number): number {
  const first = block[offset]!;
  let value = 0;
  if (first & 0x80) {
    if (first & 0x40) return NaN; // negative
    for (let i = 0; i < length; i++) {
      value = value * 256 + (i === 0 ? first & 0x3f : block[offset + i]!);
    }
    return value;
  }
  for (let i = offset; i < offset + length; i++) {
    const digit = block[i]! - 0x30;
    if (digit >= 0 && digit < 8) value = value * 8 + digit;
    else if (value > 0 || block[i] === 0) break;
  }
  return value;
}

/** `LENGTH KEY=VALUE\n`, where the length counts all of it. */
function* paxRecords(body: Uint8Array): Generator<readonly [string, string]> {
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const length = Number(decoder.decode(body.subarray(at, space < 0 ? at : space)));
    if (!Number.isInteger(length) || length < 5 || at + length > body.length) {
      throw new RunError("it is damaged: a PAX header does not add up");
    }
    const record = decoder.decode(body.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    if (equals > 0) yield [record.slice(0, equals), record.slice(equals + 1)];
    at += length;
  }
}

function padded(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes;
}
