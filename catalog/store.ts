/**
 * The catalog's memory: takes updates, forgets what is over, writes the history, tells those who
 * listen. The one place where records change.
 */
import { type KeyedRecord, keyOf, readUpdate, type Source } from "../core/catalog/record.ts";
import { isManager } from "../core/catalog/selection.ts";
import { CatalogTable, type Change, type Entry, type TableLimits } from "../core/catalog/table.ts";
import { printJx } from "../core/jx/print.ts";
import { type JxObject, numberOf } from "../core/jx/value.ts";
import { HistoryFolder } from "./history_folder.ts";
import type { CatalogChange, CatalogView, SeriesPoint } from "./view.ts";

/** Points kept of one manager's course; where more come, every second one goes. */
const seriesPointsMax = 720;
/** Time between two looks for records that are over. */
const expiryMs = 1000;

export interface StoreOptions {
  /** Folder of the history. */
  readonly history: string;
  readonly limits: TableLimits;
  readonly serverBytesMax: bigint | null;
  /** Gets the JSON of every record whose key is new, a line each; `null`: no such file. */
  readonly updateLog: string | null;
  readonly nowMs: () => number;
  /** For people: a sentence. */
  readonly note: (line: string) => void;
}

export class CatalogStore implements CatalogView, Disposable {
  readonly history: HistoryFolder;
  readonly #table: CatalogTable;
  readonly #listeners = new Set<(change: CatalogChange) => void>();
  readonly #series = new Map<string, SeriesPoint[]>();
  #flushing: ReturnType<typeof setTimeout> | null = null;
  readonly #expiring: ReturnType<typeof setInterval>;
  #updateLogFailed = false;

  private constructor(private readonly options: StoreOptions) {
    this.#table = new CatalogTable(options.limits);
    this.history = HistoryFolder.open(options.history, {
      current: (key) => this.#table.get(key),
      records: () => this.#table.entries().map(({ key, record }) => [key, record] as const),
      note: options.note,
    });
    this.#expiring = setInterval(() => this.#expire(), expiryMs);
  }

  /**
   * Starts with the records of the history. They count as heard of now: their services had nobody
   * to speak to. Throws a RunError if the folder cannot be written.
   */
  static async open(options: StoreOptions): Promise<CatalogStore> {
    const store = new CatalogStore(options);
    const oldestMs = options.nowMs() - 2 * options.limits.lifetimeMs;
    using opening = new DisposableStack();
    opening.use(store);
    const { state, damaged } = await store.history.recover(({ atS, event }, records) => {
      const record = records.get(event.key);
      if (record === undefined) store.#series.delete(event.key);
      else if (event.type !== "remove" && atS * 1000 > oldestMs) {
        store.#notePoint(event.key, record, atS * 1000);
      }
    });
    for (const [key, record] of state) store.#table.put({ key, record }, options.nowMs());
    store.history.flush(options.nowMs());
    if (damaged > 0) {
      options.note(`${damaged} damaged lines of the history in ${options.history} were left out`);
    }
    opening.move();
    return store;
  }

  /** Reads the text of an update; the reason if it was dropped, or `null`. */
  update(text: string, source: Source): string | null {
    const { serverBytesMax, nowMs } = this.options;
    const { accepted, dropped } = readUpdate(text, source, nowMs(), { serverBytesMax });
    if (accepted !== null) this.#put(accepted);
    return dropped;
  }

  /** In the order of answers; good until the next change. What it holds is in the history then. */
  entries(): readonly Entry[] {
    this.history.flush(this.options.nowMs());
    return this.#table.entries();
  }

  *records(): Iterable<JxObject> {
    for (const { record } of this.#table.entries()) yield record;
  }

  get(key: string): JxObject | undefined {
    return this.#table.get(key);
  }

  keyOf(record: JxObject): string {
    return keyOf(record);
  }

  subscribe(listener: (change: CatalogChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  series(key: string): readonly SeriesPoint[] {
    return this.#series.get(key) ?? [];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#expiring);
    if (this.#flushing !== null) clearTimeout(this.#flushing);
    this.history.flush(this.options.nowMs());
    this.history[Symbol.dispose]();
  }

  #put(keyed: KeyedRecord): void {
    const nowMs = this.options.nowMs();
    for (const change of this.#table.put(keyed, nowMs)) {
      if (change.before === null && change.after !== null) this.#logNew(change.after);
      if (change.after !== null) this.#notePoint(change.key, change.after, nowMs);
      this.#record(change);
    }
  }

  #expire(): void {
    for (const change of this.#table.expire(this.options.nowMs())) this.#record(change);
    // Begins a new day, too, and tries again what could not be written.
    this.history.flush(this.options.nowMs());
  }

  #record(change: Change): void {
    if (change.after === null) this.#series.delete(change.key);
    this.history.add(change, this.options.nowMs());
    // One write for all that arrives in a turn.
    this.#flushing ??= setTimeout(() => {
      this.#flushing = null;
      this.history.flush(this.options.nowMs());
    });
    for (const listener of this.#listeners) listener({ key: change.key, record: change.after });
  }

  #notePoint(key: string, record: JxObject, atMs: number): void {
    if (!isManager(record)) return;
    const points = this.#series.get(key) ?? [];
    points.push({
      atMs,
      waiting: numberOf(record, "tasks_waiting"),
      running: numberOf(record, "tasks_running"),
      done: numberOf(record, record.has("tasks_done") ? "tasks_done" : "tasks_complete"),
      workers: numberOf(record, record.has("workers_connected") ? "workers_connected" : "workers"),
    });
    const kept = points.length <= seriesPointsMax
      ? points
      : points.filter((_, i) => i % 2 === 0 || i === points.length - 1);
    this.#series.set(key, kept);
  }

  #logNew(record: JxObject): void {
    const { updateLog, note } = this.options;
    if (updateLog === null) return;
    try {
      Deno.writeTextFileSync(updateLog, `${printJx(record)}\n`, { append: true });
      this.#updateLogFailed = false;
    } catch (error) {
      if (!this.#updateLogFailed) note(`Cannot write new records to ${updateLog}: ${error}`);
      this.#updateLogFailed = true;
    }
  }
}
