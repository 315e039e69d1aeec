/**
 * The picture of a histogram as a Vega specification: plain data, which io/svg.ts renders.
 * Looks: a thin frame with ticks on all sides, titles at the ends of the axes, as in papers.
 */
import type { Axis, Legend, Mark, Scale, Spec } from "vega";
import type { Hist } from "../histogram/hist.ts";
import {
  type Figure,
  type FigureAxis,
  figureOf,
  type HeatFigure,
  palette,
  type PlotOptions,
  type Series,
  type StepsFigure,
} from "./figure.ts";
import { contentRange, linearFormat, logTicks, type Range } from "./scale.ts";

const ink = "#1a1a1a";
const grey = "#555555";
const warning = "#c2185b";
const font = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

/** Pixels; slides scale the picture, so only proportions matter. */
const sizes = { "16:9": { width: 1280, height: 720 }, "4:3": { width: 960, height: 720 } } as const;
const margin = { left: 118, right: 40, top: 92, bottom: 88 } as const;
/** To the right of a heat map, for the colour bar. */
const barMargin = 170;
const text = { title: 28, axis: 26, label: 22, note: 19 } as const;
const legendRow = 30;
/** Vega takes letters for this wide, in units of the size, where it cannot measure them. */
const letterWidth = 0.8;

interface Frame {
  readonly width: number;
  readonly height: number;
}

/** The specification of the picture. Never throws for a histogram, an empty one included. */
export function plotSpec(hist: Hist, options: PlotOptions = {}): Spec {
  const figure = figureOf(hist, options);
  const size = sizes[options.size ?? "16:9"];
  const right = figure.kind === "heat" ? barMargin : margin.right;
  const frame = {
    width: size.width - margin.left - right,
    height: size.height - margin.top - margin.bottom,
  };
  const parts = figure.kind === "heat" ? heat(figure, frame) : steps(figure, frame);
  return {
    $schema: "https://vega.github.io/schema/vega/v6.json",
    description: clean(figure.title),
    ...frame,
    padding: { ...margin, right },
    autosize: "none",
    background: "white",
    config: {
      axis: {
        domain: false,
        tickColor: ink,
        labelColor: ink,
        labelFont: font,
        labelFontSize: text.label,
        titleColor: ink,
        titleFont: font,
        titleFontSize: text.axis,
        titleFontWeight: "normal",
        titleAnchor: "end",
      },
      legend: { labelFont: font, labelFontSize: text.label, labelColor: ink, labelLimit: 0 },
    },
    ...parts,
    marks: [...(parts.marks ?? []), frameMark(frame), ...headings(figure, frame, right)],
  };
}

