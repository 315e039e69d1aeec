/** What the live screen shows of its state: as many lines as the window has, none too wide. */
import { integerOf, type JxObject, numberOf, stringOf } from "../jx/value.ts";
import { formatDuration, formatShort, formatSizeMb, plural } from "../units.ts";
import { type LiveModel, openedManager, panesOf, rowsOf, selectedIndex } from "./live.ts";
import { type LiveColumn, type PaneName, panes, partOf } from "./live_columns.ts";
import { type Line, type LineLook, lineOf, padded, type Span, textWidth, wrapped } from "./line.ts";
import { printable } from "./table_layout.ts";

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** Smaller windows are told so. */
const columnsMin = 40;
const rowsMin = 10;

/** Of the reason why nothing moves. */
const stallLinesMax = 3;

/** From so many rows on, the other panes are shown below one another as well. */
const stackedRowsMin = 36;
/** Of a pane that is not in use, title and head of the table included. */
const asideRowsMax = 8;

/** Exactly `rows` lines. */
export function screenOf(model: LiveModel, size: ScreenSize, look: LineLook): Line[] {
  const { columns, rows } = size;
  if (columns < columnsMin || rows < rowsMin) {
    const text = `The window is ${columns}x${rows}; ${columnsMin}x${rowsMin} is needed`;
    return filled(wrapped(text, Math.max(1, columns)).map((line) => [{ text: line }]), rows);
  }
  const head = headLines(model, columns, look);
  const foot = footLines(model, columns, look);
  const room = rows - head.length - foot.length;
  const body = model.explaining === null
    ? paneLines(model, columns, room, look)
    : explanationLines(model, columns, room, look);
  return [...head, ...filled(body, room), ...foot];
}

/** How far page up and page down move. */
export function pageOf({ rows }: ScreenSize): number {
  return Math.max(1, rows - 10);
}

function filled(lines: readonly Line[], rows: number): Line[] {
  return Array.from({ length: rows }, (_, i) => lines[i] ?? []);
}

// Head and foot

function headLines(model: LiveModel, width: number, look: LineLook): Line[] {
  const { data } = model;
  const dot = look.unicode ? " · " : " - ";
  const title: Span[] = [
    { text: "wqx status", style: "bold" },
    { text: `${dot}${printable(data.source)}` },
    { text: `${dot}${crumbs(model, look)}`, style: "bold" },
  ];
  const clock = { text: clockOf(data.epochMs), style: "dim" } as const;
  const lines = [lineOf(title, width, look, clock)];
  for (const trouble of troublesOf(model)) {
    lines.push(lineOf([{ text: printable(trouble), style: "red" }], width, look));
  }
  const manager = openedManager(model);
  if (manager !== null) lines.push(...summaryLines(manager, model, width, look));
  else if (model.opened !== null) {
    const text = "This manager is not there any more; Esc goes back";
    lines.push(lineOf([{ text, style: "yellow" }], width, look));
  } else lines.push(lineOf(totals(model, look), width, look));
  return lines;
}

function troublesOf({ data, opened }: LiveModel): string[] {
  const inside = data.inside?.key === opened ? data.inside?.trouble ?? null : null;
  return [data.trouble, inside].filter((trouble) => trouble !== null);
}

function crumbs({ opened, data, pane, within }: LiveModel, { unicode }: LineLook): string {
  const sign = unicode ? " › " : " > ";
  const manager = data.managers.find((record) => panes.managers.keyOf(record) === opened);
  const parts = [
    ...opened === null ? [] : [manager === undefined ? "?" : projectOf(manager)],
    ...within === null ? [panes[pane].title] : [`${panes[pane].title} of ${within.value}`],
  ];
  return printable(parts.join(sign));
}

function projectOf(record: JxObject): string {
  return stringOf(record, "project") ?? `port ${integerOf(record, "port")}`;
}

