/**
 * What a JX expression comes to. Nothing that is evaluated can run for ever or fill the memory:
 * every step and every value made is counted, and beyond a limit there is an error value.
 */
import {
  type BinaryOperator,
  isNode,
  JxError,
  type JxExpr,
  type JxItem,
  type JxNode,
  type UnaryOperator,
} from "./expr.ts";
import { functions } from "./functions.ts";
import { binary, isProblem, lookupProblem, unary } from "./operators.ts";
import { printJx } from "./print.ts";
import { isJxArray, isJxObject, type JxObject, type JxValue } from "./value.ts";

/** What symbols stand for: evaluated whenever they are met, in the scope where they are met. */
export interface JxContext {
  get(name: string): JxExpr | undefined;
}

/** A function that looks outside: the text it is given to what it found. */
export type OutsideFunction = (argument: string) => JxValue | JxError;

export interface EvaluateOptions {
  /** Operations, values made and letters of 16 to do with, altogether. */
  readonly stepsMax?: number;
  /** `listdir` and `fetch`, where text may reach for files and hosts; left out, they are disabled. */
  readonly outside?: ReadonlyMap<string, OutsideFunction>;
}

/** Enough for a workflow of ten thousand rules; a second at most. */
const stepsMaxDefault = 2_000_000;
/** Of a filter for one record: a stranger's is tried on ten thousand, at a millisecond each. */
const filterStepsMax = 20_000;
/** Deepest nesting, of expressions and of symbols that stand for others. */
const depthMax = 500;

const nothingOutside: ReadonlyMap<string, OutsideFunction> = new Map();

/** Never throws: what has no value gives a JxError with a sentence. */
export function evaluate(
  expr: JxExpr,
  context: JxContext,
  options: EvaluateOptions = {},
): JxValue | JxError {
  if (!isNode(expr)) return expr;
  const { stepsMax = stepsMaxDefault, outside = nothingOutside } = options;
  try {
    return new Evaluator(stepsMax, outside).value(expr, context);
  } catch (error) {
    if (error instanceof JxError) return error;
    throw error;
  }
}

/**
 * An object with a field `define` is evaluated with those definitions, over which `context` wins,
 * as Makeflow and jx2json do it.
 */
export function evaluateWithDefines(
  expr: JxExpr,
  context: ReadonlyMap<string, JxExpr>,
  options: EvaluateOptions = {},
): JxValue | JxError {
  return evaluate(expr, new Map([...definesOf(expr), ...context]), options);
}

function definesOf(expr: JxExpr): ReadonlyMap<string, JxExpr> {
  const defines = contextOf(expr).get("define");
  return defines === undefined ? new Map() : contextOf(defines);
}

/** The fields of an object as names for evaluating; none if it is no object. */
export function contextOf(expr: JxExpr): ReadonlyMap<string, JxExpr> {
  if (!isNode(expr)) return isJxObject(expr) ? expr : new Map();
  if (expr.kind !== "object") return new Map();
  const fields = new Map<string, JxExpr>();
  for (const { key, value, clauses } of expr.pairs) {
    if (typeof key === "string" && clauses.length === 0 && !fields.has(key)) fields.set(key, value);
  }
  return fields;
}

/** Whether a record passes a filter: only `true` does, and neither `1` nor an error. */
export function matches(expr: JxExpr, record: JxObject): boolean {
  return evaluate(expr, record, { stepsMax: filterStepsMax }) === true;
}

/** Throws a JxError out of everything. */
export class Evaluator {
  private steps = 0;
  private depth = 0;
  private readonly sizes = new WeakMap<object, number>();

  constructor(
    private readonly stepsMax: number,
    readonly outside: ReadonlyMap<string, OutsideFunction>,
  ) {}

  value(expr: JxExpr, context: JxContext): JxValue {
    this.charge(1);
    if (!isNode(expr)) return expr;
    this.descend(expr.line);
    const value = this.node(expr, context);
    this.depth--;
    return value;
  }

