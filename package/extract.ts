/**
 * The files of a conda package on disk: `.conda` (a zip of two tar.zst) and `.tar.bz2`, written by
 * the same checks as environments are. What comes out is compared with what the package says of
 * itself, because a decoder may take cut off data for whole.
 */
import { createReadStream, statfsSync } from "node:fs";
import { createZstdDecompress, zstdDecompressSync } from "node:zlib";
import bunzip2 from "seek-bzip";
import { messageOf, RunError } from "../core/errors.ts";
import { type PackagePath, packagePaths } from "../core/package/link_paths.ts";
import { limitsOf } from "../core/package/tar_safety.ts";
import { memberOffset, type ReadAt, zipMembers } from "../core/package/zip_directory.ts";
import { zstdFrames } from "../core/package/zstd_frames.ts";
import { sha256Of } from "../io/hash.ts";
import { findProgram } from "../io/programs.ts";
import { fromPrograms } from "./decompress.ts";
import { TreeWriter } from "./tree_writer.ts";

const pieceBytes = 1024 ** 2;
/** Read whole, so that all frames are found beforehand; longer ones must be of one frame. */
const wholeBytesMax = 64 * 1024 ** 2;

export interface ExtractOptions {
  readonly signal: AbortSignal;
  /** Hashes every file too: for archives whose own hash nobody told. */
  readonly hashes: boolean;
}

/**
 * Extracts a package into a folder, which must exist and be empty, and returns its paths. Throws
 * RunError, the end of a sentence about the archive; what was written is then of no use.
 */
export async function extractPackage(
  archive: string,
  folder: string,
  { signal, hashes }: ExtractOptions,
): Promise<readonly PackagePath[]> {
  const { size } = await Deno.stat(archive);
  const { bavail, bsize } = statfsSync(folder);
  const limits = limitsOf(size, bavail * bsize, undefined);
  const sources = archive.endsWith(".conda") ? innerArchives(archive, size) : [bzip2Of(archive)];
  for (const pieces of sources) {
    const writer = new TreeWriter({ folder, prefix: folder, limits });
    try {
      for await (const piece of pieces) {
        signal.throwIfAborted();
        writer.take(piece);
      }
      writer.finish();
    } finally {
      writer.close();
    }
  }
  const paths = readPackagePaths(folder);
  await checkPaths(folder, paths, hashes, signal);
  return paths;
}

/** The paths of an extracted package. Throws RunError, the end of a sentence. */
export function readPackagePaths(folder: string): readonly PackagePath[] {
  const text = (name: string) => readText(`${folder}/info/${name}`);
  const info = {
    pathsJson: text("paths.json"),
    files: text("files"),
    hasPrefix: text("has_prefix"),
    noLink: text("no_link"),
  };
  return packagePaths(info, (path) => lstat(`${folder}/${path}`)?.isSymlink ?? false);
}

/** Null where there is no such file. */
export function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

async function checkPaths(
  folder: string,
  paths: readonly PackagePath[],
  hashes: boolean,
  signal: AbortSignal,
): Promise<void> {
  for (const { path, type, size, sha256 } of paths) {
    const info = lstat(`${folder}/${path}`);
    if (info === null) throw new RunError(`it lacks ${path}, which its own list has`);
    if (type === "softlink" ? !info.isSymlink : type === "hardlink" ? !info.isFile : false) {
      throw new RunError(`${path} is not the ${type} that its own list says`);
    }
    if (type !== "hardlink") continue;
    if (size !== undefined && info.size !== size) {
      throw new RunError(`${path} has ${info.size} bytes, and its own list says ${size}`);
    }
    if (hashes && sha256 !== undefined && await sha256Of(`${folder}/${path}`, signal) !== sha256) {
      throw new RunError(`${path} has another SHA-256 than its own list says`);
    }
  }
}

function lstat(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch {
    return null;
  }
}