function steps(
  figure: StepsFigure,
  frame: Frame,
): Pick<Spec, "data" | "scales" | "axes" | "legends" | "marks"> {
  const { x, series, log } = figure;
  const legend = seriesLegend(series, frame);
  const range = contentRange(
    series.flatMap((one) => one.values),
    series.flatMap((one) => one.errors ?? one.values.map(() => 0)),
    log,
    0.06 + legend.height / frame.height,
  );
  const base = Math.max(range.low, log ? range.low : 0);
  const bound = (value: number) => Number.isFinite(value) ? Math.max(value, range.low) : base;
  const outline = series.flatMap((one) => [
    { name: one.name, x: x.edges[0]!, y: base },
    ...one.values.map((value, i) => ({ name: one.name, x: x.edges[i]!, y: bound(value) })),
    { name: one.name, x: x.edges.at(-1)!, y: bound(one.values.at(-1) ?? 0) },
    { name: one.name, x: x.edges.at(-1)!, y: base },
  ]);
  const bars = series.flatMap((one) =>
    one.values.flatMap((value, i) => {
      const error = one.errors?.[i] ?? 0;
      if (!(error > 0) || !Number.isFinite(value + error) || value + error <= range.low) return [];
      return [{
        name: one.name,
        x: (x.edges[i]! + x.edges[i + 1]!) / 2,
        low: bound(value - error),
        high: bound(value + error),
      }];
    })
  );
  const single = series.length === 1;
  const color = { scale: "color", field: "name" };
  return {
    data: [{ name: "outline", values: outline }, { name: "bars", values: bars }],
    scales: [
      positionScale("x", x, "width"),
      contentScale("y", range, log, "height"),
      {
        name: "color",
        type: "ordinal",
        domain: series.map((one) => one.name),
        range: [...palette],
      },
    ],
    axes: [
      ...positionAxes("bottom", "x", x, frame),
      ...contentAxes(range, log, figure.yTitle, frame),
    ],
    ...(legend.legend === null ? {} : { legends: [legend.legend] }),
    marks: [
      {
        type: "group",
        from: { facet: { name: "one", data: "outline", groupby: "name" } },
        marks: [{
          type: "area",
          from: { data: "one" },
          encode: {
            enter: {
              x: { scale: "x", field: "x" },
              y: { scale: "y", field: "y" },
              y2: { scale: "y", value: base },
              interpolate: { value: "step-after" },
              fill: color,
              fillOpacity: { value: single ? 0.25 : 0 },
            },
          },
        }, {
          type: "line",
          from: { data: "one" },
          encode: {
            enter: {
              x: { scale: "x", field: "x" },
              y: { scale: "y", field: "y" },
              interpolate: { value: "step-after" },
              stroke: color,
              strokeWidth: { value: 2.5 },
              strokeJoin: { value: "miter" },
            },
          },
        }],
      },
      {
        type: "rule",
        from: { data: "bars" },
        encode: {
          enter: {
            x: { scale: "x", field: "x" },
            y: { scale: "y", field: "low" },
            y2: { scale: "y", field: "high" },
            stroke: single ? { value: ink } : color,
            strokeWidth: { value: 1.5 },
          },
        },
      },
      ...(range.low < 0
        ? [
          {
            type: "rule",
            encode: {
              enter: {
                x: { value: 0 },
                x2: { value: frame.width },
                y: { scale: "y", value: 0 },
                stroke: { value: grey },
                strokeDash: { value: [4, 4] },
              },
            },
          } satisfies Mark,
        ]
        : []),
    ],
  };
}

/** In the top right corner of the frame, where `contentRange` keeps room for it. */
function seriesLegend(
  series: readonly Series[],
  frame: Frame,
): { legend: Legend | null; height: number } {
  if (series.every((one) => one.name === "")) return { legend: null, height: 0 };
  const names = series.map((one) => clean(one.name || "(empty)", 40));
  const longest = Math.max(...names.map((name) => name.length));
  const column = longest * letterWidth * text.label + 60;
  const columns = Math.max(1, Math.min(series.length, 5, Math.floor(frame.width / column)));
  const rows = Math.ceil(series.length / columns);
  return {
    height: rows * legendRow + 12,
    legend: {
      type: "symbol",
      stroke: "color",
      symbolType: "stroke",
      symbolSize: 900,
      symbolStrokeWidth: 4,
      orient: "none",
      legendX: Math.max(8, frame.width - columns * column),
      legendY: 12,
      columns,
      gridAlign: "all",
      rowPadding: legendRow - text.label,
      columnPadding: 20,
      encode: {
        labels: {
          update: { text: { signal: `${JSON.stringify(names)}[datum.index]` } },
        },
      },
    },
  };
}

