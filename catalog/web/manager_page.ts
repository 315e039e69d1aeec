/** One manager: its course, workers, categories and resources, and how to join it. */
import { html } from "hono/html";
import { showAddress } from "../../core/addresses.ts";
import {
  type CategoryView,
  factoriesOf,
  type FactoryRow,
  factoryRow,
  isStale,
  kindOf,
  type ManagerDetail,
  managerDetail,
  type ManagerRow,
  resourceNames,
  type WorkerView,
} from "../../core/catalog/views.ts";
import { quoted } from "../../core/shell_words.ts";
import type { CatalogView } from "../view.ts";
import { courseMarkup } from "./chart.ts";
import {
  ago,
  type Column,
  count,
  grouped,
  hostName,
  type Html,
  nothing,
  resourceTitles,
  scrollingTable,
  short,
  showAmount,
  text,
  tile,
  unknown,
  usage,
} from "./layout.ts";
import { fieldsMarkup } from "./record_page.ts";
import { recordPath } from "./tables.ts";

/** Where a visitor found this catalog: `host:port`. */
export interface Visit {
  readonly catalog: string;
  readonly nowMs: number;
}

/** The parts of the page by the id of their element; `null` if the catalog has no such manager. */
export function managerParts(
  view: CatalogView,
  key: string,
  visit: Visit,
): Record<string, Html> | null {
  const record = view.get(key);
  if (record === undefined || kindOf(record) !== "manager") return null;
  const manager = managerDetail(record);
  return {
    heading: heading(manager, visit.nowMs),
    tiles: tiles(manager),
    course: courseMarkup(view.series(key)),
    join: joinMarkup(manager, visit),
    resources: resourcesMarkup(manager),
    workers: workersMarkup(manager, visit.nowMs),
    categories: categoriesMarkup(manager.categories),
    factories: factoriesMarkup(view, manager),
    fields: fieldsMarkup(record),
  };
}

export function managerPage(parts: Readonly<Record<string, Html>>): Html {
  const part = (id: string) => html`<div id="${id}">${parts[id]}</div>`;
  const section = (id: string, title: string) =>
    html`
      <section><h2 id="${id}-title">${title}</h2>${part(id)}</section>
    `;
  return html`<nav class="trail" aria-label="Way back"><a href="/">All managers</a></nav>
<div id="gone" role="status"></div>
${part("heading")}
${part("tiles")}
${section("course", "Tasks over time")}
<div class="columns">
${section("resources", "Resources")}
${section("join", "Send it a worker")}
</div>
${section("workers", "Workers")}
${section("categories", "Categories of tasks")}
${section("factories", "Factories that send it workers")}
<details class="fields"><summary>All fields of the record</summary>${part("fields")}</details>`;
}

/** What replaces the part `gone` once the catalog has forgotten the manager. */
export function goneMarkup(): Html {
  return html`
    <p
      class="banner">The catalog has forgotten this manager: it ended, or was silent for too long. What follows is the last that it said.</p>
  `;
}

