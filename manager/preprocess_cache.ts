/**
 * What was found in files, kept between runs: a file of this machine that has the size and the time
 * of before is not opened again. Should it have changed all the same, the tasks that read it see
 * that by its uuid.
 */
import { join } from "node:path";
import { z } from "zod";
import { sha256, type Stamp } from "../core/analysis/identity.ts";
import type { InputFile } from "../core/analysis/spec.ts";
import { cacheFolder } from "../package/cache_folder.ts";

export interface FoundInFile {
  readonly entries: number;
  readonly uuid: string;
}

const kept = z.object({
  source: z.string(),
  tree: z.string(),
  bytes: z.number(),
  modifiedMs: z.number(),
  entries: z.number().int().nonnegative(),
  uuid: z.string(),
});

/** A cache that cannot be read or written is no cache: nothing fails for it. */
export class PreprocessCache {
  constructor(private readonly folder: string = join(cacheFolder(), "preprocessed")) {}

  /** Of a file that looks like this now; `null`: it has to be opened. */
  async find({ source, tree }: InputFile, stamp: Stamp): Promise<FoundInFile | null> {
    try {
      const text = await Deno.readTextFile(this.#pathOf(source, tree));
      const { data } = kept.safeParse(JSON.parse(text));
      if (data === undefined || data.source !== source || data.tree !== tree) return null;
      const same = data.bytes === stamp.bytes && data.modifiedMs === stamp.modifiedMs;
      return same ? { entries: data.entries, uuid: data.uuid } : null;
    } catch {
      return null;
    }
  }

  /** `stamp`: of the file before it was looked at. */
  async keep({ source, tree }: InputFile, found: FoundInFile, stamp: Stamp): Promise<void> {
    const path = this.#pathOf(source, tree);
    const partial = `${path}.${crypto.randomUUID()}.partial`;
    try {
      await Deno.mkdir(this.folder, { recursive: true, mode: 0o700 });
      const told = { source, tree, ...stamp, entries: found.entries, uuid: found.uuid };
      await Deno.writeTextFile(partial, JSON.stringify(told), { mode: 0o600 });
      await Deno.rename(partial, path);
    } catch {
      await Deno.remove(partial).catch(() => {});
    }
  }

  #pathOf(source: string, tree: string): string {
    return `${this.folder}/${sha256(`${source}\0${tree}`).slice(0, 32)}.json`;
  }
}
