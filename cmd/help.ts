/** The text of `--help`: purpose, usage, examples, then options in two columns. */
import { Help } from "commander";
import type { CommandTexts, OptionRow, ValueRow } from "./cli.ts";

/** Longer lines are hard to read, however wide the window is. */
const widthMax = 100;
/** A narrower column of text is not wrapped: a window that narrow is no place to read. */
const textWidthMin = 20;

/** Help on one command; with `all`, every option under its heading. Ends with a newline. */
export function helpText(texts: CommandTexts, all: boolean, width: number): string {
  const options = Object.values(texts.options);
  const shown = all ? options : options.filter((row) => row.common);
  const items = [
    ...Object.values(texts.arguments).map((row) => [row.name, row.describe] as const),
    ...shown.map(optionItem),
  ];
  const columns = new Columns(items.map(([term]) => term), width);
  const blocks = [
    columns.wrap(texts.purpose),
    texts.usage.map((line, i) => `${i === 0 ? "Usage:" : "      "} ${texts.program} ${line}`)
      .join("\n"),
    examplesBlock(texts, width),
    columns.lines(Object.values(texts.arguments).map((row) => [row.name, row.describe])),
    columns.lines(shown.filter((row) => row.common).map(optionItem)),
  ];
  const rest = all ? Object.groupBy(shown.filter((row) => !row.common), headingOf) : {};
  for (const [heading, rows] of Object.entries(rest)) {
    blocks.push(`${heading}:\n${columns.lines((rows ?? []).map(optionItem))}`);
  }
  if (!all) blocks.push(`All options: ${texts.program} --help-all`);
  return blocks.filter((block) => block !== "").join("\n\n") + "\n";
}

/** What `wqx` alone prints, and a command that consists of commands. */
export function overviewText(
  commands: readonly (readonly [name: string, summary: string])[],
  width: number,
  { purpose, program } = {
    purpose: "Run data analyses on many machines, with Work Queue's protocol.",
    program: "",
  },
): string {
  const columns = new Columns(commands.map(([name]) => name), width);
  return [
    columns.wrap(purpose),
    `Usage: wqx ${program}COMMAND [options]`,
    columns.lines(commands),
    `Help on a command: wqx help ${program}COMMAND`,
  ].join("\n\n") + "\n";
}

function examplesBlock({ examples, name, program }: CommandTexts, width: number): string {
  const items = examples.map(([line, what]) =>
    [`${program}${line.slice(name.length)}`, what] as const
  );
  return new Columns(items.map(([term]) => term), width).lines(items);
}

function headingOf(row: OptionRow): string {
  return row.group ?? "Other";
}

function optionItem(row: OptionRow): readonly [string, string] {
  const flags = row.flags.trim();
  const notes = row.parse === undefined ? [] : valueNotes(row);
  if (row.env !== undefined) notes.push(`[environment: ${row.env}]`);
  // Long names line up below those that have a letter too.
  const text = [row.describe, ...notes.map(unbroken)].join(" ");
  return [flags.startsWith("--") ? `    ${flags}` : flags, text];
}

/** Stands for a blank at which a line must not be broken. */
const hardBlank = "\0";

function unbroken(note: string): string {
  return note.replaceAll(" ", hardBlank);
}

function valueNotes(row: ValueRow): string[] {
  const notes = row.repeatable ? ["(repeatable)"] : [];
  const shown = row.defaultShown ?? (row.default === undefined ? null : String(row.default));
  if (shown !== null) notes.push(`[default: ${shown}]`);
  return notes;
}

/** Two columns of which the second is wrapped, by commander's own layout. */
class Columns {
  readonly #help = new Help();
  readonly #termWidth: number;

  constructor(terms: readonly string[], width: number) {
    this.#help.helpWidth = Math.min(width, widthMax);
    this.#help.minWidthToWrap = textWidthMin;
    this.#termWidth = Math.max(0, ...terms.map((term) => term.length));
  }

  lines(items: readonly (readonly [string, string])[]): string {
    return items.map(([term, text]) =>
      this.#help.formatItem(term, this.#termWidth, text, this.#help)
    ).join("\n").replaceAll(hardBlank, " ");
  }

  wrap(text: string): string {
    return this.#help.boxWrap(text, this.#help.helpWidth ?? widthMax);
  }
}
