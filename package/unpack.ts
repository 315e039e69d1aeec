/**
 * An archive of an environment becomes a folder in which it works: unpacked, checked and relocated
 * in one pass. Files are written beside what is there and moved into place when all of them are
 * good; a marker written last says that the folder may be used. Lock and marker are those of
 * poncho_package_run, so that both programs can share a folder.
 */
import { dirname, resolve } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { condaUnpackPath } from "../core/package/relocations.ts";
import { removeIfThere } from "../io/files.ts";
import { formatOfFile, isInflatable, startInflating } from "./decompress.ts";
import { locked } from "./folder_lock.ts";
import { runProgram } from "./programs.ts";
import { threadModule } from "./thread_module.ts";
import type { UnpackAnswer, UnpackedTree, UnpackJob, UnpackProgress } from "./unpack_thread.ts";

/** In a folder that is ready; poncho_package_run looks for it under this name. */
export const markerName = ".poncho_package_run_expanded";
/** What an archive becomes before it is in place; left behind only by a process that was killed. */
const partialName = ".wqx-unpacking";

export interface UnpackOptions {
  readonly signal: AbortSignal;
  /** Called after every piece of some MB. */
  readonly onProgress?: (progress: UnpackProgress) => void;
  /** Allows so many bytes, whatever the size of the archive. */
  readonly bytesMax?: number;
}

export interface UnpackIntoOptions extends UnpackOptions {
  /** Gives up when somebody else has had the folder for so long. */
  readonly lockWaitMs?: number;
}

/**
 * Makes `target` (created if needed) a ready environment, unless its marker says that it is one.
 * Waits for others who do the same. Throws RunError with a sentence; what is then in `target` has
 * no marker, and only a failed program of the archive's own leaves anything there.
 */
export async function unpackEnvironment(
  archive: string,
  target: string,
  options: UnpackIntoOptions,
): Promise<void> {
  const { signal, lockWaitMs } = options;
  const prefix = resolve(target);
  await inWords(archive, prefix, async () => {
    await Deno.mkdir(prefix, { recursive: true });
    using lock = await locked(prefix, {
      exclusive: true,
      signal,
      ...lockWaitMs !== undefined && { waitMs: lockWaitMs },
    });
    if (lock === null) {
      throw new RunError(
        `somebody else has been unpacking there for ${Math.round((lockWaitMs ?? 0) / 1000)} s`,
      );
    }
    if (isReady(prefix)) return;
    const partial = `${prefix}/${partialName}`;
    try {
      await removeIfThere(partial);
      const { condaUnpack } = await unpackTree(archive, partial, prefix, options);
      mergeInto(partial, prefix);
      if (condaUnpack === "to be run") await runCondaUnpack(prefix, signal);
    } finally {
      await removeIfThere(partial);
    }
    writeMarker(prefix);
  });
}

/** Whether the folder was made ready, by us or by poncho_package_run. */
export function isReady(prefix: string): boolean {
  try {
    return Deno.statSync(`${prefix}/${markerName}`).isFile;
  } catch {
    return false;
  }
}

export function writeMarker(folder: string): void {
  Deno.writeTextFileSync(`${folder}/${markerName}`, `${new Date().toUTCString()}\n`);
}

/**
 * Makes the folder (which must not exist) with what is in the archive, relocated for `prefix`; in a
 * thread of its own, because it writes thousands of files without a pause. Throws the end of a
 * sentence as RunError, or the error of the system; removes nothing.
 */
