/**
 * The history on disk: `YEAR/DAY.log` and `YEAR/DAY.ckpt`, as catalog_server writes and reads them.
 * Lines are handed to the system after each batch, so that what was answered survives `kill -9`.
 * A disk that is full does not stop the catalog: what is missing is written when there is room.
 */
import { existsSync } from "node:fs";
import {
  apply,
  checkpointPieces,
  compareDays,
  dayOf,
  type HistoryDay,
  type HistoryEvent,
  HistoryReader,
  type HistoryState,
  HistoryTimes,
  linesOf,
  parseCheckpoint,
} from "../core/catalog/history.ts";
import type { Change } from "../core/catalog/table.ts";
import { messageOf, RunError } from "../core/errors.ts";
import type { JxObject } from "../core/jx/value.ts";

/** A longer line was written by nobody; characters. */
const lineLettersMax = 4 * 1024 ** 2;
/** After a failure, how long until writing is tried again. */
const retryMs = 10_000;
/** Keys remembered while nothing can be written. */
const owedMax = 100_000;

export interface HistoryOptions {
  /** The record of a key as it is now, for what could not be written in its time. */
  readonly current: (key: string) => JxObject | undefined;
  /** All records, for checkpoints. */
  readonly records: () => Iterable<readonly [key: string, record: JxObject]>;
  /** Tells people of trouble and of its end; a sentence. */
  readonly note: (line: string) => void;
}

/** What happened when; `atS` is in seconds since 1970. */
export interface TimedEvent {
  readonly atS: number;
  readonly event: HistoryEvent;
}

export class HistoryFolder implements Disposable {
  #log: Deno.FsFile | null = null;
  #day: HistoryDay | null = null;
  readonly #times = new HistoryTimes();
  #pending: { readonly atS: number; readonly text: string }[] = [];
  /** Keys of which the file may not tell the truth, since something could not be written. */
  readonly #owed = new Set<string>();
  readonly #pendingKeys = new Set<string>();
  #retryAtMs: number | null = null;

  private constructor(
    readonly path: string,
    private readonly options: HistoryOptions,
    /** Held as long as the folder is ours; the system lets go of it with the process. */
    private readonly lock: Deno.FsFile,
  ) {}

  /**
   * Makes the folder if it is missing. Throws a RunError if nothing can be written to it, or if
   * another catalog writes to it.
   */
  static open(path: string, options: HistoryOptions): HistoryFolder {
    const cannot = (why: string) =>
      new RunError(`Cannot write the history to ${path}: ${why}; name another folder by --history`);
    let lock: Deno.FsFile;
    try {
      Deno.mkdirSync(path, { recursive: true });
      lock = Deno.openSync(`${path}/.lock`, { write: true, create: true });
    } catch (error) {
      throw cannot(messageOf(error));
    }
    if (lock.tryLockSync(true)) return new HistoryFolder(path, options, lock);
    lock.close();
    throw cannot("another catalog does so");
  }

  /** Adds to the next batch what was changed at `nowMs`. */
  add(change: Change, nowMs: number): void {
    const lines = linesOf(change);
    if (lines.length === 0) return;
    this.#pendingKeys.add(change.key);
    this.#pending.push({ atS: Math.floor(nowMs / 1000), text: lines.join("") });
  }

