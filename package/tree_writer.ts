/**
 * Writes the tree of an archive below a folder while its bytes come: every member is checked before
 * it is written, and files that hold placeholders are given the real prefix on the way. All calls
 * are synchronous: a file costs five of the system's, and going to another thread for each would
 * cost more than they do.
 */
import { dirname } from "node:path";
import { concat } from "../core/bytes.ts";
import { RunError } from "../core/errors.ts";
import { replaceBinary, replaceText } from "../core/package/placeholder.ts";
import {
  condaUnpackPath,
  parseCondaUnpack,
  parseRelocations,
  type Relocation,
  relocationsPath,
} from "../core/package/relocations.ts";
import { type SafeMember, SafeTree, type TreeLimits } from "../core/package/tar_safety.ts";
import { type TarMember, TarReader } from "../core/package/tar_reader.ts";

/** Files with placeholders are held in memory while they come: larger ones are patched afterwards. */
const heldBytesMax = 64 * 1024 ** 2;

/** The file that is being written. */
interface OpenFile {
  readonly path: string;
  readonly member: TarMember;
  readonly mode: number;
  /** Null while all of it is held. */
  readonly file: Deno.FsFile | null;
  readonly held: Uint8Array[];
  readonly relocations: readonly Relocation[];
}

export interface TreeWriterOptions {
  /** Exists, and belongs to the writer alone. */
  readonly folder: string;
  /** What comes in the place of placeholders: where the folder will be. */
  readonly prefix: string;
  readonly limits: TreeLimits;
}

/** One archive on its way to the disk. Errors are RunErrors, or of the file system. */
export class TreeWriter {
  readonly #options: TreeWriterOptions;
  readonly #reader = new TarReader();
  readonly #tree: SafeTree;
  readonly #folders = new Set<string>();
  /** By path; those that were not met in time stay. */
  #relocations: Map<string, Relocation[]> | null = null;
  #current: OpenFile | null = null;
  #fileCount = 0;

  constructor(options: TreeWriterOptions) {
    this.#options = options;
    this.#tree = new SafeTree(options.limits);
  }

  get bytes(): number {
    return this.#tree.bytes;
  }

  get fileCount(): number {
    return this.#fileCount;
  }

  get isEnded(): boolean {
    return this.#reader.isEnded;
  }

  /** The next bytes of the archive, which are the writer's from now on. */
  take(bytes: Uint8Array): void {
    this.#reader.feed(bytes);
    for (let event = this.#reader.next(); event !== null; event = this.#reader.next()) {
      if (event.type === "member") this.#begin(event.member);
      else this.#data(event.bytes, event.isLast);
    }
  }

  /**
   * To be called when nothing more comes. Throws if the archive is cut off. What it tells of
   * relocations has been done then; `condaUnpack` is left if it tells them in a program only.
   */
  finish(): { readonly condaUnpack: "none" | "done" | "to be run" } {
    this.#reader.finish();
    this.#tree.finish();
    let condaUnpack: "none" | "done" | "to be run" = "none";
    if (this.#relocations === null && this.#tree.isFile(condaUnpackPath)) {
      const script = Deno.readTextFileSync(`${this.#options.folder}/${condaUnpackPath}`);
      condaUnpack = /^_prefix_records\s*=/m.test(script) ? "done" : "to be run";
      this.#plan(parseCondaUnpack(script));
    }
    for (const [path, relocations] of this.#relocations ?? []) {
      // Links lead to files that are told themselves; what the archive left out needs nothing.
      if (!this.#tree.isFile(path)) continue;
      relocateFile(this.#options.folder, path, relocations, this.#options.prefix);
    }
    return { condaUnpack };
  }

  /** Closes what is open; what was written stays. */
  close(): void {
    this.#current?.file?.close();
    this.#current = null;
  }

  #begin(member: TarMember): void {
    const safe = this.#tree.admit(member);
    if (safe === null) return;
    this.#fileCount++;
    this.#make(safe, member);
  }

  #make(safe: SafeMember, member: TarMember): void {
    const path = `${this.#options.folder}/${safe.path}`;
    if (safe.kind === "folder") {
      this.#folder(safe.path);
      return Deno.chmodSync(path, safe.mode);
    }
    const parent = dirname(safe.path);
    if (parent !== ".") this.#folder(parent);
    if (safe.replaces) Deno.removeSync(path);
    switch (safe.kind) {
      case "link":
        return Deno.symlinkSync(safe.target, path);
      case "hard-link":
        return Deno.linkSync(`${this.#options.folder}/${safe.target}`, path);
      case "file": {
        const relocations = this.#relocations?.get(safe.path) ?? [];
        const isHeld = safe.path === relocationsPath ||
          relocations.length > 0 && member.size <= heldBytesMax;
        const file = isHeld ? null : create(path, safe.mode);
        this.#current = { path: safe.path, member, mode: safe.mode, file, held: [], relocations };
        if (member.size === 0) this.#end(this.#current);
      }
    }
  }

