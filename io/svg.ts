/** Pictures of histograms as SVG text: rendered by Vega, without a browser or a DOM. */
import type { PlotOptions } from "../core/plot/figure.ts";
import { plotSpec } from "../core/plot/spec.ts";
import type { Hist } from "../core/histogram/hist.ts";

/** Settles when the picture before is done: Vega numbers the parts of a picture in one counter. */
let previous: Promise<unknown> = Promise.resolve();

/**
 * The picture of a histogram, ready to be written to a file: no script, nothing from elsewhere, and
 * the same text for the same histogram.
 */
export function renderSvg(hist: Hist, options: PlotOptions = {}): Promise<string> {
  const picture = previous.then(() => render(hist, options));
  previous = picture.catch(() => undefined);
  return picture;
}

async function render(hist: Hist, options: PlotOptions): Promise<string> {
  // Only who draws pays for loading Vega: a worker that processes chunks does not.
  const { None, parse, resetSVGDefIds, View } = await import("vega");
  const view = new View(parse(plotSpec(hist, options)), { renderer: "none", logLevel: None });
  try {
    resetSVGDefIds();
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
