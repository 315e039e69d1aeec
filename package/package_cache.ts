/**
 * Extracted packages, each in a folder named after what is in it, shared by all environments and by
 * all processes of a user. A folder under its final name is whole; what is being made has another.
 */
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { stemOf } from "../core/package/conda_meta.ts";
import type { PackagePath } from "../core/package/link_paths.ts";
import type { PackageRecord } from "../core/package/record.ts";
import { packagesFolder } from "./cache_folder.ts";
import { download } from "./download.ts";
import { extractPackage, readPackagePaths } from "./extract.ts";
import { locked } from "./folder_lock.ts";

export interface CachedPackage {
  readonly record: PackageRecord;
  /** Of the extracted package, absolute. */
  readonly folder: string;
  /** Where its archive was while it was extracted. */
  readonly archive: string;
  readonly paths: readonly PackagePath[];
  /** Whether it was there before. */
  readonly wasThere: boolean;
}

export interface ObtainOptions {
  readonly signal: AbortSignal;
  /** Nothing is downloaded; what is not there is an error. */
  readonly offline?: boolean;
  /** Bytes of the archive so far. */
  readonly onBytes?: (bytes: number) => void;
  /** See DownloadOptions. */
  readonly backoffMs?: number;
}

export class PackageCache {
  readonly folder: string;

  /** `cache` as in cache_folder.ts; folders are made when they are needed. */
  constructor(cache: string) {
    this.folder = packagesFolder(cache);
  }

  /** Where the package of this record is, or would be. Throws RunError for names that are none. */
  folderOf(record: PackageRecord): string {
    const stem = stemOf(record);
    if (stem === record.fileName || !/^[\w][\w.!+~-]*$/.test(stem)) {
      throw new RunError(
        `The channel ${record.channel} has a package with the odd name ` +
          `${JSON.stringify(record.fileName)}: it should end in .conda or .tar.bz2`,
      );
    }
    return `${this.folder}/${stem}-${contentKey(record)}`;
  }

  /** Whether the package is there. */
  has(record: PackageRecord): boolean {
    return isThere(this.folderOf(record));
  }

  /** Downloads and extracts a package unless it is there. Throws RunError, a whole sentence. */
  async obtain(record: PackageRecord, options: ObtainOptions): Promise<CachedPackage> {
    const folder = this.folderOf(record);
    const archive = folder + (record.fileName.endsWith(".conda") ? ".conda" : ".tar.bz2");
    if (isThere(folder)) {
      return { record, folder, archive, paths: readPaths(folder), wasThere: true };
    }
    if (options.offline === true && !record.url.startsWith("file:")) {
      throw new RunError(
        `${record.fileName} is not in the cache ${this.folder}, and nothing may be downloaded`,
      );
    }
    await Deno.mkdir(this.folder, { recursive: true, mode: 0o700 });
    await Deno.writeFile(`${folder}.lock`, new Uint8Array());
    const { signal } = options;
    using _lock = await locked(`${folder}.lock`, { exclusive: true, signal });
    // Another process may have made it meanwhile.
    if (!isThere(folder)) await this.#make(record, folder, archive, options);
    return { record, folder, archive, paths: readPaths(folder), wasThere: false };
  }

  async #make(
    record: PackageRecord,
    folder: string,
    archive: string,
    { signal, onBytes, backoffMs }: ObtainOptions,
  ): Promise<void> {
    const partial = `${folder}.partial`;
    await removeTree(partial);
    try {
      if (!isThere(archive)) {
        await download(record.url, archive, {
          signal,
          expected: record,
          ...onBytes !== undefined && { onBytes },
          ...backoffMs !== undefined && { backoffMs },
        });
      }
      await Deno.mkdir(partial);
      const hashes = record.sha256 === undefined && record.md5 === undefined;
      await extractPackage(archive, partial, { signal, hashes });
      await Deno.rename(partial, folder);
    } catch (error) {
      await removeTree(partial);
      signal.throwIfAborted();
      // Whatever was wrong, the next try shall not find the same.
      const wasDownloaded = await Deno.remove(archive).then(() => true, () => false);
      if (error instanceof RunError && !wasDownloaded) throw error;
      throw new RunError(`Cannot extract ${record.fileName}: ${messageOf(error)}`);
    }
    // All that it holds is extracted.
    await Deno.remove(archive);
  }
}

/** Names the content as far as the channel tells it; else the place it comes from. */
function contentKey({ sha256, md5, url }: PackageRecord): string {
  const key = sha256 ?? md5;
  const isHex = key !== undefined && /^[0-9a-f]{32,64}$/.test(key);
  return (isHex ? key : createHash("sha256").update(url).digest("hex")).slice(0, 32);
}

function readPaths(folder: string): readonly PackagePath[] {
  try {
    return readPackagePaths(folder);
  } catch (error) {
    throw new RunError(
      `The cached package ${folder} is damaged: ${messageOf(error)}; remove the folder`,
    );
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function removeTree(path: string): Promise<void> {
  if (dirname(path) !== path && isThere(path)) await Deno.remove(path, { recursive: true });
}
