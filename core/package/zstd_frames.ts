/**
 * Where the frames of zstd data begin and end (RFC 8878), without decoding them. Node's decoder in
 * Deno takes data that is cut off for complete, and leaves out what follows the first frame.
 */

export interface ZstdFrame {
  readonly start: number;
  readonly stop: number;
  /** Bytes when decoded, if its header says so. */
  readonly contentBytes: number | null;
}

const magic = 0xfd2fb528;
/** Sixteen kinds of frames that decoders skip. */
const skippableMagic = 0x184d2a50;

/** Whether data begins as zstd does. */
export function isZstd(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && view(bytes).getUint32(0, true) === magic;
}

/** The frames that hold data; null if the bytes are no whole frames: cut off, or something else. */
export function zstdFrames(bytes: Uint8Array): readonly ZstdFrame[] | null {
  const data = view(bytes);
  const frames: ZstdFrame[] = [];
  try {
    for (let at = 0; at < bytes.length;) {
      const kind = data.getUint32(at, true);
      if ((kind & 0xfffffff0) >>> 0 === skippableMagic) {
        at += 8 + data.getUint32(at + 4, true);
      } else if (kind === magic) {
        const frame = frameAt(data, at);
        frames.push(frame);
        at = frame.stop;
      } else {
        return null;
      }
      if (at > bytes.length) return null;
    }
  } catch (error) {
    if (error instanceof RangeError) return null; // a field beyond the end
    throw error;
  }
  return frames;
}

function frameAt(data: DataView, start: number): ZstdFrame {
  const descriptor = data.getUint8(start + 4);
  const single = (descriptor & 0x20) !== 0, checksum = (descriptor & 0x04) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const sizeAt = start + 5 + (single ? 0 : 1) + dictionaryBytes;
  const contentBytes = contentSize(data, sizeAt, sizeBytes);
  let at = sizeAt + sizeBytes;
  for (let last = false; !last;) {
    const header = data.getUint16(at, true) | data.getUint8(at + 2) << 16;
    last = (header & 1) === 1;
    // A block of one repeated byte stores that byte only.
    at += 3 + ((header >> 1 & 3) === 1 ? 1 : header >> 3);
  }
  return { start, stop: at + (checksum ? 4 : 0), contentBytes };
}

function contentSize(data: DataView, at: number, bytes: number): number | null {
  switch (bytes) {
    case 1:
      return data.getUint8(at);
    case 2:
      return data.getUint16(at, true) + 256;
    case 4:
      return data.getUint32(at, true);
    case 8:
      return Number(data.getBigUint64(at, true));
    default:
      return null;
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
