/** The live screen's lists as tables that are printed once. */
import { integerOf, type JxObject, stringOf } from "../core/jx/value.ts";
import type { LiveData } from "../core/status/live.ts";
import { type PaneName, panes } from "../core/status/live_columns.ts";
import { printable } from "../core/status/table_layout.ts";
import { renderTable, type Stream } from "./render.ts";

/** Managers and factories; of a single manager its categories and workers as well. */
export function onceText(data: LiveData, stream: Stream): string {
  const { managers, factories, inside } = data;
  const parts = [tableOf("managers", managers, data, stream)];
  parts.push(...managers.flatMap((manager) => stallOf(manager, stream)));
  if (factories.length > 0) parts.push(tableOf("factories", factories, data, stream));
  if (inside !== null) {
    parts.push(tableOf("categories", inside.categories, data, stream));
    parts.push(tableOf("workers", inside.workers, data, stream));
    if (inside.trouble !== null) parts.push(`${stream.colors.red(inside.trouble)}\n`);
  }
  return parts.join("\n");
}

/** Why nothing moves in a manager, if it says so. */
function stallOf(manager: JxObject, { colors }: Stream): string[] {
  const text = stringOf(manager, "wqx_stall");
  const name = stringOf(manager, "project") ?? `Port ${integerOf(manager, "port")}`;
  return text === null ? [] : [`${colors.yellow(`${printable(name)}: ${printable(text)}`)}\n`];
}

function tableOf(
  name: PaneName,
  records: readonly JxObject[],
  { epochMs }: LiveData,
  stream: Stream,
): string {
  const { columns, title, none } = panes[name];
  const heading = stream.colors.bold(`${title} (${records.length})`);
  if (records.length === 0) return `${heading}\n${none}\n`;
  const cells = records.map((record) => columns.map((column) => column.text(record, { epochMs })));
  const shown = columns.map((column, index) => ({ column, index })).filter(({ index }) =>
    cells.some((row) => row[index] !== "-")
  );
  return `${heading}\n` + renderTable(
    shown.map(({ column }) => column),
    cells.map((row) => shown.map(({ index }) => row[index]!)),
    stream.colors,
  );
}
