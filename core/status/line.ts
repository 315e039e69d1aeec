/** Lines of styled text that know how wide they are on a terminal. */
import stringWidth from "string-width";

export type Style = "bold" | "dim" | "inverse" | "red" | "green" | "yellow" | "cyan";

export interface Span {
  readonly text: string;
  readonly style?: Style;
}

export type Line = readonly Span[];

export interface LineLook {
  /** False where only ASCII is safe. */
  readonly unicode: boolean;
}

/** Columns of a terminal; a Chinese letter takes two. */
export function textWidth(text: string): number {
  return isAscii(text) ? text.length : stringWidth(text);
}

/** Nearly all text is, and counting is then free. */
function isAscii(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

/** Cut or filled up with blanks to exactly this width; what is cut ends in a mark. */
export function padded(
  text: string,
  width: number,
  align: "left" | "right",
  look: LineLook,
): string {
  const cut = cutTo(plain(text, look), width, look);
  const blanks = " ".repeat(Math.max(0, width - textWidth(cut)));
  return align === "left" ? cut + blanks : blanks + cut;
}

/** The spans, as far as there is room; `end` stands at the right edge if there is room for it. */
export function lineOf(spans: readonly Span[], width: number, look: LineLook, end?: Span): Line {
  const line: Span[] = [];
  let left = width;
  for (const span of spans) {
    const text = plain(span.text, look);
    const cut = cutTo(text, left, look);
    if (cut !== "") line.push({ ...span, text: cut });
    left -= textWidth(cut);
    if (cut !== text) break;
  }
  if (end === undefined || left <= textWidth(end.text)) return line;
  return [...line, { text: " ".repeat(left - textWidth(end.text)) }, end];
}

/** Where only ASCII is safe, what is not is shown as `?`. */
function plain(text: string, { unicode }: LineLook): string {
  return unicode || isAscii(text) ? text : text.replace(/[^ -~]/gu, "?");
}

function cutTo(text: string, width: number, { unicode }: LineLook): string {
  if (textWidth(text) <= width) return text;
  if (width < 1) return "";
  const mark = unicode ? "…" : "~";
  let cut = "";
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const wide = textWidth(segment);
    if (used + wide > width - 1) break;
    cut += segment;
    used += wide;
  }
  return cut + mark;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Cut at blanks into lines of at most this width. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (textWidth(longer) <= width || line === "") line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return line === "" ? lines : [...lines, line];
}
