/** `wqx package create`, also known as `poncho_package_create`. */
import { dirname, join, resolve } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { formatOf } from "../core/package/archive_format.ts";
import { sizeReport } from "../core/package/size_report.ts";
import { formatBytes } from "../core/package/size_text.ts";
import { formatDuration, plural } from "../core/units.ts";
import { interrupts } from "../io/signals.ts";
import { cacheFolder } from "../package/cache_folder.ts";
import { checkArchive, type CheckReport } from "../package/check.ts";
import { createEnvironment, type Plan } from "../package/create.ts";
import { type PackOptions, packPrefix, type PackReport } from "../package/pack.ts";
import { PackageCache } from "../package/package_cache.ts";
import type { LayersTaken } from "../package/pip_stage.ts";
import { packVenv } from "../package/venv.ts";
import { defineCommand, type OptionsOf, outputOptions } from "./cli.ts";
import { isThere, namedEnvironment } from "./conda_environments.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { ignoredNotes } from "./option_values.ts";
import { type Choosing, planOf } from "./package_choice.ts";
import { createOptions } from "./package_options.ts";
import { renderDryRun, renderSizes } from "./package_output.ts";
import { CreateView } from "./package_progress.ts";
import { readLockFile, writeLockFile } from "./package_spec_file.ts";
import { type OutputMode, outputMode, type Terminal } from "./render.ts";

const options = { ...createOptions, ...outputOptions };

export type CreateCommandOptions = OptionsOf<typeof options>;

export const packageCreateCommand = defineCommand({
  name: "package create",
  purpose: "Make an archive of an environment, for workers on which nothing is installed.",
  usage: [
    "SPEC OUT.tar.gz [options]",
    "--from-lock FILE OUT.tar.gz [options]",
    "--from-prefix DIR OUT.tar.gz [options]",
    "--from-venv DIR OUT.tar.gz [options]",
  ],
  examples: [
    ["package create env.yml env.tar.gz", "what env.yml names"],
    ["package create env.yml env.tar.gz --lock l.yml", "and lock what was chosen"],
    ["package create --from-venv .venv env.tar.gz", "a venv with its Python"],
  ],
  arguments: {
    spec: {
      name: "SPEC",
      describe: "JSON or YAML, - for stdin; or a conda environment, by folder or name",
      optional: true,
    },
    out: { name: "OUT.tar.gz", describe: "the archive; .tar.zst and .tar too", optional: true },
  },
  options,
  async run({ options, arguments: { spec, out }, terminal, program }) {
    const task = await taskOf(options, spec, out, program);
    const mode = outputMode(options);
    using signals = interrupts();
    try {
      return await perform(task, options, mode, terminal, signals.stop);
    } catch (error) {
      if (!signals.stop.aborted) throw error;
      terminal.stderr.write("Stopped; nothing was made.\n");
      return interruptedExitCode;
    }
  },
});

/** What is asked for, checked as far as can be without doing it. */
type Task = MakingTask | { readonly kind: "dry-run"; readonly from: string };

interface MakingTask {
  readonly kind: "spec" | "lock" | "prefix" | "venv";
  readonly from: string;
  readonly out: string;
}

async function taskOf(
  options: CreateCommandOptions,
  first: string | undefined,
  second: string | undefined,
  program: string,
): Promise<Task> {
  const given = [
    ["lock", "--from-lock", options.fromLock] as const,
    ["prefix", "--from-prefix", options.fromPrefix] as const,
    ["venv", "--from-venv", options.fromVenv] as const,
  ].filter(([, , value]) => value !== undefined);
  if (given.length > 1) {
    throw new UsageError(`Give one of ${given.map(([, flag]) => flag).join(" and ")}`);
  }
  const usage = `the usage is ${program} SPEC OUT.tar.gz [options]`;
  const source = given[0];
  if (source !== undefined) {
    const [kind, flag, from = ""] = source;
    if (second !== undefined) {
      throw new UsageError(`Unexpected argument "${second}": with ${flag} there is no SPEC`);
    }
    if (options.dryRun) throw new UsageError(`--dry-run solves a SPEC, and ${flag} needs none`);
    if (first === undefined) throw new UsageError(`Missing OUT.tar.gz: ${usage}`);
    await checkOut(first, options);
    return { kind, from, out: first };
  }
  if (first === undefined) throw new UsageError(`Missing SPEC: ${usage}`);
  if (options.dryRun) return { kind: "dry-run", from: first };
  if (second === undefined) throw new UsageError(`Missing OUT.tar.gz: ${usage}`);
  await checkOut(second, options);
  const folder = await environmentFolder(first);
  if (folder === null) return { kind: "spec", from: first, out: second };
  const isVenv = await isThere(join(folder, "pyvenv.cfg"));
  return { kind: isVenv ? "venv" : "prefix", from: folder, out: second };
}

