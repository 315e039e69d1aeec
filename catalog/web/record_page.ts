/** Any record, field by field; and the page for what is not there. */
import { html } from "hono/html";
import { kindOf, presentable, serviceRow } from "../../core/catalog/views.ts";
import { prettyJx, printJx } from "../../core/jx/print.ts";
import type { JxObject, JxValue } from "../../core/jx/value.ts";
import { ago, type Html, nothing } from "./layout.ts";
import { managerPath } from "./tables.ts";

/** Of one value; more is cut, and to be had from the JSON interface. */
const valueLettersMax = 4_000;
const fieldsMax = 1_000;

export function recordPage(key: string, record: JxObject, nowMs: number): Html {
  const { type, host, project, heardS } = serviceRow(record);
  const name = record.get("factory_name");
  const title = typeof name === "string" ? presentable(name) : project ?? host ?? key;
  return html`
    <nav class="trail" aria-label="Way back"><a href="/">Overview</a></nav>
    <h1><bdi>${title}</bdi></h1>
    <dl
      class="facts"><div><dt>Type</dt><dd>${type}</dd></div><div><dt>Heard</dt><dd>${ago(
        heardS,
        nowMs,
      )}</dd></div>${kindOf(record) === "manager"
        ? html`
          <div>
            <dt>More</dt>
            <dd><a href="${managerPath(key)}">Its own page</a></dd>
          </div>
        `
        : nothing}</dl>
    ${fieldsMarkup(record)}
  `;
}

export function fieldsMarkup(record: JxObject): Html {
  const all = [...record];
  return html`
    <div class="scroll" role="region" tabindex="0" aria-label="Fields of the record">
      <table class="record">
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>${all.slice(0, fieldsMax).map(([field, value]) =>
          html`
            <tr>
              <th scope="row"><code>${presentable(field)}</code></th>
              <td>${shown(value)}</td>
            </tr>
          `
        )}</tbody>
      </table>
    </div>${all.length > fieldsMax
      ? html`<p class="note">The first ${fieldsMax} of ${all.length} fields.</p>`
      : nothing}
  `;
}

function shown(value: JxValue): Html {
  if (typeof value === "string") return html`<bdi>${cut(value)}</bdi>`;
  if (value === null || typeof value !== "object") return html`${cut(printJx(value))}`;
  return html`<pre tabindex="0">${cut(prettyJx(value))}</pre>`;
}

function cut(text: string): string {
  return text.length <= valueLettersMax ? text : `${text.slice(0, valueLettersMax)} …`;
}

export function missingPage(what: string): Html {
  return html`<h1>Not here</h1>
<p>${what}</p>
<p><a href="/">All that is here</a></p>`;
}
