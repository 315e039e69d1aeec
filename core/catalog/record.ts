/**
 * Updates as they arrive from anybody → records as the catalog keeps them. What the catalog says of
 * a record (address, name, time) is never the sender's word: readers connect to what stands there.
 */
import { JxSyntaxError, parseJxValue } from "../jx/parse.ts";
import { isJxObject, type JxObject, type JxValue } from "../jx/value.ts";

/** Longest text of an update, also when it came compressed; catalog_server's limit by TCP. */
export const updateBytesMax = 1024 ** 2 - 1;
/** A full record of a manager has about 120 fields. */
export const fieldsMax = 2000;
/** Letters that end lines and steer terminals: names of fields have none. */
// deno-lint-ignore no-control-regex -- these are what must not be there
export const control = /[\x00-\x1f\x7f-\x9f]/;
/** Longest name of a field, in letters. */
const fieldNameLettersMax = 256;
/** How much of `uuid` counts for the key, as in catalog_server. */
const uuidLettersMax = 128;

/** Who sent an update, by the catalog's own observation. */
export interface Source {
  /** Numeric, IPv4 addresses in their usual form. */
  readonly address: string;
  /** Host name by reverse look-up; the address where there is none. */
  readonly name: string;
}

/** A record under the key that it replaces. */
export interface KeyedRecord {
  readonly key: string;
  readonly record: JxObject;
}

/** An update is kept, or dropped with a reason that completes "dropped an update of X: ". */
export type Reading =
  | { readonly accepted: KeyedRecord; readonly dropped: null }
  | { readonly accepted: null; readonly dropped: string };

export interface ReadingOptions {
  /** `total` and `avail` above it are not believed; bytes. */
  readonly serverBytesMax: bigint | null;
}

/** Reads the text of one update that came at `nowMs`. */
export function readUpdate(
  text: string,
  source: Source,
  nowMs: number,
  options: ReadingOptions = { serverBytesMax: null },
): Reading {
  // Programs in C may send the NUL at the end of their text; inside it cuts off the rest for them.
  const whole = text.replace(/\0+$/, "");
  if (whole.includes("\0")) return { accepted: null, dropped: "it has a NUL inside" };
  const parsed = whole.startsWith("{") ? parseObject(whole) : parsePairs(whole);
  if (typeof parsed === "string") return { accepted: null, dropped: parsed };
  const wrong = whatIsWrong(parsed);
  if (wrong !== null) return { accepted: null, dropped: wrong };
  const record = new Map<string, JxValue>([
    ["name", source.name],
    ["lastheardfrom", BigInt(Math.floor(nowMs / 1000))],
    ["address", source.address],
  ]);
  const own = new Set(record.keys());
  for (const [name, value] of parsed) {
    if (!own.has(name)) record.set(name, believed(name, value, options));
  }
  return { accepted: { key: keyOf(record), record }, dropped: null };
}

/** `address:port:name`, and `:uuid` if there is one; without an integer port, 0 stands for it. */
export function keyOf(record: JxObject): string {
  const port = record.get("port");
  const uuid = record.get("uuid");
  const parts = [
    textOf(record.get("address")),
    typeof port === "bigint" ? String(port) : "0",
    textOf(record.get("name")),
  ];
  if (typeof uuid === "string") parts.push(uuid.slice(0, uuidLettersMax));
  // Keys stand bare in the lines of the history.
  const key = parts.join(":");
  return /^[!-~]*$/.test(key) ? key : key.replace(/[\s\p{Cc}]/gu, "_");
}

function textOf(value: JxValue | undefined): string {
  return typeof value === "string" ? value : "unknown";
}

function parseObject(text: string): JxObject | string {
  try {
    const value = parseJxValue(text);
    return isJxObject(value) ? value : "it is no object";
  } catch (error) {
    if (error instanceof JxSyntaxError) return `it is no record in JX (${error.message})`;
    throw error;
  }
}

/** Lines `name value`, as services sent them before there was JX. */
function parsePairs(text: string): JxObject | string {
  const pairs = new Map<string, JxValue>();
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [, name, value] = /^([A-Za-z_][\w.,-]*) (.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return "it is neither an object nor lines";
    if (!pairs.has(name)) pairs.set(name, pairValue(value));
  }
  // What happens to look like lines is not taken for a service.
  return typeof pairs.get("type") === "string" ? pairs : "its lines name no type";
}

function pairValue(text: string): JxValue {
  const plain: Record<string, JxValue> = { true: true, false: false, null: null };
  if (Object.hasOwn(plain, text)) return plain[text]!;
  const number = /^-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text);
  if (!number && !/^[[{]/.test(text)) return text;
  try {
    return parseJxValue(text);
  } catch (error) {
    if (error instanceof JxSyntaxError) return text;
    throw error;
  }
}

function whatIsWrong(record: JxObject): string | null {
  if (record.size === 0) return "it has no fields";
  if (record.size > fieldsMax) return `it has more than ${fieldsMax} fields`;
  for (const [name, value] of record) {
    if (name === "" || name.length > fieldNameLettersMax || control.test(name)) {
      return `the name of a field is empty, too long or has control characters`;
    }
    if (hasInfinity(value)) return `${name} is no number that can be written`;
  }
  return null;
}

/** Above it, 16 digits round to more than there is. */
const doubleMax = 1.797693134862315e308;

/** Infinities print as a word that readers take for a symbol, which spoils the whole answer. */
function hasInfinity(value: JxValue): boolean {
  if (typeof value === "number") return !(Math.abs(value) <= doubleMax);
  if (Array.isArray(value)) return value.some(hasInfinity);
  return isJxObject(value) && value.values().some(hasInfinity);
}

function believed(name: string, value: JxValue, { serverBytesMax: max }: ReadingOptions): JxValue {
  if (max === null || (name !== "total" && name !== "avail")) return value;
  return typeof value === "bigint" && value > max ? max : value;
}
