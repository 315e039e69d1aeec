/** Content hashes of files, read in bounded blocks with a turn for everybody else after each. */
import { createHash } from "node:crypto";
import { type ListedFile, PieceLister } from "../core/pieces.ts";

/** Read and hashed at once; bytes. A block takes less than a millisecond, listed about two. */
const blockBytes = 1024 ** 2;

/**
 * SHA-256 of what is in a file now; lower-case hexadecimal. Throws the system's error, or the
 * reason of `signal`.
 */
export async function sha256Of(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await readBlocks(path, (block) => hash.update(block), signal);
  return hash.digest("hex");
}

/** What is in a file now, in pieces. Throws as {@link sha256Of}. */
export async function listFile(path: string, signal?: AbortSignal): Promise<ListedFile> {
  const lister = new PieceLister();
  await readBlocks(path, (block) => lister.feed(block), signal);
  return lister.finish();
}

async function readBlocks(
  path: string,
  take: (block: Uint8Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  using file = await Deno.open(path);
  // One is read, in another thread, while the other is worked on.
  let [next, current] = [new Uint8Array(blockBytes), new Uint8Array(blockBytes)];
  let reading = file.read(next);
  for (;;) {
    const count = await reading;
    if (count === null) return;
    signal?.throwIfAborted();
    [next, current] = [current, next];
    reading = file.read(next);
    take(current.subarray(0, count));
  }
}

type Stamp = Pick<Deno.FileInfo, "size" | "mtime" | "ino">;

interface Known<T> extends Stamp {
  readonly what: Promise<T>;
}

/** Something of files by path, computed once of each while the file stays as it is. */
class PerFile<T> {
  readonly #known = new Map<string, Known<T>>();

  /** @param countMax of those that were asked for last so many are remembered */
  constructor(
    private readonly compute: (path: string) => Promise<T>,
    private readonly countMax: number,
  ) {}

  /** Of a file that looks like this now. Throws the system's error. */
  of(path: string, { size, mtime, ino }: Stamp): Promise<T> {
    const before = this.#known.get(path);
    const same = before !== undefined && before.size === size && before.ino === ino &&
      before.mtime?.getTime() === mtime?.getTime();
    const known = same ? before : { size, mtime, ino, what: this.compute(path) };
    this.#known.delete(path); // to become the newest
    this.#known.set(path, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.countMax) break;
      this.#known.delete(oldest);
    }
    if (!same) {
      known.what.catch(() => {
        if (this.#known.get(path) === known) this.#known.delete(path);
      });
    }
    return known.what;
  }
}

/** Lists that are remembered: one of 1 GB takes 300 kB. */
const listsMax = 32;

export class FileHashes extends PerFile<string> {
  constructor() {
    super(sha256Of, Infinity);
  }
}

/** In pieces. */
export class FileLists extends PerFile<ListedFile> {
  /** `signal` breaks off what is under way. */
  constructor(signal?: AbortSignal) {
    super((path) => listFile(path, signal), listsMax);
  }
}
