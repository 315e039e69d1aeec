/**
 * What a package puts where: read from the files in its `info` folder, new (`paths.json`) and old
 * (`files`, `has_prefix`, `no_link`), and turned into paths of a prefix.
 */
import { RunError } from "../errors.ts";
import { defaultPlaceholder } from "./placeholder.ts";

/** How a placeholder is replaced in a file. */
export type FileMode = "text" | "binary";

/** One path that a package has. */
export interface PackagePath {
  /** Within the package: relative, without `..`. */
  readonly path: string;
  readonly type: "hardlink" | "softlink" | "directory";
  /** Never to be a hard link into the cache. */
  readonly noLink: boolean;
  readonly placeholder?: { readonly text: string; readonly mode: FileMode };
  /** Lower-case hex; of links that of their target. */
  readonly sha256?: string;
  readonly size?: number;
}

/** Texts of files in `info`, null where there is none. */
export interface InfoFiles {
  readonly pathsJson: string | null;
  readonly files: string | null;
  readonly hasPrefix: string | null;
  readonly noLink: string | null;
}

/**
 * The paths of a package. `isLink` is asked for packages without `paths.json`, which does not tell
 * links. Throws RunError, the end of a sentence, for what cannot be read or leads out.
 */
export function packagePaths(
  info: InfoFiles,
  isLink: (path: string) => boolean,
): readonly PackagePath[] {
  if (info.pathsJson !== null) return fromPathsJson(info.pathsJson);
  if (info.files === null) {
    throw new RunError("it has neither info/paths.json nor info/files, so it is no conda package");
  }
  const placeholders = parseHasPrefix(info.hasPrefix ?? "");
  const noLink = new Set(lines(info.noLink ?? ""));
  return lines(info.files).map((path) => {
    const placeholder = placeholders.get(path);
    return {
      path: checkedPath(path),
      type: isLink(path) ? "softlink" : "hardlink",
      noLink: noLink.has(path),
      ...placeholder !== undefined && { placeholder },
    };
  });
}

function fromPathsJson(text: string): readonly PackagePath[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new RunError("its info/paths.json is no JSON");
  }
  const { paths, paths_version } = fields(parsed);
  if (!Array.isArray(paths) || (paths_version !== 1 && paths_version !== undefined)) {
    throw new RunError("its info/paths.json is of a version that wqx does not know");
  }
  return paths.map(pathOf);
}

function pathOf(entry: unknown): PackagePath {
  const { _path, path_type, no_link, prefix_placeholder, file_mode, sha256, size_in_bytes } =
    fields(entry);
  if (typeof _path !== "string") {
    throw new RunError("its info/paths.json has an entry without a path");
  }
  const path = checkedPath(_path);
  if (path_type !== "hardlink" && path_type !== "softlink" && path_type !== "directory") {
    throw new RunError(
      `its info/paths.json has an entry of the unknown type ${JSON.stringify(path_type)}: ${path}`,
    );
  }
  const placeholder = typeof prefix_placeholder === "string" && prefix_placeholder !== ""
    ? { text: prefix_placeholder, mode: modeOf(file_mode ?? "text", path) }
    : null;
  return {
    path,
    type: path_type,
    noLink: no_link === true,
    ...placeholder !== null && path_type === "hardlink" && { placeholder },
    ...typeof sha256 === "string" && { sha256: sha256.toLowerCase() },
    ...typeof size_in_bytes === "number" && { size: size_in_bytes },
  };
}

/** Lines `PLACEHOLDER MODE PATH`, each part perhaps in quotes, or a bare path: text, as of old. */
export function parseHasPrefix(
  text: string,
): ReadonlyMap<string, { readonly text: string; readonly mode: FileMode }> {
  const found = new Map<string, { text: string; mode: FileMode }>();
  for (const line of lines(text)) {
    const parts = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
      .map(([, double, single, bare]) => double ?? single ?? bare ?? "");
    const [placeholder = "", mode = "", path = ""] = parts;
    if (parts.length === 3) {
      found.set(path, { text: placeholder, mode: modeOf(mode, path) });
    } else {
      found.set(line.replace(/^(["'])(.*)\1$/, "$2"), { text: defaultPlaceholder, mode: "text" });
    }
  }
  return found;
}

function modeOf(mode: unknown, path: string): FileMode {
  if (mode === "text" || mode === "binary") return mode;
  throw new RunError(`it has a placeholder of the unknown mode ${JSON.stringify(mode)}: ${path}`);
}

/** Throws RunError for an absolute path, and one with `..`, `.` or nothing between slashes. */
export function checkedPath(path: string): string {
  const parts = path.split("/");
  if (path === "" || path.includes("\0") || path.includes("\n")) {
    throw new RunError(`it has a path that is none: ${JSON.stringify(path)}`);
  }
  if (parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new RunError(
      `it has the path ${JSON.stringify(path)}, which could lead out of the prefix`,
    );
  }
  return path;
}

/** What the Python of a prefix is called, and where its packages lie. */
export interface PythonLayout {
  /** `3.11` */
  readonly minor: string;
  /** `lib/python3.11/site-packages` */
  readonly sitePackages: string;
}

/** Layout of a Python package: its version, and the folder it names if that is a special one. */
export function pythonLayout(version: string, sitePackages?: string): PythonLayout {
  const [, minor] = /^(\d+\.\d+)/.exec(version) ?? [];
  if (minor === undefined) throw new RunError(`python ${version} has no version like 3.11`);
  return {
    minor,
    sitePackages: checkedPath(sitePackages ?? `lib/python${minor}/site-packages`),
  };
}

/** Where a path of a `noarch: python` package comes to lie; other packages keep theirs. */
export function targetPath(path: string, layout: PythonLayout): string {
  if (path.startsWith("site-packages/")) {
    return layout.sitePackages + path.slice("site-packages".length);
  }
  if (path.startsWith("python-scripts/")) return `bin${path.slice("python-scripts".length)}`;
  return path;
}

function lines(text: string): readonly string[] {
  return text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line !== "");
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
