/** The answer to `get`: a file, a directory with all that is in it, or that it is missing. */
import { textToManager } from "../core/protocol/to_manager.ts";
import { copyOut } from "../io/files.ts";
import type { Write } from "../io/outbox.ts";

/** ENOENT and EIO of Linux, which managers print. */
const errno = { notFound: 2, io: 5 };

/** Links are followed; deeper than this they lead in circles. */
const depthMax = 100;

/** `written` is the name in the answer, `path` where the object lies. */
export async function sendCached(written: string, path: string, write: Write): Promise<void> {
  await send(written, path, write, 0);
  await write(textToManager({ type: "end" }));
}

async function send(name: string, path: string, write: Write, depth: number): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
    if (info.isDirectory) return await sendDirectory(name, path, write, depth);
    // Sockets and pipes are nothing to send.
    if (!info.isFile) throw new Deno.errors.NotFound();
  } catch (error) {
    return await sendMissing(name, error, write);
  }
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    return await sendMissing(name, error, write);
  }
  using _closing = file;
  const { size } = await file.stat();
  await write(textToManager({ type: "file", path: name, length: size }));
  await copyOut(file, size, write);
}

async function sendDirectory(
  name: string,
  path: string,
  write: Write,
  depth: number,
): Promise<void> {
  // Real managers cannot read a directory with white space in its name, and drop the worker.
  if (depth > depthMax || /\s/.test(name)) return;
  const entries = (await Array.fromAsync(Deno.readDir(path))).map((entry) => entry.name).sort();
  await write(textToManager({ type: "dir", path: name }));
  for (const entry of entries) await send(`${name}/${entry}`, `${path}/${entry}`, write, depth + 1);
}

async function sendMissing(name: string, error: unknown, write: Write): Promise<void> {
  const number = error instanceof Deno.errors.NotFound ? errno.notFound : errno.io;
  await write(textToManager({ type: "missing", path: name, errno: number }));
}
