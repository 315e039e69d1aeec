/** The files of a prefix, as they are: for telling what a step changed, and for sizes. */
import type { FileState } from "../core/package/layers.ts";

export interface PrefixFile extends FileState {
  /** As stored; of a link, its own. */
  readonly bytes: number;
}

/** Files looked at before others get their turn; a prefix has tens of thousands. */
const filesAtOnce = 2000;

/** Files and links of a folder by their paths from it; folders where they are empty. */
export async function prefixFiles(
  prefix: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, PrefixFile>> {
  const found = new Map<string, PrefixFile>();
  const folders = [""];
  let looked = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    let isEmpty = true;
    for (const { name, isDirectory } of Deno.readDirSync(`${prefix}/${folder}`)) {
      isEmpty = false;
      const path = folder === "" ? name : `${folder}/${name}`;
      if (isDirectory) {
        folders.push(path);
        continue;
      }
      const info = Deno.lstatSync(`${prefix}/${path}`);
      const target = info.isSymlink ? Deno.readLinkSync(`${prefix}/${path}`) : "";
      found.set(path, {
        bytes: info.size,
        stamp: `${info.size} ${info.ino} ${info.mtime?.getTime()} ${target}`,
      });
      if (++looked % filesAtOnce !== 0) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      signal?.throwIfAborted();
    }
    if (isEmpty && folder !== "") found.set(folder, { bytes: 0, stamp: "empty folder" });
  }
  return found;
}
