/**
 * Environments that are unpacked on this machine, each in a folder named by the content of its
 * archive, so that the same archive under any name is unpacked once. Beside the folder KEY lie
 * KEY.json, which tells of it, and KEY.lock: held shared by who uses it, alone by who makes or
 * removes it, so that nothing is removed under a running program.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { RunError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { removeIfThere } from "../io/files.ts";
import { sha256Of } from "../io/hash.ts";
import { locked } from "./folder_lock.ts";
import {
  inWords,
  isReady,
  runCondaUnpack,
  type UnpackOptions,
  unpackTree,
  writeMarker,
} from "./unpack.ts";

/** One environment that is ready. */
export interface StoredEnvironment {
  readonly key: string;
  /** Its folder. */
  readonly prefix: string;
  /** The archive as it was given, absolute. */
  readonly archive: string;
  readonly sha256: string;
  /** Of its files, as they stood when it was unpacked. */
  readonly bytes: number;
  readonly unpackedMs: number;
  readonly usedMs: number;
}

export interface CleanOptions {
  /** Removes what was not used for so long. */
  readonly olderThanMs?: number;
  /** Then the least recently used, until no more than this is left. */
  readonly bytesMax?: number;
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Digits of the hash in a folder's name: enough that none of two archives share one, and few enough
 * for the first lines of scripts, of which the system reads 127 bytes.
 */
const keyLength = 20;

export class EnvironmentStore {
  readonly #folder: string;
  readonly #inUse = new Map<string, Disposable>();
  readonly #opening = new Map<string, Promise<string>>();

  /** `folder` is made when it is needed. */
  constructor(folder: string) {
    this.#folder = resolve(folder);
  }

  /**
   * The prefix in which the archive is unpacked, now or before; it stays until this store is
   * disposed of or `release` is called. `sha256`: of its content, where it is known. Throws RunError
   * with a sentence.
   */
  async open(archive: string, options: UnpackOptions & { sha256?: string }): Promise<string> {
    const path = resolve(archive);
    const sha256 = options.sha256 ?? await this.#hashOf(path, options.signal);
    const key = sha256.slice(0, keyLength);
    // Of those who ask at the same time, one does it.
    const before = this.#opening.get(key);
    if (before !== undefined) return await before;
    const opening = this.#open(path, sha256, key, options);
    this.#opening.set(key, opening);
    try {
      return await opening;
    } finally {
      this.#opening.delete(key);
    }
  }

  /** A shared `flock` on this file keeps the environment, also after this store is disposed of. */
  useFileOf(prefix: string): string {
    return `${prefix}.lock`;
  }

  /** It may be removed from now on. */
  release(prefix: string): void {
    const key = prefix.slice(prefix.lastIndexOf("/") + 1);
    this.#inUse.get(key)?.[Symbol.dispose]();
    this.#inUse.delete(key);
  }

  [Symbol.dispose](): void {
    for (const use of this.#inUse.values()) use[Symbol.dispose]();
    this.#inUse.clear();
  }

  /** Least recently used first. */
  list(): StoredEnvironment[] {
    const found: StoredEnvironment[] = [];
    for (const name of namesIn(this.#folder)) {
      const key = /^([0-9a-f]+)\.json$/.exec(name)?.[1];
      const stored = key === undefined ? null : this.#read(key);
      if (stored !== null && isReady(stored.prefix)) found.push(stored);
    }
    return found.sort((a, b) => a.usedMs - b.usedMs);
  }

  /** Removes what the options say and nobody uses; returns what was (or would be) removed. */
  async clean(options: CleanOptions): Promise<StoredEnvironment[]> {
    const { olderThanMs = Infinity, bytesMax = Infinity, dryRun = false, signal } = options;
    const stored = this.list();
    let bytes = stored.reduce((sum, one) => sum + one.bytes, 0);
    const removed: StoredEnvironment[] = [];
    const nowMs = Date.now();
    for (const one of stored) {
      if (nowMs - one.usedMs < olderThanMs && bytes <= bytesMax) continue;
      if (!await this.#remove(one.key, dryRun, signal)) continue;
      removed.push(one);
      bytes -= one.bytes;
    }
    if (!dryRun) await this.#sweep(signal);
    return removed;
  }

  async #open(
    archive: string,
    sha256: string,
    key: string,
    options: UnpackOptions,
  ): Promise<string> {
    const prefix = `${this.#folder}/${key}`, lock = `${prefix}.lock`;
    const { signal } = options;
    return await inWords(archive, prefix, async () => {
      while (!this.#inUse.has(key)) {
        await touch(lock);
        const use = await locked(lock, { exclusive: false, signal });
        if (use === null) continue; // it was removed meanwhile
        if (isReady(prefix)) {
          this.#inUse.set(key, use);
          break;
        }
        use[Symbol.dispose]();
        using making = await locked(lock, { exclusive: true, signal });
        if (making !== null && !isReady(prefix)) await this.#make(archive, sha256, key, options);
      }
      this.#checkSame(key, sha256);
      await touch(lock); // its time says when the environment was used last
      return prefix;
    });
  }

  async #make(archive: string, sha256: string, key: string, options: UnpackOptions): Promise<void> {
    const prefix = `${this.#folder}/${key}`, partial = `${prefix}.partial`;
    try {
      await removeIfThere(prefix); // left by a conda-unpack that was killed
      await removeIfThere(partial);
      const { condaUnpack, bytes } = await unpackTree(archive, partial, prefix, options);
      const about = { archive, sha256, bytes, unpackedMs: Date.now() };
      await writeInPlace(`${prefix}.json`, JSON.stringify(about));
      if (condaUnpack !== "to be run") writeMarker(partial);
      await Deno.rename(partial, prefix);
      if (condaUnpack === "to be run") {
        await runCondaUnpack(prefix, options.signal);
        writeMarker(prefix);
      }
    } catch (error) {
      await removeIfThere(prefix);
      await removeIfThere(`${prefix}.json`);
      throw error;
    } finally {
      await removeIfThere(partial);
    }
  }

  #checkSame(key: string, sha256: string): void {
    const stored = this.#read(key);
    if (stored !== null && stored.sha256 !== sha256) {
      throw new RunError(`the folder belongs to another archive, ${stored.archive}`);
    }
  }