  /**
   * Writes what was added since the last call. The first call of a day begins its files, and so
   * has to come before anything of that day is added.
   */
  flush(nowMs: number): void {
    if (this.#retryAtMs !== null && nowMs < this.#retryAtMs) return this.#owe();
    try {
      this.#openDay(dayOf(Math.floor(nowMs / 1000)));
      this.#writePending(nowMs);
      if (this.#retryAtMs !== null) this.options.note(`The history in ${this.path} is whole again`);
      this.#retryAtMs = null;
    } catch (error) {
      if (this.#retryAtMs === null) {
        this.options.note(
          `Cannot write the history in ${this.path}: ${
            messageOf(error)
          }; queries are answered as ` +
            "before, and it is tried again",
        );
      }
      this.#retryAtMs = nowMs + retryMs;
      this.#owe();
      this.#close();
    }
  }

  [Symbol.dispose](): void {
    this.#close();
    this.lock.close();
  }

  /** What the newest files say, and the events since their checkpoint; for the start. */
  async recover(onEvent: (event: TimedEvent, state: HistoryState) => void): Promise<{
    readonly state: HistoryState;
    readonly damaged: number;
  }> {
    return await this.#replay(Infinity, new AbortController().signal, onEvent);
  }

  /** The records as they were at that time. Throws `signal.reason`. */
  async stateAt(atS: number, signal: AbortSignal): Promise<HistoryState> {
    return (await this.#replay(atS, signal, () => {})).state;
  }

  /** The records at `fromS`, then what happened until `toS`. Throws `signal.reason`. */
  async *eventsBetween(
    fromS: number,
    toS: number,
    signal: AbortSignal,
  ): AsyncGenerator<TimedEvent> {
    const state: HistoryState = new Map();
    let started = false;
    function* begin(): Generator<TimedEvent> {
      started = true;
      for (const [key, record] of state) {
        yield { atS: fromS, event: { type: "create", key, record } };
      }
    }
    for await (const { atS, event } of this.#events(fromS, toS, state, signal)) {
      if (atS > fromS && !started) yield* begin();
      if (started) yield { atS, event };
      else apply(state, event);
    }
    if (!started) yield* begin();
  }

  async #replay(
    untilS: number,
    signal: AbortSignal,
    onEvent: (event: TimedEvent, state: HistoryState) => void,
  ): Promise<{ state: HistoryState; damaged: number }> {
    const state: HistoryState = new Map();
    const counted = { damaged: 0 };
    for await (const timed of this.#events(untilS, untilS, state, signal, counted)) {
      apply(state, timed.event);
      onEvent(timed, state);
    }
    return { state, damaged: counted.damaged };
  }

  /** Fills `state` from the last checkpoint up to `fromS`; then all events up to `toS`. */
  async *#events(
    fromS: number,
    toS: number,
    state: HistoryState,
    signal: AbortSignal,
    counted = { damaged: 0 },
  ): AsyncGenerator<TimedEvent> {
    const days = await this.#days();
    let first = 0;
    for (let i = days.length - 1; i >= 0; i--) {
      if (fromS !== Infinity && compareDays(days[i]!, dayOf(fromS)) > 0) continue;
      const path = this.#file(days[i]!, "ckpt");
      const text = await Deno.readTextFile(path).catch(() => null);
      if (text === null) continue;
      const checkpoint = parseCheckpoint(text);
      if (checkpoint === null) {
        counted.damaged++;
        this.options.note(`The checkpoint ${path} is damaged; an earlier one is used`);
        continue;
      }
      for (const [key, record] of checkpoint) state.set(key, record);
      first = i;
      break;
    }
    const reader = new HistoryReader();
    for (const day of days.slice(first)) {
      if (toS !== Infinity && compareDays(day, dayOf(toS)) > 0) break;
      for await (const line of linesIn(this.#file(day, "log"), signal)) {
        for (const event of reader.read(line)) {
          if (reader.atS > toS) return;
          yield { atS: reader.atS, event };
        }
      }
    }
    counted.damaged += reader.damaged;
  }

  /** Days of which there is a file, the earliest first. */
  async #days(): Promise<HistoryDay[]> {
    const found = new Map<string, HistoryDay>();
    for (const year of await namesIn(this.path)) {
      if (!/^\d{4}$/.test(year)) continue;
      for (const name of await namesIn(`${this.path}/${year}`)) {
        const day = /^(\d{1,3})\.(?:log|ckpt)$/.exec(name)?.[1];
        if (day === undefined) continue;
        found.set(`${year}/${day}`, { year: Number(year), day: Number(day) });
      }
    }
    return [...found.values()].sort(compareDays);
  }

  #file({ year, day }: HistoryDay, kind: "log" | "ckpt"): string {
    return `${this.path}/${year}/${day}.${kind}`;
  }

  #openDay(day: HistoryDay): void {
    if (this.#log !== null && this.#day !== null && compareDays(day, this.#day) === 0) return;
    this.#close();
    Deno.mkdirSync(`${this.path}/${day.year}`, { recursive: true });
    // One of today stays: it says how the day began, and logs are replayed from there.
    if (!existsSync(this.#file(day, "ckpt"))) this.#writeCheckpoint(day);
    const log = Deno.openSync(this.#file(day, "log"), { read: true, append: true, create: true });
    this.#log = log;
    this.#day = day;
    if (lastByteMissesNewline(log)) write(log, "\n"); // the end of a line was lost
  }

  #writeCheckpoint(day: HistoryDay): void {
    const path = this.#file(day, "ckpt");
    const temporary = `${path}.tmp`;
    try {
      using file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
      for (const piece of checkpointPieces(this.options.records())) write(file, piece);
      Deno.renameSync(temporary, path);
    } catch (error) {
      if (existsSync(temporary)) Deno.removeSync(temporary);
      throw error;
    }
  }

  #writePending(nowMs: number): void {
    const batch = [...this.#owedLines(nowMs), ...this.#pending];
    if (batch.length === 0) return;
    write(this.#log!, batch.map(({ atS, text }) => this.#times.line(atS) + text).join(""));
    this.#owed.clear();
    this.#pending = [];
    this.#pendingKeys.clear();
  }

  /** What could not be written in its time goes first: later lines may change it further. */
  #owedLines(nowMs: number): { readonly atS: number; readonly text: string }[] {
    const atS = Math.floor(nowMs / 1000);
    return [...this.#owed].map((key) => {
      const after = this.options.current(key) ?? null;
      return { atS, text: linesOf({ key, before: null, after }).join("") };
    });
  }

  #owe(): void {
    for (const key of this.#pendingKeys) this.#owed.add(key);
    this.#pendingKeys.clear();
    this.#pending = [];
    if (this.#owed.size <= owedMax) return;
    // A record that is gone and comes back after a restart expires by itself.
    for (const key of this.#owed) {
      if (this.options.current(key) === undefined) this.#owed.delete(key);
    }
  }

  #close(): void {
    this.#log?.close();
    this.#log = null;
    this.#times.restart();
  }
}

const encoder = new TextEncoder();

function write(file: Deno.FsFile, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

function lastByteMissesNewline(file: Deno.FsFile): boolean {
  const { size } = file.statSync();
  if (size === 0) return false;
  const last = new Uint8Array(1);
  file.seekSync(size - 1, Deno.SeekMode.Start);
  return file.readSync(last) === 1 && last[0] !== 0x0a;
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Without their ends; none if the file is missing. A line that is too long is left out. */
async function* linesIn(path: string, signal: AbortSignal): AsyncGenerator<string> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch {
    return;
  }
  let rest = "";
  let skipping = false;
  for await (const piece of file.readable.pipeThrough(new TextDecoderStream())) {
    signal.throwIfAborted();
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!skipping) yield line;
      skipping = false;
    }
    if (rest.length > lineLettersMax) [rest, skipping] = ["", true];
  }
  if (rest !== "" && !skipping) yield rest;
}
