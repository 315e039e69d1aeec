/**
 * Values of options that several commands read alike, and what is said of options that do nothing.
 * Parsers throw a UsageError whose message is the end of a sentence; the option comes before it.
 */
import { projectPattern } from "../core/catalog/selection.ts";
import { messageOf, UsageError } from "../core/errors.ts";
import type { JxExpr } from "../core/jx/expr.ts";
import { parseJx } from "../core/jx/parse.ts";
import type { TextPattern } from "../core/posix_regex.ts";
import { parseTimeMs } from "../core/units.ts";
import type { OptionRow, OptionRows } from "./cli.ts";

/** Heading of options that cctools has and that do nothing here. */
export const ignoredGroup = "Taken from scripts, without effect here";

/** As it was given. */
export const asText = (text: string): string => text;

/** As it was given, but not empty; `what` is named in the error. */
export function filled(what: string): (text: string) => string {
  return (text) => {
    if (text.trim() === "") throw new UsageError(`${what} is empty`);
    return text;
  };
}

/** A project name as it was given, and what matches it. */
export function parseProject(
  text: string,
): { readonly text: string; readonly pattern: TextPattern } {
  return { text, pattern: projectPattern(text) };
}

/** Catalogs to be asked; commands add the letter. */
export const catalogsRow = {
  describe: "catalogs to ask, in this order; the port is CATALOG_PORT, else 9097",
  // Which port belongs to an entry without one is not known here.
  parse: asText,
  defaultShown: "those of Notre Dame",
  env: "CATALOG_HOST",
} as const;

/** `500000`, `10M`, `2T`: bytes, K is 1024. */
export function parseBytes(text: string): number {
  const [, digits, unit = ""] = /^\s*(\d{1,15})\s*([KMGTP]?)B?\s*$/i.exec(text) ?? [];
  if (digits === undefined) {
    throw new UsageError(`"${text}" is no number of bytes: write 500000, 10M or 1G`);
  }
  return Number(digits) * 1024 ** " KMGTP".indexOf(unit.toUpperCase() || " ");
}

/** A time of `minMs` or more. */
export function timeAtLeast(minMs: number): (text: string) => number {
  return (text) => {
    const ms = parseTimeMs(text);
    if (ms >= minMs) return ms;
    throw new UsageError(`"${text}" is too short: it must be ${minMs}ms or more`);
  };
}

/** A JX expression. */
export function parseExpression(text: string): JxExpr {
  try {
    return parseJx(text);
  } catch (error) {
    throw new UsageError(`invalid expression: ${text} (${messageOf(error)})`);
  }
}

/** Rows of `rows` that were given. */
export function givenOf(
  rows: OptionRows,
  options: Readonly<Record<string, unknown>>,
): OptionRow[] {
  return Object.entries(rows).flatMap(([key, row]) =>
    options[key] === undefined || options[key] === false ? [] : [row]
  );
}

/** A line for each of these rows that was given. */
export function ignoredNotes(
  rows: OptionRows,
  options: Readonly<Record<string, unknown>>,
): string[] {
  return givenOf(rows, options).map((row) => `${nameOf(row)} has no effect here: ${row.describe}`);
}

/** `--timeout` of `-t, --timeout TIME`. */
export function nameOf({ flags }: OptionRow): string {
  return /--[a-z-]+/.exec(flags)?.[0] ?? flags.split(" ")[0]!;
}
