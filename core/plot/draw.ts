/** The two kinds of pictures: steps along one axis, and a heat map over two. */
import type { Mark, Spec } from "vega";
import { type FigureAxis, type HeatFigure, palette, type StepsFigure } from "./figure.ts";
import {
  contentAxes,
  contentScale,
  guideLabels,
  linearLabels,
  positionAxes,
  positionScale,
  seriesLegend,
} from "./guides.ts";
import { fonts, type Frame, grey, ink, text } from "./look.ts";
import { contentRange, logTicks } from "./scale.ts";

/** The parts of a specification that depend on the kind of picture. */
export type Parts = Pick<Spec, "data" | "scales" | "axes" | "legends" | "marks">;

/** One or several outlines with error bars, filled if it is only one. */
export function steps(
  figure: StepsFigure,
  frame: Frame,
): Parts {
  const { x, series, log } = figure;
  const legend = seriesLegend(series.map((one) => one.name), frame);
  const range = contentRange(
    series.flatMap((one) => one.values),
    series.flatMap((one) => one.errors ?? one.values.map(() => 0)),
    log,
    0.06 + legend.height / frame.height,
  );
  const base = Math.max(range.low, log ? range.low : 0);
  const bound = (value: number) => Number.isFinite(value) ? Math.max(value, range.low) : base;
  // Series go by number: a name may hold what no attribute of an SVG can.
  const outline = series.flatMap((one, n) => [
    { n, x: x.edges[0]!, y: base },
    ...one.values.map((value, i) => ({ n, x: x.edges[i]!, y: bound(value) })),
    { n, x: x.edges.at(-1)!, y: bound(one.values.at(-1) ?? 0) },
    { n, x: x.edges.at(-1)!, y: base },
  ]);
  const bars = series.flatMap((one, n) =>
    one.values.flatMap((value, i) => {
      const error = one.errors?.[i] ?? 0;
      if (!(error > 0) || !Number.isFinite(value + error) || value + error <= range.low) return [];
      return [{
        n,
        x: middle(x, i),
        low: bound(value - error),
        high: bound(value + error),
      }];
    })
  );
  const single = series.length === 1;
  // Many bars side by side would hide what they belong to.
  const fine = x.edges.length > 250;
  const color = { scale: "color", field: "n" };
  return {
    data: [{ name: "outline", values: outline }, { name: "bars", values: bars }],
    scales: [
      positionScale("x", x, "width"),
      contentScale("y", range, log, "height"),
      {
        name: "color",
        type: "ordinal",
        domain: series.map((_, n) => n),
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
        from: { facet: { name: "one", data: "outline", groupby: "n" } },
        marks: [{
          type: "area",
          aria: false,
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
          aria: false,
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
        aria: false,
        from: { data: "bars" },
        encode: {
          enter: {
            x: { scale: "x", field: "x" },
            y: { scale: "y", field: "low" },
            y2: { scale: "y", field: "high" },
            stroke: single && !fine ? { value: ink } : color,
            strokeWidth: { value: fine ? 0.6 : 1.5 },
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

/** The middle of a bin as it is drawn. */
function middle({ edges, log }: FigureAxis, bin: number): number {
  const [low, high] = [edges[bin]!, edges[bin + 1]!];
  return log ? Math.sqrt(low) * Math.sqrt(high) : (low + high) / 2;
}

/** A rectangle for each filled cell, and a colour bar. */
export function heat(
  figure: HeatFigure,
  frame: Frame,
): Parts {
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
      labelOffset: 8,
      ...(log ? guideLabels(logTicks(range).major) : { tickCount: 6, ...linearLabels(range) }),
    }],
    marks: [{
      type: "rect",
      aria: false,
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
          strokeWidth: { value: 1.2 },
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
