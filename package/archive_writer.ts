/**
 * Writes an environment archive: members are put together in memory, compressed in other threads
 * (several gzip members at once), and written in order to a file that gets its name at the end.
 */
import { basename, dirname } from "node:path";
import type { Buffer } from "node:buffer";
import { constants, createZstdCompress } from "node:zlib";
import { messageOf, RunError } from "../core/errors.ts";
import type { ArchiveFormat } from "../core/package/archive_format.ts";
import { endsMember, memberBytes, pieceBytes } from "../core/package/member_cut.ts";
import { tarEnd, type TarEntry, tarHeader, tarPadding } from "../core/package/tar_header.ts";
import { removeIfThere } from "../io/files.ts";
import { GzipMembers, type PieceSink } from "./gzip_members.ts";

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

/** Of a piece with the file that makes it long enough, and what stands before and behind that. */
const bufferBytes = memberBytes.max + pieceBytes + 64 * 1024;

/** Fills all that it is given with what comes next in a member. */
type Fill = (into: Uint8Array) => void;

/** One archive on its way to `path`. Its methods throw RunError where the disk does not take it. */
export class ArchiveWriter {
  /** What the next piece is put together in. */
  #buffer: Uint8Array<ArrayBuffer> | null = null;
  #sinceCut = 0;

  private constructor(
    private readonly draft: Draft,
    private readonly compressor: Compressor,
    /** Memory of pieces that is free again. */
    private readonly spare: ArrayBuffer[],
  ) {}

  static async create(path: string, options: ArchiveOptions): Promise<ArchiveWriter> {
    const draft = await Draft.create(path, options.open ?? openFile);
    const spare: ArrayBuffer[] = [];
    const compressor = await compressorOf(options, {
      write: (bytes) => draft.write(bytes),
      free: (buffer) => void spare.push(buffer),
    });
    return new ArchiveWriter(draft, compressor, spare);
  }

  /** Adds a member with all of its content. `endsHere`: the next one begins a gzip member. */
  async add(entry: TarEntry, content: Uint8Array, endsHere = false): Promise<void> {
    let at = 0;
    await this.#add(entry, endsHere, (into) => {
      into.set(content.subarray(at, at + into.length));
      at += into.length;
    });
  }

  /** As `add`, the content of a file of this size. Throws RunError if it has become smaller. */
  async addFile(entry: TarEntry, path: string): Promise<void> {
    using file = Deno.openSync(path);
    await this.#add(entry, false, (into) => {
      for (let done = 0; done < into.length;) {
        const count = file.readSync(into.subarray(done));
        if (count === null) {
          throw new RunError(
            `${path} was cut while it was packed; is something installing there? Pack again ` +
              "when it is done",
          );
        }
        done += count;
      }
    });
  }

  /** Writes the end and gives the file its name. Returns its size. */
  async finish(): Promise<number> {
    this.#room(tarEnd.length).set(tarEnd);
    await this.#cut();
    await this.compressor.end();
    return await this.draft.publish();
  }

  /** Leaves nothing behind; for a failure in the middle. */
  async abandon(): Promise<void> {
    await this.compressor.drop();
    await this.draft.abandon();
  }

  async #add(entry: TarEntry, endsHere: boolean, fill: Fill): Promise<void> {
    const { path, size } = entry;
    const header = tarHeader(entry);
    const padding = tarPadding(size);
    if (size > pieceBytes) await this.#cut();
    this.#room(header.length).set(header);
    for (let at = 0; at < size; at += pieceBytes) {
      if (at > 0) await this.#cut();
      fill(this.#room(Math.min(pieceBytes, size - at)));
    }
    this.#room(padding.length).set(padding);
    const bytes = header.length + size + padding.length;
    const isEnd = endsHere || size > pieceBytes || endsMember(path, bytes, this.#sinceCut);
    if (isEnd) await this.#cut();
  }

  /** The next bytes of the piece, to be filled. */
  #room(bytes: number): Uint8Array {
    this.#buffer ??= new Uint8Array(this.spare.pop() ?? new ArrayBuffer(bufferBytes));
    const room = this.#buffer.subarray(this.#sinceCut, this.#sinceCut + bytes);
    this.#sinceCut += bytes;
    return room;
  }

  async #cut(): Promise<void> {
    if (this.#buffer === null || this.#sinceCut === 0) return;
    const piece = this.#buffer.subarray(0, this.#sinceCut);
    this.#buffer = null;
    this.#sinceCut = 0;
    await this.compressor.push(piece);
  }
}

/** The archive's file, under another name until it is whole. */
class Draft {
  #writtenBytes = 0;

  private constructor(
    private readonly path: string,
    private readonly partial: string,
    private readonly file: ArchiveFile,
  ) {}

  static async create(
    path: string,
    open: (path: string) => Promise<ArchiveFile>,
  ): Promise<Draft> {
    const partial = `${dirname(path)}/.${basename(path)}.${crypto.randomUUID()}.partial`;
    try {
      return new Draft(path, partial, await open(partial));
    } catch (error) {
      throw new RunError(`Cannot make ${path}: ${messageOf(error)}`);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
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

  /** Returns the file's size. */
  async publish(): Promise<number> {
    this.file.close();
    await Deno.rename(this.partial, this.path);
    return this.#writtenBytes;
  }

  async abandon(): Promise<void> {
    this.file.close();
    await removeIfThere(this.partial);
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
  /** The piece's memory belongs to the compressor until it says that it is free. */
  push(piece: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Done when all is written. */
  end(): Promise<void>;
  /** Done when nothing is under way any more; after a failure, in place of `end`. */
  drop(): Promise<void> | void;
}

async function compressorOf(
  { format, level }: ArchiveOptions,
  sink: PieceSink,
): Promise<Compressor> {
  switch (format) {
    case "tar.gz":
      return await GzipMembers.create(level, sink);
    case "tar.zst":
      return new ZstdStream(level, sink);
    case "tar":
      return {
        async push(piece) {
          await sink.write(piece);
          sink.free(piece.buffer);
        },
        end: () => Promise.resolve(),
        drop: () => {},
      };
  }
}

/** One zstd frame: readers of several are rare. */
class ZstdStream implements Compressor {
  readonly #stream;
  readonly #done: Promise<void>;

  constructor(level: number, private readonly sink: PieceSink) {
    const params = {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    };
    this.#stream = createZstdCompress({ params });
    this.#done = this.#writeAll();
    this.#done.catch(() => {}); // told at the end, and to who pushes
  }

  async #writeAll(): Promise<void> {
    try {
      for await (const piece of this.#stream) await this.sink.write(piece as Buffer);
    } finally {
      this.#stream.destroy();
    }
  }

  async push(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#stream.destroyed) return await this.#done;
    const taken = new Promise<void>((resolve) => this.#stream.write(piece, () => resolve()));
    await Promise.race([taken, this.#done]);
    this.sink.free(piece.buffer);
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
