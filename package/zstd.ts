/** Decompressing zstd data that is in memory as a whole. */
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { concat } from "../core/bytes.ts";
import { RunError } from "../core/errors.ts";
import { zstdFrames } from "../core/package/zstd_frames.ts";

/** Most that data may become; bytes. The largest repodata of these days is a sixth of it. */
export const unpackedBytesMax = 2 * 1024 ** 3;

const decompress = promisify(zstdDecompress);

/**
 * All frames of some data. Throws RunError, with `what` for its subject, if it is cut off or
 * damaged, or becomes larger than `bytesMax`.
 */
export async function unpackZstd(
  bytes: Uint8Array,
  what: string,
  bytesMax = unpackedBytesMax,
): Promise<Uint8Array> {
  const frames = zstdFrames(bytes);
  if (frames === null || frames.length === 0) {
    throw new RunError(`${what} is cut off or no zstd data`);
  }
  const parts: Uint8Array[] = [];
  let left = bytesMax;
  for (const { start, stop, contentBytes } of frames) {
    if (contentBytes !== null && contentBytes > left) throw tooLarge(what, bytesMax);
    let part: Uint8Array;
    try {
      part = await decompress(bytes.subarray(start, stop), { maxOutputLength: left });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
        throw tooLarge(what, bytesMax);
      }
      throw new RunError(`${what} is damaged: ${(error as Error).message}`);
    }
    // The decoder itself takes what ends too early for an end.
    if (contentBytes !== null && part.length !== contentBytes) {
      throw new RunError(`${what} is damaged: it became ${part.length} bytes of ${contentBytes}`);
    }
    left -= part.length;
    parts.push(part);
  }
  return parts.length === 1 ? parts[0]! : concat(parts);
}

function tooLarge(what: string, bytesMax: number): RunError {
  return new RunError(`${what} becomes larger than ${bytesMax} bytes, which is not unpacked`);
}
