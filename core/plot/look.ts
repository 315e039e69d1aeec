/** Sizes, colours and texts that all pictures share. */
import type { Figure, FigureAxis } from "./figure.ts";

export const ink = "#1a1a1a";
export const grey = "#555555";
export const warning = "#c2185b";
export const font = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

/** Pixels; slides scale the picture, so only proportions matter. */
export const sizes = {
  "16:9": { width: 1280, height: 720 },
  "4:3": { width: 960, height: 720 },
} as const;
export const margin = { left: 132, right: 40, top: 92, bottom: 92 } as const;
/** To the right of a heat map, for the colour bar. */
export const barMargin = 170;
/** Sizes of letters in pixels, for a picture 720 pixels high. */
export const text = { title: 28, axis: 26, label: 22, note: 19 } as const;
/** From line to line of the legend; of these pixels Vega fills some by itself. */
export const legendRow = { height: 32, filled: 28 } as const;
/** Of letters in names, capitals and all, in units of their size. */
export const letterWidth = 0.62;
/** What Vega takes it for where it cannot measure. */
export const vegaLetterWidth = 0.8;

/** Longest name of a category that is written beside its axis. */
export const lettersMax = { bottom: 40, left: 16 } as const;
/** Degrees, rising to the right. */
export const slant = -25;
/** Pixels along a slanted name; longer ones are cut. */
export const slantedReach = 240;

/** The inside of the picture, and how far from it the titles of the axes stand. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly padding: { left: number; right: number; top: number; bottom: number };
  /** Names of categories along the bottom are slanted to find room. */
  readonly slanted: boolean;
}

/** The usual margins, and nothing else to leave room for. */
export function plainFrame(size: { width: number; height: number }): Frame {
  const width = size.width - margin.left - margin.right;
  const height = size.height - margin.top - margin.bottom;
  return { width, height, padding: { ...margin }, slanted: false };
}

/** Leaves room for long names of categories and for the colour bar. */
export function frameOf(figure: Figure, size: { width: number; height: number }): Frame {
  const letters = (axis: FigureAxis | null, side: "bottom" | "left") =>
    Math.min(lettersMax[side], Math.max(0, ...(axis?.names ?? []).map((name) => name.length)));
  const long = letters(figure.kind === "heat" ? figure.y : null, "left") * 0.55 * text.label;
  const left = margin.left + Math.max(0, long - 72);
  const right = figure.kind === "heat" ? barMargin : margin.right;
  const width = size.width - left - right;
  const below = letters(figure.x, "bottom") * 0.55 * text.label;
  const slanted = below + 8 > width / Math.max(1, figure.x.names?.length ?? 1);
  const reach = Math.min(below, slantedReach) * Math.sin(-slant * Math.PI / 180);
  const bottom = margin.bottom + (slanted ? reach : 0);
  const height = size.height - margin.top - bottom;
  return { width, height, padding: { left, right, top: margin.top, bottom }, slanted };
}

/** The look of a text mark. */
export function fonts(size: number, color: string): Record<string, { value: string | number }> {
  return { font: { value: font }, fontSize: { value: size }, fill: { value: color } };
}

/** The size, or as much smaller as the text needs to fit; letters are about half as wide as high. */
export function fitted(content: string, size: number, room: number): number {
  return Math.max(9, Math.min(size, room / (0.54 * Math.max(1, content.length))));
}

/** Without what XML cannot hold, and cut where it gets longer than anyone reads. */
export function clean(content: string, lettersMax = 160): string {
  // deno-lint-ignore no-control-regex -- control characters are what XML forbids
  const printable = content.toWellFormed().replace(/[\x00-\x1f\x7f\ufffe\uffff]+/g, " ").trim();
  const letters = [...printable];
  return letters.length <= lettersMax ? printable : `${letters.slice(0, lettersMax - 1).join("")}…`;
}
