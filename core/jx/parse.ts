/**
 * JX text to expressions and values. As in cctools, operators of one level group to the right
 * (`10-5-2` is 7) and `or` binds tighter than `and`; what follows the first value is not read,
 * but for one token.
 */
import {
  type BinaryOperator,
  isNode,
  type JxExpr,
  type JxItem,
  type JxPair,
  partsOf,
} from "./expr.ts";
import { JxSyntaxError, Scanner } from "./lexer.ts";
import type { JxObject, JxValue } from "./value.ts";
import type { JxClause, JxNode } from "./expr.ts";

export { JxSyntaxError };

/** Deepest nesting of operations: evaluating them and printing them need the stack for it. */
export const depthMax = 200;
/** Deepest nesting of text, where each operation may stand in parentheses, as we print them. */
const nestingMax = 2 * depthMax + 50;

const levels: ReadonlyMap<string, number> = new Map([
  ...["and"].map((operator) => [operator, 0] as const),
  ...["or"].map((operator) => [operator, 1] as const),
  ...["==", "!=", "<", "<=", ">", ">="].map((operator) => [operator, 2] as const),
  ...["+", "-"].map((operator) => [operator, 3] as const),
  ...["*", "/", "%"].map((operator) => [operator, 4] as const),
]);

export interface ParseOptions {
  /** Whether `\u0080` and above are read as in JSON, where cctools refuses them. */
  readonly allEscapes?: boolean;
}

/** The first expression of a text. Throws a JxSyntaxError. */
export function parseJx(text: string, options: ParseOptions = {}): JxExpr {
  return new Parser(text, false, options.allEscapes ?? false).first();
}

/** The expression of a text that has nothing else in it. Throws a JxSyntaxError. */
export function parseWholeJx(text: string): JxExpr {
  return new Parser(text, false, false).only();
}

/**
 * The first value of a text without anything to work out, as records are. Reads all that printers
 * of records write: `inf` and `nan`, `\uffffffc3` for bytes of UTF-8 (cctools), and every `\uXXXX`
 * of JSON. Throws a JxSyntaxError.
 */
export function parseJxValue(text: string): JxValue {
  return new Parser(text, true, true).constant();
}

class Parser {
  /** Of the expression so far; 0: it is constant. */
  private nodeCount = 0;
  private depth = 0;
  private readonly scanner: Scanner;

  /** @param record whether `inf` and `nan` are numbers */
  constructor(text: string, private readonly record: boolean, allEscapes: boolean) {
    this.scanner = new Scanner(text, allEscapes);
  }

  first(): JxExpr {
    this.scanner.next();
    if (this.scanner.kind === "end") this.fail("there is no value: the text is empty");
    // What follows one semicolon is not even read.
    const expr = this.binary(0);
    if (this.nodeCount > 0) this.refuseDeep(expr);
    return expr;
  }

  only(): JxExpr {
    const expr = this.first();
    if (this.at(";")) this.scanner.next();
    if (this.scanner.kind !== "end") this.fail(`unexpected token: ${this.scanner.text}`);
    return expr;
  }

  constant(): JxValue {
    const expr = this.first();
    return isNode(expr)
      ? this.fail("a constant must stand here, without names and operators")
      : expr;
  }

  private value(): JxExpr {
    const expr = this.binary(0);
    if (this.at(";")) this.scanner.next();
    return expr;
  }

  private binary(level: number): JxExpr {
    if (++this.depth > nestingMax) this.failDeep(nestingMax);
    let left = this.unary();
    while (this.scanner.kind === "operator" || this.scanner.kind === "word") {
      const own = levels.get(this.scanner.text);
      if (own === undefined || own < level) break;
      const operator = this.scanner.text as BinaryOperator;
      const { line } = this.scanner;
      this.scanner.next();
      left = this.node({ kind: "binary", operator, left, right: this.binary(own), line });
    }
    this.depth--;
    return left;
  }

  private unary(): JxExpr {
    const { kind, text, line } = this.scanner;
    if (kind !== "operator" && kind !== "word") return this.postfix();
    if (text === "error") return this.error();
    if (text !== "-" && text !== "+" && text !== "not") return this.postfix();
    if (++this.depth > nestingMax) this.failDeep(nestingMax);
    this.scanner.next();
    const operand = this.unary();
    this.depth--;
    const number = typeof operand === "bigint" || typeof operand === "number";
    if (number && text === "-") {
      return typeof operand === "bigint" ? BigInt.asIntN(64, -operand) : -operand;
    }
    if (number && text === "+") return operand;
    return this.node({ kind: "unary", operator: text, operand, line });
  }

  private error(): JxExpr {
    const { line } = this.scanner;
    this.scanner.next();
    if (!this.at("(")) this.fail("expected parentheses following error()");
    this.scanner.next();
    const detail = this.postfix();
    if (!this.at(")")) this.fail("expected closing parenthesis for error()");
    this.scanner.next();
    return this.node({ kind: "error", detail, line });
  }

  private postfix(): JxExpr {
    let expr = this.atom();
    while (this.scanner.kind === "operator") {
      const { line } = this.scanner;
      if (this.at("[")) {
        this.scanner.next();
        expr = this.index(expr);
      } else if (this.at("(")) {
        if (!isNode(expr) || expr.kind !== "symbol") this.fail("function names must be symbols");
        this.scanner.next();
        expr = this.node({ kind: "call", name: expr.name, args: this.items(")"), line });
      } else if (this.at(".")) {
        const name = this.method();
        if (!this.at("(")) this.fail("function call missing opening parenthesis");
        this.scanner.next();
        const self = { value: expr, clauses: [] };
        expr = this.node({ kind: "call", name, args: [self, ...this.items(")")], line });
      } else {
        break;
      }
    }
    return expr;
  }

