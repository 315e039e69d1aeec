/**
 * Which files of an environment go into its archive, and how: those of conda packages as the
 * packages had them, with their placeholders; all others as they are in the prefix, where the path
 * of the prefix itself gives way to a placeholder.
 */
import { isRecord } from "../is_record.ts";
import { type CompiledFilter, passes } from "./fnmatch.ts";
import { condaUnpackPath, type Relocation, relocationsPath } from "./relocations.ts";

/** Something in a prefix, by its path from there. */
export interface PrefixEntry {
  readonly path: string;
  /** Folders are told where they are empty. */
  readonly kind: "file" | "link" | "folder";
}

/** A file as its package has it. */
export interface PackageFile {
  readonly path: string;
  readonly placeholder?: string;
  readonly mode?: Relocation["mode"];
  /** Lower-case hex. */
  readonly sha256?: string;
}

/** What `conda-meta/NAME.json` tells, and what the extracted package does where it still is. */
export interface CondaPackage {
  readonly name: string;
  readonly version: string;
  /** `conda-meta/NAME-VERSION-BUILD.json`. */
  readonly recordPath: string;
  /** As installed. */
  readonly files: readonly string[];
  /** By installed path, from `paths_data`. */
  readonly installed: ReadonlyMap<string, PackageFile>;
  /** The extracted package by paths in it, or null where it is gone. */
  readonly original: { readonly folder: string; readonly files: readonly PackageFile[] } | null;
  readonly isNoarchPython: boolean;
  /** pip put its own files in the place of these. */
  readonly isReplaced: boolean;
}

/** How the content comes about. */
export type Treatment =
  | { readonly type: "as-is" }
  /** Holds this placeholder already: an original. */
  | { readonly type: "recorded"; readonly relocation: Relocation }
  /** Holds the prefix in the placeholder's place; the original has this hash. */
  | { readonly type: "restore"; readonly relocation: Relocation; readonly sha256: string }
  /** May hold the prefix. */
  | { readonly type: "search" }
  /** A record of conda, which names folders of the machine that built. */
  | { readonly type: "conda-record" };

export interface PlannedFile {
  readonly path: string;
  /** Absolute. */
  readonly source: string;
  readonly treatment: Treatment;
  /** Package that it belongs to. */
  readonly owner: string | null;
}

export interface PackPlan {
  /** By path. */
  readonly files: readonly PlannedFile[];
  /** Files of conda packages that are not there: `PACKAGE: PATH`. */
  readonly missing: readonly string[];
  readonly warnings: readonly string[];
}

export interface PackInput {
  /** Absolute. */
  readonly prefix: string;
  readonly entries: readonly PrefixEntry[];
  readonly packages: readonly CondaPackage[];
  /** Names of packages that are not conda's, by path. */
  readonly owners: ReadonlyMap<string, string>;
  /** `lib/python3.11/site-packages`, or null without Python. */
  readonly sitePackages: string | null;
  readonly filters: readonly CompiledFilter[];
}

/** At the top of a conda installation: caches and other environments. */
const skippedAtTop = new Set([
  ...["pkgs", "envs", "conda-bld", ".conda_lock", "users", "conda-recipes", ".index"],
  ...[".unionfs", ".nonadmin", "python.app", "Launcher.app"],
]);

/** Written by wqx itself, whatever the environment has under these names. */
export const ownPaths: ReadonlySet<string> = new Set([
  ...["bin/activate", "bin/deactivate", "bin/activate.fish", "bin/poncho_package_run"],
  ...["bin/run_in_env", "bin/conda_unpack_progress.py", condaUnpackPath, relocationsPath],
]);

