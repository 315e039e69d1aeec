/**
 * What a folder of a channel tells of its packages: `repodata.json`, or one shard of it, which has
 * the same maps for a single name. Channels have a million records and a solve needs a few hundred
 * names, so a record is read when its name is asked for.
 */
import { RunError, UsageError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import { nameOfDependency } from "./match_spec.ts";
import type { PackageRecord } from "./record.ts";

/** A folder of a channel. */
export interface ChannelFolder {
  /** URL of the channel without subdir and last slash. */
  readonly channel: string;
  readonly subdir: string;
  /** Where its repodata came from, without last slash: a mirror has another URL. */
  readonly url: string;
}

type Raw = Readonly<Record<string, unknown>>;

/** Seconds up to the year 9999; what is larger is in milliseconds. */
const secondsMax = 253_402_300_799;

export class Repodata {
  /** Records left out because something that a solve needs is not right in them. */
  droppedCount = 0;
  readonly #byName = new Map<string, [fileName: string, raw: Raw][]>();
  readonly #base: string;

  /** Takes a parsed repodata.json, or a decoded shard. Throws RunError if it is none. */
  constructor(json: unknown, private readonly folder: ChannelFolder, base?: string) {
    if (!isRecord(json)) throw new RunError(`The repodata of ${folder.url} is no JSON object`);
    const info = isRecord(json.info) ? json.info : {};
    this.#base = base ?? downloadBase(info.base_url, folder);
    const conda = this.#part(json, "packages.conda"), old = this.#part(json, "packages");
    for (const fileName in conda) this.#index(fileName, conda[fileName]);
    for (const fileName in old) {
      // Of one build in both formats, the newer one: it is smaller and unpacks faster.
      if (Object.hasOwn(conda, fileName.replace(/\.tar\.bz2$/, ".conda"))) continue;
      this.#index(fileName, old[fileName]);
    }
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }

  /** All of a name, which is in lower case, in the order of the channel. */
  recordsOf(name: string): readonly PackageRecord[] {
    const raws = this.#byName.get(name) ?? [];
    const records = raws.flatMap(([fileName, raw]) => {
      const record = readRecord(raw, fileName, this.folder, this.#base);
      return record === null ? [] : [record];
    });
    this.droppedCount += raws.length - records.length;
    return records;
  }

  #part(json: Raw, key: string): Raw {
    const part = json[key] ?? {};
    if (isRecord(part)) return part;
    throw new RunError(`The repodata of ${this.folder.url} has no mapping under "${key}"`);
  }

  #index(fileName: string, raw: unknown): void {
    if (!isRecord(raw) || typeof raw.name !== "string") {
      this.droppedCount++;
      return;
    }
    const name = raw.name.toLowerCase();
    const others = this.#byName.get(name);
    if (others === undefined) this.#byName.set(name, [[fileName, raw]]);
    else others.push([fileName, raw]);
  }
}

/** Where the packages of a folder are: CEP 15's `base_url`, or beside its repodata. */
export function downloadBase(base: unknown, { url }: ChannelFolder): string {
  if (typeof base !== "string" || base === "") return url;
  if (!URL.canParse(base, `${url}/`)) {
    throw new RunError(`The repodata of ${url} says that its packages are at "${base}": no URL`);
  }
  const at = new URL(base, `${url}/`);
  // A server must not make us take what lies on this machine for its packages.
  if (at.protocol !== new URL(url).protocol && !/^https?:$/.test(at.protocol)) {
    throw new RunError(`The repodata of ${url} says that its packages are at "${base}": not http`);
  }
  return at.href.replace(/\/+$/, "");
}