/** UTC: records of managers all over the world are looked at. */
function clockOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(11, 19)} UTC`;
}

function totals({ data }: LiveModel, { unicode }: LineLook): Span[] {
  const sum = (key: string) =>
    data.managers.reduce((total, record) => total + numberOf(record, key), 0);
  const dot = unicode ? " · " : ", ";
  const parts = [
    plural(data.managers.length, "manager"),
    plural(sum("workers"), "worker"),
    `${formatShort(sum("tasks_waiting"))} tasks waiting`,
    `${formatShort(sum("tasks_running"))} running`,
    `${formatShort(sum("cores_inuse"))}/${formatShort(sum("cores_total"))} cores`,
  ];
  return [{ text: parts.join(dot) }];
}

/** Two lines: tasks, and what the workers have. */
/** Why nothing moves, where the manager says so. `e` on the queue tells all of it. */
function stallLines(manager: JxObject, width: number): Line[] {
  const text = printable(stringOf(manager, "wqx_stall") ?? "");
  return wrapped(text, width).slice(0, stallLinesMax).map((line) => [
    { text: line, style: "yellow" },
  ]);
}

function summaryLines(
  manager: JxObject,
  model: LiveModel,
  width: number,
  look: LineLook,
): Line[] {
  const dot = look.unicode ? " · " : ", ";
  const of = (key: string) => formatShort(numberOf(manager, key));
  const failed = numberOf(manager, "tasks_failed");
  const startedMs = integerOf(manager, "starttime") * 1000;
  const up = startedMs > 0 ? `${dot}up ${formatDuration(model.data.epochMs - startedMs)}` : "";
  const tasks: Span[] = [
    { text: "tasks   ", style: "dim" },
    { text: `${of("tasks_waiting")} waiting${dot}` },
    { text: `${of("tasks_running")} running`, style: "green" },
    { text: `${dot}${of("tasks_done")} done${dot}` },
    failed > 0 ? { text: `${formatShort(failed)} failed`, style: "red" } : { text: "0 failed" },
    { text: `${up}${dot}${printable(stringOf(manager, "owner") ?? "?")}`, style: "dim" },
  ];
  const idle = numberOf(manager, "workers_idle");
  const workers: Span[] = [
    { text: "workers ", style: "dim" },
    { text: `${of("workers")}${idle > 0 ? ` (${formatShort(idle)} idle)` : ""}` },
    ...gauge(
      "cores",
      numberOf(manager, "cores_inuse"),
      numberOf(manager, "cores_total"),
      look,
      formatShort,
    ),
    ...gauge(
      "memory",
      numberOf(manager, "memory_inuse"),
      numberOf(manager, "memory_total"),
      look,
      formatSizeMb,
    ),
    ...gauge(
      "disk",
      numberOf(manager, "disk_inuse"),
      numberOf(manager, "disk_total"),
      look,
      formatSizeMb,
    ),
  ];
  return [lineOf(tasks, width, look), lineOf(workers, width, look), ...stallLines(manager, width)];
}

const gaugeWidth = 6;

function gauge(
  name: string,
  used: number,
  total: number,
  { unicode }: LineLook,
  format: (value: number) => string,
): Span[] {
  const part = total > 0 ? Math.min(1, used / total) : 0;
  const full = used > 0 ? Math.max(1, Math.round(part * gaugeWidth)) : 0;
  const [on, off] = unicode ? ["━", "─"] : ["#", "."];
  return [
    { text: `  ${name} `, style: "dim" },
    { text: on.repeat(full), style: "cyan" },
    { text: off.repeat(gaugeWidth - full), style: "dim" },
    { text: ` ${partOf(used, total, format)}` },
  ];
}

function footLines(model: LiveModel, width: number, look: LineLook): Line[] {
  const { pane, typing, explaining, states } = model;
  const { filter, sortedBy, descending } = states[pane];
  if (typing) {
    const cursor = look.unicode ? "▏" : "_";
    return [
      lineOf([{ text: `filter: ${filter}${cursor}`, style: "yellow" }], width, look),
      lineOf([{ text: "Enter keeps it, Esc shows all", style: "dim" }], width, look),
    ];
  }
  const [up, down] = look.unicode ? ["▲", "▼"] : ["up", "down"];
  const column = sortedBy === null ? undefined : panes[pane].columns[sortedBy];
  const state: Span[] = [
    ...column === undefined
      ? []
      : [{ text: `sorted by ${column.title} ${descending ? down : up}   ` }],
    ...filter === "" ? [] : [{ text: `filter: ${filter}`, style: "yellow" } as const],
  ];
  const arrows = look.unicode ? "↑↓" : "jk";
  const keys = explaining !== null ? "Esc back   q quit" : [
    `${arrows} move`,
    ...pane === "factories" ? [] : ["Enter open"],
    ...model.opened !== null && (!model.single || model.within !== null) ? ["Esc back"] : [],
    "Tab pane",
    "s sort",
    ...width < 100 ? [] : ["r reverse"],
    "/ filter",
    ...model.opened === null ? [] : ["e explain"],
    "q quit",
  ].join(width < 100 ? "  " : "   ");
  return [lineOf(state, width, look), lineOf([{ text: keys, style: "dim" }], width, look)];
}

// Body

function paneLines(model: LiveModel, width: number, room: number, look: LineLook): Line[] {
  const all = panesOf(model);
  const aside = room >= stackedRowsMin ? all.filter((pane) => pane !== model.pane) : [];
  if (aside.length === 0) {
    const rows = Math.max(1, room - 1);
    return [tabs(model, width, look), ...tableLines(model, model.pane, width, rows, look)];
  }
  const heights = new Map(aside.map((pane) => {
    const rows = rowsOf(model, pane).length;
    return [pane, Math.min(asideRowsMax, 3 + Math.max(1, rows))];
  }));
  const taken = [...heights.values()].reduce((sum, height) => sum + height, 0);
  heights.set(model.pane, Math.max(4, room - taken));
  return all.flatMap((pane) => {
    const height = heights.get(pane)!;
    const title = tab(model, pane);
    // A blank line parts one pane from the next.
    const rows = tableLines(model, pane, width, height - 2, look);
    return filled([lineOf([title], width, look), ...rows], height);
  });
}

function tab(model: LiveModel, pane: PaneName): Span {
  const text = ` ${panes[pane].title} ${rowsOf(model, pane).length} `;
  return pane === model.pane
    ? { text: `[${text.trim()}]`, style: "inverse" }
    : { text, style: "dim" };
}

function tabs(model: LiveModel, width: number, look: LineLook): Line {
  const spans = panesOf(model).flatMap((pane) => [tab(model, pane), { text: " " }]);
  return lineOf(spans, width, look);
}

function tableLines(
  model: LiveModel,
  pane: PaneName,
  width: number,
  height: number,
  look: LineLook,
): Line[] {
  const rows = rowsOf(model, pane);
  const { columns, none } = panes[pane];
  if (rows.length === 0) {
    const filter = model.states[pane].filter;
    const text = filter === "" ? none : `nothing has ${JSON.stringify(filter)} in it`;
    return [lineOf([{ text: `  ${text}`, style: "dim" }], width, look)];
  }
  const visible = Math.max(1, height - 1);
  const selected = selectedIndex(model, pane, rows);
  const start = Math.max(
    0,
    Math.min(selected - Math.floor(visible / 2), rows.length - visible),
  );
  const shown = rows.slice(start, start + visible);
  const context = { epochMs: model.data.epochMs };
  const cells = shown.map((record) => columns.map((column) => column.text(record, context)));
  const laid = layOut(columns, cells, width - 2);
  const { sortedBy } = model.states[pane];
  const heading = laid.flatMap(({ column, index, width }): Span[] => [
    { text: "  " },
    {
      text: padded(column.title, width, column.align, look),
      style: index === sortedBy ? "yellow" : "dim",
    },
  ]);
  const inUse = pane === model.pane;
  return [
    lineOf(heading, width, look),
    ...cells.map((row, i): Line => {
      const isSelected = inUse && start + i === selected;
      const text = laid.map(({ column, index, width }) =>
        `  ${padded(row[index]!, width, column.align, look)}`
      ).join("");
      // The mark is for terminals without colour.
      const mark = isSelected ? `>${text.slice(1)}` : text;
      return isSelected
        ? [{ text: padded(mark, width, "left", look), style: "inverse" }]
        : lineOf([{ text: mark }], width, look);
    }),
  ];
}

interface LaidColumn {
  readonly column: LiveColumn;
  readonly index: number;
  readonly width: number;
}

/** Of a column that can shrink, in characters. */
const growingMin = 11;

/** As wide as their cells; columns that can be spared go, and one that grows gets the rest. */
function layOut(
  columns: readonly LiveColumn[],
  cells: readonly (readonly string[])[],
  room: number,
): LaidColumn[] {
  const all = columns.map((column, index) => {
    const natural = Math.max(
      textWidth(column.title),
      ...cells.map((row) => textWidth(row[index]!)),
    );
    const least = column.grows ? Math.min(natural, growingMin) : natural;
    return { column, index, natural, least };
  });
  let kept = all.filter(({ index }) =>
    // What no row says anything of is of no use, unless it is all there is.
    columns[index]!.spare === 0 || cells.some((row) => row[index] !== "-")
  );
  const taken = (of: typeof kept) => of.reduce((sum, { least }) => sum + least + 2, -2);
  while (taken(kept) > room && kept.length > 1) {
    const spare = Math.max(...kept.map(({ column }) => column.spare));
    const last = kept.findLastIndex(({ column }) => column.spare === spare);
    kept = kept.filter((_, i) => i !== last);
  }
  let left = room - taken(kept);
  return kept.map(({ column, index, natural, least }) => {
    const more = Math.max(0, Math.min(natural - least, left));
    left -= more;
    return { column, index, width: Math.min(least + more, room) };
  });
}

function explanationLines(
  model: LiveModel,
  width: number,
  room: number,
  look: LineLook,
): Line[] {
  const { subject, text } = model.explaining!;
  const what = subject.kind === "queue" ? "What holds the queue up" : `Why: ${subject.kind} ` +
    printable(subject.name);
  const body = text === null ? ["asking …"] : wrapped(printable(text), Math.min(width - 4, 96));
  const shown = look.unicode ? body : body.map((line) => line.replaceAll("…", "..."));
  return [
    [],
    lineOf([{ text: `  ${what}`, style: "bold" }], width, look),
    [],
    ...shown.slice(0, room - 3).map((line) => lineOf([{ text: `  ${line}` }], width, look)),
  ];
}
