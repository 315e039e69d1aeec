/** A Python project of this machine, told apart by its content. */
import { createHash } from "node:crypto";
import { RunError } from "../core/errors.ts";

/** What builds, tests and tools leave in a working copy. */
const leftOut =
  /^(?:\.git|\.hg|\.svn|\.tox|\.nox|\.venv|venv|\.mypy_cache|\.pytest_cache|\.ruff_cache|__pycache__|build|dist|node_modules|\.ipynb_checkpoints|.*\.egg-info|.*\.pyc)$/;

/** A working copy with more is none, but somebody's home. */
const filesMax = 50_000;

export interface ProjectHashes {
  /** Of all files that may be installed. */
  readonly all: string;
  /** Of those that say what it depends on. */
  readonly description: string;
}

const describing = /^(?:pyproject\.toml|setup\.py|setup\.cfg|requirements[^/]*\.txt)$/;

/** Hashes names, modes and contents; throws a RunError if it is no project. */
export async function hashProject(folder: string, signal: AbortSignal): Promise<ProjectHashes> {
  const paths = await listFiles(folder, signal);
  if (!paths.some((path) => /^(?:pyproject\.toml|setup\.py|setup\.cfg)$/.test(path))) {
    throw new RunError(
      `Cannot install ${folder}: there is no pyproject.toml and no setup.py in it`,
    );
  }
  const all = createHash("sha256"), description = createHash("sha256");
  for (const path of paths) {
    signal.throwIfAborted();
    const full = `${folder}/${path}`;
    const info = await Deno.lstat(full);
    const bytes = info.isSymlink
      ? new TextEncoder().encode(await Deno.readLink(full))
      : await Deno.readFile(full);
    const head = `${path}\0${(info.mode ?? 0) & 0o111 ? "x" : "-"}\0${bytes.length}\0`;
    all.update(head).update(bytes);
    if (describing.test(path)) description.update(head).update(bytes);
  }
  return { all: all.digest("hex"), description: description.digest("hex") };
}

async function listFiles(folder: string, signal: AbortSignal): Promise<string[]> {
  const found: string[] = [];
  const folders = [""];
  for (let inside = folders.pop(); inside !== undefined; inside = folders.pop()) {
    signal.throwIfAborted();
    for await (const { name, isDirectory, isFile, isSymlink } of entriesOf(folder, inside)) {
      if (leftOut.test(name)) continue;
      const path = inside === "" ? name : `${inside}/${name}`;
      if (isDirectory) folders.push(path);
      else if (isFile || isSymlink) found.push(path);
    }
    if (found.length > filesMax) {
      throw new RunError(`Cannot install ${folder}: it has more than ${filesMax} files`);
    }
  }
  return found.sort();
}

function entriesOf(folder: string, inside: string): AsyncIterable<Deno.DirEntry> {
  return Deno.readDir(inside === "" ? folder : `${folder}/${inside}`);
}
