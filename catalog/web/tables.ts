/** Tables that can be sorted: columns as data, the order as a parameter of the address. */
import { html } from "hono/html";
import type { FactoryRow, ManagerRow, ServiceRow } from "../../core/catalog/views.ts";
import {
  ago,
  count,
  hostName,
  type Html,
  nothing,
  showAmount,
  text,
  unknown,
  usage,
} from "./layout.ts";

/** A row with what the catalog knows of it. */
export interface Listed<Row> {
  readonly key: string;
  readonly row: Row;
  /** Foremen are below their manager. */
  readonly depth: number;
}

export interface Column<Row> {
  /** In the address: `?managers=waiting`, `?managers=-waiting`. */
  readonly id: string;
  readonly title: string;
  readonly numeric?: boolean;
  /** The first click sorts from the largest down. */
  readonly largestFirst?: boolean;
  /** Left out where the screen is narrow. */
  readonly wide?: boolean;
  /** Left out on a phone only. */
  readonly middle?: boolean;
  sortBy(row: Row): string | number | null;
  cell(listed: Listed<Row>, nowMs: number): Html;
}

export interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

/** One of the three tables of the overview. */
export interface Table<Row> {
  /** Parameter of the address that says how it is sorted. */
  readonly id: string;
  readonly title: string;
  /** What stands in place of rows. */
  readonly empty: string;
  readonly columns: readonly Column<Row>[];
}

const tell = (of: (row: ManagerRow) => number | null, id: string, title: string) =>
  numberColumn(id, title, of);

const host: Column<ServiceRow> = {
  id: "host",
  title: "Host",
  wide: true,
  sortBy: (row) => row.host,
  cell: ({ row }) =>
    html`${hostName(row.host)}${
      row.port === null ? nothing : html`<span class="port">:${row.port}</span>`
    }`,
};

const owner: Column<ServiceRow> = {
  id: "owner",
  title: "Owner",
  wide: true,
  sortBy: (row) => row.owner,
  cell: ({ row }) => text(row.owner),
};

const version: Column<ServiceRow> = {
  id: "version",
  title: "Version",
  wide: true,
  sortBy: (row) => row.version,
  cell: ({ row }) => text(row.version),
};

const heard: Column<ServiceRow> = {
  id: "heard",
  title: "Heard",
  numeric: true,
  // The longer ago, the larger, as it is shown.
  sortBy: (row) => row.heardS === null ? null : -row.heardS,
  cell: ({ row }, nowMs) => ago(row.heardS, nowMs),
};

export const managersTable: Table<ManagerRow> = {
  id: "managers",
  title: "Managers",
  empty: "No manager tells this catalog about itself.",
  columns: [
    {
      id: "project",
      title: "Project",
      sortBy: (row) => row.project,
      cell: ({ key, row, depth }, nowMs) =>
        html`
          ${depth === 0
            ? nothing
            : html`<span class="foreman" title="a foreman">${"↳"} </span>`}<a href="${managerPath(
              key,
            )}"><bdi>${row.project ?? "(no name)"}</bdi></a>${row.ssl
            ? html`
              <span class="badge" title="connections are encrypted">TLS</span>
            `
            : nothing}<span
            class="below">${hostName(row.host)} · <span class="nowrap">${ago(
              row.heardS,
              nowMs,
            )}</span></span>
        `,
    },
    owner,
    host,
    tell((row) => row.waiting, "waiting", "Waiting"),
    tell((row) => row.running, "running", "Running"),
    tell((row) => row.done, "done", "Done"),
    { ...tell((row) => row.workers, "workers", "Workers"), middle: true },
    {
      id: "cores",
      title: "Cores in use",
      wide: true,
      largestFirst: true,
      sortBy: (row) => row.resources.cores.inUse,
      cell: ({ row }) => usage(row.resources.cores, showAmount["cores"]!),
    },
    {
      id: "memory",
      title: "Memory in use",
      wide: true,
      largestFirst: true,
      sortBy: (row) => row.resources.memoryMb.inUse,
      cell: ({ row }) => usage(row.resources.memoryMb, showAmount["memoryMb"]!),
    },
    { ...heard, wide: true },
  ],
};

export const factoriesTable: Table<FactoryRow> = {
  id: "factories",
  title: "Factories",
  empty: "No factory tells this catalog about itself.",
  columns: [
    {
      id: "name",
      title: "Factory",
      sortBy: (row) => row.name,
      cell: ({ key, row }) =>
        html`<a href="${recordPath(key)}"><bdi>${
          row.name ?? "(no name)"
        }</bdi></a><span class="below">${
          row.projectPattern === null ? nothing : html`<code>${row.projectPattern}</code>`
        }</span>`,
    },
    {
      id: "serves",
      title: "Serves",
      wide: true,
      sortBy: (row) => row.projectPattern,
      cell: ({ row }) =>
        row.projectPattern === null ? unknown : html`<code>${row.projectPattern}</code>`,
    },
    owner,
    { ...host, cell: ({ row }) => hostName(row.host) },
    numberColumn("submitted", "Submitted", (row: FactoryRow) => row.submitted),
    numberColumn("needed", "Needed", (row: FactoryRow) => row.needed),
    { ...numberColumn("max", "At most", (row: FactoryRow) => row.workersMax), wide: true },
    {
      ...numberColumn("unconnected", "To connect", (row: FactoryRow) => row.toConnect),
      wide: true,
    },
    version,
    heard,
  ],
};