  /** The name after a dot. */
  private method(): string {
    this.scanner.next();
    const { kind, text } = this.scanner;
    if (kind !== "symbol") this.fail("dot operator must be followed by a symbol");
    this.scanner.next();
    return text;
  }

  /** After the bracket. */
  private index(of: JxExpr): JxExpr {
    const start = this.at(":") ? undefined : this.value();
    const line = this.scanner.lineBefore;
    if (start !== undefined && this.at("]")) {
      this.scanner.next();
      return this.node({ kind: "lookup", of, index: start, line });
    }
    let end: JxExpr | undefined;
    if (this.at(":")) {
      this.scanner.next();
      if (!this.at("]")) end = this.value();
    }
    if (!this.at("]")) this.fail("missing closing bracket");
    this.scanner.next();
    return this.node({ kind: "slice", of, start, end, line });
  }

  private atom(): JxExpr {
    const { kind, text, line } = this.scanner;
    switch (kind) {
      case "string":
        this.scanner.next();
        return text;
      case "number": {
        const { value } = this.scanner;
        this.scanner.next();
        return value;
      }
      case "symbol": {
        const constant = this.record ? unmarked.get(text) : undefined;
        const expr = constant ?? this.node({ kind: "symbol", name: text, line });
        this.scanner.next();
        return expr;
      }
      case "end":
        return this.fail("the text ends where a value must stand");
      case "word":
        if (text === "null" || text === "true" || text === "false") {
          this.scanner.next();
          return text === "null" ? null : text === "true";
        }
        break;
      case "operator":
        if (text === "{") return this.object();
        if (text === "[") return this.array();
        if (text === "(") {
          this.scanner.next();
          const expr = this.value();
          if (!this.at(")")) this.fail("missing closing parenthesis");
          this.scanner.next();
          return expr;
        }
        break;
    }
    return this.fail(`unexpected token: ${text}`);
  }

  private array(): JxExpr {
    const { line } = this.scanner;
    const before = this.nodeCount;
    this.scanner.next();
    const items = this.items("]");
    if (this.nodeCount > before) return this.node({ kind: "array", items, line });
    return items.map(({ value }) => value as JxValue);
  }

  /** Up to the closing delimiter, which is read too. */
  private items(close: "]" | ")"): JxItem[] {
    const items: JxItem[] = [];
    while (!this.at(close)) {
      items.push({ value: this.value(), clauses: this.clauses() });
      if (this.at(",")) this.scanner.next();
      else if (!this.at(close)) {
        this.fail("list of items missing a comma or closing delimiter");
      }
    }
    this.scanner.next();
    return items;
  }

  private object(): JxExpr {
    const { line } = this.scanner;
    const before = this.nodeCount;
    const pairs: JxPair[] = [];
    const constant = new Map<string, JxValue>();
    let isConstant = true;
    this.scanner.next();
    while (!this.at("}")) {
      const key = this.value();
      if (!this.at(":")) {
        this.fail(`key ${shortKey(key)} must be followed by a colon`);
      }
      this.scanner.next();
      const value = this.value();
      const clauses = this.clauses();
      if (isConstant && this.nodeCount === before && typeof key === "string") {
        if (!constant.has(key)) constant.set(key, value as JxValue);
      } else {
        if (isConstant) {
          for (const [key, value] of constant) pairs.push({ key, value, clauses: [] });
          isConstant = false;
        }
        pairs.push({ key, value, clauses });
      }
      if (this.at(",")) this.scanner.next();
      else if (!this.at("}")) {
        this.fail("key-value pairs missing a comma or closing brace");
      }
    }
    this.scanner.next();
    return isConstant ? constant satisfies JxObject : this.node({ kind: "object", pairs, line });
  }

  private clauses(): readonly JxClause[] {
    if (!this.at("for")) return noClauses;
    const clauses: JxClause[] = [];
    while (this.at("for")) {
      this.nodeCount++;
      this.scanner.next();
      const { kind, text: variable, line } = this.scanner;
      if (kind !== "symbol") {
        this.fail(`expected 'for' to be followed by a variable name, not '${variable}'`);
      }
      this.scanner.next();
      if (!this.at("in")) {
        this.fail(`expected 'for ${variable}' to be followed by 'in', not '${this.scanner.text}'`);
      }
      this.scanner.next();
      const list = this.value();
      let condition: JxExpr | undefined;
      if (this.at("if")) {
        this.scanner.next();
        condition = this.value();
      }
      clauses.push({ variable, list, condition, line });
    }
    return clauses;
  }

  /** Whether the token is this operator or reserved word. */
  private at(text: string): boolean {
    const { scanner } = this;
    return scanner.text === text && (scanner.kind === "operator" || scanner.kind === "word");
  }

  private node(node: JxNode): JxNode {
    this.nodeCount++;
    return node;
  }

  /** Long chains such as `x[0][0]…` are read in a loop, and yet nested. */
  private refuseDeep(expr: JxExpr): void {
    let layer = [expr];
    for (let depth = 0; layer.length > 0; depth++) {
      if (depth > depthMax) this.failDeep(depthMax);
      layer = layer.flatMap((part) => isNode(part) ? partsOf(part) : []);
    }
  }

  private failDeep(max: number): never {
    this.fail(`values are nested more than ${max} deep`);
  }

  private fail(reason: string): never {
    this.scanner.fail(reason);
  }
}

const noClauses: readonly JxClause[] = [];
/** How C prints doubles that are no numbers; anywhere but in records these are names. */
const unmarked: ReadonlyMap<string, number> = new Map([
  ["inf", Infinity],
  ["nan", NaN],
]);

function shortKey(key: JxExpr): string {
  return typeof key === "string" ? `"${key}"` : String(key);
}
