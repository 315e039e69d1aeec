/**
 * Tries an archive out: unpacks it at a place where it never was, and imports every top-level module
 * with its own interpreter.
 */
import { resolve } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { condaUnpackPath } from "../core/package/relocations.ts";
import { runProgram } from "./programs.ts";
import importCheck from "./scripts/import_check.py" with { type: "text" };
import { unpackEnvironment } from "./unpack.ts";

export interface CheckReport {
  /** Modules that were imported. */
  readonly imported: readonly string[];
  readonly failures: readonly {
    readonly module: string;
    /** Last line of the error. */
    readonly why: string;
  }[];
}

export interface CheckOptions {
  /** Prefix that was packed: a module that still uses files of it fails. */
  readonly original?: string;
  /** Folder to unpack below; the system's for temporary files without. */
  readonly folder?: string;
  readonly signal?: AbortSignal;
}

/** What poncho_package_run uses of an archive, whoever made it. */
const needed = ["bin/activate", condaUnpackPath];

/**
 * Unpacks, imports, and removes what it unpacked. Throws RunError where the archive does not unpack,
 * lacks something that every archive has, or its Python does not start.
 */
export async function checkArchive(
  archive: string,
  { original, folder, signal = new AbortController().signal }: CheckOptions = {},
): Promise<CheckReport> {
  const place = await Deno.makeTempDir({ prefix: "wqx-check-", ...folder && { dir: folder } });
  try {
    const prefix = `${await Deno.realPath(place)}/moved`;
    await unpackEnvironment(resolve(archive), prefix, { signal });
    for (const path of needed) await expectFile(archive, prefix, path);
    const python = `${prefix}/bin/python`;
    // Without Python there is nothing to import.
    if (!await isThere(python)) return { imported: [], failures: [] };
    const script = `${place}/import_check.py`;
    await Deno.writeTextFile(script, importCheck);
    // Nothing of this machine's settings: a worker has none of them.
    const env = { PATH: `${prefix}/bin:/usr/bin:/bin`, HOME: place, CONDA_PREFIX: prefix };
    const args = original === undefined ? [] : [resolve(original)];
    const { code, stdout, stderr } = await runProgram([python, "-s", script, ...args], {
      cwd: place,
      env,
      signal,
    });
    if (code !== 0) {
      const last = stderr.trim().split("\n").at(-1) || `it ends with code ${code}`;
      throw new RunError(`Python of ${archive} does not run at another place: ${last}`);
    }
    return reportOf(stdout);
  } finally {
    await Deno.remove(place, { recursive: true }).catch((error) => {
      throw new RunError(`Cannot remove ${place}: ${messageOf(error)}`);
    });
  }
}

function reportOf(lines: string): CheckReport {
  const outcomes = lines.split("\n").filter((line) => line !== "").map((line) => {
    const [module, why] = JSON.parse(line) as [string, string | null];
    return { module, why };
  });
  return {
    imported: outcomes.filter(({ why }) => why === null).map(({ module }) => module),
    failures: outcomes.flatMap(({ module, why }) => why === null ? [] : [{ module, why }]),
  };
}

async function expectFile(archive: string, prefix: string, path: string): Promise<void> {
  if (await isThere(`${prefix}/${path}`)) return;
  throw new RunError(`${archive} is no environment that workers take: it has no ${path}`);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
