/**
 * From package records to a prefix: packages are fetched several at a time, then linked one after
 * the other in the order given, and the records in `conda-meta` are written last.
 */
import { createHash } from "node:crypto";
import { messageOf, RunError } from "../core/errors.ts";
import {
  condaMetaText,
  historyText,
  type InstalledPackage,
  type InstalledPath,
  stemOf,
} from "../core/package/conda_meta.ts";
import { entryPointScript, parseLinkJson } from "../core/package/entry_points.ts";
import {
  type PackagePath,
  type PythonLayout,
  pythonLayout,
  targetPath,
} from "../core/package/link_paths.ts";
import { replaceBinary, replaceShebang } from "../core/package/placeholder.ts";
import type { Platform } from "../core/package/platform.ts";
import type { PackageRecord } from "../core/package/record.ts";
import { readText } from "./extract.ts";
import { type CachedPackage, PackageCache } from "./package_cache.ts";
import { runProgram } from "./programs.ts";
import { PrefixTree } from "./prefix_tree.ts";

export interface InstallOptions {
  /** As in cache_folder.ts. */
  readonly cache: string;
  readonly platform: Platform;
  /** Runs the packages' post-link scripts, which may do anything; otherwise they are told of. */
  readonly postLink?: boolean;
  readonly offline?: boolean;
  /** Match specs that asked for a package, by its name. */
  readonly requested?: ReadonlyMap<string, readonly string[]>;
  readonly onProgress?: (progress: InstallProgress) => void;
  readonly signal: AbortSignal;
}

export interface InstallProgress {
  readonly phase: "fetch" | "link";
  /** Of the archives, so far; what was in the cache counts as fetched. */
  readonly bytes: number;
  readonly bytesTotal: number;
  /** Done with, in this phase. */
  readonly packages: number;
  readonly packagesTotal: number;
  /** The package that the news is about. */
  readonly name: string;
}

export interface InstallReport {
  readonly packages: number;
  readonly files: number;
  /** Packages that had to be downloaded, and their bytes. */
  readonly downloaded: { readonly packages: number; readonly bytes: number };
  /** Paths that several packages have, with different content; the last owner's is there. */
  readonly clobbered: readonly { readonly path: string; readonly owners: readonly string[] }[];
  /** Sentences for the user: scripts that were not run, and what they said. */
  readonly warnings: readonly string[];
}

/** Servers and disks are kept busy by as many. */
const fetchedAtOnce = 6;

/** Installs the packages, in link order, into a prefix that has none of them. Throws RunError. */
export async function installPackages(
  records: readonly PackageRecord[],
  prefix: string,
  options: InstallOptions,
): Promise<InstallReport> {
  const packages = await fetchPackages(records, options);
  return await new Installer(prefix, pythonOf(records), options).install(packages);
}

/** Brings the packages into the cache, several at a time; the first that fails ends it. */
export async function fetchPackages(
  records: readonly PackageRecord[],
  { cache: folder, offline, onProgress, signal: outer }: InstallOptions,
): Promise<readonly CachedPackage[]> {
  const cache = new PackageCache(folder);
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const bytesTotal = records.reduce((sum, { size }) => sum + (size ?? 0), 0);
  const found: CachedPackage[] = [];
  let [bytes, packages, next] = [0, 0, 0];
  const fetchNext = async (): Promise<void> => {
    for (let i = next++; i < records.length; i = next++) {
      const record = records[i]!;
      let own = 0;
      const tell = (now: number) => {
        bytes += now - own;
        own = now;
        const packagesTotal = records.length;
        onProgress?.({
          phase: "fetch",
          bytes,
          bytesTotal,
          packages,
          packagesTotal,
          name: record.name,
        });
      };
      found[i] = await cache.obtain(record, {
        signal,
        onBytes: tell,
        ...offline !== undefined && { offline },
      });
      packages++;
      tell(record.size ?? own);
    }
  };
  const lanes = Array.from({ length: fetchedAtOnce }, () =>
    fetchNext().catch((error) => {
      failed.abort(error);
      throw error;
    }));
  await Promise.allSettled(lanes);
  // The first failure; the others are of its making.
  outer.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
  return found;
}

