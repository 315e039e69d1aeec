/** What is in a folder, for packing. */
import type { PrefixEntry } from "../core/package/pack_plan.ts";

/** Entries read before others get their turn; a prefix has tens of thousands. */
const entriesAtOnce = 5000;

/** Files, links and empty folders by their paths from the folder, in order; links are not followed. */
export async function listFolder(folder: string, signal?: AbortSignal): Promise<PrefixEntry[]> {
  const found: PrefixEntry[] = [];
  const folders = [""];
  let read = 0;
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    let isEmpty = true;
    for (const { name, isDirectory, isSymlink, isFile } of Deno.readDirSync(`${folder}/${at}`)) {
      isEmpty = false;
      const path = at === "" ? name : `${at}/${name}`;
      if (isDirectory) folders.push(path);
      else if (isSymlink || isFile) found.push({ path, kind: isSymlink ? "link" : "file" });
      if (++read % entriesAtOnce !== 0) continue;
      await new Promise((resolve) => setTimeout(resolve, 0));
      signal?.throwIfAborted();
    }
    if (isEmpty && at !== "") found.push({ path: at, kind: "folder" });
  }
  return found.sort((a, b) => a.path < b.path ? -1 : 1);
}