/** Payload first: then `info`, which tells what it is, belongs to a whole one. */
function* innerArchives(archive: string, fileBytes: number): Generator<AsyncIterable<Uint8Array>> {
  using file = Deno.openSync(archive);
  const read = readerOf(file);
  const members = zipMembers(read, fileBytes);
  for (const kind of ["pkg", "info"]) {
    const member = members.find(({ name }) => name.startsWith(`${kind}-`));
    if (member === undefined) throw new RunError(`it has no member ${kind}-….tar.zst`);
    if (!member.isStored || !member.name.endsWith(".tar.zst")) {
      throw new RunError(`its member ${member.name} is not stored as .tar.zst`);
    }
    const offset = memberOffset(read, member, fileBytes);
    yield member.size <= wholeBytesMax
      ? unzstdWhole(read(offset, member.size))
      : unzstdStream(archive, offset, member.size);
  }
}

function readerOf(file: Deno.FsFile): ReadAt {
  return (offset, length) => {
    const bytes = new Uint8Array(length);
    file.seekSync(offset, Deno.SeekMode.Start);
    let done = 0;
    for (let count: number | null = 0; done < length && count !== null;) {
      count = file.readSync(bytes.subarray(done));
      done += count ?? 0;
    }
    return bytes.subarray(0, done);
  };
}

/** Frames with less than this are undone at once; others piece by piece. */
const frameBytesMax = 16 * 1024 ** 2;

async function* unzstdWhole(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  const frames = zstdFrames(bytes);
  if (frames === null) throw new RunError("its zstd data are damaged or cut off");
  for (const { start, stop, contentBytes } of frames) {
    const frame = bytes.subarray(start, stop);
    let done = 0;
    try {
      if (contentBytes !== null && contentBytes <= frameBytesMax) {
        const whole = zstdDecompressSync(frame);
        done += whole.length;
        yield new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
      } else {
        const stream = createZstdDecompress({ chunkSize: pieceBytes });
        stream.end(frame);
        for await (const piece of stream as AsyncIterable<Uint8Array>) {
          done += piece.length;
          // A copy: zlib goes on in the buffer of which this is a view.
          yield new Uint8Array(piece);
        }
      }
    } catch (error) {
      if (error instanceof RunError) throw error;
      throw new RunError(`its zstd data are damaged: ${messageOf(error)}`);
    }
    if (contentBytes !== null && done !== contentBytes) {
      throw new RunError(`its zstd data end after ${done} of ${contentBytes} bytes`);
    }
  }
}

async function* unzstdStream(
  archive: string,
  start: number,
  size: number,
): AsyncIterable<Uint8Array> {
  const source = createReadStream(archive, {
    start,
    end: start + size - 1,
    highWaterMark: pieceBytes,
  });
  const stream = createZstdDecompress({ chunkSize: pieceBytes });
  source.on("error", (error: Error) => stream.destroy(error));
  try {
    for await (const piece of source.pipe(stream) as AsyncIterable<Uint8Array>) {
      yield new Uint8Array(piece);
    }
  } catch (error) {
    if (error instanceof RunError) throw error;
    throw new RunError(`its zstd data are damaged: ${messageOf(error)}`);
  }
  if (stream.bytesWritten !== size) {
    throw new RunError("its zstd data are damaged, or of several frames");
  }
}

/** The system's program where there is one, which needs little memory; else a library. */
function bzip2Of(archive: string): AsyncIterable<Uint8Array> {
  const program = findProgram("bzip2", Deno.env.get("PATH") ?? "");
  return "path" in program ? fromPrograms(archive, "bzip2") : bunzip2Whole(archive);
}

async function* bunzip2Whole(archive: string): AsyncIterable<Uint8Array> {
  const bytes = await Deno.readFile(archive);
  try {
    // Several streams one after the other, as parallel packers write them.
    const decode: (bytes: Uint8Array, out: undefined, multi: boolean) => Uint8Array =
      bunzip2.decode;
    yield decode(bytes, undefined, true);
  } catch (error) {
    throw new RunError(`its bzip2 data are damaged or cut off: ${messageOf(error)}`);
  }
}
