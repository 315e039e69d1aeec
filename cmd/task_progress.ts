/** How a running list of tasks looks: a bar, or a line. */
import { describeAllocation } from "../core/allocation/report.ts";
import type { TaskProgress } from "../core/tasklist/progress.ts";
import { formatDuration, formatShort, plural } from "../core/units.ts";
import { createView, type Look, type ProgressMode, type ProgressView } from "./progress_view.ts";
import type { Stream } from "./render.ts";

export function createTaskProgress(mode: ProgressMode, stream: Stream): ProgressView<TaskProgress> {
  return createView(taskLook, mode, stream);
}

/** A list may have any number of categories. */
const detailsMax = 6;

const over = ({ succeeded, failed }: TaskProgress) => succeeded + failed;

const taskLook: Look<TaskProgress> = {
  rows: [{
    title: "Tasks",
    unit: "task",
    counted: (p) => ({ done: over(p), total: p.total }),
    pace: ({ tasksPerSecond, leftMs }) => ({ rate: tasksPerSecond, leftMs }),
  }],
  statusLine(progress, { colors, unicode }) {
    const failed = `${progress.failed} failed`;
    const parts = states(progress, progress.failed > 0 ? colors.red(failed) : failed);
    return `${progress.phase}: ${parts.join(unicode ? " · " : ", ")}`;
  },
  detailLines: ({ allocations }) => allocations.slice(0, detailsMax).map(describeAllocation),
  plainLine(progress) {
    const { phase, total, elapsedMs, tasksPerSecond, leftMs } = progress;
    const done = over(progress);
    const percent = total === null || total === 0 ? "" : ` (${Math.floor(done / total * 100)}%)`;
    const parts = [
      `${done}${total === null ? "" : `/${total}`} tasks${percent}`,
      `${formatShort(tasksPerSecond)} task/s`,
      ...(leftMs !== null && leftMs > 0 ? [`${formatDuration(leftMs)} left`] : []),
      states(progress, `${progress.failed} failed`).join(", "),
    ];
    return `[${formatDuration(elapsedMs)}] ${phase}: ${parts.join("; ")}`;
  },
};

function states({ waiting, running, succeeded, workers }: TaskProgress, failed: string): string[] {
  return [
    `${waiting} waiting`,
    `${running} running`,
    `${succeeded} succeeded`,
    failed,
    plural(workers, "worker"),
  ];
}
