/**
 * JX expressions: a value, or what has still to be worked out. Arrays and objects whose parts are
 * all constant are values at once, so that the text of a record is parsed without an extra pass.
 */
import type { JxValue } from "./value.ts";

export type JxExpr = JxValue | JxNode;

export type BinaryOperator =
  | ("or" | "and")
  | ("==" | "!=" | "<" | "<=" | ">" | ">=")
  | ("+" | "-" | "*" | "/" | "%");

export type UnaryOperator = "-" | "+" | "not";

export type JxNode =
  | { readonly kind: "symbol"; readonly name: string; readonly line: number }
  | { readonly kind: "array"; readonly items: readonly JxItem[]; readonly line: number }
  | { readonly kind: "object"; readonly pairs: readonly JxPair[]; readonly line: number }
  | {
    readonly kind: "unary";
    readonly operator: UnaryOperator;
    readonly operand: JxExpr;
    readonly line: number;
  }
  | {
    readonly kind: "binary";
    readonly operator: BinaryOperator;
    readonly left: JxExpr;
    readonly right: JxExpr;
    readonly line: number;
  }
  | {
    readonly kind: "lookup";
    readonly of: JxExpr;
    readonly index: JxExpr;
    readonly line: number;
  }
  | {
    readonly kind: "slice";
    readonly of: JxExpr;
    readonly start: JxExpr | undefined;
    readonly end: JxExpr | undefined;
    readonly line: number;
  }
  | {
    readonly kind: "call";
    readonly name: string;
    readonly args: readonly JxItem[];
    readonly line: number;
  }
  | { readonly kind: "error"; readonly detail: JxExpr; readonly line: number };

/** An entry of an array or an argument, repeated by the clauses that follow it. */
export interface JxItem {
  readonly value: JxExpr;
  readonly clauses: readonly JxClause[];
}

export interface JxPair extends JxItem {
  readonly key: JxExpr;
}

/** `for VARIABLE in LIST if CONDITION`, for the variables of the clauses before it. */
export interface JxClause {
  readonly variable: string;
  readonly list: JxExpr;
  readonly condition: JxExpr | undefined;
  readonly line: number;
}

/** What an expression without a value gives; `detail` is a sentence in all but odd cases. */
export class JxError {
  constructor(readonly detail: JxValue | JxExpr | JxError) {}

  /** The innermost detail if it is a text, as most are; what people are shown. */
  get message(): string {
    if (this.detail instanceof JxError) return this.detail.message;
    return typeof this.detail === "string" ? this.detail : "error";
  }
}

export function isNode(expr: JxExpr): expr is JxNode {
  return typeof expr === "object" && expr !== null && !(expr instanceof Map) &&
    !Array.isArray(expr);
}

/** The expressions directly within a node, in the order of the text. */
export function partsOf(node: JxNode): JxExpr[] {
  switch (node.kind) {
    case "symbol":
      return [];
    case "array":
      return node.items.flatMap(partsOfItem);
    case "object":
      return node.pairs.flatMap((pair) => [pair.key, ...partsOfItem(pair)]);
    case "unary":
      return [node.operand];
    case "binary":
      return [node.left, node.right];
    case "lookup":
      return [node.of, node.index];
    case "slice":
      return [node.of, node.start, node.end].filter((part) => part !== undefined);
    case "call":
      return node.args.flatMap(partsOfItem);
    case "error":
      return [node.detail];
  }
}

function partsOfItem(item: JxItem): JxExpr[] {
  const clauses = item.clauses.flatMap(({ list, condition }) =>
    condition === undefined ? [list] : [list, condition]
  );
  return [item.value, ...clauses];
}
