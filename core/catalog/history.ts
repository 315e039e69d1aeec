/**
 * The history of a catalog as lines of text: what happened to which record when, in the form of
 * catalog_server, so that each reads what the other wrote. A folder has a log for each day, and a
 * checkpoint of all records at the day's beginning.
 */
import { JxSyntaxError, parseJxValue } from "../jx/parse.ts";
import { printJx, printString } from "../jx/print.ts";
import { isJxObject, type JxObject, type JxValue } from "../jx/value.ts";
import type { Change } from "./table.ts";

export type HistoryEvent =
  | { readonly type: "create"; readonly key: string; readonly record: JxObject }
  | { readonly type: "merge"; readonly key: string; readonly fields: JxObject }
  | { readonly type: "remove"; readonly key: string; readonly field: string }
  | { readonly type: "delete"; readonly key: string };

/** Records by key, as replaying builds them up. */
export type HistoryState = Map<string, JxObject>;

/** catalog_server reads lines of 65,536 bytes; longer records are written in parts. */
export const lineBytesMax = 65_000;

/** They change with every update and say nothing that the time of the line does not. */
const unlogged: ReadonlySet<string> = new Set(["lastheardfrom", "uptime"]);

/** A day of UTC, by which files are named; the first day of a year is 0. */
export interface HistoryDay {
  readonly year: number;
  readonly day: number;
}

export function dayOf(atS: number): HistoryDay {
  const year = new Date(atS * 1000).getUTCFullYear();
  return { year, day: Math.floor((atS - Date.UTC(year, 0, 1) / 1000) / 86_400) };
}

/** Below 0 if `a` is earlier, 0 if it is the same day. */
export function compareDays(a: HistoryDay, b: HistoryDay): number {
  return a.year - b.year || a.day - b.day;
}

/** Lines for a change, without those of time; none if nothing changed that is logged. */
export function linesOf({ key, before, after }: Change): string[] {
  if (after === null) return [`D ${key}\n`];
  if (before === null) return createLines(key, after);
  const removed = before.keys().filter((field) => !after.has(field));
  const changed = new Map(
    after.entries().filter(([field, value]) =>
      !unlogged.has(field) && !same(before.get(field), value)
    ),
  );
  return [
    ...removed.map((field) => `R ${key} ${field}\n`),
    ...(changed.size > 0 ? parts(`M ${key}`, changed) : []),
  ];
}

function createLines(key: string, record: JxObject): string[] {
  const [first = "", ...rest] = parts(key, record);
  return [`C ${first}`, ...rest.map((part) => `M ${part}`)];
}

/** `head {…}` for all fields; those that fill more than a line alone are left out. */
function parts(head: string, fields: JxObject): string[] {
  const whole = `${head} ${printJx(fields)}\n`;
  if (byteLength(whole) <= lineBytesMax) return [whole];
  const lines: string[] = [];
  let pairs: string[] = [];
  let bytes = byteLength(head);
  const end = () => {
    lines.push(`${head} {${pairs.join(",")}}\n`);
    [pairs, bytes] = [[], byteLength(head)];
  };
  for (const [field, value] of fields) {
    const pair = `${printString(field)}:${printJx(value)}`;
    const size = byteLength(pair) + 1;
    if (size + byteLength(head) > lineBytesMax) continue;
    if (bytes + size > lineBytesMax) end();
    pairs.push(pair);
    bytes += size;
  }
  end();
  return lines;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function same(a: JxValue | undefined, b: JxValue): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return false;
  return printJx(a) === printJx(b);
}

/** Puts times between lines: once in full, later as what has passed since. */
export class HistoryTimes {
  #lastS: number | null = null;

  /** The next line is the first of a file, or follows one that was lost. */
  restart(): void {
    this.#lastS = null;
  }

  /** The line to be written before events at that time; empty if there is no need for one. */
  line(atS: number): string {
    const lastS = this.#lastS;
    if (lastS === atS) return "";
    this.#lastS = atS;
    return lastS === null || atS < lastS ? `T ${atS}\n` : `t ${atS - lastS}\n`;
  }
}

/** Reads lines in their order; those that are damaged count and say nothing. */
export class HistoryReader {
  /** Of the last line read; 0 before the first time. Seconds since 1970. */
  atS = 0;
  damaged = 0;

  read(line: string): HistoryEvent[] {
    if (line === "") return [];
    // Zeros are what a power cut leaves of a file.
    const events = line.includes("\0") ? null : this.#eventsOf(line);
    if (events === null) this.damaged++;
    return events ?? [];
  }

