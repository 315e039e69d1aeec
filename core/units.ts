/**
 * Sizes, times, ports and counts as people write them, and back.
 * Every parser returns the unit named in the result or throws a UsageError whose message is the
 * end of a sentence; callers put the option or the place in the file before it.
 */
import { UsageError } from "./errors.ts";
import { nearest } from "./suggest.ts";

/** In MB of 1024² bytes, as cctools counts; `KiB` and `KB` are the same here. */
const sizeUnits: Readonly<Record<string, number>> = {
  KB: 1 / 1024,
  MB: 1,
  GB: 1024,
  TB: 1024 ** 2,
  PB: 1024 ** 3,
};

const timeUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** 1024 PB: more than any one machine has, so a larger number is a slip. */
export const sizeMbMax = 1024 ** 4;
/** Ten years: longer is a slip, and the sum with a clock stays a safe integer. */
export const timeMsMax = 3650 * 86_400_000;
/** Events and chunks stay far below; a larger number is a slip. */
export const countMax = 1e12;

/** `16GB`, `500MB`, `1.5 GiB`, `4096` (MB) → whole MB of 1024² bytes, rounded up. */
export function parseSizeMb(text: string): number {
  const { amount, unit } = quantity(text, "a size", "4096, 500MB or 16GB");
  if (unit === "") {
    if (!Number.isInteger(amount)) {
      throw new UsageError(
        `"${text}" is not a size: a bare number is whole MB; did you mean "${text}GB"?`,
      );
    }
    return within(text, amount, sizeMbMax, "a size", "1024PB");
  }
  const name = unit.toUpperCase().replace(/^([KMGTP])(I?B)?$/, "$1B");
  const factor = sizeUnits[name];
  if (factor === undefined) throw unknownUnit(text, unit, "a size", Object.keys(sizeUnits));
  return within(text, Math.ceil(amount * factor), sizeMbMax, "a size", "1024PB");
}

/** `90s`, `5m`, `2h`, `1d`, `500ms`, `90` (seconds) → milliseconds. */
export function parseTimeMs(text: string): number {
  const { amount, unit } = quantity(text, "a time", "90, 90s, 5m, 2h or 1d");
  const factor = timeUnits[unit === "" ? "s" : unit.toLowerCase()];
  if (factor === undefined) throw unknownUnit(text, unit, "a time", Object.keys(timeUnits));
  return within(text, Math.round(amount * factor), timeMsMax, "a time", "3650d");
}

/** Ports to try, from `low` to `high`; 0 to 0 lets the system choose. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** `9123`, `9000:9100`, or `0` for a free port that the system chooses. */
export function parsePorts(text: string): PortRange {
  const trimmed = text.trim();
  const match = /^(\d+)(?::(\d+))?$/.exec(trimmed);
  if (match === null) {
    const range = /^(\d+)\s*(?:-|\.\.|,| )\s*(\d+)$/.exec(trimmed);
    const hint = range === null ? "" : `: did you mean "${range[1]}:${range[2]}"?`;
    throw new UsageError(
      `"${text}" is not a port${hint === "" ? ": write 9123, 9000:9100 or 0" : hint}`,
    );
  }
  const low = Number(match[1]);
  const high = match[2] === undefined ? low : Number(match[2]);
  if (low > 65_535 || high > 65_535) {
    throw new UsageError(`"${text}" is not a port: a port is 0 to 65535, and 0 picks a free one`);
  }
  if (low > high) {
    throw new UsageError(
      `"${text}" is not a range of ports: the lower one comes first, "${high}:${low}"`,
    );
  }
  if (low === 0 && high > 0) {
    throw new UsageError(`"${text}" is not a range of ports: it starts at 1 or more`);
  }
  return { low, high };
}

/** One port to listen on, 0 to 65535. */
export function parsePortOrAny(text: string): number {
  const { low, high } = parsePorts(text);
  if (low === high) return low;
  throw new UsageError(`"${text}" is not a port but a range: one is needed here`);
}

