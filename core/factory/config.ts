/**
 * The configuration of a factory: one object in JX, of which JSON is a part, or the same in YAML.
 * Every value may use the other keys (`"memory": cores * 1000`), in any order.
 */
import { UsageError } from "../errors.ts";
import { evaluate, type JxContext } from "../jx/eval.ts";
import { isNode, JxError, type JxExpr, partsOf } from "../jx/expr.ts";
import { printJx } from "../jx/print.ts";
import type { JxValue } from "../jx/value.ts";
import { posixRegex } from "../posix_regex.ts";
import { didYouMean } from "../suggest.ts";
import { readSource, type YamlReader } from "./config_source.ts";
import type { FactorySettings } from "./settings.ts";

export interface FactoryConfig {
  readonly settings: FactorySettings;
  /** Sentences that name the file and mostly the line. */
  readonly warnings: readonly string[];
}

type Settings = { -readonly [key in keyof FactorySettings]: FactorySettings[key] };

/** Notes the value of a key, or says what it must be. */
type Take = (settings: Settings, value: JxValue) => string | null;

/** The keys of work_queue_factory. Of those that are not given, the values stay as they were. */
const keys: ReadonlyMap<string, Take> = new Map<string, Take>([
  ["manager-name", pattern((settings, name) => settings.managerName = name)],
  ["foremen-name", pattern((settings, name) => settings.foremenName = name)],
  ["min-workers", number((settings, count) => settings.minWorkers = count, 0)],
  ["max-workers", number((settings, count) => settings.maxWorkers = count, 1)],
  ["workers-per-cycle", number((settings, count) => settings.workersPerCycle = Math.max(0, count))],
  [
    "tasks-per-worker",
    number((settings, count) => settings.tasksPerWorker = count < 1 ? "cores" : count),
  ],
  ["cores", number((settings, count) => settings.cores = orMachine(count))],
  ["memory", number((settings, mb) => settings.memoryMb = orMachine(mb))],
  ["disk", number((settings, mb) => settings.diskMb = orMachine(mb))],
  ["gpus", number((settings, count) => settings.gpus = orMachine(count))],
  ["timeout", number((settings, seconds) => settings.timeoutS = seconds, 0)],
  ["factory-timeout", number((settings, seconds) => settings.factoryTimeoutS = seconds, 0)],
  ["capacity", flag((settings, isOn) => settings.capacity = isOn)],
  ["autosize", flag((settings, isOn) => settings.autosize = isOn)],
  ["factory-name", text((settings, name) => settings.factoryName = name)],
  ["worker-extra-options", text((settings, words) => settings.extraOptions = words)],
  ["condor-requirements", text((settings, expr) => settings.condorRequirements = expr)],
]);

/** Other names; the first is looked at only where nothing else names the manager. */
const oldName = "master-name";
const aliases: ReadonlyMap<string, string> = new Map([
  [oldName, "manager-name"],
  ["extra-options", "worker-extra-options"],
]);

/**
 * The settings after a configuration was read over `previous`; `name` is the file's, for messages
 * and its extension; `readYaml` is called where it is YAML. Throws a UsageError that names file, line, key, and what would do.
 */
export function readFactoryConfig(
  text: string,
  name: string,
  previous: FactorySettings,
  readYaml: YamlReader,
): FactoryConfig {
  const source = readSource(text.replace(/^\ufeff/, ""), name, nameOf, readYaml);
  const { fields } = source;
  const warnings = [...source.warnings];
  const problems: string[] = [];
  const settings: Settings = { ...previous };
  const place = (key: string) => `${name}:${source.lineOf(key)}: "${key}"`;
  const context = contextOver(fields);
  const used = namesIn([...fields.values()]);
  for (const [key, expr] of fields) {
    const known = nameOf(key);
    const isOld = hyphened(key) === oldName;
    if (known === null) {
      if (!used.has(key)) warnings.push(`${place(key)} is no setting${hint(key)}`);
      continue;
    }
    if (known !== key) warnings.push(`${place(key)} is read as "${known}"`);
    // Of two spellings the right one counts.
    if (known !== key && fields.has(known)) continue;
    if (isOld && previous.managerName !== null) continue;
    const value = evaluate(expr, context);
    const problem = value instanceof JxError
      ? cycleFrom(key, fields) ?? `has no value: ${value.message}`
      : keys.get(known)!(settings, value);
    if (problem !== null) problems.push(`${place(key)} ${problem}`);
  }
  if (problems.length > 0) throw new UsageError(problems.join("\n"));
  const { minWorkers, maxWorkers } = settings;
  if (minWorkers > maxWorkers) {
    warnings.push(
      `${name}: at least ${minWorkers} workers and at most ${maxWorkers} cannot be: ` +
        `min-workers is taken as ${maxWorkers}`,
    );
    settings.minWorkers = maxWorkers;
  }
  settings.tasksPerWorker ??= "cores";
  return { settings, warnings };
}

