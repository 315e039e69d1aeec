/**
 * Inputs as tasks name them in the caches of workers. Names consist of plain characters only, which
 * every rule of the wire leaves as they are, and follow Work Queue's pattern KIND-OWNER-HASH-NAME.
 */
import { createHash } from "node:crypto";
import type { TaskInput } from "./scheduler/tasks.ts";

/** Owner of inputs that stay in the cache for all tasks; the others belong to one task. */
export const shared = "0";

/** Of the last component of a path, kept for people who look into a cache; characters. */
const baseNameMax = 60;

export interface InputOptions {
  readonly sandboxName: string;
  /** {@link shared}, or a word that no other task has. */
  readonly owner: string;
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/**
 * A file is known by its path, as Work Queue does it: nobody may change it during the run, unless
 * `version` changes with it.
 */
export function fileInput(
  path: string,
  options: InputOptions & { readonly kind?: "file" | "directory"; readonly version?: string },
): TaskInput {
  const { kind = "file", version = "", owner } = options;
  return inputOf({ kind, path }, fileCacheName(path, owner, version), options);
}

/** Also for outputs, by the local path that receives them. */
export function fileCacheName(path: string, owner: string, version = ""): string {
  const hashed = version === "" ? path : `${path}\n${version}`;
  return `file-${owner}-${md5(hashed)}-${plain(baseName(path))}`;
}

/** A buffer is known by what is in it; `mode` is that of the file it becomes. */
export function bufferInput(bytes: Uint8Array, options: InputOptions, mode = 0o644): TaskInput {
  const cacheName = `buffer-${options.owner}-${md5(bytes)}-${plain(baseName(options.sandboxName))}`;
  return inputOf({ kind: "buffer", bytes, mode }, cacheName, options);
}

export function urlInput(url: string, options: InputOptions): TaskInput {
  return inputOf({ kind: "url", url }, `url-${options.owner}-${md5(url)}`, options);
}

/** A command that makes the file on the worker is known by its text. */
export function commandInput(command: string, options: InputOptions): TaskInput {
  return inputOf({ kind: "command", command }, `cmd-${options.owner}-${md5(command)}`, options);
}

/** A part of a file is known by the path of the file and where it begins and ends. */
export function pieceInput(
  path: string,
  range: { readonly first: number; readonly last: number },
  options: InputOptions,
): TaskInput {
  const part = `piece ${range.first} ${range.last}`;
  return inputOf(
    { kind: "piece", path, ...range },
    fileCacheName(path, options.owner, part),
    options,
  );
}

/** Nothing is sent; the name is that of an object which no cache holds. */
export function emptyDirectoryInput(options: InputOptions): TaskInput {
  const cacheName = `dir-${options.owner}-${md5(options.sandboxName)}`;
  return inputOf({ kind: "empty directory" }, cacheName, options);
}

/** Of wqx itself, for all tasks on a worker. */
export const wqxCacheName = "wqx";

/** wqx itself, for workers that are not of wqx. */
export function wqxInput(source: TaskInput["source"], sandboxName = "wqx"): TaskInput {
  return { source, cacheName: wqxCacheName, sandboxName, cache: true, onlyForeign: true };
}

function inputOf(
  source: TaskInput["source"],
  cacheName: string,
  { sandboxName, owner }: InputOptions,
): TaskInput {
  return { source, cacheName, sandboxName, cache: owner === shared };
}

const md5 = (data: string | Uint8Array) => createHash("md5").update(data).digest("hex");
const plain = (name: string) => name.replaceAll(/[^A-Za-z0-9._-]/g, "_").slice(-baseNameMax);
