/** `wqx package analyze FILE… [OUT]`, also known as `poncho_package_analyze` */
import { UsageError } from "../core/errors.ts";
import { printSpec, versionStyles } from "../core/package/imports.ts";
import { didYouMean } from "../core/suggest.ts";
import { interrupts } from "../io/signals.ts";
import { analyzeSources } from "../package/analyze.ts";
import { type Command, defineCommand, generalOptions, type Given, type OptionRows } from "./cli.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { filled } from "./option_values.ts";

const poncho = "poncho_package_analyze";

function parseMapping(text: string): readonly [string, string] {
  const [, module, name] = /^\s*([A-Za-z_]\w*)\s*=\s*(\S+)\s*$/.exec(text) ?? [];
  if (module !== undefined && name !== undefined) return [module, name];
  throw new UsageError(`"${text}" is no mapping: write MODULE=PACKAGE, such as cv2=opencv`);
}

function parseStyle(text: string): (typeof versionStyles)[number] {
  const found = versionStyles.find((style) => style === text);
  if (found !== undefined) return found;
  const hint = didYouMean(text, versionStyles) || `: write ${versionStyles.join(", ")}`;
  throw new UsageError(`"${text}" is no way to write versions${hint}`);
}

const options = {
  toplevel: {
    flags: "    --toplevel",
    describe: "only imports at the top of a file, not those in functions",
    common: true,
  },
  function: {
    flags: "    --function NAME",
    describe: "only imports in the first function of this name",
    parse: filled("the name"),
    common: true,
  },
  mapping: {
    flags: "    --pkg-mapping MODULE=PACKAGE",
    describe: "which package a module is from, where that cannot be seen",
    parse: parseMapping,
    repeatable: true,
  },
  extra: {
    flags: "    --extra-pkg PACKAGE",
    describe: "add an installed package that nothing imports",
    parse: filled("the package"),
    repeatable: true,
  },
  versions: {
    flags: "    --versions STYLE",
    describe: "build, exact, minor (1.26) or none",
    parse: parseStyle,
    defaultShown: `exact; build as ${poncho}`,
    common: true,
  },
  python: {
    flags: "    --python PROGRAM",
    describe: "the Python in whose environment the packages are installed",
    parse: filled("the program"),
    default: "python3",
    common: true,
  },
} as const satisfies OptionRows;

export const packageAnalyzeCommand: Command = analyzeCommand("wqx package analyze");

/** Any number of files: they are told from options before the rest is parsed. */
function analyzeCommand(program: string): Command {
  const define = (files: readonly string[]) =>
    defineCommand({
      name: "package analyze",
      purpose:
        "Write the specification of an environment from what Python files import, with the " +
        "versions that are installed here.",
      usage: ["FILE… [OUT] [options]"],
      examples: [
        ["package analyze fit.py plots.ipynb spec.json", "then: wqx package create spec.json …"],
        ["package analyze fit.py --versions minor", "print it, with versions such as numpy=1.26"],
      ],
      arguments: {},
      options,
      run: (given) => run(given, files),
    }).as(program);
  return {
    name: "package analyze",
    help: (all, width) => define([]).help(all, width),
    as: analyzeCommand,
    async run(argv, terminal) {
      const { own, files } = splitFiles(argv);
      return await define(files).run(own, terminal);
    },
  };
}

function splitFiles(argv: readonly string[]): { own: string[]; files: string[] } {
  const withValue = new Set<string>();
  for (const row of Object.values({ ...options, ...generalOptions } as OptionRows)) {
    if (row.parse !== undefined) withValue.add(/--[\w-]+/.exec(row.flags)?.[0] ?? "");
  }
  const own: string[] = [], files: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") return { own, files: [...files, ...argv.slice(i + 1)] };
    if (word === "-" || !word.startsWith("-")) {
      files.push(word);
      continue;
    }
    own.push(word);
    if (withValue.has(word) && i + 1 < argv.length) own.push(argv[++i]!);
  }
  return { own, files };
}

async function run(
  { options: given, terminal, program }: Given<typeof options, Record<never, never>>,
  files: readonly string[],
): Promise<number> {
  if (given.toplevel && given.function !== undefined) {
    throw new UsageError("--toplevel and --function exclude each other: give one of them");
  }
  const last = files.at(-1);
  const isOut = files.length > 1 && last !== undefined &&
    (program === poncho || !/\.(?:py|ipynb)$/.test(last));
  const sources = isOut ? files.slice(0, -1) : files;
  if (sources.length === 0) {
    throw new UsageError(`Missing FILE: the usage is ${program} FILE… [OUT]`);
  }
  using signals = interrupts();
  try {
    const { spec, local, notes } = await analyzeSources({
      sources,
      python: given.python,
      scope: given.function !== undefined
        ? { function: given.function }
        : given.toplevel
        ? "toplevel"
        : "all",
      versions: given.versions ?? (program === poncho ? "build" : "exact"),
      mapping: new Map(given.mapping),
      extra: given.extra,
      signal: signals.stop,
    });
    if (isOut && last !== "-") await Deno.writeTextFile(last, printSpec(spec));
    else terminal.stdout.write(printSpec(spec));
    for (const note of notes) terminal.stderr.write(`${note}\n`);
    if (local.length > 0) {
      terminal.stderr.write(
        `Modules of your own, to be sent as input files of tasks: ${local.join(", ")}\n`,
      );
    }
    return 0;
  } catch (error) {
    if (!signals.stop.aborted) throw error;
    return interruptedExitCode;
  }
}
