/**
 * The folder in which an environment is made: under the cache, so that files of packages can be
 * linked instead of copied, and with a short name, since it is written into the first line of
 * scripts. It is locked while it is used; what a killed wqx left is removed by the next one.
 */

/** Names have the same length, so that one path can take the place of another in a file. */
const nameLength = 8;

export class BuildPrefix implements AsyncDisposable {
  /** The environment; short, since scripts name it in their first line. */
  readonly path: string;
  /** For byte code of programs that run meanwhile: pip takes seconds to start without. */
  readonly byteCode: string;

  private constructor(private readonly folder: string, private readonly lock: Deno.FsFile) {
    this.path = `${folder}/e`;
    this.byteCode = `${folder}/c`;
  }

  /** Makes one under `cache`. */
  static async create(cache: string): Promise<BuildPrefix> {
    const folder = `${cache}/b`;
    await Deno.mkdir(folder, { recursive: true });
    await removeStale(folder);
    for (;;) {
      const path = `${folder}/${crypto.randomUUID().slice(0, nameLength)}`;
      await Deno.mkdir(path);
      const lock = await Deno.open(path).catch(() => null);
      await lock?.lock(true);
      // Somebody who cleaned up may have taken it for a stale one before it was locked.
      if (lock !== null && await isThere(path)) {
        const made = new BuildPrefix(path, lock);
        await Deno.mkdir(made.path);
        return made;
      }
      lock?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
    this.lock.close();
  }
}

/** A folder that nobody has locked belongs to nobody any more. */
async function removeStale(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    try {
      using lock = await Deno.open(`${folder}/${name}`);
      if (await lock.tryLock(true)) await Deno.remove(`${folder}/${name}`, { recursive: true });
    } catch {
      // Another one removes it, or made it a moment ago and will lock it.
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
