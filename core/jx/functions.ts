/**
 * The functions of JX, in the words of cctools where they refuse. Those for wrong arguments name
 * line 0, as there; others name the line of the call.
 */
import { fixed, general, scientific } from "./doubles.ts";
import type { Evaluator, JxContext } from "./eval.ts";
import { JxError, type JxExpr, type JxNode } from "./expr.ts";
import { typeName } from "./operators.ts";
import { printJx } from "./print.ts";
import { UsageError } from "../errors.ts";
import { posixRegex, type TextPattern } from "../posix_regex.ts";
import { isJxArray, isJxObject, type JxArray, type JxObject, type JxValue } from "./value.ts";

interface Call {
  readonly evaluator: Evaluator;
  readonly node: JxNode & { kind: "call" };
  readonly context: JxContext;
}

/** Throws a JxError. */
type JxFunction = (call: Call) => JxValue;

/** One that looks at values only. */
function plain(work: (args: readonly JxValue[], call: Call) => JxValue): JxFunction {
  return (call) => work(call.evaluator.items(call.node.args, call.context), call);
}

export const functions: ReadonlyMap<string, JxFunction> = new Map<string, JxFunction>([
  ["range", plain(range)],
  ["format", plain(format)],
  ["template", plain(template)],
  ["join", plain(join)],
  ["len", plain(len)],
  ["ceil", plain(rounded("ceil", Math.ceil))],
  ["floor", plain(rounded("floor", Math.floor))],
  ["basename", plain(basename)],
  ["dirname", plain(dirname)],
  ["escape", plain(escape)],
  ["like", plain(like)],
  ["keys", plain((args) => fieldsOf(args).map(([key]) => key))],
  ["values", plain((args) => fieldsOf(args).map(([, value]) => value))],
  ["items", plain((args) => fieldsOf(args))],
  ["schema", plain(schema)],
  ["select", (call) => selected(call)],
  ["where", (call) => selected(call)],
  ["project", (call) => projected(call)],
  ["listdir", plain(outside)],
  ["fetch", plain(outside)],
]);

function fail(name: string, what: string, line = 0): never {
  throw new JxError(`function ${name} on line ${line}: ${what}`);
}

function range(args: readonly JxValue[], { evaluator }: Call): JxArray {
  const bounds = args.slice(0, 3).filter((bound) => typeof bound === "bigint");
  // As in cctools, what is no integer ends the arguments.
  const count = args.findIndex((bound) => typeof bound !== "bigint");
  const [first, second, step = 1n] = count < 0 ? bounds : bounds.slice(0, count);
  if (first === undefined) fail("range", "invalid arguments");
  const [start, stop] = second === undefined ? [0n, first] : [first, second];
  if (step === 0n) fail("range", "step must be nonzero");
  const numbers: bigint[] = [];
  for (let number = start; step > 0n ? number < stop : number > stop; number += step) {
    evaluator.charge(1);
    numbers.push(number);
  }
  return numbers;
}

function format(args: readonly JxValue[]): string {
  const [pattern, ...rest] = args;
  if (typeof pattern !== "string") fail("format", "invalid/missing format string");
  let used = 0;
  const text = pattern.replace(/%([^]?)/g, (_, letter: string) => {
    if (letter === "") fail("format", "truncated format specifier");
    if (letter === "%") return "%";
    return formatted(letter, rest[used++]) ?? fail("format", "mismatched format specifier");
  });
  if (used < rest.length) fail("format", "too many arguments for format specifier");
  return text;
}

function formatted(letter: string, value: JxValue | undefined): string | null {
  if (letter === "s") return typeof value === "string" ? value : null;
  if (letter === "d" || letter === "i") return typeof value === "bigint" ? String(value) : null;
  if (typeof value !== "number" || !/[eEfFgG]/.test(letter)) return null;
  const kind = letter.toLowerCase();
  const text = kind === "f"
    ? fixed(value)
    : kind === "e"
    ? scientific(value, 6)
    : general(value, 6);
  return letter === kind ? text : text.toUpperCase();
}

function template(args: readonly JxValue[], { evaluator, node, context }: Call): string {
  const [pattern, overrides = new Map<string, JxValue>(), more] = args;
  if (pattern === undefined) fail("template", "template string is required");
  if (more !== undefined) fail("template", "at most two arguments are allowed");
  if (!isJxObject(overrides)) fail("template", "overrides must be an object");
  if (typeof pattern !== "string") fail("template", "template must be a string");
  const refuse = (what: string) => fail("template", what, node.line);
  return pattern.replace(
    /\{\{|\}\}|\{([^}]*)(\}?)|\}/g,
    (found, inner?: string, close?: string) => {
      if (found === "{{" || found === "}}") return found[0]!;
      if (inner === undefined) return refuse("unmatched } in template");
      if (close === "") return refuse("unterminated template expression");
      const name = /^\s*([A-Za-z_]\w*)\s*$/.exec(inner)?.[1];
      if (name === undefined) {
        return refuse("invalid template; each expression must be a single identifier");
      }
      const bound: JxExpr | undefined = overrides.has(name)
        ? overrides.get(name)
        : context.get(name);
      if (bound === undefined) return refuse("undefined symbol in template");
      const value = evaluator.value(bound, context);
      if (typeof value === "string") return value;
      if (typeof value === "bigint" || typeof value === "number") return printJx(value);
      return refuse("cannot format expression in template");
    },
  );
}

