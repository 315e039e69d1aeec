/**
 * Data that travels in an environment: git repositories and downloads, under `poncho/data/NAME`, and
 * the file that tells tasks by variables where they are.
 */
import { dirname, join } from "node:path";
import { createReadStream, createWriteStream, statfsSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { messageOf, RunError } from "../core/errors.ts";
import { shownUrl } from "../core/package/condarc.ts";
import type { LockedGit } from "../core/package/lock.ts";
import type { GitSource, HttpSource } from "../core/package/spec.ts";
import { limitsOf } from "../core/package/tar_safety.ts";
import { findProgram } from "../io/programs.ts";
import {
  formatOfFile,
  fromPrograms,
  isInflatable,
  piecesFrom,
  startInflating,
} from "./decompress.ts";
import { download } from "./download.ts";
import { runProgram } from "./programs.ts";
import { TreeWriter } from "./tree_writer.ts";

export interface SourceOptions {
  /** As in cache_folder.ts. */
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** What was fetched, with commits and hashes in place of wishes. */
export interface FetchedSources {
  /** `ref` is the commit that was checked out. */
  readonly git: readonly LockedGit[];
  readonly http: readonly (HttpSource & { readonly sha256: string })[];
}

const dataFolder = "poncho/data";

/**
 * Fetches everything into the prefix, and writes `poncho/set_env` for what there is. Throws
 * RunError, a whole sentence.
 */
export async function fetchSources(
  prefix: string,
  git: readonly GitSource[],
  http: readonly HttpSource[],
  options: SourceOptions,
): Promise<FetchedSources> {
  const names = [...git, ...http].map(({ name }) => name);
  for (const [i, name] of names.entries()) {
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw new RunError(
        `Cannot fetch data as ${JSON.stringify(name)}: a name is a variable's, like CORRECTIONS_2`,
      );
    }
    if (names.indexOf(name) !== i) throw new RunError(`Cannot fetch data as ${name} twice`);
  }
  if (names.length === 0) return { git: [], http: [] };
  await Deno.mkdir(join(prefix, dataFolder), { recursive: true });
  const found = { git: [] as LockedGit[], http: [] as FetchedHttp[] };
  for (const source of git) found.git.push(await fetchGit(prefix, source, options));
  for (const source of http) found.http.push(await fetchHttp(prefix, source, options));
  await Deno.writeTextFile(join(prefix, "poncho/set_env"), setEnvText(names));
  return found;
}

type FetchedHttp = FetchedSources["http"][number];

/** Read by bash with the prefix as its argument. */
function setEnvText(names: readonly string[]): string {
  return [...names].sort().map((name) => `export ${name}="$1"/${dataFolder}/${name}\n`).join("");
}

async function fetchGit(
  prefix: string,
  { name, remote, ref }: GitSource,
  { env, signal }: SourceOptions,
): Promise<LockedGit> {
  const target = join(prefix, dataFolder, name);
  const shown = shownUrl(remote);
  const found = findProgram("git", env.PATH ?? "");
  if (!("path" in found)) {
    throw new RunError(`Cannot fetch ${shown}: there is no git on PATH; install git`);
  }
  // A remote or ref beginning with "-" would be an option, and nobody is there to be asked.
  if (remote.startsWith("-") || ref?.startsWith("-")) {
    throw new RunError(`Cannot fetch ${shown}: neither it nor its ref may begin with "-"`);
  }
  const quiet = { ...env, GIT_TERMINAL_PROMPT: "0" };
  const git = async (...words: string[]) => {
    const { code, stdout, stderr } = await runProgram([found.path, ...words], {
      cwd: prefix,
      env: quiet,
      signal,
    });
    if (code === 0) return stdout.trim();
    const last = stderr.trim().split("\n").slice(-3).join("; ").replaceAll(remote, shown);
    throw new RunError(`Cannot fetch ${shown}${ref === null ? "" : ` at ${ref}`}: ${last}`);
  };
  await Deno.remove(target, { recursive: true }).catch(() => {}); // none was there
  await git("clone", "--quiet", "--no-checkout", "--", remote, target);
  const inside = (...words: string[]) => git("-C", target, ...words);
  if (ref !== null) await inside("checkout", "--quiet", "--detach", await commitOf(ref, inside));
  else await inside("checkout", "--quiet");
  await inside("submodule", "--quiet", "update", "--init", "--recursive");
  const commit = await inside("rev-parse", "HEAD");
  // Its history would differ from clone to clone, and can be larger than the files.
  await Deno.remove(join(target, ".git"), { recursive: true });
  return { name, remote, ref: commit };
}

/** A branch of the remote, a tag or a commit, perhaps one that no branch has. */
async function commitOf(
  ref: string,
  git: (...words: string[]) => Promise<string>,
): Promise<string> {
  for (const name of [`refs/remotes/origin/${ref}`, ref]) {
    const commit = await git("rev-parse", "--verify", "--quiet", `${name}^{commit}`).catch(
      (error) => {
        if (error instanceof RunError) return null;
        throw error;
      },
    );
    if (commit !== null) return commit;
  }
  await git("fetch", "--quiet", "origin", ref);
  return await git("rev-parse", "FETCH_HEAD");
}

async function fetchHttp(
  prefix: string,
  source: HttpSource,
  { cache, signal }: SourceOptions,
): Promise<FetchedHttp> {
  const { name, url, type, compression, sha256: expected } = source;
  const target = join(prefix, dataFolder, name);
  await Deno.mkdir(join(cache, "downloads"), { recursive: true, mode: 0o700 });
  const folder = await Deno.makeTempDir({ dir: join(cache, "downloads") });
  try {
    const file = join(folder, "file");
    const { sha256 } = await download(url, file, {
      signal,
      ...expected !== undefined && { expected: { sha256: expected } },
    });
    await Deno.remove(target, { recursive: true }).catch(() => {}); // none was there
    try {
      if (type === "tar") await unpackInto(target, file, signal);
      else if (compression === "gzip") await gunzipInto(target, file, signal);
      else await Deno.copyFile(file, target);
    } catch (error) {
      signal.throwIfAborted();
      throw new RunError(`Cannot unpack ${shownUrl(url)}: ${messageOf(error)}`);
    }
    return { ...source, sha256 };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function gunzipInto(target: string, file: string, signal: AbortSignal): Promise<void> {
  await Deno.mkdir(dirname(target), { recursive: true });
  await pipeline(createReadStream(file), createGunzip(), createWriteStream(target), { signal });
}

/** Compressed or not: its first bytes tell. */
async function unpackInto(target: string, file: string, signal: AbortSignal): Promise<void> {
  await Deno.mkdir(target);
  const { size } = await Deno.stat(file);
  const { bavail, bsize } = statfsSync(target);
  const limits = limitsOf(size, bavail * bsize, undefined);
  const writer = new TreeWriter({ folder: target, prefix: target, limits });
  try {
    for await (const piece of piecesOf(file)) {
      signal.throwIfAborted();
      writer.take(piece);
    }
    writer.finish();
  } finally {
    writer.close();
  }
}

async function* piecesOf(file: string): AsyncIterable<Uint8Array> {
  const format = formatOfFile(file);
  if (!isInflatable(format)) return yield* fromPrograms(file, format);
  const inflating = await startInflating(file, format);
  try {
    yield* piecesFrom(inflating);
  } finally {
    inflating.thread.terminate();
  }
}
