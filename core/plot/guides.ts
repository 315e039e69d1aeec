/** Scales, axes and labels of pictures, in Vega's terms. */
import type { Axis, Legend, Scale } from "vega";
import type { FigureAxis } from "./figure.ts";
import {
  clean,
  type Frame,
  legendRow,
  lettersMax,
  letterWidth,
  slant,
  slantedReach,
  text,
  vegaLetterWidth,
} from "./look.ts";
import { linearFormat, logTicks, type Range } from "./scale.ts";

/** Along an axis of the histogram. */
export function positionScale(name: string, axis: FigureAxis, range: "width" | "height"): Scale {
  return {
    name,
    type: axis.log ? "log" : "linear",
    domain: [axis.edges[0] ?? 0, axis.edges.at(-1) || 1],
    range,
    nice: false,
    zero: false,
  };
}

/** Along the contents of the bins. */
export function contentScale(name: string, range: Range, log: boolean, extent: "height"): Scale {
  return {
    name,
    type: log ? "log" : "linear",
    domain: [range.low, range.high],
    range: extent,
    nice: false,
    zero: false,
  };
}

type Side = "bottom" | "left";
const opposite = { bottom: "top", left: "right" } as const;

/** Ticks point into the frame, on both sides; labels and title are on one. */
function ticksBothSides(side: Side, scale: string, labelled: Partial<Axis>): Axis[] {
  const { labels: _labels, title: _title, encode: _encode, ...ticks } = labelled;
  const inward = { scale, tickSize: -10, tickWidth: 1.4 };
  return [
    { orient: side, ...inward, labelPadding: 18, ...labelled } as Axis,
    { orient: opposite[side], ...inward, ...ticks, labels: false } as Axis,
  ];
}

function minorTicks(side: Side, scale: string, ticks: Partial<Axis>): Axis[] {
  return ([side, opposite[side]] as const).map((orient) => ({
    orient,
    scale,
    labels: false,
    tickSize: -5,
    tickWidth: 1,
    ...ticks,
  } as Axis));
}

/** Where the title of an axis stands, at the edge of the picture. */
function axisTitle(side: Side, title: string, { padding }: Frame): Partial<Axis> {
  const spot = side === "bottom" ? { titleY: padding.bottom - 36 } : { titleX: 34 - padding.left };
  return { title: clean(title, side === "bottom" ? 60 : 40), ...spot };
}

/** Both sides of the frame across an axis of the histogram. */
export function positionAxes(side: Side, scale: string, axis: FigureAxis, frame: Frame): Axis[] {
  const title = axisTitle(side, axis.title, frame);
  if (axis.names !== null) return nameAxes(side, scale, axis.names, title, frame);
  const range = { low: axis.edges[0]!, high: axis.edges.at(-1)! };
  // On less than a decade, round numbers tell more than powers.
  if (axis.log && range.high / range.low >= 10) {
    const plainDecades = range.low >= 1e-3 && range.high < 1e4 ? 3 : 1;
    return logAxes(side, scale, logTicks(range, plainDecades), title);
  }
  const count = side === "bottom" ? 8 : 6;
  return [
    ...minorTicks(side, scale, { tickCount: count * 5 }),
    ...ticksBothSides(side, scale, { tickCount: count, ...title }),
  ];
}

/** Names in the middle of their bins, as many as there is room for. */
function nameAxes(
  side: Side,
  scale: string,
  names: readonly string[],
  title: Partial<Axis>,
  frame: Frame,
): Axis[] {
  const bottom = side === "bottom";
  const room = (bottom ? frame.width : frame.height) / Math.max(1, names.length);
  const step = Math.max(1, Math.ceil((text.label + 4) / room));
  const slanted = bottom && frame.slanted;
  const letters = slanted ? Math.floor(slantedReach / (0.55 * text.label)) : lettersMax[side];
  const shown = names.map((name) => clean(name || "(empty)", letters));
  return [{
    orient: side,
    scale,
    ticks: false,
    labelPadding: 12,
    values: names.flatMap((_, i) => i % step === 0 ? [i + 0.5] : []),
    ...title,
    ...(slanted ? { labelAngle: slant, labelAlign: "right", labelBaseline: "middle" } : {}),
    ...labelText(`${JSON.stringify(shown)}[floor(datum.value)]`),
  }];
}

/** Both sides of the frame along the contents. */
export function contentAxes(
  range: Range,
  log: boolean,
  title: string,
  frame: Frame,
  look: { readonly tickCount?: number; readonly plainDecades?: number } = {},
): Axis[] {
  const named = axisTitle("left", title, frame);
  if (!log) {
    const { tickCount = 6 } = look;
    return [
      ...minorTicks("left", "y", { tickCount: 5 * tickCount }),
      ...ticksBothSides("left", "y", { tickCount, ...linearLabels(range), ...named }),
    ];
  }
  return logAxes("left", "y", logTicks(range, look.plainDecades), named);
}

function logAxes(
  side: Side,
  scale: string,
  { major, minor }: ReturnType<typeof logTicks>,
  title: Partial<Axis>,
): Axis[] {
  return [
    ...minorTicks(side, scale, { values: minor }),
    ...ticksBothSides(side, scale, { ...guideLabels(major), ...title }),
  ];
}

/**
 * In the top right corner of the frame, where `contentRange` keeps room for it; of the colours of
 * the scale `color`, whose domain are the numbers of the names.
 */
export function seriesLegend(
  given: readonly string[],
  frame: Frame,
): { legend: Legend | null; height: number } {
  if (given.every((name) => name === "")) return { legend: null, height: 0 };
  const names = given.map((name) => clean(name || "(empty)", 40));
  const longest = Math.max(...names.map((name) => name.length));
  const column = longest * vegaLetterWidth * text.label + 64;
  // What Vega reserves for the last column and its names do not need.
  const surplus = longest * (vegaLetterWidth - letterWidth) * text.label;
  const room = frame.width + surplus;
  const columns = Math.max(1, Math.min(names.length, 5, Math.floor(room / column)));
  const rows = Math.ceil(names.length / columns);
  return {
    height: rows * legendRow.height + 12,
    legend: {
      type: "symbol",
      aria: false,
      stroke: "color",
      symbolType: "stroke",
      symbolSize: 900,
      symbolStrokeWidth: 4,
      orient: "none",
      legendX: Math.max(8, room - columns * column),
      legendY: 12,
      direction: "horizontal",
      columns,
      gridAlign: "all",
      rowPadding: legendRow.height - legendRow.filled,
      columnPadding: 20,
      ...labelText(`${JSON.stringify(names)}[datum.index]`),
    },
  };
}

/** What an axis and a legend have in common here. */
type GuideLabels = Pick<Axis & Legend, "values" | "encode">;

/** Labels of given ticks, which Vega looks up by value. */
export function guideLabels(ticks: readonly { value: number; label: string }[]): GuideLabels {
  const byValue = Object.fromEntries(ticks.map(({ value, label }) => [String(value), label]));
  return {
    values: ticks.map((tick) => tick.value),
    ...labelText(`${JSON.stringify(byValue)}[datum.value]`),
  };
}

/** Labels of whatever ticks Vega chooses on a linear scale. */
export function linearLabels(range: Range): Pick<GuideLabels, "encode"> {
  const format = linearFormat(range);
  // Not as the guide's own format, which writes zero as "0k".
  return format === null ? {} : labelText(`format(datum.value, "${format}")`);
}

/** Labels as an expression of Vega computes them. */
export function labelText(signal: string): Pick<GuideLabels, "encode"> {
  return { encode: { labels: { update: { text: { signal } } } } };
}
