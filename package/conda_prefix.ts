/** Reads what a conda prefix, or the site-packages of any Python, says about its packages. */
import { createHash } from "node:crypto";
import { messageOf, RunError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { distInfoName, editableSource, recordedPaths } from "../core/package/dist_info.ts";
import type { CondaPackage, PackageFile, PrefixEntry } from "../core/package/pack_plan.ts";
import { defaultPlaceholder } from "../core/package/placeholder.ts";
import { normalizedName } from "../core/package/requirement.ts";

/** A prefix as its records tell of it. */
export interface CondaPrefix {
  readonly packages: readonly CondaPackage[];
  /** Of its Python; null without one. */
  readonly sitePackages: string | null;
}

/**
 * Reads `conda-meta`. `cache`: a folder of extracted packages, for records that name none. Throws
 * RunError for what is no conda prefix and for a record that cannot be read.
 */
export function readCondaPrefix(
  prefix: string,
  entries: readonly PrefixEntry[],
  cache?: string,
): CondaPrefix {
  const recordPaths = entries.map(({ path }) => path)
    .filter((path) => /^conda-meta\/[^/]+\.json$/.test(path)).sort();
  const records = recordPaths.map((path) => ({ path, record: readRecord(`${prefix}/${path}`) }));
  const python = records.find(({ record }) => record.name === "python")?.record;
  const told = typeof python?.python_site_packages_path === "string"
    ? python.python_site_packages_path
    : null;
  const [, minor] = /^(\d+\.\d+)/.exec(String(python?.version ?? "")) ?? [];
  const sitePackages = told ?? (minor === undefined ? null : `lib/python${minor}/site-packages`);
  const paths = new Set(entries.map(({ path }) => path));
  const packages = records.filter(({ record }) => Array.isArray(record.files))
    .map(({ path, record }) => readPackage(prefix, path, record, paths, cache));
  return { packages, sitePackages };
}

type Json = Readonly<Record<string, unknown>>;

function readRecord(path: string): Json {
  const value = readJsonIfThere(path);
  if (!isRecord(value)) throw new RunError(`Cannot read ${path}: it is no record of a package`);
  return value;
}

/** `null` where there is no such file. */
function readJsonIfThere(path: string): unknown {
  try {
    return JSON.parse(readIfThere(path) ?? "null");
  } catch (error) {
    throw new RunError(`Cannot read ${path}: ${messageOf(error)}; is the environment damaged?`);
  }
}

function readPackage(
  prefix: string,
  recordPath: string,
  record: Json,
  there: ReadonlySet<string>,
  cache: string | undefined,
): CondaPackage {
  const files = (record.files as unknown[]).filter((file) => typeof file === "string");
  const data = isRecord(record.paths_data) ? record.paths_data.paths : null;
  const installed = packageFiles(data);
  const stem = recordPath.slice("conda-meta/".length, -".json".length);
  const link = isRecord(record.link) ? String(record.link.source ?? "") : "";
  const folders = [link, ...(cache === undefined ? [] : [`${cache}/${stem}`])];
  const folder = folders.find((one) => one.startsWith("/") && isFolder(`${one}/info`));
  const original = folder === undefined ? null : readOriginal(folder);
  return {
    name: String(record.name),
    version: String(record.version),
    recordPath,
    files,
    installed: new Map(installed.map((file) => [file.path, file])),
    original,
    isNoarchPython: folder !== undefined && isNoarchPython(folder),
    isReplaced: isReplaced(prefix, files, installed, there),
  };
}

function packageFiles(list: unknown): PackageFile[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    if (!isRecord(entry) || typeof entry._path !== "string") return [];
    const { prefix_placeholder: placeholder, file_mode: mode, sha256 } = entry;
    return [{
      path: entry._path,
      ...(typeof placeholder === "string" && placeholder !== "" &&
        { placeholder, mode: mode === "binary" ? "binary" as const : "text" as const }),
      ...(typeof sha256 === "string" && { sha256: sha256.toLowerCase() }),
    }];
  });
}

