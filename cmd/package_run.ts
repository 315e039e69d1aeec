/** `wqx package run ENV -- COMMAND`, also known as `poncho_package_run` */
import { RunError, UsageError } from "../core/errors.ts";
import { parseSizeMb, parseTimeMs } from "../core/units.ts";
import { interrupts } from "../io/signals.ts";
import { cacheFolder, environmentsFolder } from "../package/cache_folder.ts";
import { runInEnvironment, type RunRequest } from "../package/run.ts";
import { type Command, defineCommand, generalOptions, type Given, type OptionRows } from "./cli.ts";
import { interruptedExitCode } from "./exit_codes.ts";
import { filled } from "./option_values.ts";

const poncho = "poncho_package_run";

const options = {
  environment: {
    flags: "-e, --environment ENV",
    describe: "archive or folder; without it, the first word is ENV",
    parse: filled("the name"),
    common: true,
  },
  unpackTo: {
    flags: "-u, --unpack-to DIR",
    describe: "unpack an archive into this folder, unless it is there already",
    parse: filled("the folder"),
    defaultShown: "a place in the cache of this machine, by the archive's content",
    common: true,
  },
  waitForLock: {
    flags: "-w, --wait-for-lock TIME",
    describe: "how long to wait for others who unpack into DIR",
    parse: parseTimeMs,
    default: 300_000,
    defaultShown: "300s",
  },
  sizeMax: {
    flags: "    --size-max SIZE",
    describe: "unpack no more than this",
    parse: parseSizeMb,
    defaultShown: "100 times the archive, and what is free on the disk",
  },
  debug: { flags: "-d, --debug", describe: "say each step" },
  helpEnvCreation: {
    flags: "    --help-env-creation",
    describe: "say how environments are made",
  },
} as const satisfies OptionRows;

export const packageRunCommand: Command = runCommand("wqx package run");

/** The words of the command are cut off before the rest is parsed. */
function runCommand(program: string): Command {
  const define = (environment: string | null, words: readonly string[]) =>
    defineCommand({
      name: "package run",
      purpose:
        "Run a command in an environment, which is unpacked once and kept for the next time.",
      usage: ["ENV [options] -- COMMAND [ARGUMENTS]", "-e ENV [options] COMMAND [ARGUMENTS]"],
      examples: [
        ["package run env.tar.gz -- python fit.py", "unpack it if it is new here, and run"],
        ["package run -e env.tar.gz -u env python fit.py", "unpack it into the folder env"],
      ],
      arguments: {},
      options,
      run: (given) => run(given, environment, words),
    }).as(program);
  return {
    name: "package run",
    help: (all, width) => define(null, []).help(all, width),
    as: runCommand,
    async run(argv, terminal) {
      const isPoncho = program === poncho;
      const { own, environment, words } = splitRun(argv, isPoncho);
      if (!isPoncho) return await define(environment, words).run(own, terminal);
      try {
        return await define(environment, words).run(own, terminal);
      } catch (error) {
        if (!(error instanceof UsageError || error instanceof RunError)) throw error;
        // There its messages have a time and go to stdout.
        terminal.stdout.write(ponchoLine(error.message));
        return 1;
      }
    },
  };
}

/**
 * Options of ours, then ENV (not as poncho_package_run), then the command: from `--` or the first
 * word that is no option. As poncho_package_run an unknown option is the first word of the command.
 */
export function splitRun(
  argv: readonly string[],
  isPoncho: boolean,
): {
  readonly own: readonly string[];
  readonly environment: string | null;
  readonly words: readonly string[];
} {
  const rows = Object.values({ ...options, ...generalOptions } as OptionRows);
  const rowOf = (word: string) =>
    rows.find(({ flags }) => {
      const names = flags.match(/(?<=^|[\s,])--?[a-zA-Z][\w-]*/g) ?? [];
      return names.some((name) =>
        word === name || name.startsWith("--") && word.startsWith(`${name}=`) ||
        // `-uDIR`, as getopt takes it
        !name.startsWith("--") && !word.startsWith("--") && word.startsWith(name)
      );
    });
  const own: string[] = [];
  let environment: string | null = null, namesEnvironment = isPoncho;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") return { own, environment, words: argv.slice(i + 1) };
    if (word.startsWith("-") && word !== "-") {
      const row = rowOf(word);
      if (row === undefined && isPoncho) return { own, environment, words: argv.slice(i) };
      own.push(word);
      if (row === options.environment) namesEnvironment = true;
      const takesNext = row?.parse !== undefined && (/^--[^=]*$/.test(word) || word.length === 2);
      if (takesNext && i + 1 < argv.length) own.push(argv[++i]!);
    } else if (!namesEnvironment) {
      environment = word;
      namesEnvironment = true;
    } else {
      return { own, environment, words: argv.slice(i) };
    }
  }
  return { own, environment, words: [] };
}

async function run(
  { options: given, terminal, program }: Given<typeof options, Record<never, never>>,
  firstWord: string | null,
  words: readonly string[],
): Promise<number> {
  if (given.helpEnvCreation) {
    terminal.stdout.write(creationHelp);
    return 0;
  }
  const isPoncho = program === poncho;
  const environment = given.environment ?? firstWord;
  if (environment === null) {
    const usage = isPoncho ? `${poncho} -e ENV [options] COMMAND` : `${program} ENV -- COMMAND`;
    throw new UsageError(`Missing ENV, an archive or a folder: the usage is ${usage}`);
  }
  if (words.length === 0 && !isPoncho) {
    throw new UsageError(`Missing COMMAND: the usage is ${program} ENV -- COMMAND [ARGUMENTS]`);
  }
  using signals = interrupts();
  const note = (step: string) => {
    if (!given.debug) return;
    if (isPoncho) terminal.stdout.write(ponchoLine(step));
    else terminal.stderr.write(`${step}\n`);
  };
  try {
    return await runInEnvironment({
      environment,
      command: words,
      where: whereOf(given.unpackTo, isPoncho),
      lockWaitMs: given.waitForLock,
      ...given.sizeMax !== undefined && { bytesMax: given.sizeMax * 1024 ** 2 },
      note,
      signal: signals.stop,
    });
  } catch (error) {
    if (!signals.stop.aborted) throw error;
    terminal.stderr.write(`Interrupted while ${environment} was unpacked\n`);
    return interruptedExitCode;
  }
}

function whereOf(unpackTo: string | undefined, isPoncho: boolean): RunRequest["where"] {
  if (unpackTo !== undefined) return { kind: "folder", path: unpackTo };
  if (isPoncho) return { kind: "temporary" };
  return { kind: "store", path: environmentsFolder(cacheFolder()) };
}

/** As scripts that read its output find it. */
function ponchoLine(text: string): string {
  const time = new Date().toISOString().replace("T", " ").slice(0, 19);
  return `${time} ${poncho}(${Deno.pid}): ${text}\n`;
}

const creationHelp = `An environment is an archive in the layout of conda-pack, made by

  wqx package create SPEC env.tar.gz

where SPEC names conda and pip packages in JSON or YAML. "wqx package analyze" writes one from what
Python files import; "wqx package create --help" tells the rest. Archives by conda-pack and by
poncho_package_create work as well.
`;
