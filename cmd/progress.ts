/** How a running analysis looks: four bars, or a line. */
import { describeAllocation } from "../core/allocation/report.ts";
import type { ChunkCounts, Counted, Progress } from "../core/analysis/progress.ts";
import { formatDuration, formatShort, plural } from "../core/units.ts";
import { createView, type Look, type ProgressMode, type ProgressView } from "./progress_view.ts";
import type { Stream } from "./render.ts";

export function createProgress(mode: ProgressMode, stream: Stream): ProgressView<Progress> {
  return createView(analysisLook, mode, stream);
}

const analysisLook: Look<Progress> = {
  rows: [
    { title: "Preprocessing", unit: "file", counted: (p) => p.preprocessed },
    { title: "Submitted", unit: "event", counted: (p) => p.submitted },
    {
      title: "Processed",
      unit: "event",
      counted: (p) => p.processed,
      pace: ({ eventsPerSecond, leftMs }) => ({ rate: eventsPerSecond, leftMs }),
    },
    { title: "Accumulated", unit: "task", counted: (p) => p.accumulated },
  ],
  statusLine,
  detailLines: ({ allocations }) => allocations.map(describeAllocation),
  plainLine,
};

function statusLine(progress: Progress, { colors, unicode }: Stream): string {
  const { phase, tasks, workers, chunks } = progress;
  const dot = unicode ? " · " : ", ";
  const failed = `${tasks.failed} failed`;
  const states = [
    `${tasks.waiting} waiting`,
    `${tasks.running} running`,
    `${tasks.done} done`,
    tasks.failed > 0 ? colors.red(failed) : failed,
  ].join(dot);
  const sizes = chunks === undefined ? [] : chunkWords(chunks);
  return [`${phase}: tasks ${states}`, plural(workers, "worker"), ...sizes].join(dot);
}

/** `chunks of 16.4k events (smallest 1.02k)`, `2 split (65.5k events exhausted)`. */
function chunkWords({ current, smallest, split, eventsExhausted }: ChunkCounts): string[] {
  const smaller = smallest < current ? ` (smallest ${formatShort(smallest)})` : "";
  return [
    `chunks of ${formatShort(current)} events${smaller}`,
    ...(split > 0 ? [`${split} split (${formatShort(eventsExhausted)} events exhausted)`] : []),
  ];
}

/** A state on a line of its own. */
function plainLine(progress: Progress): string {
  const { phase, tasks, workers, processed, preprocessed, eventsPerSecond, leftMs, chunks } =
    progress;
  const parts = phase === "preprocessing"
    ? [ofTotal(preprocessed, "files")]
    : [ofTotal(processed, "events"), `${formatShort(eventsPerSecond)} event/s`];
  if (phase === "accumulating") parts.push(ofTotal(progress.accumulated, "accumulations"));
  if (leftMs !== null && leftMs > 0) parts.push(`${formatDuration(leftMs)} left`);
  parts.push(
    `tasks ${tasks.waiting} waiting, ${tasks.running} running, ` +
      `${tasks.done} done, ${tasks.failed} failed`,
    plural(workers, "worker"),
    ...(chunks === undefined ? [] : chunkWords(chunks)),
  );
  return `[${formatDuration(progress.elapsedMs)}] ${phase}: ${parts.join("; ")}`;
}

function ofTotal({ done, total }: Counted, unit: string): string {
  if (total === null) return `${done} ${unit}`;
  const percent = total === 0 ? "" : ` (${Math.floor(done / total * 100)}%)`;
  return `${done}/${total} ${unit}${percent}`;
}
