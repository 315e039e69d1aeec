/**
 * The live screen's state, and how keys and answers change it. Nothing here knows of a terminal or
 * of a clock: the shell feeds keys and data in, draws `screenOf(model)`, and does what is `wanted`.
 */
import type { JxObject } from "../jx/value.ts";
import { integerOf, stringOf } from "../jx/value.ts";
import { type PaneName, panes, servesManager } from "./live_columns.ts";
import { unreachable } from "../errors.ts";
import type { Subject } from "./questions.ts";

/** What was heard last. */
export interface LiveData {
  /** Where it is from, as people write it. */
  readonly source: string;
  readonly epochMs: number;
  readonly managers: readonly JxObject[];
  readonly factories: readonly JxObject[];
  /** Why there is nothing newer. */
  readonly trouble: string | null;
  /** Of the manager that is looked into. */
  readonly inside: Inside | null;
}

export interface Inside {
  /** As `panes.managers.keyOf`. */
  readonly key: string;
  readonly categories: readonly JxObject[];
  readonly workers: readonly JxObject[];
  readonly tasks: readonly JxObject[];
  readonly trouble: string | null;
}

interface PaneState {
  /** Key of the selected row; `null`: the first one. */
  readonly selected: string | null;
  /** Of the columns; `null`: as it comes. */
  readonly sortedBy: number | null;
  readonly descending: boolean;
  readonly filter: string;
}

export interface LiveModel {
  readonly data: LiveData;
  /** There is one manager, asked directly, and nothing above it. */
  readonly single: boolean;
  /** Key of the manager that is looked into. */
  readonly opened: string | null;
  readonly pane: PaneName;
  /** Tasks of which category, or on which worker's address, are shown; `null`: all. */
  readonly within: { readonly key: "category" | "address_port"; readonly value: string } | null;
  readonly states: Readonly<Record<PaneName, PaneState>>;
  /** The filter is being typed. */
  readonly typing: boolean;
  /** An explanation that was asked for; `text` is `null` until it is there. */
  readonly explaining: {
    readonly subject: Subject;
    readonly text: string | null;
  } | null;
  readonly quit: boolean;
}

/** `text` is what the key writes, if it does; `name` is it as well, or `up`, `enter` … */
export interface Key {
  readonly name: string;
  readonly text: string;
}

const untouched: PaneState = { selected: null, sortedBy: null, descending: true, filter: "" };

/** `single`: the only manager in the data, asked directly. */
export function newModel(data: LiveData, single: boolean): LiveModel {
  return opening({
    data,
    single,
    opened: null,
    pane: "managers",
    within: null,
    states: {
      managers: untouched,
      factories: untouched,
      categories: untouched,
      workers: untouched,
      tasks: untouched,
    },
    typing: false,
    explaining: null,
    quit: false,
  });
}

/** Newer data; what was selected stays selected while it is there. */
export function withData(model: LiveModel, data: LiveData): LiveModel {
  return opening({ ...model, data });
}

/** The answer to what was asked last; one to an earlier question is dropped. */
export function explained(model: LiveModel, subject: Subject, text: string): LiveModel {
  const { explaining } = model;
  if (explaining === null || explaining.subject !== subject) return model;
  return { ...model, explaining: { subject, text } };
}

/** With one manager there is no choice to be made. */
function opening(model: LiveModel): LiveModel {
  const [only] = model.data.managers;
  if (!model.single || model.opened !== null || only === undefined) return model;
  return { ...model, opened: panes.managers.keyOf(only), pane: "categories" };
}

/** The panes between which Tab moves. */
export function panesOf({ opened, single }: LiveModel): readonly PaneName[] {
  if (opened === null) return single ? ["managers"] : ["managers", "factories"];
  return single ? ["categories", "workers", "tasks"] : [
    "categories",
    "workers",
    "tasks",
    "factories",
  ];
}

/** The record of the manager that is looked into, if it is still there. */
export function openedManager({ data, opened }: LiveModel): JxObject | null {
  return data.managers.find((record) => panes.managers.keyOf(record) === opened) ?? null;
}

/** Rows of a pane: filtered, and sorted as was asked for. */
export function rowsOf(model: LiveModel, pane: PaneName): readonly JxObject[] {
  const { columns } = panes[pane];
  const { filter, sortedBy, descending } = model.states[pane];
  const context = { epochMs: model.data.epochMs };
  const wanted = filter.toLowerCase();
  const rows = recordsOf(model, pane).filter((record) =>
    wanted === "" ||
    columns.some((column) => column.text(record, context).toLowerCase().includes(wanted))
  );
  const column = sortedBy === null ? undefined : columns[sortedBy];
  if (column === undefined) return pane === "tasks" ? underWayFirst(rows) : rows;
  const value = (record: JxObject) => column.value?.(record) ?? column.text(record, context);
  const sign = descending ? -1 : 1;
  return rows.map((record) => ({ record, value: value(record) }))
    .sort((a, b) => sign * (a.value < b.value ? -1 : a.value > b.value ? 1 : 0))
    .map(({ record }) => record);
}

function underWayFirst(rows: readonly JxObject[]): JxObject[] {
  const rank = (record: JxObject) => stringOf(record, "state")?.toUpperCase() === "WAITING" ? 1 : 0;
  return rows.toSorted((a, b) =>
    rank(a) - rank(b) || integerOf(a, "taskid") - integerOf(b, "taskid")
  );
}

