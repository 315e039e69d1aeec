/**
 * Headers of tar members (POSIX.1-2001, "pax"): ustar fields, and an extended header before them
 * where a name is long or not ASCII. The same member gives the same bytes: owner 0, no names.
 */
import { concat } from "../bytes.ts";

export const tarBlockBytes = 512;

/** What stands before the content of a member; times are whole seconds since 1970. */
export interface TarEntry {
  /** From the root of the archive; of a folder without a slash at its end. */
  readonly path: string;
  readonly kind: "file" | "hard-link" | "link" | "folder";
  /** Permission bits. */
  readonly mode: number;
  /** Bytes of content; 0 except for files. */
  readonly size: number;
  readonly timeS: number;
  /** Of links where they lead to: of a hard link a member before it. */
  readonly target?: string;
}

const typeFlags = { file: "0", "hard-link": "1", link: "2", folder: "5" } as const;

/** Largest number of eleven octal digits. */
const octalSizeMax = 8 ** 11 - 1;

/** Header blocks of a member, the extended one first where there is need. */
export function tarHeader(entry: TarEntry): Uint8Array {
  const path = entry.kind === "folder" ? `${entry.path}/` : entry.path;
  const target = entry.target ?? "";
  const split = splitPath(path);
  const records = [
    ...(split === null ? [paxRecord("path", path)] : []),
    ...(isShortAscii(target, 100) ? [] : [paxRecord("linkpath", target)]),
    ...(entry.size > octalSizeMax ? [paxRecord("size", String(entry.size))] : []),
  ];
  const main = ustarBlock(entry, split ?? { prefix: "", name: asciiEnd(path, 100) }, target);
  if (records.length === 0) return main;
  const body = concat(records);
  const extended: TarEntry = {
    path: asciiEnd(`PaxHeaders/${path}`, 100),
    kind: "file",
    mode: 0o644,
    size: body.length,
    timeS: 0,
  };
  const before = ustarBlock(extended, { prefix: "", name: extended.path }, "", "x");
  return concat([before, body, tarPadding(body.length), main]);
}

/** Zeros that fill the last block of a content of so many bytes. */
export function tarPadding(bytes: number): Uint8Array {
  return new Uint8Array((tarBlockBytes - bytes % tarBlockBytes) % tarBlockBytes);
}

/** What ends an archive. */
export const tarEnd = new Uint8Array(2 * tarBlockBytes);

function ustarBlock(
  entry: TarEntry,
  { prefix, name }: { prefix: string; name: string },
  target: string,
  type: string = typeFlags[entry.kind],
): Uint8Array {
  const block = new Uint8Array(tarBlockBytes);
  const put = (at: number, text: string) => new TextEncoder().encodeInto(text, block.subarray(at));
  const octal = (at: number, value: number, digits: number) =>
    put(at, value.toString(8).padStart(digits, "0"));
  put(0, name);
  octal(100, entry.mode & 0o7777, 7);
  octal(108, 0, 7); // owner and group: nobody's in particular
  octal(116, 0, 7);
  octal(124, entry.size > octalSizeMax ? 0 : entry.size, 11);
  octal(136, entry.timeS, 11);
  put(148, "        ");
  put(156, type);
  put(157, asciiEnd(target, 100));
  put(257, "ustar\x0000");
  octal(329, 0, 7);
  octal(337, 0, 7);
  put(345, prefix);
  octal(148, block.reduce((sum, byte) => sum + byte, 0), 6);
  put(154, "\0 ");
  return block;
}

function isShortAscii(text: string, bytesMax: number): boolean {
  // deno-lint-ignore no-control-regex -- every character of one byte counts
  return text.length <= bytesMax && /^[\x01-\x7f]*$/.test(text);
}

/** Both parts of a path that fits into a ustar header, or null. */
function splitPath(path: string): { prefix: string; name: string } | null {
  if (isShortAscii(path, 100)) return { prefix: "", name: path };
  if (!isShortAscii(path, 256)) return null;
  for (let at = path.indexOf("/"); at >= 0 && at <= 155; at = path.indexOf("/", at + 1)) {
    const name = path.slice(at + 1);
    if (at > 0 && name !== "" && name.length <= 100) return { prefix: path.slice(0, at), name };
  }
  return null;
}

/** For readers that know no extended headers: something ASCII of the right length. */
function asciiEnd(text: string, length: number): string {
  return text.replace(/[^\x20-\x7e]/g, "_").slice(-length);
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = new TextEncoder().encode(` ${key}=${value}\n`);
  let length = rest.length;
  while (length !== rest.length + String(length).length) {
    length = rest.length + String(length).length;
  }
  return concat([new TextEncoder().encode(String(length)), rest]);
}
