/**
 * Names as they stand in protocol lines: fields are separated by white space, so some bytes are
 * written as `%XX`. Real decoders accept any byte written so; real encoders mangle bytes below
 * 0x10 and above 0x7F, which is why every one of them is encoded properly here.
 */
import { PeerProtocolError } from "../errors.ts";

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const reserved = new Set([..."%\\<>'\""].map((c) => c.charCodeAt(0)));

/** Text to one field of a line, without white space. */
export function encodeName(name: string): string {
  let field = "";
  for (const byte of utf8.encode(name)) {
    field += byte <= 0x20 || byte > 0x7a || reserved.has(byte)
      ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
      : String.fromCharCode(byte);
  }
  return field;
}

/** The inverse of {@link encodeName}; a `%` without two hex digits stands for itself. */
export function decodeName(field: string): string {
  if (!field.includes("%")) return field;
  const source = utf8.encode(field);
  const bytes = new Uint8Array(source.length);
  let length = 0;
  for (let i = 0; i < source.length; i++) {
    const byte = source[i]!;
    const hex = byte === 0x25 ? String.fromCharCode(source[i + 1] ?? 0, source[i + 2] ?? 0) : "";
    if (/^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes[length++] = parseInt(hex, 16);
      i += 2;
    } else {
      bytes[length++] = byte;
    }
  }
  return fromUtf8.decode(bytes.subarray(0, length));
}

/** Refuses what could leave the cache: anything that is not one plain path component. */
export function checkCacheName(name: string): string {
  if (name === "" || name === "." || name === ".." || /[/\0]/.test(name)) {
    throw new PeerProtocolError(
      `Refused the cached name ${JSON.stringify(name)}: not a plain name`,
    );
  }
  return name;
}

/** Refuses what could leave the sandbox: absolute paths, `..`, empty components, NUL. */
export function checkSandboxName(name: string): string {
  const parts = name.split("/");
  if (name.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new PeerProtocolError(
      `Refused the sandbox name ${JSON.stringify(name)}: it must be a relative path without ".."`,
    );
  }
  return name;
}
