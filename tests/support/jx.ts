/** JX values, expressions and texts for properties. */
import fc from "fast-check";
import type { JxExpr } from "../../core/jx/expr.ts";
import type { JxValue } from "../../core/jx/value.ts";
import { anyText } from "./texts.ts";

/** Texts with everything that must be escaped, and beyond ASCII; no halves of surrogates. */
const text = fc.oneof(
  anyText({ maxLength: 12 }).map((text) => text.replaceAll("\0", "")),
  fc.constantFrom("", "a", 'say "hi"', "back\\slash", "line\nbreak", "é", "\u007f\u0001"),
);

/** Doubles that 16 digits tell apart and that are not whole, which come back as integers. */
const double = fc.integer({ min: -1e9, max: 1e9 }).map((n) => (2 * n + 1) / 16);

const scalar: fc.Arbitrary<JxValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
  double,
  text,
);

export const jxValue: fc.Arbitrary<JxValue> = fc.letrec<{ value: JxValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "jx" },
    scalar,
    fc.array(tie("value"), { maxLength: 4, depthIdentifier: "jx" }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 4, depthIdentifier: "jx" })
      .map((entries) => new Map(entries)),
  ),
})).value;

const name = fc.constantFrom("a", "b", "x", "range", "project", "tasks_waiting");
const operator = fc.constantFrom(
  ...["or", "and", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"] as const,
);
const functionName = fc.constantFrom(
  ...["range", "format", "template", "join", "len", "ceil", "floor", "basename", "dirname"],
  ...["escape", "like", "keys", "values", "items", "schema", "select", "where", "project"],
  ...["listdir", "fetch", "none"],
);

/** Expressions of every kind; most come to an error. */
export const jxExpr: fc.Arbitrary<JxExpr> = fc.letrec<{ expr: JxExpr }>((tie) => {
  const expr = tie("expr");
  const line = fc.constant(1);
  const clause = fc.record({
    variable: name,
    list: expr,
    condition: fc.option(expr, { nil: undefined }),
    line,
  });
  const item = fc.record({ value: expr, clauses: fc.array(clause, { maxLength: 2 }) });
  const symbol = fc.record({ kind: fc.constant("symbol" as const), name, line });
  const node = <T extends object>(kind: string, rest: T) =>
    fc.record({ kind: fc.constant(kind), ...rest, line }) as unknown as fc.Arbitrary<JxExpr>;
  return {
    expr: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      scalar,
      symbol,
      node("array", { items: fc.array(item, { minLength: 1, maxLength: 3 }) }),
      node("unary", { operator: fc.constantFrom("-", "+", "not"), operand: symbol }),
      node("binary", { operator, left: expr, right: expr }),
      node("lookup", { of: expr, index: expr }),
      node("slice", { of: expr, start: fc.option(expr, { nil: undefined }), end: expr }),
      node("call", { name: functionName, args: fc.array(item, { maxLength: 3 }) }),
    ),
  };
}).expr;

/** Words of JX in any order, with noise between them. */
export const jxText: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    fc.constantFrom(
      ...["{", "}", "[", "]", "(", ")", ",", ":", ";", ".", "+", "-", "==", "=", "&&", "!", " "],
      ...[
        '"',
        '"a"',
        '"\\u00',
        "\\uffffffc3",
        "0",
        "12",
        "1e9",
        "1e",
        "x",
        "for",
        "in",
        "if",
        "error",
      ],
      ...["not", "and", "or", "null", "true", "range(3)", "#", "\n", "x.len()", "[1]"],
    ),
    anyText({ maxLength: 3 }),
  ),
  { maxLength: 30 },
).map((words) => words.join(""));
