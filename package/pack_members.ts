/**
 * From planned files to an archive: looks at each once to learn what it is and which placeholder it
 * will hold (the list of these is the archive's first member), then reads and writes them in order.
 */
import { createHash } from "node:crypto";
import { basename, dirname, join, normalize, relative } from "node:path";
import { RunError } from "../core/errors.ts";
import {
  memberTimeS,
  ownPlaceholder,
  restorePlaceholder,
  retimedByteCode,
  withOwnPlaceholder,
} from "../core/package/contents.ts";
import {
  few,
  type PlannedFile,
  portableRecord,
  sourceOfByteCode,
} from "../core/package/pack_plan.ts";
import { envShebang, holds } from "../core/package/placeholder.ts";
import { type Relocation, relocationsPath, writeRelocations } from "../core/package/relocations.ts";
import type { SizedFile } from "../core/package/size_report.ts";
import type { TarEntry } from "../core/package/tar_header.ts";
import { ArchiveWriter } from "./archive_writer.ts";
import { ownFiles } from "./own_files.ts";

/** Changes made to a file's bytes on its way. */
type Edit = (bytes: Uint8Array) => Uint8Array;

/** A file that a plan asks for, looked at. */
export interface Member {
  readonly entry: Omit<TarEntry, "size" | "timeS">;
  /** Absolute path of the content; null where there is none. */
  readonly source: string | null;
  readonly bytes: number;
  readonly owner: string | null;
  readonly edit: Edit | null;
}

export interface Examined {
  readonly members: readonly Member[];
  readonly relocations: readonly Relocation[];
  readonly warnings: readonly string[];
}

export interface ExamineOptions {
  /** All spellings of the prefix, and of others whose place the archive takes. */
  readonly prefixes: readonly string[];
  /** Changes that the caller wants, by path; it may return null for none. */
  readonly edit?: (file: PlannedFile, bytes: () => Uint8Array) => Edit | null;
  /** Files that may hold a prefix in compiled form, or lead elsewhere, without harm. */
  readonly isHarmless?: (file: PlannedFile) => boolean;
  readonly signal?: AbortSignal;
}

/** Files looked at before others get their turn. */
const filesAtOnce = 500;

/** Smaller files are not worth a hard link. */
const linkedBytesMin = 64 * 1024;