function recordsOf(model: LiveModel, pane: PaneName): readonly JxObject[] {
  const { data, opened, within } = model;
  const inside = data.inside?.key === opened ? data.inside : null;
  switch (pane) {
    case "managers":
      return data.managers;
    case "factories": {
      const manager = openedManager(model);
      return manager === null
        ? data.factories
        : data.factories.filter((factory) => servesManager(factory, manager));
    }
    case "categories":
      return inside?.categories ?? [];
    case "workers":
      return inside?.workers ?? [];
    case "tasks":
      return (inside?.tasks ?? []).filter((task) =>
        within === null || task.get(within.key) === within.value
      );
    default:
      return unreachable(pane);
  }
}

/** Index of the selected row: the first one where it is gone or none was chosen; -1 in no rows. */
export function selectedIndex(model: LiveModel, pane: PaneName, rows: readonly JxObject[]): number {
  const { selected } = model.states[pane];
  const at = rows.findIndex((record) => panes[pane].keyOf(record) === selected);
  return at < 0 && rows.length > 0 ? 0 : at;
}

// Keys

/** What a key does. `page`: rows that page up and page down move by. */
export function press(model: LiveModel, key: Key, page: number): LiveModel {
  if (key.name === "interrupt") return { ...model, quit: true };
  if (model.typing) return typed(model, key);
  if (model.explaining !== null) {
    if (key.name === "q") return { ...model, quit: true };
    return ["escape", "left", "enter", "h", "e"].includes(key.name)
      ? { ...model, explaining: null }
      : model;
  }
  switch (key.name) {
    case "q":
      return { ...model, quit: true };
    case "down":
    case "j":
      return moved(model, 1);
    case "up":
    case "k":
      return moved(model, -1);
    case "pagedown":
      return moved(model, page);
    case "pageup":
      return moved(model, -page);
    case "home":
    case "g":
      return moved(model, -Infinity);
    case "end":
    case "G":
      return moved(model, Infinity);
    case "tab":
      return nextPane(model, 1);
    case "backtab":
      return nextPane(model, -1);
    case "enter":
    case "right":
    case "l":
      return open(model);
    case "escape":
    case "left":
    case "h":
      return back(model);
    case "s":
      return sortedByNext(model);
    case "S":
    case "r":
      return inPane(model, { descending: !model.states[model.pane].descending });
    case "/":
      return { ...model, typing: true };
    case "e":
      return asking(model);
    default:
      return model;
  }
}

function inPane(model: LiveModel, changes: Partial<PaneState>): LiveModel {
  const state = { ...model.states[model.pane], ...changes };
  return { ...model, states: { ...model.states, [model.pane]: state } };
}

function typed(model: LiveModel, { name, text }: Key): LiveModel {
  const { filter } = model.states[model.pane];
  switch (name) {
    case "enter":
      return { ...model, typing: false };
    case "escape":
      return { ...inPane(model, { filter: "" }), typing: false };
    case "backspace":
      return inPane(model, { filter: [...filter].slice(0, -1).join("") });
    default:
      return text === "" ? model : inPane(model, { filter: filter + text });
  }
}

function moved(model: LiveModel, by: number): LiveModel {
  const rows = rowsOf(model, model.pane);
  const at = selectedIndex(model, model.pane, rows);
  const row = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  return row === undefined ? model : inPane(model, { selected: panes[model.pane].keyOf(row) });
}

function nextPane(model: LiveModel, by: 1 | -1): LiveModel {
  const all = panesOf(model);
  const at = all.indexOf(model.pane);
  return { ...model, pane: all[(at + by + all.length) % all.length]!, within: null };
}

/** The sum of all categories, which no task has. */
const wholeQueue = "whole queue";

function selectedRow(model: LiveModel): JxObject | null {
  const rows = rowsOf(model, model.pane);
  return rows[selectedIndex(model, model.pane, rows)] ?? null;
}

function open(model: LiveModel): LiveModel {
  const row = selectedRow(model);
  if (row === null) return model;
  switch (model.pane) {
    case "managers":
      return { ...model, opened: panes.managers.keyOf(row), pane: "categories", within: null };
    case "categories": {
      const value = stringOf(row, "category");
      if (value === null) return model;
      const within = value === wholeQueue ? null : { key: "category", value } as const;
      return { ...model, pane: "tasks", within };
    }
    case "workers": {
      const value = stringOf(row, "address_port");
      if (value === null) return model;
      return { ...model, pane: "tasks", within: { key: "address_port", value } };
    }
    case "tasks":
      return asking(model);
    case "factories":
      return model;
    default:
      return unreachable(model.pane);
  }
}

function back(model: LiveModel): LiveModel {
  if (model.states[model.pane].filter !== "") return inPane(model, { filter: "" });
  if (model.within !== null) {
    const pane = model.within.key === "category" ? "categories" : "workers";
    return { ...model, pane, within: null };
  }
  if (model.opened === null || model.single) return model;
  return { ...model, opened: null, pane: "managers" };
}

/** Through the columns, and then as the rows come. */
function sortedByNext(model: LiveModel): LiveModel {
  const { sortedBy } = model.states[model.pane];
  const next = sortedBy === null ? 0 : sortedBy + 1;
  const { columns } = panes[model.pane];
  const column = columns[next];
  // Large numbers and early letters are what people look for.
  const descending = column?.align !== "left";
  return inPane(model, { sortedBy: column === undefined ? null : next, descending });
}

function asking(model: LiveModel): LiveModel {
  if (model.opened === null) return model;
  const row = selectedRow(model);
  return { ...model, explaining: { subject: subjectOf(model.pane, row), text: null } };
}

function subjectOf(pane: PaneName, row: JxObject | null): Subject {
  if (row !== null && pane === "tasks") {
    return { kind: "task", name: String(integerOf(row, "taskid")) };
  }
  const worker = pane !== "workers" || row === null
    ? null
    : stringOf(row, "wqx_worker") ?? stringOf(row, "address_port");
  return worker === null ? { kind: "queue" } : { kind: "worker", name: worker };
}