export async function unpackTree(
  archive: string,
  folder: string,
  prefix: string,
  { signal, onProgress, bytesMax }: UnpackOptions,
): Promise<UnpackedTree> {
  signal.throwIfAborted();
  const format = formatOfFile(archive);
  const inflating = isInflatable(format) ? await startInflating(archive, format) : null;
  const thread = new Worker(await threadModule("unpack_thread"), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<UnpackedTree>();
  const stop = new SharedArrayBuffer(4);
  const ask = () => Atomics.store(new Int32Array(stop), 0, 1);
  signal.addEventListener("abort", ask, { once: true });
  thread.onmessage = ({ data }: MessageEvent<UnpackAnswer>) => {
    switch (data.type) {
      case "progress":
        return onProgress?.(data.progress);
      case "done":
        return resolve(data.tree);
      case "failed":
        return reject(data.isSaid ? new RunError(data.message) : new Error(data.message));
    }
  };
  const threads = inflating === null ? [thread] : [inflating.thread, thread];
  for (const one of threads) {
    one.onerror = (event) => {
      event.preventDefault(); // or the error would be this thread's too
      reject(new Error(event.message));
    };
  }
  try {
    const job: UnpackJob = {
      archive,
      folder,
      prefix,
      bytesMax,
      format,
      stop,
      inflating: inflating && { port: inflating.port, onTheWay: inflating.onTheWay },
    };
    thread.postMessage(job, inflating === null ? [] : [inflating.port]);
    const tree = await promise;
    signal.throwIfAborted();
    return tree;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", ask);
    for (const one of threads) one.terminate();
  }
}

/**
 * Runs the archive's own program that puts the prefix in, for archives that say in no other way
 * where. It may be of any language, and finds the prefix by its own place.
 */
export async function runCondaUnpack(prefix: string, signal: AbortSignal): Promise<void> {
  const { PYTHONPATH: _, ...env } = Deno.env.toObject();
  const { code, stderr } = await runProgram([`${prefix}/${condaUnpackPath}`], {
    cwd: prefix,
    env: { ...env, PATH: `${prefix}/bin:${env.PATH ?? "/usr/bin:/bin"}` },
    signal,
  });
  if (code === 0) return;
  const last = stderr.trim().split("\n").at(-1) ?? "";
  throw new RunError(`its ${condaUnpackPath} failed with exit code ${code}: ${last}`);
}

/**
 * Moves what is in one folder into another that may have some of it already, from an earlier
 * attempt that broke off. Programs come last, because poncho_package_run takes a folder with
 * `bin/conda-unpack` for complete.
 */
function mergeInto(from: string, into: string): void {
  const names = [...Deno.readDirSync(from)].map(({ name }) => name);
  const order = (name: string) => name === "bin" || name === "conda-unpack" ? 1 : 0;
  for (const name of names.sort((a, b) => order(a) - order(b))) {
    const source = `${from}/${name}`, target = `${into}/${name}`;
    const before = kindOf(target);
    if (before === "folder" && kindOf(source) === "folder") {
      mergeInto(source, target);
      continue;
    }
    if (before !== "none") Deno.removeSync(target, { recursive: true });
    Deno.renameSync(source, target);
  }
}

function kindOf(path: string): "folder" | "other" | "none" {
  try {
    return Deno.lstatSync(path).isDirectory ? "folder" : "other";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "none";
    throw error;
  }
}

/** What goes wrong while an archive is unpacked, as a sentence with both names. */
export async function inWords<T>(
  archive: string,
  target: string,
  unpack: () => Promise<T>,
): Promise<T> {
  try {
    return await unpack();
  } catch (error) {
    if (error instanceof RunError) {
      throw new RunError(`Cannot unpack ${archive} into ${target}: ${error.message}`);
    }
    if (error instanceof Deno.errors.NotFound && !exists(archive)) {
      throw new RunError(`Cannot unpack ${archive}: there is no such file`);
    }
    if (isOfSystem(error)) {
      const what = /os error (?:28|122)\b/.test(error.message)
        ? `the disk is full; free some of ${dirname(target)}, or choose a folder elsewhere`
        : messageOf(error);
      throw new RunError(`Cannot unpack ${archive} into ${target}: ${what}`);
    }
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function isOfSystem(error: unknown): error is Error {
  return error instanceof Error && /\(os error \d+\)/.test(error.message);
}
