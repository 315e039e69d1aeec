/**
 * Writes an environment archive: members are put together in memory, compressed in other threads
 * (several gzip members at once), and written in order to a file that gets its name at the end.
 */
import { basename, dirname } from "node:path";
import type { Buffer } from "node:buffer";
import { constants, createZstdCompress } from "node:zlib";
import { concat } from "../core/bytes.ts";
import { messageOf, RunError } from "../core/errors.ts";
import type { ArchiveFormat } from "../core/package/archive_format.ts";
import { endsMember, pieceBytes } from "../core/package/member_cut.ts";
import { tarEnd, type TarEntry, tarHeader, tarPadding } from "../core/package/tar_header.ts";
import { removeIfThere } from "../io/files.ts";
import { GzipMembers } from "./gzip_members.ts";

/** Where the archive's bytes go. */
export interface ArchiveFile {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

export interface ArchiveOptions {
  readonly format: ArchiveFormat;
  readonly level: number;
  /** For tests: what comes in the place of a file. */
  readonly open?: (path: string) => Promise<ArchiveFile>;
}

/** One archive on its way to `path`. Its methods throw RunError where the disk does not take it. */
export class ArchiveWriter {
  readonly #partial: string;
  readonly #compressor: Compressor;
  #held: Uint8Array[] = [];
  #sinceCut = 0;
  #tarBytes = 0;
  #writtenBytes = 0;

  private constructor(
    private readonly path: string,
    partial: string,
    private readonly file: ArchiveFile,
    options: ArchiveOptions,
  ) {
    this.#partial = partial;
    const write = (bytes: Uint8Array) => this.#write(bytes);
    this.#compressor = options.format === "tar.gz"
      ? new GzipMembers(options.level, write)
      : options.format === "tar.zst"
      ? new ZstdStream(options.level, write)
      : { push: write, end: () => Promise.resolve(), drop: () => {} };
  }

  static async create(path: string, options: ArchiveOptions): Promise<ArchiveWriter> {
    const partial = `${dirname(path)}/.${basename(path)}.${crypto.randomUUID()}.partial`;
    try {
      const file = await (options.open ?? openFile)(partial);
      return new ArchiveWriter(path, partial, file, options);
    } catch (error) {
      throw new RunError(`Cannot make ${path}: ${messageOf(error)}`);
    }
  }

  /** Bytes of the tar so far. */
  get tarBytes(): number {
    return this.#tarBytes;
  }

  /** Adds a member with all of its content. `endsHere`: the next one begins a gzip member. */
  async add(entry: TarEntry, content: Uint8Array, endsHere = false): Promise<void> {
    const header = tarHeader(entry);
    const padding = tarPadding(content.length);
    const bytes = header.length + content.length + padding.length;
    this.#tarBytes += bytes;
    if (content.length > pieceBytes) {
      await this.#cut();
      this.#hold(header);
      for (let at = 0; at < content.length; at += pieceBytes) {
        this.#hold(content.subarray(at, at + pieceBytes));
        if (at + pieceBytes >= content.length) this.#hold(padding);
        await this.#cut();
      }
      return;
    }
    this.#hold(header);
    this.#hold(content);
    this.#hold(padding);
    if (endsHere || endsMember(entry.path, bytes, this.#sinceCut)) await this.#cut();
  }

  /** Writes the end and gives the file its name. Returns its size. */
  async finish(): Promise<number> {
    this.#hold(tarEnd);
    this.#tarBytes += tarEnd.length;
    await this.#cut();
    await this.#compressor.end();
    this.file.close();
    await Deno.rename(this.#partial, this.path);
    return this.#writtenBytes;
  }

  /** Leaves nothing behind; for a failure in the middle. */
  async abandon(): Promise<void> {
    await this.#compressor.drop();
    this.file.close();
    await removeIfThere(this.#partial);
  }

  #hold(bytes: Uint8Array): void {
    this.#held.push(bytes);
    this.#sinceCut += bytes.length;
  }

  async #cut(): Promise<void> {
    if (this.#sinceCut === 0) return;
    const member = concat(this.#held);
    this.#held = [];
    this.#sinceCut = 0;
    await this.#compressor.push(member);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.file.write(bytes);
      this.#writtenBytes += bytes.length;
    } catch (error) {
      throw new RunError(
        `Cannot write ${this.path} after ${this.#writtenBytes} bytes: ${messageOf(error)}; ` +
          "nothing is left of it",
      );
    }
  }
}

async function openFile(path: string): Promise<ArchiveFile> {
  const file = await Deno.open(path, { write: true, createNew: true, mode: 0o644 });
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    },
    close: () => file.close(),
  };
}

/** Takes pieces of the tar in order. */
interface Compressor {
  push(piece: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Done when all is written. */
  end(): Promise<void>;
  /** Done when nothing is under way any more; after a failure, in place of `end`. */
  drop(): Promise<void> | void;
}

/** One zstd frame: readers of several are rare. */
class ZstdStream implements Compressor {
  readonly #stream;
  readonly #done: Promise<void>;

  constructor(level: number, write: (bytes: Uint8Array) => Promise<void>) {
    const params = {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    };
    this.#stream = createZstdCompress({ params });
    this.#done = this.#writeAll(write);
    this.#done.catch(() => {}); // told at the end, and to who pushes
  }

  async #writeAll(write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    try {
      for await (const piece of this.#stream) await write(piece as Buffer);
    } finally {
      this.#stream.destroy();
    }
  }

  async push(piece: Uint8Array): Promise<void> {
    if (this.#stream.destroyed) return await this.#done;
    if (this.#stream.write(piece)) return;
    const drained = new Promise<void>((resolve) => this.#stream.once("drain", () => resolve()));
    await Promise.race([drained, this.#done]);
  }

  async end(): Promise<void> {
    if (!this.#stream.destroyed) this.#stream.end();
    await this.#done;
  }

  async drop(): Promise<void> {
    this.#stream.destroy();
    await this.#done.catch(() => {});
  }
}