  private descend(line: number): void {
    if (++this.depth <= depthMax) return;
    throw new JxError(
      `on line ${line}: nested more than ${depthMax} deep, or names that stand for each other`,
    );
  }

  /** Counts work that is about to be done; throws once it is too much. */
  charge(steps: number): void {
    this.steps += steps;
    if (this.steps > this.stepsMax) {
      throw new JxError(`evaluating takes more than ${this.stepsMax} steps`);
    }
  }

  /** A value just made, once its size is counted. */
  made<T extends JxValue>(value: T): T {
    this.charge(this.sizeOf(value));
    return value;
  }

  private node(node: JxNode, context: JxContext): JxValue {
    switch (node.kind) {
      case "symbol": {
        const bound = context.get(node.name);
        if (bound !== undefined) return this.value(bound, context);
        throw new JxError(`on line ${node.line}, ${node.name}: undefined symbol`);
      }
      case "array":
        return this.made(this.items(node.items, context));
      case "object":
        return this.made(this.object(node, context));
      case "unary": {
        const operand = this.value(node.operand, context);
        return this.unary(node.operator, operand, node.line);
      }
      case "binary":
        return this.binary(node, context);
      case "lookup":
        return this.lookup(node, context);
      case "slice":
        return this.slice(node, context);
      case "call": {
        const call = functions.get(node.name);
        if (call !== undefined) return this.made(call({ evaluator: this, node, context }));
        throw new JxError(`function ${node.name} on line ${node.line}: invalid function name`);
      }
      case "error":
        throw new JxError(node.detail);
    }
  }

  /** Of an array or of arguments, with the clauses worked out. */
  items(items: readonly JxItem[], context: JxContext): JxValue[] {
    const values: JxValue[] = [];
    for (const item of items) {
      this.each(item, 0, context, (inner) => values.push(this.value(item.value, inner)));
    }
    return values;
  }

  private object(node: JxNode & { kind: "object" }, context: JxContext): JxObject {
    const fields = new Map<string, JxValue>();
    for (const pair of node.pairs) {
      this.each(pair, 0, context, (inner) => {
        const key = this.value(pair.key, inner);
        const value = this.value(pair.value, inner);
        if (typeof key !== "string") {
          throw new JxError(
            `on line ${node.line}, ${printJx(key)}: the key of a field must be a string`,
          );
        }
        if (!fields.has(key)) fields.set(key, value);
      });
    }
    return fields;
  }

  /** Calls `use` for every element that the clauses from `index` on let through. */
  private each(
    item: JxItem,
    index: number,
    context: JxContext,
    use: (context: JxContext) => void,
  ): void {
    const clause = item.clauses[index];
    if (clause === undefined) return use(context);
    this.descend(clause.line);
    const list = this.value(clause.list, context);
    if (!isJxArray(list)) {
      throw new JxError(`on line ${clause.line}: list comprehension takes an array`);
    }
    for (const element of list) {
      this.charge(1);
      const inner = new Binding(clause.variable, element, context);
      if (clause.condition !== undefined) {
        const passes = this.value(clause.condition, inner);
        if (typeof passes !== "boolean") {
          throw new JxError(
            `on line ${writtenAt(clause.condition, clause.line)}, ${
              printJx(passes)
            }: list comprehension condition takes a boolean`,
          );
        }
        if (!passes) continue;
      }
      this.each(item, index + 1, inner, use);
    }
    this.depth--;
  }

  private unary(operator: UnaryOperator, operand: JxValue, line: number): JxValue {
    const value = unary(operator, operand);
    if (!isProblem(value)) return value;
    // Where a left operand would stand, cctools prints null for null.
    const left = operand === null ? "null" : "";
    const sign = operator === "not" ? " not " : operator;
    throw new JxError(`on line ${line}, ${left}${sign}${printJx(operand)}: ${value.problem}`);
  }

