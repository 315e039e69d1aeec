/**
 * The overview: managers, factories and everything else, as the address asks for them. What is
 * shown first and what is sent later come from the same snapshot.
 */
import { html } from "hono/html";
import {
  type FactoryRow,
  factoryRow,
  isAbout,
  isStale,
  kindOf,
  type ManagerRow,
  managerRow,
  nested,
  type ServiceRow,
  serviceRow,
  staleAfterMs,
  type Totals,
  totalsOf,
} from "../../core/catalog/views.ts";
import type { JxObject } from "../../core/jx/value.ts";
import type { CatalogView } from "../view.ts";
import { formatSizeMb } from "../../core/units.ts";
import { grouped, type Html, nothing, short, textOf, tile } from "./layout.ts";
import {
  factoriesTable,
  head,
  type Listed,
  managersTable,
  parseSort,
  rowMarkup,
  servicesTable,
  showSort,
  type Sort,
  sorted,
  type Table,
} from "./tables.ts";

/** Rows of a table that are shown at first, and at most. */
export const rowsFirst = 200;
export const rowsMax = 2_000;
/** Longer filters are cut. */
const filterLettersMax = 200;

/** What the address asks for. */
export interface OverviewQuery {
  readonly filter: string;
  readonly rows: number;
  readonly managers: Sort;
  readonly factories: Sort;
  readonly services: Sort;
}

interface Part<Row> {
  readonly listed: readonly Listed<Row>[];
  /** How many match the filter, shown or not, and how many there are. */
  readonly matching: number;
  readonly all: number;
}

export interface Overview {
  readonly totals: Totals;
  readonly managers: Part<ManagerRow>;
  readonly factories: Part<FactoryRow>;
  readonly services: Part<ServiceRow>;
}

export function parseOverviewQuery(parameter: (name: string) => string | undefined): OverviewQuery {
  const rows = Number(parameter("rows"));
  return {
    filter: (parameter("filter") ?? "").trim().slice(0, filterLettersMax),
    rows: Number.isInteger(rows) && rows > 0 ? Math.min(rows, rowsMax) : rowsFirst,
    managers: parseSort(managersTable, parameter("managers")),
    factories: parseSort(factoriesTable, parameter("factories")),
    services: parseSort(servicesTable, parameter("services")),
  };
}

/** The part of the address that asks for this, `""` for what is shown anyway. */
export function showOverviewQuery(query: OverviewQuery): string {
  const parameters = new URLSearchParams();
  if (query.filter !== "") parameters.set("filter", query.filter);
  for (const table of [managersTable, factoriesTable, servicesTable]) {
    const sort = query[table.id as "managers"];
    const usual = sort.column === table.columns[0]!.id && !sort.descending;
    if (!usual) parameters.set(table.id, showSort(sort));
  }
  if (query.rows !== rowsFirst) parameters.set("rows", String(query.rows));
  const shown = parameters.toString();
  return shown === "" ? "" : `?${shown}`;
}

/** Rows are made once a record. */
const rowOfRecord = new WeakMap<JxObject, ManagerRow | FactoryRow | ServiceRow>();

function rowOf<Row extends ManagerRow | FactoryRow | ServiceRow>(
  record: JxObject,
  make: (record: JxObject) => Row,
): Row {
  const known = rowOfRecord.get(record);
  if (known !== undefined) return known as Row;
  const row = make(record);
  rowOfRecord.set(record, row);
  return row;
}

export function overviewOf(view: CatalogView, query: OverviewQuery): Overview {
  const managers: Flat<ManagerRow>[] = [];
  const factories: Flat<FactoryRow>[] = [];
  const services: Flat<ServiceRow>[] = [];
  for (const record of view.records()) {
    const key = view.keyOf(record);
    const kind = kindOf(record);
    if (kind === "manager") managers.push({ key, row: rowOf(record, managerRow) });
    else if (kind === "factory") factories.push({ key, row: rowOf(record, factoryRow) });
    else services.push({ key, row: rowOf(record, serviceRow) });
  }
  const nest = (items: readonly Flat<ManagerRow>[]) =>
    nested(items, ({ row }) => row).map(({ item, depth }) => ({ ...item, depth }));
  const flat = <Row>(items: readonly Flat<Row>[]) => items.map((item) => ({ ...item, depth: 0 }));
  return {
    totals: totalsOf(managers.map(({ row }) => row)),
    managers: partOf(managers, managersTable, query.managers, query, nest),
    factories: partOf(factories, factoriesTable, query.factories, query, flat),
    services: partOf(services, servicesTable, query.services, query, flat),
  };
}

interface Flat<Row> {
  readonly key: string;
  readonly row: Row;
}

function partOf<Row extends ServiceRow>(
  items: readonly Flat<Row>[],
  table: Table<Row>,
  sort: Sort,
  { filter, rows }: OverviewQuery,
  place: (items: readonly Flat<Row>[]) => Listed<Row>[],
): Part<Row> {
  const matching = filter === "" ? items : items.filter(({ row }) => isAbout(row, filter));
  const inOrder = sorted(matching, ({ row }) => row, table, sort);
  return { listed: place(inOrder).slice(0, rows), matching: matching.length, all: items.length };
}

