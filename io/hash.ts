/** Content hashes of files, read in bounded pieces with a turn for everybody else after each. */
import { createHash } from "node:crypto";

/** Read and hashed at once; bytes. A piece takes less than a millisecond. */
const pieceBytes = 1024 ** 2;

/**
 * SHA-256 of what is in a file now; lower-case hexadecimal. Throws the system's error, or the
 * reason of `signal`.
 */
export async function sha256Of(path: string, signal?: AbortSignal): Promise<string> {
  using file = await Deno.open(path);
  const hash = createHash("sha256");
  // One is read, in another thread, while the other is hashed.
  let [next, current] = [new Uint8Array(pieceBytes), new Uint8Array(pieceBytes)];
  let reading = file.read(next);
  for (;;) {
    const count = await reading;
    if (count === null) return hash.digest("hex");
    signal?.throwIfAborted();
    [next, current] = [current, next];
    reading = file.read(next);
    hash.update(current.subarray(0, count));
  }
}

type Stamp = Pick<Deno.FileInfo, "size" | "mtime" | "ino">;

interface Known extends Stamp {
  readonly sha256: Promise<string>;
}

/** Hashes of files by path, each computed once while the file stays as it is. */
export class FileHashes {
  readonly #known = new Map<string, Known>();

  /** Of a file that looks like this now. Throws the system's error. */
  of(path: string, { size, mtime, ino }: Stamp): Promise<string> {
    const before = this.#known.get(path);
    const same = before !== undefined && before.size === size && before.ino === ino &&
      before.mtime?.getTime() === mtime?.getTime();
    if (same) return before.sha256;
    const known = { size, mtime, ino, sha256: sha256Of(path) };
    this.#known.set(path, known);
    known.sha256.catch(() => {
      if (this.#known.get(path) === known) this.#known.delete(path);
    });
    return known.sha256;
  }
}
