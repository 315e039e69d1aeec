/** Pictures as SVG text: rendered by Vega, without a browser or a DOM. */
import type { Spec } from "vega";
import type { PlotOptions } from "../core/plot/figure.ts";
import { plotSpec } from "../core/plot/spec.ts";
import type { Hist } from "../core/histogram/hist.ts";

/** Settles when the picture before is done: Vega numbers the parts of a picture in one counter. */
let previous: Promise<unknown> = Promise.resolve();

/** The picture of a histogram, as {@link renderSpec} gives it. */
export function renderSvg(hist: Hist, options: PlotOptions = {}): Promise<string> {
  return renderSpec(plotSpec(hist, options));
}

/**
 * A picture, ready to be written to a file: no script, nothing from elsewhere, and the same text
 * for the same specification.
 */
export function renderSpec(spec: Spec): Promise<string> {
  const picture = previous.then(() => render(spec));
  previous = picture.catch(() => undefined);
  return picture;
}

async function render(spec: Spec): Promise<string> {
  // Only who draws pays for loading Vega: a worker that processes chunks does not.
  const { None, parse, resetSVGDefIds, View } = await import("vega");
  const view = new View(parse(spec), { renderer: "none", logLevel: None });
  try {
    resetSVGDefIds();
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
