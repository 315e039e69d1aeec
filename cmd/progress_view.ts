/**
 * A running job on a terminal (bars and a line on tasks), in a log file (a line now and then), or
 * for a program (JSON lines). Time comes with the data, so that the pace of drawing depends on
 * nothing else.
 */
import { stripVTControlCharacters } from "node:util";
import { createLogUpdate } from "log-update";
import type { Counted } from "../core/analysis/progress.ts";
import { unreachable } from "../core/errors.ts";
import { formatDuration, formatShort } from "../core/units.ts";
import type { RunView } from "../manager/crew.ts";
import type { OutputMode, Stream } from "./render.ts";

export type ProgressMode = "bars" | "lines" | "json" | "quiet";

/** What any state has that is shown again and again. */
export interface Shown {
  readonly phase: string;
  /** Since the start of the run. */
  readonly elapsedMs: number;
}

/**
 * `update` shows the state, unless it was shown a moment ago; a note is a line for people that
 * stays, above the bars or in its turn; nothing may follow `finish`.
 */
export interface ProgressView<P> extends RunView<P> {
  /** Writes something else to the same terminal: the bars make way. */
  aside(write: () => void): void;
}

/** How one kind of state looks. */
export interface Look<P> {
  readonly rows: readonly BarRow<P>[];
  /** Below the bars. */
  statusLine(progress: P, stream: Stream): string;
  /** Below that, for people who have the room. */
  detailLines?(progress: P): readonly string[];
  /** All of it on a line of its own. */
  plainLine(progress: P): string;
}

/** Bars on a terminal, lines elsewhere. */
export function progressMode(mode: OutputMode, stream: Stream): ProgressMode {
  if (mode !== "table") return mode;
  return stream.isTTY ? "bars" : "lines";
}

/** The eye sees no more than ten frames a second, and a slow link carries no more. */
const barsEveryMs = 100;
/** A log of two hours gets 720 lines. */
const linesEveryMs = 10_000;
const jsonEveryMs = 1_000;

export function createView<P extends Shown>(
  look: Look<P>,
  mode: ProgressMode,
  stream: Stream,
): ProgressView<P> {
  switch (mode) {
    case "bars":
      return barsView(look, stream);
    case "lines":
      return lineView<P>(stream, linesEveryMs, look.plainLine, (line) => line);
    case "json":
      return lineView<P>(
        stream,
        jsonEveryMs,
        (progress) => JSON.stringify({ type: "progress", ...progress }),
        (text) => JSON.stringify({ type: "note", text }),
      );
    case "quiet":
      return { update: () => {}, note: () => {}, finish: () => {}, aside: (write) => write() };
    default:
      return unreachable(mode);
  }
}

function lineView<P extends Shown>(
  stream: Stream,
  everyMs: number,
  lineOf: (progress: P) => string,
  noteOf: (text: string) => string,
): ProgressView<P> {
  const pace = new Pace(everyMs);
  let last = "";
  const write = (line: string) => {
    // The last state is often told twice, by update and by finish.
    if (line !== last) stream.write(line + "\n");
    last = line;
  };
  return {
    update(progress) {
      if (pace.isDue(progress)) write(lineOf(progress));
    },
    note: (text) => stream.write(noteOf(printable(text)) + "\n"),
    finish: (progress) => write(lineOf(progress)),
    aside: (write) => write(),
  };
}

function barsView<P extends Shown>(look: Look<P>, stream: Stream): ProgressView<P> {
  // The cursor is never hidden: then no way out, not even SIGKILL, can leave it so.
  const screen = createLogUpdate(asNodeStream(stream), { showCursor: true });
  const pace = new Pace(barsEveryMs);
  const bars = new Bars(look);
  let shown: readonly string[] = [];
  const draw = (progress: P) => {
    shown = bars.lines(progress, stream);
    screen(shown.join("\n"));
  };
  return {
    update(progress) {
      bars.observe(progress);
      if (pace.isDue(progress)) draw(progress);
    },
    note(line) {
      screen.persist(printable(line));
      if (shown.length > 0) screen(shown.join("\n"));
    },
    finish(progress) {
      bars.observe(progress);
      draw(progress);
      screen.done();
    },
    aside(write) {
      screen.clear();
      write();
      if (shown.length > 0) screen(shown.join("\n"));
    },
  };
}

/** log-update asks for a Node stream, and uses these of its members. */
function asNodeStream(stream: Stream): NodeJS.WriteStream {
  return stream as unknown as NodeJS.WriteStream;
}

/** Notes carry what tasks printed, which must not steer the terminal. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]/gu, "");
}

/** Lets a state through when the last is old enough, or belongs to another phase. */
class Pace {
  #lastMs = -Infinity;
  #phase = "";

  constructor(readonly everyMs: number) {}

  isDue({ elapsedMs, phase }: Shown): boolean {
    if (phase === this.#phase && elapsedMs - this.#lastMs < this.everyMs) return false;
    this.#lastMs = elapsedMs;
    this.#phase = phase;
    return true;
  }
}

/** A bar of a picture. */
export interface BarRow<P> {
  readonly title: string;
  /** What is counted, in the singular. */
  readonly unit: string;
  counted(progress: P): Counted;
  /** Where the state knows better than the bar how fast it moves, a second, and how long yet. */
  pace?(progress: P): { readonly rate: number; readonly leftMs: number | null };
}

/** Bars are as long as there is room for, up to this. */
const barWidthMax = 40;
/** Shorter ones say nothing: the counts are shortened first, then times and rates go. */
const barWidthMin = 10;

/** When each bar began and ended to move, from the states seen so far. */
class Bars<P extends Shown> {
  readonly #spans: { startMs: number; stopMs: number; done: number }[];

