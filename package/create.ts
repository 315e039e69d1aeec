/**
 * Makes an environment in a folder of its own and packs it. What is decided comes from a
 * specification that was solved or from a lock; what was made before comes from the cache; nothing
 * bears its final name before it is whole.
 */
import { dirname, join, resolve } from "node:path";
import { messageOf, RunError } from "../core/errors.ts";
import { layerKeys } from "../core/package/layers.ts";
import type { LockedDistribution, PackageLock } from "../core/package/lock.ts";
import { withoutPrefixHashes } from "../core/package/made_twice.ts";
import type { Platform } from "../core/package/platform.ts";
import { prefixExtras } from "../core/package/prefix_extras.ts";
import type { PackageRecord } from "../core/package/record.ts";
import { isOption } from "../core/package/requirement.ts";
import type { PackageSpec } from "../core/package/spec.ts";
import { BuildPrefix } from "./build_prefix.ts";
import { installPackages, type InstallReport } from "./install.ts";
import { LayerStore } from "./layer_store.ts";
import { hashProject } from "./local_project.ts";
import { type PackOptions, packPrefix, type PackReport } from "./pack.ts";
import { pipEnvironment } from "./pip.ts";
import { pipQuestionKey, resolvePip } from "./pip_resolve.ts";
import { installPipStage, type LayersTaken, type LocalProject } from "./pip_stage.ts";
import { fetchSources } from "./sources.ts";
import { findUv } from "./uv.ts";

/** What an environment is made of: wishes whose conda part is chosen, or a lock. */
export type Plan =
  | {
    readonly kind: "spec";
    readonly spec: PackageSpec;
    /** Relative paths in it are from here. */
    readonly folder: string;
    readonly platform: Platform;
    readonly virtual: ReadonlyMap<string, string>;
    /** In the order in which they are linked. */
    readonly conda: readonly PackageRecord[];
  }
  | { readonly kind: "lock"; readonly lock: PackageLock };

export interface CreateOptions {
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  readonly offline: boolean;
  /** Asks pip's index though it was asked today. */
  readonly fresh: boolean;
  readonly postLink: boolean;
  /** A lock is read or written: whatever makes a difference must be in it. */
  readonly isLocked: boolean;
  readonly pack: Omit<PackOptions, "signal" | "onProgress">;
  readonly watcher: CreateWatcher;
  readonly signal: AbortSignal;
}

/** Hears how far it is. */
export interface CreateWatcher {
  phase(name: string): void;
  installed(done: number, total: number): void;
  packed(done: number, total: number): void;
  downloaded(bytes: number, total: number | null): void;
  /** A line for people. */
  note(line: string): void;
}

export interface Created {
  /** All that was chosen. */
  readonly lock: PackageLock;
  readonly packed: PackReport;
  readonly layers: LayersTaken;
}

/** Throws a RunError with the sentence; nothing is then left, at `out` neither. */
export async function createEnvironment(
  plan: Plan,
  out: string,
  options: CreateOptions,
): Promise<Created> {
  try {
    return await create(plan, out, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!/os error 28\b|ENOSPC/.test(messageOf(error))) throw error;
    throw new RunError(
      `Cannot make ${out}: the disk is full; room is needed in ${options.cache} and in ` +
        dirname(resolve(out)),
    );
  }
}