  #data(bytes: Uint8Array, isLast: boolean): void {
    const current = this.#current;
    if (current === null) return; // of a member that was left out
    if (current.file === null) current.held.push(bytes);
    else writeAll(current.file, bytes);
    if (isLast) this.#end(current);
  }

  #end({ path, member, mode, file, held, relocations }: OpenFile): void {
    this.#current = null;
    if (file !== null) {
      file.utimeSync(member.mtime, member.mtime);
      return file.close();
    }
    const before = held.length === 1 ? held[0]! : concat(held);
    if (path === relocationsPath) {
      this.#plan(parseRelocations(new TextDecoder().decode(before)));
    }
    const after = relocated(path, before, relocations, this.#options.prefix);
    this.#relocations?.delete(path);
    using created = create(`${this.#options.folder}/${path}`, mode);
    writeAll(created, after);
    // What was changed is new: byte code made of it before must not pass for its own.
    if (after === before) created.utimeSync(member.mtime, member.mtime);
  }

  #plan(relocations: readonly Relocation[]): void {
    this.#relocations = Map.groupBy(relocations, ({ path }) => path);
  }

  #folder(path: string): void {
    if (this.#folders.has(path)) return;
    const parent = dirname(path);
    if (parent !== ".") this.#folder(parent);
    try {
      Deno.mkdirSync(`${this.#options.folder}/${path}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    this.#folders.add(path);
  }
}

/**
 * Gives a file below `folder` the prefix. Throws RunError if it is a binary one without room for
 * it.
 */
export function relocateFile(
  folder: string,
  path: string,
  relocations: readonly Relocation[],
  prefix: string,
): void {
  const before = Deno.readFileSync(`${folder}/${path}`);
  const after = relocated(path, before, relocations, prefix);
  if (after === before) return;
  const full = `${folder}/${path}`, mode = Deno.statSync(full).mode ?? 0o644;
  if (!(mode & 0o200)) Deno.chmodSync(full, mode & 0o777 | 0o200);
  // In place, so that hard links stay links; nobody uses the file yet.
  Deno.writeFileSync(full, after);
  if (!(mode & 0o200)) Deno.chmodSync(full, mode & 0o777);
}

function relocated(
  path: string,
  bytes: Uint8Array,
  relocations: readonly Relocation[],
  prefix: string,
): Uint8Array {
  try {
    return relocations.reduce(
      (sofar, { placeholder, mode }) =>
        mode === "text"
          ? replaceText(sofar, placeholder, prefix)
          : replaceBinary(sofar, placeholder, prefix),
      bytes,
    );
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${path}: ${error.message}`);
    throw error;
  }
}

function create(path: string, mode: number): Deno.FsFile {
  return Deno.openSync(path, { write: true, createNew: true, mode });
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
