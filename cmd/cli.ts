/**
 * Commands as tables: a row an option, from which parser, help, suggestions and the type of what
 * the command is given all follow. `commander` cuts argv and reads the environment; the words of
 * errors and help are ours.
 */
import { Command as Parser, CommanderError, Option } from "commander";
import { messageOf, naming, UsageError } from "../core/errors.ts";
import { didYouMean } from "../core/suggest.ts";
import { type Registry, version } from "./commands.ts";
import { helpText } from "./help.ts";
import { type Terminal, withoutColor } from "./render.ts";

interface RowBase {
  /** `-t, --timeout TIME`; without a capital word at the end it is a switch. */
  readonly flags: string;
  readonly describe: string;
  /** Shown by `--help`, not only by `--help-all`. */
  readonly common?: boolean;
  /** Heading under which `--help-all` lists it. */
  readonly group?: string;
  /** Environment variable that is read where the option is not given. */
  readonly env?: string;
}

/** An option without a value: false unless given. */
export interface SwitchRow extends RowBase {
  readonly parse?: undefined;
}

/** An option with a value. `parse` throws what is wrong with the text as the end of a sentence. */
export interface ValueRow extends RowBase {
  readonly parse: (text: string) => unknown;
  readonly default?: unknown;
  /** How help shows the default; otherwise as the value prints. */
  readonly defaultShown?: string;
  /** May be given more than once; the command gets a list. */
  readonly repeatable?: boolean;
}

export type OptionRow = SwitchRow | ValueRow;
export type OptionRows = Readonly<Record<string, OptionRow>>;

/** A positional argument; those that may be left out come last. */
export interface ArgumentRow {
  /** As usage shows it, in capitals. */
  readonly name: string;
  readonly describe: string;
  readonly optional?: boolean;
}

export type ArgumentRows = Readonly<Record<string, ArgumentRow>>;

type OptionValue<R extends OptionRow> = R extends { parse: (text: string) => infer T }
  ? R extends { repeatable: true } ? readonly T[]
  : R extends { default: infer D } ? T | D
  : T | undefined
  : boolean;

/** What a command with these rows is given, by the keys of the rows. */
export type OptionsOf<O extends OptionRows> = { readonly [K in keyof O]: OptionValue<O[K]> };
export type ArgumentsOf<A extends ArgumentRows> = {
  readonly [K in keyof A]: A[K] extends { optional: true } ? string | undefined : string;
};

/** What help needs to know of a command. */
export interface CommandTexts {
  readonly name: string;
  /** What people type to start it: `wqx NAME`, or a name of cctools. */
  readonly program: string;
  /** One sentence. */
  readonly purpose: string;
  /** Usage lines after the name of the command: `ANALYSIS.yaml [options]`. */
  readonly usage: readonly string[];
  /** Command line (after `wqx`, beginning with the command's name) and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  readonly arguments: ArgumentRows;
  readonly options: OptionRows;
}

export interface Given<O extends OptionRows, A extends ArgumentRows> {
  readonly options: OptionsOf<O>;
  readonly arguments: ArgumentsOf<A>;
  readonly terminal: Terminal;
  /** As {@link CommandTexts.program}. */
  readonly program: string;
}

export interface CommandSpec<O extends OptionRows, A extends ArgumentRows>
  extends Omit<CommandTexts, "program"> {
  readonly arguments: A;
  readonly options: O;
  /** Returns the exit code. */
  readonly run: (given: Given<O, A>) => Promise<number>;
}

/** A command as the command line sees it. */
export interface Command {
  readonly name: string;
  /** The text of `--help`, or with `all` of `--help-all`, at most `width` columns wide. */
  help(all: boolean, width: number): string;
  /** Parses what follows the name and runs it; throws UsageError before any side effect. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
  /** The same as a program of its own, whose `--help` shows all options, as in cctools. */
  as(program: string): Command;
  /** Of a group: its commands. */
  readonly commands?: Registry;
}

/** Rows that every command has. */
export const generalOptions = {
  help: { flags: "-h, --help", describe: "print this help", group: "General" },
  helpAll: { flags: "    --help-all", describe: "print all options", group: "General" },
  noColor: {
    flags: "    --no-color",
    describe: "no colour, as with NO_COLOR=1",
    group: "General",
  },
} satisfies OptionRows;

/** Row of commands that cctools has too; {@link defineCommand} answers it. */
export const versionOption = {
  flags: "-v, --version",
  describe: "print the version",
  group: "General",
} as const satisfies OptionRow;

/** Rows of every command that shows data. */
export const outputOptions = {
  json: { flags: "    --json", describe: "data as JSON, an object a line", common: true },
  quiet: { flags: "-q, --quiet", describe: "print errors only", group: "General" },
} satisfies OptionRows;

export function defineCommand<const O extends OptionRows, const A extends ArgumentRows>(
  spec: CommandSpec<O, A>,
): Command {
  return commandUnder(spec, `wqx ${spec.name}`, false);
}