function heading(manager: ManagerDetail, nowMs: number): Html {
  const { project, owner, host, port, version, startedS, heardS, ssl, worksFor } = manager;
  const facts: readonly (readonly [string, Html])[] = [
    ["Owner", text(owner)],
    ["Address", placeMarkup(host, port)],
    ["Started", ago(startedS, nowMs)],
    ["Heard", ago(heardS, nowMs)],
    ["Version", text(version)],
    ["Encrypted", html`${ssl ? "yes, TLS" : "no"}`],
    ...worksFor === null ? [] : [["Foreman of", text(worksFor)] as const],
  ];
  return html`<h1><bdi>${project ?? "(no name)"}</bdi></h1>
${
    isStale(manager, nowMs)
      ? html`<p class="banner">Nothing heard from it for longer than usual: what follows may have changed.</p>`
      : nothing
  }
<dl class="facts">${
    facts.map(([name, value]) =>
      html`
        <div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>`;
}

function placeMarkup(host: string | null, port: number | null): Html {
  if (host === null) return unknown;
  return html`<bdi>${port === null ? host : showAddress({ host, port })}</bdi>`;
}

function tiles(manager: ManagerRow): Html {
  const { waiting, running, done, failed, workers, workersBusy, left, hostsBlocked } = manager;
  return html`<dl class="tiles">${tile("Tasks waiting", short(waiting))}${
    tile("Tasks running", short(running))
  }${tile("Tasks done", short(done))}${
    failed === null ? nothing : tile("Tasks failed", short(failed))
  }${
    tile(
      "Workers",
      short(workers),
      workersBusy === null || workers === 0 ? nothing : html`${grouped(workersBusy)} busy`,
    )
  }${left === null || left <= 0 ? nothing : tile("Still to come", short(left), "tasks")}${
    hostsBlocked.length === 0 ? nothing : tile(
      "Hosts blocked",
      short(hostsBlocked.length),
      html`<bdi>${hostsBlocked[0]}</bdi>${hostsBlocked.length > 1 ? ", …" : nothing}`,
    )
  }</dl>`;
}

function resourcesMarkup({ resources, wanted }: ManagerDetail): Html {
  const told = resourceNames.filter((name) => (resources[name].total ?? 0) > 0);
  if (told.length === 0) return html`<p class="note">No worker, so nothing to use.</p>`;
  const rows = told.map((name) => {
    const show = showAmount[name]!;
    const want = wanted[name];
    return html`
      <tr>
        <th scope="row">${resourceTitles[name]}</th>
        <td>${usage(resources[name], show)}</td>
        <td class="number">${want === null ? unknown : show(want)}</td>
      </tr>
    `;
  });
  const columns: Column[] = [["Resource"], ["In use"], ["Tasks want", "number"]];
  return scrollingTable("resources-title", columns, rows);
}

/** A name that means itself as a regular expression and is printed as it is. */
const plainName = /^[\w .:@%,/=~-]+$/;

function joinMarkup({ project, host, port, ssl }: ManagerRow, { catalog }: Visit): Html {
  const lines: string[] = [];
  if (project !== null && plainName.test(project)) {
    lines.push(`wqx worker -M ${word(project)} -C ${word(catalog)}`);
  }
  if (host !== null && port !== null) {
    lines.push(`wqx worker${ssl ? " --ssl" : ""} ${word(host)} ${port}`);
  }
  if (lines.length === 0) {
    return html`<p class="note">Its record has no address to connect to.</p>`;
  }
  return html`
    <p>${lines.length > 1 ? "By name, or by address:" : "By address:"}</p>
    ${lines.map((line) => html`<pre class="command"><code>${line}</code></pre>`)}
    <p
      class="note">Add <code>--password FILE</code> if the manager has a password. <code>work_queue_worker</code> takes the same options.</p>
  `;
}

/** As a shell reads it: quoted only where it has to be. */
function word(part: string): string {
  return /^[\w.:@%,/=-]+$/.test(part) && !part.startsWith("-") ? part : quoted(part);
}

function workersMarkup(manager: ManagerDetail, nowMs: number): Html {
  const { workerList, workers, host, port } = manager;
  if (workers === 0 || workerList?.length === 0) {
    return html`<p class="note">No worker is connected.</p>`;
  }
  if (workerList === null) {
    const known = workers === null ? "" : ` (${grouped(workers)} workers)`;
    if (host === null || port === null) {
      return html`<p class="note">This manager publishes totals only${known}.</p>`;
    }
    return html`<p class="note">This manager publishes totals only${known}. Ask it for the list:</p>
<pre class="command"><code>wqx status ${word(host)} ${port} -W</code></pre>`;
  }
  const cut = (workers ?? 0) > workerList.length
    ? html`<p class="note">The largest ${grouped(workerList.length)} of ${
      grouped(workers!)
    } workers.</p>`
    : nothing;
  const rows = workerList.map((worker) => workerRow(worker, nowMs));
  return html`${scrollingTable("workers-title", workerColumns, rows)}${cut}`;
}

const workerColumns: readonly Column[] = [
  ["Host"],
  ["Address", "wide"],
  ["Cores"],
  ["Memory", "middle"],
  ["Disk", "wide"],
  ["Running", "number"],
  ["Done", "number middle"],
  ["Joined", "number wide"],
];

function workerRow(worker: WorkerView, nowMs: number): Html {
  const { host, address, resources, running, done, joinedS } = worker;
  return html`
    <tr>
      <th scope="row">${hostName(host)}</th>
      <td class="wide">${text(address)}</td>
      <td>${usage(resources.cores, showAmount["cores"]!)}</td>
      <td class="middle">${usage(resources.memoryMb, showAmount["memoryMb"]!)}</td>
      <td class="wide">${usage(resources.diskMb, showAmount["diskMb"]!)}</td>
      <td class="number">${count(running)}</td>
      <td class="number middle">${count(done)}</td>
      <td class="number wide">${ago(joinedS, nowMs)}</td>
    </tr>
  `;
}

function categoriesMarkup(categories: readonly CategoryView[]): Html {
  if (categories.length === 0) return html`<p class="note">It tells of no category yet.</p>`;
  // Only managers of wqx measure events.
  const events = categories.some(({ chunkSize, eventsPerSecond }) =>
    chunkSize !== null || eventsPerSecond !== null
  );
  const rows = categories.map((one) =>
    html`
      <tr>
        <th scope="row"><bdi>${one.name}</bdi></th>
        <td class="number">${count(one.waiting)}</td>
        <td class="number">${count(one.running)}</td>
        <td class="number">${count(one.done)}</td>
        <td class="number wide">${count(one.failed)}</td>
        <td>${allocation(one)}</td>
        <td>${largest(one)}</td>
        <td class="number wide">${count(one.workersAble)}</td>
        ${events
          ? html`
            <td class="number">${short(one.chunkSize)}</td>
            <td class="number">${short(one.eventsPerSecond)}</td>
          `
          : nothing}
      </tr>
    `
  );
  const columns = events ? [...categoryColumns, ...eventColumns] : categoryColumns;
  return scrollingTable("categories-title", columns, rows);
}

const categoryColumns: readonly Column[] = [
  ["Category"],
  ["Waiting", "number"],
  ["Running", "number"],
  ["Done", "number"],
  ["Failed", "number wide"],
  ["A task gets"],
  ["Largest"],
  ["Workers able", "number wide"],
];
const eventColumns: readonly Column[] = [["Events a task", "number"], ["Events/s", "number"]];

function allocation({ allocation }: CategoryView): Html {
  const told = resourceNames.flatMap((name) => {
    const amount = allocation[name];
    return amount === null || amount === 0 ? [] : [labelled(name, showAmount[name]!(amount))];
  });
  return told.length === 0 ? html`a whole worker` : lines(told);
}

function largest({ largest }: CategoryView): Html {
  const told = resourceNames.flatMap((name) => {
    const written = largest[name];
    const match = /^([~>]?)(\d+(?:\.\d+)?)$/.exec(written ?? "");
    if (match === null || Number(match[2]) === 0) return [];
    const amount = showAmount[name]!(Number(match[2]));
    const how = match[1] === "~" ? " seen" : match[1] === ">" ? " exceeded" : " declared";
    return [html`${labelled(name, amount)}${how}`];
  });
  return told.length === 0 ? unknown : lines(told);
}

/** `4 cores`, `700 MB memory`. */
function labelled(name: (typeof resourceNames)[number], amount: string): Html {
  const one = amount === "1";
  switch (name) {
    case "cores":
      return html`${amount} ${one ? "core" : "cores"}`;
    case "gpus":
      return html`${amount} ${one ? "GPU" : "GPUs"}`;
    case "diskMb":
      return html`${amount} disk`;
    case "memoryMb":
      return html`${amount} memory`;
  }
}

function lines(parts: readonly Html[]): Html {
  return html`${parts.map((part) => html`<span class="line">${part}</span>`)}`;
}

function factoriesMarkup(view: CatalogView, manager: ManagerRow): Html {
  const keyed: { key: string; row: FactoryRow }[] = [];
  for (const record of view.records()) {
    if (kindOf(record) !== "factory") continue;
    keyed.push({ key: view.keyOf(record), row: factoryRow(record) });
  }
  const serving = new Set(factoriesOf(manager, keyed.map(({ row }) => row)));
  const found = keyed.filter(({ row }) => serving.has(row));
  if (found.length === 0) return html`<p class="note">None that this catalog knows of.</p>`;
  const rows = found.map(({ key, row }) =>
    html`
      <tr>
        <th scope="row"><a href="${recordPath(key)}"><bdi>${row.name ?? "(no name)"}</bdi></a></th>
        <td class="wide">${text(row.host)}</td>
        <td class="number">${count(row.submitted)}</td>
        <td class="number">${count(row.needed)}</td>
        <td class="number">${count(row.workersMax)}</td>
      </tr>
    `
  );
  return scrollingTable("factories-title", factoryColumns, rows);
}

const factoryColumns: readonly Column[] = [
  ["Factory"],
  ["Host", "wide"],
  ["Submitted", "number"],
  ["Needed", "number"],
  ["At most", "number"],
];
