/**
 * The thread that unpacks an archive: reads what the inflating thread sends, and writes files. It
 * is bundled beside the single file.
 */
import { statfsSync } from "node:fs";
import { messageOf, RunError } from "../core/errors.ts";
import { limitsOf } from "../core/package/tar_safety.ts";
import { type ArchiveFormat, fromPrograms, type Inflating, piecesFrom } from "./decompress.ts";
import { TreeWriter } from "./tree_writer.ts";

export interface UnpackJob {
  readonly archive: string;
  /** To be made. */
  readonly folder: string;
  /** What comes in the place of placeholders. */
  readonly prefix: string;
  readonly bytesMax: number | undefined;
  readonly format: ArchiveFormat;
  /** Where the archive comes from uncompressed, if not from a program. */
  readonly inflating: Pick<Inflating, "port" | "onTheWay"> | null;
  /** One number: 1 if it shall stop. */
  readonly stop: SharedArrayBuffer;
}

export interface UnpackProgress {
  readonly bytes: number;
  readonly files: number;
}

export interface UnpackedTree {
  /** Whether the archive's own program has yet to put the prefix in. */
  readonly condaUnpack: "none" | "done" | "to be run";
  readonly bytes: number;
}

export type UnpackAnswer =
  | { readonly type: "progress"; readonly progress: UnpackProgress }
  | { readonly type: "done"; readonly tree: UnpackedTree }
  /** `isSaid`: the message is for people; otherwise it is the system's. */
  | { readonly type: "failed"; readonly message: string; readonly isSaid: boolean };

/** Tar pads its end with some KB of zeros. */
const paddingBytesMax = 64 * 1024 ** 2;
/** Between two words about progress. */
const progressBytes = 16 * 1024 ** 2;

async function unpack(job: UnpackJob): Promise<UnpackedTree> {
  const { archive, folder, prefix, bytesMax, format, inflating } = job;
  const { size } = Deno.statSync(archive);
  Deno.mkdirSync(folder);
  const limits = limitsOf(size, freeBytesAt(folder), bytesMax);
  const writer = new TreeWriter({ folder, prefix, limits });
  try {
    const stop = new Int32Array(job.stop);
    let paddingBytes = 0, toldBytes = 0;
    const pieces = inflating === null ? fromPrograms(archive, format) : piecesFrom(inflating);
    for await (const piece of pieces) {
      if (Atomics.load(stop, 0) === 1) throw new Error("stopped");
      if (writer.isEnded) paddingBytes += piece.length;
      if (paddingBytes > paddingBytesMax) throw new RunError("it goes on after its end");
      writer.take(piece);
      const { bytes, fileCount: files } = writer;
      if (bytes - toldBytes < progressBytes) continue;
      toldBytes = bytes;
      answer({ type: "progress", progress: { bytes, files } });
    }
    const { condaUnpack } = writer.finish();
    if (!isEnvironment(folder)) {
      throw new RunError(
        'it is no environment: it has no bin/activate; make one with "wqx package create"',
      );
    }
    return { condaUnpack, bytes: writer.bytes };
  } finally {
    writer.close();
  }
}

function isEnvironment(folder: string): boolean {
  try {
    return Deno.statSync(`${folder}/bin/activate`).isFile;
  } catch {
    return false;
  }
}

function freeBytesAt(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function answer(given: UnpackAnswer): void {
  self.postMessage(given);
}

self.onmessage = async ({ data }: MessageEvent<UnpackJob>) => {
  try {
    answer({ type: "done", tree: await unpack(data) });
  } catch (error) {
    answer({ type: "failed", message: messageOf(error), isSaid: error instanceof RunError });
  }
};
