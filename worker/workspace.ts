/**
 * The folders of a worker:
 *
 *   <workdir>/worker-<uid>-<pid>/   workspace, mode 0700, gone when the worker ends
 *     bin/wqx                       starts this same wqx, for tasks that are wqx themselves
 *     cache/                        objects by cached name
 *     kept/                         files of earlier links by SHA-256, see kept.ts
 *     environments/                 unpacked archives, see environments.ts
 *     tmp/                          $WORKER_TMPDIR, for programs of the user
 *     t.<n>/                        sandbox of an attempt, then of another
 *     out.<n>                       what its command printed
 *     .groups                       see guard.ts
 */
import { messageOf, PeerProtocolError, UsageError } from "../core/errors.ts";
import { type CachePlace, fileFlag, type TaskBlock } from "../core/protocol/messages.ts";
import { piecedBytesMin } from "../core/protocol/pieces.ts";
import { keptNamePrefix } from "../core/worker/keeping.ts";
import { startScript } from "../core/shell_words.ts";
import { FileSink, nowhere, removeIfThere, type Sink } from "../io/files.ts";
import { groupsFile } from "./guard.ts";
import { Kept } from "./kept.ts";
import { type Sandbox, Sandboxes } from "./sandboxes.ts";

/** Files that are set aside for their pieces. */
const replacedMax = 4;

export interface WorkspaceOptions {
  /** Folder in which it is made. */
  readonly parent: string;
  /** Command line that starts this same wqx. */
  readonly wqx: readonly string[];
  /** Whether inputs that cannot be hard links may be symbolic ones. */
  readonly symlinks: boolean;
}

export class Workspace implements AsyncDisposable {
  /** Why an object that was to be cached is not there, by cached name. */
  readonly #notStored = new Map<string, string>();
  /** Cached names of files whose bytes came from a manager. */
  readonly #sent = new Set<string>();
  /** Those that tasks named as inputs that stay. */
  readonly #staying = new Set<string>();
  /** Paths of such files that were unlinked: another version of them may come. The oldest first. */
  readonly #replaced: string[] = [];
  #serial = 0;
  #hasSoftLinks = false;

  readonly kept: Kept;
  readonly sandboxes: Sandboxes;

  private constructor(readonly path: string, private readonly symlinks: boolean) {
    this.kept = new Kept(`${path}/kept`);
    this.sandboxes = new Sandboxes(path);
  }

  /** Makes the folders. Throws a UsageError if `parent` cannot hold them. */
  static async create({ parent, wqx, symlinks }: WorkspaceOptions): Promise<Workspace> {
    const path = `${parent}/worker-${Deno.uid() ?? 0}-${Deno.pid}`;
    try {
      await removeIfThere(path);
      await Deno.mkdir(path, { mode: 0o700 });
      const workspace = new Workspace(await Deno.realPath(path), symlinks);
      await workspace.#makeFolders();
      await Deno.mkdir(`${workspace.path}/bin`);
      await Deno.writeTextFile(workspace.wqxPath, startScript(wqx), { mode: 0o700 });
      return workspace;
    } catch (error) {
      await removeIfThere(path).catch(() => {}); // what there was room for
      throw new UsageError(
        `Cannot make a workspace in ${parent}: ${messageOf(error)}; choose another folder with -s`,
      );
    }
  }

  /** Sandboxes may need what is in the cache. */
  get hasSoftLinks(): boolean {
    return this.#hasSoftLinks;
  }

  get wqxPath(): string {
    return `${this.path}/bin/wqx`;
  }

  cachePath(cacheName: string): string {
    return `${this.path}/cache/${cacheName}`;
  }