/** One record, or null if something that a solve or an installation needs is not right in it. */
export function readRecord(
  raw: Raw,
  fileName: string,
  folder: ChannelFolder,
  base: string = folder.url,
): PackageRecord | null {
  const { name, version, build, build_number: buildNumber = 0 } = raw;
  if (typeof name !== "string" || !/^[\w.-]+$/.test(name)) return null;
  if (typeof version !== "string" || !/^[\w.+!]+$/.test(version)) return null;
  if (typeof build !== "string" || !/^[\w.+]*$/.test(build)) return null;
  if (typeof buildNumber !== "number" || !Number.isSafeInteger(buildNumber)) return null;
  if (!/^[^/\\]+(?:\.conda|\.tar\.bz2)$/.test(fileName) || fileName.startsWith(".")) return null;
  const depends = dependencies(raw.depends), constrains = dependencies(raw.constrains);
  if (depends === null || constrains === null) return null;
  const sha256 = hash(raw.sha256, 32), md5 = hash(raw.md5, 16);
  const { size, timestamp, license } = raw;
  const trackFeatures = Array.isArray(raw.track_features)
    ? raw.track_features.filter((one) => typeof one === "string").join(" ")
    : raw.track_features;
  const sitePackages = raw.python_site_packages_path;
  return {
    name: name.toLowerCase(),
    version,
    build,
    buildNumber,
    subdir: folder.subdir,
    noarch: noarchOf(raw.noarch),
    depends,
    constrains,
    fileName,
    url: `${base}/${fileName}`,
    channel: folder.channel,
    ...sha256 !== null && { sha256 },
    ...md5 !== null && { md5 },
    ...typeof size === "number" && size >= 0 && { size },
    ...typeof timestamp === "number" && {
      timestamp: timestamp <= secondsMax ? timestamp * 1000 : timestamp,
    },
    ...typeof trackFeatures === "string" && trackFeatures !== "" && { trackFeatures },
    ...typeof sitePackages === "string" && { pythonSitePackagesPath: sitePackages },
    ...typeof license === "string" && { license },
  };
}

function noarchOf(value: unknown): PackageRecord["noarch"] {
  if (value === "python") return "python";
  return value === "generic" || value === true ? "generic" : null;
}

function dependencies(value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const good = value.every((text) => typeof text === "string" && nameOfDependency(text) !== null);
  return good ? value : null;
}

/** Lower-case hexadecimal of what is written so, or as the bytes themselves. */
function hash(value: unknown, bytes: number): string | null {
  if (value instanceof Uint8Array) return value.length === bytes ? value.toHex() : null;
  if (typeof value !== "string" || value.length !== 2 * bytes) return null;
  return /^[0-9a-f]+$/i.test(value) ? value.toLowerCase() : null;
}

/** What `repodata_shards.msgpack.zst` says: where the shard of each name is. */
export interface ShardIndex {
  /** Shards lie below it, named `SHA256.msgpack.zst`. */
  readonly shardsBase: string;
  readonly packagesBase: string;
  /** SHA-256 in lower-case hexadecimal, of the compressed shard, by name. */
  readonly shards: ReadonlyMap<string, string>;
}

/** Takes a decoded index of shards. Throws RunError if it is none. */
export function readShardIndex(value: unknown, folder: ChannelFolder): ShardIndex {
  if (!isRecord(value) || !isRecord(value.info) || !isRecord(value.shards)) {
    throw new RunError(`The index of shards of ${folder.url} has no "info" and "shards"`);
  }
  const { info } = value;
  const shards = new Map<string, string>();
  for (const [name, sha256] of Object.entries(value.shards)) {
    const hex = hash(sha256, 32);
    if (hex !== null) shards.set(name.toLowerCase(), hex);
  }
  return {
    shardsBase: downloadBase(info.shards_base_url, folder),
    packagesBase: downloadBase(info.base_url, folder),
    shards,
  };
}

/**
 * Whether a record is one that keys in brackets allow: `md5`, `sha256` and `fn` equal it, and
 * `build_number` is a number that it has, or that it is compared with (`>=3`).
 */
export function matchesKeys(record: PackageRecord, keys: ReadonlyMap<string, string>): boolean {
  return [...keys].every(([key, value]) => {
    switch (key) {
      case "md5":
        return record.md5 === value.toLowerCase();
      case "sha256":
        return record.sha256 === value.toLowerCase();
      case "fn":
        return record.fileName === value;
      default:
        return compare(record.buildNumber, value);
    }
  });
}

function compare(number: number, wanted: string): boolean {
  const found = /^(==|=|!=|>=|<=|>|<|)\s*(\d+)$/.exec(wanted);
  if (found === null) {
    throw new UsageError(`build_number is a number such as 3 or >=3, and not "${wanted}"`);
  }
  const [, operator, digits] = found;
  const other = Number(digits);
  switch (operator) {
    case "!=":
      return number !== other;
    case ">=":
      return number >= other;
    case "<=":
      return number <= other;
    case ">":
      return number > other;
    case "<":
      return number < other;
    default:
      return number === other;
  }
}
