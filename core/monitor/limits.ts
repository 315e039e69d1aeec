/** Limits of a command: read as people and managers write them, and held against what it used. */
import { messageOf, naming, UsageError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { parseSizeMb, parseTimeMs } from "../units.ts";
import {
  describeAmount,
  resourceNamed,
  resourceOf,
  type ResourceRow,
  resourceTable,
  type Usage,
  type UsageKey,
} from "./resources.ts";

/** In the units of {@link Usage}. */
export type Limits = Usage;

/** One limit that was broken. */
export interface Verdict {
  readonly key: UsageKey;
  readonly limit: number;
  readonly measured: number;
}

/** A program on N cores measures a little more than N: what is over by less is let be. */
const coresTolerance = 0.25;

/**
 * All limits that are broken, in the order of the table. Cores are compared with
 * `coresOfLastMinute`: processors are shared, not used up, and a moment of more harms nobody.
 */
export function brokenLimits(
  usage: Usage,
  limits: Limits,
  coresOfLastMinute: number | null,
): Verdict[] {
  return resourceTable.flatMap(({ key, limited }) => {
    if (key === null || !limited) return [];
    const limit = limits[key];
    const measured = key === "cores" ? coresOfLastMinute ?? 0 : usage[key] ?? 0;
    if (limit === undefined || measured <= 0) return [];
    const over = measured > limit + (key === "cores" ? coresTolerance : 0);
    return over ? [{ key, limit, measured }] : [];
  });
}

/** `memory: it used 1612 MB, its limit is 1500 MB`. */
export function describeVerdict({ key, limit, measured }: Verdict): string {
  const { name, scale } = resourceOf(key);
  const show = (value: number) => describeAmount(name, value / scale);
  return `${name}: it used ${show(measured)}, its limit is ${show(limit)}`;
}

/** Limits, and notes on names that have no effect here. */
export interface ParsedLimits {
  readonly limits: Limits;
  readonly notes: readonly string[];
}

/** `memory: 500`, `wall_time: 90s, cores: 2`; a bare number is in the unit of summaries. */
export function parseLimits(text: string): ParsedLimits {
  const pairs = text.split(/[,\n]/).map((part) => part.trim()).filter((part) =>
    part !== "" && !part.startsWith("#")
  );
  return collect(pairs.map((pair) => {
    const [, name, value] = /^"?([\w ]+?)"?\s*[:=]\s*(\S.*)$/.exec(pair) ?? [];
    if (name === undefined || value === undefined) {
      throw new UsageError(`"${pair}" is not a limit: write "memory: 500" or "wall_time: 90s"`);
    }
    return [name, value];
  }));
}

/**
 * A limits file: a JSON object as summaries are, `{"memory": [500, "MB"], "cores": 2}`, or lines
 * `memory: 500`. Throws a UsageError that names `path`.
 */
export function parseLimitsFile(text: string, path: string): ParsedLimits {
  return naming(
    path,
    () => text.trimStart().startsWith("{") ? collect(jsonPairs(text)) : parseLimits(text),
  );
}

function jsonPairs(text: string): [string, unknown][] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`not JSON (${messageOf(error)}): write {"memory": [500, "MB"]}`);
  }
  return Object.entries(value as Record<string, unknown>).map(([name, one]) => [
    name,
    Array.isArray(one) ? one[0] : one,
  ]);
}

function collect(pairs: readonly (readonly [string, unknown])[]): ParsedLimits {
  const limits: Partial<Record<UsageKey, number>> = {};
  const notes: string[] = [];
  for (const [name, value] of pairs) {
    const row = resourceNamed(name);
    if (row === undefined) {
      const names = resourceTable.filter((row) => row.limited).map((row) => row.name);
      notes.push(`No resource is called "${name}": no limit is set${didYouMean(name, names)}`);
      continue;
    }
    const number = limitOf(row, value);
    // Work Queue writes -1 for what nobody limited.
    if (number < 0) continue;
    if (row.key !== null && (row.limited || row.key === "gpus")) limits[row.key] = number;
    else notes.push(`A limit of ${name} has no effect: wqx does not measure it against one`);
  }
  return { limits, notes };
}

function limitOf(row: ResourceRow, value: unknown): number {
  const text = typeof value === "string" ? value.trim() : JSON.stringify(value) ?? "";
  const number = text === "" ? NaN : Number(text);
  if (number === -1) return -1;
  if (number >= 0 && Number.isFinite(number)) return number * row.scale;
  if (/^\d/.test(text) && row.unit === "MB") {
    return naming(row.name, () => parseSizeMb(text)) * row.scale;
  }
  if (/^\d/.test(text) && row.unit === "s") return naming(row.name, () => parseTimeMs(text));
  throw new UsageError(
    `${row.name}: "${text}" is not a limit: write a number of ${row.unit}, or -1 for none`,
  );
}
