/**
 * The folders of a worker:
 *
 *   <workdir>/worker-<uid>-<pid>/   workspace, mode 0700, gone when the worker ends
 *     bin/wqx                       starts this same wqx, for tasks that are wqx themselves
 *     cache/                        objects by cached name; cache/tmp for programs of the user
 *     t.<taskid>.<n>/               sandbox of an attempt
 *     out.<taskid>.<n>              what its command printed
 */
import { messageOf, UsageError } from "../core/errors.ts";
import type { TaskBlock } from "../core/protocol/messages.ts";
import { FileSink, removeIfThere, type Sink } from "../io/files.ts";

export class Workspace implements AsyncDisposable {
  /** Why an object that was to be cached is not there, by cached name. */
  readonly #notStored = new Map<string, string>();

  private constructor(readonly path: string) {}

  /** Makes the folders. Throws a UsageError if `parent` cannot hold them. */
  static async create(parent: string, wqx: readonly string[]): Promise<Workspace> {
    const path = `${parent}/worker-${Deno.uid() ?? 0}-${Deno.pid}`;
    try {
      await removeIfThere(path);
      await Deno.mkdir(path, { mode: 0o700 });
      const workspace = new Workspace(await Deno.realPath(path));
      await Deno.mkdir(`${workspace.path}/cache/tmp`, { recursive: true });
      await Deno.mkdir(`${workspace.path}/bin`);
      await Deno.writeTextFile(workspace.wqxPath, launcher(wqx), { mode: 0o700 });
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
  store(cacheName: string, mode: number): Sink {
    // The owner may always write, as in cctools; setuid and the like are not for workers.
    const sink = new FileSink(this.cachePath(cacheName), (mode & 0o777) | 0o600);
    return {
      take: (bytes) => sink.take(bytes),
      abandon: () => sink.abandon(),
      finish: async () => {
        const trouble = await sink.finish();
        if (trouble === null) this.#notStored.delete(cacheName);
        else this.#notStored.set(cacheName, trouble);
        return trouble;
      },
    };
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
        const trouble = await this.#link(cacheName, target);
        if (trouble !== null) return `${sandboxName}: ${trouble}`;
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
    await Deno.mkdir(`${this.path}/cache/tmp`, { recursive: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeIfThere(this.path);
  }

  async #link(cacheName: string, target: string): Promise<string | null> {
    const source = this.cachePath(cacheName);
    try {
      await Deno.link(source, target);
      return null;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return null; // named twice: the first counts
      if (error instanceof Deno.errors.NotFound) {
        return this.#notStored.get(cacheName) ?? `${cacheName} is not in the cache`;
      }
    }
    await Deno.symlink(source, target); // file systems without hard links
    return null;
  }
}

function launcher(wqx: readonly string[]): string {
  const words = wqx.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  return `#!/bin/sh\nexec ${words} "$@"\n`;
}