function heat(
  figure: HeatFigure,
  frame: Frame,
): Pick<Spec, "data" | "scales" | "axes" | "legends" | "marks"> {
  const { x, y, cells, log } = figure;
  const rows = y.edges.length - 1;
  const range = contentRange(cells, null, log, 0);
  const filled = cells.flatMap((value, k) => {
    if (!Number.isFinite(value) || value === 0 || (log && value < 0)) return [];
    const [i, j] = [Math.floor(k / rows), k % rows];
    return [{ x: x.edges[i], x2: x.edges[i + 1], y: y.edges[j], y2: y.edges[j + 1], value }];
  });
  const color = { scale: "color", field: "value" };
  return {
    data: [{ name: "cells", values: filled }],
    scales: [
      positionScale("x", x, "width"),
      positionScale("y", y, "height"),
      {
        name: "color",
        type: log ? "log" : "linear",
        domain: [range.low, range.high],
        range: { scheme: "viridis" },
      },
    ],
    axes: [
      ...positionAxes("bottom", "x", x, frame),
      ...positionAxes("left", "y", y, frame),
    ],
    legends: [{
      type: "gradient",
      fill: "color",
      orient: "none",
      legendX: frame.width + 24,
      legendY: 0,
      direction: "vertical",
      gradientLength: frame.height,
      gradientThickness: 26,
      ...(log ? logLegend(range) : { format: linearFormat(range), tickCount: 6 }),
    }],
    marks: [{
      type: "rect",
      from: { data: "cells" },
      encode: {
        enter: {
          x: { scale: "x", field: "x" },
          x2: { scale: "x", field: "x2" },
          y: { scale: "y", field: "y" },
          y2: { scale: "y", field: "y2" },
          fill: color,
          // Closes the hairlines that renderers leave between neighbours.
          stroke: color,
          strokeWidth: { value: 0.6 },
        },
      },
    }, {
      type: "text",
      encode: {
        enter: {
          ...fonts(text.note, grey),
          text: { value: figure.zTitle },
          x: { value: frame.width + 24 },
          y: { value: -12 },
        },
      },
    }],
  };
}

function positionScale(name: string, axis: FigureAxis, range: "width" | "height"): Scale {
  return {
    name,
    type: "linear",
    domain: [axis.edges[0] ?? 0, axis.edges.at(-1) || 1],
    range,
    nice: false,
    zero: false,
  };
}