/** The right spelling of a key; `null` for one that is not known. */
function nameOf(key: string): string | null {
  const name = aliases.get(hyphened(key)) ?? hyphened(key);
  return keys.has(name) ? name : null;
}

function hyphened(key: string): string {
  return key.replaceAll("_", "-");
}

function hint(key: string): string {
  const guess = didYouMean(hyphened(key), keys.keys());
  return guess === "" ? ": it has no effect" : guess;
}

/** A name with hyphens is a subtraction: `max_workers` stands for `max-workers` too. */
function contextOver(fields: ReadonlyMap<string, JxExpr>): JxContext {
  const byName = new Map([...fields].map(([key, value]) => [key.replaceAll("-", "_"), value]));
  return { get: (name) => fields.has(name) ? fields.get(name) : byName.get(name) };
}

function namesIn(exprs: readonly JxExpr[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (let layer = exprs; layer.length > 0;) {
    layer = layer.flatMap((expr) => {
      if (!isNode(expr)) return [];
      if (expr.kind === "symbol") names.add(expr.name);
      return partsOf(expr);
    });
  }
  return names;
}

/** `uses itself: cores → memory → cores`, if that is why a key has no value. */
function cycleFrom(key: string, fields: ReadonlyMap<string, JxExpr>): string | null {
  const context = contextOver(fields);
  const seen = new Set<string>();
  const search = (path: readonly string[]): readonly string[] | null => {
    const expr = context.get(path.at(-1)!);
    for (const name of expr === undefined ? [] : namesIn([expr])) {
      const start = path.map(hyphened).indexOf(hyphened(name));
      if (start >= 0) return [...path.slice(start), name];
      if (seen.has(name)) continue;
      seen.add(name);
      const cycle = search([...path, name]);
      if (cycle !== null) return cycle;
    }
    return null;
  };
  const cycle = search([key]);
  return cycle === null ? null : `cannot be worked out, for it goes round: ${cycle.join(" → ")}`;
}

type Assign<T> = (settings: Settings, value: T) => void;

function text(assign: Assign<string>): Take {
  return (settings, value) => {
    if (typeof value !== "string") {
      return `must be a text, and ${printJx(value)} is none: write it in quotes`;
    }
    assign(settings, value);
    return null;
  };
}

/** A name, as a regular expression. */
function pattern(assign: Assign<string>): Take {
  const assignText = text(assign);
  return (settings, value) => {
    if (value === "") return "must not be empty: leave it out, or give a name";
    try {
      if (typeof value === "string") posixRegex(value, "whole");
    } catch (error) {
      if (error instanceof UsageError) return `cannot be used: ${error.message}`;
      throw error;
    }
    return assignText(settings, value);
  };
}

/** Fractions are rounded up, as work_queue_factory does. */
function number(assign: Assign<number>, min = -Infinity): Take {
  return (settings, value) => {
    if (typeof value !== "bigint" && typeof value !== "number") {
      const unquoted = typeof value === "string" && /^\d+$/.test(value);
      return `must be a number, and ${printJx(value)} is none${
        unquoted ? ": take the quotes away" : ""
      }`;
    }
    const count = Math.ceil(Number(value)) + 0;
    if (!Number.isSafeInteger(count)) {
      return `must be a number, and ${printJx(value)} is none of use`;
    }
    if (count < min) return `must be ${min} or more, and ${printJx(value)} is less`;
    assign(settings, count);
    return null;
  };
}

/** `true` and `false`, or as work_queue_factory has it, 1 and 0. */
function flag(assign: Assign<boolean>): Take {
  const assignNumber = number((settings, count) => assign(settings, count !== 0));
  return (settings, value) => {
    if (typeof value !== "boolean") return assignNumber(settings, value);
    assign(settings, value);
    return null;
  };
}

/** Below zero, a size is that of the machine. */
function orMachine(count: number): number | null {
  return count < 0 ? null : count;
}
