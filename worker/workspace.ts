/**
 * The folders of a worker:
 *
 *   <workdir>/worker-<uid>-<pid>/   workspace, mode 0700, gone when the worker ends
 *     bin/wqx                       starts this same wqx, for tasks that are wqx themselves
 *     cache/                        objects by cached name
 *     tmp/                          $WORKER_TMPDIR, for programs of the user
 *     t.<taskid>.<n>/               sandbox of an attempt
 *     out.<taskid>.<n>              what its command printed
 */
import { messageOf, PeerProtocolError, UsageError } from "../core/errors.ts";
import type { CachePlace, TaskBlock } from "../core/protocol/messages.ts";
import { startScript } from "../core/shell_words.ts";
import { FileSink, removeIfThere, type Sink } from "../io/files.ts";

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

  private constructor(readonly path: string, private readonly symlinks: boolean) {}

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
      throw new UsageError(
        `Cannot make a workspace in ${parent}: ${messageOf(error)}; choose another folder with -s`,
      );
    }
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
        else if (place.inside === "") this.#notStored.delete(place.cacheName);
        return trouble;
      },
    };
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
    try {
      Deno.removeSync(this.cachePath(cacheName), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Links the inputs into a new sandbox. Returns what is wrong, or `null`. */
  async stageIn(task: TaskBlock, sandbox: string): Promise<string | null> {
    try {
      await Deno.mkdir(`${sandbox}/.tmp`, { recursive: true });
      for (const { cacheName, sandboxName } of task.inputs) {
        const target = `${sandbox}/${sandboxName}`;
        const parent = target.slice(0, target.lastIndexOf("/"));
        if (parent !== sandbox) await Deno.mkdir(parent, { recursive: true });
        const trouble = await this.#stage(cacheName, target);
        if (trouble !== null) return `${sandboxName}: ${trouble}`;
      }
      for (const name of task.directories) {
        await Deno.mkdir(`${sandbox}/${name}`, { recursive: true });
      }
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Moves what there is of the outputs into the cache. */
  async stageOut(task: TaskBlock, sandbox: string): Promise<void> {
    for (const { cacheName, sandboxName } of task.outputs) {
      // First: an older object of this name must not pass for the output of this attempt.
      this.unlink(cacheName);
      try {
        await Deno.rename(`${sandbox}/${sandboxName}`, this.cachePath(cacheName));
      } catch {
        // Not written, or not movable: `get` will say that it is missing.
      }
    }
  }

  /** Forgets everything that belongs to one manager. */
  async clear(): Promise<void> {
    this.#notStored.clear();
    for await (const entry of Deno.readDir(this.path)) {
      if (entry.name !== "bin") await removeIfThere(`${this.path}/${entry.name}`);
    }
    await this.#makeFolders();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeIfThere(this.path);
  }

  async #makeFolders(): Promise<void> {
    await Deno.mkdir(`${this.path}/cache`, { recursive: true });
    await Deno.mkdir(`${this.path}/tmp`, { recursive: true });
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
      info = await Deno.lstat(source);
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
      await Deno.mkdir(target, { recursive: true });
      for await (const entry of Deno.readDir(source)) {
        await this.#link(`${source}/${entry.name}`, entry, `${target}/${entry.name}`);
      }
      return;
    }
    try {
      if (info.isSymlink) await Deno.symlink(await Deno.readLink(source), target);
      else await Deno.link(source, target);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return; // named twice: the first counts
      if (info.isSymlink || !this.symlinks) throw error;
      await Deno.symlink(source, target); // file systems without hard links
    }
  }
}