/** Decides for every file of a prefix. */
export function planPack(input: PackInput): PackPlan {
  const { prefix, packages, sitePackages, filters } = input;
  const entries = input.entries.filter(({ path }) => !isSkipped(path));
  const there = new Set(entries.map(({ path }) => path));
  const planned = new Map<string, PlannedFile>();
  const managed = new Set<string>();
  const missing: string[] = [];
  const warnings: string[] = [];
  const clashes: string[] = [];
  const dropped = new Set<string>();

  for (const one of packages) {
    const { name, version } = one;
    if (one.isReplaced) {
      dropped.add(one.recordPath);
      warnings.push(
        `${name} ${version} of conda was replaced by pip: pip's files are packed, and conda's ` +
          "record is left out; leave it to one of the two in the specification",
      );
      continue;
    }
    for (const file of targets(one, sitePackages)) {
      managed.add(file.path);
      if (ownPaths.has(file.path)) continue;
      if (!there.has(file.path)) {
        if (passes(file.path, filters)) missing.push(`${name}: ${file.path}`);
        continue;
      }
      if (planned.has(file.path)) clashes.push(file.path);
      const source = file.source ?? `${prefix}/${file.path}`;
      planned.set(file.path, { ...file, source, owner: name });
    }
  }
  if (clashes.length > 0) {
    warnings.push(`Two packages have the same file, the later one is packed: ${few(clashes)}`);
  }
  const gone = packages.filter((one) => one.original === null && needsOriginal(one));
  if (gone.length > 0) {
    warnings.push(
      `The extracted packages of ${few(gone.map(({ name }) => name))} are gone from the package ` +
        "cache: their files are taken from the prefix",
    );
  }

  for (const { path } of entries) {
    if (planned.has(path) || ownPaths.has(path) || path === "bin/conda") continue;
    if (dropped.has(path)) continue;
    const python = sourceOfByteCode(path);
    // Of a source that is packed as its package had it, it may not be the byte code.
    if (python !== null && (managed.has(python) || !there.has(python))) continue;
    const source = `${prefix}/${path}`;
    const isRecord = /^conda-meta\/[^/]+\.json$/.test(path);
    const treatment: Treatment = isRecord ? { type: "conda-record" } : { type: "search" };
    planned.set(path, { path, source, treatment, owner: input.owners.get(path) ?? null });
  }
  const files = [...planned.values()].filter(({ path }) => passes(path, filters))
    .sort((a, b) => a.path < b.path ? -1 : 1);
  return { files, missing, warnings };
}

function isSkipped(path: string): boolean {
  const [top = ""] = path.split("/");
  return skippedAtTop.has(top) || /(?:~|\.DS_Store)$/i.test(path);
}

/** `lib/x/__pycache__/a.cpython-311.pyc` → `lib/x/a.py`; null for what is no byte code. */
export function sourceOfByteCode(path: string): string | null {
  const found = /^(.*\/)?__pycache__\/([^/]+?)\.[^/.]+(?:\.opt-\d)?\.pyc$/.exec(path);
  return found === null ? null : `${found[1] ?? ""}${found[2]}.py`;
}

interface Target {
  readonly path: string;
  readonly source?: string;
  readonly treatment: Treatment;
}

/** Files of a package at their installed paths. */
function targets(one: CondaPackage, sitePackages: string | null): Target[] {
  const fromOriginal = new Map<string, Target>();
  for (const file of one.original?.files ?? []) {
    const path = one.isNoarchPython ? noarchTarget(file.path, sitePackages) : file.path;
    fromOriginal.set(path, {
      path,
      source: `${one.original!.folder}/${file.path}`,
      treatment: file.placeholder === undefined
        ? { type: "as-is" }
        : { type: "recorded", relocation: relocationOf(path, file) },
    });
  }
  const others = one.files.filter((path) => !fromOriginal.has(path)).map((path): Target => {
    const file = one.installed.get(path);
    return {
      path,
      treatment: file?.placeholder !== undefined && file.sha256 !== undefined
        ? { type: "restore", relocation: relocationOf(path, file), sha256: file.sha256 }
        : { type: "search" },
    };
  });
  return [...fromOriginal.values(), ...others];
}

function relocationOf(path: string, { placeholder = "", mode = "text" }: PackageFile): Relocation {
  return { path, placeholder, mode };
}

function noarchTarget(path: string, sitePackages: string | null): string {
  if (sitePackages !== null && path.startsWith("site-packages/")) {
    return sitePackages + path.slice("site-packages".length);
  }
  return path.startsWith("python-scripts/") ? `bin${path.slice("python-scripts".length)}` : path;
}

/** Whether anything in it may have been changed by its installation without our knowing how. */
function needsOriginal(one: CondaPackage): boolean {
  return one.files.length > 0 && one.installed.size === 0;
}

/** The first of many names. */
export function few(names: readonly string[]): string {
  const [shown, rest] = [names.slice(0, 5), names.length - 5];
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/**
 * A record of `conda-meta` without the folders of the machine that it was made on, as conda-pack
 * leaves it: keys in order.
 */
export function portableRecord(text: string): string {
  const record: unknown = JSON.parse(text);
  if (!isRecord(record)) return text;
  const link = isRecord(record.link) ? { link: { ...record.link, source: "" } } : {};
  const portable = {
    ...record,
    ...link,
    ...("extracted_package_dir" in record && { extracted_package_dir: "" }),
    ...("package_tarball_full_path" in record && { package_tarball_full_path: "" }),
  };
  return JSON.stringify(sorted(portable), null, 1);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value).sort().map((key) => [key, sorted(value[key])]),
  );
}
