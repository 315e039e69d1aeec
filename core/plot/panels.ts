/** Pictures of several panels above one another over the same time, in Vega's terms. */
import type { Axis, Data, GroupMark, Mark } from "vega";
import type { Panel, PanelSeries, PanelsFigure, Point, Stroke } from "./course.ts";
import type { Parts } from "./draw.ts";
import type { FigureAxis } from "./figure.ts";
import { contentAxes, contentScale, positionAxes, positionScale, seriesLegend } from "./guides.ts";
import type { Frame } from "./look.ts";
import { contentRange, type Range } from "./scale.ts";
import { frameMark } from "./spec.ts";

/** Pixels between two panels. */
const gap = 20;
/** Pixels of height for one labelled tick. */
const tickRoom = 75;
/** Up to 10,000 is written out. */
const plainDecades = 4;

/** One frame for each panel; the lowest has the labels of the time. */
export function panels(figure: PanelsFigure, frame: Frame): Parts {
  const free = frame.height - gap * (figure.panels.length - 1);
  const x: FigureAxis = { title: figure.xTitle, edges: [0, figure.xMax], names: null, log: false };
  let y = 0;
  const marks = figure.panels.map((panel, i) => {
    const height = panel.share * free;
    const isLowest = i === figure.panels.length - 1;
    const mark = panelMark(panel, x, { ...frame, height }, y, isLowest);
    y += height + gap;
    return mark;
  });
  return { scales: [positionScale("x", x, "width")], marks };
}

function panelMark(
  panel: Panel,
  x: FigureAxis,
  frame: Frame,
  top: number,
  isLowest: boolean,
): GroupMark {
  const { series, log } = panel;
  const names = panel.hasLegend ? series.map(({ name }) => name) : [""];
  const legend = seriesLegend(names, frame);
  const range = contentRange(
    series.flatMap(amountsIn),
    null,
    log,
    0.06 + legend.height / frame.height,
  );
  const timeAxes = positionAxes("bottom", "x", x, frame);
  const tickCount = Math.max(2, Math.round(frame.height / tickRoom));
  const amountAxes = contentAxes(range, log, panel.yTitle, frame, { tickCount, plainDecades });
  return {
    type: "group",
    // What scales of the panel call "height" is the panel's.
    signals: [{ name: "height", value: frame.height }],
    encode: {
      enter: {
        y: { value: top },
        width: { value: frame.width },
        height: { value: frame.height },
      },
    },
    scales: [
      contentScale("y", range, log, "height"),
      {
        name: "color",
        type: "ordinal",
        domain: series.map((_, n) => n),
        range: series.map(({ color }) => color),
      },
    ],
    axes: [
      ...isLowest ? timeAxes : timeAxes.map(withoutLabels),
      ...panel.whole ? amountAxes.map(onlyWhole) : amountAxes,
    ],
    ...legend.legend === null ? {} : { legends: [legend.legend] },
    data: [
      strokesOf("lines", series, range),
      strokesOf("dots", series, range),
      pointsOf("steps", series, range),
      pointsOf("crosses", series, range),
    ],
    marks: [
      pathMark("lines", { strokeWidth: { value: 2 } }),
      pathMark("dots", {
        strokeWidth: { value: 7 },
        strokeCap: { value: "round" },
        strokeOpacity: { value: 0.65 },
      }),
      pathMark("steps", {
        strokeWidth: { value: 2.5 },
        strokeDash: { field: "dash" },
        interpolate: { value: "step-after" },
      }),
      crossMark,
      frameMark(frame),
    ],
  };
}

function withoutLabels({ title: _title, ...axis }: Axis): Axis {
  return { ...axis, labels: false };
}

function onlyWhole(axis: Axis): Axis {
  return { ...axis, tickMinStep: 1 };
}

function amountsIn({ steps = [], lines = [], dots = [], crosses = [] }: PanelSeries): number[] {
  return [
    ...[...steps, ...crosses].map(({ y }) => y),
    ...[...lines, ...dots].flatMap(({ y, y2 }) => [y, y2]),
  ];
}

/** Where a logarithmic scale cannot go, its lowest end stands. */
function within(y: number, { low }: Range): number {
  return Math.max(y, low);
}

/** Two points for each stroke, and one that is not drawn, before the next begins. */
function strokesOf(kind: "lines" | "dots", series: readonly PanelSeries[], range: Range): Data {
  const ends = ({ x, x2, y, y2 }: Stroke, n: number) => [
    { n, x, y: within(y, range), isDrawn: true },
    { n, x: x2, y: within(y2, range), isDrawn: true },
    { n, x: x2, y: within(y2, range), isDrawn: false },
  ];
  const values = series.flatMap((one, n) => (one[kind] ?? []).flatMap((stroke) => ends(stroke, n)));
  return { name: kind, values };
}

function pointsOf(kind: "steps" | "crosses", series: readonly PanelSeries[], range: Range): Data {
  const values = series.flatMap((one, n) =>
    (one[kind] ?? []).map(({ x, y }: Point) => {
      const dash = one.isDashed === true ? [10, 8] : null;
      return { n, x, y: within(y, range), isDrawn: true, dash };
    })
  );
  return { name: kind, values };
}

const place = {
  x: { scale: "x", field: "x" },
  y: { scale: "y", field: "y" },
  stroke: { scale: "color", field: "n" },
} as const;

/** All of a series in one path: thousands of strokes stay small and quick. */
function pathMark(data: "lines" | "dots" | "steps", look: object): Mark {
  return {
    type: "group",
    from: { facet: { name: "one", data, groupby: "n" } },
    marks: [{
      type: "line",
      aria: false,
      from: { data: "one" },
      encode: { enter: { ...place, defined: { field: "isDrawn" }, ...look } },
    }],
  };
}

const crossMark: Mark = {
  type: "symbol",
  aria: false,
  from: { data: "crosses" },
  encode: {
    enter: {
      ...place,
      shape: { value: "M-1,-1L1,1M-1,1L1,-1" },
      size: { value: 40 },
      strokeWidth: { value: 3 },
    },
  },
};
