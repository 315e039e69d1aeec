/** Local files of listed tasks: what is there to be sent, and where outputs will go. */
import { access, constants, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "../core/errors.ts";
import type { Found } from "../core/tasklist/build.ts";
import type { ListedSource, ListedTask } from "../core/tasklist/spec.ts";
import { nearestFile } from "./source_file.ts";

export type PathSource = Extract<ListedSource, { kind: "path" }>;

export type Looked =
  | { readonly kind: "found"; readonly found: Found }
  /** It may still come to be. */
  | { readonly kind: "missing" }
  | { readonly kind: "unusable"; readonly why: string };

/** Looks for an input, and whether it may be read and is what the list says it is. */
export async function lookAt({ path, as, written }: PathSource): Promise<Looked> {
  const unusable = (why: string): Looked => ({ kind: "unusable", why });
  try {
    const info = await stat(path);
    const kind = info.isFile() ? "file" : info.isDirectory() ? "directory" : null;
    if (kind === null) return unusable(`"${written}" is neither a file nor a folder`);
    if (as === "file" && kind === "directory") {
      return unusable(`"${written}" is a folder: write {dir: ${written}}`);
    }
    if (as === "directory" && kind === "file") {
      return unusable(`"${written}" is a file: write {file: ${written}}`);
    }
    await access(path, kind === "file" ? constants.R_OK : constants.R_OK | constants.X_OK);
    return { kind: "found", found: { kind, version: `${info.size} ${info.mtimeMs}` } };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
    return unusable(
      `cannot read "${written}": ${code === "EACCES" ? "permission denied" : messageOf(error)}`,
    );
  }
}

/** Why an input that is missing cannot be used, with a name that may be meant. */
export async function describeMissing({ path, as, written }: PathSource): Promise<string> {
  const what = as === "any" ? "file or folder" : as === "directory" ? "folder" : "file";
  return `there is no ${what} "${written}"${await nearestFile(path, written)}`;
}

/**
 * Makes a task ready to be sent: looks at its inputs and makes the folders of its outputs.
 * Returns what was found by path, or why the task cannot be sent.
 */
export async function prepareFiles(task: ListedTask): Promise<ReadonlyMap<string, Found> | string> {
  if (task.inputs.length === 0 && task.outputs.length === 0) return nothing;
  const found = new Map<string, Found>();
  for (const { source } of task.inputs) {
    if (source.kind !== "path" || found.has(source.path)) continue;
    const looked = await lookAt(source);
    if (looked.kind === "missing") return await describeMissing(source);
    if (looked.kind === "unusable") return looked.why;
    found.set(source.path, looked.found);
  }
  for (const { path } of task.outputs) {
    try {
      await mkdir(dirname(path), { recursive: true });
    } catch (error) {
      return `cannot make the folder of its output "${path}": ${messageOf(error)}`;
    }
  }
  return found;
}

const nothing: ReadonlyMap<string, Found> = new Map();