function join(args: readonly JxValue[]): string {
  const [list, separator = " ", more] = args;
  if (list === undefined) fail("join", "too few arguments to join");
  if (more !== undefined) fail("join", "too many arguments to join");
  if (!isJxArray(list)) fail("join", "A list must be the first argument in join");
  // Misspelt as cctools has it.
  if (typeof separator !== "string") fail("join", "A delimeter must be defined as a string");
  if (!list.every((entry) => typeof entry === "string")) {
    fail("join", "All array values must be strings");
  }
  return list.join(separator);
}

function len([list]: readonly JxValue[]): bigint {
  if (list === undefined || !isJxArray(list)) return fail("len", "argument must be an array");
  return BigInt(list.length);
}

function rounded(name: string, round: (value: number) => number) {
  return ([value, more]: readonly JxValue[]): JxValue => {
    if (value === undefined) fail(name, "too few arguments");
    if (more !== undefined) fail(name, "too many arguments");
    if (typeof value === "bigint") return value;
    return typeof value === "number" ? round(value) : fail(name, "arg of invalid type");
  };
}

function basename([path, suffix = "", more]: readonly JxValue[]): string {
  if (path === undefined) fail("basename", "one argument is required");
  if (more !== undefined) fail("basename", "only two arguments are allowed");
  if (typeof path !== "string") fail("basename", "path must be a string");
  if (typeof suffix !== "string") fail("basename", "suffix must be a string");
  const bare = path.replace(/\/+$/, "");
  if (bare === "") return path === "" ? "." : "/";
  const name = bare.slice(bare.lastIndexOf("/") + 1);
  return name.endsWith(suffix) ? name.slice(0, name.length - suffix.length) : name;
}

function dirname(args: readonly JxValue[]): string {
  if (args.length !== 1) fail("dirname", "dirname takes one argument");
  const [path] = args;
  if (typeof path !== "string") fail("dirname", "dirname takes a string");
  const bare = path.replace(/\/+$/, "");
  if (bare === "") return path === "" ? "." : "/";
  if (!bare.includes("/")) return ".";
  const folder = bare.slice(0, bare.lastIndexOf("/"));
  return folder.replace(/\/+$/, "") || "/";
}

function escape(args: readonly JxValue[]): string {
  if (args.length !== 1) fail("escape", "escape takes one argument");
  const [text] = args;
  if (typeof text !== "string") fail("escape", "escape takes a string");
  return `"${text.replace(/["\\$`]/g, "\\$&")}"`;
}

/** The arguments are numbered from the end, as in cctools. */
function like(args: readonly JxValue[], { evaluator }: Call): boolean {
  const [text, pattern, more] = args;
  if (typeof pattern !== "string") fail("like", "1st argument must be a string");
  if (typeof text !== "string") fail("like", "2nd argument must be a string");
  if (more !== undefined) fail("like", "2 arguments allowed");
  evaluator.charge((text.length * pattern.length) >> 6);
  try {
    return patternFor(pattern).test(text);
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** A filter is tried on thousands of records: the last pattern is kept. */
let kept: { readonly text: string; readonly pattern: TextPattern } | null = null;

function patternFor(text: string): TextPattern {
  if (kept?.text !== text) kept = { text, pattern: posixRegex(text, "within") };
  return kept.pattern;
}

/** The object's fields from the last to the first, as cctools has them. */
function fieldsOf(args: readonly JxValue[]): [string, JxValue][] {
  if (args.length !== 1) fail("keys", "exactly 1 argument required");
  const [object] = args;
  return isJxObject(object) ? [...object].reverse() : fail("keys", "argument must be an object");
}

function schema([list, more]: readonly JxValue[]): JxObject {
  if (more !== undefined) fail("schema", "1 argument required");
  if (list === undefined || !isJxArray(list)) return fail("schema", "list of objects required");
  const types = new Map<string, string>();
  for (const object of list) {
    for (const [key, value] of isJxObject(object) ? object : []) {
      if (!types.has(key)) types.set(key, typeName(value));
    }
  }
  return new Map([...types].reverse());
}

function selected(call: Call): JxArray {
  const [list, condition] = listed(call, "select");
  return list.filter((object) => {
    const passes = condition(object);
    if (typeof passes === "boolean") return passes;
    return fail("select", "select expression must use a boolean predicate", call.node.line);
  });
}

function projected(call: Call): JxArray {
  const [list, expr] = listed(call, "project");
  return list.map(expr);
}

/** The objects of the first argument, and what the second comes to for each. */
function listed(
  { evaluator, node, context }: Call,
  name: string,
): [readonly JxObject[], (object: JxObject) => JxValue] {
  const [listItem, exprItem, more] = node.args;
  if (listItem === undefined || exprItem === undefined || more !== undefined) {
    return fail(name, "2 arguments required", node.line);
  }
  const list = evaluator.value(listItem.value, context);
  if (!isJxArray(list) || !list.every((object) => isJxObject(object))) {
    return fail(name, "list of objects required", node.line);
  }
  const expr = exprItem.value;
  return [
    list as readonly JxObject[],
    (object) =>
      evaluator.value(expr, {
        get: (field) => object.has(field) ? object.get(field) : context.get(field),
      }),
  ];
}

function outside(args: readonly JxValue[], { evaluator, node }: Call): JxValue {
  const found = evaluator.outside.get(node.name);
  if (found === undefined) return fail(node.name, "external functions disabled", node.line);
  const [argument] = args;
  if (args.length !== 1 || typeof argument !== "string") {
    return fail(node.name, "one string argument is required");
  }
  const value = found(argument);
  if (value instanceof JxError) throw value;
  return value;
}
