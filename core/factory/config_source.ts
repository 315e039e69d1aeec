/**
 * The keys of a factory's configuration and what stands for them, whatever it was written in: JX,
 * of which JSON is a part, the same malformed, or YAML.
 */
import { UsageError } from "../errors.ts";
import { contextOf } from "../jx/eval.ts";
import { isNode, type JxExpr } from "../jx/expr.ts";
import { fromJson } from "../jx/json.ts";
import { Scanner } from "../jx/lexer.ts";
import { JxSyntaxError, parseJx, parseWholeJx } from "../jx/parse.ts";
import { printExpr } from "../jx/print.ts";
import { isJxObject } from "../jx/value.ts";
import { repairConfig } from "./repair.ts";

export interface ConfigSource {
  readonly fields: ReadonlyMap<string, JxExpr>;
  readonly lineOf: (key: string) => number;
  readonly warnings: readonly string[];
}

/** One line of YAML at the top of a file. */
export interface YamlField {
  readonly key: string;
  /** Plain objects, arrays, texts, numbers. */
  readonly value: unknown;
  /** Whether it is a text without quotes, and so perhaps an expression. */
  readonly isBare: boolean;
  readonly line: number;
}

/** Handed in, for the package that reads YAML looks at the environment. */
export type YamlReader = (
  text: string,
) => readonly YamlField[] | { readonly line: number; readonly problem: string };

/** Whose values are texts as they stand; in YAML those of all others may be expressions. */
const textKeys: ReadonlySet<string> = new Set([
  ...["manager-name", "foremen-name", "factory-name"],
  ...["worker-extra-options", "condor-requirements"],
]);

type NameOf = (key: string) => string | null;

/** Throws a UsageError. `nameOf` gives the right spelling of a key, `null` for an unknown one. */
export function readSource(
  text: string,
  name: string,
  nameOf: NameOf,
  readYaml: YamlReader,
): ConfigSource {
  try {
    // An object in braces is JX, whatever the name says; JSON in files of YAML is common.
    if (isBraced(text) || !mayBeYaml(text, name)) return fromJx(text, name);
  } catch (error) {
    if (!(error instanceof JxSyntaxError)) throw error;
    if (!/\.ya?ml$/i.test(name)) return repaired(text, name, nameOf, error);
  }
  return fromYaml(text, name, nameOf, readYaml);
}

function isBraced(text: string): boolean {
  return /^(?:\s|#[^\n]*\n)*\{/.test(text);
}

function mayBeYaml(text: string, name: string): boolean {
  return /\.ya?ml$/i.test(name) || !(/\.jx(on)?$/i.test(name) || text.trim() === "");
}

/** Throws a JxSyntaxError. */
function fromJx(text: string, name: string): ConfigSource {
  const expr = parseJx(text, { allEscapes: true });
  if (!(isNode(expr) ? expr.kind === "object" : isJxObject(expr))) {
    throw new JxSyntaxError(1, "a configuration is an object, in braces");
  }
  for (const { key, clauses } of isNode(expr) && expr.kind === "object" ? expr.pairs : []) {
    if (typeof key !== "string" || clauses.length > 0) {
      const line = isNode(key) ? key.line : 1;
      throw new JxSyntaxError(line, `key ${printExpr(key)} must be a text in quotes`);
    }
  }
  const lines = keyLines(text);
  const repeated = [...lines].filter(([, places]) => places.length > 1);
  return {
    fields: contextOf(expr),
    lineOf: (key) => lines.get(key)?.[0] ?? 1,
    warnings: repeated.map(([key, [first, second]]) =>
      `${name}:${second}: "${key}" is given twice: line ${first} counts`
    ),
  };
}

function repaired(
  text: string,
  name: string,
  nameOf: NameOf,
  { line, reason }: JxSyntaxError,
): ConfigSource {
  const corrected = repairConfig(text, nameOf);
  if (corrected === null) {
    throw new UsageError(
      `${name}:${line}: ${reason}. Write { "key": value, … }, with quotes around both ends of ` +
        "every key, a colon after it, and a comma between two pairs",
    );
  }
  return {
    fields: contextOf(parseJx(corrected)),
    lineOf: lineFinder(text),
    warnings: [
      `${name}:${line}: ${reason}. It is read as the following, which other factories ` +
      `understand too:\n${corrected}`,
    ],
  };
}

/** Where the keys of the outermost object stand, in a text that is sound. */
function keyLines(text: string): ReadonlyMap<string, readonly number[]> {
  const lines = new Map<string, number[]>();
  const scanner = new Scanner(text, true);
  let depth = 0;
  let last: { text: string; line: number } | null = null;
  scanner.next();
  do {
    const { kind, text, line } = scanner;
    if (kind === "operator" && "{[(".includes(text)) depth++;
    if (kind === "operator" && "}])".includes(text)) depth--;
    if (kind === "operator" && text === ":" && depth === 1 && last !== null) {
      lines.set(last.text, [...lines.get(last.text) ?? [], last.line]);
    }
    last = kind === "string" ? { text, line } : null;
    if (depth > 0) scanner.next();
  } while (depth > 0 && scanner.kind !== "end");
  return lines;
}

/** Finds lines of keys in a text that may be anything. */
function lineFinder(text: string): (key: string) => number {
  const bare = text.replace(/(?<=^|\s)#.*/gm, (comment) => " ".repeat(comment.length));
  return (key) => {
    const spelt = key.replace(/[^\w-]/g, ".").replace(/[-_]/g, "[-_]");
    const place = new RegExp(`(?<![\\w-])${spelt}["']?\\s*[:=]`).exec(bare)?.index ?? 0;
    return bare.slice(0, place).split("\n").length;
  };
}

function fromYaml(text: string, name: string, nameOf: NameOf, readYaml: YamlReader): ConfigSource {
  const read = readYaml(text);
  if ("problem" in read) throw new UsageError(`${name}:${read.line}: ${read.problem}`);
  const lines = new Map(read.map(({ key, line }) => [key, line]));
  const fields = read.map(({ key, value, isBare }): [string, JxExpr] => {
    const known = nameOf(key);
    const isExpression = isBare && known !== null && !textKeys.has(known);
    const place = `${name}:${lines.get(key)}: "${key}"`;
    return [key, isExpression ? parsedAt(place, String(value)) : fromJson(value)];
  });
  return { fields: new Map(fields), lineOf: (key) => lines.get(key) ?? 1, warnings: [] };
}

function parsedAt(place: string, text: string): JxExpr {
  try {
    return parseWholeJx(text);
  } catch (error) {
    if (!(error instanceof JxSyntaxError)) throw error;
    throw new UsageError(`${place} is neither a number nor an expression: ${error.reason}`);
  }
}