/** Looks at every file. Throws RunError for one that cannot be read. */
export async function examine(
  files: readonly PlannedFile[],
  options: ExamineOptions,
): Promise<Examined> {
  const examiner = new Examiner(files, options);
  for (const [i, file] of files.entries()) {
    try {
      examiner.look(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
      throw new RunError(`Cannot read ${file.source}: permission denied; whose file is it?`);
    }
    if (i % filesAtOnce !== 0) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    options.signal?.throwIfAborted();
  }
  return examiner.examined();
}

class Examiner {
  readonly #members: Member[] = [];
  readonly #relocations: Relocation[] = [];
  readonly #byteCode: { file: PlannedFile; source: PlannedFile }[] = [];
  readonly #byPath: ReadonlyMap<string, PlannedFile>;
  readonly #inodes = new Map<string, string>();
  readonly #fixed: string[] = [];
  readonly #leading: string[] = [];
  readonly #lost: string[] = [];

  constructor(files: readonly PlannedFile[], private readonly options: ExamineOptions) {
    this.#byPath = new Map(files.map((file) => [file.path, file]));
  }

  look(file: PlannedFile): void {
    const info = Deno.lstatSync(file.source);
    if (info.isSymlink) return this.#lookAtLink(file);
    if (info.isDirectory) {
      return this.#add(file, { path: file.path, kind: "folder", mode: 0o755 }, null, 0);
    }
    this.#lookAtFile(file, info);
  }

  examined(): Examined {
    const relocated = new Set(this.#relocations.map(({ path }) => path));
    for (const { file, source } of this.#byteCode) {
      // Of a source that changes where it is unpacked, Python compiles anew.
      if (!relocated.has(source.path)) this.#lookAtByteCode(file, source);
    }
    const warnings = [
      ...(this.#fixed.length === 0 ? [] : [
        `Compiled files hold the path that the environment has here and keep it: ` +
        `${few(this.#fixed)}; if they look for it, build them elsewhere or use a conda package`,
      ]),
      ...(this.#leading.length === 0 ? [] : [
        `Links lead out of the environment, what they lead to is packed: ${few(this.#leading)}`,
      ]),
      ...(this.#lost.length === 0 ? [] : [
        `Links lead out of the environment to folders or nowhere, and are left out: ` +
        few(this.#lost),
      ]),
    ];
    const members = this.#members.sort((a, b) => a.entry.path < b.entry.path ? -1 : 1);
    return { members, relocations: this.#relocations, warnings };
  }

  #add(file: PlannedFile, entry: Member["entry"], edit: Edit | null, bytes: number): void {
    const source = entry.kind === "file" ? file.source : null;
    this.#members.push({ entry, source, bytes, owner: file.owner, edit });
  }

  /** Links inside are made relative; one that leads out is replaced by the file it leads to. */
  #lookAtLink(file: PlannedFile): void {
    const { path } = file;
    const told = Deno.readLinkSync(file.source);
    const inside = this.options.prefixes.find((prefix) =>
      told === prefix || told.startsWith(`${prefix}/`)
    );
    const own = inside === undefined
      ? told
      : relative(dirname(path), told.slice(inside.length + 1));
    const target = own === "" ? "." : own;
    const end = normalize(join(dirname(path), target));
    if (!target.startsWith("/") && end !== ".." && !end.startsWith("../")) {
      return this.#add(file, { path, kind: "link", mode: 0o777, target }, null, 0);
    }
    let info: Deno.FileInfo | null = null;
    try {
      info = Deno.statSync(file.source);
    } catch { /* leads nowhere */ }
    if (info === null || !info.isFile) {
      this.#lost.push(path);
      return;
    }
    if (this.options.isHarmless?.(file) !== true) this.#leading.push(path);
    this.#lookAtFile({ ...file, source: Deno.realPathSync(file.source) }, info);
  }

  #lookAtFile(file: PlannedFile, info: Deno.FileInfo): void {
    const python = sourceOfByteCode(file.path);
    if (python !== null) {
      const source = this.#byPath.get(python);
      if (source !== undefined) this.#byteCode.push({ file, source });
      return;
    }
    const mode = (info.mode ?? 0) & 0o111 ? 0o755 : 0o644;
    const edit = this.#editOf(file, info.size);
    const key = `${info.dev}:${info.ino}`;
    const first = this.#inodes.get(key);
    const isPlain = edit === null && (info.nlink ?? 1) > 1 && info.size >= linkedBytesMin &&
      file.treatment.type !== "recorded";
    if (isPlain && first !== undefined) {
      return this.#add(file, { path: file.path, kind: "hard-link", mode, target: first }, null, 0);
    }
    if (isPlain) this.#inodes.set(key, file.path);
    this.#add(file, { path: file.path, kind: "file", mode }, edit, info.size);
  }

  #lookAtByteCode(file: PlannedFile, source: PlannedFile): void {
    const info = Deno.statSync(source.source);
    const made = { size: info.size, timeS: Math.floor((info.mtime?.getTime() ?? 0) / 1000) };
    const bytes = retimedByteCode(Deno.readFileSync(file.source), made);
    if (bytes === null) return;
    this.#add(file, { path: file.path, kind: "file", mode: 0o644 }, () => bytes, bytes.length);
  }

  #editOf(file: PlannedFile, size: number): Edit | null {
    const { path, treatment } = file;
    let read: Uint8Array | null = null;
    const bytes = () => read ??= Deno.readFileSync(file.source);
    const wanted = this.options.edit?.(file, bytes) ?? null;
    if (wanted !== null) return wanted;
    switch (treatment.type) {
      case "as-is":
        return null;
      case "recorded": {
        const { placeholder, mode } = treatment.relocation;
        const found = mode === "text" && path.startsWith("bin/")
          ? envShebang(bytes(), placeholder)
          : null;
        if (found !== null) return (original) => envShebang(original, placeholder) ?? original;
        this.#relocations.push(treatment.relocation);
        return null;
      }
      case "restore":
        return this.#restored(file, treatment.relocation, treatment.sha256, bytes()) ??
          this.#searched(file, bytes);
      case "search":
        return size === 0 ? null : this.#searched(file, bytes);
      case "conda-record":
        return (text) => new TextEncoder().encode(portableRecord(new TextDecoder().decode(text)));
    }
  }

  #restored(
    file: PlannedFile,
    relocation: Relocation,
    sha256: string,
    bytes: Uint8Array,
  ): Edit | null {
    const { mode, placeholder } = relocation;
    for (const prefix of this.options.prefixes) {
      const original = restorePlaceholder(bytes, mode, prefix, placeholder);
      if (original === null) continue;
      if (createHash("sha256").update(original).digest("hex") !== sha256) continue;
      const short = mode === "text" && file.path.startsWith("bin/")
        ? envShebang(original, placeholder)
        : null;
      if (short !== null) return () => short;
      this.#relocations.push(relocation);
      return (now) => restorePlaceholder(now, mode, prefix, placeholder) ?? now;
    }
    return null;
  }

  /** A file that nobody tells about: text gets a placeholder, a script finds its program on PATH. */
  #searched(file: PlannedFile, bytes: () => Uint8Array): Edit | null {
    const { path } = file;
    const content = bytes();
    if (!this.options.prefixes.some((prefix) => holds(content, prefix))) return null;
    if (content.includes(0)) {
      if (this.options.isHarmless?.(file) !== true) this.#fixed.push(path);
      return null;
    }
    const marked = withOwnPlaceholder(content, this.options.prefixes);
    const short = path.startsWith("bin/") ? envShebang(marked, ownPlaceholder) : null;
    if (short !== null) return () => short;
    this.#relocations.push({ path, placeholder: ownPlaceholder, mode: "text" });
    return () => marked;
  }
}

