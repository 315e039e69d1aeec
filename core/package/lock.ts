/**
 * The lock of an environment: all that was chosen when it was made, with where it came from and
 * the hashes of it, so that it can be made again without choosing. The same lock gives the same
 * bytes.
 */
import { UsageError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import { type Platform, platforms } from "./platform.ts";
import type { PackageRecord } from "./record.ts";
import type { GitSource, HttpSource } from "./spec.ts";

/** Raised when a reader of before would misread what is written now. */
const lockVersion = 1;

/** A distribution that pip installed from an index, a URL or a repository. */
export interface LockedDistribution {
  readonly name: string;
  readonly version: string;
  /** Where it came from, where that was not an index: a URL, `git+https://…@COMMIT`. */
  readonly url: string | null;
  /** Hashes of the files that may stand for it, lower-case hex; none of a repository. */
  readonly sha256: readonly string[];
}

/** A Python project of this machine. */
export interface LockedLocal {
  /** Absolute. */
  readonly path: string;
  /** Of the names and contents of its files. */
  readonly sha256: string;
}

/** A repository at a commit. */
export type LockedGit = GitSource & { readonly ref: string };

/** A download of which the content is known. */
export type LockedHttp = HttpSource & { readonly sha256: string };

export interface PackageLock {
  readonly platform: Platform;
  /** Virtual packages for which it was solved: name and version. */
  readonly virtual: ReadonlyMap<string, string>;
  /** In the order in which they are linked. */
  readonly conda: readonly PackageRecord[];
  /** Options of pip that say where distributions are found. */
  readonly pipOptions: readonly string[];
  readonly pip: readonly LockedDistribution[];
  readonly locals: readonly LockedLocal[];
  readonly git: readonly LockedGit[];
  readonly http: readonly LockedHttp[];
  readonly pinned: ReadonlyMap<string, string>;
  readonly variables: ReadonlyMap<string, string>;
}

/** A lock as plain values, for JSON or YAML; what is empty is left out. */
export function lockData(lock: PackageLock): Readonly<Record<string, unknown>> {
  const parts: Record<string, unknown> = { "wqx-lock": lockVersion };
  for (const [key, value] of Object.entries(lock)) {
    const plain = value instanceof Map ? Object.fromEntries(value) : value;
    const empty = typeof plain === "object" && Object.keys(plain).length === 0;
    if (!empty) parts[key] = plain;
  }
  return parts;
}

/** Reads what {@link lockData} made; throws a UsageError that names what is wrong with it. */
export function readLock(data: unknown): PackageLock {
  if (!isRecord(data) || data["wqx-lock"] === undefined) {
    throw new UsageError("this is no lock of wqx: make one with --lock FILE");
  }
  if (data["wqx-lock"] !== lockVersion) {
    throw new UsageError(
      `this lock is of version ${
        JSON.stringify(data["wqx-lock"])
      }, and this wqx reads version ${lockVersion}: ` +
        "make it anew with --lock FILE",
    );
  }
  const platform = platforms.find((known) => known === data.platform);
  if (platform === undefined) throw new UsageError(`"platform" is none of ${platforms.join(", ")}`);
  return {
    platform,
    virtual: texts(data.virtual, "virtual"),
    conda: list(data.conda, "conda", (item, at): PackageRecord => ({
      name: text(item, "name", at),
      version: text(item, "version", at),
      build: text(item, "build", at),
      buildNumber: number(item, "buildNumber", at),
      subdir: text(item, "subdir", at),
      noarch: item.noarch === "python" || item.noarch === "generic" ? item.noarch : null,
      depends: strings(item.depends, `${at}.depends`),
      constrains: strings(item.constrains, `${at}.constrains`),
      fileName: fileName(item, at),
      url: text(item, "url", at),
      channel: text(item, "channel", at),
      ...optionalText(item, "sha256", at),
      ...optionalText(item, "md5", at),
      ...optionalNumber(item, "size", at),
      ...optionalNumber(item, "timestamp", at),
      ...optionalText(item, "trackFeatures", at),
      ...optionalText(item, "pythonSitePackagesPath", at),
      ...optionalText(item, "license", at),
    })),
    pipOptions: strings(data.pipOptions, "pipOptions"),
    pip: list(data.pip, "pip", (item, at) => ({
      name: text(item, "name", at),
      version: text(item, "version", at),
      url: item.url === null || item.url === undefined ? null : text(item, "url", at),
      sha256: strings(item.sha256, `${at}.sha256`),
    })),
    locals: list(data.locals, "locals", (item, at) => ({
      path: text(item, "path", at),
      sha256: text(item, "sha256", at),
    })),
    git: list(data.git, "git", (item, at) => ({
      name: text(item, "name", at),
      remote: text(item, "remote", at),
      ref: text(item, "ref", at),
    })),
    http: list(data.http, "http", (item, at) => ({
      name: text(item, "name", at),
      url: text(item, "url", at),
      type: item.type === "tar" ? "tar" : "file",
      compression: item.compression === "gzip" ? "gzip" : null,
      sha256: text(item, "sha256", at),
    })),
    pinned: texts(data.pinned, "pinned"),
    variables: texts(data.variables, "variables"),
  };
}

/** A requirements file that admits of nothing but what was locked. */
export function lockedRequirements(distributions: readonly LockedDistribution[]): string[] {
  return distributions.map(({ name, version, url, sha256 }) => {
    const what = url === null ? `${name}==${version}` : `${name} @ ${url}`;
    return [what, ...sha256.map((hash) => `--hash=sha256:${hash}`)].join(" ");
  });
}

type Item = Readonly<Record<string, unknown>>;

function list<T>(value: unknown, at: string, read: (item: Item, at: string) => T): T[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new UsageError(`"${at}" is not a list`);
  return value.map((item, i) => {
    if (!isRecord(item)) throw new UsageError(`"${at}[${i}]" is not a mapping`);
    return read(item, `${at}[${i}]`);
  });
}

function text(item: Item, key: string, at: string): string {
  const value = item[key];
  if (typeof value === "string" && value !== "") return value;
  throw new UsageError(`"${at}.${key}" is not a text`);
}

/** It becomes the name of a file in the cache. */
function fileName(item: Item, at: string): string {
  const name = text(item, "fileName", at);
  if (/^[^./][^/\0]*\.(?:conda|tar\.bz2)$/.test(name)) return name;
  throw new UsageError(`"${at}.fileName" is no name of a conda package: ${name}`);
}

function number(item: Item, key: string, at: string): number {
  const value = item[key];
  if (typeof value === "number") return value;
  throw new UsageError(`"${at}.${key}" is not a number`);
}

function optionalText<K extends string>(
  item: Item,
  key: K,
  at: string,
): { readonly [k in K]?: string } {
  // The computed key is K, which the compiler widens.
  return item[key] === undefined ? {} : { [key]: text(item, key, at) } as { [k in K]: string };
}

function optionalNumber<K extends string>(
  item: Item,
  key: K,
  at: string,
): { readonly [k in K]?: number } {
  return item[key] === undefined ? {} : { [key]: number(item, key, at) } as { [k in K]: number };
}

function strings(value: unknown, at: string): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new UsageError(`"${at}" is not a list of texts`);
}

function texts(value: unknown, at: string): Map<string, string> {
  if (value === undefined) return new Map();
  if (isRecord(value) && Object.values(value).every((item) => typeof item === "string")) {
    return new Map(Object.entries(value as Readonly<Record<string, string>>));
  }
  throw new UsageError(`"${at}" is not a mapping of texts`);
}
