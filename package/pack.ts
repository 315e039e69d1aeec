/** Packs a conda prefix: one that conda or mamba made, or wqx itself. */
import { resolve } from "node:path";
import { RunError, UsageError } from "../core/errors.ts";
import { type ArchiveFormat, formatOf, levels } from "../core/package/archive_format.ts";
import { compileFilters } from "../core/package/fnmatch.ts";
import { few, planPack } from "../core/package/pack_plan.ts";
import { isFolder, readCondaPrefix, readSitePackages } from "./conda_prefix.ts";
import { listFolder } from "./listing.ts";
import { examine, type PackReport, writeMembers } from "./pack_members.ts";

export type { PackReport } from "./pack_members.ts";

export interface PackOptions {
  /** Of compression; the format's usual one without. */
  readonly level?: number;
  /** By the name of the archive without. */
  readonly format?: ArchiveFormat;
  /** Patterns of files to leave out, and of those among them to take all the same. */
  readonly exclude?: readonly string[];
  readonly include?: readonly string[];
  /** Pack editable packages as they are: links into a folder that workers do not have. */
  readonly ignoreEditable?: boolean;
  /** Go on without files that packages should have and that are gone. */
  readonly ignoreMissing?: boolean;
  /** Folder of extracted conda packages, for records that name none. */
  readonly cache?: string;
  /** Told bytes of files that are in the archive, and those that will be. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes an archive of the prefix to `out`. Throws RunError for what is no conda prefix, for files
 * that are missing and packages that cannot be moved, UsageError for options that cannot be.
 */
export async function packPrefix(
  prefix: string,
  out: string,
  options: PackOptions = {},
): Promise<PackReport> {
  const folder = resolve(prefix);
  const writing = writeOptions(out, options);
  const filters = filtersOf(options);
  if (!isFolder(`${folder}/conda-meta`)) {
    const isVenv = isFolder(folder) && existsSync(`${folder}/pyvenv.cfg`);
    throw new RunError(
      isVenv
        ? `${folder} is a virtual environment of Python: pack it with --from-venv`
        : `${folder} is no conda environment: it has no folder conda-meta`,
    );
  }
  const entries = await listFolder(folder, options.signal);
  const { packages, sitePackages } = readCondaPrefix(folder, entries, options.cache);
  const python = sitePackages === null
    ? { owners: new Map<string, string>(), editable: [] }
    : readSitePackages(folder, sitePackages, entries);
  const warnings = editableWarnings(python.editable, options.ignoreEditable === true);
  const plan = planPack({
    prefix: folder,
    entries,
    packages,
    owners: python.owners,
    sitePackages,
    filters,
  });
  if (plan.missing.length > 0) {
    if (options.ignoreMissing !== true) {
      throw new RunError(
        `Files of conda packages are gone from ${folder}: ${few(plan.missing)}; install these ` +
          "packages again, or pack without them by --ignore-missing-files",
      );
    }
    warnings.push(`Packed without files that conda packages should have: ${few(plan.missing)}`);
  }
  return await writeMembers(resolve(out), async () => {
    const examined = await examine(plan.files, {
      prefixes: spellings(folder),
      ...options.signal && { signal: options.signal },
    });
    return { ...examined, warnings: [...warnings, ...plan.warnings, ...examined.warnings] };
  }, writing);
}

/** What is written how, checked. */
export function writeOptions(
  out: string,
  { level, format = formatOf(out), onProgress, signal }: PackOptions,
): Parameters<typeof writeMembers>[2] {
  const { min, max, usual } = levels[format];
  const chosen = level ?? usual;
  if (!Number.isInteger(chosen) || (chosen < min || chosen > max) && format !== "tar") {
    throw new UsageError(
      `Cannot compress .${format} at level ${chosen}: levels go from ${min} to ${max}`,
    );
  }
  return {
    format,
    level: chosen,
    ...onProgress && { onProgress },
    ...signal && { signal },
  };
}

export function filtersOf({ exclude = [], include = [] }: PackOptions): ReturnType<
  typeof compileFilters
> {
  return compileFilters([
    ...exclude.map((pattern) => ({ kind: "exclude" as const, pattern })),
    ...include.map((pattern) => ({ kind: "include" as const, pattern })),
  ]);
}

/** Editable packages are refused, or warned about. */
export function editableWarnings(
  editable: readonly { readonly name: string; readonly source: string }[],
  isIgnored: boolean,
): string[] {
  if (editable.length === 0) return [];
  const named = few(editable.map(({ name, source }) => `${name} (${source})`));
  if (isIgnored) {
    return [`Workers will not find these packages, installed as editable: ${named}`];
  }
  throw new RunError(
    `Packages are installed as editable, and their files lie elsewhere: ${named}; install them ` +
      'with "pip install PATH" without -e, or pack without them by --ignore-editable-packages',
  );
}

/** A folder as given and without links. */
export function spellings(folder: string): string[] {
  return [...new Set([folder, Deno.realPathSync(folder)])];
}

function existsSync(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