function pythonOf(records: readonly PackageRecord[]): PythonLayout | null {
  const python = records.find(({ name }) => name === "python");
  return python === undefined ? null : pythonLayout(python.version, python.pythonSitePackagesPath);
}

/** Who owns a path of the prefix, and as what. */
interface Owner {
  readonly name: string;
  readonly sha256: string | undefined;
}

class Installer {
  readonly #owners = new Map<string, Owner>();
  readonly #clobbered = new Map<string, Set<string>>();
  readonly #warnings: string[] = [];
  readonly #installed: (InstalledPackage & { readonly paths: InstalledPath[] })[] = [];
  readonly #tree: PrefixTree;
  #files = 0;

  constructor(
    private readonly prefix: string,
    private readonly python: PythonLayout | null,
    private readonly options: InstallOptions,
  ) {
    this.#tree = new PrefixTree(prefix);
  }

  async install(packages: readonly CachedPackage[]): Promise<InstallReport> {
    const { onProgress, signal, postLink } = this.options;
    const bytes = packages.reduce((sum, { record }) => sum + (record.size ?? 0), 0);
    for (const [i, cached] of packages.entries()) {
      signal.throwIfAborted();
      try {
        this.#link(cached);
      } catch (error) {
        throw new RunError(`Cannot install ${cached.record.fileName}: ${messageOf(error)}`);
      }
      await this.#postLink(cached.record, postLink === true);
      onProgress?.({
        phase: "link",
        bytes,
        bytesTotal: bytes,
        packages: i + 1,
        packagesTotal: packages.length,
        name: cached.record.name,
      });
      // Linking waits for nothing; others get their turn here.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.#writeRecords();
    const fetched = packages.filter(({ wasThere }) => !wasThere);
    return {
      packages: packages.length,
      files: this.#files,
      downloaded: {
        packages: fetched.length,
        bytes: fetched.reduce((sum, { record }) => sum + (record.size ?? 0), 0),
      },
      clobbered: [...this.#clobbered].map(([path, owners]) => ({ path, owners: [...owners] })),
      warnings: this.#warnings,
    };
  }

  #link({ record, folder, archive, paths }: CachedPackage): void {
    const info = `${folder}/info`;
    const text = readText(`${info}/link.json`) ?? readText(`${info}/package_metadata.json`);
    const link = text === null ? null : parseLinkJson(text);
    const isPython = record.noarch === "python" || link?.noarch === "python";
    if (isPython && this.python === null) {
      throw new RunError("it is a package for Python, and python is not among the packages");
    }
    const layout = isPython ? this.python : null;
    const installed: InstalledPath[] = [];
    let isCopied = false;
    for (const path of paths) {
      const target = layout === null ? path.path : targetPath(path.path, layout);
      const { how, ...placed } = this.#place(record.name, folder, path, target);
      isCopied ||= how === "copy";
      installed.push(placed);
    }
    for (const point of layout === null ? [] : link?.entryPoints ?? []) {
      const script = entryPointScript(point, this.prefix, layout!.minor, this.options.platform);
      installed.push(this.#placeScript(record.name, `bin/${point.command}`, script));
    }
    this.#installed.push({
      record,
      paths: installed,
      source: folder,
      archive,
      linkType: isCopied ? "copy" : "hard",
      requestedSpecs: this.options.requested?.get(record.name) ?? [],
      index: parseIndex(readText(`${info}/index.json`)),
    });
  }