/** What of the overview is replaced as a whole, by the id of its element. */
export function overviewParts(overview: Overview, query: OverviewQuery): Record<string, Html> {
  const link = (id: string) => (sort: Sort) => `/${showOverviewQuery({ ...query, [id]: sort })}`;
  const { managers, factories, services } = overview;
  return {
    "totals": totalsMarkup(overview.totals),
    "found": foundMarkup(overview, query),
    "managers-head": head(managersTable, query.managers, link("managers")),
    "factories-head": head(factoriesTable, query.factories, link("factories")),
    "services-head": head(servicesTable, query.services, link("services")),
    "managers-count": countMarkup(managersTable, managers, query),
    "factories-count": countMarkup(factoriesTable, factories, query),
    "services-count": countMarkup(servicesTable, services, query),
  };
}

function totalsMarkup({ managers, waiting, running, done, workers, resources }: Totals): Html {
  const { cores, memoryMb } = resources;
  return html`<dl class="tiles">${tile("Managers", short(managers))}${
    tile("Workers", short(workers))
  }${tile("Tasks waiting", short(waiting))}${tile("Tasks running", short(running))}${
    tile("Tasks done", short(done))
  }${tile("Cores in use", short(cores.inUse), html`of ${grouped(cores.total)}`)}${
    tile("Memory in use", formatSizeMb(memoryMb.inUse), html`of ${formatSizeMb(memoryMb.total)}`)
  }</dl>`;
}

function foundMarkup({ managers, factories, services }: Overview, { filter }: OverviewQuery): Html {
  if (filter === "") return html`${nothing}`;
  const matching = managers.matching + factories.matching + services.matching;
  return html`${grouped(matching)} of ${
    grouped(managers.all + factories.all + services.all)
  } match “<bdi>${filter}</bdi>”.`;
}

function countMarkup<Row>(
  table: Table<Row>,
  { listed, matching, all }: Part<Row>,
  query: OverviewQuery,
): Html {
  if (all === 0) return html`${table.empty}`;
  if (matching === 0) return html`None of ${grouped(all)} matches the filter.`;
  if (listed.length === matching) return html`${nothing}`;
  const more = showOverviewQuery({ ...query, rows: rowsMax });
  return html`The first ${grouped(listed.length)} of ${grouped(matching)}: filter to see others${
    query.rows < rowsMax
      ? html`, or <a href="/${more}">show up to ${grouped(rowsMax)}</a>`
      : nothing
  }.`;
}

/** The rows of one table in their order; each is made into markup when it is asked for. */
export interface TableRows {
  readonly listed: readonly Listed<ServiceRow>[];
  markup(at: number, nowMs: number): string;
}

export function overviewRows(overview: Overview): Readonly<Record<string, TableRows>> {
  return {
    managers: tableRows(managersTable, overview.managers.listed),
    factories: tableRows(factoriesTable, overview.factories.listed),
    services: tableRows(servicesTable, overview.services.listed),
  };
}

function tableRows<Row extends ServiceRow>(
  table: Table<Row>,
  listed: readonly Listed<Row>[],
): TableRows {
  return {
    listed,
    markup(at, nowMs) {
      const one = listed[at]!;
      return textOf(rowMarkup(table, one, nowMs, isStale(one.row, nowMs)));
    },
  };
}

export function overviewPage(view: CatalogView, query: OverviewQuery, nowMs: number): Html {
  const overview = overviewOf(view, query);
  const parts = overviewParts(overview, query);
  const { managers, factories, services } = overview;
  const hidden = [
    ["managers", query.managers],
    ["factories", query.factories],
    ["services", query.services],
  ] as const;
  return html`<h1>Running now</h1>
<div id="totals">${parts["totals"]}</div>
<form class="filter" role="search" action="/" data-filter>
<label for="filter">Filter by project, owner or host</label>
<input id="filter" name="filter" type="search" value="${query.filter}" maxlength="${filterLettersMax}" autocomplete="off" spellcheck="false">
${
    hidden.map(([name, sort]) =>
      html`<input type="hidden" name="${name}" value="${showSort(sort)}">`
    )
  }
<button>Filter</button>
<p id="found" role="status">${parts["found"]}</p>
</form>
${section(managersTable, managers, parts, nowMs)}
${section(factoriesTable, factories, parts, nowMs)}
${section(servicesTable, services, parts, nowMs)}`;
}

function section<Row extends ServiceRow>(
  table: Table<Row>,
  { listed }: Part<Row>,
  parts: Readonly<Record<string, Html>>,
  nowMs: number,
): Html {
  const { id, title } = table;
  return html`
    <section>
      <h2 id="${id}-title">${title}</h2>
      <div class="scroll" role="region" tabindex="0" aria-labelledby="${id}-title">
        <table class="sortable" data-stale-after="${staleAfterMs}">
          <thead id="${id}-head">${parts[`${id}-head`]}</thead>
          <tbody id="${id}-rows">${listed.map((one) =>
            rowMarkup(table, one, nowMs, isStale(one.row, nowMs))
          )}</tbody>
        </table>
      </div>
      <p id="${id}-count" class="note">${parts[`${id}-count`]}</p>
    </section>
  `;
}
