/** Sending the inputs of a task, each in the form that its worker understands. */
import { messageOf } from "../core/errors.ts";
import type { CachePlace, Dialect, Order } from "../core/protocol/messages.ts";
import { pieceCountMax } from "../core/protocol/pieces.ts";
import { textToWorker } from "../core/protocol/to_worker.ts";
import type { Offer } from "../core/scheduler/pieces.ts";
import type { TaskInput } from "../core/scheduler/tasks.ts";
import { copyOut } from "../io/files.ts";
import type { FileHashes, FileLists } from "../io/hash.ts";
import type { Write } from "../io/outbox.ts";

/** An input that cannot be read; nothing was promised to the worker that was not kept. */
export class Unreadable extends Error {}

/** Who is sent something, and what it has already. */
export interface Recipient {
  readonly dialect: Dialect;
  /** As the worker tells them; `null`: it did not. */
  readonly platform: { readonly os: string; readonly arch: string } | null;
  /** Size in bytes of files that it may be told to take, by SHA-256. */
  readonly holds: ReadonlyMap<string, number>;
  /** Told that it is asked to take one of them. */
  readonly taken: (cacheName: string, sha256: string) => void;
  /** Whether it may have pieces of a file of so many bytes. */
  readonly mayShare: (cacheName: string, bytes: number) => boolean;
  /** Told that it is asked which of them it lacks. */
  readonly offered: (offer: Omit<Offer, "id">) => void;
}

/** Of files that go out, each found once. */
export interface Facts {
  readonly hashes: FileHashes;
  readonly lists: FileLists;
}

/** For the execute bit: a fetched file may be a program. */
const fetchedMode = 0o755;

/**
 * `begin` is told the size of each body before it is sent. Throws `Unreadable` if the input cannot
 * be read, anything else if it broke off after the promise.
 */
export async function sendInput(
  { source, cacheName, cache }: TaskInput,
  to: Recipient,
  { hashes, lists }: Facts,
  write: Write,
  begin: (bytes: number) => void,
): Promise<void> {
  const { dialect } = to;
  const say: Say = async (message) => {
    await write(textToWorker(message, dialect));
    if (message.type === "put") begin(message.length);
  };
  const place = { cacheName, inside: "" };
  switch (source.kind) {
    case "buffer": {
      const { bytes, mode } = source;
      await say({ type: "put", ...place, length: bytes.length, mode });
      if (bytes.length > 0) await write(bytes);
      return;
    }
    case "file": {
      const path = forPlatform(source.path, to);
      if (cache && await letTake(path, cacheName, to, hashes, say)) return;
      if (cache && await offer(path, cacheName, to, lists, write)) return;
      return await sendFile(path, place, say, write);
    }
    case "directory":
      return await sendTree(source.path, cacheName, say, write);
    case "piece":
      return await sendPiece(source, place, say, write);
    case "url":
    case "command": {
      const text = source.kind === "url" ? source.url : source.command;
      const mode = fetchedMode;
      return await say({ type: "fetch", from: source.kind, source: text, cacheName, mode });
    }
    case "empty directory":
      return; // made by the task block itself
  }
}

/** As in Work Queue: one path may stand for a file per platform. */
function forPlatform(path: string, { platform }: Recipient): string {
  if (platform === null || !path.includes("$")) return path;
  return path.replaceAll("$OS", platform.os).replaceAll("$ARCH", platform.arch);
}

type Say = (message: Order) => Promise<void>;

/**
 * Whether the worker has a file of this content, which it then was told to take. Only what has the
 * size of something that it has is hashed.
 */
async function letTake(
  path: string,
  cacheName: string,
  { holds, taken }: Recipient,
  hashes: FileHashes,
  say: Say,
): Promise<boolean> {
  if (holds.size === 0) return false;
  const info = await readable(path, () => Deno.stat(path));
  if (!info.isFile || ![...holds.values()].includes(info.size)) return false;
  const sha256 = await readable(path, () => hashes.of(path, info));
  if (!holds.has(sha256)) return false;
  taken(cacheName, sha256);
  await say({ type: "fetch", from: "kept", source: sha256, cacheName, mode: modeOf(info) });
  return true;
}

/** Whether the worker was asked which pieces of the file it lacks, since it may have some. */
async function offer(
  path: string,
  cacheName: string,
  { dialect, mayShare, offered }: Recipient,
  lists: FileLists,
  write: Write,
): Promise<boolean> {
  const info = await readable(path, () => Deno.stat(path));
  if (!info.isFile || !mayShare(cacheName, info.size)) return false;
  const { sha256, pieces } = await readable(path, () => lists.of(path, info));
  // It may be written to just now.
  if (pieces.bytes !== info.size || pieces.count > pieceCountMax) return false;
  offered({ cacheName, path, pieces });
  const { size: bytes } = info;
  const mode = modeOf(info);
  await write(textToWorker({ type: "offer", cacheName, mode, sha256, bytes, pieces }, dialect));
  await write(pieces.entries);
  return true;
}