/** Files of an extracted package, by `paths.json`, else by the lists of older packages. */
function readOriginal(folder: string): CondaPackage["original"] {
  const told = readJsonIfThere(`${folder}/info/paths.json`);
  if (told !== null) return { folder, files: packageFiles(isRecord(told) ? told.paths : null) };
  const names = readIfThere(`${folder}/info/files`)?.split("\n").filter((name) => name !== "");
  if (names === undefined) return null;
  const marked = new Map(
    (readIfThere(`${folder}/info/has_prefix`) ?? "").split("\n").filter((line) => line !== "")
      .map((line) => hasPrefixEntry(line)).map((file) => [file.path, file]),
  );
  return { folder, files: names.map((path) => marked.get(path) ?? { path }) };
}

/** `PLACEHOLDER MODE PATH`, each perhaps in quotes, or a bare path. */
function hasPrefixEntry(line: string): PackageFile {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((found) => found[1] ?? found[2]!);
  const [placeholder, mode, path] = words;
  return path === undefined || placeholder === undefined
    ? { path: words[0] ?? "", placeholder: defaultPlaceholder, mode: "text" }
    : { path, placeholder, mode: mode === "binary" ? "binary" : "text" };
}

function isNoarchPython(folder: string): boolean {
  const told = readJsonIfThere(`${folder}/info/link.json`) ??
    readJsonIfThere(`${folder}/info/package_metadata.json`);
  return isRecord(told) && isRecord(told.noarch) && told.noarch.type === "python";
}

/** Whether the list of files in the prefix is no longer the one that conda put there. */
function isReplaced(
  prefix: string,
  files: readonly string[],
  installed: readonly PackageFile[],
  there: ReadonlySet<string>,
): boolean {
  const path = files.find((file) => /\/site-packages\/[^/]+\.dist-info\/RECORD$/.test(file));
  if (path === undefined) return false;
  if (there.has(path)) {
    const sha256 = installed.find((file) => file.path === path)?.sha256;
    if (sha256 === undefined) return false;
    const now = createHash("sha256").update(Deno.readFileSync(`${prefix}/${path}`)).digest("hex");
    return now !== sha256;
  }
  const [, folder = "", own = ""] = /^(.*)\/([^/]+)\/RECORD$/.exec(path) ?? [];
  const name = distInfoName(own)?.name;
  if (name === undefined) return false;
  return [...there].some((other) => {
    const found = /^(.*)\/([^/]+)\/RECORD$/.exec(other);
    if (found === null || found[1] !== folder) return false;
    const theirs = distInfoName(found[2]!)?.name;
    return theirs !== undefined && normalizedName(theirs) === normalizedName(name);
  });
}

/** Python packages of a site-packages folder: the package of every file, and the editable ones. */
export interface SitePackages {
  readonly owners: ReadonlyMap<string, string>;
  readonly editable: readonly { readonly name: string; readonly source: string }[];
}

/** Reads the `*.dist-info` folders, and what older tools left for editable packages. */
export function readSitePackages(
  prefix: string,
  sitePackages: string,
  entries: readonly PrefixEntry[],
): SitePackages {
  const owners = new Map<string, string>();
  const editable = new Map<string, { name: string; source: string }>();
  const add = (name: string, source: string) => {
    const key = normalizedName(name);
    if (!editable.has(key)) editable.set(key, { name, source });
  };
  for (const { path } of entries) {
    if (!path.startsWith(`${sitePackages}/`)) continue;
    const [folder = "", file, ...deeper] = path.slice(sitePackages.length + 1).split("/");
    const whole = `${prefix}/${path}`;
    const info = distInfoName(folder);
    if (file !== undefined && deeper.length === 0 && info !== null) {
      if (file === "RECORD") {
        for (const owned of recordedPaths(Deno.readTextFileSync(whole), sitePackages)) {
          owners.set(owned, info.name);
        }
      } else if (file === "direct_url.json") {
        const source = editableSource(Deno.readTextFileSync(whole));
        if (source !== null) add(info.name, source);
      }
    } else if (file === undefined) {
      const [, finder] = /^__editable__\.(.+?)-[^-]+\.pth$/.exec(folder) ?? [];
      if (finder !== undefined) add(finder, "its working copy");
      const [, linked] = /^(.+)\.egg-link$/.exec(folder) ?? [];
      if (linked !== undefined) {
        add(linked, Deno.readTextFileSync(whole).split("\n")[0]!.trim());
      }
    }
  }
  return { owners, editable: [...editable.values()] };
}

function readIfThere(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Whether there is a folder of that name. */
export function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
