/**
 * Where a command's words go: data to stdout, everything else to stderr, as a table, as JSON or
 * not at all. What the two streams can show is decided once, here.
 */
import Table from "cli-table3";
import pico from "picocolors";
import type { CategorySummary } from "../core/analysis/progress.ts";
import { formatDuration, formatShort, formatSizeMb } from "../core/units.ts";
import { delay } from "../io/clock.ts";

export type Colors = ReturnType<typeof pico.createColors>;

/** One of the two output streams and what it can show. */
export interface Stream {
  write(text: string): void;
  /** The same for much data: waits until it is taken, and `false` says that nobody reads. */
  send(bytes: Uint8Array): Promise<boolean>;
  readonly isTTY: boolean;
  /** 80 where there is no terminal; read again at each use, because windows change. */
  readonly columns: number;
  readonly rows: number;
  /** Does nothing to its argument where colour is not wanted. */
  readonly colors: Colors;
  /** False where only ASCII is safe. */
  readonly unicode: boolean;
}

export interface Terminal {
  readonly stdout: Stream;
  readonly stderr: Stream;
}

export type OutputMode = "table" | "json" | "quiet";

/** `--json` wins over `--quiet`. */
export function outputMode(options: { json: boolean; quiet: boolean }): OutputMode {
  return options.json ? "json" : options.quiet ? "quiet" : "table";
}

/** What is known of the surroundings when colour and letters are decided. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTTY: boolean;
}

/** `NO_COLOR` wins over `FORCE_COLOR`, which wins over what the stream is. */
export function wantsColor({ env, isTTY }: Surroundings): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== "0";
  return isTTY && env.TERM !== "dumb";
}

/** Whether the locale shows more than ASCII; the first variable that is set decides, as in C. */
export function wantsUnicode(env: Surroundings["env"]): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  return /utf-?8/i.test(locale);
}

/** The part of `Deno.stdout` and `Deno.stderr` that is used. */
export interface Writer {
  writeSync(bytes: Uint8Array): number;
  write(bytes: Uint8Array): Promise<number>;
  isTerminal(): boolean;
}

/** The streams of this process. `NO_COLOR=1` among `env` stands for `--no-color`. */
export function openTerminal(env: Surroundings["env"] = Deno.env.toObject()): Terminal {
  return { stdout: streamOf(Deno.stdout, env), stderr: streamOf(Deno.stderr, env) };
}

/** A stream that writes all of a text at once and goes quiet when its reader has left. */
export function streamOf(writer: Writer, env: Surroundings["env"]): Stream {
  const isTTY = writer.isTerminal();
  const encoder = new TextEncoder();
  let closed = false;
  return {
    isTTY,
    colors: pico.createColors(wantsColor({ env, isTTY })),
    unicode: wantsUnicode(env),
    get columns() {
      return sizeOf(isTTY).columns;
    },
    get rows() {
      return sizeOf(isTTY).rows;
    },
    write(text) {
      if (!closed) closed = !writeAll(writer, encoder.encode(text));
    },
    async send(bytes) {
      if (!closed) closed = !await sendAll(writer, bytes);
      return !closed;
    },
  };
}

/** The same terminal without colour, for `--no-color`. */
export function withoutColor({ stdout, stderr }: Terminal): Terminal {
  const plain = (stream: Stream): Stream =>
    Object.create(stream, { colors: { value: pico.createColors(false) } });
  return { stdout: plain(stdout), stderr: plain(stderr) };
}

function sizeOf(isTTY: boolean): { columns: number; rows: number } {
  const usual = { columns: 80, rows: 24 };
  if (!isTTY) return usual;
  try {
    const { columns, rows } = Deno.consoleSize();
    // Serial lines and `script` do not know their size, and say 0.
    return { columns: columns || usual.columns, rows: rows || usual.rows };
  } catch {
    // The terminal has gone away, or was never one on any of the three standard streams.
    return usual;
  }
}

/** How long to wait for a full pipe; a reader on the same machine empties it sooner or later. */
const retryMs = 5;

/** False if nobody reads any more (`wqx … | head`): the rest may be dropped without a word. */
function writeAll(writer: Writer, bytes: Uint8Array): boolean {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writer.writeSync(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return false;
      // Another holder of the same terminal or pipe (ssh, a Node program) made it non-blocking.
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMs);
    }
  }
  return true;
}

/** As {@link writeAll}, without holding up anything else. */
async function sendAll(writer: Writer, bytes: Uint8Array): Promise<boolean> {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += await writer.write(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return false;
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await delay(retryMs);
    }
  }
  return true;
}

/** A column of a table: numbers go to the right. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** A table without rules, as wide as its cells; lines end without blanks. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  colors: Colors,
): string {
  const none = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left"];
  const table = new Table({
    head: columns.map((column) => colors.bold(column.title)),
    colAligns: columns.map((column) => column.align ?? "left"),
    chars: Object.fromEntries(
      [...none, "bottom-right", "left", "left-mid", "mid", "mid-mid", "right", "right-mid"]
        .map((name) => [name, ""]).concat([["middle", "  "]]),
    ),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString().split("\n").map((line) => line.trimEnd() + "\n").join("");
}

/** The table that closes a run, a row a category; in JSON one object on one line. */
export function renderClosingTable(
  rows: readonly CategorySummary[],
  mode: OutputMode,
  stream: Stream,
): void {
  switch (mode) {
    case "quiet":
      return;
    case "json":
      return stream.write(JSON.stringify({ type: "summary", categories: rows }) + "\n");
    case "table": {
      // The last column is of no use where nothing has events.
      const count = closingColumns.length - (rows.some(hasEvents) ? 0 : 1);
      return stream.write(renderTable(
        closingColumns.slice(0, count),
        rows.map((row) => closingRow(row, stream).slice(0, count)),
        stream.colors,
      ));
    }
  }
}

function hasEvents({ eventsPerSecond }: CategorySummary): boolean {
  return eventsPerSecond !== null;
}

const closingColumns: readonly Column[] = [
  { title: "category" },
  { title: "tasks", align: "right" },
  { title: "retries", align: "right" },
  { title: "failed", align: "right" },
  { title: "wall time", align: "right" },
  { title: "CPU time", align: "right" },
  { title: "max memory", align: "right" },
  { title: "events/s", align: "right" },
];

function closingRow(row: CategorySummary, { colors, unicode }: Stream): string[] {
  const unknown = unicode ? "–" : "-";
  return [
    row.category,
    String(row.tasks),
    String(row.retries),
    row.failed > 0 ? colors.red(String(row.failed)) : "0",
    seconds(row.wallSeconds),
    row.cpuSeconds === null ? unknown : seconds(row.cpuSeconds),
    row.memoryMbMax === null ? unknown : formatSizeMb(row.memoryMbMax),
    row.eventsPerSecond === null ? unknown : formatShort(row.eventsPerSecond),
  ];
}

/** Below a minute the tenths matter: a demo takes seconds. */
function seconds(amount: number): string {
  return amount < 60 ? `${amount.toFixed(1)} s` : formatDuration(amount * 1000);
}