  /** Takes the bytes of a `put`. Failing to keep them fails the tasks that need them. */
  store(place: CachePlace, mode: number): Sink {
    // The owner may always write, as in cctools; setuid and the like are not for workers.
    const sink = new FileSink(this.#pathOf(place), (mode & 0o777) | 0o600);
    return {
      take: (bytes) => sink.take(bytes),
      abandon: () => sink.abandon(),
      finish: async () => {
        const trouble = await sink.finish();
        if (trouble !== null) this.#notStored.set(place.cacheName, trouble);
        else if (place.inside === "") this.noteSent(place.cacheName);
        return trouble;
      },
    };
  }

  /** Passes over the bytes of a `put`; it fails the tasks that need them. */
  decline(place: CachePlace, why: string): Sink {
    this.noteLacking(place.cacheName, why);
    return nowhere;
  }

  /** Fails the tasks that need this object, for this reason, until it is sent. */
  noteLacking(cacheName: string, why: string): void {
    this.#notStored.set(cacheName, why);
  }

  /** Puts a file that was kept into the cache. Throws an Error that says why it cannot. */
  async takeKept(sha256: string, cacheName: string, signal: AbortSignal): Promise<void> {
    await this.kept.take(sha256, this.cachePath(cacheName), signal);
    this.noteSent(cacheName);
  }

  /** Files that a manager sent on this link, the newest first. */
  get sentPaths(): string[] {
    const sent = [...this.#sent].map((name) => this.cachePath(name));
    return [...this.#replaced, ...sent].reverse();
  }

  /** For a file that is not complete yet; no peer can guess it. */
  partialPath(): string {
    return this.cachePath(`.${crypto.randomUUID()}.partial`);
  }

  /** Throws PeerProtocolError for a directory that is there already: it might be a link. */
  makeDirectory(place: CachePlace): void {
    if (place.inside === "") this.#notStored.delete(place.cacheName);
    this.#orRefuse(place, () => Deno.mkdirSync(this.#pathOf(place)));
  }

  makeLink(place: CachePlace, target: string): void {
    this.#orRefuse(place, () => Deno.symlinkSync(target, this.#pathOf(place)));
  }

  has(cacheName: string): boolean {
    try {
      Deno.lstatSync(this.cachePath(cacheName));
      return true;
    } catch {
      return false;
    }
  }

  /** At once, so that a `put` of the same name that follows on the link is not unlinked too. */
  unlink(cacheName: string): void {
    this.#notStored.delete(cacheName);
    const stays = this.#staying.delete(cacheName);
    if (this.#sent.delete(cacheName) && stays) this.#setAside(cacheName);
    try {
      Deno.removeSync(this.cachePath(cacheName), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Links the inputs into a new sandbox. Returns what is wrong, or `null`. */
  async stageIn(task: TaskBlock, sandbox: Sandbox): Promise<string | null> {
    const { folder } = sandbox;
    try {
      sandbox.make();
      for (const { cacheName, sandboxName, flags } of task.inputs) {
        if ((flags & fileFlag.cache) !== 0) this.#staying.add(cacheName);
        const target = `${folder}/${sandboxName}`;
        const parent = target.slice(0, target.lastIndexOf("/"));
        if (parent !== folder) makeInside(folder, parent);
        const trouble = await this.#stage(cacheName, target);
        if (trouble !== null) return `${sandboxName}: ${trouble}`;
      }
      for (const name of task.directories) {
        makeInside(folder, `${folder}/${name}`);
      }
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Moves what there is of the outputs into the cache. */
  stageOut(task: TaskBlock, sandbox: Sandbox): void {
    for (const { cacheName, sandboxName } of task.outputs) {
      // First: an older object of this name must not pass for the output of this attempt.
      this.unlink(cacheName);
      try {
        Deno.renameSync(`${sandbox.folder}/${sandboxName}`, this.cachePath(cacheName));
      } catch {
        // Not written, or not movable: `get` will say that it is missing.
      }
    }
  }

  /** Outputs get other names in the cache. Returns how large they are; bytes. */
  async restage(from: TaskBlock, to: TaskBlock): Promise<number> {
    let bytes = 0;
    for (const [i, { cacheName }] of from.outputs.entries()) {
      const target = this.cachePath(to.outputs[i]?.cacheName ?? cacheName);
      try {
        if (target !== this.cachePath(cacheName)) {
          this.unlink(to.outputs[i]!.cacheName);
          Deno.renameSync(this.cachePath(cacheName), target);
        }
        bytes += await sizeOfTree(target);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // it was not written
      }
    }
    return bytes;
  }

  /**
   * Forgets everything that belongs to one manager. Of the large files that it sent, up to
   * `keepBytesMax` are kept, together with those that are. Attempts of sandboxes that are `inUse` go
   * on, and their outputs stay.
   */
  async clear(keepBytesMax: number, inUse: readonly Sandbox[] = []): Promise<void> {
    this.#notStored.clear();
    this.sandboxes.forget();
    const staying = new Set(["bin", groupsFile, "cache", "kept", "environments"]);
    if (inUse.length > 0) staying.add("tmp");
    for (const { names } of inUse) for (const name of names) staying.add(name);
    for await (const { name } of Deno.readDir(this.path)) {
      if (!staying.has(name)) await removeIfThere(`${this.path}/${name}`);
    }
    // Now that the sandboxes are gone, nothing else links to what is in the cache.
    await this.kept.add([...this.#sent].map((name) => this.cachePath(name)), keepBytesMax);
    this.#sent.clear();
    this.#staying.clear();
    this.#replaced.length = 0;
    for await (const { name } of Deno.readDir(`${this.path}/cache`)) {
      const isKept = inUse.length > 0 && name.startsWith(keptNamePrefix);
      if (!isKept) await removeIfThere(this.cachePath(name));
    }
    await this.#makeFolders();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kept[Symbol.asyncDispose]();
    await removeIfThere(this.path);
  }

  async #makeFolders(): Promise<void> {
    await Deno.mkdir(`${this.path}/cache`, { recursive: true });
    await Deno.mkdir(`${this.path}/kept`, { recursive: true });
    await Deno.mkdir(`${this.path}/tmp`, { recursive: true });
  }

  /** Its bytes came from a manager, or were put together as it said. */
  noteSent(cacheName: string): void {
    this.#notStored.delete(cacheName);
    this.#sent.delete(cacheName); // to become the newest
    this.#sent.add(cacheName);
  }

  #setAside(cacheName: string): void {
    const path = this.cachePath(cacheName);
    try {
      const { isFile, size } = Deno.lstatSync(path);
      if (!isFile || size < piecedBytesMin) return;
      const aside = this.cachePath(`.replaced.${++this.#serial}`);
      Deno.renameSync(path, aside);
      this.#replaced.push(aside);
      if (this.#replaced.length > replacedMax) Deno.removeSync(this.#replaced.shift()!);
    } catch {
      // It is not there, or cannot be moved: then it is removed as any other.
    }
  }

  #pathOf({ cacheName, inside }: CachePlace): string {
    return this.cachePath(inside === "" ? cacheName : `${cacheName}/${inside}`);
  }

  #orRefuse({ cacheName, inside }: CachePlace, make: () => void): void {
    try {
      make();
    } catch (error) {
      throw new PeerProtocolError(`Cannot make ${cacheName}/${inside}: ${messageOf(error)}`);
    }
  }

  async #stage(cacheName: string, target: string): Promise<string | null> {
    const source = this.cachePath(cacheName);
    const notStored = this.#notStored.get(cacheName);
    if (notStored !== undefined) return notStored;
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(source);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return `${cacheName} is not in the cache`;
    }
    await this.#link(source, info, target);
    return null;
  }

  /** Files by hard link, directories made anew around them, links as links. */
  async #link(source: string, info: Deno.FileInfo | Deno.DirEntry, target: string): Promise<void> {
    if (info.isDirectory) {
      Deno.mkdirSync(target, { recursive: true });
      for await (const entry of Deno.readDir(source)) {
        await this.#link(`${source}/${entry.name}`, entry, `${target}/${entry.name}`);
      }
      return;
    }
    try {
      if (info.isSymlink) Deno.symlinkSync(Deno.readLinkSync(source), target);
      else Deno.linkSync(source, target);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return; // named twice: the first counts
      if (info.isSymlink || !this.symlinks) throw error;
      this.#hasSoftLinks = true;
      Deno.symlinkSync(source, target); // file systems without hard links
    }
  }
}

async function sizeOfTree(path: string): Promise<number> {
  const info = await Deno.lstat(path);
  if (!info.isDirectory) return info.size;
  let bytes = 0;
  for await (const { name } of Deno.readDir(path)) bytes += await sizeOfTree(`${path}/${name}`);
  return bytes;
}

/** Makes a directory and those above it. Throws if a link among them leads out of `folder`. */
function makeInside(folder: string, path: string): void {
  for (let end = folder.length; end !== -1;) {
    end = path.indexOf("/", end + 1);
    const part = end === -1 ? path : path.slice(0, end);
    try {
      Deno.mkdirSync(part);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      if (Deno.realPathSync(part).startsWith(`${folder}/`)) continue;
      throw new Error(`${part.slice(folder.length + 1)} is a link that leads out of the sandbox`);
    }
  }
}
