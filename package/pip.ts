/**
 * The part of an environment that comes by pip: requirements, then projects of this machine. What
 * pip put in the place of a conda package is taken out of that package's record afterwards, so that
 * the records tell what is there.
 */
import { basename, join } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { parseCondaMeta, withoutFiles } from "../core/package/conda_meta.ts";
import { distInfoName, recordedPaths } from "../core/package/dist_info.ts";
import { normalizedName } from "../core/package/requirement.ts";
import { pipTrouble } from "./pip_resolve.ts";
import { type ProgramEnd, runProgram } from "./programs.ts";
import { readText } from "./extract.ts";
import { findUv, uvEnvironment } from "./uv.ts";

type Environment = Readonly<Record<string, string>>;

export interface PipOptions {
  /** Lines of a requirements file, as they are written into one. */
  readonly requirements: readonly string[];
  /** Paths of projects, perhaps with extras behind them: built and installed, never as links. */
  readonly locals: readonly string[];
  /** As {@link pipEnvironment} makes it. */
  readonly env: Environment;
  /** False: by pip, though there is a uv; the environment's pip is of a known version. */
  readonly uv?: boolean;
  /** As in cache_folder.ts; a failure's whole output is kept there. */
  readonly cache: string;
  readonly signal: AbortSignal;
}

export interface PipReport {
  /** Conda packages of which pip replaced files, and by what. */
  readonly replaced: readonly {
    readonly name: string;
    readonly version: string;
    /** `name version` of what pip installed. */
    readonly by: string;
  }[];
}

/** What would make pip install elsewhere, or see packages that do not travel along. */
const misleading = [
  "PYTHONPATH",
  "PYTHONHOME",
  "PYTHONSTARTUP",
  "PYTHONUSERBASE",
  "PYTHONOPTIMIZE",
  "PIP_TARGET",
  "PIP_PREFIX",
  "PIP_ROOT",
  "PIP_USER",
  "PIP_REQUIRE_VIRTUALENV",
  "VIRTUAL_ENV",
  "UV_PYTHON",
  "UV_TARGET",
  "UV_PREFIX",
];

/** The variables for programs that install into the prefix, made of those that we have. */
export function pipEnvironment(prefix: string, env: Environment): Environment {
  const kept = Object.entries(env).filter(([name]) => !misleading.includes(name));
  return {
    ...Object.fromEntries(kept),
    PATH: `${prefix}/bin:${env.PATH ?? "/usr/local/bin:/usr/bin:/bin"}`,
    CONDA_PREFIX: prefix,
    PYTHONNOUSERSITE: "1",
    // Byte code belongs to who packs.
    PYTHONDONTWRITEBYTECODE: "1",
    PIP_NO_INPUT: "1",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
  };
}

/**
 * Installs into the prefix by `uv` where there is one, else by the environment's own pip. Throws
 * RunError with the program's last words.
 */
export async function installPip(prefix: string, given: PipOptions): Promise<PipReport> {
  await Deno.mkdir(given.cache, { recursive: true, mode: 0o700 });
  // pip starts itself again and again: it is compiled once, but not into the environment.
  const byteCode = await Deno.makeTempDir({ dir: given.cache, prefix: "pycache-" });
  const { PYTHONDONTWRITEBYTECODE: _none, ...env } = given.env;
  const options = { ...given, env: { ...env, PYTHONPYCACHEPREFIX: byteCode } };
  try {
    return await install(prefix, options);
  } finally {
    await Deno.remove(byteCode, { recursive: true });
  }
}

async function install(prefix: string, options: PipOptions): Promise<PipReport> {
  const { requirements, locals } = options;
  const sitePackages = await sitePackagesOf(prefix, options);
  const before = distributions(prefix, sitePackages);
  if (requirements.length > 0) await installRequirements(prefix, options);
  if (locals.length > 0) await installLocals(prefix, options);
  const after = distributions(prefix, sitePackages);
  const installed = [...after.values()].filter(({ folder, stamp }) =>
    before.get(folder)?.stamp !== stamp
  );
  return { replaced: forgetReplaced(prefix, sitePackages, installed) };
}

/** Where the Python of the prefix puts packages, from the prefix. */
async function sitePackagesOf(
  prefix: string,
  { env, signal }: PipOptions,
): Promise<string> {
  const python = `${prefix}/bin/python`;
  if (readLink(python) === null) {
    throw new RunError(
      "Cannot install pip packages: there is no Python in the environment; add python and pip " +
        "to its conda packages",
    );
  }
  const ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
  const words = [python, "-I", "-c", ask];
  const { code, stdout, stderr } = await runProgram(words, { env, signal }).catch((error) => {
    signal.throwIfAborted();
    return { code: -1, stdout: "", stderr: messageOf(error) };
  });
  const real = Deno.realPathSync(prefix);
  const path = stdout.trim();
  const inside = [prefix, real].find((root) => path.startsWith(`${root}/`));
  if (code === 0 && inside !== undefined) return path.slice(inside.length + 1);
  throw new RunError(
    "Cannot install pip packages: the Python of the environment does not run here, as that of " +
      "another platform does not; such an environment can have conda packages only" +
      (stderr.trim() === "" ? "" : ` (${stderr.trim().split("\n").at(-1)})`),
  );
}

function readLink(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch {
    return null;
  }
}

