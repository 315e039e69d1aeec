/** `wqx package pack`, also known as `conda-pack`. */
import { basename, resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { parseCount } from "../core/units.ts";
import { formatBytes } from "../core/package/size_text.ts";
import { interrupts } from "../io/signals.ts";
import { type PackOptions, packPrefix } from "../package/pack.ts";
import { defineCommand, outputOptions, versionOption } from "./cli.ts";
import { isThere, namedEnvironment } from "./conda_environments.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { asText, filled, givenOf, ignoredGroup, ignoredNotes, nameOf } from "./option_values.ts";
import { packingOptions } from "./package_options.ts";
import { CreateView } from "./package_progress.ts";
import { outputMode } from "./render.ts";

const { exclude, include, ignoreEditable, level, format } = packingOptions;

/** conda-pack's, that would make another kind of archive. */
const refusedOptions = {
  destPrefix: {
    flags: "-d, --dest-prefix PATH",
    describe: "an archive for one place only is not made: unpack it there and run conda-unpack",
    parse: asText,
    group: "Not in wqx",
  },
  arcroot: {
    flags: "    --arcroot PATH",
    describe: "workers look for the environment at the archive's root",
    parse: asText,
    group: "Not in wqx",
  },
  parcel: {
    flags: "    --parcel-root PATH",
    describe: "parcels are not made",
    parse: asText,
    group: "Not in wqx",
  },
} as const;

const ignoredOptions = {
  threads: {
    flags: "-j, --n-threads N",
    describe: "all cores compress",
    parse: (text: string) => Number(text),
    group: ignoredGroup,
  },
  zipSymlinks: {
    flags: "    --zip-symlinks",
    describe: "no zip files are made",
    group: ignoredGroup,
  },
  noZip64: { flags: "    --no-zip-64", describe: "no zip files are made", group: ignoredGroup },
} as const;

export const packagePackCommand = defineCommand({
  name: "package pack",
  purpose: "Make an archive of a conda environment that is there.",
  usage: ["[options]"],
  examples: [
    ["package pack -p ~/envs/ana -o ana.tar.gz", "of the environment in this folder"],
    ["package pack -n ana", "of the one that conda calls ana, as ana.tar.gz"],
  ],
  arguments: {},
  options: {
    name: {
      flags: "-n, --name ENV",
      describe: "the environment that conda knows by this name",
      parse: filled("the name"),
      common: true,
    },
    prefix: {
      flags: "-p, --prefix PATH",
      describe: "the environment in this folder",
      parse: filled("the path"),
      defaultShown: "the active one",
      common: true,
    },
    output: {
      flags: "-o, --output PATH",
      describe: "the archive",
      parse: filled("the path"),
      defaultShown: "ENV.tar.gz",
      common: true,
    },
    force: { flags: "-f, --force", describe: "replace an archive that is there", common: true },
    ignoreMissing: {
      flags: "    --ignore-missing-files",
      describe: "go on without files that conda packages should have",
      common: true,
    },
    ignoreEditable,
    exclude,
    include,
    format: { ...format, flags: "    --format FORMAT" },
    level: {
      ...level,
      flags: "    --compress-level N",
      parse: (text: string) => parseCount(text, { max: 19 }),
    },
    ...refusedOptions,
    ...ignoredOptions,
    ...outputOptions,
    version: { ...versionOption, flags: "    --version" },
  },
  async run({ options, terminal, program }) {
    const refused = givenOf(refusedOptions, options)[0];
    if (refused !== undefined) throw new UsageError(`${nameOf(refused)}: ${refused.describe}`);
    const prefix = await prefixOf(options.name, options.prefix, program);
    const ending = options.format ?? "tar.gz";
    const out = options.output ?? `${options.name ?? basename(resolve(prefix))}.${ending}`;
    if (!options.force && await isThere(out)) {
      throw new UsageError(`${out} is there already: give --force to replace it`);
    }
    const { stdout, stderr } = terminal;
    const mode = outputMode(options);
    using signals = interrupts();
    using view = new CreateView(mode, stderr);
    ignoredNotes(ignoredOptions, options).forEach((line) => view.note(line));
    const packing: PackOptions = {
      exclude: options.exclude,
      include: options.include,
      ignoreEditable: options.ignoreEditable,
      ignoreMissing: options.ignoreMissing,
      ...options.level !== undefined && { level: options.level },
      ...options.format !== undefined && { format: options.format },
      onProgress: (done, total) => view.packed(done, total),
      signal: signals.stop,
    };
    try {
      view.phase("packing");
      const { sized: _sized, ...report } = await packPrefix(prefix, out, packing);
      report.warnings.forEach((line) => view.note(line));
      if (mode === "json") stdout.write(JSON.stringify({ type: "archive", ...report }) + "\n");
      else if (mode === "table") stdout.write(`Made ${out}: ${formatBytes(report.archiveBytes)}\n`);
      return 0;
    } catch (error) {
      if (!signals.stop.aborted) throw error;
      stderr.write("Stopped; nothing was made.\n");
      return interruptedExitCode;
    }
  },
});

async function prefixOf(
  name: string | undefined,
  prefix: string | undefined,
  program: string,
): Promise<string> {
  if (name !== undefined && prefix !== undefined) {
    throw new UsageError("Give one of --name and --prefix");
  }
  if (prefix !== undefined) return prefix;
  if (name !== undefined) {
    const found = await namedEnvironment(name);
    if (found !== null) return found;
    throw new UsageError(`conda knows no environment "${name}" here: give its folder by --prefix`);
  }
  const active = Deno.env.get("CONDA_PREFIX");
  if (active) return active;
  throw new UsageError(
    `No environment is active: ${program} --prefix PATH, or --name ENV, says which`,
  );
}
