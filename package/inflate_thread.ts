/**
 * A thread that reads an archive and sends its bytes uncompressed, a piece at a time, so that
 * another can write files meanwhile. It is bundled beside the single file.
 */
import { createReadStream, statSync } from "node:fs";
import { createGunzip, createZstdDecompress } from "node:zlib";

export interface InflateJob {
  readonly path: string;
  readonly format: "gzip" | "zstd" | "tar";
  /** Takes the answers. */
  readonly port: MessagePort;
  /** One number: the pieces that are on their way. */
  readonly onTheWay: SharedArrayBuffer;
}

export type InflateAnswer =
  | { readonly type: "piece"; readonly bytes: Uint8Array }
  | { readonly type: "end" }
  | { readonly type: "failed"; readonly message: string; readonly code: string };

const pieceBytes = 1024 ** 2;
const onTheWayMax = 6;

self.onmessage = async ({ data }: MessageEvent<InflateJob>) => {
  try {
    await send(data);
    data.port.postMessage({ type: "end" } satisfies InflateAnswer);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const message = error instanceof Error ? error.message : String(error);
    data.port.postMessage({ type: "failed", message, code } satisfies InflateAnswer);
  }
};

async function send({ path, format, port, onTheWay }: InflateJob): Promise<void> {
  const count = new Int32Array(onTheWay);
  for await (const bytes of piecesOf(path, format)) {
    while (Atomics.load(count, 0) >= onTheWayMax) Atomics.wait(count, 0, onTheWayMax);
    Atomics.add(count, 0, 1);
    // A copy: zlib goes on in the buffer of which this is a view.
    const own = new Uint8Array(bytes);
    port.postMessage({ type: "piece", bytes: own } satisfies InflateAnswer, {
      transfer: [own.buffer],
    });
  }
}

async function* piecesOf(path: string, format: InflateJob["format"]): AsyncIterable<Uint8Array> {
  const highWaterMark = pieceBytes;
  if (format === "tar") return yield* createReadStream(path, { highWaterMark });
  if (format === "gzip") {
    const gunzip = createGunzip({ chunkSize: pieceBytes });
    return yield* chained(createReadStream(path, { highWaterMark }), gunzip);
  }
  // zlib's stream ends at the end of the first frame, whatever is behind it.
  for (let start = 0, size = statSync(path).size; start < size;) {
    const unzstd = createZstdDecompress({ chunkSize: pieceBytes });
    yield* chained(createReadStream(path, { highWaterMark, start }), unzstd);
    if (unzstd.bytesWritten === 0) return;
    start += unzstd.bytesWritten;
  }
}

type Transform = ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>;

function chained(
  from: ReturnType<typeof createReadStream>,
  through: Transform,
): AsyncIterable<Uint8Array> {
  from.on("error", (error: Error) => through.destroy(error));
  return from.pipe(through);
}