  /** `null` for a damaged line. */
  #eventsOf(line: string): HistoryEvent[] | null {
    const [, letter, rest] = /^([A-Za-z]) (.*)$/.exec(line) ?? [];
    if (letter === undefined) return null;
    if (letter === "R") return this.#removals(rest!);
    if (letter === "T" || letter === "t") {
      if (!/^\d{1,12}$/.test(rest!)) return null;
      this.atS = letter === "T" ? Number(rest) : this.atS + Number(rest);
      return [];
    }
    const event = eventOf(letter, rest!);
    return event === null ? null : [event];
  }

  /**
   * Older catalog_servers write no line end after the field, so another event may follow it, and
   * thousands where it removes too.
   */
  #removals(rest: string): HistoryEvent[] | null {
    const events: HistoryEvent[] = [];
    for (let removal = removalOf(rest); removal !== null;) {
      const { key, field } = removal;
      removal = null;
      let name = field;
      let last: HistoryEvent[] = [];
      for (const { index } of field.matchAll(/[CMDURTt] \S/g)) {
        if (index === 0) continue;
        const glued = field.slice(index);
        if (glued.startsWith("R ")) removal = removalOf(glued.slice(2));
        const others = glued.startsWith("R ") ? null : this.#eventsOf(glued);
        if (removal === null && others === null) continue;
        name = field.slice(0, index);
        last = others ?? [];
        break;
      }
      events.push({ type: "remove", key, field: name }, ...last);
    }
    return events.length === 0 ? null : events;
  }
}

function removalOf(rest: string): { readonly key: string; readonly field: string } | null {
  const [, key, field] = /^(\S+) (.+)$/.exec(rest) ?? [];
  return key === undefined || field === undefined ? null : { key, field };
}

function eventOf(letter: string, rest: string): HistoryEvent | null {
  const [, key, text = ""] = /^(\S+)(?: (.*))?$/.exec(rest) ?? [];
  if (key === undefined) return null;
  if (letter === "D") return text === "" ? { type: "delete", key } : null;
  if (letter === "U") {
    const [, field, value] = /^(\S+) (.*)$/.exec(text) ?? [];
    const parsed = valueOf(value ?? "");
    if (field === undefined || parsed === undefined) return null;
    return { type: "merge", key, fields: new Map([[field, parsed]]) };
  }
  const object = letter === "C" || letter === "M" ? valueOf(text) : undefined;
  if (!isJxObject(object)) return null;
  return letter === "C"
    ? { type: "create", key, record: object }
    : { type: "merge", key, fields: object };
}

function valueOf(text: string): JxValue | undefined {
  try {
    return parseJxValue(text);
  } catch (error) {
    if (error instanceof JxSyntaxError) return undefined;
    throw error;
  }
}

/** What the event makes of the records; it may name one that is not there, and does nothing then. */
export function apply(state: HistoryState, event: HistoryEvent): void {
  if (event.type === "create") {
    state.set(event.key, event.record);
    return;
  }
  const before = state.get(event.key);
  if (before === undefined) return;
  switch (event.type) {
    case "delete":
      state.delete(event.key);
      break;
    case "merge":
      state.set(event.key, new Map([...before, ...event.fields]));
      break;
    case "remove":
      state.set(event.key, new Map(before.entries().filter(([name]) => name !== event.field)));
      break;
  }
}

/** An event as the line that it came from. */
export function lineOf(event: HistoryEvent): string {
  switch (event.type) {
    case "create":
      return `C ${event.key} ${printJx(event.record)}\n`;
    case "merge":
      return `M ${event.key} ${printJx(event.fields)}\n`;
    case "remove":
      return `R ${event.key} ${event.field}\n`;
    case "delete":
      return `D ${event.key}\n`;
  }
}

/** The text of a checkpoint in pieces, a record each. */
export function* checkpointPieces(
  records: Iterable<readonly [key: string, record: JxObject]>,
): Generator<string> {
  let separator = "{\n";
  for (const [key, record] of records) {
    yield `${separator}${printString(key)}:${printJx(record)}`;
    separator = ",\n";
  }
  yield separator === "{\n" ? "{}\n" : "\n}\n";
}

/** `null` if the text is no checkpoint: cut off, or of a server from before JX. */
export function parseCheckpoint(text: string): HistoryState | null {
  const value = valueOf(text);
  if (!isJxObject(value)) return null;
  const state: HistoryState = new Map();
  for (const [key, record] of value) if (isJxObject(record)) state.set(key, record);
  return state;
}