export const servicesTable: Table<ServiceRow> = {
  id: "services",
  title: "Other services",
  empty: "Nothing else tells this catalog about itself.",
  columns: [
    {
      id: "type",
      title: "Type",
      sortBy: (row) => row.type,
      cell: ({ key, row }) => html`<a href="${recordPath(key)}"><bdi>${row.type}</bdi></a>`,
    },
    {
      id: "project",
      title: "Project",
      wide: true,
      sortBy: (row) => row.project,
      cell: ({ row }) => text(row.project),
    },
    owner,
    { ...host, wide: false },
    version,
    heard,
  ],
};

function numberColumn<Row>(
  id: string,
  title: string,
  of: (row: Row) => number | null,
): Column<Row> {
  return {
    id,
    title,
    numeric: true,
    largestFirst: true,
    sortBy: of,
    cell: ({ row }) => count(of(row)),
  };
}

export function managerPath(key: string): string {
  return `/manager/${encodeURIComponent(key)}`;
}

export function recordPath(key: string): string {
  return `/detail/${encodeURIComponent(key)}`;
}

/** `waiting`, `-waiting`; an unknown column is as none: the order of the first. */
export function parseSort<Row>({ columns }: Table<Row>, parameter: string | undefined): Sort {
  const descending = parameter?.startsWith("-") ?? false;
  const id = descending ? parameter!.slice(1) : parameter;
  const column = columns.find((one) => one.id === id);
  return column === undefined
    ? { column: columns[0]!.id, descending: false }
    : { column: column.id, descending };
}

export function showSort({ column, descending }: Sort): string {
  return `${descending ? "-" : ""}${column}`;
}

const collator = new Intl.Collator("en", { numeric: true });

/** In the order asked for; what is not told comes last either way, and ties keep their order. */
export function sorted<Row, T>(
  items: readonly T[],
  rowOf: (item: T) => Row,
  { columns }: Table<Row>,
  { column, descending }: Sort,
): T[] {
  const sortBy = columns.find((one) => one.id === column)?.sortBy;
  if (sortBy === undefined) return [...items];
  const keyed = items.map((item) => ({ item, value: sortBy(rowOf(item)) }));
  keyed.sort(({ value: a }, { value: b }) => {
    if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
    const order = typeof a === "number" && typeof b === "number"
      ? a - b
      : collator.compare(String(a), String(b));
    return descending ? -order : order;
  });
  return keyed.map(({ item }) => item);
}

/** The row of titles; each is a link that sorts by it, and turns the order if it is the one. */
export function head<Row>(
  table: Table<Row>,
  sort: Sort,
  linkTo: (sort: Sort) => string,
): Html {
  return html`<tr id="${table.id}-titles">${
    table.columns.map((column) => {
      const { id, title, largestFirst = false } = column;
      const current = sort.column === id;
      const descending = current ? !sort.descending : largestFirst;
      const order = current ? (sort.descending ? "descending" : "ascending") : "none";
      return html`
        <th scope="col" class="${classes(column)}"
          aria-sort="${order}"><a id="${table.id}-by-${id}" href="${linkTo({
            column: id,
            descending,
          })}">${title}<span class="arrow" aria-hidden="true">${current && sort.descending
            ? "▼"
            : "▲"}</span></a></th>
      `;
    })
  }</tr>`;
}

export function rowMarkup<Row extends ServiceRow>(
  { columns }: Table<Row>,
  listed: Listed<Row>,
  nowMs: number,
  stale: boolean,
): Html {
  const { key, row, depth } = listed;
  const heard = row.heardS === null ? nothing : html`data-heard="${row.heardS * 1000}"`;
  return html`<tr data-key="${key}" ${heard} class="${stale ? "stale" : nothing}" data-depth="${
    Math.min(depth, 4)
  }">${
    columns.map((column, i) => {
      const shown = column.cell(listed, nowMs);
      const look = classes(column);
      return i === 0
        ? html`<th scope="row" class="${look}">${shown}</th>`
        : html`<td class="${look}">${shown}</td>`;
    })
  }</tr>`;
}

function classes<Row>({ numeric, wide, middle }: Column<Row>): string {
  const names = { number: numeric, wide, middle };
  return Object.entries(names).flatMap(([name, holds]) => holds === true ? [name] : []).join(" ");
}
