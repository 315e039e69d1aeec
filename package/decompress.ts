/**
 * The bytes of an archive, uncompressed, piece by piece. What it is compressed with is told by its
 * first bytes, not by its name: tasks get archives under names without an ending.
 */
import xz from "xz-decompress";
import { messageOf, RunError } from "../core/errors.ts";
import { isHeader } from "../core/package/tar_reader.ts";
import { findProgram } from "../io/programs.ts";
import type { InflateAnswer, InflateJob } from "./inflate_thread.ts";
import { threadModule } from "./thread_module.ts";

export type ArchiveFormat = "gzip" | "zstd" | "bzip2" | "xz" | "tar";

/** First bytes, and what they say. */
const magics: readonly (readonly [readonly number[], ArchiveFormat | "zip" | "squashfs"])[] = [
  [[0x1f, 0x8b], "gzip"],
  [[0x28, 0xb5, 0x2f, 0xfd], "zstd"],
  [[0x42, 0x5a, 0x68], "bzip2"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], "xz"],
  [[0x50, 0x4b, 0x03, 0x04], "zip"],
  [[0x68, 0x73, 0x71, 0x73], "squashfs"],
];

/** Throws RunError, the end of a sentence, for what is no archive of an environment. */
export function formatOf(head: Uint8Array): ArchiveFormat {
  const found = magics.find(([magic]) => magic.every((byte, i) => head[i] === byte))?.[1];
  if (found === undefined) {
    if (isHeader(head)) return "tar";
    throw new RunError(
      head.length === 0 ? "it is empty" : "it is neither a tar archive nor one compressed with " +
        "gzip, zstd, bzip2 or xz",
    );
  }
  if (found === "zip" || found === "squashfs") {
    throw new RunError(`it is a ${found} archive; pack the environment as .tar.gz or .tar.zst`);
  }
  return found;
}

/** Looks at the first bytes. Throws the system's error, or as {@link formatOf}. */
export function formatOfFile(path: string): ArchiveFormat {
  using file = Deno.openSync(path);
  const head = new Uint8Array(512);
  let length = 0;
  for (let count: number | null = 0; length < head.length && count !== null;) {
    count = file.readSync(head.subarray(length));
    length += count ?? 0;
  }
  return formatOf(head.subarray(0, length));
}

/** Formats that are undone in a thread of ours. */
export function isInflatable(format: ArchiveFormat): format is InflateJob["format"] {
  return format !== "bzip2" && format !== "xz";
}

/**
 * The pieces of what is compressed in the other formats; each is the caller's. Throws RunError, the
 * end of a sentence, where it is damaged or cut off.
 */
export function fromPrograms(path: string, format: ArchiveFormat): AsyncIterable<Uint8Array> {
  if (format === "bzip2") return fromProgram("bzip2", path);
  const hasXz = "path" in findProgram("xz", Deno.env.get("PATH") ?? "");
  return hasXz ? fromProgram("xz", path) : fromXz(path);
}

/** A thread that sends what is in an archive, and where its answers come out. */
export interface Inflating {
  readonly thread: Worker;
  /** For the thread that writes, which gets them as {@link piecesFrom} wants them. */
  readonly port: MessagePort;
  readonly onTheWay: SharedArrayBuffer;
}

/**
 * Starts it for the formats that need no other program. To be called in the main thread: others
 * wait a second for a thread of their own to start.
 */
export async function startInflating(
  path: string,
  format: InflateJob["format"],
): Promise<Inflating> {
  const thread = new Worker(await threadModule("inflate_thread"), { type: "module" });
  const { port1, port2 } = new MessageChannel(), onTheWay = new SharedArrayBuffer(4);
  const job: InflateJob = { path, format, port: port1, onTheWay };
  thread.postMessage(job, [port1]);
  return { thread, port: port2, onTheWay };
}

/** What the inflating thread sends; each piece is the caller's. Throws as {@link fromPrograms}. */
export async function* piecesFrom(
  { port, onTheWay }: Pick<Inflating, "port" | "onTheWay">,
): AsyncIterable<Uint8Array> {
  const answers: InflateAnswer[] = [], count = new Int32Array(onTheWay);
  let wake = () => {};
  port.onmessage = ({ data }: MessageEvent<InflateAnswer>) => {
    answers.push(data);
    wake();
  };
  try {
    for (;;) {
      const answer = answers.shift();
      if (answer === undefined) {
        await new Promise<void>((resolve) => wake = resolve);
      } else if (answer.type === "piece") {
        yield answer.bytes;
        Atomics.sub(count, 0, 1);
        Atomics.notify(count, 0);
      } else if (answer.type === "end") {
        return;
      } else {
        throw new RunError(damage(answer.code, answer.message));
      }
    }
  } finally {
    port.close();
  }
}

/** zlib's word for a stream that ends too early is the only one that people need to tell apart. */
function damage(code: string, message: string): string {
  return code === "Z_BUF_ERROR" || /unexpected end/i.test(message)
    ? "it is cut off: its compressed data end too early"
    : `it is damaged: ${message}`;
}

async function* fromXz(path: string): AsyncIterable<Uint8Array> {
  using file = await Deno.open(path);
  try {
    yield* new xz.XzReadableStream(file.readable);
  } catch (error) {
    throw new RunError(`it is damaged or cut off: ${messageOf(error)}`);
  }
}

/** Two formats of old archives, which a program of the system undoes faster than any library. */
async function* fromProgram(name: "bzip2" | "xz", path: string): AsyncIterable<Uint8Array> {
  const found = findProgram(name, Deno.env.get("PATH") ?? "");
  if ("why" in found) {
    throw new RunError(`it is compressed with ${name}, and there is no ${name} here: ${found.why}`);
  }
  const child = new Deno.Command(found.path, {
    args: ["-dc", "--", path],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = new Response(child.stderr).text();
  try {
    yield* child.stdout;
    const { success } = await child.status;
    if (!success) {
      const words = (await said).trim().replace(/^.*?: /, "");
      throw new RunError(`it is damaged or cut off: ${name} says ${JSON.stringify(words)}`);
    }
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await said.catch(() => "");
    await child.status;
  }
}
