/** What `wqx package` keeps on this machine, and its removal. */
import { removeIfThere } from "../io/files.ts";
import { environmentsFolder, packagesFolder } from "./cache_folder.ts";
import { locked } from "./folder_lock.ts";
import { EnvironmentStore } from "./store.ts";

export interface Kept {
  readonly kind: "environment" | "package" | "layer";
  /** Of an environment its key, of a package its name with version and build. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly madeMs: number;
  readonly usedMs: number;
  /** Of an environment the archive. */
  readonly from: string | null;
}

export interface KeptOptions {
  readonly signal: AbortSignal;
}

/** Everything in the cache, the least recently used first in each kind. */
export async function listKept(cache: string, { signal }: KeptOptions): Promise<Kept[]> {
  using store = new EnvironmentStore(environmentsFolder(cache));
  const environments = store.list().map((one): Kept => ({
    kind: "environment",
    name: one.key,
    path: one.prefix,
    bytes: one.bytes,
    madeMs: one.unpackedMs,
    usedMs: one.usedMs,
    from: one.archive,
  }));
  return [
    ...environments,
    ...await foldersIn("package", packagesFolder(cache), signal),
    ...await foldersIn("layer", `${cache}/layers`, signal),
  ];
}

/**
 * Removes what was not used for `olderThanMs` and is not in use, or with `dryRun` only says what
 * that is. What is unpacked from an archive comes back when it is needed, and so do packages.
 */
export async function cleanKept(
  cache: string,
  { olderThanMs, dryRun, signal }: KeptOptions & {
    readonly olderThanMs: number;
    readonly dryRun: boolean;
  },
): Promise<Kept[]> {
  const nowMs = Date.now();
  const kept = await listKept(cache, { signal });
  using store = new EnvironmentStore(environmentsFolder(cache));
  const gone = await store.clean({ olderThanMs, dryRun, signal });
  const paths = new Set(gone.map(({ prefix }) => prefix));
  const removed = kept.filter(({ path }) => paths.has(path));
  for (const one of kept) {
    if (one.kind === "environment" || nowMs - one.usedMs < olderThanMs) continue;
    if (one.kind === "layer" || await isFree(one.path, signal)) {
      if (!dryRun) await removeAll(one.path);
      removed.push(one);
    }
  }
  return removed;
}

async function isFree(path: string, signal: AbortSignal): Promise<boolean> {
  const lock = `${path}.lock`;
  try {
    await Deno.stat(lock);
  } catch {
    return true;
  }
  using held = await locked(lock, { exclusive: true, signal, waitMs: 0 });
  return held !== null;
}

/** Out of sight at once, so that nobody finds half of it. */
async function removeAll(path: string): Promise<void> {
  const partial = `${path}.partial`;
  await removeIfThere(partial);
  await Deno.rename(path, partial);
  await removeIfThere(partial);
  for (const ending of [".conda", ".tar.bz2", ".lock"]) await removeIfThere(path + ending);
}

async function foldersIn(
  kind: Kept["kind"],
  folder: string,
  signal: AbortSignal,
): Promise<Kept[]> {
  const found: Kept[] = [];
  let entries: Deno.DirEntry[];
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  for (const { name, isDirectory } of entries) {
    if (!isDirectory || name.startsWith(".") || name.endsWith(".partial")) continue;
    signal.throwIfAborted();
    const path = `${folder}/${name}`;
    const { mtime, birthtime } = await Deno.stat(path);
    const usedMs = mtime?.getTime() ?? 0;
    found.push({
      kind,
      name: shortName(kind, name),
      path,
      bytes: await bytesIn(path, signal),
      madeMs: birthtime?.getTime() ?? usedMs,
      usedMs,
      from: null,
    });
  }
  return found.sort((a, b) => a.usedMs - b.usedMs);
}

/** Folders of packages end with a hash, which says nothing to people. */
function shortName(kind: Kept["kind"], name: string): string {
  return kind === "package" ? name.replace(/-[0-9a-f]{8,}$/, "") : name;
}

async function bytesIn(folder: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    signal.throwIfAborted();
    if (isDirectory) bytes += await bytesIn(`${folder}/${name}`, signal);
    else if (isFile) bytes += (await Deno.lstat(`${folder}/${name}`)).size;
  }
  return bytes;
}
