/**
 * What goes out to the client of a manager, in order: results gather in one frame while the one
 * before leaves, answers come after the results that were there before them.
 */
import { frameStart, type Kind, kind } from "../core/api/frames.ts";
import type { ClientResult, ResultRow } from "../core/api/result.ts";
import { concat } from "../core/bytes.ts";

/** More of them, or so many bytes that tasks printed, begin another frame. */
const rowsMax = 4096;
const printedBytesMax = 64 * 1024 ** 2;

/** Up to this size a frame leaves in one write. */
const joinBytesMax = 256 * 1024;

type Item =
  | { readonly rows: ResultRow[]; readonly printed: Uint8Array[]; bytes: number }
  | { readonly frame: Uint8Array };

export interface Backlog {
  /** Results that the client has not taken. */
  readonly results: number;
  /** Of what their tasks printed. */
  readonly bytes: number;
  /** Of answers. */
  readonly answerBytes: number;
}

export class Outgoing {
  #items: Item[] = [];
  #pumping: Promise<void> | null = null;
  #broken = false;
  #backlog = { results: 0, bytes: 0, answerBytes: 0 };

  /**
   * @param counts of the moment, for each frame of results
   * @param moved called when something has left
   */
  constructor(
    private readonly conn: Deno.UnixConn,
    private readonly counts: () => readonly number[],
    private readonly moved: () => void,
  ) {}

  get backlog(): Backlog {
    return this.#backlog;
  }

  result({ row, printed }: ClientResult): void {
    if (this.#broken) return;
    const size = printed?.length ?? 0;
    let last = this.#items.at(-1);
    const isFull = last === undefined || !("rows" in last) || last.rows.length >= rowsMax ||
      (last.bytes > 0 && last.bytes + size > printedBytesMax);
    if (isFull) this.#items.push(last = { rows: [], printed: [], bytes: 0 });
    const open = last as Extract<Item, { rows: unknown }>;
    open.rows.push(row);
    if (printed !== null && size > 0) open.printed.push(printed);
    open.bytes += size;
    this.#backlog.results++;
    this.#backlog.bytes += size;
    this.#pumping ??= this.#pump();
  }

  send(which: Kind, value: unknown, request = 0): void {
    if (this.#broken) return;
    const frame = frameStart(which, value, { request });
    this.#backlog.answerBytes += frame.length;
    this.#items.push({ frame });
    this.#pumping ??= this.#pump();
  }

  /** Whether nothing waits to leave. */
  get isIdle(): boolean {
    return this.#pumping === null;
  }

  /** Resolves when all that was there has left, or nobody takes it any more. */
  async drained(): Promise<void> {
    while (this.#pumping !== null) await this.#pumping;
  }

  async #pump(): Promise<void> {
    // Let the turn that brought the first finish: its others leave with it.
    await Promise.resolve();
    try {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
        if ("frame" in item) {
          await this.#write(item.frame);
          this.#backlog.answerBytes -= item.frame.length;
        } else {
          await this.#writeResults(item);
          this.#backlog.results -= item.rows.length;
          this.#backlog.bytes -= item.bytes;
        }
        this.moved();
      }
    } catch {
      // The client is gone, which its reader notices as well.
      this.#broken = true;
      this.#items = [];
    } finally {
      this.#pumping = null;
    }
  }

  async #writeResults({ rows, printed, bytes }: Extract<Item, { rows: unknown }>): Promise<void> {
    const start = frameStart(kind.results, [this.counts(), rows], { rawBytes: bytes });
    if (bytes <= joinBytesMax) return await this.#write(concat([start, ...printed]));
    await this.#write(start);
    for (const piece of printed) await this.#write(piece);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.conn.write(bytes.subarray(sent));
    }
  }
}
