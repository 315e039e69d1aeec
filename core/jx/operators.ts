/** Operators of JX on values: what they give, or what is wrong, in the words of cctools. */
import type { BinaryOperator, UnaryOperator } from "./expr.ts";
import { printJx } from "./print.ts";
import { isJxArray, isJxObject, type JxValue } from "./value.ts";

export interface Problem {
  readonly problem: string;
}

type Outcome = JxValue | Problem;

export function isProblem(outcome: Outcome): outcome is Problem {
  return typeof outcome === "object" && outcome !== null && "problem" in outcome;
}

/** In the words of `schema` and of error values. */
export function typeName(value: JxValue): string {
  switch (typeof value) {
    case "bigint":
      return "integer";
    case "number":
      return "float";
    case "boolean":
      return "boolean";
    case "string":
      return "string";
    case "object":
      return value === null ? "null" : isJxArray(value) ? "array" : "object";
  }
}

export function unary(operator: UnaryOperator, operand: JxValue): Outcome {
  if (operator === "not" && typeof operand === "boolean") return !operand;
  if (operator === "+" && typeof operand === "string") return operand;
  if (operator !== "not") {
    if (typeof operand === "bigint") return operator === "+" ? operand : int64(-operand);
    if (typeof operand === "number") return operator === "+" ? operand : -operand;
  }
  if (isJxObject(operand)) return withoutOperators;
  if (isJxArray(operand)) return { problem: "missing arguments to array operator" };
  return unsupported(operand);
}

/** `and` and `or` whose left operand decides never come here. */
export function binary(operator: BinaryOperator, left: JxValue, right: JxValue): Outcome {
  if (typeof left === "bigint" && typeof right === "bigint") return integers(operator, left, right);
  if (isNumber(left) && isNumber(right)) return doubles(operator, Number(left), Number(right));
  if (typeof left === "string" && typeof right === "string") return strings(operator, left, right);
  if (typeName(left) !== typeName(right)) return mixed(operator, left, right);
  if (isJxObject(left)) return withoutOperators;
  if (isJxArray(left) && isJxArray(right)) {
    if (operator === "+") return [...left, ...right];
    if (operator === "==") return equal(left, right);
    if (operator === "!=") return !equal(left, right);
    return unsupported(left);
  }
  if (operator === "==") return left === right;
  if (operator === "!=") return left !== right;
  if (typeof left === "boolean" && operator === "and") return left && right;
  if (typeof left === "boolean" && operator === "or") return left || right;
  return unsupported(left);
}

/** Of looking up something in a value of its own type; `null`: any other lookup, whatever ails it. */
export function lookupProblem(of: JxValue, index: JxValue): Problem | null {
  if (isNumber(of) && isNumber(index)) {
    return unsupported(typeof of === "bigint" ? index : of);
  }
  if (typeName(of) !== typeName(index)) return null;
  return isJxObject(of) ? withoutOperators : unsupported(of);
}

function integers(operator: BinaryOperator, left: bigint, right: bigint): Outcome {
  switch (operator) {
    case "+":
      return int64(left + right);
    case "-":
      return int64(left - right);
    case "*":
      return int64(left * right);
    case "/":
      return right === 0n ? divisionByZero : int64(left / right);
    case "%":
      return right === 0n ? divisionByZero : left % right;
    default:
      return compared(operator, left < right ? -1 : left > right ? 1 : 0) ?? unsupported(left);
  }
}

function doubles(operator: BinaryOperator, left: number, right: number): Outcome {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0 ? divisionByZero : left / right;
    case "%":
      return Math.trunc(right) === 0 ? divisionByZero : Math.trunc(left) % Math.trunc(right);
    default: {
      const order = left < right ? -1 : left > right ? 1 : left === right ? 0 : NaN;
      return compared(operator, order) ?? unsupported(left);
    }
  }
}

function strings(operator: BinaryOperator, left: string, right: string): Outcome {
  if (operator === "+") return left + right;
  return compared(operator, compareBytes(left, right)) ?? unsupported(left);
}

function mixed(operator: BinaryOperator, left: JxValue, right: JxValue): Outcome {
  if (operator === "+") {
    if (typeof left === "string" && isShown(right)) return left + printJx(right);
    if (typeof right === "string" && isShown(left)) return printJx(left) + right;
  }
  if (operator === "==") return false;
  if (operator === "!=") return true;
  return { problem: "mismatched types for operator" };
}

/** `order` as of a comparison; NaN is neither less, equal nor greater. */
function compared(operator: BinaryOperator, order: number): boolean | null {
  switch (operator) {
    case "==":
      return order === 0;
    case "!=":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    default:
      return null;
  }
}

/** As the bytes of UTF-8 compare: by code point, where JavaScript compares halves of surrogates. */
function compareBytes(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  let place = 0;
  while (place < length && left.charCodeAt(place) === right.charCodeAt(place)) place++;
  if (place === length) return left.length - right.length;
  return ranked(left.charCodeAt(place)) - ranked(right.charCodeAt(place));
}

function ranked(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Of arrays and what is in them; the types must be the same. */
function equal(left: JxValue, right: JxValue): boolean {
  if (isJxArray(left) && isJxArray(right)) {
    return left.length === right.length && left.every((entry, i) => equal(entry, right[i]!));
  }
  if (isJxObject(left) && isJxObject(right)) {
    const keys = [...right.keys()];
    return left.size === right.size &&
      [...left].every(([key, entry], i) => key === keys[i] && equal(entry, right.get(key)!));
  }
  return left === right;
}

function isNumber(value: JxValue): value is bigint | number {
  return typeof value === "bigint" || typeof value === "number";
}

/** Whether `+` prints it at the end of a string. */
function isShown(value: JxValue): boolean {
  return typeof value === "boolean" || isNumber(value);
}

const withoutOperators: Problem = { problem: "rvalue does not support operators" };
const divisionByZero: Problem = { problem: "division by zero" };

function unsupported(value: JxValue): Problem {
  // The name that cctools has for doubles here; `schema` says float.
  const name = typeof value === "number" ? "double" : typeName(value);
  return { problem: `unsupported operator on ${name}` };
}

function int64(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}
