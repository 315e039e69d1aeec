/** What stands for the content of a task's inputs, so that the same can be told from another run. */
import type { Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { sha256 } from "../core/api/kept.ts";
import type { Source } from "../core/scheduler/tasks.ts";
import { sha256Of } from "../io/hash.ts";

/** Up to this size a file is known by what is in it, wherever it lies; bytes. */
const hashedBytesMax = 64 * 1024 ** 2;
/** A folder of more is not looked through. */
const entriesMax = 10_000;
/** Of files, so many digests are remembered. */
const digestsMax = 100_000;

export class Contents {
  /** By device, inode, size and time. */
  readonly #digests = new Map<string, string>();

  /** `null`: nothing can be said of it, as it is not there or too large to look at. */
  async of(source: Source): Promise<string | null> {
    switch (source.kind) {
      case "buffer":
        return `sha256 ${sha256(source.bytes)}`;
      case "url":
        return `url ${source.url}`;
      case "command":
        return `command ${source.command}`;
      case "empty directory":
        return "folder";
      case "piece": {
        const content = await this.#ofPath(source.path);
        return content && `${source.first} to ${source.last} of ${content}`;
      }
      case "file":
      case "directory":
        return await this.#ofPath(source.path);
    }
  }

  /** Of a file whose content is known, which spares reading it when it becomes an input. */
  async note(path: string, digest: string): Promise<void> {
    this.#remember(stampOf(await stat(path)), digest);
  }

  async #ofPath(path: string): Promise<string | null> {
    try {
      const info = await stat(path);
      if (info.isDirectory()) return await this.#ofFolder(path);
      if (!info.isFile()) return null;
      const mode = (info.mode & 0o111) === 0 ? "" : "program ";
      const stamp = stampOf(info);
      let digest = this.#digests.get(stamp);
      if (digest === undefined && info.size > hashedBytesMax) return `${mode}${path} ${seen(info)}`;
      digest ??= await sha256Of(path);
      if (stampOf(await stat(path)) !== stamp) return null; // it was written to meanwhile
      this.#remember(stamp, digest);
      return `${mode}sha256 ${digest}`;
    } catch {
      return null;
    }
  }

  async #ofFolder(path: string): Promise<string | null> {
    const names = (await readdir(path, { recursive: true })).sort();
    if (names.length > entriesMax) return null;
    const entries: string[] = [];
    for (const name of names) {
      const info = await stat(`${path}/${name}`);
      entries.push(`${name}\0${info.isDirectory() ? "" : seen(info)}`);
    }
    return `folder ${path} ${sha256(entries.join("\n"))}`;
  }

  #remember(stamp: string, digest: string): void {
    this.#digests.delete(stamp);
    this.#digests.set(stamp, digest);
    if (this.#digests.size <= digestsMax) return;
    for (const oldest of this.#digests.keys()) {
      this.#digests.delete(oldest);
      break;
    }
  }
}

/** Path → how a file looked; those that are not there are left out. */
export async function looksOf(paths: readonly string[]): Promise<Record<string, string>> {
  const looks: Record<string, string> = {};
  for (const path of paths) {
    const info = await stat(path).catch(() => null);
    if (info?.isFile()) looks[path] = seen(info);
  }
  return looks;
}

function seen({ size, mtimeMs }: Stats): string {
  return `${size} ${mtimeMs}`;
}

function stampOf({ dev, ino, size, mtimeMs }: Stats): string {
  return `${dev} ${ino} ${size} ${mtimeMs}`;
}