/** One port to connect to, 1 to 65535. */
export function parsePort(text: string): number {
  const port = parsePortOrAny(text);
  if (port === 0) throw new UsageError(`"${text}" is not a port to connect to: it is 1 to 65535`);
  return port;
}

export interface CountLimits {
  readonly min?: number;
  readonly max?: number;
}

/** `4`, `100_000`, `1e5`, also `4.000` as cctools' factory writes it → a whole number. */
export function parseCount(text: string, limits: CountLimits = {}): number {
  const { min = 0, max = countMax } = limits;
  const trimmed = text.trim().replaceAll("_", "");
  if (!/^[+-]?\d+(\.\d+)?(e\+?\d+)?$/i.test(trimmed)) {
    throw new UsageError(`"${text}" is not a whole number`);
  }
  const count = Number(trimmed);
  if (!Number.isInteger(count)) throw new UsageError(`"${text}" is not a whole number`);
  if (count < min) throw new UsageError(`"${text}" is too small: it must be ${min} or more`);
  if (count > max) throw new UsageError(`"${text}" is too large: it can be ${max} at most`);
  return count;
}

/** Makes a parser take `all` too: everything that the machine has. */
export function orAll(parse: (text: string) => number): (text: string) => number | "all" {
  return (text) => text.trim().toLowerCase() === "all" ? "all" : parse(text);
}

/** `0:07`, `12:40`, `1:02:03`: hours only if there are any. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const tail = two(seconds % 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${tail}` : `${minutes}:${tail}`;
}

/** Up to three digits and a decimal prefix: `7`, `4.25`, `950`, `1.2k`, `231k`, `5M`. */
export function formatShort(amount: number): string {
  if (!Number.isFinite(amount)) return "?";
  if (Number.isInteger(amount) && amount < 1000) return String(amount);
  if (amount < 1000) return significant(amount);
  let scaled = amount;
  let prefix = "";
  for (const next of ["k", "M", "G", "T", "P"]) {
    // 999.6 would print as "1000".
    if (scaled < 999.5) break;
    scaled /= 1000;
    prefix = next;
  }
  return significant(scaled) + prefix;
}

function significant(amount: number): string {
  const decimals = amount < 10 ? 2 : amount < 100 ? 1 : 0;
  return String(Number(amount < 1 ? amount.toPrecision(2) : amount.toFixed(decimals)));
}

/** `1 worker`, `2 workers`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `950 MB`, `1.5 GB`, `16 GB`. */
export function formatSizeMb(mb: number): string {
  if (mb < 1024) return `${Math.round(mb)} MB`;
  const power = mb < 1024 ** 2 ? 1 : 2;
  const scaled = mb / 1024 ** power;
  return `${scaled.toFixed(1).replace(/\.0$/, "")} ${power === 1 ? "GB" : "TB"}`;
}

function quantity(text: string, what: string, examples: string): { amount: number; unit: string } {
  const match = /^\s*([+-]?)(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
  if (match === null) throw new UsageError(`"${text}" is not ${what}: write ${examples}`);
  const amount = Number(match[2]);
  if (match[1] === "-") throw new UsageError(`"${text}" is not ${what}: it cannot be negative`);
  return { amount, unit: match[3] ?? "" };
}

function unknownUnit(text: string, unit: string, what: string, units: string[]): UsageError {
  const meant = nearest(unit, units);
  const amount = text.trim().slice(0, -unit.length).trim();
  const hint = meant === null ? `its unit can be ${units.join(", ")}` : null;
  return new UsageError(`"${text}" is not ${what}: ${hint ?? `did you mean "${amount}${meant}"?`}`);
}

function within(text: string, value: number, max: number, what: string, shown: string): number {
  if (value > max) throw new UsageError(`"${text}" is not ${what}: the most is ${shown}`);
  return value;
}
