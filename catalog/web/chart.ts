/**
 * The course of a manager as pictures drawn on the server: they need no script, and a new point
 * is a new picture. Labels stand beside the drawing, so that it stretches and they do not.
 */
import { html } from "hono/html";
import type { SeriesPoint } from "../view.ts";
import { grouped, type Html, nothing, span } from "./layout.ts";

/** More points than a screen has room for are thinned. */
const pointsMax = 400;
/** Rows of the table that says the same. */
const tableRowsMax = 24;
const width = 1000;
const height = 100;

interface Line {
  readonly title: string;
  /** Of the style sheet: its colour. */
  readonly look: "waiting" | "running" | "done" | "workers";
  of(point: SeriesPoint): number;
}

const waiting: Line = { title: "waiting", look: "waiting", of: (point) => point.waiting };
const running: Line = { title: "running", look: "running", of: (point) => point.running };
const done: Line = { title: "done", look: "done", of: (point) => point.done };
const workers: Line = { title: "workers", look: "workers", of: (point) => point.workers };

/** All tasks by what became of them, and below what is at work now. */
export function courseMarkup(series: readonly SeriesPoint[]): Html {
  const points = thinned(series, pointsMax);
  if (points.length < 2) {
    return html`
      <p
        class="note">The picture begins with the manager's next report; they come about once a minute.</p>
    `;
  }
  return html`<div class="charts">${figure("All tasks", points, [done, running, waiting], true)}${
    figure("At work", points, [running, workers], false)
  }</div>${table(points)}`;
}

function figure(
  title: string,
  points: readonly SeriesPoint[],
  lines: readonly Line[],
  stacked: boolean,
): Html {
  const first = points[0]!;
  const last = points.at(-1)!;
  const spanMs = Math.max(1, last.atMs - first.atMs);
  // Stacked: each line stands on the sum of those before it.
  const heights = lines.map((_, i) =>
    points.map((point) =>
      stacked
        ? lines.slice(0, i + 1).reduce((sum, line) => sum + Math.max(0, line.of(point)), 0)
        : Math.max(0, lines[i]!.of(point))
    )
  );
  const { top, ticks } = scaleOf(heights.flat().reduce((most, one) => Math.max(most, one), 0));
  const x = (point: SeriesPoint) => ((point.atMs - first.atMs) / spanMs * width).toFixed(1);
  const y = (amount: number) => (height - amount / top * height).toFixed(2);
  const path = (amounts: readonly number[]) =>
    points.map((point, i) => `${i === 0 ? "M" : "L"}${x(point)} ${y(amounts[i]!)}`).join("");
  // From the line back along the one that it stands on.
  const band = (i: number) => {
    const below = heights[i - 1] ?? points.map(() => 0);
    const back = points.map((point, at) => `L${x(point)} ${y(below[at]!)}`).toReversed().join("");
    return `${path(heights[i]!)}${back}Z`;
  };
  const now = lines.toReversed().map((line) => `${grouped(line.of(last))} ${line.title}`);
  return html`
    <figure class="chart">
      <figcaption><strong>${title}</strong>${lines.toReversed().map((line) =>
        html`
          <span
            class="key ${line
              .look}"><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2"/></svg>${grouped(
                line.of(last),
              )} ${line.title}</span>
        `
      )}</figcaption>
      <div class="plot">
        <div class="y" aria-hidden="true">${ticks.toReversed().map((tick) =>
          html`<span>${grouped(tick)}</span>`
        )}</div>
        <svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img"
          aria-label="${title} over the last ${span(spanMs)}; now ${now.join(", ")}">
    ${ticks.map((tick) =>
      html`
        <path class="grid" d="M0 ${y(tick)}H${width}" />
      `
    )}
    ${lines.map(({ look }, i) =>
      html`${
        stacked ? html`<path class="area ${look}" d="${band(i)}" />` : nothing
      }<path class="line ${look}" d="${path(heights[i]!)}" />`
    )}
        </svg>
        <div class="x"
          aria-hidden="true"><span>${span(spanMs)} ago</span><span>${span(
            spanMs / 2,
          )} ago</span><span>last report</span></div>
      </div>
    </figure>
  `;
}

/** From 0 in equal steps of 1, 2 or 5 times a power of ten to no less than `most`. */
export function scaleOf(most: number): { readonly top: number; readonly ticks: readonly number[] } {
  const rough = Math.max(1, most) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].find((one) => one * power >= rough)! * power);
  const steps = Math.max(1, Math.ceil(most / step));
  return {
    top: steps * step,
    ticks: Array.from({ length: steps + 1 }, (_, i) => i * step),
  };
}

/** Every n-th point, and always the last. */
function thinned(series: readonly SeriesPoint[], max: number): SeriesPoint[] {
  const every = Math.ceil(series.length / max);
  return series.filter((_, i) => (series.length - 1 - i) % every === 0);
}

function table(points: readonly SeriesPoint[]): Html {
  const columns = [waiting, running, done, workers];
  const rows = thinned(points, tableRowsMax).toReversed();
  return html`
    <details id="course-table">
      <summary>The same as a table</summary>
      <div class="scroll" role="region" tabindex="0" aria-label="Course as a table">
        <table>
          <thead>
            <tr><th scope="col">Time (UTC)</th>${columns.map(({ title }) =>
              html`<th scope="col" class="number">${title}</th>`
            )}</tr>
          </thead>
          <tbody>${rows.map((point) =>
            html`<tr><th scope="row">${
              new Date(point.atMs).toISOString().slice(0, 19).replace("T", " ")
            }</th>${
              columns.map((line) => html`<td class="number">${grouped(line.of(point))}</td>`)
            }</tr>`
          )}</tbody>
        </table>
      </div>
    </details>
  `;
}
