/** Temporary folders that do not outlive their test. */

/** A folder that `await using` removes with all that is in it. */
export class TempFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async create(prefix = "wqx-test-", dir?: string): Promise<TempFolder> {
    // Resolved, because programs report their folder without links.
    return new TempFolder(
      await Deno.realPath(await Deno.makeTempDir({ prefix, ...dir && { dir } })),
    );
  }

  /** Path of a name in the folder. */
  join(...names: string[]): string {
    return [this.path, ...names].join("/");
  }

  async write(name: string, text: string): Promise<string> {
    const path = this.join(name);
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