/**
 * These pieces of a file, in one body of `bytes`. If it cannot be read any more the body is empty:
 * then the worker complains, and why it cannot be read is found when it is to be sent whole.
 */
export async function sendLacking(
  { cacheName, path, pieces }: Offer,
  lacking: readonly number[],
  bytes: number,
  write: Write,
): Promise<void> {
  using file = await openOfSize(path, pieces.bytes);
  await write(textToWorker({ type: "fill", cacheName, length: file === null ? 0 : bytes }));
  if (file === null) return;
  const wanted = new Set(lacking);
  let offset = 0;
  let run = 0;
  for (let i = 0; i <= pieces.count; i++) {
    if (wanted.has(i)) {
      run += pieces.lengthOf(i);
      continue;
    }
    if (run > 0) {
      await file.seek(offset, Deno.SeekMode.Start);
      await copyOut(file, run, write);
    }
    offset += run + (i < pieces.count ? pieces.lengthOf(i) : 0);
    run = 0;
  }
}

async function openOfSize(path: string, bytes: number): Promise<Deno.FsFile | null> {
  try {
    const file = await Deno.open(path);
    if ((await file.stat()).size === bytes) return file;
    file.close();
  } catch {
    // Gone, or not ours to read any more.
  }
  return null;
}

function modeOf(info: Deno.FileInfo): number {
  return (info.mode ?? 0o644) & 0o777;
}

async function sendFile(path: string, place: CachePlace, say: Say, write: Write): Promise<void> {
  using file = await readable(path, () => Deno.open(path));
  const info = await readable(path, () => file.stat());
  // Whoever looks at its inputs only when they are sent may name a directory.
  if (info.isDirectory && place.inside === "") {
    return await sendTree(path, place.cacheName, say, write);
  }
  if (!info.isFile) throw new Unreadable(`cannot send its input ${path}: it is not a file`);
  await say({ type: "put", ...place, length: info.size, mode: modeOf(info) });
  await copyOut(file, info.size, write);
}

/** A part that lies beyond the end of the file is left out. */
async function sendPiece(
  { path, first, last }: Extract<TaskInput["source"], { kind: "piece" }>,
  place: CachePlace,
  say: Say,
  write: Write,
): Promise<void> {
  using file = await readable(path, () => Deno.open(path));
  const info = await readable(path, () => file.stat());
  if (!info.isFile) throw new Unreadable(`cannot send its input ${path}: it is not a file`);
  const length = Math.max(0, Math.min(last + 1, info.size) - first);
  await readable(path, () => file.seek(first, Deno.SeekMode.Start));
  await say({ type: "put", ...place, length, mode: modeOf(info) });
  await copyOut(file, length, write);
}

/**
 * A directory with all that is in it; links within it stay links, devices and sockets are left
 * out. A file that cannot be read in the middle closes what is open and takes the tree back.
 */
async function sendTree(path: string, cacheName: string, say: Say, write: Write): Promise<void> {
  const info = await readable(path, () => Deno.stat(path));
  if (!info.isDirectory) throw new Unreadable(`cannot send its input ${path}: it is no directory`);
  // A worker refuses a directory of a name that it has, perhaps from an attempt before.
  await say({ type: "unlink", cacheName });
  const open: CachePlace[] = [];
  const send = async (from: string, inside: string): Promise<void> => {
    const place = { cacheName, inside };
    await say({ type: "dir", ...place });
    open.push(place);
    for (const entry of await sorted(from)) {
      const source = `${from}/${entry.name}`;
      const within = inside === "" ? entry.name : `${inside}/${entry.name}`;
      if (entry.isSymlink) {
        const target = await readable(source, () => Deno.readLink(source));
        await say({ type: "symlink", cacheName, inside: within, target });
      } else if (entry.isDirectory) {
        await send(source, within);
      } else if (entry.isFile) {
        await sendFile(source, { cacheName, inside: within }, say, write);
      }
    }
    open.pop();
    await say({ type: "dir_end", ...place });
  };
  try {
    await send(path, "");
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    for (const place of open.reverse()) await say({ type: "dir_end", ...place });
    await say({ type: "unlink", cacheName });
    throw error;
  }
}

async function sorted(folder: string): Promise<Deno.DirEntry[]> {
  const entries = await readable(folder, () => Array.fromAsync(Deno.readDir(folder)));
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}

async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new Unreadable(`cannot read its input ${path}: ${messageOf(error)}`);
  }
}