/** What was packed. */
export interface PackReport {
  readonly path: string;
  /** Members of the archive. */
  readonly files: number;
  /** Of all files together. */
  readonly bytes: number;
  /** Of the archive. */
  readonly archiveBytes: number;
  /** Every file with the package that brought it. */
  readonly sized: readonly SizedFile[];
  readonly warnings: readonly string[];
}

export interface WriteOptions {
  readonly format: "tar.gz" | "tar.zst" | "tar";
  readonly level: number;
  /** Told bytes of files that are in the archive, and those that will be. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes what `examine` finds, the list of relocations first and `conda-unpack` last. The archive is
 * begun before: its threads start while files are looked at.
 */
export async function writeMembers(
  out: string,
  examine: () => Promise<Examined>,
  { format, level, onProgress, signal }: WriteOptions,
): Promise<PackReport> {
  const writer = await ArchiveWriter.create(out, { format, level });
  let done = 0;
  const addText = (path: string, text: string, mode: number, endsHere = false) => {
    const content = new TextEncoder().encode(text);
    const entry = { path, kind: "file" as const, mode, size: content.length, timeS: memberTimeS };
    return writer.add(entry, content, endsHere);
  };
  try {
    const { members, relocations, warnings } = await examine();
    const total = members.reduce((sum, { bytes }) => sum + bytes, 0);
    await addText(relocationsPath, writeRelocations(relocations), 0o644, true);
    for (const { entry, source, edit, bytes } of members) {
      signal?.throwIfAborted();
      const member = { ...entry, size: bytes, timeS: memberTimeS };
      if (source === null) await writer.add(member, new Uint8Array(0));
      else if (edit === null) await packing(source, () => writer.addFile(member, source));
      else {
        const content = await packing(source, () => edit(Deno.readFileSync(source)));
        await writer.add({ ...member, size: content.length }, content);
      }
      done += bytes;
      onProgress?.(done, total);
    }
    for (const { path, text, mode } of ownFiles) await addText(path, text, mode);
    const archiveBytes = await writer.finish();
    const sized = members.map(({ entry: { path }, bytes, owner }) => ({ path, bytes, owner }));
    const files = members.length + ownFiles.length + 1;
    return { path: out, files, bytes: total, archiveBytes, sized, warnings };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** Reads a file of the environment; says so if it is gone. */
async function packing<T>(source: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new RunError(
      `${basename(source)} vanished from ${dirname(source)} while it was packed; is something ` +
        "installing there? Pack again when it is done",
    );
  }
}
