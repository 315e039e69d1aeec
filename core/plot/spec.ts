/**
 * The picture of a histogram as a Vega specification: plain data, which io/svg.ts renders.
 * Looks: a thin frame with ticks on all sides, titles at the ends of the axes, as in papers.
 */
import type { Mark, Spec } from "vega";
import type { Hist } from "../histogram/hist.ts";
import { heat, type Parts, steps } from "./draw.ts";
import { figureOf, type FigureText, type PlotOptions } from "./figure.ts";
import {
  barMargin,
  clean,
  fitted,
  font,
  fonts,
  type Frame,
  frameOf,
  grey,
  ink,
  margin,
  sizes,
  text,
  warning,
} from "./look.ts";

/** The specification of the picture. Never throws for a histogram, an empty one included. */
export function plotSpec(hist: Hist, options: PlotOptions = {}): Spec {
  const figure = figureOf(hist, options);
  const size = sizes[options.size ?? "16:9"];
  const frame = frameOf(figure, size);
  const isHeat = figure.kind === "heat";
  const parts = isHeat ? heat(figure, frame) : steps(figure, frame);
  return pictureSpec(figure, frame, {
    ...parts,
    marks: [...(parts.marks ?? []), frameMark(frame)],
  }, isHeat);
}

/** Headings, letters and colours that all pictures share, around what is in the frame. */
export function pictureSpec(
  heading: FigureText,
  frame: Frame,
  parts: Parts,
  isHeat = false,
): Spec {
  return {
    $schema: "https://vega.github.io/schema/vega/v6.json",
    description: clean(heading.title),
    width: frame.width,
    height: frame.height,
    padding: frame.padding,
    autosize: "none",
    background: "white",
    config: {
      axis: {
        domain: false,
        labelLimit: 0,
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
    marks: [...(parts.marks ?? []), ...headings(heading, frame, isHeat)],
  };
}

export function frameMark({ width, height }: Pick<Frame, "width" | "height">): Mark {
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
function headings(figure: FigureText, frame: Frame, heat: boolean): Mark[] {
  const { width, height } = frame;
  const end = width + (heat ? barMargin - margin.right : 0);
  const atEnd = (x: number) => ({ x: { value: x }, align: { value: "right" } });
  const first = { y: { value: -48 } };
  const second = { y: { value: -14 } };
  const bold = { fontWeight: { value: "bold" } };
  const marks: Mark[] = [];
  const line = (content: string, size: number, color: string, look: object, room = Infinity) => {
    const shown = clean(content);
    const whole = { ...fonts(fitted(shown, size, room), color), ...look };
    if (shown !== "") {
      marks.push({ type: "text", encode: { enter: { ...whole, text: { value: shown } } } });
    }
    return 0.54 * size * shown.length + 24;
  };
  let taken = 0;
  if (figure.partial !== null) {
    line("PARTIAL", width / 5.5, heat ? "white" : warning, {
      ...bold,
      x: { value: width / 2 },
      y: { value: height / 2 },
      angle: { value: -20 },
      align: { value: "center" },
      baseline: { value: "middle" },
      opacity: { value: heat ? 0.5 : 0.13 },
      ...(heat ? { stroke: { value: warning }, strokeWidth: { value: 2 } } : {}),
    });
    taken = line(
      figure.partial,
      text.note,
      warning,
      { ...bold, ...atEnd(end), ...first },
      end * 0.6,
    );
  }
  line(figure.title, text.title, ink, { ...bold, ...first }, end - taken);
  taken = line(figure.counts.join(" · "), text.note, ink, { ...atEnd(width), ...second });
  line(figure.remarks.join(" · "), text.note, grey, second, width - taken);
  return marks;
}
