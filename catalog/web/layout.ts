/**
 * The frame of every page and the small pieces that pages share. All text passes through hono's
 * `html`, which escapes it: records are written by strangers.
 */
import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import type { InUse } from "../../core/catalog/views.ts";
import { formatShort, formatSizeMb } from "../../core/units.ts";
import type { CatalogFacts } from "../facts.ts";

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

export const nothing = "";
export const empty: Html = html``;
/** What stands where a record does not tell. */
export const unknown = html`<span class="unknown" title="not told">–</span>`;

export interface Page {
  /** Without "wqx catalog". */
  readonly title: string;
  readonly main: Html;
  /** Path of the stream of events that keeps the page up to date; absent: it stays as it is. */
  readonly stream?: string;
  readonly status?: 200 | 404;
}

/** A whole document. It works without its script, which only keeps it up to date. */
export function document(page: Page, facts: CatalogFacts): Html {
  const stream = page.stream === undefined ? nothing : html`data-stream="${page.stream}"`;
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>${page.title} · wqx catalog</title>
        <link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
        <link rel="stylesheet" href="/assets/style.css">
        <script src="/assets/idiomorph.js" defer></script>
        <script src="/assets/app.js" type="module"></script>
      </head>
      <body data-now="${facts.nowMs()}" ${stream}>
        <a class="skip" href="#main">Skip to the content</a>
        <header>
          <a class="brand"
            href="/"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1v14M1 8h14M3 3l10 10M13 3 3 13"/><circle cx="8" cy="8" r="3.2"/></svg>wqx catalog</a>
          <nav aria-label="Pages"><a href="/">Overview</a><a href="/api">API</a></nav>
          <p id="live" role="status" hidden></p>
        </header>
        <main id="main" tabindex="-1">
    ${page.main}
        </main>
        <footer>
          <p>${facts.name}:${facts.port} · wqx ${facts.version} · up ${age(
            facts.startedMs,
            facts.nowMs(),
            false,
          )} · records are kept for ${span(facts.lifetimeMs)}</p>
        </footer>
      </body>
    </html>
  `;
}

/** Longer numbers are shortened, or columns would not fit. */
const shownWholeMax = 99_999;

/** A count with thin separators: 12 345. */
export function count(amount: number | null): Html {
  if (amount === null) return unknown;
  return amount > shownWholeMax ? short(amount) : html`${grouped(amount)}`;
}

export function grouped(amount: number): string {
  return amount.toLocaleString("en-GB", { maximumFractionDigits: 1 }).replaceAll(",", "\u202f");
}

/** A text, or the mark for "not told"; its direction is its own. */
export function text(value: string | null): Html {
  return value === null ? unknown : html`<bdi>${value}</bdi>`;
}

/** Title of a column, and the classes that its cells have too. */
export type Column = readonly [title: string, look?: string];

/** A table that scrolls by itself where it is too wide. `labelledBy`: the id of its heading. */
export function scrollingTable(
  labelledBy: string,
  columns: readonly Column[],
  rows: readonly Html[],
): Html {
  return html`
    <div class="scroll" role="region" tabindex="0" aria-labelledby="${labelledBy}">
      <table>
        <thead>
          <tr>${columns.map(([title, look]) =>
            look === undefined
              ? html`<th scope="col">${title}</th>`
              : html`<th scope="col" class="${look}">${title}</th>`
          )}</tr>
        </thead>
        <tbody>${rows}</tbody>
      </table>
    </div>
  `;
}

/** A host name, which may be broken after its dots. */
export function hostName(value: string | null): Html {
  if (value === null) return unknown;
  return html`<bdi>${
    value.split(/(?<=\.)/).map((part, i) => html`${i === 0 ? nothing : html`<wbr>`}${part}`)
  }</bdi>`;
}

/** How long ago: the script keeps it right; `data-stale` beyond what is usual. */
export function ago(epochS: number | null, nowMs: number): Html {
  return epochS === null ? unknown : age(epochS * 1000, nowMs, true);
}

function age(epochMs: number, nowMs: number, past: boolean): Html {
  // Years before 1 or after 9999 are no dates that anyone can read.
  if (Math.abs(epochMs) > 2e14) return unknown;
  const iso = new Date(epochMs).toISOString();
  const ending = past ? " ago" : "";
  return html`
    <time datetime="${iso}" title="${iso}"
      data-age="${ending}">${span(nowMs - epochMs)}${ending}</time>
  `;
}

/** `7 s`, `12 min`, `3 h`, `2 d`; the script has the same. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** How much of a resource is in use, as a bar with its figures. */
export function usage({ inUse, total }: InUse, show: (amount: number) => string): Html {
  if (inUse === null || total === null || total <= 0) return unknown;
  const share = Math.min(1, Math.max(0, inUse / total));
  // Attributes of SVG, as styles in the markup are not allowed by the page's own policy.
  return html`
    <span
      class="usage"><svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="all" width="100" height="4"/><rect class="used" width="${(share *
        100).toFixed(1)}" height="4"/></svg><span>${show(inUse)} / ${show(total)}</span></span>
  `;
}

export const showAmount: Readonly<Record<string, (amount: number) => string>> = {
  cores: grouped,
  memoryMb: formatSizeMb,
  diskMb: formatSizeMb,
  gpus: grouped,
};

export const resourceTitles = {
  cores: "Cores",
  memoryMb: "Memory",
  diskMb: "Disk",
  gpus: "GPUs",
} as const;

/** A number with what it counts, large. */
export function tile(title: string, value: Html | string, note: Html | string = nothing): Html {
  return html`
    <div class="tile">
      <dt>${title}</dt>
      <dd>${value}${note === nothing ? nothing : html`<small>${note}</small>`}</dd>
    </div>
  `;
}

/** Up to three digits, with the exact number to be seen on pointing. */
export function short(amount: number | null): Html {
  return amount === null
    ? unknown
    : html`<span title="${grouped(amount)}">${formatShort(Math.round(amount))}</span>`;
}

/** The text of markup that holds no promises, to be sent or compared. */
export function textOf(markup: Html): string {
  if (markup instanceof Promise) throw new Error("Markup of these pages is never a promise");
  return markup.toString();
}