  async #remove(key: string, dryRun: boolean, signal: AbortSignal): Promise<boolean> {
    const prefix = `${this.#folder}/${key}`;
    using lock = await locked(`${prefix}.lock`, { exclusive: true, signal, waitMs: 0 });
    if (lock === null) return false;
    if (dryRun) return true;
    // Out of sight first: what is left by a kill in between is swept next time.
    await removeIfThere(`${prefix}.partial`);
    await Deno.rename(prefix, `${prefix}.partial`).catch(ifMissing);
    await removeIfThere(`${prefix}.json`);
    await removeIfThere(`${prefix}.partial`);
    await removeIfThere(`${prefix}.lock`);
    return true;
  }

  /** Removes what processes that were killed have left. */
  async #sweep(signal: AbortSignal): Promise<void> {
    for (const name of namesIn(this.#folder)) {
      const key = /^([0-9a-f]+)\.(?:partial|lock)$/.exec(name)?.[1];
      if (key !== undefined && !isReady(`${this.#folder}/${key}`)) {
        await this.#remove(key, false, signal);
      }
    }
  }

  #read(key: string): StoredEnvironment | null {
    const prefix = `${this.#folder}/${key}`;
    try {
      const about: unknown = JSON.parse(Deno.readTextFileSync(`${prefix}.json`));
      if (!isRecord(about)) return null;
      const { archive, sha256, bytes, unpackedMs } = about;
      if (typeof archive !== "string" || typeof sha256 !== "string") return null;
      if (typeof bytes !== "number" || typeof unpackedMs !== "number") return null;
      const usedMs = Deno.statSync(`${prefix}.lock`).mtime?.getTime() ?? unpackedMs;
      return { key, prefix, archive, sha256, bytes, unpackedMs, usedMs };
    } catch {
      return null; // half written by nobody, so of another version, or gone
    }
  }

  /** Remembered by path, size and time, because hashing 500 MB takes longer than to start Python. */
  async #hashOf(path: string, signal: AbortSignal): Promise<string> {
    const { size, mtime, ino, isFile } = await stat(path);
    if (!isFile) throw new RunError(`Cannot unpack ${path}: it is no file`);
    const known = `${this.#folder}/known/${createHash("sha256").update(path).digest("hex")}.json`;
    const stamp = `${size} ${mtime?.getTime()} ${ino}`;
    try {
      const about: unknown = JSON.parse(await Deno.readTextFile(known));
      if (isRecord(about) && about.stamp === stamp && typeof about.sha256 === "string") {
        return about.sha256;
      }
    } catch {
      // Not known yet.
    }
    const sha256 = await sha256Of(path, signal);
    // A file that was just written could be written again within the same tick of its time.
    const settledMs = 2000;
    if (Date.now() - (mtime?.getTime() ?? 0) > settledMs) {
      await Deno.mkdir(`${this.#folder}/known`, { recursive: true, mode: 0o700 });
      await writeInPlace(known, JSON.stringify({ path, stamp, sha256 }));
    }
    return sha256;
  }
}

async function stat(path: string): Promise<Deno.FileInfo> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new RunError(`Cannot unpack ${path}: there is no such file`);
  }
}

/** Creates it, or gives it the time of now. */
async function touch(path: string): Promise<void> {
  try {
    (await Deno.open(path, { write: true, create: true, mode: 0o644 })).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    return await touch(path);
  }
  const now = new Date();
  await Deno.utime(path, now, now).catch(ifMissing);
}

async function writeInPlace(path: string, text: string): Promise<void> {
  const partial = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(partial, text);
    await Deno.rename(partial, path);
  } catch (error) {
    await removeIfThere(partial);
    throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function ifMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