  constructor(private readonly look: Look<P>) {
    this.#spans = look.rows.map(() => ({ startMs: -1, stopMs: -1, done: 0 }));
  }

  observe(progress: P): void {
    for (const [i, row] of this.look.rows.entries()) {
      const span = this.#spans[i];
      if (span === undefined) continue;
      const { done, total } = row.counted(progress);
      const begun = done > 0 || (total !== null && total > 0);
      if (span.startMs < 0 && begun) span.startMs = progress.elapsedMs;
      if (done !== span.done || done !== total) span.stopMs = progress.elapsedMs;
      span.done = done;
    }
  }

  /** The bars and the line below them, none wider than the window. */
  lines(progress: P, stream: Stream): string[] {
    // A line that fills the last column makes some terminals wrap.
    const width = stream.columns - 1;
    const rows = this.look.rows.map((row, i) => this.#cells(row, i, progress));
    const short = rows.map((row) => ({ ...row, count: row.short }));
    const fits = ({ bar }: { bar: number }) => bar >= barWidthMin;
    const exact = layout(rows.map((row) => ({ ...row, count: row.exact })), width, true);
    const shorter = fits(exact) ? exact : layout(short, width, true);
    const { cells, bar } = fits(shorter) ? shorter : layout(short, width, false);
    return [
      ...cells.map((cell) => barLine(cell, bar, width, stream)),
      clip(this.look.statusLine(progress, stream), width),
      ...(this.look.detailLines?.(progress) ?? []).map((line) =>
        stream.colors.dim(clip(line, width))
      ),
    ];
  }

  #cells(row: BarRow<P>, i: number, progress: P): RowCells {
    const { done, total } = row.counted(progress);
    const span = this.#spans[i];
    const started = span !== undefined && span.startMs >= 0;
    const elapsedMs = started ? span.stopMs - span.startMs : 0;
    const missing = total === null ? null : total - done;
    const ownRate = elapsedMs > 0 ? done / (elapsedMs / 1000) : 0;
    const ownLeftMs = missing !== null && ownRate > 0 ? missing / ownRate * 1000 : null;
    const { rate, leftMs: left } = row.pace?.(progress) ?? { rate: ownRate, leftMs: ownLeftMs };
    const leftMs = missing === 0 ? 0 : left;
    return {
      title: row.title,
      part: total === null || total === 0 ? null : Math.min(1, done / total),
      exact: `${done}/${total ?? "?"}`,
      short: `${formatShort(done)}/${total === null ? "?" : formatShort(total)}`,
      elapsed: started ? formatDuration(elapsedMs) : "-",
      left: leftMs === null || !started ? "-" : formatDuration(leftMs),
      rate: `${formatShort(rate)} ${row.unit}/s`,
    };
  }
}

interface RowCells {
  readonly title: string;
  /** 0 to 1; `null` while the total is unknown. */
  readonly part: number | null;
  readonly exact: string;
  readonly short: string;
  readonly elapsed: string;
  readonly left: string;
  readonly rate: string;
}

interface LaidOut {
  readonly before: string;
  readonly part: number | null;
  readonly after: string;
}

/** Pads the cells so that they stand in columns, and leaves the rest of the width to the bar. */
function layout(
  rows: readonly (RowCells & { readonly count: string })[],
  width: number,
  withTimes: boolean,
): { cells: LaidOut[]; bar: number } {
  const widest = (cell: "title" | "count" | "elapsed" | "left" | "rate") =>
    Math.max(...rows.map((row) => row[cell].length));
  const cells = rows.map((row): LaidOut => {
    // Rounded down: 100% is said of what is complete only.
    const percent = row.part === null ? "-" : `${Math.floor(row.part * 100)}%`;
    const span = `${row.elapsed.padStart(widest("elapsed"))} < ${row.left.padEnd(widest("left"))}`;
    return {
      before: `${row.title.padStart(widest("title"))} ${percent.padStart(4)} `,
      part: row.part,
      after: ` ${row.count.padStart(widest("count"))}` +
        (withTimes ? ` [${span} | ${row.rate}]` : ""),
    };
  });
  const taken = Math.max(...cells.map(({ before, after }) => before.length + after.length));
  return { cells, bar: Math.min(barWidthMax, width - taken) };
}

function barLine({ before, part, after }: LaidOut, bar: number, width: number, stream: Stream) {
  if (bar < 1) return clip(before + after.trimStart(), width);
  const [full, empty] = stream.unicode ? ["━", "─"] : ["#", "."];
  const filled = Math.floor((part ?? 0) * bar);
  const { cyan, dim, green } = stream.colors;
  const paint = part === 1 ? green : cyan;
  return before + paint(full.repeat(filled)) + dim(empty.repeat(bar - filled)) + after;
}

/** Cuts a line that the window cannot show; one that is cut loses its colour. */
function clip(line: string, width: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= width ? line : plain.slice(0, Math.max(0, width));
}