async function create(plan: Plan, out: string, options: CreateOptions): Promise<Created> {
  const { cache, watcher, signal, env } = options;
  await using build = await BuildPrefix.create(cache);
  const prefix = build.path;
  const { platform, conda } = plan.kind === "spec" ? plan : plan.lock;

  watcher.phase("installing conda packages");
  const installed = await installPackages(conda, prefix, {
    cache,
    platform,
    postLink: options.postLink,
    offline: options.offline,
    onProgress: ({ phase, bytes, bytesTotal, packages, packagesTotal }) => {
      if (phase === "fetch") watcher.downloaded(bytes, bytesTotal);
      else watcher.installed(packages, packagesTotal);
    },
    signal,
  });
  for (const line of installed.warnings) watcher.note(line);
  if (installed.clobbered.length > 0) watcher.note(clobberedNote(installed.clobbered));

  await forgetPrefixHashes(prefix);

  const wishes = plan.kind === "spec" ? plan.spec : plan.lock;
  const locals = await localProjects(wishes.locals, plan, signal);
  const pipOptions = plan.kind === "spec" ? plan.spec.pip.filter(isOption) : plan.lock.pipOptions;
  const { PYTHONDONTWRITEBYTECODE: _none, ...pipEnv } = pipEnvironment(prefix, env);
  const programEnv = { ...pipEnv, PYTHONPYCACHEPREFIX: build.byteCode };
  let distributions: readonly LockedDistribution[] = [];
  if (plan.kind === "lock") {
    distributions = plan.lock.pip;
  } else if (plan.spec.pip.length + locals.length > 0) {
    watcher.phase("choosing pip packages");
    distributions = await choosePip(plan, locals, prefix, programEnv, options);
  }
  if (distributions.length + locals.length > 0) watcher.phase("installing pip packages");
  const layers = await installPipStage({
    prefix,
    conda,
    options: pipOptions,
    distributions,
    locals,
    uv: !options.isLocked && await findUv(programEnv) !== null,
    cache,
    env: programEnv,
    signal,
    note: watcher.note.bind(watcher),
  }, new LayerStore(join(cache, "layers")));

  if (wishes.git.length + wishes.http.length > 0) watcher.phase("fetching data");
  const { git, http } = await fetchSources(prefix, wishes.git, wishes.http, { cache, env, signal });

  const lock: PackageLock = {
    platform,
    virtual: plan.kind === "spec" ? plan.virtual : plan.lock.virtual,
    conda,
    pipOptions,
    pip: distributions,
    locals: locals.map(({ install, sha256 }) => ({ path: install, sha256 })),
    git,
    http,
    pinned: wishes.pinned,
    variables: wishes.variables,
  };
  for (const [path, text] of prefixExtras(lock)) {
    await Deno.mkdir(dirname(join(prefix, path)), { recursive: true });
    await Deno.writeTextFile(join(prefix, path), text);
  }

  watcher.phase("packing");
  const packed = await packPrefix(prefix, out, {
    ...options.pack,
    onProgress: (done, total) => watcher.packed(done, total),
    signal,
  });
  return { lock, packed, layers };
}

async function forgetPrefixHashes(prefix: string): Promise<void> {
  const folder = join(prefix, "conda-meta");
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".json")) continue;
    const path = join(folder, name);
    await Deno.writeTextFile(path, withoutPrefixHashes(await Deno.readTextFile(path)));
  }
}

/** The distributions that pip's lines stand for today. */
async function choosePip(
  plan: Plan & { kind: "spec" },
  locals: readonly Local[],
  prefix: string,
  env: Readonly<Record<string, string>>,
  { cache, offline, fresh, watcher, signal }: CreateOptions,
): Promise<readonly LockedDistribution[]> {
  const { conda: condaKey } = layerKeys(plan.conda, [], [], prefix.length);
  const requirements = plan.spec.pip;
  const { chosen, ageMs } = await resolvePip({
    prefix,
    requirements,
    locals: locals.map(({ install }) => install),
    folder: plan.folder,
    env,
    uv: await findUv(env),
    offline,
    signal,
  }, {
    folder: join(cache, "chosen"),
    key: pipQuestionKey(condaKey, requirements, locals.map(({ description }) => description)),
    fresh,
  });
  if (ageMs !== null && requirements.some((line) => !isOption(line))) {
    watcher.note(`pip packages are those chosen ${agoText(ageMs)}; --update asks the index again`);
  }
  return chosen;
}

/** Named before "and N more". */
const pathsShownMax = 3;

function clobberedNote(clobbered: InstallReport["clobbered"]): string {
  const shown = clobbered.slice(0, pathsShownMax)
    .map(({ path, owners }) => `${path} (${owners.join(", ")})`);
  const more = clobbered.length - shown.length;
  return `Several packages have the same file, and the last one's is taken: ${shown.join(", ")}` +
    (more > 0 ? ` and ${more} more` : "");
}

function agoText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

type Local = LocalProject & { readonly description: string };

/** Finds and hashes the projects of this machine; those of a lock must not have changed. */
async function localProjects(
  wanted: PackageSpec["locals"] | PackageLock["locals"],
  plan: Plan,
  signal: AbortSignal,
): Promise<Local[]> {
  const found: Local[] = [];
  for (const one of wanted) {
    const text = typeof one === "string" ? one : one.path;
    const [, path = text, extras = ""] = /^(.*?)(\[[^\]]*\])?$/s.exec(text) ?? [];
    const folder = plan.kind === "spec" ? resolve(plan.folder, homed(path)) : path;
    const { all, description } = await hashProject(folder, signal);
    if (typeof one !== "string" && one.sha256 !== all) {
      throw new RunError(
        `Cannot make what the lock says: ${folder} has changed since; make the lock anew`,
      );
    }
    found.push({ path: folder, install: `${folder}${extras}`, sha256: all, description });
  }
  return found;
}

function homed(path: string): string {
  const bare = path.replace(/^file:\/\//, "");
  return bare.startsWith("~/") ? join(Deno.env.get("HOME") ?? "/", bare.slice(2)) : bare;
}
