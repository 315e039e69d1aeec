/**
 * Placeholders: the long fake prefix in the files of a conda package, and the real one that comes
 * in its place. Text may grow and shrink; a compiled file keeps its length, so that the strings in
 * it are padded with NUL at their end.
 */
import { RunError } from "../errors.ts";
import type { Platform } from "./platform.ts";

/** What old packages mean by a bare path in `has_prefix`; in parts, so that no file of ours holds it. */
export const defaultPlaceholder = ["/opt/", "anaconda1", "anaconda2", "anaconda3"].join("");

/** Longest first line that kernels and tools are sure to follow, `#!` included, in bytes. */
export const shebangBytesMax = { linux: 127, osx: 512 } as const;

/**
 * All occurrences of `placeholder` replaced by `prefix`, however long that is. Returns `bytes`
 * itself if there are none.
 */
export function replaceText(bytes: Uint8Array, placeholder: string, prefix: string): Uint8Array {
  return replaceAll(bytes, utf8(placeholder), utf8(prefix));
}

/**
 * Replaces `placeholder` in strings that a NUL (or the end of the file) terminates, each padded at
 * its end, so that the length stays. Returns `bytes` itself if there is nothing to replace; throws
 * RunError if the prefix is longer than the placeholder.
 */
export function replaceBinary(bytes: Uint8Array, placeholder: string, prefix: string): Uint8Array {
  const from = utf8(placeholder);
  const to = utf8(prefix);
  const find = finder(from);
  let start = find(bytes, 0);
  if (start < 0) return bytes;
  if (to.length > from.length) {
    throw new RunError(
      `compiled files have room for a path of ${from.length} bytes, and "${prefix}" has ` +
        `${to.length}; choose a shorter folder`,
    );
  }
  const out = bytes.slice();
  while (start >= 0) {
    const nul = bytes.indexOf(0, start);
    const end = nul < 0 ? bytes.length : nul;
    const replaced = replaceAll(bytes.subarray(start, end), from, to);
    out.fill(0, start, end);
    out.set(replaced, start);
    start = find(bytes, end);
  }
  return out;
}

/**
 * As `replaceText`, and mends the first line of a script: where it would get longer than kernels
 * follow, or the prefix has a blank, Python is started by two lines of `sh` and others by `env`.
 */
export function replaceShebang(
  bytes: Uint8Array,
  placeholder: string,
  prefix: string,
  platform: Platform,
): Uint8Array {
  const whole = replaceText(bytes, placeholder, prefix);
  const before = splitShebang(bytes);
  if (before === null || whole === bytes) return whole;
  const from = latin1(utf8(placeholder));
  const to = latin1(utf8(prefix));
  if (!before.line.includes(from)) return whole;
  const line = before.line.replaceAll(from, to);
  const bytesMax = platform.startsWith("osx") ? shebangBytesMax.osx : shebangBytesMax.linux;
  if (line.length <= bytesMax && !/\s/.test(prefix)) return whole;
  const program = before.program.replaceAll(from, to);
  const options = before.options.replaceAll(from, to);
  const mended = shebangFor(program, options);
  const rest = replaceText(bytes.subarray(before.line.length), placeholder, prefix);
  return joined(fromLatin1(mended), rest);
}

/** First line (or lines) of a script that starts `program`, however long or odd its path is. */
export function shebangFor(program: string, options: string): string {
  const name = program.slice(program.lastIndexOf("/") + 1);
  if (!/^python(?:\d+(?:\.\d+)*t?)?$/.test(name)) {
    return options.trim() === "" ? `#!/usr/bin/env ${name}` : `#!/usr/bin/env -S ${name}${options}`;
  }
  // To sh a command with "" glued before it, to Python a string that nobody reads.
  return `#!/bin/sh\n'''exec' "${program.replace(/[$`"\\]/g, "\\$&")}"${options} "$0" "$@" #'''`;
}

/**
 * The script with a first line that finds its program on PATH, `#!/usr/bin/env NAME`, if the program
 * lies in `prefix` and the prefix occurs nowhere else; null otherwise. With options the line is
 * `env -S`, which splits what the kernel passes as one word.
 */
export function envShebang(bytes: Uint8Array, prefix: string): Uint8Array | null {
  const shebang = splitShebang(bytes);
  const from = latin1(utf8(prefix));
  if (shebang === null || !shebang.program.startsWith(`${from}/`)) return null;
  const find = finder(utf8(prefix));
  if (find(bytes, find(bytes, 0) + 1) >= 0) return null;
  const name = shebang.program.slice(shebang.program.lastIndexOf("/") + 1);
  const start = shebang.options.trim() === "" ? "#!/usr/bin/env " : "#!/usr/bin/env -S ";
  return joined(
    fromLatin1(start + name + shebang.options),
    bytes.subarray(shebang.line.length),
  );
}

/** Whether the bytes hold the text. */
export function holds(bytes: Uint8Array, text: string): boolean {
  return finder(utf8(text))(bytes, 0) >= 0;
}

/** First line `#! PROGRAM OPTIONS`, a character a byte; the options begin with their blank. */
interface Shebang {
  readonly line: string;
  readonly program: string;
  readonly options: string;
}

/** Longest first line looked at: beyond it no kernel takes the file for a script, in bytes. */
const lineBytesMax = 4096;

function splitShebang(bytes: Uint8Array): Shebang | null {
  if (bytes[0] !== 0x23 || bytes[1] !== 0x21) return null;
  const newline = bytes.subarray(0, lineBytesMax).indexOf(0x0a);
  if (newline < 0 && bytes.length > lineBytesMax) return null;
  const line = latin1(bytes.subarray(0, newline < 0 ? bytes.length : newline));
  const [, program, options] = /^#![ \t]*(\/[^ \t\r]*)(.*)$/s.exec(line) ?? [];
  return program === undefined || options === undefined ? null : { line, program, options };
}

function replaceAll(bytes: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const find = finder(from);
  const starts: number[] = [];
  for (let at = find(bytes, 0); at >= 0; at = find(bytes, at + from.length)) starts.push(at);
  if (starts.length === 0) return bytes;
  const out = new Uint8Array(bytes.length + starts.length * (to.length - from.length));
  let read = 0;
  let written = 0;
  for (const start of [...starts, bytes.length]) {
    out.set(bytes.subarray(read, start), written);
    written += start - read;
    if (start === bytes.length) break;
    out.set(to, written);
    written += to.length;
    read = start + from.length;
  }
  return out;
}

/** Where `pattern` occurs from `from` on, or -1. Horspool's search: long patterns go in long steps. */
function finder(pattern: Uint8Array): (bytes: Uint8Array, from: number) => number {
  const last = pattern.length - 1;
  if (last < 0) throw new RangeError("nothing to look for");
  const steps = new Uint32Array(256).fill(pattern.length);
  for (let i = 0; i < last; i++) steps[pattern[i]!] = last - i;
  return (bytes, from) => {
    for (let at = from + last; at < bytes.length; at += steps[bytes[at]!]!) {
      let i = last;
      while (i >= 0 && bytes[at - last + i] === pattern[i]) i--;
      if (i < 0) return at - last;
    }
    return -1;
  };
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A character a byte: loses nothing, whatever the encoding is. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const out = new Uint8Array(first.length + second.length);
  out.set(first);
  out.set(second, first.length);
  return out;
}