  #place(
    name: string,
    folder: string,
    path: PackagePath,
    target: string,
  ): InstalledPath & { readonly how: "hard" | "copy" } {
    const source = `${folder}/${path.path}`;
    const { type, noLink, sha256, size, placeholder } = path;
    const entry = {
      path: target,
      ...target !== path.path && { original: path.path },
      type,
      noLink,
      ...sha256 !== undefined && { sha256 },
      ...size !== undefined && { size },
      ...placeholder !== undefined && { placeholder },
    };
    if (type === "directory") {
      this.#tree.folder(target);
      return { ...entry, how: "hard" };
    }
    this.#own(target, { name, sha256: type === "hardlink" ? sha256 : undefined });
    if (type === "softlink") {
      this.#tree.link(Deno.readLinkSync(source), target);
      return { ...entry, how: "hard" };
    }
    if (placeholder !== undefined) {
      const before = Deno.readFileSync(source);
      const after = placeholder.mode === "text"
        ? replaceShebang(before, placeholder.text, this.prefix, this.options.platform)
        : this.#binary(target, before, placeholder.text);
      this.#tree.write(source, target, after);
      return { ...entry, sha256InPrefix: sha256Hex(after), how: "copy" };
    }
    const how = this.#tree.file(source, target, noLink || mayBeEdited(target, this.python));
    return { ...entry, ...sha256 !== undefined && { sha256InPrefix: sha256 }, how };
  }

  #binary(target: string, bytes: Uint8Array, placeholder: string): Uint8Array {
    try {
      return replaceBinary(bytes, placeholder, this.prefix);
    } catch (error) {
      throw new RunError(`${target}: ${messageOf(error)}`);
    }
  }

  #placeScript(name: string, target: string, script: string): InstalledPath {
    const bytes = new TextEncoder().encode(script);
    const sha256 = sha256Hex(bytes);
    this.#own(target, { name, sha256 });
    this.#tree.script(target, bytes);
    return {
      path: target,
      type: "unix_python_entry_point",
      noLink: false,
      sha256,
      sha256InPrefix: sha256,
      size: bytes.length,
    };
  }

  /** The last package with a path has it; said where the content differs. */
  #own(path: string, owner: Owner): void {
    const before = this.#owners.get(path);
    this.#owners.set(path, owner);
    if (before === undefined) {
      this.#files++;
      return;
    }
    const earlier = this.#installed.find(({ record }) => record.name === before.name);
    const at = earlier?.paths.findIndex((known) => known.path === path) ?? -1;
    if (at >= 0) earlier!.paths.splice(at, 1);
    if (before.sha256 === owner.sha256 && owner.sha256 !== undefined) return;
    const owners = this.#clobbered.get(path) ?? new Set([before.name]);
    this.#clobbered.set(path, owners.add(owner.name));
  }

  async #postLink(record: PackageRecord, isAllowed: boolean): Promise<void> {
    const { name, version, buildNumber } = record;
    const script = `bin/.${name}-post-link.sh`;
    if (this.#owners.get(script)?.name !== name) return;
    if (!isAllowed) {
      this.#warnings.push(
        `The script ${script} of ${name} ${version} was not run; --post-link allows it`,
      );
      return;
    }
    const { code, stdout, stderr } = await runProgram(["bash", `${this.prefix}/${script}`], {
      cwd: this.prefix,
      env: {
        ...Deno.env.toObject(),
        PATH: `${this.prefix}/bin:${Deno.env.get("PATH") ?? ""}`,
        PREFIX: this.prefix,
        PKG_NAME: name,
        PKG_VERSION: version,
        PKG_BUILDNUM: `${buildNumber}`,
      },
      signal: this.options.signal,
    });
    const messages = `${this.prefix}/.messages.txt`;
    const said = (readText(messages) ?? "").trim();
    if (said !== "") this.#warnings.push(`${name}: ${said}`);
    await Deno.remove(messages).catch(() => {}); // there were none
    if (code !== 0) {
      const last = `${stdout}${stderr}`.trim().split("\n").slice(-5).join("; ");
      throw new RunError(`The script ${script} of ${name} ${version} ended with ${code}: ${last}`);
    }
  }

  #writeRecords(): void {
    for (const installed of this.#installed) {
      const path = `conda-meta/${stemOf(installed.record)}.json`;
      this.#tree.text(path, condaMetaText(installed));
    }
    const records = this.#installed.map(({ record }) => record);
    const specs = [...this.options.requested?.values() ?? []].flat();
    // Of the newest package: the same packages make the same prefix.
    const newestMs = Math.max(0, ...records.map(({ timestamp }) => timestamp ?? 0));
    const date = new Date(newestMs).toISOString().replace("T", " ").slice(0, 19);
    this.#tree.text("conda-meta/history", historyText(records, date, specs));
  }
}

/** What pip and users may write into must not be the cache's own file. */
function mayBeEdited(path: string, python: PythonLayout | null): boolean {
  return path.startsWith("bin/") || path.startsWith("etc/") ||
    python !== null && path.startsWith(`${python.sitePackages}/`);
}

function parseIndex(text: string | null): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    throw new RunError("its info/index.json is no JSON");
  }
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
