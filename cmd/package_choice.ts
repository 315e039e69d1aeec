/** From a specification to the conda packages that make it: settings, channels, solver. */
import { homedir } from "node:os";
import { RunError } from "../core/errors.ts";
import { type ChannelSettings, resolveChannels } from "../core/package/condarc.ts";
import { withEditables } from "../core/package/editable.ts";
import { parseMatchSpec } from "../core/package/match_spec.ts";
import { type Platform, platforms } from "../core/package/platform.ts";
import { isOption } from "../core/package/requirement.ts";
import type { PackageSpec } from "../core/package/spec.ts";
import { virtualPackages } from "../core/package/virtual.ts";
import { UsageError } from "../core/errors.ts";
import type { Plan } from "../package/create.ts";
import { editableProjects } from "../package/editable.ts";
import { askExternalSolver } from "../package/external_solver.ts";
import { channelSettings, hostFacts } from "../package/settings.ts";
import { solveEnvironment, type SolveProgress } from "../package/solver.ts";
import type { CreateCommandOptions } from "./package_create.ts";
import type { CreateView } from "./package_progress.ts";
import { readSpecFile } from "./package_spec_file.ts";

/** Without a word about channels anywhere: poncho's first default, and not the vendor's. */
const channelsDefault = ["conda-forge"];

export interface Choosing {
  readonly view: CreateView;
  readonly cache: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Reads a specification and chooses its conda packages. Throws UsageError or RunError. */
export async function planOf(
  path: string,
  options: CreateCommandOptions,
  { view, cache, env, signal }: Choosing,
): Promise<Plan & { readonly kind: "spec" }> {
  const read = await readSpecFile(path);
  read.notes.forEach((line) => view.note(line));
  const settings = await channelSettings(env, env.HOME ?? homedir());
  const platform = options.platform ?? settings.platform ?? ownPlatform();
  const editables = options.ignoreEditable ? [] : await editableProjects(env.PATH ?? "", signal);
  const { spec: own, notes } = withEditables(read.spec, editables);
  notes.forEach((line) => view.note(line));
  const spec = withPip(own, (line) => view.note(line));
  refuseForeignPip(spec, platform);

  const facts = hostFacts();
  const overrides = new Map(settings.overrides);
  if (options.glibc !== undefined) overrides.set("glibc", options.glibc);
  if (options.cuda !== undefined) overrides.set("cuda", options.cuda);
  const virtual = virtualPackages(platform, {
    ...facts,
    // What workers have is rather the oldest that is in use; but pip's part must run here.
    glibc: isOlder(facts.glibc, glibcUsual) ? facts.glibc : null,
    kernel: null,
  }, overrides);
  const channels = channelsOf(spec, options, settings);
  const priority = options.channelPriority ?? settings.priority;
  const offline = options.offline || settings.offline;
  const versions = new Map(virtual.map(({ name, version }) => [name, version]));
  const program = options.solver ?? options.condaExecutable;
  const specs = program === undefined ? spec.dependencies : await askExternalSolver({
    program,
    specs: spec.dependencies,
    channels: resolveChannels(channels, settings, {
      folder: Deno.cwd(),
      home: env.HOME ?? homedir(),
    }).map(({ url }) => url),
    platform,
    priority,
    virtual: versions,
    offline,
    env,
    signal,
  });
  const conda = specs.length === 0 ? [] : await solveEnvironment({
    specs,
    channels,
    platform,
    virtual,
    priority,
    pinned: spec.pinned,
    cache,
    settings,
    offline,
    onProgress: (progress) => tell(progress, view),
    signal,
  });
  return { kind: "spec", spec, folder: read.folder, platform, virtual: versions, conda };
}

/** What `virtualPackages` assumes. */
const glibcUsual = "2.28";

function isOlder(version: string | null, than: string): boolean {
  if (version === null) return false;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [majorThan = 0, minorThan = 0] = than.split(".").map(Number);
  return major < majorThan || major === majorThan && minor < minorThan;
}

function channelsOf(
  spec: PackageSpec,
  options: CreateCommandOptions,
  settings: ChannelSettings,
): readonly string[] {
  if (options.overrideChannels) {
    if (options.channel.length > 0) return options.channel;
    throw new UsageError("--override-channels leaves no channel: give one with --channel");
  }
  const configured = settings.channels.length > 0 ? settings.channels : channelsDefault;
  return [...options.channel, ...spec.channels ?? configured];
}

/** pip's part needs Python and pip among conda's. */
function withPip(spec: PackageSpec, note: (line: string) => void): PackageSpec {
  if (spec.locals.length === 0 && spec.pip.every(isOption)) return spec;
  const names = new Set(spec.dependencies.map((line) => parseMatchSpec(line).name));
  const missing = ["python", "pip"].filter((name) => !names.has(name));
  if (missing.length === 0) return spec;
  note(`Added to the conda packages, for those of pip: ${missing.join(", ")}`);
  return { ...spec, dependencies: [...spec.dependencies, ...missing] };
}

/** pip runs in the environment, which must run here. */
function refuseForeignPip(spec: PackageSpec, platform: Platform): void {
  if (spec.pip.every(isOption) && spec.locals.length === 0) return;
  const here = ownPlatform();
  if (platform === here) return;
  throw new UsageError(
    `pip packages for ${platform} cannot be installed on ${here}: ` +
      "take them from conda channels, or make the archive on such a machine",
  );
}

function ownPlatform(): Platform {
  const { os, arch } = Deno.build;
  const system = os === "darwin" ? "osx" : os;
  const kind = arch === "x86_64" ? "64" : os === "darwin" ? "arm64" : "aarch64";
  const found = platforms.find((platform) => platform === `${system}-${kind}`);
  if (found !== undefined) return found;
  throw new RunError(
    `wqx knows no conda packages for ${os} on ${arch}: give --platform for another machine`,
  );
}

function tell(progress: SolveProgress, view: CreateView): void {
  switch (progress.is) {
    case "reading":
      return view.phase(`reading channel ${progress.channel}`);
    case "selecting":
      return view.phase("choosing packages");
    case "solving":
      return view.phase(`solving over ${progress.recordCount} packages`);
    case "note":
      return view.note(progress.line);
  }
}
