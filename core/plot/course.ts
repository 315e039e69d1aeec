/**
 * From the course of a run to what its pictures show: what attempts were given against what they
 * took, how large chunks were, how many tasks and workers there were, all over time.
 */
import type { Spec } from "vega";
import type {
  CategoryCourse,
  CountsPoint,
  Course,
  Extent,
  Held,
  HeldName,
} from "../analysis/timeline.ts";
import { type FigureText, formatted, palette } from "./figure.ts";
import { plainFrame, sizes } from "./look.ts";
import { panels } from "./panels.ts";
import { pictureSpec } from "./spec.ts";

/** A line from one point to the other; one of no length is a dot. */
export interface Stroke {
  readonly x: number;
  readonly x2: number;
  readonly y: number;
  readonly y2: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface PanelSeries {
  /** Empty: no legend has it. */
  readonly name: string;
  readonly color: string;
  /** From each point on, to the right, the value of it. */
  readonly steps?: readonly Point[];
  /** Of the steps, so that those below it can be seen. */
  readonly isDashed?: boolean;
  readonly lines?: readonly Stroke[];
  readonly dots?: readonly Stroke[];
  readonly crosses?: readonly Point[];
}

export interface Panel {
  readonly yTitle: string;
  readonly log: boolean;
  /** Only whole numbers make sense on it. */
  readonly whole: boolean;
  readonly hasLegend: boolean;
  /** Of the height of the frame, before others have theirs. */
  readonly share: number;
  readonly series: readonly PanelSeries[];
}

/** Panels above one another, over the same time. */
export interface PanelsFigure extends FigureText {
  readonly xTitle: string;
  /** Time starts at 0. */
  readonly xMax: number;
  readonly panels: readonly Panel[];
}

/** A picture of a run, named like its file. */
export interface CoursePicture {
  readonly name: "allocation" | "chunks" | "tasks";
  readonly spec: Spec;
}

/** All pictures of a run of which there is something to show. */
export function coursePictures(course: Course, run: string): CoursePicture[] {
  const pictures: CoursePicture[] = [];
  const add = (name: CoursePicture["name"], figure: PanelsFigure | null) => {
    if (figure === null) return;
    const frame = plainFrame(sizes["16:9"]);
    pictures.push({ name, spec: pictureSpec(figure, frame, panels(figure, frame)) });
  };
  add("allocation", allocationFigure(course, run));
  add("chunks", chunksFigure(course, run));
  add("tasks", tasksFigure(course, run));
  return pictures;
}

/** Memory and cores that attempts held and took; `null` if there was none. */
export function allocationFigure(course: Course, run: string): PanelsFigure | null {
  const { categories } = course;
  if (categories.length === 0) return null;
  const time = timeAxis(course);
  const attempts = sum(categories.map(({ attemptCount }) => attemptCount));
  const exhausted = sum(categories.map(({ exhaustedCount }) => exhaustedCount));
  const largest = Math.max(
    ...categories.flatMap(({ attempts }) =>
      attempts.map(({ memoryMb: { box, measured } }) => Math.max(box.high, measured?.high ?? 0))
    ),
  );
  const [unit, mbPerUnit] = largest >= 10_240 ? ["GB", 1024] : ["MB", 1];
  const memory = heldSeries(categories, "memoryMb", { x: time.msPerUnit, y: mbPerUnit });
  const cores = heldSeries(categories, "cores", { x: time.msPerUnit, y: 1 });
  const isMeasured = [...memory, ...cores].some(({ dots }) => dots!.length > 0);
  const crosses = exhausted === 0 ? "" : ", crosses: exhausted";
  return {
    ...time.text,
    title: titled(run, "resources given and used"),
    remarks: [
      isMeasured
        ? `lines: given, dots: used (memory at its peak, cores on average)${crosses}`
        : `lines: given; no worker measured what was used${crosses}`,
    ],
    counts: [
      counted(attempts, "attempt"),
      ...exhausted === 0 ? [] : [`${formatted(exhausted)} exhausted`],
    ],
    panels: [
      {
        yTitle: `Memory [${unit}]`,
        log: isWide(memory),
        whole: false,
        hasLegend: true,
        share: 0.64,
        series: memory,
      },
      { yTitle: "Cores", log: false, whole: false, hasLegend: false, share: 0.36, series: cores },
    ],
  };
}

/** Events of chunks that were processed or exhausted; `null` if there was none. */
export function chunksFigure(course: Course, run: string): PanelsFigure | null {
  const { datasets } = course;
  if (datasets.length === 0) return null;
  const { msPerUnit, text } = timeAxis(course);
  const series = datasets.map(({ name, chunks, exhausted }, i): PanelSeries => ({
    name: datasets.length === 1 ? "" : name ?? "other datasets",
    color: palette[i]!,
    dots: chunks.map(({ atMs, events }) => upright(atMs / msPerUnit, events, 1)),
    crosses: exhausted.map(({ atMs, events }) => ({ x: atMs / msPerUnit, y: events.low })),
  }));
  const exhausted = sum(datasets.map(({ exhaustedCount }) => exhaustedCount));
  return {
    ...text,
    title: titled(run, "chunk size"),
    remarks: exhausted === 0 ? [] : ["dots: processed, crosses: exhausted attempts"],
    counts: [
      counted(sum(datasets.map(({ chunkCount }) => chunkCount)), "chunk"),
      ...exhausted === 0 ? [] : [counted(exhausted, "exhausted attempt")],
    ],
    panels: [{
      yTitle: "Events / chunk",
      log: isWide(series),
      whole: true,
      hasLegend: true,
      share: 1,
      series,
    }],
  };
}

/** Tasks that wait and are done, and how many run on how many workers; `null` if none was counted. */
export function tasksFigure(course: Course, run: string): PanelsFigure | null {
  const { counts, endMs } = course;
  const last = counts.at(-1);
  if (last === undefined) return null;
  const { msPerUnit, text } = timeAxis(course);
  const series = (
    what: Exclude<keyof CountsPoint, "atMs">,
    color: number,
    name: string = what,
  ) => ({
    name,
    color: palette[color]!,
    steps: [...counts, { ...last, atMs: endMs }].map((at) => ({
      x: at.atMs / msPerUnit,
      y: at[what],
    })),
  });
  const workers = Math.max(...counts.map((at) => at.workers));
  const look = { log: false, whole: true };
  return {
    ...text,
    title: titled(run, "tasks and workers"),
    remarks: [],
    counts: [`${counted(last.done, "task")} done`, `at most ${counted(workers, "worker")}`],
    panels: [
      { ...look, yTitle: "Tasks done", hasLegend: false, share: 0.36, series: [series("done", 3)] },
      {
        ...look,
        yTitle: "At a time",
        hasLegend: true,
        share: 0.64,
        series: [
          series("waiting", 0, "tasks waiting"),
          series("running", 1, "tasks running"),
          { ...series("workers", 2), isDashed: true },
        ],
      },
    ],
  };
}

function heldSeries(
  categories: readonly CategoryCourse[],
  name: HeldName,
  per: { readonly x: number; readonly y: number },
): PanelSeries[] {
  return categories.map((category, i) => ({
    name: category.name,
    color: palette[i % palette.length]!,
    lines: category.attempts.flatMap((attempt) => {
      const { box }: Held = attempt[name];
      const [x, x2] = [attempt.startMs / per.x, attempt.endMs / per.x];
      const amounts = box.low === box.high ? [box.low] : [box.low, box.high];
      return amounts.map((amount) => ({ x, x2, y: amount / per.y, y2: amount / per.y }));
    }),
    dots: category.attempts.flatMap((attempt) => {
      const { measured }: Held = attempt[name];
      return measured === null ? [] : [upright(attempt.endMs / per.x, measured, per.y)];
    }),
    crosses: category.exhausted[name].map(({ atMs, amount }) => ({
      x: atMs / per.x,
      y: amount / per.y,
    })),
  }));
}

function upright(x: number, { low, high }: Extent, per: number): Stroke {
  return { x, x2: x, y: low / per, y2: high / per };
}

/** Largest over smallest from which on a logarithmic scale shows more. */
const wideMin = 20;

function isWide(series: readonly PanelSeries[]): boolean {
  let [low, high] = [Infinity, 0];
  const see = (y: number) => {
    if (y > 0) [low, high] = [Math.min(low, y), Math.max(high, y)];
  };
  for (const { lines = [], dots = [], crosses = [] } of series) {
    for (const { y } of crosses) see(y);
    for (const stroke of [...lines, ...dots]) [stroke.y, stroke.y2].forEach(see);
  }
  return high >= wideMin * low;
}

/** What ends the run is drawn whole, not across the frame. */
const room = 1.01;

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** A unit of which there are a few in the run, and what all pictures of it say. */
function timeAxis({ endMs }: Course): {
  msPerUnit: number;
  text: Pick<PanelsFigure, "xTitle" | "xMax" | "partial">;
} {
  const [unit, msPerUnit] = endMs < 3 * minute
    ? ["s", second]
    : endMs < 3 * hour
    ? ["min", minute]
    : ["h", hour];
  const xTitle = `Time since the start [${unit}]`;
  return {
    msPerUnit,
    text: { xTitle, xMax: Math.max(endMs, 1) * room / msPerUnit, partial: null },
  };
}

function titled(run: string, what: string): string {
  return run === "" ? what : `${run}: ${what}`;
}

function counted(count: number, what: string): string {
  return `${formatted(count)} ${what}${count === 1 ? "" : "s"}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
