/**
 * `conda-meta/STEM.json` of a prefix: what is installed, from where, and which files it owns. Other
 * tools (conda, conda-pack, rattler) read it, so names and spellings are theirs.
 */
import { RunError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import type { FileMode } from "./link_paths.ts";
import type { PackageRecord } from "./record.ts";

/** A file of the prefix. */
export interface InstalledPath {
  /** Relative to the prefix. */
  readonly path: string;
  /** In the package, where it differs. */
  readonly original?: string;
  readonly type: "hardlink" | "softlink" | "directory" | "unix_python_entry_point" | "pyc_file";
  readonly sha256?: string;
  /** After the placeholder was replaced. */
  readonly sha256InPrefix?: string;
  readonly size?: number;
  readonly placeholder?: { readonly text: string; readonly mode: FileMode };
  readonly noLink: boolean;
}

/** How the files of a package came into a prefix, as conda numbers it. */
export const linkTypes = { hard: 1, soft: 2, copy: 3 } as const;

/** What is known of one installed package. */
export interface InstalledPackage {
  readonly record: PackageRecord;
  readonly paths: readonly InstalledPath[];
  /** Folder of the extracted package, absolute. */
  readonly source: string;
  /** The downloaded archive, absolute; it need not exist any more. */
  readonly archive: string;
  readonly linkType: keyof typeof linkTypes;
  /** Match specs that asked for it by name. */
  readonly requestedSpecs: readonly string[];
  /** `info/index.json`: has fields that repodata may have corrected, and others that it leaves out. */
  readonly index: Readonly<Record<string, unknown>>;
}

/** File name without its ending: `name-version-build`. */
export function stemOf({ fileName }: PackageRecord): string {
  return fileName.replace(/\.(?:conda|tar\.bz2)$/, "");
}

/** Text of `conda-meta/STEM.json`, keys sorted, ends with a newline. */
export function condaMetaText(installed: InstalledPackage): string {
  const { record, paths, source, archive, linkType, requestedSpecs, index } = installed;
  const fields: Record<string, unknown> = {
    ...index,
    ...recordFields(record),
    fn: record.fileName,
    url: record.url,
    channel: record.channel,
    files: paths.filter(({ type }) => type !== "directory").map(({ path }) => path),
    paths_data: { paths_version: 1, paths: paths.map(pathFields) },
    link: { source, type: linkTypes[linkType] },
    extracted_package_dir: source,
    package_tarball_full_path: archive,
    requested_spec: requestedSpecs[0] ?? "",
    requested_specs: requestedSpecs,
  };
  return `${JSON.stringify(sorted(fields), null, 2)}\n`;
}

/** Fields of a record as repodata spells them; what is not known is left out. */
export function recordFields(record: PackageRecord): Record<string, unknown> {
  return {
    name: record.name,
    version: record.version,
    build: record.build,
    build_number: record.buildNumber,
    subdir: record.subdir,
    depends: record.depends,
    constrains: record.constrains,
    ...record.noarch !== null && { noarch: record.noarch },
    ...record.sha256 !== undefined && { sha256: record.sha256 },
    ...record.md5 !== undefined && { md5: record.md5 },
    ...record.size !== undefined && { size: record.size },
    ...record.timestamp !== undefined && { timestamp: record.timestamp },
    ...record.trackFeatures !== undefined && { track_features: record.trackFeatures },
    ...record.license !== undefined && { license: record.license },
    ...record.pythonSitePackagesPath !== undefined &&
      { python_site_packages_path: record.pythonSitePackagesPath },
  };
}

function pathFields(path: InstalledPath): Record<string, unknown> {
  return {
    _path: path.path,
    path_type: path.type,
    ...path.original !== undefined && { original_path: path.original },
    ...path.noLink && { no_link: true },
    ...path.sha256 !== undefined && { sha256: path.sha256 },
    ...path.sha256InPrefix !== undefined && { sha256_in_prefix: path.sha256InPrefix },
    ...path.size !== undefined && { size_in_bytes: path.size },
    ...path.placeholder !== undefined &&
      { file_mode: path.placeholder.mode, prefix_placeholder: path.placeholder.text },
  };
}

/**
 * The record's text without some of its files (paths relative to the prefix): they were replaced by
 * files of somebody else. Throws RunError if the text is no record.
 */
export function withoutFiles(text: string, gone: ReadonlySet<string>): string {
  const fields = parseMeta(text);
  const files = filesOf(fields).filter((path) => !gone.has(path));
  const data = fields["paths_data"] as { paths?: unknown } | undefined;
  const paths: readonly unknown[] = Array.isArray(data?.paths) ? data.paths : [];
  const kept = paths.filter((one) =>
    !isRecord(one) || typeof one._path !== "string" || !gone.has(one._path)
  );
  const changed = { ...fields, files, paths_data: { paths_version: 1, ...data, paths: kept } };
  return `${JSON.stringify(sorted(changed), null, 2)}\n`;
}

/** Name, version and files of a record in `conda-meta`. Throws RunError, the end of a sentence. */
export function parseCondaMeta(
  text: string,
): { readonly name: string; readonly version: string; readonly files: readonly string[] } {
  const fields = parseMeta(text);
  const { name, version } = fields;
  if (typeof name !== "string" || typeof version !== "string") {
    throw new RunError("it names no package and version");
  }
  return { name, version, files: filesOf(fields) };
}

function parseMeta(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ...value };
  } catch {
    // Said below.
  }
  throw new RunError("it is no JSON object");
}

function filesOf({ files }: Readonly<Record<string, unknown>>): readonly string[] {
  return Array.isArray(files) ? files.filter((path) => typeof path === "string") : [];
}

/**
 * A block of `conda-meta/history`, as conda writes it. `date` is text like `2026-11-23 00:20:00`;
 * the same packages and the same date give the same text.
 */
export function historyText(
  records: readonly PackageRecord[],
  date: string,
  specs: readonly string[],
): string {
  const added = records.map((record) => `+${record.channel}/${record.subdir}::${stemOf(record)}`);
  const update = `# update specs: ${JSON.stringify(specs)}`;
  return [`==> ${date} <==`, ...added.sort(), update, ""].join("\n");
}

function sorted(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => a < b ? -1 : 1));
}