function commandUnder<const O extends OptionRows, const A extends ArgumentRows>(
  spec: CommandSpec<O, A>,
  program: string,
  allHelp: boolean,
): Command {
  const texts: CommandTexts = {
    ...spec,
    program,
    options: { ...spec.options, ...generalOptions },
  };
  return {
    name: spec.name,
    help: (all, width) => helpText(texts, all, width),
    as: (other) => commandUnder(spec, other, true),
    async run(argv, terminal) {
      const words = cut(texts, argv);
      if (words.has("help") || words.has("helpAll")) {
        const { stdout } = terminal;
        stdout.write(helpText(texts, allHelp || words.has("helpAll"), stdout.columns));
        return 0;
      }
      if (words.has("version")) {
        terminal.stdout.write(`${program} of wqx ${version}\n`);
        return 0;
      }
      return await spec.run({
        // Both follow the rows key by key, which the compiler cannot see through `fromEntries`.
        options: valuesOf(spec.options, words) as OptionsOf<O>,
        arguments: argumentsOf(texts, words.operands) as ArgumentsOf<A>,
        terminal: words.has("noColor") ? withoutColor(terminal) : terminal,
        program,
      });
    },
  };
}

/** A command line cut into words: nothing is converted yet. */
interface Words {
  readonly operands: readonly string[];
  has(key: string): boolean;
  /** Texts given to an option, and from where. */
  texts(key: string): { readonly given: readonly string[]; readonly from: string } | null;
}

function cut(texts: CommandTexts, argv: readonly string[]): Words {
  const silent = () => {};
  const parser = new Parser(texts.name)
    .helpOption(false)
    .allowExcessArguments()
    .exitOverride()
    .configureOutput({ writeOut: silent, writeErr: silent, outputError: silent });
  const options = new Map<string, Option>();
  for (const [key, row] of Object.entries(texts.options)) {
    const option = toOption(row);
    options.set(key, option);
    parser.addOption(option);
  }
  try {
    parser.parse([...argv], { from: "user" });
  } catch (error) {
    throw error instanceof CommanderError ? usageError(error, texts) : error;
  }
  const valueOf = (key: string): unknown => {
    const option = options.get(key);
    return option && parser.getOptionValue(option.attributeName());
  };
  return {
    operands: parser.args,
    // commander keeps `--no-color` as `color: false`.
    has: (key) => valueOf(key) === (options.get(key)?.negate ? false : true),
    texts(key) {
      const value = valueOf(key);
      const option = options.get(key);
      if (!Array.isArray(value) || option === undefined) return null;
      const fromEnv = parser.getOptionValueSource(option.attributeName()) === "env";
      return { given: value, from: fromEnv ? `environment ${option.envVar}` : longFlag(option) };
    },
  };
}

function toOption(row: OptionRow): Option {
  const flags = row.flags.trim();
  if (row.parse === undefined) return new Option(flags);
  const option = new Option(flags.replace(/ (\S+)$/, " <$1>"));
  option.argParser((text: string, earlier: string[] | undefined) => [...earlier ?? [], text]);
  return row.env === undefined ? option : option.env(row.env);
}

function valuesOf(rows: OptionRows, words: Words): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(rows).map(([key, row]) => {
      if (row.parse === undefined) return [key, words.has(key)];
      const found = words.texts(key);
      if (found === null) return [key, row.repeatable ? [] : row.default];
      const convert = converter(row.parse, found.from);
      // An option given again replaces what came before, so that scripts can append to a line.
      return [key, row.repeatable ? found.given.map(convert) : convert(found.given.at(-1) ?? "")];
    }),
  );
}

function converter(parse: (text: string) => unknown, from: string): (text: string) => unknown {
  return (text) => naming(from, () => parse(text));
}

function argumentsOf(texts: CommandTexts, operands: readonly string[]): Record<string, unknown> {
  const rows = Object.entries(texts.arguments);
  const usage = `${texts.program} ${texts.usage[0]}`;
  const extra = operands[rows.length];
  if (extra !== undefined) {
    throw new UsageError(`Unexpected argument "${extra}": the usage is ${usage}`);
  }
  return Object.fromEntries(
    rows.map(([key, row], i) => {
      const operand = operands[i];
      if (operand === undefined && !row.optional) {
        throw new UsageError(`Missing ${row.name}: the usage is ${usage}`);
      }
      return [key, operand];
    }),
  );
}

/** The word in quotes in commander's message is the one thing of it that is kept. */
function usageError(error: CommanderError, texts: CommandTexts): UsageError {
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  const options = Object.values(texts.options).map(toOption);
  switch (error.code) {
    case "commander.unknownOption": {
      const word = quoted.split("=")[0] ?? quoted;
      const hint = word.startsWith("--") ? didYouMean(word, options.map(longFlag)) : "";
      return new UsageError(
        `Unknown option "${word}"${hint || `: ${texts.program} --help-all lists all`}`,
      );
    }
    case "commander.optionMissingArgument": {
      const row = Object.values(texts.options).find((row) => toOption(row).flags === quoted);
      const [name, value] = (row?.flags ?? quoted).split(", ").at(-1)?.trim().split(" ") ?? [];
      return new UsageError(`Option ${name} needs a value: ${name} ${value}`);
    }
    default:
      return new UsageError(messageOf(error).replace(/^error: /, ""));
  }
}

function longFlag(option: Option): string {
  return option.long ?? option.flags;
}
