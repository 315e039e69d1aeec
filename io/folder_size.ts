/**
 * Size of a folder that others write to, kept up to date without walking it each time: a folder is
 * listed again when its own time has changed, a file is looked at often while it changes and
 * seldom after.
 */

interface KnownFile {
  size: number;
  /** Round in which its size was last seen to change. */
  changedRound: number;
}

interface KnownFolder {
  readonly files: Map<string, KnownFile>;
  readonly folders: Set<string>;
  /** Of the listing; null if it must be listed again whatever its time says. */
  modifiedMs: number | null;
}

export interface FolderSizeLimits {
  /** Looks at files and folders in one round; the rest waits for the next. */
  readonly looksMax: number;
}

/** Files that changed within so many rounds are looked at in each. */
const warmRounds = 5;
/** Of the looks of a round that files which do not change have for sure: a quarter. */
const coldPart = 4;
/** File systems count a folder's time in ticks: a change in the same tick would go unseen. */
const tickMs = 20;

export class FolderSize {
  readonly #root: string;
  readonly #looksMax: number;
  readonly #folders = new Map<string, KnownFolder>();
  #bytes = 0;
  #files = 0;
  #round = 0;
  /** Where the last round stopped, among all files and among all folders. */
  #cursor = 0;
  #folderCursor = 0;

  constructor(root: string, { looksMax }: FolderSizeLimits = { looksMax: 500 }) {
    this.#root = root;
    this.#looksMax = looksMax;
    this.#folders.set(root, emptyFolder());
  }

  /** Apparent sizes of regular files; hard links count each time, symbolic ones not at all. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries of any kind, the folder itself included, as resource_monitor counts them. */
  get files(): number {
    return this.#files + this.#folders.size;
  }

  /** One round: what is new, what is warm, and a share of the rest. */
  refresh(): void {
    this.#round++;
    let looks = 0;
    const paths = [...this.#folders.keys()];
    const from = this.#folderCursor % paths.length;
    const queue = [...paths.slice(from), ...paths.slice(0, from)];
    for (let i = 0; i < queue.length && looks < this.#looksMax; i++) {
      const path = queue[i]!, folder = this.#folders.get(path);
      this.#folderCursor++;
      if (folder === undefined) continue;
      looks += this.#list(path, folder, queue);
      for (const [name, file] of folder.files) {
        if (looks >= this.#looksMax) break;
        if (this.#round - file.changedRound > warmRounds) continue;
        looks++;
        this.#measure(folder, `${path}/${name}`, name, file);
      }
    }
    this.#lookAtCold(Math.max(this.#looksMax - looks, this.#looksMax / coldPart));
  }

  /** Walks all of it, up to `looksMax` entries times ten: for the end, when nothing changes. */
  settle(): void {
    let looks = 0;
    for (const [path, folder] of this.#folders) {
      folder.modifiedMs = null;
      looks += this.#list(path, folder);
      for (const [name, file] of folder.files) {
        if (looks++ > 10 * this.#looksMax) return;
        this.#measure(folder, `${path}/${name}`, name, file);
      }
    }
  }

  #lookAtCold(count: number): void {
    const all = [...this.#folders].flatMap(([path, folder]) =>
      [...folder.files.keys()].map((name) => [path, folder, name] as const)
    );
    for (let i = 0; i < Math.min(count, all.length); i++) {
      const [path, folder, name] = all[this.#cursor++ % all.length]!;
      const file = folder.files.get(name);
      if (file) this.#measure(folder, `${path}/${name}`, name, file);
    }
  }

  /** Adds folders that are new to `found`; returns how many entries it had to look at. */
  #list(path: string, folder: KnownFolder, found: string[] = []): number {
    const modifiedMs = modifiedOf(path);
    if (modifiedMs === null) {
      this.#drop(path);
      return 1;
    }
    if (modifiedMs === folder.modifiedMs) return 1;
    const settled = Date.now() - modifiedMs > tickMs;
    folder.modifiedMs = settled ? modifiedMs : null;
    const names = new Set<string>();
    try {
      for (const entry of Deno.readDirSync(path)) {
        names.add(entry.name);
        const inner = `${path}/${entry.name}`;
        if (entry.isDirectory) {
          folder.folders.add(entry.name);
          if (this.#folders.has(inner)) continue;
          this.#folders.set(inner, emptyFolder());
          found.push(inner);
        } else if (!folder.files.has(entry.name)) {
          this.#files++;
          folder.files.set(entry.name, { size: 0, changedRound: this.#round });
        }
      }
    } catch {
      // Removed, or closed to us, meanwhile.
    }
    for (const name of folder.files.keys()) if (!names.has(name)) this.#forget(folder, name);
    for (const name of folder.folders) {
      if (names.has(name)) continue;
      folder.folders.delete(name);
      this.#drop(`${path}/${name}`);
    }
    return 1 + names.size / 10;
  }

  #measure(folder: KnownFolder, path: string, name: string, file: KnownFile): void {
    const size = sizeOf(path);
    if (size === null) return this.#forget(folder, name);
    if (size === file.size) return;
    this.#bytes += size - file.size;
    file.size = size;
    file.changedRound = this.#round;
  }

  #forget(folder: KnownFolder, name: string): void {
    this.#bytes -= folder.files.get(name)?.size ?? 0;
    if (folder.files.delete(name)) this.#files--;
  }

  #drop(path: string): void {
    const folder = this.#folders.get(path);
    if (folder === undefined || path === this.#root) return;
    this.#folders.delete(path);
    for (const name of [...folder.files.keys()]) this.#forget(folder, name);
    for (const name of folder.folders) this.#drop(`${path}/${name}`);
  }
}

function emptyFolder(): KnownFolder {
  return { files: new Map(), folders: new Set(), modifiedMs: null };
}

function modifiedOf(path: string): number | null {
  try {
    const { mtime, isDirectory } = Deno.lstatSync(path);
    return isDirectory ? mtime?.getTime() ?? 0 : null;
  } catch {
    return null;
  }
}

/** Null if it is gone. */
function sizeOf(path: string): number | null {
  try {
    const { size, isFile } = Deno.lstatSync(path);
    return isFile ? size : 0;
  } catch {
    return null;
  }
}
