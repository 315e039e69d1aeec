/** Values and expressions to JX text. Beyond ASCII it is UTF-8 as it is: cctools reads nothing else. */
import { general } from "./doubles.ts";
import { isNode, JxError, type JxExpr, type JxItem, type JxNode } from "./expr.ts";
import { isJxArray, isJxObject, type JxValue } from "./value.ts";

/** The compact wire form, on one line. */
export function printJx(value: JxValue | JxError): string {
  return printValue(value, printDouble);
}

function printValue(value: JxValue | JxError, double: (value: number) => string): string {
  switch (typeof value) {
    case "string":
      return printString(value);
    case "bigint":
      return value.toString();
    case "number":
      return double(value);
    case "boolean":
      return value ? "true" : "false";
  }
  if (value === null) return "null";
  if (value instanceof JxError) return `error(${printExpr(value.detail)})`;
  if (isJxArray(value)) return `[${value.map((entry) => printValue(entry, double)).join(",")}]`;
  // Joining is twice as fast as appending, for what is long.
  const fields: string[] = [];
  for (const [key, entry] of value) {
    fields.push(`${printString(key)}:${printValue(entry, double)}`);
  }
  return `{${fields.join(",")}}`;
}

/**
 * As `printf("%.16g")` writes it, so that `1.0` is `1` and comes back as an integer: readers of
 * cctools expect that.
 */
export function printDouble(value: number): string {
  const isShort = Number.isInteger(value) && Math.abs(value) < 1e15 && !Object.is(value, -0);
  return isShort ? String(value) : general(value, 16);
}

// deno-lint-ignore no-control-regex -- these are what must be escaped
const special = /["\\\x00-\x1f\x7f]/;
// deno-lint-ignore no-control-regex -- as above
const specials = /["\\\x00-\x1f\x7f]/g;
const escapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

export function printString(text: string): string {
  return special.test(text) ? `"${text.replace(specials, escaped)}"` : `"${text}"`;
}

function escaped(letter: string): string {
  return escapes.get(letter) ?? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * An expression with every operator in parentheses, which any reader understands as it was meant,
 * whatever its precedence.
 */
export function printExpr(expr: JxExpr | JxError): string {
  if (expr instanceof JxError || !isNode(expr)) return printValue(expr, printLiteral);
  switch (expr.kind) {
    case "symbol":
      return expr.name;
    case "array":
      return `[${printItems(expr.items)}]`;
    case "object": {
      const pairs = expr.pairs.map((pair) => `${printExpr(pair.key)}:${printItem(pair)}`);
      return `{${pairs.join(",")}}`;
    }
    case "unary":
      return `${expr.operator === "not" ? "not " : expr.operator}${enclosed(expr.operand)}`;
    case "binary": {
      const wordy = expr.operator === "and" || expr.operator === "or";
      const operator = wordy ? ` ${expr.operator} ` : expr.operator;
      return `${enclosed(expr.left)}${operator}${enclosed(expr.right)}`;
    }
    case "lookup":
      return `${enclosed(expr.of)}[${printExpr(expr.index)}]`;
    case "slice": {
      const bounds = [expr.start, expr.end].map((bound) =>
        bound === undefined ? "" : printExpr(bound)
      );
      return `${enclosed(expr.of)}[${bounds.join(":")}]`;
    }
    case "call":
      return `${expr.name}(${printItems(expr.args)})`;
    case "error":
      return `error(${enclosed(expr.detail)})`;
  }
}

/** A double that stays one: `3/2.0` is not `3/2`. */
function printLiteral(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-1e999" : "1e999";
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function printItems(items: readonly JxItem[]): string {
  return items.map(printItem).join(",");
}

function printItem({ value, clauses }: JxItem): string {
  const loops = clauses.map(({ variable, list, condition }) =>
    ` for ${variable} in ${printExpr(list)}` +
    (condition === undefined ? "" : ` if ${printExpr(condition)}`)
  );
  return `${printExpr(value)}${loops.join("")}`;
}

/** As an operand of something that binds. */
function enclosed(expr: JxExpr): string {
  const text = printExpr(expr);
  const binds = isNode(expr) ? needsParentheses(expr) : text.startsWith("-");
  return binds ? `(${text})` : text;
}

function needsParentheses(node: JxNode): boolean {
  return node.kind === "unary" || node.kind === "binary" || node.kind === "error";
}

/** For people: two blanks a level, as catalog_query and `jx2json --pretty` print it. */
export function prettyJx(value: JxValue): string {
  return pretty(value, "");
}

function pretty(value: JxValue, indent: string): string {
  if (!isJxObject(value) && !isJxArray(value)) return printJx(value);
  const inner = `${indent}  `;
  const entries = isJxArray(value)
    ? value.map((entry) => `${inner}${pretty(entry, inner)}`)
    : [...value].map(([key, entry]) =>
      `${inner}${printString(key)}:${pretty(entry, `${inner}  `)}`
    );
  const [open, close] = isJxArray(value) ? "[]" : "{}";
  return `\n${indent}${open}\n${entries.join(",\n")}${
    entries.length > 0 ? "\n" : ""
  }${indent}${close}`;
}