function contentScale(name: string, range: Range, log: boolean, extent: "height"): Scale {
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

const titleSpot = { bottom: { titleY: 62 }, left: { titleX: -92 } } as const;

function positionAxes(side: Side, scale: string, axis: FigureAxis, frame: Frame): Axis[] {
  const title = { title: clean(axis.title, 60), ...titleSpot[side] };
  if (axis.names !== null) return nameAxes(side, scale, axis.names, title, frame);
  const count = side === "bottom" ? 8 : 6;
  return [
    ...minorTicks(side, scale, { tickCount: count * 5 }),
    ...ticksBothSides(side, scale, { tickCount: count, labelFlush: false, ...title }),
  ];
}

/** Names in the middle of their bins, as many as there is room for, slanted if they are long. */
function nameAxes(
  side: Side,
  scale: string,
  names: readonly string[],
  title: Partial<Axis>,
  frame: Frame,
): Axis[] {
  const room = (side === "bottom" ? frame.width : frame.height) / Math.max(1, names.length);
  const step = Math.max(1, Math.ceil((text.label + 4) / room));
  const letters = Math.max(...names.map((name) => name.length), 1);
  const slanted = side === "bottom" && letters * letterWidth * text.label > room;
  const shown = names.map((name) => clean(name || "(empty)", side === "left" || slanted ? 9 : 40));
  const values = names.flatMap((_, i) => i % step === 0 ? [i + 0.5] : []);
  return ticksBothSides(side, scale, {
    values,
    ...title,
    ...(slanted ? { labelAngle: -25, labelAlign: "right", labelBaseline: "middle" } : {}),
    encode: {
      labels: { update: { text: { signal: `${JSON.stringify(shown)}[floor(datum.value)]` } } },
    },
  });
}

function contentAxes(range: Range, log: boolean, title: string, _frame: Frame): Axis[] {
  const named = { title: clean(title, 40), ...titleSpot.left };
  if (!log) {
    return [
      ...minorTicks("left", "y", { tickCount: 30 }),
      ...ticksBothSides("left", "y", { tickCount: 6, format: linearFormat(range), ...named }),
    ];
  }
  const { major, minor } = logTicks(range);
  return [
    ...minorTicks("left", "y", { values: minor }),
    ...ticksBothSides("left", "y", { ...logLabels(major), ...named }),
  ];
}

/** Labels of given ticks, which Vega looks up by value. */
function logLabels(ticks: readonly { value: number; label: string }[]): Partial<Axis> {
  const byValue = Object.fromEntries(ticks.map(({ value, label }) => [String(value), label]));
  return {
    values: ticks.map((tick) => tick.value),
    encode: {
      labels: { update: { text: { signal: `${JSON.stringify(byValue)}[datum.value]` } } },
    },
  };
}

function logLegend(range: Range): Partial<Legend> {
  const { values, encode } = logLabels(logTicks(range).major);
  return { values, encode } as Partial<Legend>;
}

function frameMark({ width, height }: Frame): Mark {
  return {
    type: "rect",
    encode: {
      enter: {
        x: { value: 0 },
        y: { value: 0 },
        width: { value: width },
        height: { value: height },
        stroke: { value: ink },
        strokeWidth: { value: 1.6 },
      },
    },
  };
}

/** Title and remarks above the frame; across it, if the result is partial, a word to say so. */
function headings(figure: Figure, frame: Frame, right: number): Mark[] {
  const counts = figure.counts.join(" · ");
  const remarks = figure.remarks.join(" · ");
  const line = (content: string, place: object, look: object): Mark => ({
    type: "text",
    encode: { enter: { ...look, ...place, text: { value: clean(content) } } },
  });
  const end = frame.width + (figure.kind === "heat" ? right - margin.right : 0);
  const top = { y: { value: -48 } };
  const below = { y: { value: -14 } };
  const atEnd = {
    x: { value: figure.kind === "heat" ? frame.width : end },
    align: { value: "right" },
  };
  const marks = [
    line(figure.title, { x: { value: 0 }, ...top }, {
      ...fonts(fitted(figure.title, text.title, end), ink),
      fontWeight: { value: "bold" },
    }),
    line(counts, { ...atEnd, ...below }, fonts(text.note, ink)),
  ];
  const room = frame.width - counts.length * 0.5 * text.note - 20;
  if (remarks !== "") {
    marks.push(line(remarks, below, fonts(fitted(remarks, text.note, room), grey)));
  }
  if (figure.partial === null) return marks;
  return [
    line("PARTIAL", {
      x: { value: frame.width / 2 },
      y: { value: frame.height / 2 },
      angle: { value: -20 },
      align: { value: "center" },
      baseline: { value: "middle" },
      opacity: { value: 0.13 },
    }, { ...fonts(frame.width / 5.5, warning), fontWeight: { value: "bold" } }),
    ...marks,
    line(figure.partial, { x: { value: end }, align: { value: "right" }, y: { value: -76 } }, {
      ...fonts(fitted(figure.partial, text.note, end), warning),
      fontWeight: { value: "bold" },
    }),
  ];
}

function fonts(size: number, color: string): Record<string, { value: string | number }> {
  return { font: { value: font }, fontSize: { value: size }, fill: { value: color } };
}

/** The size, or as much smaller as the text needs to fit; letters are about half as wide as high. */
function fitted(content: string, size: number, room: number): number {
  return Math.max(9, Math.min(size, room / (0.54 * Math.max(1, content.length))));
}

/** Without what XML cannot hold, and cut where it gets longer than anyone reads. */
function clean(content: string, lettersMax = 160): string {
  // deno-lint-ignore no-control-regex -- control characters are what XML forbids
  const printable = content.toWellFormed().replace(/[\x00-\x1f\x7f\ufffe\uffff]+/g, " ").trim();
  const letters = [...printable];
  return letters.length <= lettersMax ? printable : `${letters.slice(0, lettersMax - 1).join("")}…`;
}