/** Before hours of work: whether the archive can be written where it shall be. */
async function checkOut(out: string, { format }: CreateCommandOptions): Promise<void> {
  if (format === undefined) formatOf(out);
  const folder = dirname(resolve(out));
  const info = await Deno.stat(folder).catch(() => null);
  if (info === null) throw new UsageError(`Cannot write ${out}: there is no folder ${folder}`);
  const there = await Deno.stat(out).catch(() => null);
  if (there?.isDirectory) throw new UsageError(`Cannot write ${out}: it is a folder`);
  try {
    const probe = await Deno.makeTempFile({ dir: folder, prefix: ".wqx-" });
    await Deno.remove(probe);
  } catch (error) {
    throw new UsageError(`Cannot write ${out}: ${messageOf(error)}`);
  }
}

/** The folder that SPEC names, by path or as conda knows it; `null` for a file. */
async function environmentFolder(spec: string): Promise<string | null> {
  if (spec === "-") return null;
  const info = await Deno.stat(spec).catch(() => null);
  if (info !== null) return info.isDirectory ? spec : null;
  return await namedEnvironment(spec);
}

async function perform(
  task: Task,
  options: CreateCommandOptions,
  mode: OutputMode,
  { stdout, stderr }: Terminal,
  signal: AbortSignal,
): Promise<number> {
  const startedMs = performance.now();
  using view = new CreateView(mode, stderr);
  const { noMicromamba } = createOptions;
  ignoredNotes({ noMicromamba }, options).forEach((line) => view.note(line));
  const env = Deno.env.toObject();
  const choosing: Choosing = { view, cache: cacheFolder(env), env, signal };
  if (task.kind === "dry-run") return await dryRun(task.from, options, mode, stdout, choosing);
  const { packed, layers } = await make(task, options, choosing);
  packed.warnings.forEach((line) => view.note(line));
  const original = task.kind === "prefix" || task.kind === "venv" ? task.from : undefined;
  let checked: CheckReport | null = null;
  if (options.check) {
    view.phase("checking");
    checked = await checkArchive(task.out, { signal, ...original !== undefined && { original } });
  }
  view[Symbol.dispose]();
  const seconds = (performance.now() - startedMs) / 1000;
  const sizes = sizeReport(packed.sized);
  if (mode === "json") {
    const { sized: _sized, ...made } = packed;
    const data = { type: "archive", ...made, seconds, layers, sizes, checked };
    stdout.write(JSON.stringify(data) + "\n");
  } else if (mode === "table") {
    renderSizes(sizes, stdout);
    stdout.write(
      `\nMade ${task.out}: ${formatBytes(packed.archiveBytes)}; ${packed.files} files, ` +
        `${formatBytes(packed.bytes)} unpacked; in ${formatDuration(seconds * 1000)}\n` +
        (options.lock === undefined ? "" : `Wrote ${options.lock}\n`) +
        (checked === null
          ? ""
          : `Checked: ${plural(checked.imported.length, "module")} imported\n`) +
        `Run a command in it: wqx package run ${task.out} -- python\n`,
    );
  }
  for (const { module, why } of checked?.failures ?? []) {
    stderr.write(`${module} cannot be imported from ${task.out}: ${why}\n`);
  }
  return (checked?.failures.length ?? 0) === 0 ? 0 : 1;
}

async function dryRun(
  from: string,
  options: CreateCommandOptions,
  mode: OutputMode,
  stdout: Terminal["stdout"],
  choosing: Choosing,
): Promise<number> {
  const { conda, spec } = await planOf(from, options, choosing);
  const packages = new PackageCache(choosing.cache);
  const kept = conda.map((record) => packages.has(record));
  choosing.view[Symbol.dispose]();
  renderDryRun({ records: conda, kept, pip: spec.pip, locals: spec.locals }, mode, stdout);
  return 0;
}

async function make(
  task: MakingTask,
  options: CreateCommandOptions,
  choosing: Choosing,
): Promise<{ readonly packed: PackReport; readonly layers: LayersTaken | null }> {
  const { view, cache, env, signal } = choosing;
  const pack: PackOptions = {
    exclude: options.exclude,
    include: options.include,
    ignoreEditable: options.ignoreEditable,
    // What pip replaced is gone by right; poncho does it too.
    ignoreMissing: true,
    ...options.level !== undefined && { level: options.level },
    ...options.format !== undefined && { format: options.format },
  };
  if (task.kind === "prefix" || task.kind === "venv") {
    view.phase("packing");
    const packing: PackOptions = {
      ...pack,
      signal,
      onProgress: (done, total) => view.packed(done, total),
    };
    const packer = task.kind === "venv" ? packVenv : packPrefix;
    return { packed: await packer(task.from, task.out, packing), layers: null };
  }
  const plan: Plan = task.kind === "lock"
    ? { kind: "lock", lock: await readLockFile(task.from) }
    : await planOf(task.from, options, choosing);
  const { packed, layers, lock } = await createEnvironment(plan, task.out, {
    cache,
    env,
    offline: options.offline,
    fresh: options.update,
    postLink: options.postLink,
    isLocked: options.lock !== undefined || task.kind === "lock",
    pack,
    watcher: view,
    signal,
  });
  if (options.lock !== undefined) await writeLockFile(options.lock, lock);
  return { packed, layers };
}
