/** A disk of a few kilobytes, to be full at once: a tmpfs, which only root may mount. */

async function run(program: string, ...args: string[]): Promise<string | null> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  return success ? null : new TextDecoder().decode(stderr).trim();
}

async function whyNot(): Promise<string | null> {
  const why = await run("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    .catch((error) => String(error));
  return why === null ? null : `no disk can be mounted: ${why}`;
}

/** Why none can be mounted here; `null`: one can. */
export const smallDiskMissing: string | null = await whyNot();

export class SmallDisk implements AsyncDisposable {
  private constructor(readonly path: string) {}

  /** Makes the folder; options as tmpfs has them: `size=64k`. */
  static async mount(path: string, options: string): Promise<SmallDisk> {
    await Deno.mkdir(path);
    await must("mount", "-t", "tmpfs", "-o", options, "tmpfs", path);
    return new SmallDisk(path);
  }

  async resize(size: string): Promise<void> {
    await must("mount", "-o", `remount,size=${size}`, this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await must("umount", "-l", this.path);
  }
}

async function must(program: string, ...args: string[]): Promise<void> {
  const why = await run(program, ...args);
  if (why !== null) throw new Error(why);
}