  private binary(node: JxNode & { kind: "binary" }, context: JxContext): JxValue {
    const { operator, line } = node;
    const left = this.value(node.left, context);
    if (operator === "and" && left === false) return false;
    if (operator === "or" && left === true) return true;
    const right = this.value(node.right, context);
    if (operator === "==" || operator === "!=") {
      this.charge(Math.min(this.sizeOf(left), this.sizeOf(right)));
    }
    const value = binary(operator, left, right);
    if (isProblem(value)) {
      throw new JxError(`on line ${line}, ${operation(left, operator, right)}: ${value.problem}`);
    }
    return typeof value === "object" || typeof value === "string" ? this.made(value) : value;
  }

  private lookup(node: JxNode & { kind: "lookup" }, context: JxContext): JxValue {
    const { line } = node;
    const of = this.value(node.of, context);
    const index = this.value(node.index, context);
    const place = writtenAt(node.index, line);
    if (isJxObject(of) && typeof index === "string") {
      const found = of.get(index);
      if (found !== undefined) return found;
      throw new JxError(`lookup on line ${place}, key not found`);
    }
    if (isJxArray(of) && typeof index === "bigint") {
      const found = of.at(Number(index));
      if (found !== undefined) return found;
      throw new JxError(`array reference on line ${place}: index out of range`);
    }
    const problem = lookupProblem(of, index);
    if (problem !== null) {
      throw new JxError(`on line ${line}, ${printJx(of)}[${printJx(index)}]: ${problem.problem}`);
    }
    throw new JxError(new JxError(`on line ${place}, ${printJx(index)}: invalid type for lookup`));
  }

  private slice(node: JxNode & { kind: "slice" }, context: JxContext): JxValue {
    const of = this.value(node.of, context);
    const [start, end] = [node.start, node.end].map((bound) =>
      bound === undefined ? undefined : this.value(bound, context)
    );
    if (!isJxArray(of)) throw new JxError(`on line ${node.line}, only arrays support slicing`);
    if (!isBound(start) || !isBound(end)) {
      const range = [start, end].map((bound) => bound === undefined ? "" : printJx(bound)).join(
        ":",
      );
      throw new JxError(`on line 0, ${range}: slice indices must be integers`);
    }
    return this.made(of.slice(Number(start ?? 0n), end === undefined ? of.length : Number(end)));
  }

  /** As many steps as copying it takes, were nothing in it shared. */
  private sizeOf(value: JxValue): number {
    if (typeof value === "string") return 1 + (value.length >> 4);
    if (typeof value !== "object" || value === null) return 1;
    const known = this.sizes.get(value);
    if (known !== undefined) return known;
    let size = 1;
    for (const entry of value.values()) size += this.sizeOf(entry);
    if (isJxObject(value)) { for (const key of value.keys()) size += this.sizeOf(key); }
    this.sizes.set(value, size);
    return size;
  }
}

/** A variable of a comprehension, over the scope around it. */
class Binding implements JxContext {
  constructor(
    private readonly name: string,
    private readonly value: JxValue,
    private readonly outer: JxContext,
  ) {}

  get(name: string): JxExpr | undefined {
    if (this.name === name) return this.value;
    let scope = this.outer;
    while (scope instanceof Binding) {
      if (scope.name === name) return scope.value;
      scope = scope.outer;
    }
    return scope.get(name);
  }
}

/** As in cctools, only what stands in the text itself has a line, and no array or object has. */
function writtenAt(expr: JxExpr, line: number): number {
  if (isNode(expr)) return expr.kind === "symbol" ? line : 0;
  return isJxArray(expr) || isJxObject(expr) ? 0 : line;
}

function isBound(value: JxValue | undefined): value is bigint | undefined {
  return value === undefined || typeof value === "bigint";
}

function operation(left: JxValue, operator: BinaryOperator, right: JxValue): string {
  const wordy = operator === "and" || operator === "or";
  return `${printJx(left)}${wordy ? ` ${operator} ` : operator}${printJx(right)}`;
}