async function installRequirements(prefix: string, options: PipOptions): Promise<void> {
  const { requirements, env, signal } = options;
  const file = await Deno.makeTempFile({ prefix: "wqx-requirements-", suffix: ".txt" });
  try {
    await Deno.writeTextFile(file, requirements.map((line) => `${line}\n`).join(""));
    const uv = options.uv === false ? null : await findUv(env);
    if (uv !== null) {
      const end = await runProgram([...uvWords(uv, prefix), "-r", file], {
        cwd: prefix,
        env: uvEnvironment(env),
        signal,
      });
      // Where uv cannot, pip may (it knows more options), and its words are better known.
      if (end.code === 0) return;
      if (!await hasPip(prefix, options)) throw await failure(end, options);
    }
    await runPip(prefix, ["--exists-action=b", "-r", file], options);
  } finally {
    await Deno.remove(file);
  }
}

async function installLocals(prefix: string, options: PipOptions): Promise<void> {
  const { locals, env, signal } = options;
  if (await hasPip(prefix, options)) return await runPip(prefix, locals, options);
  const uv = await findUv(env);
  if (uv === null) return await runPip(prefix, locals, options); // says that there is none
  // Of a folder uv remembers what it built, and does not look whether a source has changed.
  const words = [...uvWords(uv, prefix), "--refresh", ...locals];
  const end = await runProgram(words, { cwd: prefix, env: uvEnvironment(env), signal });
  if (end.code !== 0) throw await failure(end, options);
}

function uvWords(uv: string, prefix: string): string[] {
  return [
    ...[uv, "pip", "install", "--python", `${prefix}/bin/python`, "--break-system-packages"],
    // Whoever writes into the environment must not write into uv's cache.
    ...["--link-mode", "copy", "--no-config"],
  ];
}

async function hasPip(prefix: string, { env, signal }: PipOptions): Promise<boolean> {
  const words = [`${prefix}/bin/python`, "-I", "-c", "import pip"];
  return (await runProgram(words, { env, signal })).code === 0;
}

async function runPip(
  prefix: string,
  what: readonly string[],
  options: PipOptions,
): Promise<void> {
  const { env, signal } = options;
  const words = [
    ...[`${prefix}/bin/python`, "-m", "pip", "install", "--no-compile"],
    ...["--no-warn-script-location", "--root-user-action=ignore", ...what],
  ];
  const end = await runProgram(words, { cwd: prefix, env, signal });
  if (end.code !== 0) throw await failure(end, options);
}

/** pip's own words, and where the rest of them is. */
async function failure(
  { stdout, stderr }: ProgramEnd,
  { cache }: PipOptions,
): Promise<RunError> {
  const folder = join(cache, "logs");
  await Deno.mkdir(folder, { recursive: true });
  const log = await Deno.makeTempFile({ dir: folder, prefix: "pip-", suffix: ".log" });
  await Deno.writeTextFile(log, `${stdout}\n${stderr}`);
  return new RunError(`${pipTrouble(stderr)}; all that it said is in ${log}`);
}

/** One `NAME-VERSION.dist-info`. */
interface Distribution {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  /** Changes when it is installed anew. */
  readonly stamp: string;
}

function distributions(prefix: string, sitePackages: string): Map<string, Distribution> {
  const found = new Map<string, Distribution>();
  if (readLink(`${prefix}/${sitePackages}`) === null) return found;
  for (const { name: folder } of Deno.readDirSync(`${prefix}/${sitePackages}`)) {
    const parsed = distInfoName(folder);
    const info = readLink(`${prefix}/${sitePackages}/${folder}/RECORD`);
    if (parsed === null || info === null) continue;
    const stamp = `${info.ino} ${info.size} ${info.mtime?.getTime()}`;
    found.set(folder, { folder, ...parsed, stamp });
  }
  return found;
}

/** Takes what pip removed or wrote out of the records of conda packages. */
function forgetReplaced(
  prefix: string,
  sitePackages: string,
  installed: readonly Distribution[],
): PipReport["replaced"] {
  const owners = new Map<string, Distribution>();
  for (const one of installed) {
    const record = readText(`${prefix}/${sitePackages}/${one.folder}/RECORD`) ?? "";
    for (const path of recordedPaths(record, sitePackages)) owners.set(path, one);
  }
  if (owners.size === 0) return [];
  const byName = new Map(installed.map((one) => [normalizedName(one.name), one]));
  const replaced: { name: string; version: string; by: string }[] = [];
  for (const { name: file } of Deno.readDirSync(`${prefix}/conda-meta`)) {
    if (!file.endsWith(".json")) continue;
    const path = `${prefix}/conda-meta/${file}`;
    const text = Deno.readTextFileSync(path);
    const { name, version, files } = parseCondaMeta(text);
    const gone = files.filter((one) => owners.has(one) || !isThere(`${prefix}/${one}`));
    if (gone.length === 0) continue;
    // A new file, since the old one may be shared with others.
    Deno.removeSync(path);
    Deno.writeTextFileSync(path, withoutFiles(text, new Set(gone)));
    const dists = gone.flatMap((one) => distInfoName(basename(one.replace(/\/[^/]*$/, ""))) ?? []);
    const by = gone.map((one) => owners.get(one)).find((one) => one !== undefined) ??
      dists.map((dist) => byName.get(normalizedName(dist.name))).find((one) => one !== undefined);
    replaced.push({ name, version, by: by === undefined ? "pip" : `${by.name} ${by.version}` });
  }
  return replaced.sort((a, b) => a.name < b.name ? -1 : 1);
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
