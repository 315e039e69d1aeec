/**
 * Writes files into a prefix without ever leaving it: packages come from others, and a link of one
 * could lead a file of the next one outside.
 */
import { dirname } from "node:path";
import { RunError } from "../core/errors.ts";

export class PrefixTree {
  /** Folders of the prefix that are known to lie in it. */
  readonly #folders = new Set<string>(["."]);
  #canLink = true;
  readonly #root: string;

  /** `prefix`: an absolute path; made if need be. */
  constructor(private readonly prefix: string) {
    Deno.mkdirSync(prefix, { recursive: true });
    // Where the links on the way to the prefix itself lead is no concern.
    this.#root = Deno.realPathSync(prefix);
  }

  /** Makes a folder and those above it; a path is relative to the prefix, without `..`. */
  folder(path: string): void {
    if (this.#folders.has(path)) return;
    this.folder(dirname(path));
    const full = `${this.prefix}/${path}`;
    try {
      Deno.mkdirSync(full);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      const real = realPath(full);
      if (real === null || !`${real}/`.startsWith(`${this.#root}/`)) {
        throw new RunError(`${path} is a link that leads out of the environment`);
      }
      if (!Deno.statSync(full).isDirectory) {
        throw new RunError(`${path} is a folder, and to another package it is a file`);
      }
    }
    this.#folders.add(path);
  }

  /** A hard link to `source` where possible and `isCopied` is not set, else a copy; says which. */
  file(source: string, path: string, isCopied: boolean): "hard" | "copy" {
    const full = this.#vacate(path);
    if (!isCopied && this.#canLink) {
      try {
        Deno.linkSync(source, full);
        return "hard";
      } catch {
        // Another file system, or one without links: so are all others.
        this.#canLink = false;
      }
    }
    Deno.copyFileSync(source, full);
    keepTime(source, full);
    return "copy";
  }

  /** Bytes with permissions and time of `source`. */
  write(source: string, path: string, bytes: Uint8Array): void {
    const full = this.#vacate(path);
    const { mode } = Deno.statSync(source);
    Deno.writeFileSync(full, bytes, { createNew: true });
    Deno.chmodSync(full, (mode ?? 0o644) & 0o777);
    keepTime(source, full);
  }

  /** A symbolic link. */
  link(target: string, path: string): void {
    Deno.symlinkSync(target, this.#vacate(path));
  }

  /** A file that may be executed. */
  script(path: string, bytes: Uint8Array): void {
    const full = this.#vacate(path);
    Deno.writeFileSync(full, bytes, { createNew: true });
    Deno.chmodSync(full, 0o755);
  }

  text(path: string, text: string): void {
    Deno.writeTextFileSync(this.#vacate(path), text, { createNew: true });
  }

  /** Makes room for a file; its path. */
  #vacate(path: string): string {
    this.folder(dirname(path));
    const full = `${this.prefix}/${path}`;
    if (this.#folders.has(path)) {
      throw new RunError(`${path} is a file, and to another package it is a folder`);
    }
    try {
      Deno.removeSync(full);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return full;
  }
}

/** Byte code remembers when its source was changed. */
function keepTime(source: string, path: string): void {
  const { mtime } = Deno.statSync(source);
  if (mtime !== null) Deno.utimeSync(path, mtime, mtime);
}

function realPath(path: string): string | null {
  try {
    return Deno.realPathSync(path);
  } catch {
    return null;
  }
}
