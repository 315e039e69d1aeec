/**
 * What a worker keeps of the files that earlier links sent, by content: the next manager often has
 * the same environment and data. Managers are told size and hash; one that would send such a file
 * lets the worker take it from here instead.
 *
 * Tasks hold inputs by hard link and may have changed them. So the hash is of what is there when
 * the link has ended and its tasks are dead, and it is computed again when the file is taken, since
 * tasks of later links may write here too. A file is given out once: it moves into the cache, and
 * comes back when that link ends. While it is here, its pieces serve for files that are like it.
 */
import { type Held, heldBytesMax, heldBytesMin, heldCountMax } from "../core/protocol/held.ts";
import { piecedBytesMax } from "../core/protocol/pieces.ts";
import type { PieceList } from "../core/pieces.ts";
import { removeIfThere } from "../io/files.ts";
import { listFile, sha256Of } from "../io/hash.ts";

/** What is computed of a file. */
interface Listed {
  readonly sha256: string;
  /** `null`: it is too large to be sent in pieces. */
  readonly pieces: PieceList | null;
}

interface KeptFile {
  path: string;
  readonly bytes: number;
  /** `null` until they are computed. */
  sha256: string | null;
  pieces: PieceList | null;
}

export class Kept implements AsyncDisposable {
  /** Told of a file when its hash has become known. */
  listener: ((held: Held) => void) | null = null;
  /** The one that came longest ago first. */
  readonly #files = new Set<KeptFile>();
  readonly #stop = new AbortController();
  #hashing: Promise<void> | null = null;
  #serial = 0;

  constructor(private readonly folder: string) {}

  /** Those whose hash is known. */
  get held(): Held[] {
    return [...this.#files].flatMap(({ bytes, sha256 }) =>
      sha256 === null ? [] : [{ bytes, sha256 }]
    );
  }

  /** The same, in pieces as they were then. */
  get listed(): { readonly path: string; readonly pieces: PieceList }[] {
    return [...this.#files].flatMap(({ path, pieces }) =>
      pieces === null ? [] : [{ path, pieces }]
    );
  }

  /**
   * Takes those of the files that are worth it, and lets the oldest go so that no more than
   * `bytesMax` are kept. They are hashed in the background. What cannot be moved stays where it is.
   */
  async add(paths: readonly string[], bytesMax: number): Promise<void> {
    const found = paths.flatMap((path) => {
      const bytes = bytesWorthKeeping(path);
      return bytes === null ? [] : [{ path, bytes, sha256: null, pieces: null }];
    });
    // The smallest go first, if some of them have to.
    for (const file of found.sort((a, b) => a.bytes - b.bytes)) {
      const path = `${this.folder}/new.${++this.#serial}`;
      try {
        await Deno.rename(file.path, path);
        this.#files.add({ ...file, path });
      } catch {
        // A task may have removed even our folder; then there is nothing to keep.
      }
    }
    let bytes = [...this.#files].reduce((sum, file) => sum + file.bytes, 0);
    for (const file of this.#files) {
      if (this.#files.size <= heldCountMax && bytes <= bytesMax) break;
      bytes -= file.bytes;
      this.#files.delete(file);
      await removeIfThere(file.path);
    }
    this.#hashing ??= this.#hashAll().finally(() => this.#hashing = null);
  }

  /**
   * Moves the file of this content to a path. Throws an Error that says why it cannot; then it is
   * not kept any more, unless `signal` broke it off.
   */
  async take(sha256: string, to: string, signal: AbortSignal): Promise<void> {
    const file = [...this.#files].find((one) => one.sha256 === sha256);
    if (file === undefined) throw new Error("this worker does not have it any more");
    this.#files.delete(file);
    try {
      if (await sha256Of(file.path, signal) !== sha256) {
        throw new Error("it has changed since this worker kept it");
      }
      await Deno.rename(file.path, to);
    } catch (error) {
      if (signal.aborted) this.#files.add(file);
      else await removeIfThere(file.path);
      throw error;
    }
  }

  /** Breaks off what is under way; the files are for the owner of the folder to remove. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#hashing;
  }

  async #hashAll(): Promise<void> {
    for (;;) {
      const file = [...this.#files].find((one) => one.sha256 === null);
      if (file === undefined || this.#stop.signal.aborted) return;
      const listed = await this.#list(file).catch(() => null);
      if (this.#stop.signal.aborted) return;
      if (!this.#files.has(file)) continue; // it had to go meanwhile
      try {
        await this.#name(file, listed);
      } catch {
        this.#files.delete(file); // somebody has removed it, or the folder
      }
    }
  }

  async #list({ path, bytes }: KeptFile): Promise<Listed> {
    const { signal } = this.#stop;
    if (bytes <= piecedBytesMax) return await listFile(path, signal);
    return { sha256: await sha256Of(path, signal), pieces: null };
  }

  /** Gives the file its name; one that is there already, or could not be read, goes. */
  async #name(file: KeptFile, listed: Listed | null): Promise<void> {
    if (listed === null || this.held.some((held) => held.sha256 === listed.sha256)) {
      this.#files.delete(file);
      await removeIfThere(file.path);
      return;
    }
    const { sha256, pieces } = listed;
    const path = `${this.folder}/${sha256}`;
    Deno.renameSync(file.path, path);
    file.path = path;
    file.sha256 = sha256;
    file.pieces = pieces;
    this.listener?.({ bytes: file.bytes, sha256 });
  }
}

/** Its size, or `null` for what is not kept: also what somebody else may change, by a hard link. */
function bytesWorthKeeping(path: string): number | null {
  try {
    const { isFile, nlink, size } = Deno.lstatSync(path);
    return isFile && nlink === 1 && size >= heldBytesMin && size <= heldBytesMax ? size : null;
  } catch {
    return null; // it was unlinked
  }
}
